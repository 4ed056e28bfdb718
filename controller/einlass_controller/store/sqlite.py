"""All that is peculiar to SQLite: WAL, durable commits, transactions that begin where we say, checkpoints when idle."""

from typing import Any

from sqlalchemy import Connection, Engine, event

BUSY_TIMEOUT_MS = 5_000
# The controller checkpoints between batches; this is only the safety net when nobody does (64 MB of 2 kB pages).
AUTOCHECKPOINT_PAGES = 32_000
CACHE_KIB = 65_536
MAP_BYTES = 1 << 30
# A scan changes a few bytes on some pages, each of which goes to the log as a whole: small pages halve what is written.
# Holds for new files only.
PAGE_BYTES = 2_048
# A connection with this option has begun its transactions itself (session.py).
BEGUN = "einlass_begun"


def prepare(engine: Engine) -> None:
    """Make every connection of this engine durable (a commit that returned survives a power cut)."""

    @event.listens_for(engine, "connect")
    def _connect(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # the driver must not begin transactions of its own
        cursor = raw.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            f"page_size={PAGE_BYTES}",
            "journal_mode=WAL",
            "synchronous=FULL",
            f"wal_autocheckpoint={AUTOCHECKPOINT_PAGES}",
            f"cache_size=-{CACHE_KIB}",
            f"mmap_size={MAP_BYTES}",
            "foreign_keys=ON",
        ):
            cursor.execute("PRAGMA " + pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(BEGUN, False):
            connection.exec_driver_sql("BEGIN")


def checkpoint(engine: Engine) -> None:
    """Move what is in the log into the database, as far as it goes without waiting for anybody."""
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
        cursor.fetchall()
        cursor.close()
    finally:
        raw.close()
