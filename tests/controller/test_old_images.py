"""A node with an old copy of its journal in it is found, whatever it lacks; late words condemn nobody."""

from typing import Any

import pytest

from einlass_controller.messages import Correct
from einlass_controller.steps.old_images import STRIKE_APART_MS, STRIKES_MAX


def frozen(bench: Any) -> bool:
    return bool(bench.engine.live.books.accounts["east"].frozen)


def speaks(gate: Any) -> None:
    """As a node does that has this journal: it says how it stands, and takes what ceiling it is sent."""
    for _ in range(STRIKES_MAX):
        assert not frozen(gate.bench)
        gate.bench.now_ms += STRIKE_APART_MS
        for item in gate.status():
            if item["kind"] == "limit" and item["inc"] == gate.inc:
                gate.obey(item)
                gate.event("limit")
    gate.status()


def late(gate: Any, *words: Any) -> None:
    """Nothing else is heard for a long time."""
    for _ in range(3 * STRIKES_MAX):
        gate.bench.now_ms += STRIKE_APART_MS
        gate.bench.run(*words)
    assert not frozen(gate.bench)


def test_an_old_image_gets_no_places_until_its_journal_is_new(bench: Any) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    gate.seq, gate.boot = 1, 2
    gate.hello()
    answer = gate.ask(bench.ticket())
    assert (answer["code"], answer["values"]["reason"]) == ("error", "old_image")
    assert "old_image" in bench.engine.live.nodes["gate-1"].alarm
    bench.restart()
    assert gate.ask(bench.ticket())["code"] == "error"
    gate.inc, gate.seq, gate.account = "fresh", 0, dict.fromkeys(gate.account, 0)
    gate.hello()
    assert gate.ask(bench.ticket())["code"] == "ok"


def test_who_passes_an_old_image_is_in_a_later_count_and_moves_an_earlier_one(make_bench: Any) -> None:
    """Nothing it says of its own count is taken, so nothing of that may be taken off the people's."""
    bench = make_bench(20)
    gate = bench.gate()
    for _ in range(2):
        gate.account["balance"] += 1
        gate.event("forced", side="entry", persons=1)
    gate.seq, gate.boot = 1, 2
    gate.hello()
    assert frozen(bench)
    gate.seq = 2
    untold = [gate.event_message("forced", side="entry", persons=1, unix_ms=bench.now_ms) for _ in range(3)]
    untold.append(gate.event_message("passed", side="exit", persons=1, unix_ms=bench.now_ms))
    bench.pass_by(minutes=10)
    bench.order(Correct("bath", 8, None, "Ann", "counted"))
    bench.pass_by(minutes=10)
    bench.run(*untold)
    assert bench.figures()[0] == 8
    gate.event("forced", side="entry", persons=1, unix_ms=bench.now_ms)
    assert bench.figures()[0] == 9
    gate.event("passed", side="exit", persons=1, unix_ms=bench.now_ms)
    assert bench.figures()[0] == 8


def test_an_image_from_before_records_that_were_never_told_is_found(bench: Any) -> None:
    """Nobody will hear of those any more; all that was acknowledged it has."""
    gate = bench.gate()
    gate.enter(bench.ticket())
    seq = gate.seq
    gate.seq += 40
    gate.status()
    gate.seq, gate.boot = seq, 2
    speaks(gate)
    assert frozen(bench)
    assert "had 42 records" in bench.ledger("alarm")[-1]["reason"]


@pytest.mark.parametrize("acknowledged", [False, True])
def test_an_image_that_lacks_one_record_is_found_by_the_one_that_takes_the_ceiling(
    bench: Any, acknowledged: bool
) -> None:
    """That record has the lost one's number, so from then on it lacks none."""
    gate = bench.gate()
    gate.enter(bench.ticket())
    seq, account = gate.seq, dict(gate.account)
    if acknowledged:
        gate.event("refused", side="entry", code="invalid", persons=1)
    else:
        gate.seq += 1
        gate.status()
    gate.seq, gate.account = seq, account
    speaks(gate)
    assert frozen(bench)
    alarms = bench.ledger("alarm")
    gate.event("refused", side="entry", code="invalid", persons=1)
    gate.status()
    assert bench.ledger("alarm") == alarms, "told once"


