"""`einlass demo` and `einlass stop` as a person runs them: what they print, and that nothing is left behind."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from einlass_sim.audit import double_admissions
from einlass_sim.processes import Process, free_port, wait_until

READY_S_MAX = 90.0
PARK_S_MAX = 150.0
END_S_MAX = 90.0
KEYS = {"admitted", "refused", "inside_max", "cap", "scan_to_bolt_ms", "nodes", "broker", "ready_s"}
EINLASS = [sys.executable, "-m", "einlass_cli"]

pytestmark = pytest.mark.timeout(300)


class Run:
    """One demonstration in a directory of its own, as from a terminal: in a process group of its own."""

    def __init__(self, place: Path, *arguments: str) -> None:
        self.directory = place / "demo"
        self.process = Process("run", [*EINLASS, "demo", "--dir", str(self.directory), *arguments], directory=place)
        self.process.start()

    def ready(self) -> None:
        self.process.wait_ready(lambda: "ready in" in self.log(), READY_S_MAX)

    def log(self) -> str:
        path = self.process.log_path
        return path.read_text() if path.exists() else ""

    def result(self) -> dict[str, Any]:
        """Of a run that is over: its last line."""
        found: dict[str, Any] = json.loads(self.log().splitlines()[-1])
        return found

    def descendants(self) -> dict[int, str]:
        """Processes below it now: number -> when it was started, so that a number used again is another process."""
        found: dict[int, str] = {}
        parents = {pid: stat for pid in _pids() if (stat := _stat(pid)) is not None}
        below = {self.process.pid}
        while more := {pid for pid, stat in parents.items() if int(stat[1]) in below} - below:
            below |= more
        for pid in below - {self.process.pid}:
            found[pid] = parents[pid][19]
        return found


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> list[str] | None:
    """State, parent, ... (start time is number 19); None: gone, or only waited for."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else fields


def gone(processes: dict[int, str]) -> bool:
    return not [pid for pid, since in processes.items() if (stat := _stat(pid)) is not None and stat[19] == since]


def einlass(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*EINLASS, *arguments], capture_output=True, text=True, timeout=END_S_MAX, check=False)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[list[Run]]:
    runs: list[Run] = []
    yield runs
    for run in runs:
        run.process.kill()


def test_ctrl_c_ends_everything_and_a_second_demo_is_refused(tmp_path: Path, runs: list[Run]) -> None:
    run = Run(tmp_path, "--headless", "--json", "--arrivals", "120")
    runs.append(run)
    run.ready()
    processes = run.descendants()
    assert len(processes) >= 4, "broker, controller, two nodes"

    second = einlass("demo", "--headless", "--for", "1", "--dir", str(run.directory))
    assert second.returncode == 1
    assert "already" in second.stderr
    assert "einlass stop" in second.stderr
    # The car park may just be starting its own.
    assert processes.items() <= run.descendants().items(), "the first one was not touched"
    processes = run.descendants()

    run.process.signal(signal.SIGINT)
    assert run.process.wait(END_S_MAX) == 0
    assert gone(processes)
    result = run.result()
    assert result.keys() >= KEYS
    assert result["scan_to_bolt_ms"].keys() == {"esp32", "pi"}


def test_it_ends_by_itself_with_one_line_of_json(tmp_path: Path, runs: list[Run]) -> None:
    run = Run(tmp_path, "--for", "10", "--headless", "--json", "--arrivals", "180", "--cap", "3", "--broker", "nats")
    runs.append(run)
    run.ready()
    processes = run.descendants()
    assert run.process.wait(END_S_MAX) == 0
    assert gone(processes)
    result = run.result()
    assert result.keys() >= KEYS
    assert (result["cap"], result["nodes"], result["broker"]) == (3, 2, "nats")
    assert 0 < result["inside_max"] <= 3
    assert result["admitted"] >= result["inside_max"]
    assert result["refused"].get("zone_full", 0) > 0, "the cap was never reached: the run showed nothing"
    for latency in result["scan_to_bolt_ms"].values():
        assert latency is None or 0 < latency["p50"] <= latency["p99"]


