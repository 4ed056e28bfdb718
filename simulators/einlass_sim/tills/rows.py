"""The part of a till's disk that is a database: shipped stores on a file in memory, with power cuts before writes."""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from einlass_sim.world.disk import ENOSPC


class Rows:
    """As einlass_edge.database: write() is durable when it returns. step() is called before each; it may raise."""

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step
        self.full = False
        self._file = sqlite3.connect(":memory:", isolation_level=None)

    def wipe(self) -> None:
        """A new one."""
        self._file = sqlite3.connect(":memory:", isolation_level=None)

    def write(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        """One change, whole or not at all."""
        if not statement.startswith("CREATE"):  # a table that is there takes no room
            if self.full:
                raise OSError(ENOSPC, "full")
            self._step()
        self._file.execute(statement, values)

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
        """What is there."""
        return self._file.execute(statement, values).fetchall()

    def damaged(self, why: str) -> OSError:
        """Never: what this keeps is whole."""
        return OSError(why)
