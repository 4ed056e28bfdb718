"""The column at a car park's entry: button, ticket printer and boom, between the gate and the barrier.

The gate knows nothing of paper: it is asked about a code that the column makes when a driver presses the button, and
releases the entry. Here the release becomes a ticket first, and the boom rises when that was taken. Not printed, not
taken, the car backs off: the boom stays down, the release runs out by itself, the gate says `unused`.

A ticket that was left in the mouth belongs to nobody: who comes soon after (REUSE_MS) and presses the button gets that
one, with its code asked for anew. Later its time of entry would be wrong, so it must be pulled out first.
"""

import asyncio
import contextlib
import datetime
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from einlass_core import codes, signals
from einlass_core.effects import Ask, Effect, Record
from einlass_core.events import ENTRY, Event, Scanned
from einlass_edge.config_car import TicketConfig
from einlass_edge.drivers import escpos
from einlass_edge.drivers.barrier_modbus import BUTTON, CAR_WAITING, PAPER
from einlass_edge.drivers.driver import Now, Trouble, Turnstile
from einlass_edge.drivers.escpos import Feed, PrinterStatus, Qr, Slip, Text
from einlass_edge.drivers.printer import Outcome, Printed

REUSE_MS = 120_000
SEEN_S_MAX = 2.0
TROUBLE_LEFT = "ticket_left"
TROUBLE_NOT_PRINTED = "ticket_not_printed"
TROUBLE_NOT_SEEN = "ticket_not_seen"
# What the column shows by itself, beside the gate's codes.
PRINTING, TAKE, PULL_OUT, NO_TICKETS = "ticket_printing", "ticket_take", "ticket_pull_out", "ticket_none"

log = structlog.get_logger(__name__)


class TicketPrinter(Protocol):
    """See drivers.printer.ReceiptPrinter."""

    status: PrinterStatus | None

    async def run(self) -> None:
        """Until cancelled."""

    async def print(self, slip: Slip) -> Printed:
        """Print one slip and cut."""


@dataclass(eq=False)
class _Ticket:
    """One code that was made here, and how far its paper is."""

    code: str
    asked_ms: int
    nonce: str = ""
    printing: bool = False
    printed: bool = False
    spoiled: bool = False
    taken: bool = False


