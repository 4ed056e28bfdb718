"""The black box of a lane: its journal fed to the shipped core, record by record, and what the lane did at each step.

A journal says what came of every event; the event that must have led to it is fed to a gate again, and the record and
the account that this makes are compared with what is written.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from einlass_core.effects import Ask, Effect, Record, SetBolt, Show
from einlass_core.events import (
    ENTRY,
    EXIT,
    Answered,
    BodyPassed,
    EmergencyInput,
    Event,
    Limited,
    Linked,
    Rearmed,
    Scanned,
    Started,
)
from einlass_core.gate import FREE_FLOW, LEASED, OPEN, Gate, GateSettings
from einlass_core.journal import unframe
from einlass_core.lease import Account, Limit, account_from

FOREVER_MS = 1 << 50
ANY_CODE = b"replayed"


class ReplayError(ValueError):
    """There is no journal, or it is not sound; the text says which record."""


@dataclass
class Step:
    """One record: what the journal says, what the core did, and whether the two agree."""

    seq: int
    kind: str
    ms: int
    fields: dict[str, Any]
    account: dict[str, Any]
    effects: list[str] = field(default_factory=list)
    agrees: bool = True
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        return dict(vars(self))

    def __str__(self) -> str:
        told = " ".join(f"{name}={value}" for name, value in self.fields.items())
        account = f"{self.account['balance']}/{self.account['ceiling']}"
        head = f"{self.seq:6} {self.ms / 1000:10.1f} s  {self.kind:10} {account:>8}  {told}"
        lines = [head, *[f"{'':31}-> {effect}" for effect in self.effects]]
        return "\n".join(lines if self.agrees else [*lines, f"{'':31}!! {self.why}"])


def steps_of(place: str) -> Iterator[Step]:
    """Every step of a journal. Raises ReplayError."""
    lane: _Lane | None = None
    last = 0
    for seq, text in read_journal(Path(place)):
        record = json.loads(text)
        if last and seq != last + 1:
            raise ReplayError(f"record {last + 1} is missing: {seq} follows {last}")
        last = seq
        if lane is None or record["kind"] == "boot" or record["inc"] != lane.inc:
            lane = _Lane(record)
        yield lane.step(record)


def read_journal(place: Path) -> Iterator[tuple[int, str]]:
    """(number, record) of a Pi's journal.db, a board's folder of .jnl files, or one such file."""
    if place.is_dir():
        files = sorted(place.glob("*.jnl"))
        if not files:
            raise ReplayError(f"{place}: no .jnl file in it")
        for file in files:
            yield from _lines(file)
    elif place.suffix == ".jnl":
        yield from _lines(place)
    elif place.is_file():
        yield from _rows(place)
    else:
        raise ReplayError(f"{place}: no journal there")


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(file.read_bytes().splitlines(keepends=True), int(file.stem)):
        text = unframe(line)
        if text is None:
            raise ReplayError(f"{file}: record {number} is damaged")
        yield number, text


def _rows(file: Path) -> Iterator[tuple[int, str]]:
    try:
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        rows = connection.execute("SELECT seq, line FROM record ORDER BY seq").fetchall()
        connection.close()
    except sqlite3.Error as error:
        raise ReplayError(f"{file} cannot be read as a journal: {error}") from error
    for seq, line in rows:
        text = unframe(line)
        if text is None:
            raise ReplayError(f"{file}: record {seq} is damaged")
        yield int(seq), text


class _Lane:
    """A gate that is brought to where the journal says it was, one record at a time."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.inc = record["inc"]
        self._persons = 1
        account = account_from(record["account"])
        if record["kind"] == "uncertain":
            account.pending += int(record["persons"])
        self._gate = self._new_gate(account, record)
        self._first = True

    def _new_gate(self, account: Account, record: dict[str, Any]) -> Gate:
        settings = GateSettings(ask_ms=FOREVER_MS, same_code_ms=0, cut_off=LEASED)
        account.until_ms = FOREVER_MS
        emergency = bool(record.get("emergency"))
        return Gate(settings, account, f"{self.inc}.{record['boot']}", emergency, lambda _: self._persons)

    def step(self, record: dict[str, Any]) -> Step:
        """Feed what must have happened; compare what comes of it."""
        names = ("inc", "boot", "seq", "kind", "ms", "unix_ms", "account", "emergency")
        fields = {name: value for name, value in record.items() if name not in names}
        step = Step(record["seq"], record["kind"], record["ms"], fields, record["account"])
        made: list[Effect] = []
        for at_ms, event in self._events(record):
            made += self._gate.step(at_ms, event)
        step.effects = [_told(effect) for effect in made if not isinstance(effect, Ask)]
        kinds = [effect.kind for effect in made if isinstance(effect, Record)]
        account = self._gate.account.as_dict()
        skip = self._first or record["kind"] in ("lost", "fault", "fault_over", "uncertain")
        if not skip and record["kind"] not in kinds:
            step.agrees, step.why = False, f"the core records {', '.join(kinds) or 'nothing'}"
        elif not skip and account != record["account"]:
            step.agrees, step.why = False, f"the core's account is {account}"
        self._first = False
        self._set(record)
        return step

    def _set(self, record: dict[str, Any]) -> None:
        """Go on from what is written, whatever the core made of it."""
        for name, value in record["account"].items():
            setattr(self._gate.account, name, value)

    def _events(self, record: dict[str, Any]) -> Iterator[tuple[int, Event]]:
        ms, kind, side = record["ms"], record["kind"], record.get("side") or ENTRY
        account = record["account"]
        persons = int(record.get("persons") or 1)
        if kind == "boot":
            yield ms, Started(str(record.get("reason") or ""))
        elif kind == "limit":
            yield ms, Limited(Limit(account["epoch"], account["version"], account["ceiling"]))
        elif kind == "released":
            yield from self._release(record, persons)
        elif kind in ("passed", "forced"):
            yield ms, BodyPassed(side)
        elif kind == "exit":
            yield ms, Scanned(EXIT, ANY_CODE)
        elif kind == "emergency":
            yield ms, EmergencyInput(record.get("reason") == "pressed")
        elif kind == "rearmed":
            first, _, second = str(record.get("by") or "").partition(", ")
            yield ms, Rearmed(first, second)
        elif kind == "refused":
            self._persons = 0
            yield ms, Linked(False)
            yield ms, Scanned(ENTRY, ANY_CODE if record.get("digest") else b"\xff")
        elif kind == "unused" and side == ENTRY:
            yield ms - self._gate._settings.settle_ms, Linked(True)
            yield ms, Linked(True)
        elif kind == "given_up":
            yield ms, Linked(True)
            yield ms, Scanned(ENTRY, ANY_CODE)
            yield ms, Answered(self._gate._nonce, "ok", 0, {})

    def _release(self, record: dict[str, Any], persons: int) -> Iterator[tuple[int, Event]]:
        alone = bool(record.get("digest"))
        policy = str(record.get("reason") or LEASED)
        self._gate.cut_off = policy if policy in (LEASED, OPEN, FREE_FLOW) else LEASED
        self._persons = persons
        yield record["ms"], Linked(not alone)
        yield record["ms"], Scanned(ENTRY, ANY_CODE)
        if not alone:
            account = record["account"]
            limit = Limit(account["epoch"], account["version"], account["ceiling"])
            yield record["ms"], Answered(self._gate._nonce, "ok", persons, {}, limit)


def _told(effect: Effect) -> str:
    if isinstance(effect, Record):
        return f"record {effect.kind}"
    if isinstance(effect, SetBolt):
        return f"bolt {effect.side} {'free' if effect.released else 'locked'}"
    if isinstance(effect, Show):
        return f"show {effect.code}"
    return type(effect).__name__.lower()
