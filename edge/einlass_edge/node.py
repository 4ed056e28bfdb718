"""Wires one lane: configuration -> journal, drivers, link -> pump. Decides nothing itself."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from einlass_core import messages, signals, stamp
from einlass_core.allowlist import AllowList
from einlass_core.codes import SIGNED_PREFIX
from einlass_core.effects import Ask, Effect, Record, SetBolt, Show, Tell
from einlass_core.events import ENTRY, EXIT, Event, Linked, Rearmed, Scanned, Started
from einlass_core.gate import LOCKED, Gate
from einlass_core.pump import pump
from einlass_core.signed_alone import NOT_HERE, SEEN
from einlass_edge.car_lane import LaneDisplay, at_rest, gate_for, is_car_exit, passage_for, state_of, ticket_printer
from einlass_edge.clock import now_ms
from einlass_edge.config import GpioConfig, NodeConfig
from einlass_edge.config_car import BarrierConfig, TicketConfig
from einlass_edge.drivers.barrier_modbus import ModbusBarrier
from einlass_edge.drivers.driver import Turnstile
from einlass_edge.drivers.outputs import IDENTIFY_SOUND, Wanted
from einlass_edge.drivers.sensors import Sensors
from einlass_edge.drivers.turnstile_gpio import GpioTurnstile, GpiozeroPins
from einlass_edge.drivers.turnstile_modbus import Client, ModbusTurnstile, serial_client, tcp_client
from einlass_edge.list_files import ListFiles
from einlass_edge.shell import Shell
from einlass_edge.signed_tickets import SignedTickets
from einlass_edge.ticket_column import NO_TICKETS, PULL_OUT, TicketColumn
from einlass_edge.ticket_stamps import TicketStamps

IDENTIFY_S = 5.0

log = structlog.get_logger(__name__)


class Lane:
    """The gate as the pump drives it; on_step() sees every event with what came of it."""

    def __init__(self, gate: Gate, on_step: Callable[[Event, list[Effect]], None]) -> None:
        self._gate = gate
        self._on_step = on_step

    @property
    def deadline_ms(self) -> int | None:
        """The gate's."""
        return self._gate.deadline_ms

    def step(self, now_ms: int, event: Event) -> list[Effect]:
        """The gate's."""
        effects = self._gate.step(now_ms, event)
        self._on_step(event, effects)
        return effects


