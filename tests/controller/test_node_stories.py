"""What a node may tell over a bad day: lost answers, reboots, a lost journal, gaps, an emergency."""

from typing import Any

from einlass_core import codes


def test_a_node_that_gave_up_gets_its_place_and_the_ticket_back(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    question = gate.ask_message(code, "i.1.1")
    bench.run(question)  # the answer is lost
    gate.event("given_up", nonce="i.1.1", side="entry")
    gate.status()
    assert bench.figures() == (0, 0, 0, 3)
    assert gate.ask(code)["code"] == "ok"


def test_a_question_that_comes_after_the_node_gave_up_reserves_nothing(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    question = gate.ask_message(code, "i.1.1")
    gate.event("given_up", nonce="i.1.1", side="entry")
    answer = next(item for item in bench.run(question) if item["kind"] == "answer")
    assert (answer["code"], answer["values"]["reason"]) == ("error", "given_up")
    assert bench.figures() == (0, 0, 0, 3)
    assert bench.rows("SELECT entries_used FROM ticket") == [(0,)]


def test_a_reboot_forgets_what_was_never_released(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    gate.ask(code)
    gate.boot = 2
    gate.hello()
    gate.event("boot", reason="power")
    gate.status()
    assert bench.figures() == (0, 0, 0, 3)
    assert gate.ask(code)["code"] == "ok"


def test_a_crash_between_release_and_passage_counts_as_inside(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    answer = gate.ask(code)
    gate.release(answer)
    gate.boot = 2
    gate.hello()
    gate.event("boot", reason="power")
    gate.account["pending"] = 0
    gate.event("uncertain", persons=1)
    assert bench.figures() == (1, 0, 0, 2)
    assert bench.rows("SELECT state, doubtful FROM visit") == [("present", 1)]
    assert gate.ask(code)["code"] == "already_inside"


def test_events_are_applied_once_and_in_order(bench: Any) -> None:
    gate = bench.gate()
    first = gate.event_message("forced", side="entry", persons=1)
    second = gate.event_message("forced", side="entry", persons=1)
    third = gate.event_message("forced", side="entry", persons=1)
    assert [item["seq"] for item in bench.run(third) if item["kind"] == "ack"] == [0]
    assert [item["seq"] for item in bench.run(first, second, first) if item["kind"] == "ack"] == [2]
    assert [item["seq"] for item in bench.run(third, third) if item["kind"] == "ack"] == [3]
    assert [entry["seq"] for entry in bench.ledger("forced")] == [1, 2, 3]


def test_a_gap_that_stays_raises_an_alarm(bench: Any) -> None:
    gate = bench.gate()
    gate.event_message("forced", side="entry")
    late = gate.event_message("forced", side="entry")
    bench.run(late)
    assert bench.engine.live.nodes["gate-1"].alarm == ""
    bench.now_ms += 20_000
    bench.run(late)
    assert "journal_gap" in bench.engine.live.nodes["gate-1"].alarm


def test_a_lost_journal_leaves_ghosts_that_nobody_frees(bench: Any) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    waiting = bench.ticket()
    gate.ask(waiting)
    gate.inc, gate.seq, gate.account = "fresh", 0, dict.fromkeys(gate.account, 0)
    gate.hello()
    assert bench.figures() == (2, 0, 0, 1)
    assert bench.engine.live.books.zones["bath"].ghosts == 2
    assert "journal_lost" in bench.engine.live.nodes["gate-1"].alarm
    assert gate.ask(waiting)["code"] == "already_inside", "it may have been let in: staff decides"
    assert gate.ask(bench.ticket())["code"] == "ok"
    bench.restart()
    assert bench.figures() == (2, 1, 0, 0)


def test_a_message_of_the_journal_that_was_lost_is_not_believed(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    late = gate.ask_message(code)
    gate.inc = "fresh"
    gate.hello()
    assert bench.run(late) == []
    assert bench.engine.live.nodes["gate-1"].inc == "fresh"


def test_a_hello_that_took_its_time_does_not_condemn_a_healthy_node(bench: Any) -> None:
    gate = bench.gate()
    old = gate.message("hello", software="1", hardware="sim", reason="power")
    gate.enter(bench.ticket())
    bench.run(old)
    bench.run(old)
    assert not bench.engine.live.books.accounts["east"].frozen
    assert gate.ask(bench.ticket())["code"] == "ok"


def test_a_node_whose_hello_was_lost_is_taken_up_by_its_question(bench: Any) -> None:
    gate = bench.gate(hello=False)
    assert gate.ask(bench.ticket())["code"] == "ok"


def test_hello_is_answered_with_what_is_known(bench: Any) -> None:
    gate = bench.gate()
    answer = bench.run(gate.ask_message(bench.ticket()))[0]
    sent = gate.hello()
    assert {item["kind"] for item in sent} == {"ack", "limit", "time"}
    assert next(item for item in sent if item["kind"] == "limit")["limit"] == answer["limit"]


def test_in_an_emergency_nobody_is_let_in_until_two_people_say_so(bench: Any) -> None:
    gate, other, code = bench.gate(), bench.gate("gate-2"), bench.ticket()
    gate.event("emergency", reason="pressed")
    gate.event("emergency", reason="input_healthy")
    assert gate.ask(code)["code"] == "emergency"
    assert other.ask(bench.ticket())["code"] == "ok"
    gate.event("rearmed", by="Ann, Bob")
    assert gate.ask(code)["code"] == "ok"
    assert [entry["by"] for entry in bench.ledger("rearmed")] == ["Ann, Bob"]


def test_leaving_without_having_entered_is_recorded_and_never_refused(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    gate.event("exit", nonce="x1", side="exit", digest=codes.digest(code))
    gate.walk_out(nonce="x1")
    gate.status()
    assert len(bench.ledger("exit_without_entry")) == 1
    assert bench.figures() == (0, 0, 0, 3)


def test_an_anonymous_exit_frees_the_place_but_not_the_ticket(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    gate.enter(code)
    gate.walk_out()
    gate.status()
    assert bench.figures() == (0, 0, 0, 3)
    assert gate.ask(code)["code"] == "already_inside"


def test_a_clock_that_runs_ahead_never_lets_anything_happen_in_the_future(bench: Any) -> None:
    gate = bench.gate()
    answer = gate.ask(bench.ticket())
    gate.release(answer)
    gate.seq += 1
    gate.send(
        "event", kind="passed", ms=1, unix_ms=bench.now_ms + 3_600_000, nonce=answer["nonce"], side="entry", persons=1
    )
    assert bench.rows("SELECT began_ms FROM visit")[0][0] <= bench.now_ms
    assert bench.ledger("passed")[0]["clock_ahead_ms"] > 3_000_000
