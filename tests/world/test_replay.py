"""A lane's journal fed to the core again: the same account at every record, or the first that differs is named."""

import json
from pathlib import Path

import pytest

from einlass_core import codes
from einlass_core.events import ENTRY, EXIT, BodyPassed, EmergencyInput, Limited, Linked, Rearmed, Ticked
from einlass_core.journal import frame
from einlass_core.lease import Limit
from einlass_sim.replay import ReplayError, steps_of
from lane import CODE, Lane


def day() -> Lane:
    """Online, alone, stepped back, out, an emergency, a power cut under way."""
    lane = Lane()
    lane.listed = {codes.digest(CODE.decode()): 1}
    lane.step(0, Limited(Limit(0, 1, 4), 0, 10**9))
    lane.scan(1000)
    lane.answer(1100, persons=2)
    lane.step(2000, BodyPassed(ENTRY))
    lane.step(2500, BodyPassed(ENTRY))
    lane.step(2600, Limited(Limit(0, 9, 6), 2000, 10**9))
    lane.step(3000, Linked(False))
    lane.scan(6000)
    lane.step(12_000, Ticked())
    lane.step(12_400, Ticked())
    lane.scan(20_000, raw=b"unknown")
    lane.scan(30_000, side=EXIT)
    lane.step(31_000, BodyPassed(EXIT))
    lane.step(32_000, BodyPassed(ENTRY))
    lane.step(33_000, EmergencyInput(True))
    lane.step(34_000, EmergencyInput(False))
    lane.step(35_000, Rearmed("Ada", "Bea"))
    lane.scan(40_000)
    return Lane(lane.store)


def written(folder: Path, lane: Lane) -> Path:
    lines = b"".join(frame(text) for _, text in lane.store.records)
    (folder / "00000001.jnl").write_bytes(lines)
    return folder


def test_every_record_is_made_again(tmp_path: Path) -> None:
    steps = list(steps_of(str(written(tmp_path, day()))))
    assert [step.kind for step in steps][:4] == ["boot", "limit", "released", "passed"]
    assert [step.kind for step in steps][-2:] == ["boot", "uncertain"]
    assert [str(step) for step in steps if not step.agrees] == []
    alone = next(step for step in steps if step.fields.get("reason") == "leased")
    assert alone.effects == ["record released", "bolt entry free", "show ok"]


def test_a_record_that_the_core_would_not_make_is_named(tmp_path: Path) -> None:
    lane = day()
    seq, text = lane.store.records[4]
    record = json.loads(text)
    record["account"]["balance"] += 1
    lane.store.records[4] = (seq, json.dumps(record))
    steps = list(steps_of(str(written(tmp_path, lane))))
    assert [step.seq for step in steps if not step.agrees][:1] == [seq]


def test_what_is_no_journal_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="no journal there"):
        list(steps_of(str(tmp_path / "missing.db")))
    with pytest.raises(ReplayError, match=r"no \.jnl file"):
        list(steps_of(str(tmp_path)))
    lines = written(tmp_path, day()) / "00000001.jnl"
    lines.write_bytes(lines.read_bytes().replace(b"boot", b"b00t", 1))
    with pytest.raises(ReplayError, match="record 1 is damaged"):
        list(steps_of(str(tmp_path)))
