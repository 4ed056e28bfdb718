"""Tickets by the hundred thousand, straight into the database: a bench needs a full shop, not a sale."""

import hashlib
from collections.abc import Iterator
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

from sqlalchemy import Engine as Database

from einlass_controller.domain.tickets import Ticket
from einlass_controller.issuing import make_ticket
from einlass_core import codes

_MIX = 0x9E3779B97F4A7C15F39D
_MASK = (1 << codes.OPAQUE_BITS) - 1
_PAIRS = [first + second for first in codes.ALPHABET for second in codes.ALPHABET]
_COLUMNS = [item.name for item in fields(Ticket)]


def _double(element: int) -> int:
    element <<= 1
    return element ^ 0b100101 if element & 32 else element


# codes.check_character(), two characters at a step.
_STEPS = [[_double(_double(state) ^ pair >> 5) ^ pair & 31 for pair in range(1024)] for state in range(32)]


def code_of(seed: int, number: int) -> str:
    """The code of the bench's ticket of this number, the same every time: codes.opaque(), ten bits at a step."""
    bits = ((number + 1) * _MIX + seed) & _MASK
    body, state = "", 0
    for shift in range(codes.OPAQUE_BITS - 10, -1, -10):
        pair = bits >> shift & 1023
        body += _PAIRS[pair]
        state = _STEPS[state][pair]
    return codes.OPAQUE_PREFIX + body + codes.ALPHABET[_double(state)]


def fill(database: Database, seed: int, tickets: int) -> None:
    """Store so many tickets, good for any number of entries, with the codes of code_of()."""
    raw = database.raw_connection()
    try:
        cursor = raw.cursor()
        names = ", ".join(_COLUMNS)
        if database.dialect.name == "sqlite":
            cursor.execute("PRAGMA synchronous=OFF")
            cursor.execute("PRAGMA cache_size=-200000")
            cursor.execute("BEGIN")
            marks = ", ".join("?" * len(_COLUMNS))
            statement = f"INSERT INTO ticket ({names}) VALUES ({marks})"
            cursor.executemany(statement, _rows(seed, tickets))  # type: ignore[arg-type]  # sqlite3 takes an iterator
            cursor.execute("COMMIT")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        else:
            with cursor.copy(f"COPY ticket ({names}) FROM STDIN") as copy:
                for row in _rows(seed, tickets):
                    copy.write_row(row)
            raw.commit()
            cursor.execute("ANALYZE ticket")
            raw.commit()
    finally:
        raw.invalidate()  # it has settings of its own
        raw.close()


def _rows(seed: int, tickets: int) -> Iterator[tuple[Any, ...]]:
    pattern = make_ticket(code_of(seed, 0), persons=1, zone="", valid_from_ms=None, valid_until_ms=None)
    values = list(attrgetter(*_COLUMNS)(replace(pattern, entries_max=None)))
    at = {name: _COLUMNS.index(name) for name in ("id", "digest", "code_sha256")}
    for number in range(tickets):
        sha256 = hashlib.sha256(code_of(seed, number).encode()).hexdigest()
        values[at["id"]] = f"B{number:011d}"
        values[at["digest"]] = sha256[: 2 * codes.DIGEST_BYTES]
        values[at["code_sha256"]] = sha256
        yield tuple(values)
