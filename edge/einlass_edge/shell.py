"""What every node on a Raspberry Pi has, lane or till: journal, line to the controller, alarms, a clean end."""

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import structlog

from einlass_core import messages
from einlass_core.events import Event
from einlass_core.journal import Journal
from einlass_core.pump import Inbox
from einlass_core.wire import NAME_LENGTH_MAX, keep_rules
from einlass_edge.clock import WallClock, now_ms
from einlass_edge.commands import Commands
from einlass_edge.config_base import PlaceConfig
from einlass_edge.config_devices import ReaderConfig
from einlass_edge.database import Database
from einlass_edge.drivers.camera import Camera, socket_frames, v4l2_frames
from einlass_edge.drivers.driver import Feed, KeptEvents, Reader
from einlass_edge.drivers.hid_scanner import HidScanner
from einlass_edge.drivers.scanner_serial import SerialScanner
from einlass_edge.journal_store import JournalStore
from einlass_edge.link import Link
from einlass_edge.notify import notify, watchdog
from einlass_edge.tasks import insisting
from einlass_edge.uploader import Uploader

STATUS_S = 10.0
TIDY_S = 5.0
QUIET_MS = 1000
RETRY_S = 0.01
INCARNATION_BYTES = 8

log = structlog.get_logger(__name__)


class _Stop(Exception):
    """Somebody asked the node to end."""


class Part(Protocol):
    """Something that runs as long as the node does."""

    async def run(self) -> None:
        """Until cancelled."""


class Shell:
    """A node without what it drives. Opening it opens the journal (JournalError); serve() it once."""

    journal_type = Journal

    def __init__(self, config: PlaceConfig, directory: Path, password: str, hardware: str) -> None:
        """Relative paths in the configuration count from `directory`."""
        keep_rules()
        self._directory = directory
        self._database = Database(directory / config.journal)
        try:
            self._store = JournalStore(self._database)
            self._journal = self.journal_type(self._store, secrets.token_hex(INCARNATION_BYTES))
        except BaseException:
            self._database.close()
            raise
        self._reason = "restart" if self._journal.seq else "first_start"
        self._prefix = self._journal.prefix
        self._durable = self._journal.account.as_dict()
        self._inbox = Inbox()
        self._kept = KeptEvents(self._inbox.put)
        self._wall = WallClock()
        self._troubles: set[str] = set()
        self._event_ms = 0
        self._link = Link(
            self,
            site=config.site,
            node=config.node,
            host=config.broker.host,
            port=config.broker.port,
            password=password,
            ca=str(directory / config.broker.ca) if config.broker.ca else None,
            software=_software(),
            hardware=hardware,
            reason=self._reason,
        )
        self._uploader = Uploader(self._journal, self._send_event, now_ms)
        started_ms = now_ms()
        self._commands = Commands(
            lambda: self._wall.unix_ms(now_ms()), lambda: self._wall.unix_ms(started_ms), self, self._reply
        )

    async def serve(self, stop: asyncio.Event, machine: Coroutine[Any, Any, None], parts: Sequence[Part]) -> None:
        """Until `stop` is set; then parts end as is safe and the broker knows. A fault of our own ends it, raised."""
        log.info("node_starts", inc=self._journal.incarnation, boot=self._journal.boot, seq=self._journal.seq)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(insisting(machine))
                for part in (*parts, self._link, self._uploader):
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

    # What a node adds

    def _heard(self, kind: str, fields: dict[str, Any]) -> None:
        """A message that is neither an acknowledgement, a command nor the time."""

    def _tell(self) -> None:
        """Send a status."""
        raise NotImplementedError

    def _settled(self) -> bool:
        """Whether nobody waits for the machine right now."""
        raise NotImplementedError

    def rearm(self, command_id: str, first: str, second: str) -> None:
        """See commands.Does."""
        raise NotImplementedError

    def identify(self) -> None:
        """See commands.Does."""
        raise NotImplementedError

    # What the link hears

    def received(self, kind: str, fields: dict[str, Any]) -> None:
        """See link.Hears."""
        if kind == "ack":
            self._uploader.acknowledged(fields["seq"])
        elif kind == "command":
            self._commands.take(fields)
        elif kind == "time":
            self._wall.set(fields["unix_ms"], now_ms())
        else:
            self._heard(kind, fields)

    def link_changed(self, up: bool) -> None:
        """See link.Hears."""
        if up:
            self._uploader.connected()
            for reason in sorted(self._troubles):
                self._alarm(reason)

    def identity(self) -> dict[str, Any]:
        """See link.Hears. The account as last written down: one that a power cut could still undo is told to nobody."""
        return {**messages.identity(self._journal), "account": self._durable}

    # The journal

    def _append(self, kind: str, fields: dict[str, Any]) -> None:
        """Make a record durable. OSError when it can't be."""
        at_ms = now_ms()
        self._journal.append(kind, at_ms, self._wall.unix_ms(at_ms), fields)

    def _written(self, kind: str, fields: dict[str, Any]) -> None:
        self._report("journal_not_writable", False)
        self._uploader.wake()
        log.info("recorded", kind=kind, seq=self._journal.seq, **fields)

    def _not_written(self, kind: str, error: OSError) -> None:
        log.error("not_recorded", kind=kind, error=str(error))
        self._report("journal_not_writable", True)

    # What goes out

    def _send_event(self, kind: str, fields: dict[str, Any]) -> bool:
        return self._link.publish(kind, fields)

    def _reply(self, command_id: str, code: str, detail: str) -> None:
        self._link.publish("reply", {"id": command_id, "code": code, "detail": detail})

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
                self._tidy()

    def _tidy(self) -> None:
        """What can wait until nobody stands here."""
        with contextlib.suppress(OSError):  # It would fail on the next record, too, and be told there.
            self._database.tidy()

    def _make_readers(self, side: str, config: ReaderConfig, scan: Feed) -> list[Reader]:
        readers: list[Reader] = []
        if config.serial:
            is_gm65 = config.scanner == "gm65"
            readers.append(SerialScanner(side, self._place(config.serial), config.baud, is_gm65, scan, self._report))
        if config.hid:
            readers.append(HidScanner(side, self._place(config.hid), scan, self._report))
        if config.camera:
            kind, _, place = config.camera.partition(":")
            frames = socket_frames(self._place(place)) if kind == "socket" else v4l2_frames(place)
            readers.append(Camera(side, frames, scan, now_ms, self._report))
        return readers

    def _place(self, path: str) -> str:
        return str(self._directory / path)


def _software() -> str:
    try:
        return f"einlass {version('einlass')}"[:NAME_LENGTH_MAX]
    except PackageNotFoundError:
        return "einlass"
