"""The set-up run again with other nodes or zones at its lanes: the cap holds, or nobody is let in before a count."""

from pathlib import Path
from typing import Any

import pytest
from tests.controller.conftest import site
from tests.controller.test_backup import settle, start
from typer.testing import CliRunner

from einlass_controller import cli
from einlass_controller.domain.occupancy import InvariantError
from einlass_controller.messages import Correct
from einlass_controller.orders import ConfirmRecount
from einlass_controller.plan import plan_of
from einlass_controller.runtime import open_controller
from einlass_controller.setup import set_up
from einlass_controller.store.database import DatabaseError
from einlass_controller.store.reading import ledger_entries
from einlass_controller.store.replaying import compare


class Site:
    """A pool for 20 with a sauna in it; twelve came in by gate-1, one by gate-2."""

    def __init__(self, make_park: Any) -> None:
        self.plan = site(20)
        self.plan["zone"].append({"id": "sauna", "name": "Sauna", "cap": 9, "parent": "bath"})
        self.bench = make_park(self.plan)
        self.first, self.second = self.bench.gate("gate-1"), self.bench.gate("gate-2")
        for _ in range(12):
            self.first.enter(self.bench.ticket())
        self.second.enter(self.bench.ticket())

    def lane(self, number: int, **changes: str) -> None:
        self.plan["lane"][number].update(changes)

    def set_up(self) -> str:
        """As an operator does: stop, set up, start. Returns why people must be counted."""
        self.bench.close()
        count = set_up(plan_of(self.plan), self.bench.prepared.directory).count
        start(self.bench)
        return count

    def hello(self) -> None:
        for gate in (self.first, self.second):
            for item in gate.hello():
                if item["kind"] == "limit" and item["node"] == gate.name:
                    gate.obey(item)

    def fill(self, gate: Any) -> int:
        """How many of twenty more find a place."""
        came = 0
        for _ in range(20):
            answer = gate.ask(self.bench.ticket())
            if answer["code"] == "ok":
                gate.release(answer)
                gate.walk_in(answer)
                came += 1
        return came

    def ledger_agrees(self) -> bool:
        with self.bench.database.connect() as connection:
            return bool(compare(connection, ledger_entries(connection), self.bench.engine.live)["ok"])


@pytest.fixture
def pool(make_park: Any) -> Site:
    return Site(make_park)


def test_accounts_go_with_nodes_that_are_exchanged_between_lanes(pool: Site) -> None:
    pool.lane(0, node="gate-2")
    pool.lane(1, node="gate-1")
    assert pool.set_up() == ""
    accounts = pool.bench.engine.live.books.accounts
    assert [(accounts[lane].inc, accounts[lane].balance) for lane in ("east", "west")] == [
        ("incgate-2", 1),
        ("incgate-1", 12),
    ]
    pool.hello()
    assert (pool.fill(pool.second), pool.bench.figures()) == (7, (20, 0, 0, 0))
    assert pool.ledger_agrees()
    pool.first.walk_out()
    pool.first.status()
    assert pool.bench.figures() == (19, 0, 0, 1)
    assert pool.bench.engine.live.recount == ""


def test_a_lane_into_another_zone_lets_nobody_in_before_a_count(pool: Site) -> None:
    pool.lane(0, zone="sauna", outer="bath")
    why = pool.set_up()
    assert "gate-1 counted into bath, now into sauna" in why
    live = pool.bench.engine.live
    assert live.recount == why
    assert pool.bench.figures()[0] == 13, "what was known stays where it was"
    assert any("recount_needed" in alarm["reason"] for alarm in pool.bench.ledger("alarm"))
    pool.hello()
    assert pool.fill(pool.second) == 0
    settle(pool.bench, pool.first, pool.second)
    assert pool.bench.order(ConfirmRecount({"bath": 13, "sauna": 4}, (), "Ann")).what == "done"
    assert (pool.fill(pool.second), pool.bench.figures()[0]) == (7, 20)
    assert pool.ledger_agrees()


