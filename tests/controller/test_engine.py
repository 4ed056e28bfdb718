import json
from collections.abc import Callable
from typing import Any

import pytest

from einlass_controller.domain import occupancy
from einlass_controller.domain.ledger import verify
from einlass_controller.domain.tickets import Ticket
from einlass_controller.engine import StoreError
from einlass_controller.live import Asked
from einlass_controller.messages import Issue, Order, Redeem, Rejected, Tick
from einlass_controller.steps.office import LIMIT_RESEND_MS
from einlass_controller.store import session
from einlass_controller.store.reading import ledger_entries
from einlass_controller.store.sets import sets_on
from einlass_core import codes, wire


def test_a_person_goes_through_and_the_count_rises(bench: Any) -> None:
    gate = bench.gate()
    answer = gate.ask(bench.ticket())
    assert (answer["code"], answer["persons"], answer["limit"]["ceiling"]) == ("ok", 1, 1)
    assert bench.figures() == (0, 1, 0, 2)
    gate.release(answer)
    assert bench.figures() == (0, 1, 0, 2)
    gate.walk_in(answer)
    assert bench.figures() == (1, 0, 0, 2)


def test_the_person_after_the_last_place_waits_until_somebody_leaves(bench: Any) -> None:
    gate, other = bench.gate(), bench.gate("gate-2")
    for _ in range(3):
        gate.enter(bench.ticket())
    late = bench.ticket()
    assert other.ask(late)["code"] == "zone_full"
    sent = gate.walk_out()
    limit = next(item for item in sent if item["kind"] == "limit")
    assert other.ask(late)["code"] == "zone_full", "the lane has not given the place back yet"
    gate.obey(limit)
    gate.status()
    assert other.ask(late)["code"] == "ok"


