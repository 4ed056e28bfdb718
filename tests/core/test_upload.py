"""What is sent when, and commands that must not be obeyed twice."""

from einlass_core.commands import CLOCK_UNTRUSTED, EXPIRED, OK, REPEATED, Commands, two_names
from einlass_core.journal import Journal
from einlass_core.upload import IN_FLIGHT_MAX, RESEND_MS, Upload
from lane import MemoryStore


def filled(count: int) -> "tuple[Journal, Upload]":
    journal = Journal(MemoryStore(), "NEW1")
    for _ in range(count):
        journal.append("passed", 0, 0, {})
    return journal, Upload(journal)


def send(upload: Upload, now_ms: int) -> "list[int]":
    numbers = []
    for seq, _ in upload.next(now_ms):
        upload.sent(seq)
        numbers.append(seq)
    return numbers


def test_window_and_progress() -> None:
    journal, upload = filled(20)
    assert send(upload, 0) == list(range(1, IN_FLIGHT_MAX + 1))
    assert send(upload, 10) == []
    journal.acknowledge(10)
    assert send(upload, 20) == [17, 18, 19, 20]
    journal.acknowledge(20)
    assert send(upload, 30) == [] and upload.deadline_ms is None


def test_nothing_moves_so_it_is_sent_again() -> None:
    journal, upload = filled(3)
    assert send(upload, 0) == [1, 2, 3]
    assert upload.deadline_ms == RESEND_MS
    assert send(upload, RESEND_MS - 1) == []
    assert send(upload, RESEND_MS) == [1], "one is enough to find out whether anybody listens"
    assert send(upload, RESEND_MS + 1) == []
    assert send(upload, 2 * RESEND_MS) == [1]
    journal.acknowledge(1)
    assert send(upload, 2 * RESEND_MS + 1) == [2, 3]
    assert send(upload, 2 * RESEND_MS + 2) == []
    upload.reset()
    assert send(upload, 2 * RESEND_MS + 3) == [2, 3]


def test_commands_run_once_and_never_late() -> None:
    commands = Commands()
    command = {"id": "c1", "issued_ms": 10_000, "expires_ms": 15_000}
    assert commands.judge(command, 0, 0) == CLOCK_UNTRUSTED
    assert commands.judge(command, 15_000, 9_000) == EXPIRED
    assert commands.judge(command, 12_000, 11_000) == EXPIRED, "issued before this node started"
    assert commands.judge(command, 12_000, 9_000) == OK
    assert commands.judge(command, 12_001, 9_000) == REPEATED
    assert commands.judge({"id": "c2", "issued_ms": 10_000, "expires_ms": 900_000}, 12_000, 9_000) == EXPIRED


def test_two_people() -> None:
    assert two_names("Ada, Bea") == ("Ada", "Bea")
    assert two_names("Ada") == ("Ada", "")
