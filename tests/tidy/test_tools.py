"""The scripts that a newcomer meets first: plain sh, executable, clear when something is missing."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tidy.conftest import Tree

SECONDS = 20
BASHISMS = ("[[", "function ", "<<<", "source ", "pipefail", "declare ", "&>")


@pytest.fixture
def pip_to_uv(tree: "Tree") -> ModuleType:
    spec = importlib.util.spec_from_file_location("pip_to_uv", tree.root / "tools/pip_to_uv.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_scripts_are_plain_sh_and_can_be_run(tree: "Tree") -> None:
    scripts = tree.files(".sh", under="tools")
    assert scripts
    for script in scripts:
        text = script.read_text()
        assert text.startswith("#!/bin/sh\n"), f"{script.name}: a bare machine has sh"
        assert os.access(script, os.X_OK), f"chmod +x {script.name}"
        assert not [word for word in BASHISMS if word in text], f"{script.name} uses what only bash knows"
        subprocess.run(["sh", "-n", str(script)], check=True, timeout=SECONDS)


def test_bootstrap_says_what_it_can_install(tree: "Tree") -> None:
    done = subprocess.run(
        ["sh", str(tree.root / "tools/bootstrap.sh"), "everything"], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 1
    assert "bootstrap.sh demo" in done.stderr


def test_bootstrap_without_a_python_says_which_one_is_needed(tree: "Tree", tmp_path: Path) -> None:
    root = _copy(tree, tmp_path)
    old = root / "bin/python3"
    old.write_text("#!/bin/sh\ncase $1 in --version) echo Python 3.9.2;; *) exit 1;; esac\n")
    old.chmod(0o755)
    script = root / "tools/bootstrap.sh"
    script.write_text(script.read_text().replace("/usr/bin/python3", str(old)))
    done = _run(root, script, "demo")
    assert done.returncode == 1
    assert "3.11 or newer" in done.stderr
    assert "3.9.2" in done.stderr
    assert not (root / ".venv").exists()


def test_a_current_environment_is_left_alone(tree: "Tree", tmp_path: Path) -> None:
    root = _copy(tree, tmp_path)
    python = root / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 3.11.2\n")
    python.chmod(0o755)
    script = root / "tools/bootstrap.sh"
    summed = subprocess.run(
        f"cat {root}/pyproject.toml {script} | sha256sum", shell=True, capture_output=True, text=True, check=True
    ).stdout.split()[0]
    stamp = root / ".venv/.einlass-dev"
    stamp.write_text(f"{summed} 3.11.2 {root}\n")
    for want in ("dev", "demo"):
        done = _run(root, script, want)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    stamp.write_text(f"{summed} 3.11.2 /somewhere/else\n")
    assert "installing" in _run(root, script, "dev").stderr


def test_pips_index_and_certificate_are_used_by_uv_too(pip_to_uv: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in pip_to_uv.VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    listing = "\n".join(
        [
            "global.index-url='https://mirror.example/simple'",
            "global.extra-index-url='\\nhttps://a.example/simple\\nhttps://b.example/simple'",
            "install.cert='/no/such/certificate.pem'",
            ":env:.default-timeout='90'",
            "global.timeout='15'",
            "freeze.timeout='10'",
        ]
    )
    assert pip_to_uv.exports(pip_to_uv.settings(listing)) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_EXTRA_INDEX_URL": "https://a.example/simple https://b.example/simple",
        "UV_HTTP_TIMEOUT": "90",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://own.example/simple")
    assert "UV_DEFAULT_INDEX" not in pip_to_uv.exports(pip_to_uv.settings(listing))
    assert pip_to_uv.exports({}) == {}


def _copy(tree: "Tree", tmp_path: Path) -> Path:
    root = tmp_path / "einlass"
    (root / "tools").mkdir(parents=True)
    (root / "bin").mkdir()
    for name in ("pyproject.toml", "tools/bootstrap.sh"):
        shutil.copy(tree.root / name, root / name)
    return root


def _run(root: Path, script: Path, want: str) -> subprocess.CompletedProcess[str]:
    # Only the basic tools: no other Python, no apt, no root.
    places = root / "bin"
    for tool in ("sh", "dirname", "date", "cat", "sha256sum", "cut", "sed", "id", "rm", "mkdir"):
        program = shutil.which(tool)
        assert program is not None
        if not (places / tool).exists():
            (places / tool).symlink_to(program)
    return subprocess.run(
        ["sh", str(script), want], env={"PATH": str(places)}, capture_output=True, text=True, timeout=SECONDS
    )
