"""Wires one lane: configuration -> journal, drivers, link -> pump. Decides nothing itself."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import structlog

from einlass_core import messages, signals
from einlass_core.allowlist import AllowList
from einlass_core.effects import Ask, Effect, Record, SetBolt, Show, Tell
from einlass_core.events import ENTRY, EXIT, Event, Linked, Rearmed, Scanned, Started
from einlass_core.gate import RELEASED, SETTLING, Gate
from einlass_core.journal import Journal
from einlass_core.pump import Inbox, pump
from einlass_core.wire import NAME_LENGTH_MAX, keep_rules
from einlass_edge.clock import WallClock, now_ms
from einlass_edge.commands import Commands
from einlass_edge.config import GpioConfig, NodeConfig, ReaderConfig
from einlass_edge.database import Database
from einlass_edge.drivers.camera import Camera, socket_frames, v4l2_frames
from einlass_edge.drivers.driver import KeptEvents, Reader, Turnstile
from einlass_edge.drivers.hid_scanner import HidScanner
from einlass_edge.drivers.outputs import IDENTIFY_SOUND, Wanted
from einlass_edge.drivers.scanner_serial import SerialScanner
from einlass_edge.drivers.sensors import Sensors
from einlass_edge.drivers.turnstile_gpio import GpioTurnstile, GpiozeroPins
from einlass_edge.drivers.turnstile_modbus import Client, ModbusTurnstile, serial_client, tcp_client
from einlass_edge.journal_store import JournalStore
from einlass_edge.link import Link
from einlass_edge.list_files import ListFiles
from einlass_edge.notify import notify, watchdog
from einlass_edge.tasks import insisting
from einlass_edge.uploader import Uploader

STATUS_S = 10.0
TIDY_S = 5.0
QUIET_MS = 1000
RETRY_S = 0.01
IDENTIFY_S = 5.0
INCARNATION_BYTES = 8

log = structlog.get_logger(__name__)


class _Stop(Exception):
    """Somebody asked the node to end."""


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


class Node:
    """One lane's node. Opening it opens the journal (JournalError); run() it once."""

    def __init__(self, config: NodeConfig, directory: Path, password: str, pin_factory: Any = None) -> None:
        """Relative paths in the configuration count from `directory`."""
        keep_rules()
        self._directory = directory
        self._pin_factory = pin_factory
        self._database = Database(directory / config.journal)
        try:
            self._journal = Journal(JournalStore(self._database), secrets.token_hex(INCARNATION_BYTES))
        except BaseException:
            self._database.close()
            raise
        self._reason = "restart" if self._journal.seq else "first_start"
        self._durable = self._journal.account.as_dict()
        settings = config.lane.gate_settings()
        prefix = f"{self._journal.incarnation}.{self._journal.boot}"
        self._list = AllowList(ListFiles((directory / config.journal).with_suffix(".list")))
        self._gate = Gate(settings, self._journal.account, prefix, self._journal.emergency, self._list.persons)
        self._inbox = Inbox()
        self._kept = KeptEvents(self._inbox.put)
        self._wall = WallClock()
        self._troubles: set[str] = set()
        self._scanned_s = 0.0
        self._event_ms = 0
        self._rearming = ""
        self._colour = signals.DARK
        self._identifying: asyncio.TimerHandle | None = None
        self._sensors = Sensors(self._inbox.put, self._settled, config.lane.passage_debounce_ms)
        self._turnstile = self._make_turnstile(config, Wanted(settings.exit_free))
        self._readers = [
            *self._make_readers(ENTRY, config.entry),
            *(self._make_readers(EXIT, config.exit) if config.exit else []),
        ]
        self._link = Link(
            self,
            site=config.site,
            node=config.node,
            host=config.broker.host,
            port=config.broker.port,
            password=password,
            ca=str(directory / config.broker.ca) if config.broker.ca else None,
            software=_software(),
            hardware=f"pi-{config.turnstile.kind}",
            reason=self._reason,
        )
        self._uploader = Uploader(self._journal, self._send_event, now_ms)
        started_ms = now_ms()
        self._commands = Commands(
            lambda: self._wall.unix_ms(now_ms()), lambda: self._wall.unix_ms(started_ms), self, self._reply
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then bolts are safe and the broker knows. A fault of our own ends it, and is raised."""
        log.info("node_starts", inc=self._journal.incarnation, boot=self._journal.boot, seq=self._journal.seq)
        lane = Lane(self._gate, self._stepped)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(insisting(pump(lane, self._inbox, self._perform, now_ms, Started(self._reason))))
                for part in (self._turnstile, *self._readers, self._link, self._uploader):
                    tasks.create_task(part.run())
                tasks.create_task(self._tell_regularly())
                tasks.create_task(self._tidy_regularly())
                tasks.create_task(watchdog())
                notify("READY=1")
                await stop.wait()
                notify("STOPPING=1")
                raise _Stop
        except* _Stop:
            log.info("node_stopped")
        finally:
            self._database.close()

    # What the link hears

    def received(self, kind: str, fields: dict[str, Any]) -> None:
        """See link.Hears."""
        event = messages.event_of(kind, fields, self._journal.boot)
        if event is not None:
            self._keep(event)
        elif kind == "list":
            self._take_list(fields)
        elif kind == "ack":
            self._uploader.acknowledged(fields["seq"])
        elif kind == "command":
            self._commands.take(fields)
        elif kind == "time":
            self._wall.set(fields["unix_ms"], now_ms())
        elif kind == "emergency":
            self._sensors.site_emergency(fields["on"])

    def link_changed(self, up: bool) -> None:
        """See link.Hears."""
        self._keep(Linked(up))
        if up:
            self._uploader.connected()
            for reason in sorted(self._troubles):
                self._alarm(reason)

    def identity(self) -> dict[str, Any]:
        """See link.Hears. The account as last written down: one that a power cut could still undo is told to nobody."""
        return {**messages.identity(self._journal), "account": self._durable}

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
        elif isinstance(effect, Tell):
            self._tell()
        return True

    def _record(self, effect: Record) -> bool:
        at_ms = now_ms()
        try:
            self._list.recorded(effect.kind, effect.fields)
            self._journal.append(effect.kind, at_ms, self._wall.unix_ms(at_ms), effect.fields)
        except OSError as error:
            log.error("not_recorded", kind=effect.kind, error=str(error))
            self._report("journal_not_writable", True)
            return False
        self._report("journal_not_writable", False)
        self._durable = self._gate.account.as_dict()
        self._uploader.wake()
        log.info("recorded", kind=effect.kind, seq=self._journal.seq, **effect.fields)
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
        return self._gate.entry not in (RELEASED, SETTLING)

    # What goes out

    def _send_event(self, kind: str, fields: dict[str, Any]) -> bool:
        return self._link.publish(kind, fields)

    def _reply(self, command_id: str, code: str, detail: str) -> None:
        self._link.publish("reply", {"id": command_id, "code": code, "detail": detail})

    def _tell(self) -> None:
        status = messages.status(self._journal, self._gate, now_ms())
        listed = self._list.status(now_ms())
        self._link.publish(
            "status", {**status, "account": self._durable, "link_drops": self._link.drops, "list": listed}
        )

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

    def _report(self, reason: str, began: bool) -> None:
        """A driver's trouble began or is over."""
        if began == (reason in self._troubles):
            return
        if began:
            self._troubles.add(reason)
        else:
            self._troubles.discard(reason)
        log.log(40 if began else 20, "trouble" if began else "trouble_over", reason=reason)
        self._alarm(reason if began else f"{reason}_over")

    def _alarm(self, reason: str) -> None:
        fields = {"inc": self._journal.incarnation, "reason": reason[:NAME_LENGTH_MAX], "ms": now_ms()}
        self._link.publish("alarm", fields)

    # What comes in

    def _scan(self, event: Event) -> bool:
        taken = self._inbox.put(event)
        if taken and isinstance(event, Scanned) and event.side == ENTRY:
            self._scanned_s = asyncio.get_running_loop().time()
        return taken

    def _bolt_moved(self, free: bool) -> None:
        if free:
            took_s = asyncio.get_running_loop().time() - self._scanned_s
            log.info("bolt_freed", scan_to_bolt_ms=round(took_s * 1000, 2))

    def _keep(self, event: Event) -> None:
        if not self._kept.offer(event):
            asyncio.get_running_loop().call_later(RETRY_S, self._retry)

    def _retry(self) -> None:
        if not self._kept.retry():
            asyncio.get_running_loop().call_later(RETRY_S, self._retry)

    # Small things

    async def _tell_regularly(self) -> None:
        while True:
            await asyncio.sleep(STATUS_S)
            self._tell()

    async def _tidy_regularly(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            if self._settled() and now_ms() - self._event_ms >= QUIET_MS:
                self._merge_list()
                with contextlib.suppress(OSError):  # It would fail on the next record, too, and be told there.
                    self._database.tidy()

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

    def _make_readers(self, side: str, config: ReaderConfig) -> list[Reader]:
        readers: list[Reader] = []
        if config.serial:
            is_gm65 = config.scanner == "gm65"
            readers.append(
                SerialScanner(side, self._place(config.serial), config.baud, is_gm65, self._scan, self._report)
            )
        if config.hid:
            readers.append(HidScanner(side, self._place(config.hid), self._scan, self._report))
        if config.camera:
            kind, _, place = config.camera.partition(":")
            frames = socket_frames(self._place(place)) if kind == "socket" else v4l2_frames(place)
            readers.append(Camera(side, frames, self._scan, now_ms, self._report))
        return readers

    def _place(self, path: str) -> str:
        return str(self._directory / path)


def _software() -> str:
    try:
        return f"einlass {version('einlass')}"[:NAME_LENGTH_MAX]
    except PackageNotFoundError:
        return "einlass"
