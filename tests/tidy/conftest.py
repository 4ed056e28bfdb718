"""The files of the tree, for rules about all of them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".git", ".venv", ".stubs", ".bootstrap", ".hypothesis", "__pycache__", "node_modules", "var", "dist"}


class Tree:
    """What is under version control, or about to be; without git, what is no product of a tool."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = sorted(_from_git(root) or _from_disk(root))

    def files(self, *suffixes: str, under: str = "") -> list[Path]:
        """Files with one of these endings (none: all), below `under`."""
        base = self.root / under
        return [p for p in self.paths if p.is_relative_to(base) and (not suffixes or p.name.endswith(suffixes))]

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def texts(self, *suffixes: str, under: str = "") -> Iterator[tuple[str, str]]:
        """(name, content) of those that are text."""
        for path in self.files(*suffixes, under=under):
            try:
                yield self.name(path), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def _from_git(root: Path) -> list[Path]:
    command = ["git", "-c", f"safe.directory={root}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    paths = (root / name for name in done.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file()]


def _from_disk(root: Path) -> list[Path]:
    return [
        path
        for path in root.rglob("*")
        if path.is_file() and not any(part in NOT_OURS or part.endswith("_cache") for part in path.parts)
    ]


@pytest.fixture(scope="session")
def tree() -> Tree:
    found = Tree(ROOT)
    assert len(found.paths) > 50, "a rule about all files must see them"
    return found
