"""An entry that is taken back where a lane leads into several zones, and on a family's ticket."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.controller.conftest import Bench
from tests.controller.test_house import SPA, by_ticket, counts

from einlass_controller.orders import AnnulEntry, Done
from einlass_controller.setup import Prepared


@pytest.fixture
def spa(tmp_path: Path, new_site: Callable[..., Prepared]) -> Iterator[Bench]:
    bench = Bench(new_site(SPA, tmp_path / "spa"))
    bench.rules()
    yield bench
    bench.close()


def take_back(spa: Bench) -> int:
    """How many of it are counted still."""
    done = spa.order(AnnulEntry("T1", "", "wrong", "ann"))
    assert isinstance(done, Done)
    return done.counted


def entries_used(spa: Bench) -> int:
    return int(spa.rows("SELECT entries_used FROM ticket")[0][0])


def test_an_entry_through_two_zones_is_taken_back_in_both(spa: Bench) -> None:
    direct, main, code = spa.gate("gate-3"), spa.gate("gate-1"), spa.ticket()
    direct.enter(code)
    assert take_back(spa) == 1
    assert (entries_used(spa), by_ticket(spa)) == (0, {})
    assert main.ask(code)["code"] == "ok"


def test_an_entry_at_a_desk_within_another_zone_is_taken_back_in_both_and_its_place_is_free(spa: Bench) -> None:
    code = spa.ticket()
    assert spa.redeem(code, lane="desk-sauna")["code"] == "ok"
    assert (counts(spa), by_ticket(spa)) == ((0, 1, 0), {"bath": 1, "sauna": 1})
    assert take_back(spa) == 0
    assert (counts(spa), by_ticket(spa)) == ((0, 0, 0), {})


def test_after_walking_over_the_entry_is_still_the_one_that_is_taken_back(spa: Bench) -> None:
    main, inner, code = spa.gate("gate-1"), spa.gate("gate-2"), spa.ticket()
    main.enter(code)
    inner.enter(code)
    take_back(spa)
    assert entries_used(spa) == 0


def test_who_came_later_on_a_familys_entry_may_come_again_when_that_is_taken_back(spa: Bench) -> None:
    main, code = spa.gate("gate-1"), spa.ticket(persons=3)
    answer = main.ask(code)
    main.release(answer)
    main.walk_in(answer, 2)
    main.turn_back(answer, 1)
    main.enter(code)
    assert take_back(spa) == 1
    again = main.ask(code)
    assert (again["code"], again["persons"]) == ("ok", 1)