def test_a_day_at_the_car_park(tmp_path: Path, runs: list[Run]) -> None:
    run = Run(tmp_path, "--json", "--arrivals", "20", "--port", str(free_port()))
    runs.append(run)
    run.ready()
    run.process.wait_ready(lambda: "http://" in run.log(), READY_S_MAX)  # told once the car park is open, too
    page = next(word for word in run.log().split() if word.startswith("http://"))

    def park() -> dict[str, Any]:
        with urllib.request.urlopen(page + "api/view", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)["park"]
        return found

    def day_is_over() -> bool:
        now = park()
        used: int = sum(shop["used"] for shop in now["shops"])
        return now["left"] >= 2 and now["lost"] >= 1 and used >= 1 and now["contract"] >= 1

    wait_until(day_is_over, PARK_S_MAX, "two cars came, paid with coins or card and a shop's card, and left")
    shown = park()
    assert shown["money"]["coins"] + shown["money"]["card"] > 0
    assert any(line.startswith("Frei ") for line in shown["sign"]["lines"])
    assert shown["sign"]["up"]
    assert shown["till"]["up"]
    processes = run.descendants()
    run.process.signal(signal.SIGINT)
    assert run.process.wait(END_S_MAX) == 0
    parking = run.result()["parking"]
    assert parking["consistent"], parking
    assert parking["contacts"] == 0, "a boom met a car"
    assert parking["present"] == parking["inside"]
    takings = parking["takings_cents"]
    assert takings["coins"] + takings["card"] == takings["booked"] > 0
    assert parking["contract_stays"] > 0, "the contract parker's card opens the entry"
    assert 0 < parking["vouchers"]["used"] <= parking["vouchers"]["handed_out"]
    assert gone(processes)


def test_stop_ends_a_demo_that_runs_elsewhere(tmp_path: Path, runs: list[Run]) -> None:
    run = Run(tmp_path)
    runs.append(run)
    run.ready()
    processes = run.descendants()
    stopped = einlass("stop", "--dir", str(run.directory))
    assert (stopped.returncode, stopped.stdout.strip()) == (0, "stopped")
    assert run.process.wait(END_S_MAX) == 0
    assert gone(processes)
    again = einlass("stop", "--dir", str(run.directory))
    assert (again.returncode, again.stdout.strip()) == (0, "no demo is running")


def test_no_cap_is_broken_and_no_ticket_used_twice_while_parts_are_killed(tmp_path: Path, runs: list[Run]) -> None:
    cap = 3
    arguments = [
        "--chaos",
        "--seed",
        "7",
        "--for",
        "35",
        "--headless",
        "--json",
        "--cap",
        str(cap),
        "--arrivals",
        "150",
    ]
    run = Run(tmp_path, *arguments)
    runs.append(run)
    run.ready()
    assert run.process.wait(2 * END_S_MAX) == 0, run.process.log_tail()
    result = run.result()
    assert sum(result["kills"].values()) >= 4, result
    assert result["admitted"] > 0, result
    assert result["refused"].get("zone_full", 0) > 0, "the cap was never reached: the run showed nothing"
    assert result["inside_max"] <= cap, result
    assert result["present"] >= result["inside"], result

    site = run.directory / "controller"
    verified = einlass("ledger", "verify", "--dir", str(site), "--json")
    assert verified.returncode == 0, verified.stderr
    told = json.loads(verified.stdout.splitlines()[-1])
    with sqlite3.connect(f"file:{site / 'einlass.db'}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT number, kind, body FROM ledger ORDER BY number").fetchall()
    assert (told["ok"], told["entries"]) == (True, len(rows))
    entries = [{"number": number, "kind": kind, "body": json.loads(body)} for number, kind, body in rows]
    assert double_admissions(entries) == []
