"""Places lent to lanes: where people come, taken back when acknowledged, used alone, told afterwards."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from einlass_controller import view
from einlass_controller.domain.life import supersede
from einlass_controller.domain.occupancy import Account, Books, Report, Zone
from einlass_controller.domain.shares import Demand, lent, spread
from einlass_controller.live import LIST_RANGE
from einlass_controller.messages import SetMode, SetRules, Shut, Tick
from einlass_controller.orders import Restored
from einlass_controller.steps.asks import PLACES_WAIT_MS
from einlass_controller.steps.leasing import RENEW_MS, SHARE_EVERY_MS
from einlass_controller.steps.listing import ENTRIES_MAX, RESEND_MS
from einlass_core import codes

NEWEST = {"added": 1_000_000, "removed": 1_000_000, "age_ms": 0}
PRODUCT = {"id": "single", "name": "Einzel", "entries": 1}


def leased(bench: Any, name: str = "gate-1", ms: int = 1000) -> Any:
    gate = bench.gate(name)
    sent = gate.send("status", ms=ms, lane="locked", waiting=0, emergency=False, cut_off="leased", list=NEWEST)
    for message in sent:
        if message["node"] == name:
            gate.obey(message)
    return gate


def tick(bench: Any, *gates: Any) -> list[dict[str, Any]]:
    """A round of shares; the lanes take what they get and say so."""
    bench.now_ms += SHARE_EVERY_MS
    sent = bench.run(Tick())
    for gate in gates:
        for message in sent:
            if message["node"] == gate.name:
                gate.obey(message)
        gate.status(cut_off="leased", list=NEWEST)
    return list(sent)


def alone(gate: Any, code: str, nonce: str, persons: int = 1) -> None:
    """A release that the lane decided by itself."""
    gate.account["balance"] += persons
    gate.account["pending"] += persons
    digest = codes.digest(code)
    gate.event("released", nonce=nonce, side="entry", persons=persons, digest=digest, reason="leased")


def test_free_places_are_lent_to_lanes_and_shown_as_leased(make_bench: Any) -> None:
    bench = make_bench(20)
    east, west = leased(bench), leased(bench, "gate-2")
    tick(bench, east, west)
    assert (east.account["ceiling"], west.account["ceiling"]) == (9, 9)
    assert bench.figures() == (0, 0, 18, 2)


def test_the_page_counts_what_lanes_hold_among_the_places_free(make_bench: Any) -> None:
    bench = make_bench(20)
    tick(bench, leased(bench), leased(bench, "gate-2"))
    zone = view.look(bench.engine.live, bench.now_ms)["zones"][0]
    assert zone["leased"] > 0
    assert (zone["leased"] + zone["free"], zone["to_come"]) == (20, 20)


def test_the_lane_where_people_come_gets_more(make_bench: Any) -> None:
    bench = make_bench(100)
    east, west = leased(bench), leased(bench, "gate-2")
    for _ in range(9):
        east.enter(bench.ticket())
    tick(bench, east, west)
    spare = [gate.account["ceiling"] - gate.account["balance"] for gate in (east, west)]
    assert spare[0] > 5 * spare[1] > 0
    assert sum(bench.figures()) == 100


def test_a_lane_that_does_not_ask_for_a_lease_gets_no_places(make_bench: Any) -> None:
    bench = make_bench(20)
    gate = bench.gate()
    gate.status(cut_off="secure", list=NEWEST)
    assert not [item for item in tick(bench, gate) if item["kind"] == "limit"]


def test_a_limit_carries_a_lease_from_the_lanes_own_request(make_bench: Any) -> None:
    bench = make_bench(20)
    gate = leased(bench, ms=777)
    limit = next(item for item in tick(bench, gate) if item["kind"] == "limit")
    assert (limit["boot"], limit["from_ms"]) == (1, 777)
    account = bench.engine.live.books.accounts["east"]
    assert account.leased_until_ms > bench.now_ms + limit["lease_ms"], "here it ends later than there"
    assert bench.rows("SELECT leased_until_ms FROM account WHERE lane = 'east'") == [(account.leased_until_ms,)]


def test_a_lease_is_renewed_before_it_ends_but_not_at_every_word(make_bench: Any) -> None:
    bench = make_bench(20)
    gate = leased(bench)

    def said(ms: int) -> list[int]:
        sent = gate.send("status", ms=ms, lane="locked", waiting=0, emergency=False, cut_off="leased")
        return [item["from_ms"] for item in sent if item["kind"] == "limit"]

    assert said(1000 + RENEW_MS - 1) == []
    assert said(1000 + RENEW_MS) == [1000 + RENEW_MS]
    gate.boot += 1
    assert said(5) == [5], "a restart has ended the lease"


def test_a_list_from_before_a_restore_is_replaced_though_its_numbers_are_used_again(make_bench: Any) -> None:
    bench = make_bench(20)
    gate = bench.gate()
    for _ in range(3):
        bench.ticket()
    bench.run(Tick())
    ahead = {"added": bench.engine.live.list_number + 2, "removed": 0, "age_ms": 0}  # told of two more since the copy
    bench.order(Restored("an old copy was put back", 5))
    for _ in range(5):
        bench.ticket()
    bench.pass_by(minutes=1)
    bench.run(Tick())
    sent = [item for item in gate.status(cut_off="leased", list=ahead) if item["kind"] == "list"]
    assert [item.get("start") for item in sent] == [True], "from the beginning"
    told = {**sent[0]["to"], "age_ms": 0}
    assert told["added"] > 1_000_000
    bench.pass_by(minutes=1)
    assert not [item for item in gate.status(cut_off="leased", list=told) if item["kind"] == "list"], "it has it now"


def lease_of(bench: Any, gate: Any, ms: int) -> list[int]:
    newest = {"waiting": 0, "emergency": False, "cut_off": "leased", "list": NEWEST}
    sent = gate.send("status", ms=ms, lane="locked", **newest)
    return [item["lease_ms"] for item in sent if item["kind"] == "limit"]


def test_a_lease_never_ends_after_closing_time(make_bench: Any) -> None:
    bench = make_bench(20)
    noon = bench.now_ms
    shuts = datetime.fromtimestamp(noon / 1000, ZoneInfo("Europe/Berlin")) + timedelta(hours=2)
    hours = [{"from": "00:00", "until": f"{shuts:%H:%M}"}]
    closes_ms = int(shuts.replace(second=0, microsecond=0).timestamp()) * 1000
    bench.rules(zone=[{"id": "bath", "hours": hours, "last_entry_minutes": 30}])
    gate = bench.gate()
    last_ms = closes_ms - 30 * 60_000
    assert lease_of(bench, gate, 1000) == [last_ms - bench.now_ms]
    bench.order(Shut("bath", noon + 600_000, None, "Ann", "a party"))
    assert lease_of(bench, gate, 61_000) == [noon + 600_000 - bench.now_ms]
    bench.order(Shut("bath", 0, 0, "Ann", "none after all"))
    bench.now_ms = last_ms
    assert lease_of(bench, gate, 7_000_000) == [], "nobody is let in any more, so nothing is lent"
    bench.now_ms = closes_ms + 12 * 3_600_000
    assert lease_of(bench, gate, 50_000_000) != [], "the next day"


@pytest.mark.parametrize("order", [SetMode("lockdown", "Ann", (), ""), Shut("bath", 1, None, "Ann", "")])
def test_nothing_is_lent_while_nobody_is_let_in(make_bench: Any, order: Any) -> None:
    bench = make_bench(20)
    gate = bench.gate()
    bench.order(order)
    assert lease_of(bench, gate, 1000) == []


def waits_for_a_place(bench: Any) -> tuple[Any, Any, Any]:
    """The last place is lent to the west, and somebody stands in the east: both gates, and the west's new ceiling."""
    east, west = leased(bench), leased(bench, "gate-2")
    tick(bench, east, west)
    assert bench.figures() == (0, 0, 2, 1)
    east.enter(bench.ticket())
    east.enter(bench.ticket())
    sent = bench.run(east.ask_message(bench.ticket(), "late"))
    assert [item["kind"] for item in sent] == ["limit"], "no answer yet"
    assert (sent[0]["node"], sent[0]["limit"]["ceiling"]) == ("gate-2", 0)
    return east, west, sent[0]


