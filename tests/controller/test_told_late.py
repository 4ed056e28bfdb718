"""What a lane tells late, because it was cut off: state follows the order of events, not that of their arrival."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.controller.conftest import Bench, Gate
from tests.controller.test_house import SPA, by_ticket, counts

from einlass_controller.engine import Engine
from einlass_controller.messages import Correct, Tick
from einlass_controller.orders import ConfirmRecount, Recounted, Restored
from einlass_controller.setup import Prepared
from einlass_controller.store.reading import ledger_entries, one_moment
from einlass_controller.store.replaying import compare
from einlass_core import codes


class Clocked(Gate):
    """A gate that knows the time, and may keep what it has to say for later."""

    def __init__(self, bench: Bench, name: str) -> None:
        super().__init__(bench, name)
        self.away = False
        self.untold: list[Any] = []
        self.hello()

    def event(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        self.seq += 1
        message = self.message("event", kind=kind, ms=1, unix_ms=self.bench.now_ms, **fields)
        if self.away:
            self.untold.append(message)
            return []
        return self.bench.run(message)

    def tell(self) -> None:
        for _ in self.tells_one_by_one():
            pass

    def leaves(self, code: str) -> None:
        nonce = f"{self.inc}.x.{self.seq}"
        self.event("exit", nonce=nonce, side="exit", digest=codes.digest(code))
        self.walk_out(nonce=nonce)
        self.bench.pass_by(seconds=10)

    def tells_one_by_one(self) -> Iterator[None]:
        """As tell(), to look at the books after each of them."""
        self.away = False
        self.hello()
        for message in self.untold:
            self.bench.run(message)
            yield

    def tell_to_the_restored(self, times: int = 1) -> None:
        """As tell(), and so often, to a controller that gives it a new ceiling first: its count was begun anew."""
        self.away = False
        for item in [*self.hello(), *self.bench.run(Tick())]:
            if item["kind"] == "limit" and item["node"] == self.name:
                self.account.update(item["limit"], balance=0)
        self.status()
        for message in self.untold:
            for _ in range(times):
                self.bench.run(message)

    def somebody_in(self) -> None:
        """Without a ticket: the sensors have counted him."""
        self.account["balance"] += 1
        self.event("forced", side="entry", persons=1)

    def walk_out_one_by_one(self, persons: int) -> None:
        for _ in range(persons):
            self.walk_out()
            self.bench.pass_by(seconds=10)

    def lets_in(self, code: str, persons: int | None = None) -> dict[str, Any]:
        answer = self.ask(code)
        assert answer["code"] in ("ok", "ok_reentry"), answer
        self.release(answer)
        self.bench.pass_by(seconds=10)
        if persons is None:
            self.walk_in(answer, answer["persons"])
            self.bench.pass_by(seconds=10)
        return answer


@pytest.fixture
def spa(tmp_path: Path, new_site: Callable[[dict[str, Any], Path], Prepared]) -> Iterator[Bench]:
    bench = Bench(new_site(SPA, tmp_path / "spa"))
    bench.rules(
        product=[
            {"id": "day", "name": "Tag", "entries": 1, "reentry": {"policy": "always"}},
            {"id": "card", "name": "Karte", "entries": 6, "group": True},
        ]
    )
    yield bench
    with one_moment(bench.database) as connection:
        replayed = compare(connection, ledger_entries(connection), bench.engine.live)
        assert replayed["ok"], replayed
    bench.close()


def count_bath(spa: Bench, persons: int) -> None:
    spa.order(Correct("bath", persons, None, "Ann", "counted"))


def restore_and_count(spa: Bench, persons: int) -> int:
    """An old copy is put back, and then the bath counted while the main entrance is away; when that was."""
    spa.order(Restored("an old copy was put back", 5))
    spa.pass_by(minutes=10)
    counted_ms = spa.now_ms
    done = spa.order(ConfirmRecount({"bath": persons, "sauna": 0, "rink": 0}, (), "Ann", ("main",)))
    assert done == Recounted("done", ("main",))
    return counted_ms


def test_a_way_out_told_late_does_not_end_what_began_after_it(spa: Bench) -> None:
    ice, main, code = Clocked(spa, "gate-5"), Clocked(spa, "gate-1"), spa.ticket(product="day")
    ice.lets_in(code)
    ice.away = True
    ice.leaves(code)
    main.lets_in(code)
    ice.tell()
    assert (counts(spa), by_ticket(spa)) == ((1, 0, 0), {"bath": 1})
    assert main.ask(code)["code"] == "already_inside", "he is: nobody else comes in on this ticket"


def let_into_the_sauna(spa: Bench) -> tuple[Clocked, str]:
    """The sauna's own entrance, which leads into the bath around it as well; it tells of the passage late."""
    direct, code = Clocked(spa, "gate-3"), spa.ticket(product="day")
    answer = direct.lets_in(code, persons=0)
    direct.away = True
    direct.walk_in(answer)
    spa.pass_by(seconds=10)
    return direct, code


