"""One till in the town: the shipped machine, journal, list and messages, with a shell of virtual wires around them.

The shell does what einlass_edge's till node does: carries effects out in order, sends, obeys. Between any two of its
steps the power may go.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from einlass_controller import fastwire
from einlass_core import messages, wire
from einlass_core.allowlist import AllowList
from einlass_core.effects import Effect, Record, Show
from einlass_core.events import Event
from einlass_core.journal import Journal
from einlass_core.till import Till
from einlass_core.till_account import TillSettings
from einlass_core.till_words import (
    AskCard,
    CardDone,
    CardUndone,
    CoinsIn,
    PaidOut,
    PayOut,
    Powered,
    Price,
    PriceAlone,
    Priced,
    Print,
    Printed,
    PrinterReady,
    TakeCard,
    TakeCoins,
    UndoCard,
)
from einlass_core.upload import Upload
from einlass_edge.till_alone import AloneDesk, Told
from einlass_edge.till_book import TillBook
from einlass_edge.till_sold import SoldStore
from einlass_sim.tills.devices import (
    ANSWER_MS,
    COIN_MS,
    PAYOUT_MS,
    PAYOUT_STEP_CENTS,
    PRINT_MS,
    TERMINAL_MS,
    Devices,
)
from einlass_sim.world.disk import PowerCutError
from einlass_sim.world.node import Node
from einlass_sim.world.office import TIME_ZONE

if TYPE_CHECKING:
    from einlass_sim.tills.town import Town

BOOT_MS = 5_000
DARK_MS_MAX = 10 * 60_000


class TillJournal(Journal):
    """As a till's shell has it: a record fits a message."""

    bytes_max = wire.MESSAGE_BYTES_MAX