def answers(sent: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(item["node"], item["nonce"], item["code"]) for item in sent if item["kind"] == "answer"]


def test_who_comes_while_another_lane_holds_the_place_waits_until_it_is_given_back(bench: Any) -> None:
    east, west, limit = waits_for_a_place(bench)
    assert answers(bench.run(Tick())) == [], "asked for is not given back"
    west.obey(limit)
    assert answers(west.status(cut_off="leased", list=NEWEST)) == [("gate-1", "late", "ok")]
    assert bench.engine.live.waiting_asks == {}
    assert east.ask(bench.ticket())["code"] == "zone_full", "nobody holds any more"


def test_who_waits_for_a_place_that_nobody_gives_back_is_refused_in_time(bench: Any) -> None:
    waits_for_a_place(bench)
    bench.now_ms += PLACES_WAIT_MS
    assert answers(bench.run(Tick())) == [("gate-1", "late", "zone_full")]
    assert bench.engine.live.waiting_asks == {}


def test_who_has_gone_while_waiting_for_a_place_gets_none(bench: Any) -> None:
    east, west, limit = waits_for_a_place(bench)
    east.event("given_up", nonce="late", side="entry")
    west.obey(limit)
    assert ("gate-1", "late", "ok") not in answers(west.status(cut_off="leased", list=NEWEST))
    assert bench.engine.live.waiting_asks == {}
    assert bench.figures()[1] == 0, "no place is kept for somebody who has gone"


