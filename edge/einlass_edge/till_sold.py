"""The sales that einlass_core.till_alone must not forget: a table in the journal's file, to come and go with it."""

from collections.abc import Iterable

from einlass_core.journal import frame, unframe
from einlass_edge.database import Database


class SoldStore:
    """See einlass_core.till_alone. OSError when the disk does not take it; the damaged-journal error for a bad row."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.write("CREATE TABLE IF NOT EXISTS sold (number INTEGER PRIMARY KEY, line BLOB NOT NULL)")

    def rows(self) -> Iterable[tuple[int, str]]:
        """All of them, oldest first."""
        for number, line in self._database.rows("SELECT number, line FROM sold ORDER BY number"):
            text = unframe(line)
            if text is None:
                raise self._database.damaged(f"the till's sale {number} does not match its checksum")
            yield number, text

    def put(self, number: int, text: str) -> None:
        """Write or replace one."""
        self._database.write("INSERT OR REPLACE INTO sold VALUES (?, ?)", (number, frame(text)))

    def cut(self, number: int) -> None:
        """Forget this one and all after it."""
        self._database.write("DELETE FROM sold WHERE number >= ?", (number,))

    def drop(self, number: int) -> None:
        """Forget this one and all before it."""
        self._database.write("DELETE FROM sold WHERE number <= ?", (number,))
