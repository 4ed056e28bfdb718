"""Real processes under drawn faults; `einlass simulate line` plays as many as one likes."""

import subprocess
import sys

import pytest

from einlass_sim.line import faults, machines, runs

SEED = 3
KINDS = ["reset", "torn", "half_open", "disk_full", "kill_after_scan", "slow", "all_cut", "clock_jump", "reboot"]

pytestmark = pytest.mark.timeout(300)


def test_counts_agree_after_a_few_faults() -> None:
    kinds = [kind for kind in KINDS if kind not in faults.impossible()]
    found = runs.run(SEED, len(kinds), kinds)
    assert found["violations"] == []
    assert sorted(found["faults"]) == sorted(kinds)
    assert found["scans"] > 0


def test_a_body_that_no_program_saw_is_found() -> None:
    async def a_thief_of_counts(each: faults.Faults) -> None:
        each.line.truth.inside += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(faults.KINDS, "unseen", a_thief_of_counts)
        patch.setattr(runs, "SETTLE_S_MAX", 5.0)
        found = runs.run(SEED, 1, ["unseen"])
    assert "the counts agree" in found["violations"][0]


DROPPED = """
import socket, time
from einlass_sim.line.machines import CLIENTS_ADDRESS, can_drop_packets, packets_dropped
assert can_drop_packets()
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname(), source_address=(CLIENTS_ADDRESS, 0))
there, _ = server.accept()
client.settimeout(0.5)
with packets_dropped():
    there.sendall(b"late")
    try:
        print("heard", client.recv(9))
    except TimeoutError:
        print("silence")
client.settimeout(20)
print(client.recv(9).decode())
"""


def test_dropped_packets_are_silence_and_the_connection_goes_on() -> None:
    program = machines.own_network([sys.executable, "-c", DROPPED])
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
    assert done.stdout.splitlines() == ["silence", "late"], done.stderr


def test_a_machine_that_starts_anew_has_a_clock_that_does() -> None:
    if not machines.can_begin_clocks():
        pytest.skip("no time namespaces here")
    text = "import time; print(time.clock_gettime(time.CLOCK_BOOTTIME))"
    done = subprocess.run(machines.begun_anew(7, [sys.executable, "-c", text]), capture_output=True, check=True)
    assert 6 <= float(done.stdout) < 60


def test_what_others_use_is_left_alone() -> None:
    assert not machines.can_drop_packets()
    with pytest.raises(ValueError, match="own-network"):
        runs.kinds_of("cable")


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(ValueError, match="no fault is called 'rain'"):
        runs.kinds_of("reset,rain")
