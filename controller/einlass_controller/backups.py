"""Copying a database while it is in use, and putting a copy back."""

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from einlass_controller.domain.ledger import Entry, verify
from einlass_controller.guard import Guard, Known
from einlass_controller.private_file import sync_directory
from einlass_controller.runtime import lock_database, state_directory
from einlass_controller.settings import Settings
from einlass_controller.store.database import DatabaseError

_ENTRIES = "SELECT number, at_ms, kind, body, hash FROM ledger ORDER BY number"


@dataclass(frozen=True, slots=True)
class Copy:
    """A database file that holds: its size, and how far its ledger goes."""

    file: Path
    size_bytes: int
    entries: int
    last_hash: str
    site: str


def back_up(settings: Settings, target: Path) -> Copy:
    """Copy the database as it is at this moment; the controller goes on writing. Raises DatabaseError.

    Signing keys and passwords are not in it: keep a copy of the site's directory in a safe place once.
    """
    source = _file_of(settings)
    if target.exists():
        raise DatabaseError(f"{target} is there already: give the copy a new name")
    draft = target.with_name(target.name + ".part")
    draft.unlink(missing_ok=True)
    try:
        _copy(source, draft)
        found = examine(draft)
        os.replace(draft, target)
        sync_directory(target.resolve().parent)
    except (sqlite3.Error, OSError) as error:
        draft.unlink(missing_ok=True)
        raise DatabaseError(f"no copy was made: {error}") from error
    return Copy(target, found.size_bytes, found.entries, found.last_hash, found.site)


def restore(settings: Settings, source: Path) -> tuple[Copy, Path]:
    """Put a copy in the place of the database, which is kept beside it; returns the copy and where the old one is.

    Not while a controller runs. From then on nobody is let in until people are counted. Raises DatabaseError.
    """
    target = _file_of(settings)
    found = examine(source)
    with lock_database(settings.database_url):
        _same_site(target, found)
        kept = target.with_name(f"{target.name}.before-{time.time_ns() // 1_000_000}")
        draft = target.with_name(target.name + ".part")
        draft.unlink(missing_ok=True)
        try:
            _copy(source, draft)
            draft.chmod(0o600)
            if target.exists():
                _keep(target, kept)
            _mark(settings, target)
            for suffix in ("-wal", "-shm"):
                target.with_name(target.name + suffix).unlink(missing_ok=True)
            os.replace(draft, target)
            sync_directory(target.parent)
        except (sqlite3.Error, OSError) as error:
            raise DatabaseError(f"not restored, the database is as it was: {error}") from error
    return found, kept


def examine(file: Path) -> Copy:
    """Whether a file is a whole database of ours with a ledger that holds. Raises DatabaseError."""
    try:
        with closing(sqlite3.connect(f"file:{file.resolve()}?mode=ro", uri=True)) as raw:
            (state,) = raw.execute("PRAGMA quick_check").fetchone()
            if state != "ok":
                raise DatabaseError(f"{file} is damaged: {state}")
            sites = [name for (name,) in raw.execute("SELECT id FROM site")]
            count, last, broken = verify(Entry(*row) for row in raw.execute(_ENTRIES))
    except sqlite3.Error as error:
        raise DatabaseError(f"{file} is no database of a controller: {error}") from error
    if broken is not None:
        raise DatabaseError(f"{file}: the ledger is broken at entry {broken.number}: {broken.reason}")
    return Copy(file, file.stat().st_size, count, last, sites[0] if sites else "")


def told(copy: Copy) -> str:
    """One line of JSON."""
    values = {"file": str(copy.file), "bytes": copy.size_bytes, "entries": copy.entries, "last_hash": copy.last_hash}
    return json.dumps(values | {"site": copy.site})


def _file_of(settings: Settings) -> Path:
    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        raise DatabaseError("this command copies SQLite files; for PostgreSQL use pg_dump and pg_restore")
    return Path(url.database)


def _copy(source: Path, target: Path) -> None:
    """In one step: a reader of the write-ahead log holds up nobody, and nobody's writing makes it begin again."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(descriptor)
    with (
        closing(sqlite3.connect(f"file:{source.resolve()}?mode=ro", uri=True)) as there,
        closing(sqlite3.connect(target)) as here,
    ):
        there.backup(here, pages=-1)
        here.execute("PRAGMA journal_mode=DELETE")
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep(target: Path, kept: Path) -> None:
    """The database as it is, with what is still in its log; also when it is damaged."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(target)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy2(target, kept)
    log = target.with_name(target.name + "-wal")
    if log.exists() and log.stat().st_size:
        shutil.copy2(log, kept.with_name(kept.name + "-wal"))


def _same_site(target: Path, copy: Copy) -> None:
    if not target.exists():
        return
    try:
        with closing(sqlite3.connect(f"file:{target.resolve()}?mode=ro", uri=True)) as raw:
            sites = [name for (name,) in raw.execute("SELECT id FROM site")]
    except sqlite3.Error:  # it is to be replaced because it is damaged
        return
    if sites and sites[0] != copy.site:
        raise DatabaseError(f"the copy is of the site {copy.site!r}, this directory belongs to {sites[0]!r}")


def _mark(settings: Settings, target: Path) -> None:
    """Before anything is exchanged: whatever happens now, the next start knows that the database is another one."""
    guard = Guard(state_directory(settings))
    known = guard.read() or Known()
    guard.write(Known(max(known.epoch, _epoch_of(target)) + 1, max(0, known.number), known.hash))


def _epoch_of(file: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{file.resolve()}?mode=ro", uri=True)) as raw:
            (epoch,) = raw.execute("SELECT coalesce(max(epoch), 0) FROM account").fetchone()
            return int(epoch)
    except sqlite3.Error:
        return 0