def test_nodes_exchanged_between_zones_let_nobody_in_before_a_count(pool: Site) -> None:
    pool.lane(1, zone="sauna", outer="bath")
    assert pool.set_up()
    settle(pool.bench, pool.first, pool.second)
    assert pool.bench.order(ConfirmRecount({"bath": 13, "sauna": 1}, (), "Ann")).what == "done"
    for gate in (pool.first, pool.second):
        gate.status()
    pool.second.enter(pool.bench.ticket())
    pool.lane(0, node="gate-2")
    pool.lane(1, node="gate-1")
    assert pool.set_up()
    pool.hello()
    assert (pool.fill(pool.first), pool.fill(pool.second)) == (0, 0)


def test_a_parent_that_a_zone_gets_lets_nobody_in_before_a_count(pool: Site) -> None:
    pool.plan["zone"].append({"id": "house", "name": "Haus", "cap": 30})
    assert pool.set_up() == "", "a zone more changes nothing"
    pool.plan["zone"][0]["parent"] = "house"
    assert "gate-1 counted into bath, now into bath+house" in pool.set_up()


def test_a_lane_that_was_never_used_may_lead_anywhere(make_bench: Any) -> None:
    bench, plan = make_bench(20), site(20)
    bench.gate("gate-2").enter(bench.ticket())
    plan["zone"].append({"id": "sauna", "name": "Sauna", "cap": 9})
    plan["lane"][0]["zone"] = "sauna"
    bench.close()
    assert set_up(plan_of(plan), bench.prepared.directory).count == ""


def test_a_new_node_at_a_lane_ends_what_the_old_one_had_under_way(pool: Site) -> None:
    pool.first.ask(pool.bench.ticket())
    assert pool.bench.figures() == (13, 1, 0, 6)
    pool.plan["node"].append({"id": "gate-3"})
    pool.lane(0, node="gate-3")
    assert pool.set_up() == ""
    third = pool.bench.gate("gate-3")
    pool.bench.restart()
    assert pool.bench.rows("SELECT count(*) FROM visit WHERE state IN ('reserved', 'released')") == [(0,)]
    assert pool.bench.figures() == (14, 0, 0, 6), "what it may have used stays owed"
    assert any("had another node: 13 places" in alarm["reason"] for alarm in pool.bench.ledger("alarm"))
    assert (pool.fill(third), pool.ledger_agrees()) == (6, True)


def test_a_node_that_had_no_lane_and_spoke_gets_one(pool: Site) -> None:
    pool.plan["node"].append({"id": "gate-3"})
    pool.set_up()
    third = pool.bench.gate("gate-3")
    assert third.ask(pool.bench.ticket())["code"] == "error"
    pool.lane(0, node="gate-3")
    assert pool.set_up() == ""
    assert (pool.bench.engine.live.books.accounts["east"].inc, pool.bench.figures()[0]) == ("incgate-3", 13)
    assert any("lane east had another node: 12 places" in alarm["reason"] for alarm in pool.bench.ledger("alarm"))
    assert (pool.fill(third), pool.bench.figures()[0], pool.ledger_agrees()) == (7, 20, True)


def test_what_a_count_has_in_it_goes_with_the_node(pool: Site) -> None:
    pool.bench.order(Correct("bath", 10, None, "Ann", "counted"))
    before = pool.bench.engine.live.areas["bath"].counted
    pool.lane(0, node="gate-2")
    pool.lane(1, node="gate-1")
    pool.set_up()
    after = pool.bench.engine.live.areas["bath"].counted
    assert (tuple(after["east"]), tuple(after["west"])) == (tuple(before["west"]), tuple(before["east"]))


def test_a_lane_by_another_name_has_its_nodes_account(pool: Site) -> None:
    pool.plan["lane"][0] = {"id": "gate", "zone": "bath", "node": "gate-1", "name": "Tor"}
    assert pool.set_up() == ""
    lanes = pool.bench.engine.live.lanes
    assert (lanes["east"].node, lanes["gate"].node) == ("", "gate-1")
    pool.hello()
    assert (pool.fill(pool.first), pool.bench.figures()) == (7, (20, 0, 0, 0))
    assert pool.ledger_agrees()


