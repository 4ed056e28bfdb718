"""The clock that leases are counted by: never early, whatever happens to clocks, files and machines."""

import json
from pathlib import Path
from typing import Any

import pytest

from einlass_controller.domain.shares import ends_ms
from einlass_controller.engine import Engine
from einlass_controller.messages import Tick
from einlass_controller.orders import ConfirmRecount, LeasesUnknown, Restored
from einlass_controller.runtime import open_controller
from einlass_controller.steady import NOTE_EVERY_MS, STEADY_FILE, Run, SteadyClock, this_run

HOUR_MS = 3_600_000
WALL_MS = 1_790_000_000_000


class Machine:
    """What its kernel says."""

    def __init__(self) -> None:
        self.run = Run("first", 5_000)

    def __call__(self) -> Run:
        return self.run

    def lasts(self, ms: int) -> None:
        self.run = Run(self.run.id, self.run.ms + ms)


def test_it_counts_what_goes_by_and_goes_on_after_the_process_was_killed(tmp_path: Path) -> None:
    machine = Machine()
    clock = SteadyClock(tmp_path, WALL_MS, machine)
    assert not clock.is_known
    clock.note(now=True)
    machine.lasts(HOUR_MS)
    assert clock.ms() == WALL_MS + HOUR_MS
    again = SteadyClock(tmp_path, WALL_MS + 90 * HOUR_MS, machine)
    assert again.is_known
    assert again.ms() == WALL_MS + HOUR_MS, "the wall clock has no say"


def test_after_another_start_of_the_machine_it_is_late_and_not_early(tmp_path: Path) -> None:
    machine = Machine()
    clock = SteadyClock(tmp_path, WALL_MS, machine)
    machine.lasts(HOUR_MS)
    clock.note(now=True)
    machine.lasts(NOTE_EVERY_MS - 1)
    clock.note()  # not old enough to be written
    machine.run = Run("second", 9_999_999)
    after = SteadyClock(tmp_path, WALL_MS + 90 * HOUR_MS, machine)
    assert (after.is_known, after.ms()) == (True, WALL_MS + HOUR_MS)
    machine.lasts(10)
    assert after.ms() == WALL_MS + HOUR_MS + 10


def test_it_is_noted_again_when_the_note_is_old(tmp_path: Path) -> None:
    machine = Machine()
    clock = SteadyClock(tmp_path, WALL_MS, machine)
    machine.lasts(NOTE_EVERY_MS)
    clock.note()
    assert json.loads((tmp_path / STEADY_FILE).read_text())["steady_ms"] == WALL_MS + NOTE_EVERY_MS


def test_a_machine_without_an_id_and_one_that_was_put_back_go_on_from_the_note(tmp_path: Path) -> None:
    machine = Machine()
    machine.run = Run("", 5_000)
    SteadyClock(tmp_path, WALL_MS, machine).note(now=True)
    machine.lasts(HOUR_MS)
    assert SteadyClock(tmp_path, WALL_MS, machine).ms() == WALL_MS
    machine.run = Run("first", 8_000)
    clock = SteadyClock(tmp_path, WALL_MS, machine)
    machine.run = Run("first", 1_000)  # the machine itself was put back to an earlier moment
    assert clock.ms() == WALL_MS


@pytest.mark.parametrize("content", ["", "{", '{"steady_ms": 1}', '{"steady_ms": "x", "run": "", "run_ms": 0}', "[]"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / STEADY_FILE).write_text(content)
    clock = SteadyClock(tmp_path, WALL_MS, Machine())
    assert (clock.is_known, clock.ms()) == (False, WALL_MS)


def test_the_kernel_has_such_a_clock() -> None:
    first, second = this_run(), this_run()
    assert first.id == second.id != ""
    assert 0 < first.ms <= second.ms


def lent_on(bench: Any, steady: list[int]) -> Any:
    """A lane with a lease, then gone; the controller counts by a clock of its own."""
    bench.engine = Engine(bench.database, steady=lambda: steady[0])
    gate = bench.gate()
    newest = {"added": 1_000_000, "removed": 1_000_000, "age_ms": 0}
    gate.status(cut_off="leased", list=newest)
    bench.engine.live.nodes["gate-1"].online = False
    return bench.engine.live.books.accounts["east"]


def test_a_lease_does_not_end_because_the_wall_clock_jumps(bench: Any) -> None:
    steady = [7 * HOUR_MS]
    account = lent_on(bench, steady)
    assert account.leased_until_ms == ends_ms(steady[0], bench.engine.live.leasing.lease_ms)
    bench.run(Restored("trial", 5))
    bench.now_ms += 90 * 24 * HOUR_MS
    people = ConfirmRecount({"bath": 0}, ("east",), "ann")
    refused = bench.attempt(people).results[0]
    assert (refused.what, refused.names) == ("leased", ("east",))
    steady[0] += refused.waits_ms[0] - 1
    assert bench.attempt(people).results[0].waits_ms == (1,)
    steady[0] += 1
    assert bench.attempt(people).results[0].what == "done"


def test_a_controller_that_does_not_know_how_long_it_was_down_counts_from_its_start(bench: Any) -> None:
    account = lent_on(bench, [50 * HOUR_MS])
    assert account.leased_until_ms > 58 * HOUR_MS
    bench.engine = Engine(bench.database, steady=lambda: HOUR_MS)
    assert bench.attempt(LeasesUnknown()).results == [1]
    account = bench.engine.live.books.accounts["east"]
    assert account.leased_until_ms == ends_ms(HOUR_MS, bench.engine.live.leasing.lease_ms)
    assert bench.rows("SELECT leased_until_ms FROM account WHERE lane = 'east'") == [(account.leased_until_ms,)]
    bench.run(Tick())


def test_the_controller_keeps_the_clock_beside_its_database(bench: Any) -> None:
    lent_on(bench, [50 * HOUR_MS])
    bench.database.dispose()
    (bench.prepared.directory / STEADY_FILE).unlink(missing_ok=True)
    controller = open_controller(bench.settings)
    first = controller.live.books.accounts["east"].leased_until_ms
    assert first >= ends_ms(controller.steady.ms(), controller.engine.live.leasing.lease_ms) - 60_000
    controller.close()
    controller = open_controller(bench.settings)
    assert controller.steady.is_known
    assert controller.live.books.accounts["east"].leased_until_ms == first, "what went by meanwhile counts"
    controller.close()
