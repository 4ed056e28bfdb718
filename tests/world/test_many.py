"""Long runs: the same in several processes, gone on with after a kill, and never two kinds of run in one file."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from einlass_sim.world import many, runs
from einlass_sim.world.cli import simulate
from einlass_sim.world.drawn import Drawn
from einlass_sim.world.tally import Found

NONE = runs.kinds_of("none")
HOURS = 0.1
PLAY = runs.play


def told(totals: runs.Totals) -> dict[str, Any]:
    """All but the time it took."""
    return totals.as_dict() | {"cpu_s": 0}


def test_several_processes_find_what_one_finds() -> None:
    alone = runs.run(range(3, 6), HOURS, runs.kinds_of("all"))
    together = many.run(3, 5, HOURS, runs.kinds_of("all"), jobs=2)
    assert told(together) == told(alone)
    assert together.cpu_s > 0


def test_a_run_that_ended_early_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "PIECE_SEEDS", 2)
    out = tmp_path / "run.jsonl"
    whole = many.run(1, 5, HOURS, NONE, out=out)
    lines = out.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    out.write_bytes(b"".join(lines[:2]) + lines[2][:20])  # killed while the second piece was written
    played: list[int] = []

    def play(drawn: Drawn, tell: bool = False) -> Found:
        played.append(drawn.seed)
        return PLAY(drawn, tell)

    monkeypatch.setattr(runs, "play", play)
    again = many.run(1, 5, HOURS, NONE, out=out)
    assert played == [3, 4, 5]
    assert told(again) == told(whole)
    assert [json.loads(line)["seeds"] for line in out.read_text().splitlines()[1:]] == [2, 2, 1]


def test_nothing_is_played_when_all_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run.jsonl"
    whole = many.run(1, 2, HOURS, NONE, out=out)
    monkeypatch.setattr(runs, "play", None)
    assert many.run(1, 2, HOURS, NONE, out=out).as_dict() == whole.as_dict()


def test_a_file_of_another_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run.jsonl"
    many.run(1, 1, HOURS, NONE, out=out)
    with pytest.raises(many.FileError, match=r"begun with hours 0\.1, now it is 0\.2: write to another file"):
        many.run(1, 1, 0.2, NONE, out=out)
    monkeypatch.setattr(many, "code_digest", lambda: "other")
    with pytest.raises(many.FileError, match="begun with code"):
        many.run(1, 1, HOURS, NONE, out=out)
    out.write_text("seeds: 5\n")
    with pytest.raises(many.FileError, match="no file of `simulate world --out`"):
        many.run(1, 1, HOURS, NONE, out=out)


def test_the_command_says_how_far_it_is_and_what_came_of_it(tmp_path: Path) -> None:
    words = ["world", "--seeds", "1..2", "--hours", "0.1", "--json", "--out", str(tmp_path / "run.jsonl")]
    first, second = CliRunner().invoke(simulate, words), CliRunner().invoke(simulate, words)
    assert first.exit_code == 0
    assert "2 of 2 seeds" in first.stderr
    assert json.loads(first.stdout) == json.loads(second.stdout)
    assert json.loads(first.stdout)["seeds"] == 2
    refused = CliRunner().invoke(simulate, [*words[:4], "0.2", *words[5:]])
    assert refused.exit_code == 2
    assert "was begun with hours" in refused.stderr
