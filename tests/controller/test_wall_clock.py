"""The controller's time while somebody sets the machine's clock."""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from einlass_controller.writer import Clock
from einlass_sim.line.machines import WallClock

HOUR_MS = 3_600_000


class Machine:
    """Its two clocks, in milliseconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_ms, self.up_ms = 1_790_000_000_000, 5_000
        monkeypatch.setattr(time, "time_ns", lambda: self.wall_ms * 1_000_000)
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.up_ms * 1_000_000)

    def lasts(self, ms: int) -> None:
        self.wall_ms += ms
        self.up_ms += ms


def test_it_is_the_wall_clock_as_long_as_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, clock = Machine(monkeypatch), Clock()
    assert clock.now_ms() == machine.wall_ms
    machine.lasts(10)
    assert clock.now_ms() == machine.wall_ms
    machine.wall_ms += HOUR_MS
    assert clock.now_ms() == machine.wall_ms, "forwards it jumps with it"


def test_set_back_it_never_runs_back_and_never_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, clock = Machine(monkeypatch), Clock()
    before = clock.now_ms()
    machine.wall_ms -= HOUR_MS
    assert clock.now_ms() == before
    seen = []
    for _ in range(7 * 60):
        machine.lasts(10_000)
        seen.append(clock.now_ms())
    assert seen[0] == before + 5_000, "half as fast, so that what is sent again after a while is"
    assert all(one < other for one, other in itertools.pairwise(seen))
    machine.lasts(HOUR_MS)
    assert clock.now_ms() == machine.wall_ms, "caught up"


def test_the_simulators_wall_clock_is_what_a_program_sees(tmp_path: Path) -> None:
    wall = WallClock(tmp_path / "clock")
    wall.set(HOUR_MS)
    text = "import time, json; print(json.dumps([time.time_ns(), time.time(), time.monotonic()]))"

    def look() -> list[float]:
        done = subprocess.run([sys.executable, "-c", text], env=wall.env(), capture_output=True, check=True)
        return list(json.loads(done.stdout))

    later = look()
    wall.set(-HOUR_MS)
    earlier = look()
    assert later[0] - earlier[0] > 1.9 * HOUR_MS * 1_000_000
    assert later[1] - earlier[1] > 1.9 * HOUR_MS / 1000
    assert earlier[2] >= later[2], "clocks that count are left alone"