def test_a_question_without_an_answer_yet_stays_the_question(bench: Any) -> None:
    """However slow the line is: an answer to the first proves as well."""
    gate = bench.gate()
    gate.enter(bench.ticket())
    word = gate.message("status", ms=1, lane="locked", waiting=0, emergency=False)
    gate.event("refused", side="entry", code="invalid", persons=1)
    late(gate, word)
    asked = bench.engine.live.nodes["gate-1"].asked
    late(gate, word)
    assert bench.engine.live.nodes["gate-1"].asked is asked


def test_nobody_is_asked_while_people_are_to_be_counted(bench: Any) -> None:
    """The count would wait for an answer of a lane that is cut off."""
    gate = bench.gate()
    gate.enter(bench.ticket())
    word = gate.message("status", ms=1, lane="locked", waiting=0, emergency=False)
    gate.event("refused", side="entry", code="invalid", persons=1)
    bench.engine.live.recount = "the ledger ends early"
    sent = bench.engine.live.books.accounts["east"].version_sent
    late(gate, word)
    assert bench.engine.live.books.accounts["east"].version_sent == sent


def test_of_a_node_without_a_lane_late_words_are_only_suspected(bench: Any) -> None:
    """It takes no ceiling, so nothing can be proved; a till has its sales in its journal."""
    gate = bench.gate()
    word = gate.message("status", ms=1, lane="locked", waiting=0, emergency=False)
    gate.event("refused", side="entry", code="invalid", persons=1)
    bench.engine.live.lane_of_node.pop("gate-1")
    late(gate, word)
    assert "look before you wipe" in bench.engine.live.nodes["gate-1"].alarm


def test_such_an_image_is_found_after_a_commit_that_failed_as_well(bench: Any) -> None:
    gate, other = bench.gate(), bench.gate("gate-2")
    gate.enter(bench.ticket())
    seq = gate.seq
    gate.seq += 40
    gate.status(waiting=40)
    bench.fails_to_commit(other.event_message("forced", side="entry", persons=1))
    gate.seq, gate.boot = seq, 2
    speaks(gate)
    assert frozen(bench)


@pytest.mark.parametrize("last", ["event", "status"])
def test_an_image_that_wrote_as_many_records_as_it_lacked_is_found_by_what_they_say(bench: Any, last: str) -> None:
    """Nor is anybody forgotten whom the node had let in alone since that image."""
    gate = bench.gate()
    gate.status(cut_off="leased", list={"added": 1_000_000, "removed": 1_000_000, "age_ms": 0})
    gate.event("limit")
    image = (gate.seq, dict(gate.account))
    for n in range(3):
        gate.release({"nonce": f"i.{n}", "persons": 1})
        gate.walk_in({"nonce": f"i.{n}"})
    for seq, account in ((gate.seq, gate.account), image):
        gate.seq, gate.account, gate.boot = seq, account, 2
        gate.hello()
        gate.event("boot", reason="power")
        known = bench.engine.live.nodes["gate-1"].applied
    before = bench.figures()
    assert before[0] == 3
    while gate.seq < known - 1:
        gate.event("refused", side="entry", code="invalid", persons=1)
    assert not frozen(bench)
    record = gate.event_message("refused", side="entry", code="invalid", persons=1)
    if last == "event":
        bench.run(record)
    else:
        gate.status()
    assert bench.figures() == before
    assert frozen(bench)
    assert f"record {known} said limit 0.0, balance 3" in bench.ledger("alarm")[-1]["reason"]


@pytest.mark.parametrize("first", ["event", "status"])
def test_an_image_that_wrote_more_records_than_it_lacked_is_found_by_its_old_ceiling(bench: Any, first: str) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    seq, account = gate.seq, dict(gate.account)
    gate.enter(bench.ticket())
    known = gate.seq
    gate.seq, gate.account, gate.boot = seq, account, 2
    untold = [gate.event_message("refused", side="entry", code="invalid", persons=1) for _ in range(5)]
    gate.account["balance"] -= 1
    untold.append(gate.event_message("passed", side="exit", persons=1))
    if first == "status":
        gate.status()
    else:
        bench.run(next(message for message in untold if message.seq == known + 1))
    assert frozen(bench)
    assert f"limit 0.{account['version']}," in bench.ledger("alarm")[-1]["reason"]
    bench.run(*untold)
    assert bench.engine.live.books.accounts["east"].balance == 2
    assert bench.engine.live.nodes["gate-1"].applied == gate.seq, "what it saw is in the ledger all the same"


