"""Real processes under drawn faults; `einlass simulate line` plays as many as one likes."""

import pytest

from einlass_sim.line import faults, runs

SEED = 3
FAULTS = 7
KINDS = ["reset", "torn", "half_open", "disk_full", "kill_after_scan", "slow", "all_cut"]

pytestmark = pytest.mark.timeout(300)


def test_counts_agree_after_a_few_faults() -> None:
    found = runs.run(SEED, FAULTS, KINDS)
    assert found["violations"] == []
    assert sum(found["faults"].values()) == FAULTS
    assert found["scans"] > 0


def test_a_body_that_no_program_saw_is_found() -> None:
    async def a_thief_of_counts(each: faults.Faults) -> None:
        each.line.truth.inside += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(faults.KINDS, "unseen", a_thief_of_counts)
        patch.setattr(runs, "SETTLE_S_MAX", 5.0)
        found = runs.run(SEED, 1, ["unseen"])
    assert "the counts agree" in found["violations"][0]


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(ValueError, match="no fault is called 'rain'"):
        runs.kinds_of("reset,rain")