class Node(Shell):
    """One lane's node. Opening it opens the journal (JournalError); run() it once."""

    def __init__(self, config: NodeConfig, directory: Path, password: str, pin_factory: Any = None) -> None:
        """Relative paths in the configuration count from `directory`."""
        super().__init__(config, directory, password, f"pi-{config.turnstile.kind}")
        self._pin_factory = pin_factory
        lane = config.lane_settings()
        settings = lane.gate_settings()
        self._show_s = settings.show_ms / 1000
        self._list = AllowList(ListFiles((directory / config.journal).with_suffix(".list")))
        self._signed = SignedTickets(self._database, self._list)
        self._gate = gate_for(config, settings, self._journal, self._listed)
        self._scanned_s = 0.0
        self._timed_side = EXIT if is_car_exit(config) else ENTRY
        self._rearming = ""
        self._colour = signals.DARK
        self._identifying: asyncio.TimerHandle | None = None
        self._sensors = Sensors(self._inbox.put, self._settled, lane.passage_debounce_ms, passage_for(config))
        self._display = None
        if config.display is not None:
            self._display = LaneDisplay(config, config.display, self._place(config.display.serial), self._report)
        self._column: TicketColumn | None = None
        self._stamps = TicketStamps()
        self._turnstile = self._make_turnstile(config, Wanted(settings.exit_free))
        self._readers = [
            *(self._make_readers(ENTRY, config.entry, self._scan) if config.entry else []),
            *(self._make_readers(EXIT, config.exit, self._scan) if config.exit else []),
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then bolts are safe and the broker knows. A fault of our own ends it, and is raised."""
        lane = Lane(self._gate, self._stepped)
        machine = pump(lane, self._inbox, self._perform, now_ms, Started(self._reason))
        displays = [self._display] if self._display is not None else []
        await self.serve(stop, machine, (self._turnstile, *self._readers, *displays))

    # What the link hears

    def _heard(self, kind: str, fields: dict[str, Any]) -> None:
        event = messages.event_of(kind, fields, self._journal.boot)
        if event is not None:
            self._keep(event)
        elif kind == "list":
            self._take_list(fields)
        elif kind == "trust":
            self._take_trust(fields)
        elif kind == "stamp" and self._column is not None:
            self._stamps.take(fields)
        elif kind == "emergency":
            self._sensors.site_emergency(fields["on"])

    def link_changed(self, up: bool) -> None:
        """See link.Hears."""
        self._keep(Linked(up))
        super().link_changed(up)

    # What commands do

    def rearm(self, command_id: str, first: str, second: str) -> None:
        """See commands.Does."""
        if self._rearming:
            self._reply(command_id, "refused", "another one is under way")
            return
        self._rearming = command_id
        self._keep(Rearmed(first, second))

    def identify(self) -> None:
        """See commands.Does."""
        self._turnstile.show(signals.YELLOW, IDENTIFY_SOUND)
        self._end_identifying()
        self._identifying = asyncio.get_running_loop().call_later(IDENTIFY_S, self._show_again)

    # What the lane wants

    def _perform(self, effect: Effect) -> bool:
        if self._column is not None:
            self._column.saw(effect)
        if isinstance(effect, Record):
            return self._record(effect)
        if isinstance(effect, SetBolt):
            self._turnstile.set_bolt(effect.side, effect.released, effect.until_ms)
        elif isinstance(effect, Ask):
            self._link.publish("ask", {**messages.ask(self._journal, effect), "account": self._durable})
        elif isinstance(effect, Show):
            self._end_identifying()
            self._colour, sound = signals.signal(effect.code)
            self._turnstile.show(self._colour, sound)
            if self._display is not None:
                self._display.show(effect.code, effect.values)
        elif isinstance(effect, Tell):
            self._tell()
        return True

    def _record(self, effect: Record) -> bool:
        try:
            self._list.recorded(effect.kind, effect.fields)
            self._append(effect.kind, self._signed.recorded(effect.kind, effect.fields))
        except OSError as error:
            self._not_written(effect.kind, error)
            return False
        self._list.kept()
        self._durable = self._gate.account.as_dict()
        self._written(effect.kind, effect.fields)
        if effect.kind == "rearmed":
            self._finish_rearming("ok", "")
        return True

    def _stepped(self, event: Event, effects: list[Effect]) -> None:
        self._event_ms = now_ms()
        if isinstance(event, Rearmed) and not any(isinstance(e, Record) and e.kind == "rearmed" for e in effects):
            self._finish_rearming("refused", "no emergency, the input is still pressed, or not two people")

    def _finish_rearming(self, code: str, detail: str) -> None:
        if self._rearming:
            command_id, self._rearming = self._rearming, ""
            self._reply(command_id, code, detail)

    def _settled(self) -> bool:
        return at_rest(self._gate)

    def _listed(self, digest: str) -> int | str:
        """Who is let in alone: tickets on the list, one that was made here just now, and signed ones by their keys."""
        code = self._gate.code
        persons = self._list.persons(digest) or (self._column.made(digest) if self._column is not None else 0)
        if persons >= SEEN:
            return NOT_HERE  # The entry of a ticket's number, not of its code.
        if not code.startswith(SIGNED_PREFIX):
            return persons
        if persons:
            return "revoked" if self._signed.revoked(code) else persons
        return self._signed.judge(code, digest, self._wall.unix_ms(now_ms()))

    # What goes out

    def _tell(self) -> None:
        status = {**messages.status(self._journal, self._gate, now_ms()), "lane": state_of(self._gate)}
        listed = self._list.status(now_ms())
        if self._column is not None:
            status["stamp"] = self._stamps.newest
        self._link.publish(
            "status",
            {
                **status,
                "account": self._durable,
                "link_drops": self._link.drops,
                "list": listed,
                "trust": self._signed.status(),
            },
        )

    def _take_trust(self, fields: dict[str, Any]) -> None:
        try:
            if self._signed.take(fields):
                self._tell()
        except OSError as error:
            log.error("keys_not_kept", error=str(error))

    def _take_list(self, fields: dict[str, Any]) -> None:
        try:
            taken = self._list.take(fields, now_ms())
        except (OSError, ValueError) as error:
            log.error("list_not_kept", error=str(error))
            return
        self._merge_list()
        if fields["entries"] or not taken:
            self._tell()

    def _merge_list(self) -> None:
        try:
            while self._list.work():
                pass
        except OSError as error:
            log.error("list_not_merged", error=str(error))

    # What comes in

    def _scan(self, event: Event) -> bool:
        if isinstance(event, Scanned):
            event = Scanned(event.side, stamp.without(event.raw))
        taken = self._inbox.put(event)
        if taken and isinstance(event, Scanned) and event.side == self._timed_side:
            self._scanned_s = asyncio.get_running_loop().time()
        return taken

    def _bolt_moved(self, free: bool) -> None:
        if free:
            took_s = asyncio.get_running_loop().time() - self._scanned_s
            log.info("bolt_freed", scan_to_bolt_ms=round(took_s * 1000, 2))

    # Small things

    def _tidy(self) -> None:
        self._merge_list()
        with contextlib.suppress(OSError):  # It is tried again, and what stays written down does no harm.
            self._signed.tidy()
        super()._tidy()

    def _show_again(self) -> None:
        self._identifying = None
        self._turnstile.show(self._colour, ())

    def _end_identifying(self) -> None:
        if self._identifying is not None:
            self._identifying.cancel()
            self._identifying = None

    def _make_turnstile(self, config: NodeConfig, wanted: Wanted) -> Turnstile:
        turnstile = config.turnstile
        if isinstance(turnstile, GpioConfig):
            pins = GpiozeroPins(turnstile.numbers(), frozenset(turnstile.inverted), self._pin_factory)
            return GpioTurnstile(pins, wanted, self._sensors, now_ms, self._bolt_moved)

        def make_client() -> Client:
            if turnstile.host is not None:
                return tcp_client(turnstile.host, turnstile.port)
            assert turnstile.serial is not None
            return serial_client(turnstile.serial, turnstile.baud)

        if isinstance(turnstile, BarrierConfig):
            ticket = config.entry.ticket if config.entry is not None else None
            barrier = ModbusBarrier(
                make_client,
                turnstile.unit,
                turnstile.watchdog_ms,
                wanted,
                self._sensors,
                now_ms,
                self._report,
                self._bolt_moved,
                asked=self._asked,
                paper_sensed=ticket is not None and ticket.taken_sensed,
            )
            return barrier if ticket is None else self._make_column(barrier, ticket)
        return ModbusTurnstile(
            make_client,
            turnstile.unit,
            turnstile.watchdog_ms,
            wanted,
            self._sensors,
            now_ms,
            self._report,
            self._bolt_moved,
        )

    def _make_column(self, barrier: Turnstile, ticket: TicketConfig) -> Turnstile:
        self._column = TicketColumn(
            barrier,
            ticket_printer(ticket, self._place(ticket.serial), self._report),
            ticket,
            scan=self._scan,
            ready=lambda: self._gate.entry == LOCKED,
            now_ms=now_ms,
            unix_ms=lambda: self._wall.unix_ms(now_ms()),
            qr=self._stamps.text,
            trouble=self._report,
            shown=self._column_shows,
        )
        return self._column

    def _asked(self, what: str, on: bool) -> None:
        if self._column is not None:
            self._column.asked(what, on)

    def _column_shows(self, word: str) -> None:
        alone = word in (NO_TICKETS, PULL_OUT)
        if self._display is not None:
            self._display.hint(word, self._show_s if alone else None)
        if alone:
            # Nobody asked the gate, so it shows nothing: a driver without a display sees the lamp at least.
            self._end_identifying()
            self._turnstile.show(*signals.signal("staff"))
            self._identifying = asyncio.get_running_loop().call_later(self._show_s, self._show_again)
