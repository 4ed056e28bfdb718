"""The tables that a host has in its journal's file, in memory: what einlass_edge.database is on a disk."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from einlass_core.journal import unframe

ENOSPC = 28
_MAKE = "CREATE TABLE IF NOT EXISTS "


class Table:
    """step() is called before every statement that must last; it may raise PowerCutError. full: it takes none."""

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step
        self._raw = _empty()
        self.full = False

    def write(self, sql: str, values: Sequence[Any] = ()) -> None:
        """One statement, durable when this returns. OSError when the disk is full."""
        if sql.startswith(_MAKE) and sql.removeprefix(_MAKE).split()[0] in self._made():
            return  # as on a disk: nothing has to be written
        if self.full:
            raise OSError(ENOSPC, "full")
        self._step()
        self._raw.execute(sql, values)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterable[Any]:
        """All rows of a question."""
        return self._raw.execute(sql, values).fetchall()

    def damaged(self, what: str) -> OSError:
        """The refusal of a row that cannot be read."""
        return OSError(what)

    def _made(self) -> set[str]:
        return {str(name) for (name,) in self.rows("SELECT name FROM sqlite_master")}

    def wipe(self) -> None:
        """As new."""
        self._raw = _empty()

    def image(self) -> bytes:
        """A copy of all that is in it."""
        return self._raw.serialize()

    def restore(self, image: bytes) -> None:
        """Put an old copy back."""
        self._raw = _empty()
        self._raw.deserialize(image)


def keys_revoked(table: Table) -> set[int]:
    """The keys that a lane's own disk calls revoked, read without the code that goes by it."""
    for (line,) in table.rows("SELECT line FROM trust"):
        told = json.loads(json.loads(unframe(line) or "null")["text"])
        return {int(name) for name, _, _, is_revoked in told["keys"] if is_revoked}
    return set()


def _empty() -> sqlite3.Connection:
    raw = sqlite3.connect(":memory:", isolation_level=None)
    raw.execute("PRAGMA user_version=1")  # without a page there is nothing to copy
    return raw
