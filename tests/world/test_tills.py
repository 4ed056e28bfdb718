"""A town of tills under faults: no card used twice, no cent without a name; and what is broken is found."""

import pytest
from typer.testing import CliRunner

from einlass_sim.tills import drawn, runs
from einlass_sim.world import planted, shrink
from einlass_sim.world.cli import simulate

HOURS = 1.0
# Found at the first seeds; `einlass simulate planted` tries all of them.
QUICK = ("coins_by_message", "paid_told_twice")


def test_what_tills_sell_is_known_and_no_card_is_used_twice() -> None:
    totals = runs.run(range(1, 9), HOURS, frozenset(drawn.FAULTS))
    assert totals.violations == []
    assert totals.served > 100
    for state in ("sold_alone", "used_own_alone", "used_report_alone", "controller_restarted", "handed_over"):
        assert totals.sometimes[state], state


def test_the_same_seed_is_the_same_history() -> None:
    one = drawn.draw(3, 0.5, frozenset(drawn.FAULTS))
    assert runs.play(one).history == runs.play(one).history
    other = drawn.draw(4, 0.5, frozenset(drawn.FAULTS))
    assert runs.play(one).history != runs.play(other).history


def test_without_faults_nothing_is_sold_alone() -> None:
    totals = runs.run(range(1, 3), HOURS, runs.kinds_of("none"))
    assert totals.violations == []
    assert totals.served > 20
    assert not totals.sometimes["sold_alone"]


def test_a_kind_that_is_left_out_changes_nothing_of_the_others() -> None:
    whole, less = drawn.draw(7, 2.0, frozenset(drawn.FAULTS)), drawn.draw(7, 2.0, frozenset(drawn.FAULTS) - {"cut"})
    assert less.episodes == tuple(item for item in whole.episodes if item.kind != "cut")


@pytest.mark.parametrize("name", QUICK)
def test_a_bug_planted_at_the_tills_is_found(name: str) -> None:
    found = planted.hunt([name])
    assert found.found == [name], found.as_dict()
    assert found.as_dict()["by_layer"]["town of tills"] == [name]


def test_a_town_that_breaks_a_promise_is_made_short_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrink, "TRIES", 4)
    whole = drawn.draw(1, HOURS, frozenset(drawn.FAULTS))
    with planted.planted("coins_by_message"):
        done = CliRunner().invoke(simulate, ["tills", "--seed", "1", "--hours", str(HOURS)])
    assert done.exit_code == 1
    head = next(line for line in done.stderr.splitlines() if line.startswith("seed 1, 3 tills"))
    assert int(head.split()[-2]) < len(whole.episodes)
    assert "VIOLATION coins_differ" in done.stderr.splitlines()[-1]


def test_there_is_no_such_fault() -> None:
    with pytest.raises(ValueError, match="no fault is called 'rain'"):
        runs.kinds_of("cut,rain")