def test_a_lane_that_is_left_out_keeps_its_node_and_its_count(pool: Site) -> None:
    del pool.plan["lane"][0]
    assert pool.set_up() == ""
    assert pool.bench.figures()[0] == 13
    pool.hello()
    assert pool.fill(pool.first) == 7


def test_a_plan_with_a_mistake_asks_for_no_count(pool: Site, tmp_path: Path) -> None:
    pool.lane(0, zone="sauna", outer="bath")
    pool.plan["zone"].append({"id": "cars", "name": "P", "cap": 1, "tariff": str(tmp_path / "none.toml")})
    with pytest.raises(ValueError, match=r"none\.toml"):
        pool.set_up()
    start(pool.bench)
    assert pool.bench.engine.live.recount == ""


def test_a_lane_is_moved_once_more_before_the_count(pool: Site) -> None:
    pool.lane(1, zone="sauna", outer="bath")
    assert pool.set_up()
    settle(pool.bench, pool.first, pool.second)
    for _ in range(5):
        pool.first.walk_out()
    assert pool.bench.figures()[0] == 8
    pool.lane(0, zone="sauna", outer="bath")
    assert pool.set_up()
    assert pool.bench.figures()[0] == 8
    pool.hello()
    assert (pool.fill(pool.first), pool.fill(pool.second)) == (0, 0)


def test_a_plan_that_broke_the_books_can_be_put_right(pool: Site) -> None:
    for _ in range(3):
        pool.second.walk_out()
    with pool.bench.database.begin() as connection:
        connection.exec_driver_sql("UPDATE lane SET zone = 'sauna', \"outer\" = 'bath' WHERE id = 'west'")
    with pytest.raises(InvariantError):
        pool.bench.restart()
    assert pool.set_up() == ""
    assert pool.bench.figures()[0] == 10


def test_the_set_up_says_what_follows(pool: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.lane(0, zone="sauna", outer="bath")
    monkeypatch.setattr("einlass_controller.plan.read_plan", lambda _: plan_of(pool.plan))
    pool.bench.close()
    told = ["setup", "--plan", str(tmp_path / "site.toml"), "--dir", str(pool.bench.prepared.directory)]
    done = CliRunner().invoke(cli.controller, told)
    assert done.exit_code == 0, done.output
    assert "NOBODY IS LET IN before people have been counted: the plan was changed: gate-1" in done.output
    assert "einlass recount --dir" in done.output


def test_books_of_an_exchange_from_before_the_set_up_saw_it_are_not_gone_on_with(pool: Site) -> None:
    pool.bench.close()
    pool.lane(1, zone="sauna", outer="bath")
    with pool.bench.database.begin() as connection:
        for lane, node, zone, outer in (("east", "gate-2", "bath", ""), ("west", "gate-1", "sauna", "bath")):
            connection.exec_driver_sql(
                f"UPDATE lane SET node = '{node}', zone = '{zone}', \"outer\" = '{outer}' WHERE id = '{lane}'"
            )
    start(pool.bench)
    assert "exchanged" in pool.bench.engine.live.recount
    pool.hello()
    assert (pool.fill(pool.first), pool.fill(pool.second)) == (0, 0)


@pytest.mark.parametrize("changes", [{"zone": "sauna", "outer": "bath"}, {"node": "gate-3"}])
def test_no_lane_is_moved_while_a_controller_runs(pool: Site, changes: dict[str, str]) -> None:
    pool.plan["node"].append({"id": "gate-3"})
    pool.lane(0, **changes)
    controller = open_controller(pool.bench.settings)
    with pytest.raises(DatabaseError, match="another controller"):
        set_up(plan_of(pool.plan), pool.bench.prepared.directory)
    controller.close()
