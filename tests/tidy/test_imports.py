"""What the portable core, the board's shell and the controller's rules may lean on; import-linter checks packages."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tidy.conftest import Tree

# On both Pythons, without I/O and without a clock.
CORE_MODULES = {"binascii", "collections", "hashlib", "json", "struct"}
CORE_MODULES_OF = {"pump.py": {"asyncio"}}
MISSING_STRING_METHODS = {"removeprefix", "removesuffix", "zfill", "isalnum", "casefold", "expandtabs"}
MISSING_MODULES = {"typing", "dataclasses", "enum", "abc", "functools", "contextlib", "hmac", "pathlib", "logging"}
IMPURE_MODULES = {
    "asyncio", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "shutil", "signal",
    "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today", "monotonic", "perf_counter", "time_ns", "ticks_ms"}
DOMAIN_MAY_IMPORT = ("einlass_controller.domain", "einlass_tariff", "einlass_core.wire", "einlass_core.codes")
# On a node the controller's and the simulators' extras are not installed; the command line must start all the same.
LAZY = ("einlass_sim", "fastapi", "uvicorn", "sqlalchemy", "serial", "pymodbus", "zxingcpp", "littlefs")


def imports(module: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, full name) of everything imported at run time, so without `if TYPE_CHECKING:` blocks."""
    skipped = {
        id(node)
        for block in ast.walk(module)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for inner in block.body
        for node in ast.walk(inner)
    }
    for node in ast.walk(module):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                yield node.lineno, "." + base
            # `from einlass_core import wire` names a module too.
            elif base in ("einlass_core", "einlass_controller"):
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, base


def modules(tree: "Tree", under: str) -> list[tuple[Path, ast.Module]]:
    found = [(path, ast.parse(path.read_text())) for path in tree.files(".py", under=under)]
    assert found, f"no module under {under}"
    return found


def test_the_core_imports_only_itself(tree: "Tree") -> None:
    wrong = []
    for path, module in modules(tree, "firmware/lib/einlass_core"):
        allowed = CORE_MODULES | CORE_MODULES_OF.get(path.name, set())
        for line, name in imports(module):
            if name.split(".")[0] not in allowed | {"einlass_core"}:
                wrong.append(f"{tree.name(path)}:{line} imports {name}")
    assert not wrong, (
        "The core decides; it waits for nothing and touches nothing, so it imports only itself and "
        f"{sorted(CORE_MODULES)} (pump.py also asyncio). Pass in what it needs, or do it in a shell: {wrong}"
    )


@pytest.mark.parametrize("under", ["firmware/lib/einlass_core", "firmware/lib/einlass_node"])
def test_firmware_uses_nothing_that_micropython_lacks(tree: "Tree", under: str) -> None:
    wrong = []
    for path, module in modules(tree, under):
        name = tree.name(path)
        wrong += [f"{name}:{line} imports {what}" for line, what in imports(module) if what in MISSING_MODULES]
        for node in ast.walk(module):
            if isinstance(node, ast.Match):
                wrong.append(f"{name}:{node.lineno} has a match statement")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and node.args.posonlyargs:
                wrong.append(f"{name}:{node.lineno} has positional-only parameters")
            elif isinstance(node, ast.Attribute) and node.attr in MISSING_STRING_METHODS:
                wrong.append(f"{name}:{node.lineno} uses .{node.attr}")
    assert not wrong, (
        "MicroPython lacks these, and says so only when the line runs. Types go under `if TYPE_CHECKING:` "
        f"(from einlass_core.record): {wrong}"
    )


def test_the_controllers_rules_are_pure(tree: "Tree") -> None:
    wrong = []
    for path, module in modules(tree, "controller/einlass_controller/domain"):
        for line, name in imports(module):
            top = name.split(".")[0]
            ours = name.startswith(DOMAIN_MAY_IMPORT)
            if not ours and (top in IMPURE_MODULES or top not in sys.stdlib_module_names):
                wrong.append(f"{tree.name(path)}:{line} imports {name}")
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
                wrong.append(f"{tree.name(path)}:{node.lineno} reads a clock with .{node.func.attr}()")
    assert not wrong, (
        "Rules get their state and the time as arguments and return a decision; of ours they import "
        f"{', '.join(DOMAIN_MAY_IMPORT)}. "
        f"Move what waits, stores or looks at a clock into the shell around them: {wrong}"
    )


def test_nothing_asks_whether_it_is_simulated(tree: "Tree") -> None:
    wrong = []
    for under in ("firmware", "edge", "controller", "hardware"):
        for path, module in modules(tree, under):
            for node in ast.walk(module):
                if isinstance(node, ast.If | ast.IfExp) and "simul" in ast.unparse(node.test).lower():
                    wrong.append(f"{tree.name(path)}:{node.lineno}")
    assert not wrong, f"Simulators plug in below the drivers; the product does not know of them: {wrong}"


def test_the_command_line_starts_without_the_optional_parts() -> None:
    code = f"import sys, einlass_cli.main\nprint([name for name in {LAZY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]", (
        "einlass_cli.main must import these inside the command that needs them; a node has no controller installed: "
        + done.stdout
    )