def test_an_image_with_fewer_starts_is_found_by_them(bench: Any) -> None:
    """Also by a controller that was started anew since, and does not know how many records the node had."""
    gate = bench.gate()
    gate.boot = 5
    gate.hello()
    bench.restart()
    gate.boot = 4
    speaks(gate)
    assert frozen(bench)


@pytest.mark.parametrize("kind", ["status", "hello", "ask"])
def test_words_that_newer_ones_have_overtaken_are_no_old_image(bench: Any, kind: str) -> None:
    """However many come while nothing else is heard: the lane may be cut off."""
    gate, code = bench.gate(), bench.ticket()
    words = {
        "status": gate.message("status", ms=1, lane="locked", waiting=0, emergency=False),
        "hello": gate.message("hello", software="1", hardware="sim", reason="power"),
        "ask": gate.ask_message(bench.ticket()),
    }
    gate.enter(code)
    late(gate, words[kind])
    gate.event("refused", side="entry", code="invalid", persons=1)
    late(gate, words[kind])
    assert bench.engine.live.nodes["gate-1"].alarm == ""


def test_what_a_node_said_before_it_said_more_is_no_old_image(bench: Any) -> None:
    """Also when it has taken the ceiling since that was to find out, and says more before that word comes."""
    gate = bench.gate()
    gate.enter(bench.ticket())
    few = gate.message("status", ms=1, lane="locked", waiting=0, emergency=False)
    gate.seq += 5
    gate.status()
    late(gate, few)
    asked = bench.engine.live.nodes["gate-1"].asked
    gate.seq += 1
    gate.account["version"] = asked.version
    taken = gate.message("status", ms=1, lane="locked", waiting=6, emergency=False)
    gate.seq += 5
    gate.status()
    late(gate, few, taken)


def renew(gate: Any, inc: str) -> None:
    """An empty journal."""
    gate.inc, gate.boot, gate.seq, gate.account = inc, 1, 0, dict.fromkeys(gate.account, 0)
    gate.hello()


def test_an_image_of_a_journal_that_a_newer_one_has_followed_is_found(bench: Any) -> None:
    """Nothing it says is taken, so nobody would ever hear of it: it looked like a node in good order."""
    gate = bench.gate()
    gate.enter(bench.ticket())
    past, account, seq = gate.inc, dict(gate.account), gate.seq
    renew(gate, "second")
    gate.inc, gate.account, gate.seq, gate.boot = past, account, seq, 2
    speaks(gate)
    assert frozen(bench)
    alarms = bench.ledger("alarm")
    assert "old_image" in alarms[-1]["reason"]
    bench.now_ms += STRIKE_APART_MS
    gate.status()
    assert bench.ledger("alarm") == alarms, "told once"
    renew(gate, "third")
    assert gate.ask(bench.ticket())["code"] == "ok"


def test_a_late_answer_of_a_past_journal_condemns_none_that_followed(bench: Any) -> None:
    """Its node was wiped, as the alarm said."""
    gate = bench.gate()
    past, account = gate.inc, dict(gate.account)
    renew(gate, "second")
    gate.inc, gate.account, gate.seq, gate.boot = past, account, 0, 2
    speaks(gate)
    assert frozen(bench)
    word = gate.message("status", ms=1, lane="locked", waiting=0, emergency=False)
    renew(gate, "third")
    late(gate, word)
    assert gate.ask(bench.ticket())["code"] == "ok"


def test_late_words_of_a_past_journal_condemn_nobody(bench: Any) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    word = gate.message("status", ms=1, lane="locked", waiting=0, emergency=False)
    renew(gate, "second")
    late(gate, word)
    gate.status()
    late(gate, word)
