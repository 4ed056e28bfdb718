"""The bench runs and prints its line. What it prints is not judged: this machine may be busy."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from einlass_core import codes
from einlass_sim.bench.cli import bench
from einlass_sim.bench.stock import code_of

RUN = [sys.executable, "-m", "einlass_cli", "bench", "decisions"]
DEADLINE_S = 55


@pytest.mark.needs("mosquitto")
def test_a_moment_with_two_nodes_prints_the_line() -> None:
    options = ["--nodes", "2", "--seconds", "0.6", "--tickets", "1000", "--http", "--json"]
    done = subprocess.run([*RUN, *options], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["decisions_per_s"] > 0
    assert found["echo_per_s"] > 0
    assert found["ratio"] == pytest.approx(found["decisions_per_s"] / found["echo_per_s"], abs=0.01)
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    assert (found["nodes"], found["tickets"], found["database"], found["client"]) == (2, 1000, "sqlite", "own")
    assert found["fsync_ms"] > 0
    assert found["controller_peak_mib"] >= found["controller_before_mib"] > 10
    assert found["controller_peak_mib"] >= found["controller_mib"]
    assert found["controller_kib_per_node"] >= 0
    assert sum(found["share"].values()) == pytest.approx(1, abs=0.01)
    assert set(found["share"]) == {"broker", "database", "ours"}
    # a bench whose decisions are refusals would be fast and worthless
    assert set(found["codes"]) == {"ok"}
    assert found["http"]["codes"]["ok"] > 0


def test_what_cannot_be_measured_says_why() -> None:
    done = CliRunner().invoke(bench, ["decisions", "--nodes", "1", "--seconds", "1", "--database", "mysql://x/y"])
    assert done.exit_code == 2
    assert "postgresql+psycopg://" in done.stderr


def test_the_stock_has_codes_as_the_product_makes_them() -> None:
    made = [code_of(7, number) for number in range(2_000)]
    assert len(set(made)) == len(made)
    for code in made:
        assert codes.read(code.encode()) == code