def test_who_waits_for_a_place_is_forgotten_by_a_controller_that_was_killed(bench: Any) -> None:
    east, west, limit = waits_for_a_place(bench)
    bench.restart()
    west.obey(limit)
    assert answers(west.status(cut_off="leased", list=NEWEST)) == [], "what waits is known to memory only"
    east.event("given_up", nonce="late", side="entry")
    assert sum(bench.figures()) == 3


@pytest.mark.parametrize("why", ["lockdown", "evacuation", "closed", "recount"])
def test_where_nobody_is_to_be_let_in_lanes_hold_no_places(make_bench: Any, why: str) -> None:
    bench = make_bench(20)
    east, west = leased(bench), leased(bench, "gate-2")
    tick(bench, east, west)
    assert bench.figures()[2] > 0
    if why == "closed":
        assert bench.order(Shut("bath", bench.now_ms, None, "k", "thunder"))
    elif why == "recount":
        bench.order(Restored("an old copy was put back", 7))
        for gate in (east, west):
            gate.account.update(epoch=7, version=1, ceiling=0, balance=0, pending=0)
            gate.status(cut_off="leased", list=NEWEST)
    else:
        assert bench.order(SetMode(why, "k", ("Ann",), "police"))
    for _ in range(3):
        tick(bench, east, west)
    accounts = bench.engine.live.books.accounts
    assert [accounts[lane].spare for lane in ("east", "west")] == [0, 0]
    assert [gate.account["ceiling"] - gate.account["balance"] for gate in (east, west)] == [0, 0]


def test_a_lane_uses_what_it_holds_before_anything_is_sent(make_bench: Any) -> None:
    bench = make_bench(20)
    east, west = leased(bench), leased(bench, "gate-2")
    tick(bench, east, west)
    version = east.account["version"]
    assert east.ask(bench.ticket())["limit"]["version"] == version
    assert bench.figures() == (0, 1, 17, 2)


def test_what_a_lane_let_in_alone_becomes_a_visit_like_any_other(make_bench: Any) -> None:
    bench = make_bench(20)
    gate, code = leased(bench), bench.ticket()
    tick(bench, gate)
    alone(gate, code, "i.1.1")
    gate.account["pending"] -= 1
    gate.event("passed", nonce="i.1.1", side="entry", persons=1)
    assert bench.figures()[0] == 1
    assert bench.rows("SELECT state, passed FROM visit") == [("present", 1)]
    assert bench.rows("SELECT entries_used FROM ticket") == [(1,)]
    assert bench.gate("gate-2").ask(code)["code"] in ("already_inside", "used_up")
    assert not bench.ledger("conflict")


def test_a_question_that_comes_after_the_lane_decided_alone_changes_nothing(make_bench: Any) -> None:
    bench = make_bench(20)
    gate, code = leased(bench), bench.ticket()
    tick(bench, gate)
    question = gate.ask_message(code, "i.1.1")
    alone(gate, code, "i.1.1")
    answer = next(item for item in bench.run(question) if item["kind"] == "answer")
    assert (answer["code"], answer.get("limit")) == ("ok", None)
    assert bench.rows("SELECT count(*) FROM visit") == [(1,)]
    assert bench.rows("SELECT entries_used FROM ticket") == [(1,)]


