"""Counts of the people, and what lanes that were cut off tell after them."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.controller.conftest import Bench
from tests.controller.test_house import SPA, counts
from tests.controller.test_leases import NEWEST
from tests.controller.test_told_late import Clocked, count_bath, restore_and_count

from einlass_controller.messages import Correct, Tick
from einlass_controller.orders import Restored


@pytest.fixture
def spa(make_park: Callable[[dict[str, Any]], Bench]) -> Bench:
    bench = make_park(SPA)
    bench.rules(product=[{"id": "day", "name": "Tag", "entries": 1, "reentry": {"policy": "always"}}])
    return bench


def test_who_left_before_a_count_frees_no_place_after_it_while_the_record_is_on_its_way(spa: Bench) -> None:
    main = Clocked(spa, "gate-1")
    main.somebody_in()
    spa.pass_by(seconds=10)
    main.away = True
    main.walk_out_one_by_one(1)
    count_bath(spa, 3)
    spa.pass_by(seconds=10)
    main.hello()  # the account says one less; that one is not in the count of three
    assert counts(spa)[0] == 3
    main.tell()
    assert counts(spa)[0] == 3


def test_what_belongs_to_a_count_before_a_restore_takes_nobody_off_the_new_one(spa: Bench) -> None:
    main = Clocked(spa, "gate-1")
    main.away = True
    main.somebody_in()
    spa.pass_by(seconds=10)
    count_bath(spa, 1)
    restore_and_count(spa, 1)
    main.tell_to_the_restored()
    assert counts(spa) == (1, 0, 0)


def lent(spa: Bench) -> Clocked:
    """The main entrance with a lease and four people in by it; what it holds is all in use."""
    main = Clocked(spa, "gate-1")
    main.status(cut_off="leased", list=NEWEST)
    for _ in range(4):
        main.lets_in(spa.ticket())
    assert spa.engine.live.books.accounts["main"].leased_until_ms > spa.now_ms
    assert (main.account["ceiling"], main.account["balance"]) == (4, 4)
    return main


def takes_its_ceiling(spa: Bench, main: Clocked) -> None:
    spa.pass_by(seconds=3)
    for item in spa.run(Tick()):
        if item["node"] == "gate-1":
            main.obey(item)
    main.status(cut_off="leased", list=NEWEST)
    spa.run(Tick())


def test_a_count_gives_no_place_away_that_somebody_left_by_a_lane_that_is_cut_off(spa: Bench) -> None:
    main = lent(spa)
    main.away = True
    main.walk_out_one_by_one(3)
    count_bath(spa, 1)
    assert spa.figures() == (1, 0, 3, 2), "under its ceiling of four it may let in three more"
    spa.restart()
    assert spa.figures() == (1, 0, 3, 2)
    spa.pass_by(minutes=5)
    spa.run(Tick())
    assert spa.figures() == (1, 0, 3, 2), "it may be so for as long as nothing is heard"
    main.tell()
    assert spa.figures() == (1, 0, 3, 2), "its ceiling is still four"
    takes_its_ceiling(spa, main)
    takes_its_ceiling(spa, main)
    count_bath(spa, 1)
    assert counts(spa)[0] == 1
    assert spa.engine.live.books.zones["bath"].committed == 1 + main.account["ceiling"] - main.account["balance"]


def test_a_difference_keeps_places_as_a_count_does(spa: Bench) -> None:
    """Who left by a lane that is cut off is missing among those counted; its records took them off once more."""
    main = lent(spa)
    main.away = True
    main.walk_out_one_by_one(3)
    spa.order(Correct("bath", 1, 4, "Ann", "the screen said four"))
    assert spa.figures() == (1, 0, 3, 2), "under its ceiling of four it may let in three more"
    spa.restart()
    for _ in main.tells_one_by_one():
        assert counts(spa)[0] == 1
        assert spa.engine.live.books.zones["bath"].committed == 4
    spa.pass_by(seconds=10)
    main.walk_out()
    assert counts(spa)[0] == 0, "who leaves afterwards is not in it"


def test_who_came_in_untold_before_a_difference_counts(spa: Bench) -> None:
    """Nobody knows whether it was before or after the screen was read: too many is the safe mistake."""
    main = lent(spa)
    count_bath(spa, 4)
    takes_its_ceiling(spa, main)
    spa.pass_by(minutes=10)
    main.away = True
    main.somebody_in()
    spa.pass_by(minutes=10)
    spa.order(Correct("bath", 5, 6, "Ann", "somebody climbed out"))
    spa.order(Correct("bath", 5, 5, "Ann", "nothing is wrong"))
    assert counts(spa)[0] == 3
    main.tell()
    assert counts(spa)[0] == 4


def test_who_came_and_who_left_before_a_count_are_told_in_any_order(spa: Bench) -> None:
    main = lent(spa)
    main.away = True
    main.walk_out_one_by_one(2)
    main.somebody_in()
    spa.pass_by(seconds=10)
    main.walk_out_one_by_one(1)
    count_bath(spa, 2)
    for _ in main.tells_one_by_one():
        assert counts(spa)[0] == 2
        assert spa.engine.live.books.zones["bath"].committed == 4
    takes_its_ceiling(spa, main)
    assert spa.engine.live.books.zones["bath"].untold == 0


def test_what_is_told_late_frees_no_place_for_whoever_is_let_in_meanwhile(spa: Bench) -> None:
    """Its lease had ended at the count, so it was not asked; whom it had let in takes places that are granted anew."""
    main = lent(spa)
    main.walk_out_one_by_one(2)
    main.away = True
    for _ in range(2):
        main.somebody_in()
        spa.pass_by(seconds=10)
    spa.pass_by(minutes=24 * 60)
    count_bath(spa, 4)
    main.hello()
    assert main.ask(spa.ticket())["code"] == "ok"  # he goes in, and the record of it is the last
    for message in main.untold:
        spa.run(message)
        assert spa.engine.live.books.zones["bath"].committed >= 5
    main.away = False
    takes_its_ceiling(spa, main)
    assert (counts(spa)[0], spa.engine.live.books.zones["bath"].untold) == (4, 0)


def test_a_lane_whose_lease_was_over_at_a_count_is_lent_nothing_before_it_has_told_all(spa: Bench) -> None:
    """Under its ceiling of four it could let in three more, whose places are everybody's since its lease was over."""
    main, other = lent(spa), Clocked(spa, "gate-3")
    main.away = True
    main.walk_out_one_by_one(3)
    spa.pass_by(minutes=24 * 60)
    count_bath(spa, 1)
    assert spa.figures() == (1, 0, 0, 5), "nobody is let in by a lane out of reach without a lease"
    for _ in range(2):
        other.lets_in(spa.ticket())
    main.boot += 1
    sent = [*main.hello(), *main.status(cut_off="leased", list=NEWEST), *spa.run(Tick())]
    asked = [item for item in sent if item["kind"] == "limit" and item["node"] == "gate-1"]
    assert asked
    assert not any("lease_ms" in item for item in asked)
    main.tell()
    for _ in range(3):
        takes_its_ceiling(spa, main)
    books = spa.engine.live.books
    assert books.accounts["main"].leased_until_ms > spa.now_ms, "it has told all"
    assert main.account["ceiling"] - main.account["balance"] == books.accounts["main"].spare
    assert books.zones["bath"].committed <= books.zones["bath"].cap


