"""How many tickets this lane has let in alone since the controller knew of everything."""

from typing import Any

from einlass_core.gate import FREE_FLOW
from einlass_edge.database import Database


class AloneCount:
    """Kept in the journal's file, so that a power cut does not begin it anew."""

    def __init__(self, database: Database, most: int) -> None:
        self._database = database
        self._most = most
        database.write(
            "CREATE TABLE IF NOT EXISTS alone (id INTEGER PRIMARY KEY CHECK (id = 1), tickets INTEGER NOT NULL)"
        )
        self._count = sum(int(tickets) for (tickets,) in database.rows("SELECT tickets FROM alone"))

    @property
    def is_over(self) -> bool:
        """Whether no more may be let in before the controller knows of all of them."""
        return self._count >= self._most

    def recorded(self, kind: str, fields: dict[str, Any]) -> None:
        """Call it before each record. OSError: it cannot be kept, so the record must not be either."""
        if kind == "released" and "digest" in fields and fields.get("reason") != FREE_FLOW:
            self._keep(self._count + 1)

    def told(self) -> None:
        """The controller has every record. OSError: it is kept as it was, which is on the safe side."""
        if self._count:
            self._keep(0)

    def _keep(self, count: int) -> None:
        self._database.write("INSERT OR REPLACE INTO alone VALUES (1, ?)", (count,))
        self._count = count
