"""The journal's way to the controller, and commands from it, with time in the test's hands."""

import asyncio
import time
from pathlib import Path
from typing import Any

from einlass_core.journal import Journal
from einlass_core.upload import IN_FLIGHT_MAX, RESEND_MS
from einlass_edge.commands import Commands
from einlass_edge.database import Database
from einlass_edge.journal_store import JournalStore
from einlass_edge.uploader import Uploader, sendable


class Line:
    def __init__(self, directory: Path) -> None:
        self.database = Database(directory / "journal.db")
        self.journal = Journal(JournalStore(self.database), "INC")
        self.sent: list[int] = []
        self.open = True
        self.now_ms = 0
        self.uploader = Uploader(self.journal, self.publish, lambda: self.now_ms)

    def publish(self, kind: str, fields: dict[str, Any]) -> bool:
        assert kind == "event"
        if self.open:
            self.sent.append(fields["seq"])
        return self.open

    async def record(self, count: int) -> None:
        for _ in range(count):
            self.journal.append("limit", 1, 0, {})
            self.uploader.wake()
        await self.turn()

    async def turn(self) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def test_a_window_of_events_is_sent_and_moves_with_the_acknowledgements(tmp_path: Path) -> None:
    async def run() -> None:
        line = Line(tmp_path)
        await line.record(40)
        assert line.sent == list(range(1, IN_FLIGHT_MAX + 1))
        line.uploader.acknowledged(10)
        await line.turn()
        assert line.sent == list(range(1, 27))
        for seq in (3, 999, 26, 40):
            line.uploader.acknowledged(seq)
            await line.turn()
        assert line.sent == list(range(1, 41))
        assert line.journal.waiting == 0

    asyncio.run(run())


def test_a_new_connection_starts_after_the_last_acknowledgement(tmp_path: Path) -> None:
    async def run() -> None:
        line = Line(tmp_path)
        line.open = False
        await line.record(3)
        assert line.sent == []
        line.open = True
        line.uploader.connected()
        await line.turn()
        line.uploader.acknowledged(1)
        line.uploader.connected()
        await line.turn()
        assert line.sent == [1, 2, 3, 2, 3]

    asyncio.run(run())


def test_without_progress_the_first_is_sent_again_and_then_the_others(tmp_path: Path) -> None:
    async def run() -> None:
        line = Line(tmp_path)
        await line.record(2)
        task = asyncio.create_task(line.uploader.run())
        line.now_ms = RESEND_MS
        end_s = time.monotonic() + 30
        while line.sent != [1, 2, 1]:
            assert time.monotonic() < end_s
            await asyncio.sleep(0.01)
        line.uploader.acknowledged(1)
        while line.sent != [1, 2, 1, 2]:
            assert time.monotonic() < end_s
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_record_that_breaks_the_contract_goes_out_as_lost(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.journal.append("refused", 1, 0, {"side": "x" * 99})
    [(_, text)] = line.journal.unacknowledged(0, 1)
    fields = sendable(text)
    assert (fields["kind"], fields["seq"], fields["inc"], fields["reason"]) == ("lost", 1, "INC", "not_sendable")


class Told:
    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.replies: list[tuple[str, str]] = []
        self.done: list[str] = []
        self.commands = Commands(
            lambda: self.now_ms, lambda: 900_000, self, lambda at, code, detail: self.replies.append((at, code))
        )

    def rearm(self, command_id: str, first: str, second: str) -> None:
        self.done.append(f"rearm {first}+{second}")

    def identify(self) -> None:
        self.done.append("identify")

    def take(self, command_id: str, do: str = "identify", **changes: Any) -> None:
        fields = {"id": command_id, "inc": "INC", "do": do, "by": " Ann , Bob ", "issued_ms": 1_000_000}
        self.commands.take({**fields, "expires_ms": 1_060_000, **changes})


def test_a_command_is_done_once_and_every_one_is_answered() -> None:
    told = Told()
    told.take("1")
    told.take("1")
    told.take("2", do="rearm")
    told.take("3", do="open the gates")
    told.take("4", expires_ms=1_000_000)
    told.take("5", issued_ms=899_999)
    told.now_ms = 0
    told.take("6")
    assert told.done == ["identify", "rearm Ann+Bob"]
    assert told.replies == [
        ("1", "ok"),
        ("1", "repeated"),
        ("3", "unknown"),
        ("4", "expired"),
        ("5", "expired"),
        ("6", "clock_untrusted"),
    ]