class Machine(Node):
    """number, name, kind. Nothing here knows what other tills have used."""

    status_every_ms: ClassVar[int] = 30_000
    crash_fault: ClassVar[str] = "till_crash_soon"
    world: "Town"
    till: Till
    journal: TillJournal

    def __init__(self, town: "Town", number: int, kind: str) -> None:
        super().__init__(town, number, f"till-{number}")
        self.kind = kind
        self.devices = Devices()
        self.asked = Price("", "", "", (), 0)
        self.raw = b""  # what the reader read of the ticket of the sale under way
        self._values: Told | None = None  # of the price that the sale under way has
        self._priced_sale = 0

    # -- power

    def _begin(self) -> None:
        self.devices.slot_open = False
        self.journal = TillJournal(self.disk, self.world.new_incarnation())
        _, last = self.disk.bounds()
        held = json.loads(self.disk.read(last, 1)[0][1])["till"] if last else None
        self.desk = AloneDesk(
            TillBook(cast("Any", self.disk.table)),
            SoldStore(cast("Any", self.disk.table)),
            AllowList(self.disk),
            lambda: self.journal.acknowledged,
            self.unix_ms,
            TIME_ZONE,
            self.now_ms,
        )
        self.till = self.core = Till(TillSettings(sells_alone=True), self.journal.prefix, held)
        self.upload = Upload(self.journal)
        self.world.truth.booted(self)
        self.step(Powered(self.devices.in_cents, self.devices.out_cents))

    def lose_power(self, dark_ms: int = BOOT_MS) -> None:
        """Nothing runs, the slot shuts; what the hopper was told it forgets, what it paid it knows."""
        if not self.powered:
            return
        self.world.note(self, f"power lost while {self.till.state}")
        self.world.sometimes[f"power_lost_{self.till.state}"] += 1
        self._go_dark()
        self.devices.slot_open = False
        self.devices.hopper_wants = self.devices.out_cents
        self.world.after(min(dark_ms, DARK_MS_MAX), self.boot)

    # -- the machine

    def answer(self, told: Told) -> None:
        """A price, as the node hands it to its till."""
        if told.priced.nonce == self.till.question and told.priced.code == "ok":
            self._values, self._priced_sale = told, self.till.account.sale
        self.step(told.priced)

    def step(self, event: Event) -> None:
        """One event, now."""
        if self.powered and self._carry_out(event):
            self._plan_tick()
            self.send_what_is_due()

    def later(self, delay_ms: int, what: Callable[[], None]) -> None:
        """Something a device does by itself, while the power lasts."""
        boot = self.boots
        self.world.after(delay_ms, lambda: what() if boot == self.boots and self.powered else None)

    def _tell_later(self, delay_ms: int, event: Event) -> None:
        self.later(delay_ms, lambda: self.step(event))

    def _perform(self, effect: Effect) -> bool:
        if isinstance(effect, Record):
            return self._record(effect)
        self._io()
        devices = self.devices
        if isinstance(effect, PriceAlone):
            self._ask_myself(effect)
        elif isinstance(effect, Price):
            self._ask(effect)
        elif isinstance(effect, TakeCoins):
            devices.slot_open = effect.on
        elif isinstance(effect, PayOut):
            devices.hopper_wants = max(devices.hopper_wants, effect.total)
            self.later(PAYOUT_MS, self._pay_a_little)
        elif isinstance(effect, TakeCard):
            self._charge(effect)
        elif isinstance(effect, AskCard):
            if not devices.terminal_silent:
                self._tell_later(ANSWER_MS, CardDone(effect.ref, effect.ref in devices.charged))
        elif isinstance(effect, UndoCard):
            if not devices.terminal_silent:
                self.later(ANSWER_MS, lambda: self._undo(effect.ref))
        elif isinstance(effect, Print):
            self.later(PRINT_MS, lambda: self._print(effect.slip))
        elif isinstance(effect, Show):
            self.shown = effect.code
        return True

    def _record(self, effect: Record) -> bool:
        more = self._values.more if self._values is not None else {}
        try:
            self.desk.rules.recorded(effect.kind, effect.fields, self.journal.seq + 1, more)
            self.journal.append(effect.kind, self.now_ms(), self.unix_ms(), effect.fields)
        except OSError:
            return False
        self.world.truth.recorded(self, effect.kind, effect.fields)
        return True

    def _ask(self, price: Price) -> None:
        self.asked = price
        if not self.linked:
            self._tell_later(0, Priced(price.nonce, "offline_not_here"))
            return
        instead = self.desk.instead(price)
        if instead is not None:
            self._tell_later(0, instead)
            return
        fields = {
            **messages.identity(self.journal),
            "nonce": price.nonce,
            "sale": self.till.account.sale,
            "what": price.what,
            "subject": price.subject,
            "cards": " ".join(price.cards),
            "paid": price.paid,
        }
        self.publish("price", fields)

    def _ask_myself(self, price: PriceAlone) -> None:
        self.asked = Price("", "", "", (), 0)  # An answer of the controller comes too late from now on.
        known_ms = 0
        if self._values is not None and self._priced_sale == self.till.account.sale:
            known_ms = self._values.more.get("entered", 0)
        told = self.desk.price(price, self.raw, known_ms)
        self.world.sometimes[f"alone_{told.priced.code}"] += 1
        self.later(0, lambda: self.answer(told))

    # -- the devices

    def insert(self, cents: int) -> bool:
        """A driver's coin; False: it falls through."""
        if not self.powered or not self.devices.slot_open:
            return False
        self.devices.in_cents += cents
        self._tell_later(COIN_MS, CoinsIn(self.devices.in_cents))
        return True

    def _pay_a_little(self) -> None:
        devices = self.devices
        if devices.hopper_empty and devices.out_cents < devices.hopper_wants:
            self.step(PaidOut(devices.out_cents, stopped=True))
            return
        devices.out_cents = min(devices.hopper_wants, devices.out_cents + PAYOUT_STEP_CENTS)
        if devices.out_cents < devices.hopper_wants:
            self.later(PAYOUT_MS, self._pay_a_little)
        self.step(PaidOut(devices.out_cents))

    def _charge(self, effect: TakeCard) -> None:
        # The terminal has power of its own: it takes the money though the till may be dark by then.
        devices = self.devices
        if self.world.chance.random() < self.world.declines:
            if not devices.terminal_silent:
                self._tell_later(TERMINAL_MS, CardDone(effect.ref, False))
            return
        if effect.ref in devices.charged or effect.ref in devices.given_back:
            self.world.truth.violation(f"charged_twice: {self.name} {effect.ref}")
        devices.charged[effect.ref] = effect.cents
        if not devices.terminal_silent:
            self._tell_later(TERMINAL_MS, CardDone(effect.ref, True))

    def _undo(self, ref: str) -> None:
        self.devices.undo(ref)
        self.step(CardUndone(ref))

    def _print(self, slip: str) -> None:
        if self.devices.has_paper:
            self.devices.printed.append(slip)
        self.step(Printed(slip, self.devices.has_paper))

    def paper_is_back(self) -> None:
        """Somebody put a roll in."""
        self.devices.has_paper = True
        self.step(PrinterReady())

    # -- the wire

    def _link_changed(self) -> None:
        self.send_what_is_due()

    def _status(self, now_ms: int) -> dict[str, Any]:
        fields = messages.identity(self.journal)
        fields |= {"ms": now_ms, "lane": self.till.state, "waiting": self.journal.waiting, "emergency": False}
        return fields | self.desk.status()

    def receive(self, kind: str, payload: bytes) -> None:
        """A message from the controller."""
        fields = fastwire.decode(kind, payload)
        if kind == "time":
            self.unix_offset_ms = fields["unix_ms"] - self.now_ms()
        elif kind == "emergency" or not self.is_for_me(fields):
            return
        elif kind == "ack":
            self.journal.acknowledge(fields["seq"])
            self.send_what_is_due()
        elif kind == "priced":
            if fields["nonce"] == self.asked.nonce:
                self.answer(self._priced(fields))
        else:
            self._take(kind, fields)

    def _take(self, kind: str, fields: dict[str, Any]) -> None:
        """What is told ahead, for selling alone."""
        try:
            is_to_tell = self.desk.heard(kind, fields)
        except PowerCutError:
            self.lose_power()
            return
        if is_to_tell:
            self._send_status_now()

    def _priced(self, fields: dict[str, Any]) -> Told:
        cards, values = self.asked.cards, fields["values"]
        held = tuple(cards[int(place)] for place in fields["held"].split())
        partly = tuple(card for at, card in enumerate(cards) if at in values.get("partly", []))
        priced = Priced(fields["nonce"], fields["code"], fields["due"], held, fields["until"], partly)
        self.world.sometimes[fields["code"]] += 1
        return Told(priced, values, {"entered": values.get("entered_ms", 0), "credit": values.get("saved_cents", 0)})

    def wipe(self) -> None:
        """A new disk, and an empty machine: staff have taken the money out and set the counters to nothing."""
        self.disk.wipe()
        self.devices = Devices()
