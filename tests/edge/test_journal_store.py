"""The journal in SQLite: durable when it says so, whatever is killed, and never silently less than it was."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from einlass_core.journal import Journal, JournalError
from einlass_edge.database import DamagedJournalError, Database
from einlass_edge.journal_store import JournalStore

KILLS = 12

# Says every number only after append() has returned: what was said must be there after kill -9.
WRITER = """
import sys
from pathlib import Path
from einlass_edge.database import Database
from einlass_edge.journal_store import JournalStore
store = JournalStore(Database(Path(sys.argv[1])))
seq = store.bounds()[1]
while True:
    seq += 1
    store.append(seq, "record %d %s" % (seq, "x" * (seq % 300)))
    print(seq, flush=True)
    if seq % 50 == 0:
        store.drop(seq - 20)
"""


def opened(path: Path, **limits: int) -> tuple[Database, JournalStore]:
    database = Database(path)
    return database, JournalStore(database, **limits)


def test_killed_anywhere_it_keeps_every_record_that_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    said = 0
    for _ in range(KILLS):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        records = rng.randint(1, 120)
        for _ in range(records):
            said = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        # Between the last line we read and the kill it may have said more.
        rest = writer.stdout.read().split("\n")[:-1]
        said = int(rest[-1]) if rest else said
        writer.wait()
        writer.stdout.close()
        database, store = opened(path)
        first, last = store.bounds()
        assert said <= last <= said + 1, f"seed {seed}: said {said}, found {last}"
        found = store.read(first, 10_000)
        assert [seq for seq, _ in found] == list(range(first, last + 1)), f"seed {seed}"
        assert all(text == f"record {seq} {'x' * (seq % 300)}" for seq, text in found), f"seed {seed}"
        database.close()


def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    """kill -9 cannot show a missing fsync: what it leaves behind is in the kernel's hands."""
    database = Database(tmp_path / "journal.db")
    assert database.rows("PRAGMA synchronous") == [(2,)]
    assert database.rows("PRAGMA journal_mode") == [("wal",)]
    database.close()


def test_a_journal_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    database, store = opened(path)
    journal = Journal(store, "first")
    journal.account.balance = 3
    for _ in range(200):
        journal.append("boot", 1, 0, {})
    journal.acknowledge(190)
    database.close()

    database, store = opened(path)
    again = Journal(store, "second")
    assert (again.incarnation, again.boot, again.seq, again.account.balance) == ("first", 2, 200, 3)
    assert again.acknowledged == 190
    assert [seq for seq, _ in again.unacknowledged(0, 3)] == [191, 192, 193]
    database.close()


def test_the_last_record_is_never_dropped(tmp_path: Path) -> None:
    database, store = opened(tmp_path / "journal.db")
    store.append(1, "only")
    store.drop(99)
    assert store.bounds() == (1, 1)
    database.close()


def test_full_is_an_error_and_dropping_makes_room(tmp_path: Path) -> None:
    database, store = opened(tmp_path / "journal.db", records_max=3)
    for seq in (1, 2, 3):
        store.append(seq, "x")
    with pytest.raises(JournalError, match="bring the controller"):
        store.append(4, "x")
    assert store.bounds() == (1, 3)
    store.drop(2)
    store.append(4, "x")
    assert store.bounds() == (3, 4)
    database.close()


def test_a_gap_or_a_repeat_is_refused(tmp_path: Path) -> None:
    database, store = opened(tmp_path / "journal.db")
    store.append(7, "x")
    for seq in (7, 9):
        with pytest.raises(JournalError, match="cannot follow"):
            store.append(seq, "x")
    database.close()


def test_a_full_disk_is_an_os_error_and_afterwards_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("einlass_edge.database.FILE_PAGES_MAX", 8)
    database, store = opened(tmp_path / "journal.db")

    def fill() -> None:
        for seq in range(1, 1000):
            store.append(seq, "x" * 600)

    with pytest.raises(OSError, match="no space") as caught:
        fill()
    seq = store.bounds()[1]
    assert 0 < seq < 100
    assert caught.value.errno == 28
    store.drop(seq - 1)
    store.append(seq + 1, "x" * 600)
    assert [number for number, _ in store.read(1, 100)] == [seq, seq + 1]
    database.close()


def filled(path: Path) -> None:
    database, store = opened(path)
    for seq in range(1, 60):
        store.append(seq, f"record {seq} " + "x" * 300)
    database.tidy()
    database.close()


def test_a_flipped_bit_is_found_and_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    filled(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"record 30 ")
    data[at + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedJournalError, match=r"record 30 .*mv .*recount"):
        opened(path)
    assert path.read_bytes() == data


@pytest.mark.parametrize("page", [1, 2, 5])
def test_a_torn_page_is_found(tmp_path: Path, page: int) -> None:
    path = tmp_path / "journal.db"
    filled(path)
    data = bytearray(path.read_bytes())
    data[page * 4096 - 2048 : page * 4096] = os.urandom(2048)
    path.write_bytes(data)
    with pytest.raises(DamagedJournalError, match="damaged"):
        opened(path)


def test_a_missing_record_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM record WHERE seq = 12")
    connection.close()
    with pytest.raises(DamagedJournalError, match="record 12 is missing"):
        opened(path)


def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but somebody's notes " * 100)
    with pytest.raises(DamagedJournalError):
        opened(text)
    assert text.read_text().startswith("not a database")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE tickets (id)")
    connection.close()
    with pytest.raises(JournalError, match="another program"):
        opened(other)
    with pytest.raises(JournalError, match="folder"):
        opened(tmp_path / "missing" / "journal.db")


def test_only_one_node_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("einlass_edge.database.BUSY_S_MAX", 0.05)
    database, _ = opened(tmp_path / "journal.db")
    with pytest.raises(JournalError, match="in use"):
        opened(tmp_path / "journal.db")
    database.close()
    opened(tmp_path / "journal.db")[0].close()
