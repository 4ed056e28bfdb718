"""How the controller notices that its database is older than it was: a small file beside it, in no backup.

It holds the epoch and how far the ledger had come. A database with less, or with another history, was put back.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import Engine as Database
from sqlalchemy import select

from einlass_controller.private_file import write_private
from einlass_controller.store.schema import LEDGER

GUARD_FILE = "epoch.json"
_LAST = "SELECT number, hash FROM ledger ORDER BY number DESC LIMIT 1"

log = structlog.get_logger("einlass.guard")


@dataclass(frozen=True, slots=True)
class Known:
    """The highest epoch ever used here, and the last entry of the ledger that is known to have been stored."""

    epoch: int = 0
    number: int = 0
    hash: str = ""


class Guard:
    """The file. directory None: there is no place for one, and only nodes can tell that a database is old."""

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / GUARD_FILE
        self._last: Known | None = None
        if self._path is None:
            log.warning("no_guard", hint="set state_dir in controller.toml: a restored database would go unnoticed")

    def read(self) -> Known | None:
        """What is known; None when there is no file (yet). A damaged one is as bad as a restored database."""
        if self._path is None or not self._path.exists():
            return None
        try:
            said = json.loads(self._path.read_text(encoding="utf-8"))
            self._last = Known(int(said["epoch"]), int(said["ledger_number"]), str(said["ledger_hash"]))
        except (ValueError, KeyError, TypeError):
            log.error("guard_damaged", file=str(self._path))
            return Known(number=-1)
        return self._last

    def write(self, known: Known) -> None:
        """Keep it, durably, if it is new."""
        if self._path is None or known == self._last:
            return
        values = {"epoch": known.epoch, "ledger_number": known.number, "ledger_hash": known.hash}
        write_private(self._path, json.dumps(values) + "\n")
        self._last = known


def position(database: Database) -> tuple[int, str]:
    """(number, hash) of the last entry that is stored."""
    raw = database.raw_connection()  # asked every minute: all but the driver would cost ten times the question
    try:
        cursor = raw.cursor()
        cursor.execute(_LAST)
        row = cursor.fetchone()
        cursor.close()
    finally:
        raw.close()
    return (int(row[0]), str(row[1])) if row is not None else (0, "")


def older(database: Database, known: Known | None, epoch: int) -> str:
    """Why this database is not the one that was used last; "" when it is."""
    if known is None:
        return ""
    if known.number < 0:
        return f"{GUARD_FILE} cannot be read"
    if known.epoch > epoch:
        return f"the database is of epoch {epoch}, the last one was {known.epoch}"
    if not known.number:
        return ""
    with database.connect() as connection:
        found = connection.execute(select(LEDGER.c.hash).where(LEDGER.c.number == known.number)).scalar()
    if found is None:
        return f"the ledger ends before entry {known.number}, which was stored"
    return "" if found == known.hash else f"entry {known.number} of the ledger is not the one that was stored"
