"""Several persons on one ticket who do not come and go together: who of them is inside, under way, or still outside."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.controller.conftest import Bench, Gate
from tests.controller.test_house import HOUR_MS, SPA, at, by_ticket, count, leave
from tests.controller.test_told_late import Clocked

from einlass_controller.messages import Correct, Tick

DAY = {"id": "day", "name": "Tag", "entries": 1, "reentry": {"policy": "always"}}
SEASON = {"id": "season", "name": "Saison"}
TWICE = {"id": "twice", "name": "Zweimal", "entries": 1, "reentry": {"policy": "per_day", "times": 2}}
THREE_AT_NIGHT_MS = 27 * HOUR_MS


@pytest.fixture
def pool(make_bench: Callable[[int], Bench]) -> Bench:
    bench = make_bench(10)
    bench.rules(product=[DAY, SEASON], nightly_close="03:00")
    return bench


@pytest.fixture
def spa(make_park: Callable[[dict[str, Any]], Bench]) -> Bench:
    bench = make_park(SPA)
    bench.rules(product=[DAY, TWICE])
    return bench


def half_a_family(gate: Gate, code: str) -> dict[str, Any]:
    """Two are let in; one of them goes through, the other is in the arm."""
    answer = gate.ask(code)
    assert answer["persons"] == 2
    gate.release(answer)
    gate.walk_in(answer, 1)
    return answer


def past_the_night(bench: Bench) -> None:
    bench.now_ms = at(bench, THREE_AT_NIGHT_MS) + 1000
    bench.attempt(Tick())
    bench.pass_by(hours=6)


def test_a_visit_goes_on_while_one_of_the_family_is_under_way(pool: Bench) -> None:
    east, west, code = pool.gate(), pool.gate("gate-2"), pool.ticket(product="day", persons=2)
    answer = half_a_family(east, code)
    leave(west, code, "x1")
    again = west.ask(code)
    assert (again["code"], again["persons"]) == ("ok_reentry", 1), "the other one is in the arm at the east gate"
    west.release(again)
    west.walk_in(again)
    east.walk_in(answer)
    assert (count(pool), by_ticket(pool)) == (2, {"bath": 2})
    assert west.ask(code)["code"] == "already_inside"


def test_a_family_is_not_let_in_whole_while_one_of_it_comes_in_by_a_lane_that_tells_late(pool: Bench) -> None:
    east, west, code = Clocked(pool, "gate-1"), Clocked(pool, "gate-2"), pool.ticket(product="day", persons=2)
    answer = half_a_family(east, code)
    east.away = True
    east.walk_in(answer, 1)
    west.leaves(code)
    west.lets_in(code)
    east.tell()
    assert by_ticket(pool) == {"bath": 2}


def test_a_ticket_is_on_no_list_while_one_of_the_family_is_under_way(pool: Bench) -> None:
    east, west, code = pool.gate(), pool.gate("gate-2"), pool.ticket(product="season", persons=2, entries_max=None)
    answer = half_a_family(east, code)
    leave(west, code, "x1")
    assert pool.rows("SELECT listed FROM ticket") == [(0,)]
    east.turn_back(answer)
    assert pool.rows("SELECT listed, state FROM ticket, visit") == [(2, "ended")], "nobody is under way any more"


def test_the_rest_of_a_family_counts_as_inside_when_the_power_goes(pool: Bench) -> None:
    gate, code = pool.gate(), pool.ticket(product="day", persons=2)
    half_a_family(gate, code)
    gate.loses_power(under_way=1)
    assert (count(pool), by_ticket(pool)) == (2, {"bath": 2})
    leave(gate, code, "x1")
    assert gate.ask(code)["persons"] == 1, "the other one is inside"


def test_the_rest_of_a_family_counts_as_inside_when_a_journal_is_lost(pool: Bench) -> None:
    gate, code = pool.gate(), pool.ticket(product="day", persons=2)
    half_a_family(gate, code)
    gate.loses_journal()
    assert (count(pool), by_ticket(pool)) == (2, {"bath": 2})


def test_who_had_turned_back_before_a_journal_was_lost_is_not_inside(pool: Bench) -> None:
    gate, code = pool.gate(), pool.ticket(product="day", persons=3)
    answer = gate.ask(code)
    gate.release(answer)
    gate.turn_back(answer, 1)
    gate.loses_journal()
    assert by_ticket(pool) == {"bath": 2}


def test_the_rest_of_a_family_that_a_count_has_in_it_is_not_counted_twice(pool: Bench) -> None:
    gate, code = pool.gate(), pool.ticket(persons=2)
    gate.event("limit", unix_ms=pool.now_ms)
    half_a_family(gate, code)
    gate.boot = 2
    told_ms = pool.now_ms + 5_000
    pool.pass_by(minutes=5)
    pool.order(Correct("bath", 2, None, "Ann", "counted"))
    gate.account["pending"] = 0
    for kind, said in (("boot", {"reason": "power"}), ("uncertain", {"persons": 1})):
        gate.seq += 1
        pool.run(gate.message("event", kind=kind, ms=1, unix_ms=told_ms, **said))
    gate.status()
    assert count(pool) == 2


def test_at_night_who_is_under_way_has_gone_home_too(pool: Bench) -> None:
    east, west = Clocked(pool, "gate-1"), Clocked(pool, "gate-2")
    code = pool.ticket(product="season", entries_max=None, persons=2)
    half_a_family(east, code)
    past_the_night(pool)
    assert west.ask(code)["persons"] == 2, "all of them come again"


def test_who_was_let_in_by_a_lane_that_stays_away_has_gone_home_at_night(pool: Bench) -> None:
    east, west = Clocked(pool, "gate-1"), Clocked(pool, "gate-2")
    code = pool.ticket(product="season", entries_max=None)
    answer = east.lets_in(code, persons=0)
    east.away = True
    east.walk_in(answer)
    past_the_night(pool)
    assert west.ask(code)["code"] == "ok"
    east.tell()
    assert (count(pool), by_ticket(pool)) == (0, {}), "his passage was yesterday"


def test_a_family_that_came_in_before_the_night_one_by_one_is_told_late(pool: Bench) -> None:
    east, west = Clocked(pool, "gate-1"), Clocked(pool, "gate-2")
    code = pool.ticket(product="season", entries_max=None, persons=2)
    answer = east.lets_in(code, persons=0)
    east.away = True
    east.walk_in(answer, 1)
    past_the_night(pool)
    east.tell()
    assert west.ask(code)["persons"] == 2, "nor is the second under way any more"


def test_of_whom_nobody_went_through_the_entry_comes_back_after_the_night_too(pool: Bench) -> None:
    east, code = Clocked(pool, "gate-1"), pool.ticket()
    answer = east.lets_in(code, persons=0)
    east.away = True
    east.turn_back(answer)
    past_the_night(pool)
    assert east.ask(code)["code"] == "used_up", "he may have gone through"
    east.tell()
    assert (count(pool), east.ask(code)["code"]) == (0, "ok")


@pytest.mark.parametrize("trouble", [lambda gate: gate.loses_power(under_way=1), Gate.loses_journal])
def test_who_was_in_the_arm_yesterday_when_the_power_went_is_not_inside_today(pool: Bench, trouble: Any) -> None:
    east, west = Clocked(pool, "gate-1"), pool.gate("gate-2")
    code = pool.ticket(product="season", entries_max=None)
    east.lets_in(code, persons=0)
    past_the_night(pool)
    trouble(east)
    assert by_ticket(pool) == {}
    assert west.ask(code)["code"] == "ok"


def test_who_went_through_after_the_night_is_inside(pool: Bench) -> None:
    gate, code = Clocked(pool, "gate-1"), pool.ticket(product="season", entries_max=None)
    pool.now_ms = at(pool, THREE_AT_NIGHT_MS) - 5_000
    answer = gate.ask(code)
    gate.release(answer)
    pool.pass_by(seconds=6)
    pool.attempt(Tick())
    gate.walk_in(answer)
    assert (count(pool), by_ticket(pool)) == (1, {"bath": 1})


def test_when_all_leave_at_a_desk_who_is_under_way_at_a_gate_does_not(pool: Bench) -> None:
    gate, code = pool.gate(), pool.ticket(product="day", persons=2)
    assert pool.redeem(code, persons=1)["persons"] == 1
    answer = gate.ask(code)
    assert answer["persons"] == 1
    assert pool.redeem(code, "exit")["code"] == "ok_exit"
    gate.release(answer)
    gate.walk_in(answer)
    assert (count(pool), by_ticket(pool)) == (1, {"bath": 1})


def test_a_family_whose_gate_was_cut_off_leaves_at_the_desk_whole(pool: Bench) -> None:
    gate, other = Clocked(pool, "gate-1"), Clocked(pool, "gate-2")
    code = pool.ticket(product="day", persons=4)
    answer = gate.ask(code)
    gate.away = True  # the link breaks after the answer
    gate.release(answer)
    for _ in range(4):
        gate.walk_in(answer)
    pool.pass_by(hours=2)
    assert pool.redeem(code, "exit")["code"] == "ok_exit"
    pool.pass_by(minutes=10)
    gate.tell()
    assert by_ticket(pool) == {}
    assert other.ask(code)["persons"] == 4


def test_a_family_that_is_elsewhere_by_the_records_leaves_at_the_desk_whole(spa: Bench) -> None:
    ice, main, code = spa.gate("gate-5"), spa.gate("gate-1"), spa.ticket(product="day", persons=3)
    ice.enter(code)  # the rink; from there to the bath by a door without sensors
    spa.pass_by(hours=1)
    assert spa.redeem(code, "exit", lane="desk-bath")["code"] == "ok_exit"
    assert by_ticket(spa) == {}
    assert main.ask(code)["persons"] == 3


def only_some(gate: Gate, code: str, persons: int) -> None:
    """All who are asked for are let in, and so many go through."""
    answer = gate.ask(code)
    assert answer["persons"] > persons
    gate.release(answer)
    gate.walk_in(answer, persons)
    gate.turn_back(answer, answer["persons"] - persons)


def test_who_is_missed_on_a_second_entry_comes_in_on_it_while_the_first_goes_on(spa: Bench) -> None:
    main, code = spa.gate("gate-1"), spa.ticket(persons=3, entries_max=2)
    main.enter(code)
    leave(main, code, "x1")
    leave(main, code, "x2")
    only_some(main, code, 1)
    assert main.enter(code)["persons"] == 1
    assert spa.rows("SELECT entries_used FROM ticket") == [(2,)]
    leave(main, code, "x3")
    assert main.ask(code)["code"] == "used_up", "he has used his place"


def test_who_is_missed_where_a_lane_leads_into_two_zones_may_still_come(spa: Bench) -> None:
    direct, code = spa.gate("gate-3"), spa.ticket(persons=2)
    only_some(direct, code, 1)
    direct.enter(code)
    leave(direct, code, "x1")
    assert direct.ask(code)["code"] == "used_up", "he has used his place"


def test_who_is_missed_may_still_come_when_one_of_the_others_has_walked_over(spa: Bench) -> None:
    main, bridge, code = spa.gate("gate-1"), spa.gate("gate-4"), spa.ticket(persons=3)
    only_some(main, code, 2)
    only_some(bridge, code, 1)
    assert main.enter(code)["persons"] == 1


def test_who_is_missed_when_a_family_comes_back_comes_back_too(spa: Bench) -> None:
    main, code = spa.gate("gate-1"), spa.ticket(product="twice", persons=2)
    main.enter(code)
    leave(main, code, "x1")
    leave(main, code, "x2")
    only_some(main, code, 1)
    assert main.enter(code)["persons"] == 1
    assert spa.rows("SELECT entries_used, entries_today FROM ticket") == [(1, 2)]


def test_while_one_walks_over_the_other_may_come_back_in(spa: Bench) -> None:
    main, inner, code = spa.gate("gate-1"), spa.gate("gate-2"), spa.ticket(product="day", persons=2)
    main.enter(code)
    leave(main, code, "x1")
    answer = inner.ask(code)
    assert answer["persons"] == 1
    inner.release(answer)
    back = main.ask(code)
    assert (back["code"], back["persons"]) == ("ok_reentry", 1)