def test_an_answer_that_came_too_late_is_the_same_visit(make_bench: Any) -> None:
    bench = make_bench(20)
    gate, code = leased(bench), bench.ticket()
    tick(bench, gate)
    bench.run(gate.ask_message(code, "i.1.1"))
    alone(gate, code, "i.1.1")
    assert bench.rows("SELECT state FROM visit") == [("released",)]
    assert bench.engine.live.books.accounts["east"].granted == 0
    assert not bench.ledger("conflict")


def test_one_ticket_at_two_cut_off_lanes_is_two_bodies_and_one_report(make_bench: Any) -> None:
    bench = make_bench(20)
    east, west, code = leased(bench), leased(bench, "gate-2"), bench.ticket()
    tick(bench, east, west)
    for gate in (east, west):
        alone(gate, code, gate.name + ".1.1")
        gate.account["pending"] -= 1
        gate.event("passed", nonce=gate.name + ".1.1", side="entry", persons=1)
    assert bench.figures()[0] == 2
    (report,) = bench.ledger("conflict")
    assert (report["lane"], report["would_have_been"]) == ("west", "already_inside")
    assert report["other"][0]["lane"] == "east"
    assert report["digest"] == codes.digest(code)


def test_a_whole_family_at_a_lane_where_only_one_of_it_was_missing_is_reported(make_bench: Any) -> None:
    bench = make_bench(20)
    east, west, code = leased(bench), leased(bench, "gate-2"), bench.ticket(persons=3)
    tick(bench, east, west)
    alone(east, code, "e.1.1", 3)
    for kind in ("passed", "passed", "unused"):
        east.account["pending"] -= 1
        east.account["balance"] -= kind == "unused"
        east.event(kind, nonce="e.1.1", side="entry", persons=1)
    assert not bench.ledger("conflict")
    alone(west, code, "w.1.1", 3)
    (report,) = bench.ledger("conflict")
    assert (report["persons"], report["would_have_been"], report["would_have_been_persons"]) == (3, "ok", 1)
    assert bench.rows("SELECT entries_used FROM ticket") == [(2,)]


def test_the_one_of_a_family_who_was_missing_is_no_conflict(make_bench: Any) -> None:
    bench = make_bench(20)
    east, west, code = leased(bench), leased(bench, "gate-2"), bench.ticket(persons=2)
    tick(bench, east, west)
    alone(east, code, "e.1.1", 2)
    for kind in ("passed", "unused"):
        east.account["pending"] -= 1
        east.account["balance"] -= kind == "unused"
        east.event(kind, nonce="e.1.1", side="entry", persons=1)
    alone(west, code, "w.1.1", 1)
    assert not bench.ledger("conflict")


def test_an_unknown_ticket_let_in_alone_is_reported(make_bench: Any) -> None:
    bench = make_bench(20)
    gate = leased(bench)
    alone(gate, "E1:NOBODY", "i.1.1")
    assert [item["would_have_been"] for item in bench.ledger("conflict")] == ["invalid"]


def entries_of(message: dict[str, Any]) -> dict[str, int]:
    text = message["entries"]
    return {text[at : at + 16]: int(text[at + 16 : at + 18], 16) for at in range(0, len(text), 18)}


class ListReader:
    """A lane's list, as the messages make it."""

    def __init__(self, bench: Any, gate: Any) -> None:
        self.bench, self.gate = bench, gate
        self.version = {"added": 0, "removed": 0}
        self.entries: dict[str, int] = {}
        self.kinds: list[str] = []

    def catch_up(self) -> set[str]:
        """Until nothing more comes."""
        self.bench.run(Tick())
        for _ in range(100):
            self.bench.now_ms += 5_000
            sent = self.gate.send(
                "status", ms=1, lane="locked", waiting=0, emergency=False, list={**self.version, "age_ms": 0}
            )
            pieces = [item for item in sent if item["kind"] == "list"]
            if not pieces:
                break
            (piece,) = pieces
            if piece.get("start"):
                self.entries, self.version = {}, {"added": 0, "removed": 0}
            assert piece["since"] == self.version
            self.version = piece["to"]
            self.entries |= entries_of(piece)
            self.kinds.append("-" if all(value == 0 for value in entries_of(piece).values()) else "+")
        return {digest for digest, persons in self.entries.items() if persons}


