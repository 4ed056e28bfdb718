"""What an entry uses of a ticket, and from when on: also one that is told late, or should not have been."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.controller.conftest import Bench
from tests.controller.test_house import HOUR_MS, at, leave
from tests.controller.test_leases import alone
from tests.controller.test_told_late import Clocked

TWICE_A_DAY = {"id": "twice", "name": "Zweimal", "times_per_day": 2}
LOCKED = {"id": "locked", "name": "Gesperrt", "lock_minutes": 60}
WITHIN = {"id": "within", "name": "Kurz hinaus", "entries": 1, "reentry": {"policy": "within", "minutes": 30}}
MORNINGS = {"id": "mornings", "name": "Zehnerkarte", "entries": 10, "group": True, "until": "00:01"}
# A group's card with free re-entry, and one whose long stays cost more.
GROUP = {"id": "group", "name": "G", "entries": 4, "group": True, "times_per_day": 2, "reentry": {"policy": "always"}}
STAY = {"free_minutes": 120, "step_minutes": 30, "step_cents": 150}
SHORT = {"id": "short", "name": "Kurz", "entries": 5, "stay": STAY}


@pytest.fixture
def pool(make_bench: Callable[[int], Bench]) -> Bench:
    bench = make_bench(10)
    bench.rules(product=[TWICE_A_DAY, LOCKED, WITHIN, MORNINGS, GROUP, SHORT])
    return bench


def alone_and_in(gate: Any, code: str, persons: int = 1) -> None:
    alone(gate, code, "w.1-s.1", persons)
    gate.walk_in({"nonce": "w.1-s.1"}, persons)


def test_an_entry_of_yesterday_told_late_does_not_set_back_the_uses_of_today(pool: Bench) -> None:
    pool.now_ms = at(pool, 23 * HOUR_MS)
    east, west, code = Clocked(pool, "gate-1"), Clocked(pool, "gate-2"), pool.ticket(product="twice", entries_max=None)
    west.away = True
    alone_and_in(west, code)
    pool.pass_by(minutes=30)
    west.leaves(code)
    pool.pass_by(hours=10)
    for _ in range(2):
        east.lets_in(code)
        east.leaves(code)
    assert east.ask(code)["code"] == "used_up"
    west.tell()
    assert pool.ledger("conflict") == []
    assert east.ask(code)["code"] == "used_up"


def test_a_day_to_come_that_a_wrong_clock_has_left_behind_is_not_waited_for(pool: Bench) -> None:
    gate, code = pool.gate(), pool.ticket(product="twice", entries_max=None)
    pool.pass_by(hours=72)
    gate.enter(code)
    leave(gate, code, "x1")
    pool.pass_by(hours=-72)
    for nonce in ("x2", "x3"):
        gate.enter(code)
        leave(gate, code, nonce)
    assert gate.ask(code)["code"] == "used_up"


def test_an_entry_that_should_not_have_been_is_a_use_of_the_day(pool: Bench) -> None:
    east, west, code = pool.gate(), pool.gate("gate-2"), pool.ticket(product="twice", entries_max=None)
    east.enter(code)
    alone_and_in(west, code)
    assert len(pool.ledger("conflict")) == 1
    leave(east, code, "x1")
    leave(west, code, "x2")
    assert east.ask(code)["code"] == "used_up"


def test_of_an_entry_that_should_not_have_been_no_more_comes_back_than_it_used(pool: Bench) -> None:
    east, west, code = pool.gate(), pool.gate("gate-2"), pool.ticket(product="twice", entries_max=None)
    east.enter(code)
    alone(west, code, "w.1-s.1")
    west.turn_back({"nonce": "w.1-s.1"})
    assert len(pool.ledger("conflict")) == 1
    leave(east, code, "x1")
    east.enter(code)
    leave(east, code, "x2")
    assert east.ask(code)["code"] == "used_up"


def test_of_a_card_an_entry_that_should_not_have_been_uses_one_for_each_person(pool: Bench) -> None:
    gate, code = pool.gate(), pool.ticket(product="mornings", entries_max=10, persons=3)
    alone_and_in(gate, code, 3)
    assert len(pool.ledger("conflict")) == 1
    assert pool.rows("SELECT entries_used FROM ticket") == [(3,)]


def test_an_entry_told_late_does_not_end_the_lock_of_a_later_one(pool: Bench) -> None:
    east, west, code = Clocked(pool, "gate-1"), Clocked(pool, "gate-2"), pool.ticket(product="locked", entries_max=None)
    west.away = True
    alone_and_in(west, code)
    pool.pass_by(minutes=5)
    west.leaves(code)
    pool.pass_by(minutes=60)
    east.lets_in(code)
    pool.pass_by(minutes=5)
    east.leaves(code)
    assert east.ask(code)["code"] == "reentry_locked"
    west.tell()
    assert east.ask(code)["code"] == "reentry_locked"


def in_by_a_lane_that_tells_late(pool: Bench, code: str) -> tuple[Clocked, Clocked]:
    """And out again by another after five minutes, five minutes ago."""
    east, west = Clocked(pool, "gate-1"), Clocked(pool, "gate-2")
    answer = west.lets_in(code, persons=0)
    west.away = True
    west.walk_in(answer)
    pool.pass_by(minutes=5)
    east.leaves(code)
    pool.pass_by(minutes=5)
    return east, west


def test_who_left_before_his_way_in_was_told_is_locked_out_all_the_same(pool: Bench) -> None:
    code = pool.ticket(product="locked", entries_max=None)
    east, west = in_by_a_lane_that_tells_late(pool, code)
    assert east.ask(code)["code"] == "reentry_locked"
    west.tell()
    assert east.ask(code)["code"] == "reentry_locked"


@pytest.mark.parametrize("is_told", [False, True])
def test_who_left_before_his_way_in_was_told_may_come_back_in_time(pool: Bench, is_told: bool) -> None:
    code = pool.ticket(product="within")
    east, west = in_by_a_lane_that_tells_late(pool, code)
    if is_told:
        west.tell()
    assert east.ask(code)["code"] == "ok_reentry"


def test_a_way_out_told_late_is_not_the_last_one(pool: Bench) -> None:
    east, west, code = Clocked(pool, "gate-1"), Clocked(pool, "gate-2"), pool.ticket(product="within")
    west.away = True
    alone_and_in(west, code)
    pool.pass_by(minutes=5)
    west.leaves(code)
    pool.pass_by(minutes=20)
    east.lets_in(code)
    pool.pass_by(minutes=20)
    east.leaves(code)
    pool.pass_by(minutes=5)
    west.tell()
    assert pool.ledger("conflict") == []
    assert east.ask(code)["code"] == "ok_reentry"


def test_one_of_a_family_may_come_back_in_time_while_the_others_are_inside(pool: Bench) -> None:
    gate, code = pool.gate(), pool.ticket(product="within", persons=2)
    gate.enter(code)
    pool.pass_by(minutes=30)
    leave(gate, code, "x1")
    pool.pass_by(minutes=5)
    assert gate.ask(code)["code"] == "ok_reentry"


def test_of_a_card_each_free_return_is_a_use_of_the_day_also_while_one_is_missed(pool: Bench) -> None:
    gate, code = pool.gate(), pool.ticket(product="group", persons=2, entries_max=4)
    answer = gate.ask(code)
    gate.release(answer)
    gate.walk_in(answer, 1)
    gate.turn_back(answer, 1)
    answer = gate.ask(code)
    assert answer["code"] == "ok_reentry"
    gate.release(answer)
    gate.walk_in(answer, 2)
    assert gate.ask(code)["code"] == "used_up"


def test_a_short_stay_does_not_pay_for_a_long_one(pool: Bench) -> None:
    east, west, code = pool.gate(), pool.gate("gate-2"), pool.ticket(product="short", entries_max=5)
    east.enter(code)
    pool.pass_by(minutes=150)
    leave(east, code, "x1")
    assert east.ask(code)["code"] == "overstay_due"
    alone_and_in(west, code)
    leave(west, code, "x2")
    assert east.ask(code)["code"] == "overstay_due"
