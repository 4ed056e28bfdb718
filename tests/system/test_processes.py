"""Real processes: what is started is ready when it says so, and nothing of it is left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from einlass_sim import processes
from einlass_sim.processes import Process, ProcessError, free_port, wait_until

DEADLINE_S = 30.0

# Starts a grandchild that ignores SIGTERM, writes both ids, and waits for ever.
STUBBORN = """
import os, pathlib, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"])
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {child.pid}")
signal.pause()
"""


def python(name: str, code: str, directory: Path, *arguments: str) -> Process:
    return Process(name, [sys.executable, "-c", textwrap.dedent(code), *arguments], directory=directory)


def gone(pid: int) -> bool:
    """Whether the process is no more, or only waits to be collected."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


def started_pids(file: Path) -> list[int]:
    wait_until(lambda: file.exists() and len(file.read_text().split()) == 2, DEADLINE_S, "both are started")
    return [int(word) for word in file.read_text().split()]


def test_the_whole_group_ends_even_if_it_ignores_the_request(tmp_path: Path) -> None:
    with python("stubborn", STUBBORN, tmp_path, str(tmp_path / "pids")) as process:
        pids = started_pids(tmp_path / "pids")
        process.terminate(grace_s=0.2)
        assert process.returncode == -signal.SIGKILL
    for pid in pids:
        wait_until(lambda pid=pid: gone(pid), DEADLINE_S, f"{pid} is gone")  # type: ignore[misc]


def test_orphans_of_a_dead_leader_are_killed_too(tmp_path: Path) -> None:
    process = python("leader", STUBBORN, tmp_path, str(tmp_path / "pids")).start()
    leader, orphan = started_pids(tmp_path / "pids")
    os.kill(leader, signal.SIGKILL)
    wait_until(lambda: not process.alive, DEADLINE_S, "the leader is dead")
    assert not gone(orphan)
    process.terminate()
    wait_until(lambda: gone(orphan), DEADLINE_S, "the orphan is gone")


@pytest.mark.needs("setpriv")
def test_it_dies_with_the_program_that_started_it(tmp_path: Path) -> None:
    parent = f"""
    import pathlib, signal, sys, threading
    from einlass_sim.processes import Process
    command = [sys.executable, "-c", {STUBBORN!r}, {str(tmp_path / "pids")!r}]
    # Started from a thread that ends at once: it must outlive the thread, not the program.
    thread = threading.Thread(target=Process("child", command, directory=pathlib.Path({str(tmp_path)!r})).start)
    thread.start()
    thread.join()
    print("started", flush=True)
    signal.pause()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(parent)], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "started\n"
        child, grandchild = started_pids(tmp_path / "pids")
        was_running = not gone(child)
        program.kill()
    try:
        assert was_running
        wait_until(lambda: gone(child), DEADLINE_S, "the child died with its parent")
    finally:
        for pid in (child, grandchild):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_program_that_ends_early_is_told_with_its_last_words(tmp_path: Path) -> None:
    process = python("early", "print('no such database'); raise SystemExit(3)", tmp_path).start()
    with pytest.raises(ProcessError, match=r"early ended with 3(.|\n)*no such database"):
        process.wait_ready(lambda: False)
    assert process.returncode == 3


def test_a_program_that_is_never_ready_is_told_with_its_last_words(tmp_path: Path) -> None:
    with (
        python("slow", "import signal; print('waiting for a disk', flush=True); signal.pause()", tmp_path) as process,
        pytest.raises(ProcessError, match="slow is ready"),
    ):
        process.wait_ready(lambda: False, deadline_s=0.3)


def test_the_log_is_bounded_and_the_program_never_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_BYTES_MAX", 50_000)
    code = "import sys\nfor n in range(20_000): print('line', n, 'x' * 60)\nsys.stdout.write('y' * 300_000)"
    assert python("chatty", code, tmp_path).start().wait(DEADLINE_S) == 0
    sizes = [(tmp_path / name).stat().st_size for name in ("chatty.log", "chatty.log.1")]
    assert max(sizes) <= 50_000
    assert (tmp_path / "chatty.log").read_text().endswith("y")


def test_it_starts_again_after_a_kill_and_keeps_its_log(tmp_path: Path) -> None:
    process = python("again", "import signal; print('up', flush=True); signal.pause()", tmp_path)
    for run in (1, 2):
        process.start()
        wait_until(lambda run=run: process.log_tail().split() == ["up"] * run, DEADLINE_S, "it is up")  # type: ignore[misc]
        with pytest.raises(ProcessError, match="already started"):
            process.start()
        process.kill()
        assert process.returncode == -signal.SIGKILL
        assert not process.alive


def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="no-such-program is not installed"):
        Process("ghost", ["no-such-program"], directory=tmp_path).start()


def test_free_ports_are_free() -> None:
    ports = {free_port() for _ in range(20)}
    assert len(ports) > 1
    assert all(1024 <= port <= 65_535 for port in ports)