def test_lists_come_whole_and_then_as_changes_revocations_first(make_bench: Any) -> None:
    bench = make_bench(20)
    made = [bench.ticket() for _ in range(95)]
    reader = ListReader(bench, bench.gate())
    assert reader.catch_up() == {codes.digest(code) for code in made}
    assert len(reader.kinds) == 3
    new = bench.ticket()
    bench.gate("gate-2").enter(made[0])
    reader.kinds.clear()
    assert reader.catch_up() == {codes.digest(code) for code in [*made[1:], new]}
    assert reader.kinds == ["-", "+"]


def test_a_ticket_that_a_lane_puts_back_on_its_list_is_told_anew(make_bench: Any) -> None:
    """Told meanwhile that it is used elsewhere, the lane puts it back when nobody went through; that must not stay."""
    bench = make_bench(20)
    gate, other, code = leased(bench), bench.gate("gate-2"), bench.ticket()
    reader = ListReader(bench, gate)
    other.enter(code)
    assert reader.catch_up() == set()
    alone(gate, code, "i.1.1")
    assert reader.catch_up() == set()
    reader.entries[codes.digest(code)] = 1
    gate.turn_back({"nonce": "i.1.1"})
    assert reader.catch_up() == set()


def test_words_that_came_twice_do_not_lead_to_ever_more_lists(make_bench: Any) -> None:
    """What a lane says of its list is answered at once only where it has taken what was sent last."""
    bench = make_bench(20)
    for _ in range(95):
        bench.ticket()
    gate = bench.gate()
    bench.run(Tick())
    versions = [{"added": 0, "removed": number} for number in (0, 7, 0, 3, 0, 7)]
    sent = []
    for version in versions:  # a lane that takes nothing says so at once
        sent += gate.status(list={**version, "age_ms": 0})
        bench.now_ms += 10
    assert len([item for item in sent if item["kind"] == "list"]) == 1
    bench.now_ms += RESEND_MS
    assert [item for item in gate.status(list={"added": 0, "removed": 0, "age_ms": 0}) if item["kind"] == "list"]


def test_who_left_with_a_season_pass_is_listed_again(make_bench: Any) -> None:
    bench = make_bench(20)
    bench.rules(product=[{"id": "season", "name": "Saison", "reentry": {"policy": "always"}}])
    reader = ListReader(bench, bench.gate())
    code = bench.ticket(product="season", entries_max=None)
    gate = bench.gate("gate-2")
    assert reader.catch_up() == {codes.digest(code)}
    gate.enter(code)
    assert reader.catch_up() == set()
    gate.event("exit", nonce="i.9", side="exit", digest=codes.digest(code))
    gate.walk_out(nonce="i.9")
    assert reader.catch_up() == {codes.digest(code)}


def test_only_what_a_lane_can_judge_alone_is_listed(make_bench: Any) -> None:
    bench = make_bench(20)
    refuse = {"id": "strict", "name": "Streng", "entries": 1, "while_cut_off": "refuse"}
    assert bench.order(SetRules({"product": [PRODUCT, refuse]}, 0, "test", "trial"))
    reader = ListReader(bench, bench.gate())
    bench.ticket(product="strict")
    bench.ticket(status="blocked")
    bench.ticket(valid_until_ms=bench.now_ms - 1)
    later = bench.ticket(valid_from_ms=bench.now_ms + 24 * 3_600_000)
    soon = bench.ticket(valid_until_ms=bench.now_ms + 60_000)
    assert reader.catch_up() == {codes.digest(soon)}
    bench.now_ms += 13 * 3_600_000
    assert reader.catch_up() == {codes.digest(later)}, "its day comes, the other's is over"


def test_lending_never_counts_a_place_twice() -> None:
    books = Books([Zone("pool", 5)], [Account("a", ("pool",), inc="i"), Account("b", ("pool",), inc="j")])
    assert books.lend("a", 4) is not None
    assert books.lend("b", 2) is None
    assert books.lend("a", 4) is None, "it has them"
    assert books.lower("a", 1) is not None
    assert books.lend("b", 2) is None, "not acknowledged"
    books.report("a", Report("i", 1, 0, 2, 1, 0, 0))
    assert books.lend("b", 4) is not None
    assert books.zones["pool"].figures() == (0, 0, 5, 0)


