"""The node's one SQLite file: opened exclusively, checked, every commit on the disk before it counts."""

import errno
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from einlass_core.journal import JournalError

APPLICATION_ID = 0x45494E4C  # "EINL"
SCHEMA_VERSION = 1
BUSY_S_MAX = 2.0
# Off the decision path tidy() writes the log back; this is only so that it cannot grow without end.
CHECKPOINT_PAGES_MAX = 4000
CHECKPOINT_PAGES = 64
FILE_PAGES_MAX = 32_768  # 128 MB at 4 kB a page

_SCHEMA = """
CREATE TABLE record (seq INTEGER PRIMARY KEY, line BLOB NOT NULL);
"""


class DamagedJournalError(JournalError):
    """The file is there and not sound. Nothing was changed; the text tells the technician what to do."""


class Database:
    """Statements that are durable when they return. Every SQLite error becomes an OSError (no space: ENOSPC)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(path, timeout=BUSY_S_MAX, isolation_level=None)
        except sqlite3.Error as error:
            raise JournalError(
                f"the journal {path} cannot be opened: {error}. Does its folder exist, is it writable?"
            ) from error
        try:
            self._open()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        try:
            # One process at a time: two nodes on one journal would each hand out the other's places.
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES_MAX}")
            self._connection.execute(f"PRAGMA max_page_count={FILE_PAGES_MAX}")
            self._connection.execute("BEGIN EXCLUSIVE")
            self._connection.execute("COMMIT")
            application = self._one("PRAGMA application_id")
            version = self._one("PRAGMA user_version")
            if application == 0 and version == 0 and self._one("SELECT count(*) FROM sqlite_master") == 0:
                self._create()
            elif application != APPLICATION_ID:
                raise JournalError(f"{self._path} is an SQLite file of another program: give `journal` another path")
            elif version != SCHEMA_VERSION:
                raise JournalError(
                    f"the journal {self._path} has format {version}, this program reads {SCHEMA_VERSION}: "
                    "install the version that wrote it"
                )
            else:
                verdict = self._one("PRAGMA quick_check(1)")
                if verdict != "ok":
                    raise self.damaged(str(verdict))
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise JournalError(
                    f"the journal {self._path} is in use: another node runs with it; stop that one first"
                ) from error
            raise self._failure(error) from error
        except sqlite3.Error as error:
            raise self.damaged(str(error)) from error

    def _create(self) -> None:
        script = (
            f"BEGIN; {_SCHEMA} PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION}; COMMIT"
        )
        self._connection.executescript(script)

    def _one(self, sql: str) -> Any:
        row = self._connection.execute(sql).fetchone()
        return row[0] if row else None

    def write(self, sql: str, values: Sequence[Any] = ()) -> None:
        """One statement, on the disk when this returns."""
        try:
            self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterable[Any]:
        """All rows of a question."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def tidy(self) -> None:
        """Write the log back into the file; call it when the lane is at rest. Failing does no harm."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def damaged(self, what: str) -> DamagedJournalError:
        """The refusal of a file that is not sound."""
        return DamagedJournalError(
            f"the journal {self._path} is damaged ({what}). Nothing was changed; the lane stays shut, exits are free. "
            f"Keep the evidence: `mv {self._path} {self._path}.damaged`, and -wal beside it; then start the node. "
            "It comes back as a new node: the places it may have used stay counted until staff recount"
        )

    def _failure(self, error: sqlite3.Error) -> OSError:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return OSError(errno.ENOSPC, f"no space for the journal {self._path}: free some on that disk")
        return JournalError(f"the journal {self._path} failed: {error}")