def test_what_a_count_frees_is_free_when_the_lanes_have_taken_their_ceiling_again(spa: Bench) -> None:
    main = lent(spa)
    spa.order(Correct("bath", 1, None, "Ann", "three climbed over the fence"))
    assert spa.figures() == (1, 0, 3, 2)
    takes_its_ceiling(spa, main)
    assert spa.engine.live.books.zones["bath"].untold == 0
    assert spa.figures()[0] == 1
    assert spa.rows("SELECT untold FROM zone WHERE id = 'bath'") == [(0,)]


def test_a_lane_that_lost_its_journal_never_tells_and_the_next_count_stands(spa: Bench) -> None:
    main = Clocked(spa, "gate-1")
    main.status(cut_off="leased", list=NEWEST)
    main.lets_in(spa.ticket())
    spa.order(Correct("bath", 0, None, "Ann", "counted while it was out of reach"))
    asked = spa.engine.live.books.accounts["main"].version_sent
    main.inc, main.seq, main.boot = "other", 0, 1
    main.account = {"epoch": 0, "version": 0, "ceiling": 0, "balance": 0, "pending": 0}
    main.hello()
    for _ in range(3):
        main.lets_in(spa.ticket())
    assert spa.engine.live.books.accounts["main"].version >= asked, "a version of another journal"
    spa.run(Tick())
    assert spa.engine.live.books.zones["bath"].untold == 1
    main.status(cut_off="leased", list=NEWEST)
    count_bath(spa, 3)
    takes_its_ceiling(spa, main)
    assert (counts(spa)[0], spa.engine.live.books.zones["bath"].untold) == (3, 0)


def test_a_restore_keeps_what_a_count_has_kept(spa: Bench) -> None:
    main = lent(spa)
    main.away = True
    main.walk_out()
    count_bath(spa, 3)
    assert spa.engine.live.books.zones["bath"].committed == 4
    spa.order(Restored("an old copy was put back", 5))
    assert spa.engine.live.books.zones["bath"].committed == 4


@pytest.mark.parametrize(
    ("side", "seconds", "left"),
    [
        ("exit", -300, 5),
        ("exit", 30, 5),
        ("exit", 300, 4),
        ("entry", -300, 5),
        ("entry", -30, 6),
        ("entry", 300, 6),
    ],
)
def test_who_passes_a_lane_that_goes_on_with_the_count_before_a_restore_counts_in_the_new_one(
    spa: Bench, side: str, seconds: int, left: int
) -> None:
    """seconds: after the new count; near to it nobody comes to be too few."""
    main = Clocked(spa, "gate-1")
    main.away = True
    counted_ms = restore_and_count(spa, 5)
    spa.now_ms = counted_ms + seconds * 1000
    main.account["balance"] += 1 if side == "entry" else -1
    main.event("passed" if side == "exit" else "forced", side=side, persons=1)
    spa.now_ms = counted_ms + 600_000
    main.tell_to_the_restored(times=2)
    assert counts(spa) == (left, 0, 0)
    count_bath(spa, 7)
    assert counts(spa) == (7, 0, 0)


def test_who_came_by_such_a_lane_is_counted_also_when_it_was_started_anew(spa: Bench) -> None:
    main = Clocked(spa, "gate-1")
    main.away = True
    restore_and_count(spa, 5)
    main.boot += 1
    for side, change in (("entry", 1), ("exit", -1)):
        main.account["balance"] += change
        main.seq += 1
        fields = {"ms": 1, "unix_ms": 0, "side": side, "persons": 1}
        main.untold.append(main.message("event", kind="forced", **fields))
    spa.pass_by(minutes=10)
    main.tell()
    assert counts(spa) == (6, 0, 0), "who went out may have gone before the count"