def test_nobody_went_through_so_the_same_ticket_scans_again_at_once(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    answer = gate.ask(code)
    gate.release(answer)
    gate.turn_back(answer)
    gate.status()
    assert bench.figures() == (0, 0, 0, 3)
    assert gate.ask(code)["code"] == "ok"


def test_inside_twice_used_up_and_unknown(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    gate.enter(code)
    again = gate.ask(code)
    assert (again["code"], again["values"]["lane"]) == ("already_inside", "Ost")
    gate.event("exit", nonce="x1", side="exit", digest=_digest(code))
    gate.walk_out(nonce="x1")
    assert gate.ask(code)["code"] == "used_up"
    assert gate.ask("HELLO WORLD")["code"] == "invalid"
    assert bench.rows("SELECT state FROM visit") == [("ended",)]


def test_a_family_of_three_takes_three_places_and_leaves_one_by_one(bench: Any) -> None:
    gate, family = bench.gate(), bench.ticket(persons=3)
    gate.enter(family)
    assert bench.figures() == (3, 0, 0, 0)
    for number in range(3):
        gate.event("exit", nonce=f"x{number}", side="exit", digest=_digest(family))
        gate.walk_out(nonce=f"x{number}")
    assert bench.rows('SELECT state, passed, "left" FROM visit') == [("ended", 3, 3)]
    assert bench.engine.live.books.zones["bath"].figures().present == 0


def test_a_family_too_many_for_what_is_free_is_not_split(bench: Any) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    assert gate.ask(bench.ticket(persons=3))["code"] == "zone_full"
    assert bench.figures() == (1, 0, 0, 2)


def test_the_same_question_gets_the_same_bytes_also_after_a_crash(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    question = gate.ask_message(code, "i.1.1")
    first, second = bench.run(question), bench.run(question)
    assert first[0]["bytes"] == second[0]["bytes"]
    bench.restart()
    third = bench.run(question)
    assert third[0]["bytes"] == first[0]["bytes"]
    assert bench.figures() == (0, 1, 0, 2)
    assert len(bench.rows("SELECT * FROM decision")) == 1


def test_a_refusal_is_remembered_too_and_a_new_scan_is_a_new_question(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket(valid_from_ms=bench.now_ms + 10_000)
    assert gate.ask(code, "i.1.1")["code"] == "too_early"
    bench.now_ms += 60_000
    assert gate.ask(code, "i.1.1")["code"] == "too_early"
    assert gate.ask(code, "i.1.2")["code"] == "ok"


def test_a_nonce_used_for_another_code_is_a_conflict(bench: Any) -> None:
    gate = bench.gate()
    first, second = bench.ticket(), bench.ticket()
    gate.ask(first, "i.1.1")
    answer = gate.ask(second, "i.1.1")
    assert (answer["code"], answer["values"]["reason"]) == ("error", "conflict")
    assert gate.ask(first, "i.1.1")["code"] == "ok"
    assert len(bench.rows("SELECT * FROM dead_letter")) == 1


def test_the_same_nonce_from_two_nodes_is_two_scans(bench: Any) -> None:
    first, second = bench.gate(), bench.gate("gate-2")
    assert first.ask(bench.ticket(), "i.1.1")["code"] == "ok"
    assert second.ask(bench.ticket(), "i.1.1")["code"] == "ok"


def test_a_crash_between_commit_and_answer_loses_and_doubles_nothing(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    lost = bench.attempt(gate.ask_message(code, "i.1.1"))  # committed; what it says is never sent
    bench.restart()
    assert bench.figures() == (0, 1, 0, 2)
    answer = gate.ask(code, "i.1.1")
    assert answer["bytes"] == lost.outbound[0].payload
    gate.release(answer)
    gate.walk_in(answer)
    assert bench.figures() == (1, 0, 0, 2)


@pytest.mark.parametrize("point", range(9))
def test_a_store_that_fails_anywhere_answers_nothing_and_goes_on(
    bench: Any, point: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, code = bench.gate(), bench.ticket()
    before = bench.figures()
    calls = []

    class Failing:
        """Passes on the first statements of a batch, then the disk is gone."""

        def __init__(self, connection: Any) -> None:
            self._real = sets_on(connection)

        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            if len(calls) > point:
                raise bench.database.dialect.loaded_dbapi.OperationalError("disk I/O error")
            return getattr(self._real, name)

    question = gate.ask_message(code, "i.1.1")
    failed = False
    with monkeypatch.context() as patch:
        patch.setattr(session, "sets_on", Failing)
        try:
            bench.attempt(question)
        except StoreError:
            failed = True
    # three reads; visit, decision, ledger, ticket, account: whatever is added, each can be the one that fails
    assert failed == (point < 8), calls
    bench.run(Tick())
    assert bench.figures() == (before if failed else (0, 1, 0, 2))
    answer = gate.ask(code, "i.1.1")
    assert answer["code"] == "ok"
    assert before == (0, 0, 0, 3)
    assert bench.figures() == (0, 1, 0, 2)


def test_a_commit_that_fails_answers_nothing(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    bench.fails_to_commit(gate.ask_message(code, "i.1.1"))
    assert bench.rows("SELECT * FROM decision") == []
    assert gate.ask(code, "i.1.1")["code"] == "ok"
    assert bench.figures() == (0, 1, 0, 2)


def test_a_commit_that_fails_forgets_nothing_that_only_memory_knows(bench: Any) -> None:
    gate = bench.gate()
    node = bench.engine.live.nodes[gate.name]
    names = ("heard", "gap_since_ms", "struck_ms", "strikes", "clock_right_ms")
    remembered = {
        "sent": (1, 7),
        "asked": Asked(node.inc, 0, 9, 8, 1),
        **{name: number for number, name in enumerate(names, 1)},
    }
    for name, value in remembered.items():
        setattr(node, name, value)
    bench.fails_to_commit(bench.gate("gate-2", hello=False).message("alarm", ms=1, reason="jam"))
    bench.run(Tick())
    fresh = bench.engine.live.nodes[gate.name]
    assert fresh is not node
    assert {name: getattr(fresh, name) for name in remembered} == remembered


def test_what_was_known_of_another_journal_is_not_taken_over(bench: Any) -> None:
    """A batch that takes up a new journal and is not stored is followed by one that knows the old one."""
    gate = bench.gate()
    gate.event("forced", side="entry", persons=1)
    bench.run(Tick())
    gate.inc, gate.seq, gate.account = "fresh", 5, dict.fromkeys(gate.account, 0)
    bench.fails_to_commit(gate.message("status", ms=1, lane="locked", waiting=5, emergency=False))
    bench.run(Tick())
    node = bench.engine.live.nodes[gate.name]
    assert (node.inc, node.heard) == ("incgate-1", 0)


def test_many_scans_in_one_batch_are_one_commit_in_order(bench: Any) -> None:
    gate, other = bench.gate(), bench.gate("gate-2")
    tickets = [bench.ticket() for _ in range(6)]
    questions = [(gate if n % 2 else other).ask_message(code) for n, code in enumerate([*tickets, tickets[0]])]
    before = bench.engine.spent.commits
    answers = [item for item in bench.run(*questions) if item["kind"] == "answer"]
    assert bench.engine.spent.commits == before + 1
    found = [answer["code"] for answer in answers]
    assert found == ["ok", "ok", "ok", "zone_full", "zone_full", "zone_full", "already_inside"]
    assert [answer["id"] for answer in answers] == [f"d{n}" for n in range(1, 8)]
    assert bench.figures() == (0, 3, 0, 0)


def test_nothing_to_store_costs_no_commit(bench: Any) -> None:
    gate = bench.gate()
    before = bench.engine.spent.commits
    gate.status()
    bench.run(Tick())
    assert bench.engine.spent.commits == before


def test_a_limit_is_sent_again_until_it_is_acknowledged(bench: Any) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    gate.account["balance"] -= 1
    sent = bench.run(gate.event_message("passed", side="exit", persons=1))
    limit = next(item for item in sent if item["kind"] == "limit")
    assert bench.run(Tick()) == []
    bench.now_ms += LIMIT_RESEND_MS
    again = bench.run(Tick())
    assert [item["bytes"] for item in again] == [limit["bytes"]]
    gate.obey(limit)
    gate.status()
    bench.now_ms += LIMIT_RESEND_MS
    assert bench.run(Tick()) == []
    assert bench.figures() == (0, 0, 0, 3)


def test_one_broken_message_does_not_take_its_batch_along(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, tickets = bench.gate(), [bench.ticket(), bench.ticket()]
    good, bad, also_good = gate.ask_message(tickets[0]), gate.event_message("forced", side="entry"), None
    also_good = gate.ask_message(tickets[1])
    from einlass_controller.steps import events

    def explode(*_: Any) -> None:
        raise occupancy.InvariantError("planted", "for the test")

    monkeypatch.setitem(events.STEPS, "forced", explode)
    answers = [item["code"] for item in bench.run(good, bad, also_good) if item["kind"] == "answer"]
    assert answers == ["ok", "ok"]
    assert "planted" in bench.rows("SELECT reason FROM dead_letter")[0][0]
    assert bench.figures() == (0, 2, 0, 1)


def test_a_row_that_the_database_does_not_like_stops_only_its_own_message(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    twice = Issue((_same_ticket(),), "test")
    outcome = bench.attempt(twice, gate.ask_message(code))
    assert [item["code"] for item in bench.read(outcome) if item["kind"] == "answer"] == ["ok"]
    # the name of the driver's error and nothing more: its text would hold the row
    assert bench.rows("SELECT reason FROM dead_letter")[0][0] in ("IntegrityError", "UniqueViolation")


def _same_ticket() -> Ticket:
    code = codes.opaque(1_000_001)
    return Ticket("T1", codes.digest(code), "0" * 64, "single", "", 1, "valid", None, None, 1, 0, 0)


def test_a_desk_lets_in_and_out_and_says_it_again(bench: Any) -> None:
    code = bench.ticket()
    proof = bench.intake.prove(code.encode())
    scan = Redeem("api:first", "desk-bath", "entry", "n1", proof)
    first = bench.attempt(scan).results[0]
    assert json.loads(first.answer)["code"] == "ok"
    assert bench.figures() == (1, 0, 0, 2)
    again = bench.attempt(scan).results[0]
    assert (again.answer, again.conflict) == (first.answer, False)
    other = Redeem("api:first", "desk-bath", "entry", "n1", bench.intake.prove(bench.ticket().encode()))
    assert bench.attempt(other).results[0].conflict
    bench.attempt(Redeem("api:first", "desk-bath", "exit", "n2", proof))
    assert bench.figures() == (0, 0, 0, 3)


def test_a_command_is_bound_to_the_journal_it_was_meant_for(bench: Any) -> None:
    assert bench.attempt(Order("c0", "gate-1", "rearm", "Ann, Bob", 5000)).results == [False]
    gate = bench.gate()
    sent = bench.run(Order("c1", "gate-1", "rearm", "Ann, Bob", 5000))
    command = next(item for item in sent if item["kind"] == "command")
    assert (command["inc"], command["expires_ms"] - command["issued_ms"]) == (gate.inc, 5000)
    bench.run(bench.intake.read(wire.topic_up("pool", "gate-1", "reply"), b'{"id":"c1","code":"ok"}'))
    assert bench.rows("SELECT reply FROM command") == [("ok",)]


def test_the_ledger_holds_and_finds_one_changed_byte(bench: Any) -> None:
    gate = bench.gate()
    for _ in range(3):
        gate.enter(bench.ticket())
    with bench.database.connect() as connection:
        count, _, broken = verify(ledger_entries(connection))
        later = [entry.number for entry in ledger_entries(connection, after=5)]
    assert broken is None
    assert later == list(range(6, count + 1))
    assert count == len(bench.rows("SELECT * FROM ledger")) > 9
    (place,) = bench.rows("SELECT min(number) FROM ledger WHERE kind = 'passed'")[0]
    with bench.database.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE ledger SET body = replace(body, '\"persons\":1', '\"persons\":2') WHERE number = {place}"
        )
    with bench.database.connect() as connection:
        broken = verify(ledger_entries(connection))[2]
    assert broken is not None
    assert broken.number == place


def test_no_code_is_ever_stored(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    gate.enter(code)
    gate.ask("SECRET-OF-A-STRANGER")
    bench.run(bench.intake.read("einlass/1/pool/nobody/up/ask", wire.encode("ask", {
        "inc": "i", "boot": 1, "seq": 0, "account": gate.account, "nonce": "n", "side": "entry",
        "code": "SECRET-OF-ANOTHER"})))  # fmt: skip
    bench.close()
    for name in ("einlass.db", "einlass.db-wal"):
        path = bench.prepared.directory / name
        content = path.read_bytes() if path.exists() else b""
        for secret in (code.encode(), code[3:].encode(), b"SECRET-OF"):
            assert secret not in content


def test_a_flood_of_garbage_is_bounded(bench: Any) -> None:
    bench.run(*[Rejected("somewhere", "garbage", b"\xff" * 10_000) for _ in range(1_000)])
    assert bench.rows("SELECT count(*), max(length(payload)) FROM dead_letter") == [(100, 1024)]


def _digest(code: str) -> str:
    return codes.digest(code)


def test_figures_hold_after_a_restart_at_every_step(make_bench: Callable[[int], Any]) -> None:
    """kill -9 after every single message: the books read again are the books that were."""
    bench = make_bench(2)
    gate = bench.gate()
    for code in [bench.ticket() for _ in range(4)]:
        steps = [lambda code=code: gate.ask(code)]
        answer = steps[0]()
        before = bench.figures()
        bench.restart()
        assert bench.figures() == before
        if answer["code"] != "ok":
            continue
        for step in (gate.release, gate.walk_in):
            step(answer)
            before = bench.figures()
            bench.restart()
            assert bench.figures() == before
    assert bench.figures() == (2, 0, 0, 0)


def test_a_record_that_comes_again_reads_nothing(bench: Any) -> None:
    gate = bench.gate()
    answer = gate.ask(bench.ticket())
    gate.account["balance"] = gate.account["pending"] = 1
    told = gate.event_message("released", nonce=answer["nonce"], side="entry", persons=1)
    bench.run(told)
    statements: list[str] = []
    with bench.traced(statements):
        assert [item["kind"] for item in bench.run(told)] == ["ack"]
        gate.seq += 5
        early = gate.event_message("passed", nonce=answer["nonce"], side="entry", persons=1)
        assert [item["seq"] for item in bench.run(early) if item["kind"] == "ack"] == [1]
        bench.run(Tick())
        bench.run(Tick())
    assert [text for text in statements if "visit" in text or "decision" in text] == []
    gate.seq = 1
    gate.walk_in(answer)
    assert bench.rows("SELECT state FROM visit") == [("present",)]
