"""A broken configuration: the program says what to mend and ends with its code; a board says it again and again."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from einlass_controller.setup import Prepared
from einlass_hardware.firmware import build
from einlass_sim.demo import parts
from einlass_sim.devices.board import Board
from einlass_sim.processes import free_port, wait_until

DEADLINE_S = 40.0
EXIT_CONFIG = 2
NODE = """\
site = "freibad"
node = "west"
journal = "journal.db"
[broker]
host = "127.0.0.1"
password = "secret"
[entry]
serial = "/dev/nowhere"
[turnstile]
kind = "modbus"
host = "127.0.0.1"
"""


def einlass(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "einlass_cli", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == EXIT_CONFIG, done
    for word in words:
        assert word in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["node.toml"]),
        (NODE.replace("serial", "seriel"), ["entry.seriel", "serial"]),
        (NODE + "\xe4 = \x00", ["node.toml"]),
    ],
    ids=["missing", "mistyped", "no text"],
)
def test_node_toml(tmp_path: Path, text: str | None, words: list[str]) -> None:
    path = tmp_path / "node.toml"
    if text is not None:
        path.write_text(text, encoding="latin-1")
        path.chmod(0o600)
    refused(einlass("node", "--config", str(path)), *words)
    assert not (tmp_path / "journal.db").exists(), "nothing was begun"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return parts.prepare_site(tmp_path_factory.mktemp("site"), 3, free_port(), free_port())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-10], ["controller.toml"]),
        (lambda text: text.replace("mqtt_port", "mqtt_prot"), ["mqtt_prot", "mqtt_port"]),
    ],
    ids=["cut off", "mistyped"],
)
def test_controller_toml(prepared: Prepared, tmp_path: Path, change: object, words: list[str]) -> None:
    assert callable(change)
    (tmp_path / "controller.toml").write_text(change(prepared.settings.read_text()))
    refused(einlass("controller", "run", "--dir", str(tmp_path)), *words)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    firmware = build(tmp_path / "firmware")
    board = parts.esp32_board(tmp_path, firmware, "", {}, free_port(), "a password of this board")
    board.deploy()
    yield board
    board.stop()


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("profile.json", lambda text: text[:-30], "profile.json"),
        ("config.json", lambda text: json.dumps({**json.loads(text), "lane": {"ask_ms": 1}}), "ask_ms"),
    ],
    ids=["cut off", "out of bounds"],
)
def test_files_of_a_board(board: Board, name: str, change: object, words: str) -> None:
    assert callable(change)
    board.write_file(name, change(board.read_file(name).decode()).encode())
    board.start()

    def said() -> bool:
        return board.log_path.exists() and "configuration:" in board.log_path.read_text()

    wait_until(said, DEADLINE_S, "the board says what is wrong")
    line = next(row for row in board.log_path.read_text().splitlines() if "configuration:" in row)
    assert words in line, line
    assert board.alive, "its console stays open for the technician"
    assert board.starts == 1
