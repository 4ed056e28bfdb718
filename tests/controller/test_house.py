"""Nested zones, hours, corrections, the nightly close, lockdown and evacuation, through the engine."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.controller.conftest import Bench

from einlass_controller.domain.hours import local_day, local_instant
from einlass_controller.messages import Correct, Declined, SetMode, Shut, Tick
from einlass_controller.plan import plan_of
from einlass_controller.setup import Prepared, set_up
from einlass_controller.store.reading import inside
from einlass_core import codes

HOUR_MS = 3_600_000
SPA: dict[str, Any] = {
    "site": {"id": "pool", "name": "Bad"},
    "zone": [
        {"id": "bath", "name": "Becken", "cap": 6},
        {"id": "sauna", "name": "Sauna", "cap": 2, "parent": "bath"},
        {"id": "rink", "name": "Eis", "cap": 4},
    ],
    "node": [{"id": name} for name in ("gate-1", "gate-2", "gate-3", "gate-4", "gate-5")],
    "lane": [
        {"id": "main", "zone": "bath", "node": "gate-1", "name": "Haupteingang"},
        {"id": "inner", "zone": "sauna", "outer": "bath", "node": "gate-2", "name": "Saunatür"},
        {"id": "direct", "zone": "sauna", "node": "gate-3", "name": "Saunaeingang"},
        {"id": "bridge", "zone": "rink", "outer": "bath", "node": "gate-4", "name": "Brücke"},
        {"id": "ice", "zone": "rink", "node": "gate-5", "name": "Eistor"},
    ],
}


@pytest.fixture
def spa(tmp_path: Path, new_site: Callable[[dict[str, Any], Path], Prepared]) -> Iterator[Bench]:
    bench = Bench(new_site(SPA, tmp_path / "spa"))
    yield bench
    bench.close()


def count(bench: Any, zone: str = "bath") -> int:
    return int(bench.engine.live.books.zones[zone].figures().present)


def counts(bench: Any) -> tuple[int, ...]:
    return tuple(count(bench, zone) for zone in ("bath", "sauna", "rink"))


def by_ticket(bench: Any) -> dict[str, int]:
    with bench.database.connect() as connection:
        found: dict[str, int] = {}
        for item in inside(connection):
            found[item.zone] = found.get(item.zone, 0) + item.persons
        return found


def leave(gate: Any, code: str, nonce: str) -> None:
    gate.event("exit", nonce=nonce, side="exit", digest=codes.digest(code))
    gate.walk_out(nonce=nonce)


def test_all_places_or_none(spa: Bench) -> None:
    direct, main = spa.gate("gate-3"), spa.gate("gate-1")
    for _ in range(2):
        direct.enter(spa.ticket())
    assert counts(spa) == (2, 2, 0)
    assert direct.ask(spa.ticket())["code"] == "zone_full", "the sauna is full, the bath is not"
    main.enter(spa.ticket(persons=4))
    assert main.ask(spa.ticket())["code"] == "zone_full"
    assert counts(spa) == (6, 2, 0)


def test_who_walks_into_the_sauna_stays_in_the_bath_and_uses_no_entry(spa: Bench) -> None:
    main, inner, code = spa.gate("gate-1"), spa.gate("gate-2"), spa.ticket()
    main.enter(code)
    answer = inner.ask(code)
    assert answer["code"] == "ok"
    inner.release(answer)
    inner.walk_in(answer)
    assert (counts(spa), by_ticket(spa)) == ((1, 1, 0), {"bath": 1, "sauna": 1})
    assert inner.ask(code)["code"] == "already_inside"
    leave(inner, code, "x1")
    assert (counts(spa), by_ticket(spa)) == ((1, 0, 0), {"bath": 1})
    assert main.ask(code)["code"] == "already_inside"
    again = inner.ask(code)
    assert again["code"] == "ok"
    inner.release(again)
    inner.walk_in(again)
    leave(main, code, "x2")
    assert by_ticket(spa) == {}, "who leaves the bath is in no sauna"
    assert main.ask(code)["code"] == "used_up"


def test_a_family_walks_over_one_by_one(spa: Bench) -> None:
    main, inner, code = spa.gate("gate-1"), spa.gate("gate-2"), spa.ticket(persons=2)
    main.enter(code)
    answer = inner.ask(code)
    inner.release(answer)
    inner.walk_in(answer, 1)
    inner.turn_back(answer, 1)
    inner.status()
    second = inner.ask(code)
    assert (second["code"], second["persons"]) == ("ok", 1)
    inner.release(second)
    inner.walk_in(second)
    assert (counts(spa), by_ticket(spa)) == ((2, 2, 0), {"bath": 2, "sauna": 2})
    leave(main, code, "x1")
    assert by_ticket(spa) == {"bath": 1, "sauna": 1}


def test_through_a_lane_between_two_zones_the_first_is_left(spa: Bench) -> None:
    main, bridge, code = spa.gate("gate-1"), spa.gate("gate-4"), spa.ticket()
    main.enter(code)
    answer = bridge.ask(code)
    bridge.release(answer)
    assert counts(spa) == (1, 0, 0), "not before the passage"
    bridge.walk_in(answer)
    assert (counts(spa), by_ticket(spa)) == ((0, 0, 1), {"rink": 1})
    leave(bridge, code, "x1")
    assert (counts(spa), by_ticket(spa)) == ((1, 0, 0), {"bath": 1}), "back over the bridge"
    spa.restart()
    assert counts(spa) == (1, 0, 0)


def test_who_came_out_unseen_and_enters_next_door_is_there(spa: Bench) -> None:
    main, ice, code = spa.gate("gate-1"), spa.gate("gate-5"), spa.ticket()
    main.enter(code)
    main.walk_out()  # by a free exit, without a scan
    assert by_ticket(spa) == {"bath": 1}
    answer = ice.ask(code)
    assert answer["code"] == "ok"
    ice.release(answer)
    ice.walk_in(answer)
    assert (counts(spa), by_ticket(spa)) == ((0, 0, 1), {"rink": 1})


def test_a_lane_between_zones_that_lost_its_journal_hides_nobody(spa: Bench) -> None:
    main, bridge, code = spa.gate("gate-1"), spa.gate("gate-4"), spa.ticket(persons=3)
    main.enter(code)
    answer = bridge.ask(code)
    bridge.release(answer)
    bridge.walk_in(answer, 3)
    assert counts(spa) == (0, 0, 3)
    spa.gate("gate-4").inc = "new"
    lost = spa.gate("gate-4", hello=False)
    lost.inc = "another"
    lost.hello()
    assert counts(spa) == (0, 0, 3)
    assert spa.engine.live.books.zones["bath"].ghosts == -3


def test_at_desks_too_nobody_is_counted_twice(tmp_path: Path) -> None:
    spa = Bench(set_up(plan_of({**SPA, "node": [], "lane": []}), tmp_path / "desks"))
    code = spa.ticket()
    assert spa.redeem(code)["code"] == "ok"
    assert spa.redeem(code, lane="desk-sauna")["code"] == "ok"
    assert (counts(spa), by_ticket(spa)) == ((1, 1, 0), {"bath": 1, "sauna": 1})
    assert spa.redeem(code, lane="desk-rink")["code"] == "ok"
    assert (counts(spa), by_ticket(spa)) == ((0, 0, 1), {"rink": 1})
    assert spa.redeem(code, "exit", lane="desk-rink")["code"] == "ok_exit"
    assert (counts(spa), by_ticket(spa)) == ((0, 0, 0), {})
    other = spa.ticket()
    spa.redeem(other)
    spa.redeem(other, lane="desk-sauna")
    assert spa.redeem(other, "exit")["code"] == "ok_exit"
    assert (counts(spa), by_ticket(spa)) == ((0, 0, 0), {}), "who leaves the bath is in no sauna"
    spa.database.dispose()


def test_where_sensors_count_too_a_desk_takes_nobody_off_twice(spa: Bench) -> None:
    code = spa.ticket()
    spa.redeem(code, lane="desk-rink")
    spa.gate("gate-5").walk_out()  # counted by the gate, without a scan: the ticket is still in there
    assert counts(spa) == (0, 0, 0)
    assert spa.redeem(code)["code"] == "ok"
    assert (counts(spa), by_ticket(spa)) == ((1, 0, 0), {"bath": 1})


def test_a_count_is_corrected_and_the_ledger_says_who_and_why(bench: Any) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    done = bench.order(Correct("bath", 3, None, "Ann", "counted by hand"))
    assert done.values == {"zone": "bath", "before": 1, "present": 3, "over": 0}
    assert gate.ask(bench.ticket())["code"] == "zone_full"
    assert bench.order(Correct("bath", 5, None, "Ann", "counted again")).values["over"] == 2
    assert bench.figures() == (5, 0, 0, -2)
    bench.pass_by(minutes=1)
    gate.account["balance"] -= 1
    gate.seq += 1
    message = gate.message("event", kind="passed", ms=1, unix_ms=bench.now_ms, side="exit", persons=1)
    for item in bench.run(message):
        gate.obey(item)
    gate.status()
    assert bench.figures() == (4, 0, 0, -1), "the account goes on as if nothing had been"
    bench.order(Correct("bath", 0, None, "Ann", "everybody left"))
    bench.restart()
    assert bench.figures() == (0, 0, 0, 3)
    (first, _, _) = bench.ledger("corrected")
    assert (first["by"], first["reason"], first["before"], first["after"]) == ("Ann", "counted by hand", 1, 3)
    assert isinstance(bench.order(Correct("gym", 0, None, "Ann", "where?")), Declined)


def test_only_the_difference_counts_when_people_walked_meanwhile(bench: Any) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    gate.enter(bench.ticket())
    assert bench.order(Correct("bath", 0, 1, "Ann", "the screen said 1 and nobody was there")).values["present"] == 1


@pytest.mark.parametrize("side", ["entry", "exit"])
def test_what_a_cut_off_lane_tells_after_the_count_was_in_it_already(make_bench: Any, side: str) -> None:
    bench = make_bench(20)
    gate, away = bench.gate(), bench.gate("gate-2")
    away.event("limit", unix_ms=bench.now_ms)  # it knows the time
    for _ in range(5):
        gate.enter(bench.ticket())
    code = bench.ticket()
    answer = away.ask(code)
    away.release(answer)
    told = bench.now_ms + 5_000
    bench.pass_by(minutes=1)
    bench.order(Correct("bath", 7, None, "Ann", "counted"))
    if side == "entry":
        away.account["pending"] -= 1
        away.seq += 1
        fields = {"nonce": answer["nonce"], "side": "entry"}
    else:
        away.account["balance"] -= 1
        away.seq += 1
        fields = {"side": "exit"}
    message = away.message("event", kind="passed", ms=1, unix_ms=told, persons=1, **fields)
    bench.run(message)
    bench.run(message)
    assert count(bench) == 7
    assert len(bench.ledger("counted_before")) == 1
    away.walk_out()
    assert count(bench) == 7, "it does not know the time: perhaps that was before the count"
    away.account["balance"] -= 1
    away.seq += 1
    bench.pass_by(minutes=1)
    bench.run(away.message("event", kind="passed", ms=1, unix_ms=bench.now_ms, side="exit", persons=1))
    assert count(bench) == 6
    away.walk_out()
    assert count(bench) == 5, "whatever comes after that was after the count"


def test_what_the_count_was_made_with_is_not_taken_off_again(make_bench: Any) -> None:
    bench = make_bench(20)
    gate = bench.gate()
    answer = gate.ask(bench.ticket())
    gate.release(answer)
    gate.account["pending"] -= 1
    gate.seq += 1
    passed = gate.message("event", kind="passed", ms=1, unix_ms=bench.now_ms, persons=1, nonce=answer["nonce"],
                          side="entry")  # fmt: skip
    gate.status()  # its account waits for the record of the passage, and counts with it
    bench.pass_by(minutes=1)
    bench.order(Correct("bath", 1, None, "Ann", "counted"))
    bench.run(passed)
    assert (count(bench), len(bench.ledger("counted_before"))) == (1, 1)
    bench.run(passed)
    gate.status()
    assert (count(bench), len(bench.ledger("counted_before"))) == (1, 1)


def at(bench: Any, time_ms: int) -> int:
    clocks = bench.engine.live.clocks
    return local_instant(local_day(bench.now_ms, clocks), time_ms, clocks)


def test_the_night_sends_everybody_home_once(make_bench: Any) -> None:
    bench = make_bench(10)
    bench.rules(nightly_close="03:00", product=[{"id": "season", "name": "S"}])
    gate, code = bench.gate(), bench.ticket(product="season", entries_max=None)
    gate.enter(code)
    gate.account["balance"] += 1
    gate.event("forced", side="entry", persons=1)
    gate.status()
    assert count(bench) == 2
    bench.now_ms = at(bench, 27 * HOUR_MS) - 1_000
    gate.enter(bench.ticket())
    assert (bench.attempt(Tick()).outbound, count(bench)) == ([], 3)
    bench.now_ms = at(bench, 3 * HOUR_MS)
    bench.attempt(Tick())
    assert (count(bench), by_ticket(bench)) == (0, {})
    bench.restart()
    assert gate.ask(code)["code"] == "ok"
    bench.attempt(Tick())
    (closed,) = bench.ledger("nightly_close")
    assert closed == {"visits": 2, "zones": {"bath": {"before": 3, "after": 0}}}


def test_a_night_noticed_late_keeps_who_came_since(make_bench: Any) -> None:
    bench = make_bench(10)
    bench.rules(nightly_close="03:00")
    gate = bench.gate()
    gate.enter(bench.ticket())
    bench.now_ms = at(bench, 27 * HOUR_MS) + 2 * HOUR_MS
    gate.enter(bench.ticket())
    gate.account["balance"] += 1
    gate.event("forced", side="entry", persons=1)
    gate.walk_out()
    gate.enter(bench.ticket())
    bench.attempt(Tick())
    assert (count(bench), by_ticket(bench)) == (2, {"bath": 2})


def test_a_passage_before_the_night_that_is_told_after_it(make_bench: Any) -> None:
    bench = make_bench(10)
    bench.rules(nightly_close="03:00")
    gate = bench.gate()
    answer = gate.ask(bench.ticket())
    gate.release(answer)
    told = bench.now_ms
    bench.now_ms = at(bench, 27 * HOUR_MS)
    bench.attempt(Tick())
    gate.account["pending"] -= 1
    gate.seq += 1
    bench.run(gate.message("event", kind="passed", ms=1, unix_ms=told, persons=1, nonce=answer["nonce"], side="entry"))
    assert (count(bench), by_ticket(bench)) == (0, {})
    assert bench.rows("SELECT state FROM visit") == [("ended",)]


def test_rules_with_a_night_do_not_close_the_night_before_them(make_bench: Any) -> None:
    bench = make_bench(10)
    bench.gate().enter(bench.ticket())
    bench.rules(nightly_close="03:00")
    bench.attempt(Tick())
    assert (count(bench), bench.ledger("nightly_close")) == (1, [])


def test_hours_last_entry_and_early_closing(bench: Any) -> None:
    zone = {"id": "bath", "hours": [{"from": "08:00", "until": "20:00"}], "last_entry_minutes": 60}
    bench.rules(zone=[zone], product=[{"id": "day", "name": "Tag", "entries": 1, "reentry": {"policy": "always"}}])
    code, late = bench.ticket(product="day"), bench.ticket()
    bench.now_ms = at(bench, 18 * HOUR_MS)
    assert bench.redeem(code)["code"] == "ok"
    bench.redeem(code, "exit")
    bench.now_ms = at(bench, 19 * HOUR_MS)
    refused = bench.redeem(late)
    assert (refused["code"], refused["rule"]) == ("closed", "single.last_entry")
    assert bench.redeem(code)["code"] == "ok_reentry", "who was in before may come back until it closes"
    bench.redeem(code, "exit")
    bench.order(Shut("bath", bench.now_ms, bench.now_ms + HOUR_MS, "Ann", "thunderstorm"))
    assert bench.redeem(code)["code"] == "closed"
    bench.restart()
    assert bench.redeem(code)["code"] == "closed"
    bench.order(Shut("bath", 0, 0, "Ann", "it went by"))
    assert bench.redeem(code)["code"] == "ok_reentry"
    assert bench.redeem(code, "exit")["code"] == "ok_exit"
    bench.now_ms = at(bench, 20 * HOUR_MS)
    shut = bench.redeem(late)
    assert (shut["code"], shut["values"]) == ("closed", {"opens_ms": at(bench, 32 * HOUR_MS)})
    assert [bench.ledger(kind)[0]["reason"] for kind in ("closed", "opened")] == ["thunderstorm", "it went by"]


def test_lockdown_shuts_every_entry_and_no_exit(bench: Any) -> None:
    gate, inside_code, code = bench.gate(), bench.ticket(), bench.ticket()
    gate.enter(inside_code)
    bench.order(SetMode("lockdown", "k", ("Ann",), "police"))
    assert (gate.ask(code)["code"], bench.redeem(code)["code"]) == ("closed", "closed")
    assert bench.redeem(inside_code, "exit")["code"] == "ok_exit"
    bench.restart()
    assert gate.ask(code)["code"] == "closed"
    bench.order(SetMode("", "k", ("Ann",), "over"))
    assert gate.ask(code)["code"] == "ok"


def test_evacuation_is_told_to_every_node_again_and_again(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()

    def told(sent: list[dict[str, Any]]) -> list[bool]:
        return [item["on"] for item in sent if item["kind"] == "emergency"]

    assert told(bench.run(SetMode("evacuation", "k", ("Ann",), "fire"))) == [True]
    assert gate.ask(code)["code"] == "emergency"
    assert told(bench.run(Tick(announce=True))) == [True]
    bench.restart()
    assert told(gate.hello()) == [True]
    for people in ((), ("Ann",), ("Ann", "ann ")):
        assert isinstance(bench.order(SetMode("", "k", people, "false alarm")), Declined)
    assert told(bench.run(SetMode("", "k", ("Ann", "Bob"), "false alarm"))) == [False]
    assert told(bench.run(Tick(announce=True))) == [False]
    assert [entry["mode"] for entry in bench.ledger("mode")] == ["evacuation", ""]


SLOT = {"id": "slot", "name": "Zeit", "entries": 1, "slots": {"minutes": 60, "early_minutes": 60, "quota": 99}}


def guarded(make_bench: Callable[[int], Bench], walk_in_percent: int) -> tuple[Bench, int]:
    bench = make_bench(4)
    guard = {"before_minutes": 30, "release_minutes": 15, "walk_in_percent": walk_in_percent}
    bench.rules(product=[SLOT], zone=[{"id": "bath", "guard": guard}])
    return bench, bench.now_ms + HOUR_MS


def test_bookings_guard_places_until_the_no_show_is_given_up(make_bench: Callable[[int], Bench]) -> None:
    bench, start = guarded(make_bench, 0)
    booked = [bench.ticket(product="slot", slot_ms=start) for _ in range(3)]
    bench.attempt(Tick())
    bench.now_ms = start - 30 * 60_000 - 100
    bench.attempt(Tick())
    assert bench.engine.live.guarded("bath", bench.now_ms) == 0
    bench.pass_by(seconds=10)
    bench.attempt(Tick())
    assert bench.engine.live.guarded("bath", bench.now_ms) == 3
    assert bench.redeem(bench.ticket())["code"] == "ok"
    refused = bench.redeem(bench.ticket())
    assert (refused["code"], refused["values"]["free"]) == ("zone_full", 0)
    assert bench.redeem(booked[0])["code"] == "ok"
    assert bench.engine.live.guarded("bath", bench.now_ms) == 2, "the guest is here"
    assert bench.redeem(bench.ticket())["code"] == "zone_full"
    bench.now_ms = start + 15 * 60_000
    bench.attempt(Tick())
    assert bench.engine.live.guarded("bath", bench.now_ms) == 0
    assert bench.redeem(bench.ticket())["code"] == "ok"


def test_walk_ins_have_their_share_whatever_is_booked(make_bench: Callable[[int], Bench]) -> None:
    bench, start = guarded(make_bench, 50)
    for _ in range(4):
        bench.ticket(product="slot", slot_ms=start)
    bench.now_ms = start
    bench.attempt(Tick())
    found = [bench.redeem(bench.ticket())["code"] for _ in range(3)]
    assert found == ["ok", "ok", "zone_full"]


def test_the_rest_of_a_family_comes_later_on_the_same_entry(make_bench: Any) -> None:
    bench = make_bench(10)
    gate, code = bench.gate(), bench.ticket(persons=4)
    answer = gate.ask(code)
    gate.release(answer)
    gate.walk_in(answer, 2)
    gate.turn_back(answer, 2)
    gate.status()
    rest = gate.ask(code)
    assert (rest["code"], rest["persons"]) == ("ok", 2)
    gate.release(rest)
    gate.walk_in(rest, 2)
    assert gate.ask(code)["code"] == "already_inside"
    assert bench.rows("SELECT entries_used FROM ticket") == [(1,)]
    leave(gate, code, "x1")
    assert gate.ask(code)["code"] == "used_up", "one of them left: that was the entry"


@pytest.fixture
def incomplete(make_bench: Any) -> tuple[Any, str]:
    """A gate, and a family's ticket of whom two are in and one was let in and stayed behind."""
    bench = make_bench(10)
    gate, code = bench.gate(), bench.ticket(persons=3)
    answer = gate.ask(code)
    gate.release(answer)
    gate.walk_in(answer, 2)
    gate.turn_back(answer, 1)
    return gate, code


