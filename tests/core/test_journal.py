"""The journal's numbers, its account, and what survives."""

from einlass_core.journal import DROP_EVERY, Journal, JournalError, event_fields, frame, unframe
from einlass_core.lease import Limit
from einlass_core.messages import identity
from lane import MemoryStore


def test_numbers_have_no_gap_and_go_on_after_a_restart() -> None:
    store = MemoryStore()
    journal = Journal(store, "NEW1")
    journal.account.enter(2)
    assert [journal.append("released", 5, 0, {}), journal.append("passed", 6, 0, {})] == [1, 2]
    again = Journal(store, "NEW2")
    assert (again.incarnation, again.boot, again.seq) == ("NEW1", 2, 2)
    assert again.account.balance == 2
    assert again.append("boot", 0, 0, {}) == 3


def test_a_wiped_node_is_a_new_one() -> None:
    assert Journal(MemoryStore(), "NEW2").incarnation == "NEW2"


def test_what_was_not_written_did_not_happen() -> None:
    store = MemoryStore()
    journal = Journal(store, "NEW1")
    store.full = True
    try:
        journal.append("passed", 0, 0, {})
    except OSError:
        pass
    store.full = False
    assert journal.seq == 0 and journal.append("passed", 0, 0, {}) == 1


def test_a_fact_written_late_has_its_own_time_on_both_clocks() -> None:
    store = MemoryStore()
    journal = Journal(store, "NEW1")
    journal.append("passed", 9_000, 1_000_009_000, {"ms": 2_000})
    journal.append("passed", 9_000, 0, {"ms": 2_000})
    late, unknown = [event_fields(text) for _, text in store.records]
    assert (late["ms"], late["unix_ms"]) == (2_000, 1_000_002_000)
    assert (unknown["ms"], unknown["unix_ms"]) == (2_000, 0), "the time of day is not known"


def test_an_older_copy_put_back_does_not_bring_old_names_again() -> None:
    store = MemoryStore()
    Journal(store, "NEW1").append("boot", 0, 0, {})
    copy = list(store.records)
    second = Journal(store, "NEW2")
    second.append("boot", 0, 0, {})
    store.records = copy
    third = Journal(store, "NEW3")
    assert (second.incarnation, second.boot) == (third.incarnation, third.boot) == ("NEW1", 2)
    assert second.prefix != third.prefix


def test_acknowledged_records_are_dropped_but_never_the_last() -> None:
    store = MemoryStore()
    journal = Journal(store, "NEW1")
    for _ in range(DROP_EVERY + 1):
        journal.append("passed", 0, 0, {})
    assert len(journal.unacknowledged(0, 5)) == 5
    assert journal.unacknowledged(DROP_EVERY, 5)[0][0] == DROP_EVERY + 1
    journal.acknowledge(DROP_EVERY + 9)
    assert journal.waiting == DROP_EVERY + 1, "an absurd number is ignored"
    journal.acknowledge(DROP_EVERY + 1)
    assert journal.waiting == 0 and journal.unacknowledged(0, 5) == []
    assert store.bounds() == (DROP_EVERY + 1, DROP_EVERY + 1)
    assert Journal(store, "NEW2").incarnation == "NEW1"


def test_too_long_a_record_is_refused() -> None:
    try:
        Journal(MemoryStore(), "NEW1").append("passed", 0, 0, {"reason": "x" * 900})
    except JournalError as error:
        assert "too long" in str(error)
    else:
        raise AssertionError("written")


def test_emergency_is_remembered() -> None:
    store = MemoryStore()
    journal = Journal(store, "NEW1")
    journal.append("emergency", 0, 0, {})
    assert Journal(store, "X").emergency
    journal.append("rearmed", 0, 0, {})
    assert not Journal(store, "X").emergency


def test_a_record_becomes_an_event() -> None:
    store = MemoryStore()
    journal = Journal(store, "NEW1")
    journal.append("passed", 7, 8, {"side": "exit", "persons": 1})
    fields = event_fields(store.records[0][1])
    assert fields["kind"] == "passed" and fields["seq"] == 1 and fields["side"] == "exit" and "emergency" not in fields


def test_every_torn_or_changed_line_is_noticed() -> None:
    line = frame('{"seq":1}')
    assert unframe(line) == '{"seq":1}'
    for cut in range(len(line)):
        assert unframe(line[:cut]) is None
    for at in range(len(line)):
        damaged = line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]
        assert unframe(damaged) is None, at


def test_only_what_is_durable_is_told() -> None:
    store = MemoryStore()
    journal = Journal(store, "NEW1")
    journal.append("boot", 0, 0, {})
    journal.account.take(Limit(0, 1, 5))
    store.full = True
    try:
        journal.append("limit", 0, 0, {})
    except OSError:
        pass
    assert identity(journal)["account"]["version"] == 0
    store.full = False
    journal.append("limit", 0, 0, {})
    assert identity(journal)["account"]["version"] == 1
    assert identity(Journal(store, "NEW2"))["account"]["version"] == 1