class TicketColumn:
    """A Turnstile for the gate, made of the barrier's and a printer; asked() is for the barrier's inputs.

    ready: whether a code would be taken now. unix_ms: the time for the paper, 0 while nobody has told it. qr: what the
    QR of a code says at that time (ticket_stamps.py).
    shown: what a display says, by one of the words above. Troubles: those above, `ticket_left` until it was taken.
    """

    def __init__(
        self,
        barrier: Turnstile,
        printer: TicketPrinter,
        config: TicketConfig,
        *,
        scan: Callable[[Event], bool],
        ready: Callable[[], bool],
        now_ms: Now,
        unix_ms: Callable[[], int],
        qr: Callable[[str, int], str],
        trouble: Trouble,
        shown: Callable[[str], None],
    ) -> None:
        self._barrier = barrier
        self._printer = printer
        self._config = config
        self._scan = scan
        self._ready = ready
        self._now_ms = now_ms
        self._unix_ms = unix_ms
        self._qr = qr
        self._trouble = trouble
        self._shown = shown
        self._inputs = dict.fromkeys((CAR_WAITING, BUTTON, PAPER), False)
        self._ticket: _Ticket | None = None
        self._released = False  # the gate's release is for that ticket
        self._until_ms: int | None = None
        self._open = False
        self._moved = asyncio.Event()

    def asked(self, what: str, on: bool) -> None:
        """An input of the barrier's board has changed."""
        self._inputs[what] = on
        if what == BUTTON and on:
            self._pressed()
        elif what == PAPER and not on:
            self._trouble(TROUBLE_LEFT, False)
            if self._ticket is not None and (self._ticket.printing or self._ticket.printed):
                self._ticket.taken = True
        self._moved.set()

    def made(self, digest: str) -> int:
        """How many cars the list of valid tickets lets in by this digest: one, for the ticket that is asked about."""
        return int(self._ticket is not None and codes.digest(self._ticket.code) == digest)

    def saw(self, effect: Effect) -> None:
        """Every effect of the gate, before it is carried out: which release is a ticket's."""
        ticket = self._ticket
        if isinstance(effect, Ask) and ticket is not None and effect.code == ticket.code:
            ticket.nonce = effect.nonce
        elif isinstance(effect, Record) and effect.kind == "released":
            fields = effect.fields
            self._released = ticket is not None and (
                fields.get("nonce") == ticket.nonce or fields.get("digest") == codes.digest(ticket.code)
            )
            self._open = False
        elif isinstance(effect, Record) and effect.kind == "passed" and effect.fields.get("side") == ENTRY:
            self._ticket = None

    # As a turnstile

    def set_bolt(self, side: str, released: bool, until_ms: int | None) -> None:
        """See Turnstile. A release for a ticket reaches the barrier when the ticket was taken."""
        if side != ENTRY:
            self._barrier.set_bolt(side, released, until_ms)
            return
        self._until_ms = until_ms
        if not released:
            self._released = self._open = False
            self._barrier.set_bolt(side, False, None)
        elif not self._released or self._open:
            self._barrier.set_bolt(side, True, until_ms)
        self._moved.set()

    def show(self, colour: str, sound: tuple[int, ...]) -> None:
        """See Turnstile. Green is for a boom that rises: while the ticket is printed the lamp stays dark."""
        if self._released and not self._open and colour == signals.GREEN:
            colour, sound = signals.DARK, ()
        self._barrier.show(colour, sound)

    async def run(self) -> None:
        """See Turnstile."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._barrier.run())
            tasks.create_task(self._printer.run())
            tasks.create_task(self._serve())

    # From the button to the boom

    def _pressed(self) -> None:
        now_ms, ticket = self._now_ms(), self._ticket
        if not self._inputs[CAR_WAITING] or not self._ready() or (ticket is not None and ticket.printing):
            return
        if self._inputs[PAPER]:
            if ticket is None or ticket.spoiled or now_ms - ticket.asked_ms > REUSE_MS:
                self._trouble(TROUBLE_LEFT, True)
                self._shown(PULL_OUT)
                return
        elif self._printer.status is None or self._printer.status.hindrance is not None:
            self._shown(NO_TICKETS)
            return
        else:
            ticket = _Ticket(codes.opaque(secrets.randbits(codes.OPAQUE_BITS)), now_ms)
        self._ticket = ticket
        self._scan(Scanned(ENTRY, ticket.code.encode()))

    async def _serve(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            if self._released and not self._open and self._ticket is not None:
                await self._dispense(self._ticket)

    async def _dispense(self, ticket: _Ticket) -> None:
        if not ticket.printed and not await self._print(ticket):
            await self._while_released(lambda: False)
            return
        if self._config.taken_sensed and not ticket.taken and self._released:
            self._shown(TAKE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SEEN_S_MAX):
                    await self._while_released(lambda: self._inputs[PAPER] or ticket.taken)
            seen = self._inputs[PAPER] or ticket.taken
            self._trouble(TROUBLE_NOT_SEEN, self._released and not seen)
            if seen and not await self._while_released(lambda: ticket.taken):
                return
        if await self._while_released(lambda: self._inputs[CAR_WAITING]):
            self._open = True
            self._barrier.set_bolt(ENTRY, True, self._until_ms)
            self._barrier.show(*signals.signal("ok"))
            self._shown("ok")

    async def _print(self, ticket: _Ticket) -> bool:
        self._shown(PRINTING)
        ticket.printing = True
        try:
            printed = await self._printer.print(self._slip(ticket))
        finally:
            ticket.printing = False
        ticket.printed = printed.outcome is Outcome.PRINTED
        ticket.spoiled = printed.outcome is Outcome.UNCERTAIN
        self._trouble(TROUBLE_NOT_PRINTED, not ticket.printed)
        if not ticket.printed:
            log.warning("ticket_not_printed", reason=printed.reason)
            self._shown(NO_TICKETS)
        return ticket.printed

    async def _while_released(self, true: Callable[[], bool]) -> bool:
        """Wait for it; False when the release is over first."""
        while self._released and not true():
            self._moved.clear()
            await self._moved.wait()
        return self._released

    def _slip(self, ticket: _Ticket) -> Slip:
        unix_ms = self._unix_ms()
        at = datetime.datetime.fromtimestamp(unix_ms / 1000, datetime.UTC).astimezone()
        parts: list[Text | Qr | Feed] = [Text(self._config.title, big=True, align=escpos.CENTRE), Feed(1)]
        if unix_ms:
            parts.append(Text(at.strftime("%d.%m.%Y  %H:%M"), bold=True, align=escpos.CENTRE))
        parts += [Qr(self._qr(ticket.code, unix_ms)), Text(codes.in_groups(ticket.code), align=escpos.CENTRE), Feed(1)]
        parts += [Text(line, align=escpos.CENTRE) for line in self._config.lines]
        return tuple(parts)