def test_a_way_out_of_the_zone_around_is_told_before_the_way_in(spa: Bench) -> None:
    main, (direct, code) = Clocked(spa, "gate-1"), let_into_the_sauna(spa)
    main.leaves(code)
    direct.tell()
    assert by_ticket(spa) == {}
    assert main.ask(code)["code"] == "ok_reentry"


@pytest.mark.parametrize("is_told", [False, True])
def test_a_way_out_into_the_zone_around_is_told_before_the_way_in(spa: Bench, is_told: bool) -> None:
    main, inner, (direct, code) = Clocked(spa, "gate-1"), Clocked(spa, "gate-2"), let_into_the_sauna(spa)
    inner.leaves(code)
    if is_told:
        direct.tell()
        assert counts(spa) == (1, 0, 0)
    assert by_ticket(spa) == {"bath": 1}
    assert main.ask(code)["code"] == "already_inside"
    main.leaves(code)
    assert by_ticket(spa) == {}


def test_a_way_out_that_is_told_before_the_way_in(spa: Bench) -> None:
    main, direct, inner = (Clocked(spa, name) for name in ("gate-1", "gate-3", "gate-2"))
    code = spa.ticket(product="day")
    main.lets_in(code)
    answer = inner.lets_in(code, persons=0)
    inner.away = True
    inner.walk_in(answer)
    spa.pass_by(seconds=10)
    direct.leaves(code)
    inner.tell()
    assert (counts(spa), by_ticket(spa)) == ((0, 0, 0), {})
    assert main.ask(code)["code"] == "ok_reentry", "he left and may come again"


def test_of_a_family_only_those_are_gone_who_left_early(spa: Bench) -> None:
    main, direct = Clocked(spa, "gate-1"), Clocked(spa, "gate-3")
    code = spa.ticket(product="day", persons=2)
    answer = main.lets_in(code, persons=0)
    main.away = True
    main.walk_in(answer, 2)
    spa.pass_by(seconds=10)
    direct.leaves(code)
    assert spa.rows("SELECT passed, left FROM visit") == [(0, 1)]
    main.tell()
    assert by_ticket(spa) == {"bath": 1}


def test_who_walks_on_before_his_way_in_is_told_is_where_he_went(spa: Bench) -> None:
    ice, bridge = Clocked(spa, "gate-5"), Clocked(spa, "gate-4")
    code = spa.ticket(product="day", persons=2)
    answer = ice.lets_in(code, persons=0)
    ice.away = True
    ice.walk_in(answer, 2)
    spa.pass_by(seconds=10)
    bridge.leaves(code)
    ice.tell()
    assert (counts(spa), by_ticket(spa)) == ((1, 0, 1), {"bath": 1, "rink": 1})


def test_who_walks_on_leaves_only_where_the_lane_starts(spa: Bench) -> None:
    main, bridge, inner, ice = (Clocked(spa, name) for name in ("gate-1", "gate-4", "gate-2", "gate-5"))
    code = spa.ticket(product="card", entries_max=6)
    ice.lets_in(code)
    main.lets_in(code)
    inner.lets_in(code)
    assert by_ticket(spa) == {"bath": 1, "sauna": 1, "rink": 1}, "two people on one card, in two places"
    bridge.lets_in(code)
    assert by_ticket(spa) == {"rink": 2}


def test_the_last_who_came_go_first(spa: Bench) -> None:
    main, direct = Clocked(spa, "gate-1"), Clocked(spa, "gate-3")
    code = spa.ticket(product="card", entries_max=6)
    main.lets_in(code)
    main.away = True
    main.leaves(code)
    direct.lets_in(code)
    direct.leaves(code)
    main.tell()
    assert (counts(spa), by_ticket(spa)) == ((0, 0, 0), {})


def test_who_is_in_an_inner_zone_is_in_the_one_around_it_however_he_came_there(spa: Bench) -> None:
    bridge, ice, inner = (Clocked(spa, name) for name in ("gate-4", "gate-5", "gate-2"))
    code = spa.ticket(product="card", entries_max=6)
    ice.lets_in(code)
    bridge.away = True
    bridge.leaves(code)
    inner.lets_in(code)
    assert by_ticket(spa) == {"bath": 1, "sauna": 1}
    bridge.tell()
    assert (counts(spa), by_ticket(spa)) == ((1, 1, 0), {"bath": 1, "sauna": 1})


def test_who_came_and_left_before_a_count_is_nobody_after_it(spa: Bench) -> None:
    main = Clocked(spa, "gate-1")
    main.event("limit")
    main.away = True
    main.somebody_in()
    spa.pass_by(seconds=10)
    main.walk_out_one_by_one(1)
    count_bath(spa, 0)
    spa.pass_by(seconds=10)
    main.tell()
    assert counts(spa) == (0, 0, 0)
    assert spa.engine.live.books.zones["bath"].counted == 0