def test_who_came_in_later_and_left_has_used_his_place(incomplete: tuple[Any, str]) -> None:
    gate, code = incomplete
    gate.enter(code)
    leave(gate, code, "x1")
    assert gate.ask(code)["code"] == "used_up"
    leave(gate, code, "x2")
    assert gate.ask(code)["code"] == "used_up"


def test_who_comes_later_and_stays_behind_once_more_may_still_come(incomplete: tuple[Any, str]) -> None:
    gate, code = incomplete
    answer = gate.ask(code)
    gate.release(answer)
    gate.turn_back(answer)
    assert gate.enter(code)["persons"] == 1
    assert gate.bench.rows("SELECT entries_used FROM ticket") == [(1,)]


def test_who_is_outside_while_the_family_is_next_door_pays_for_himself(spa: Bench) -> None:
    ice, direct, code = spa.gate("gate-5"), spa.gate("gate-3"), spa.ticket(persons=2)
    ice.enter(code)
    leave(ice, code, "x1")
    assert direct.ask(code)["code"] == "used_up"
    assert (counts(spa), by_ticket(spa)) == ((0, 0, 1), {"rink": 1})


def between_bath_and_rink(spa: Bench) -> tuple[Any, Any, str]:
    """The main entrance, the bridge, and the ticket of somebody who came in by the one and was let onto the other."""
    spa.rules(product=[{"id": "day", "name": "Tag", "entries": 1, "reentry": {"policy": "always"}}])
    main, bridge, code = spa.gate("gate-1"), spa.gate("gate-4"), spa.ticket(product="day")
    main.enter(code)
    bridge.release(bridge.ask(code))
    return main, bridge, code


def test_who_was_on_the_way_over_when_the_power_went_is_in_one_zone(spa: Bench) -> None:
    main, bridge, code = between_bath_and_rink(spa)
    bridge.loses_power(under_way=1)
    assert (counts(spa), by_ticket(spa)) == ((0, 0, 1), {"rink": 1})
    leave(spa.gate("gate-5"), code, "x1")
    assert main.ask(code)["code"] == "ok_reentry"


def test_who_was_on_the_way_over_when_a_journal_was_lost_is_in_one_zone(spa: Bench) -> None:
    _, bridge, _ = between_bath_and_rink(spa)
    bridge.loses_journal()
    assert by_ticket(spa) == {"rink": 1}


def test_who_is_inside_is_on_no_list_after_a_lane_forgot_his_question(spa: Bench) -> None:
    spa.rules(product=[{"id": "season", "name": "Saison"}])
    main, inner, code = spa.gate("gate-1"), spa.gate("gate-2"), spa.ticket(product="season", entries_max=None)
    main.enter(code)
    assert inner.ask(code)["code"] == "ok"
    inner.loses_power()
    assert by_ticket(spa) == {"bath": 1}
    assert spa.rows("SELECT listed FROM ticket") == [(0,)]
