"""The hash chain: every entry seals the one before it, so that one changed byte shows."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

GENESIS = "0" * 64

# Made once: json.dumps with these options would build a new one for every entry.
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. `number` starts at 1 without gaps; `body` is canonical JSON."""

    number: int
    at_ms: int
    kind: str
    body: str
    hash: str


@dataclass(frozen=True, slots=True)
class Break:
    """Where a ledger stops being what was written, and why."""

    number: int
    reason: str


def canonical(body: dict[str, Any]) -> str:
    """JSON with sorted keys and no blanks: the same bytes for the same content. Numbers in it are whole."""
    return _encode(body)


def seal(previous_hash: str, number: int, at_ms: int, kind: str, body: str) -> str:
    """The hash of an entry, over everything in it and the hash before."""
    return hashlib.sha256(f"{previous_hash}\n{number}\n{at_ms}\n{kind}\n{body}".encode()).hexdigest()


def append(previous_hash: str, number: int, at_ms: int, kind: str, body: dict[str, Any]) -> Entry:
    """The next entry of a chain."""
    return link(previous_hash, number, at_ms, kind, canonical(body))


def link(previous_hash: str, number: int, at_ms: int, kind: str, text: str) -> Entry:
    """The same for a body that is canonical JSON already."""
    return Entry(number, at_ms, kind, text, seal(previous_hash, number, at_ms, kind, text))


def verify(entries: Iterable[Entry]) -> tuple[int, str, Break | None]:
    """(entries that hold, last hash, first break or None), reading once and in order."""
    count, previous = 0, GENESIS
    for entry in entries:
        if entry.number != count + 1:
            return count, previous, Break(count + 1, f"entry {count + 1} is missing, {entry.number} follows")
        if seal(previous, entry.number, entry.at_ms, entry.kind, entry.body) != entry.hash:
            return count, previous, Break(entry.number, "the entry does not match its hash")
        count, previous = entry.number, entry.hash
    return count, previous, None
