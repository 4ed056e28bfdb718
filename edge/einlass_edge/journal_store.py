"""The journal's records in SQLite: what einlass_core.journal asks of a store."""

from einlass_core.journal import JournalError, frame, unframe
from einlass_edge.database import Database

# About 30 hours of a busy lane that nobody acknowledges: 14 MB.
RECORDS_MAX = 20_000


class JournalStore:
    """Every record carries its own checksum: SQLite would not notice a flipped bit.

    DamagedJournalError on opening when a record is damaged or missing; it never repairs and never skips one.
    """

    def __init__(self, database: Database, records_max: int = RECORDS_MAX) -> None:
        self._database = database
        self._records_max = records_max
        self._first = self._last = 0
        self._check()

    def _check(self) -> None:
        expected = 0
        for seq, line in self._database.rows("SELECT seq, line FROM record ORDER BY seq"):
            if not self._first:
                self._first = expected = seq
            if seq != expected:
                raise self._database.damaged(f"record {expected} is missing")
            if unframe(line) is None:
                raise self._database.damaged(f"record {seq} does not match its checksum")
            expected += 1
            self._last = seq

    def bounds(self) -> tuple[int, int]:
        """First and last number, (0, 0) when empty. A torn end cannot be: SQLite commits a record or does not."""
        return self._first, self._last

    def append(self, seq: int, text: str) -> None:
        """Durable when it returns. OSError when it is not: disk full, RECORDS_MAX reached, file broken."""
        if self._last and seq != self._last + 1:
            raise JournalError(f"record {seq} cannot follow record {self._last}")
        if self._first and self._last - self._first + 1 >= self._records_max:
            raise JournalError(
                f"the journal holds {self._records_max} records that the controller has not acknowledged: "
                "bring the controller or the network back"
            )
        self._database.write("INSERT INTO record VALUES (?, ?)", (seq, frame(text)))
        self._first = self._first or seq
        self._last = seq

    def read(self, seq: int, count_max: int) -> list[tuple[int, str]]:
        """Up to count_max records from seq on; JournalError when one of them is damaged."""
        found = []
        for number, line in self._database.rows(
            "SELECT seq, line FROM record WHERE seq >= ? ORDER BY seq LIMIT ?", (seq, count_max)
        ):
            text = unframe(line)
            if text is None:
                raise self._database.damaged(f"record {number} does not match its checksum")
            found.append((number, text))
        return found

    def drop(self, through_seq: int) -> None:
        """Forget records up to this number, but never the last one."""
        through = min(through_seq, self._last - 1)
        if through < self._first:
            return
        self._database.write("DELETE FROM record WHERE seq <= ?", (through,))
        self._first = through + 1
