"""Which layer of tests finds a planted bug: state machines, unit tests; the world itself is in planted.py.

The tests run in a process of their own, which plants the bug before it collects them (this file is a plugin of pytest).
Only where the tests are, in a copy of the sources.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PLANTED = "EINLASS_PLANTED"
SECONDS_MAX = 600
FOUND, NOTHING = 1, 0  # as pytest ends: some failed, all passed
TESTS = Path(__file__).resolve().parents[3] / "tests"
LAYERS: Mapping[str, tuple[str, ...]] = {
    "state machines": (
        "world/test_gate_machine.py",
        "controller/test_house_model.py",
        "world/test_till_machine.py",
        "controller/test_voucher_model.py",
    ),
    "unit tests": (
        *("core/test_gate.py", "core/test_passage.py", "core/test_lease.py", "core/test_cut_off.py"),
        *("core/test_allowlist.py", "core/test_journal.py", "core/test_upload.py"),
        *("controller/test_occupancy.py", "controller/test_leases.py", "controller/test_node_stories.py"),
        *("controller/test_engine.py", "controller/test_told_late.py", "controller/test_steady.py"),
        *(
            "controller/test_backup.py",
            "controller/test_house.py",
            "controller/test_voucher_payments.py",
            "controller/test_voucher_rules.py",
        ),
    ),
}


class LayerError(RuntimeError):
    """The tests are not there, or say something else than passed or failed."""


def finds(layer: str, bug: str) -> bool:
    """Whether a test of this layer fails with the bug. bug "": the shipped code. Raises LayerError."""
    if not TESTS.is_dir():
        raise LayerError(f"{TESTS} is not there: the other layers are tests, and run in a copy of the sources only")
    files = [str(TESTS / name) for name in LAYERS[layer]]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", "-p", __name__, *files]
    try:
        done = subprocess.run(
            command,
            cwd=TESTS.parent,
            env={**os.environ, PLANTED: bug},
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True  # it hangs, and would not pass
    if done.returncode not in (FOUND, NOTHING):
        raise LayerError(f"{layer} with {bug!r}: {done.stdout[-800:]}{done.stderr[-800:]}")
    return done.returncode == FOUND


def pytest_sessionstart() -> None:
    """In the process of the tests: from now on the code is broken in this one way."""
    bug = os.environ.get(PLANTED, "")
    if bug:
        from einlass_sim.world import planted

        for patch in planted.BUGS[bug].patches():
            patch.start()
