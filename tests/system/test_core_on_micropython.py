"""The core's tests once more, on MicroPython: what it lacks is only found when run."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).with_name("micropython")
TIMEOUT_S = 100


def run(script: Path) -> subprocess.CompletedProcess[str]:
    """A script on MicroPython with the core on its path."""
    env = {**os.environ, "MICROPYPATH": f"{ROOT}/firmware/lib:.frozen"}
    command = [str(MICROPYTHON), "-X", "heapsize=1M", str(script)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def test_the_core_passes_on_micropython_with_as_many_tests_as_here() -> None:
    done = run(ROOT / "tests/core/on_micropython.py")
    assert done.returncode == 0, done.stdout + done.stderr
    here = sum(
        len(re.findall(r"^def test_", path.read_text(), re.MULTILINE)) for path in ROOT.glob("tests/core/test_*.py")
    )
    assert done.stdout.splitlines()[-1] == f"{here} passed, 0 failed"


def test_a_failing_test_fails_there_too(tmp_path: Path) -> None:
    (tmp_path / "on_micropython.py").write_text((ROOT / "tests/core/on_micropython.py").read_text())
    (tmp_path / "test_broken.py").write_text("def test_broken():\n    assert False\n")
    done = run(tmp_path / "on_micropython.py")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed"


QSTRS = """
import micropython
from einlass_core import codes
def kept(number):
    for at in range(number):
        code = codes.opaque((at * 123456789123456789) % (1 << 80))
        assert codes.read(code.encode()) == code
    for byte in range(33, 127):
        codes.read(b"a stranger's code " + bytes((byte,)))
kept(1)
micropython.qstr_info()
kept(50)
micropython.qstr_info()
"""


def test_codes_leave_nothing_behind_on_a_board(tmp_path: Path) -> None:
    script = tmp_path / "qstrs.py"
    script.write_text(QSTRS)
    done = run(script)
    assert done.returncode == 0, done.stdout + done.stderr
    before, after = done.stdout.splitlines()
    assert before == after
    assert int(re.findall(r"n_qstr=(\d+)", before)[0]) < 70, "no character of its own for each that was read"