def told_after_a_count(spa: Bench, away_ms: int, side: str, after_ms: int, off_ms: int, jump_ms: int = 0) -> int:
    """The count when somebody passed the main entrance so long after two were counted, by a clock that is so far off.

    The lane was cut off so long before; the controller's wall clock jumped meanwhile.
    """
    steady_ms = spa.now_ms
    spa.engine = Engine(spa.database, steady=lambda: steady_ms)
    main = Clocked(spa, "gate-1")
    for _ in range(2):
        main.somebody_in()
    main.away = True
    spa.run(Tick())
    spa.now_ms += away_ms + jump_ms
    steady_ms += away_ms
    spa.run(Tick())
    count_bath(spa, 2)
    spa.now_ms += after_ms + off_ms
    main.account["balance"] += 1 if side == "entry" else -1
    main.event("forced" if side == "entry" else "passed", side=side, persons=1)
    spa.now_ms += 600_000 - off_ms
    steady_ms += 600_000 + after_ms
    main.tell()
    return counts(spa)[0]


HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("case", "found"),
    [
        ((HOUR_MS, "entry", 10_000, 0), 3),
        ((HOUR_MS, "entry", 10_000, -36_000), 3),  # its clock lost a part in a hundred
        ((HOUR_MS, "entry", -60_000, 0), 2),
        ((HOUR_MS, "exit", -10_000, 36_000), 2),  # and gained one
        ((HOUR_MS, "exit", 60_000, 0), 1),
        ((HOUR_MS, "entry", 60_000, -2 * HOUR_MS, 2 * HOUR_MS), 3),  # ours was put right, and it was not told
        ((HOUR_MS, "exit", -10_000, 2 * HOUR_MS, -2 * HOUR_MS), 2),
    ],
)
def test_who_passes_near_a_count_where_the_clock_is_wrong_is_not_missing(
    spa: Bench, case: tuple[Any, ...], found: int
) -> None:
    """Who came may count twice, and who left may still count; never the other way round."""
    assert told_after_a_count(spa, *case) == found


def told_after_our_clock_went(spa: Bench, *steps: tuple[int, int]) -> int:
    """The count when one of two left before one was counted, by a clock that is as ours was in the beginning.

    steps: so far our clock went meanwhile, and the steady one, which is right.
    """
    steady_ms = spa.now_ms
    spa.engine = Engine(spa.database, steady=lambda: steady_ms)
    main = Clocked(spa, "gate-1")
    for _ in range(2):
        main.somebody_in()
    main.away, off_ms = True, 0
    for wall_ms, truly_ms in steps:
        spa.now_ms += wall_ms
        steady_ms += truly_ms
        off_ms += truly_ms - wall_ms
        spa.run(Tick())
    spa.now_ms += off_ms
    main.walk_out()
    spa.now_ms += 10_000 - off_ms
    steady_ms += 10_000
    count_bath(spa, 1)
    spa.now_ms += 600_000
    steady_ms += 600_000
    main.tell()
    return counts(spa)[0]


@pytest.mark.parametrize(
    "steps",
    [
        [(250, 500)] * 600,  # set back: followed at half speed
        [(700, 500)] * 300 + [(250, 500)] * 600,
        [(0, HOUR_MS)],
        [(3 * HOUR_MS, HOUR_MS), (-2 * HOUR_MS, HOUR_MS)],
    ],
    ids=["slowly", "to and fro", "at once", "at once to and fro"],
)
def test_who_left_by_a_clock_that_was_not_set_with_ours_is_in_the_count(
    spa: Bench, steps: list[tuple[int, int]]
) -> None:
    assert told_after_our_clock_went(spa, *steps) == 1


def test_a_clock_that_is_slewed_to_and_fro_is_right(spa: Bench) -> None:
    """Little by little, and never far in all: who left some seconds after a count is not in it."""
    steady_ms = spa.now_ms
    spa.engine = Engine(spa.database, steady=lambda: steady_ms)
    main = Clocked(spa, "gate-1")
    for _ in range(2):
        main.somebody_in()
    for step in range(100):
        spa.now_ms += 400 if step % 2 else -400
        steady_ms += 10
        spa.run(Tick())
    count_bath(spa, 2)
    main.away = True
    spa.now_ms += 5_000
    main.walk_out()
    spa.now_ms += 60_000
    steady_ms += 65_000
    main.tell()
    assert counts(spa)[0] == 1


def test_a_commit_that_fails_forgets_no_jump_of_the_clock(spa: Bench) -> None:
    steady_ms = spa.now_ms
    spa.engine = Engine(spa.database, steady=lambda: steady_ms)
    main = Clocked(spa, "gate-1")
    for _ in range(2):
        main.somebody_in()
    main.away = True
    spa.run(Tick())
    spa.now_ms += HOUR_MS
    spa.run(Tick())
    spa.fails_to_commit(Correct("bath", 2, None, "Ann", "counted"))
    count_bath(spa, 2)
    steady_ms += 600_000
    spa.now_ms += 600_000 - HOUR_MS
    main.somebody_in()  # by its clock, which nobody has put right
    spa.now_ms += HOUR_MS
    main.tell()
    assert counts(spa)[0] == 3