def test_shares_add_up_and_follow_the_weights() -> None:
    assert spread(10, {"a": 1.0, "b": 1.0, "c": 1.0}) == {"a": 4, "b": 3, "c": 3}
    assert spread(10, {"a": 9.0, "b": 1.0}) == {"a": 9, "b": 1}
    assert spread(0, {"a": 1.0}) == {"a": 0}
    assert spread(-3, {"a": 1.0}) == {"a": 0}
    assert (lent(1, 100), lent(10, 100), lent(10, 75), lent(-2, 75)) == (0, 9, 7, 0)
    demand = Demand()
    demand.note(0, came=8, left=4)
    assert demand.weight(0) == 5.0
    assert demand.weight(600_000) == 3.0


def test_a_list_asked_for_in_the_batch_that_changes_it_misses_nothing(make_bench: Any) -> None:
    bench = make_bench(20)
    gate = bench.gate()
    status = {"ms": 1, "lane": "locked", "waiting": 0, "emergency": False}
    made = {codes.digest(bench.ticket()) for _ in range(3)}
    question = gate.message("status", **status, list={"added": 0, "removed": 0, "age_ms": 0})
    sent = bench.run(Tick(), question)  # the tickets are looked at and the list is wanted in one batch
    (piece,) = [item for item in sent if item["kind"] == "list"]
    version, entries = piece["to"], set(entries_of(piece))
    for _ in range(5):
        bench.now_ms += 5_000
        for item in gate.send("status", **status, list={**version, "age_ms": 0}):
            if item["kind"] == "list":
                version, entries = item["to"], entries | set(entries_of(item))
    assert entries == made


def test_a_list_from_after_the_backup_is_made_anew(make_bench: Any) -> None:
    bench = make_bench(20)
    old = bench.ticket()
    reader = ListReader(bench, bench.gate())
    assert reader.catch_up() == {codes.digest(old)}
    # The database is an older one: it never told so much.
    reader.version = {"added": 1_000, "removed": 1_000}
    reader.entries = {codes.digest("E1:0000"): 1}
    assert reader.catch_up() == {codes.digest(old)}


def test_a_list_from_after_the_backup_is_made_anew_though_the_controller_is_killed_before_anything_changes(
    make_bench: Any,
) -> None:
    bench = make_bench(20)
    old = bench.ticket()
    reader = ListReader(bench, bench.gate())
    reader.catch_up()
    used_up = bench.ticket()  # stood on the lists when the copy was made, and was struck off them since
    bench.run(Tick())
    number = bench.engine.live.list_number
    bench.order(Restored("an old copy was put back", 5))
    bench.restart()
    reader.version, reader.entries = {"added": number, "removed": number}, {codes.digest(old): 1}
    assert reader.catch_up() == {codes.digest(old), codes.digest(used_up)}
    assert reader.version["added"] >= LIST_RANGE


def test_a_piece_from_before_the_list_was_begun_anew_is_not_taken_for_one_of_it(make_bench: Any) -> None:
    bench = make_bench(20)
    gate = bench.gate()
    tickets = sorted((codes.digest(bench.ticket()) for _ in range(2 * ENTRIES_MAX + 1)), key=str)
    bench.run(Tick())

    def said(version: dict[str, int]) -> dict[str, Any]:
        bench.pass_by(minutes=1)
        fields = {"waiting": 0, "emergency": False, "list": {**version, "age_ms": 0}}
        (piece,) = [item for item in gate.send("status", ms=1, lane="locked", **fields) if item["kind"] == "list"]
        return dict(piece)

    first = said({"added": 0, "removed": 0})
    lost = said(first["to"])  # the second piece
    begun_anew = said(first["to"])  # so it begins again; and that is lost, too
    assert (first["start"], lost.get("start"), begun_anew["start"]) == (True, None, True)
    piece = said(first["to"])
    assert piece.get("start"), "what the lane has is none of the pieces sent last"
    got = entries_of(piece)
    for _ in range(2):
        piece = said(piece["to"])
        got |= entries_of(piece)
    assert (sorted(got), piece.get("end")) == (tickets, True)


def test_a_replaced_ticket_is_listed_under_its_new_code(make_bench: Any) -> None:
    bench = make_bench(20)
    bench.ticket()
    reader = ListReader(bench, bench.gate())
    reader.catch_up()
    new = supersede(bench.last, "T9", "d" * 16, "e" * 64, 0, "lost", bench.now_ms)
    assert (new.listed, new.listed_number) == (0, 0)
