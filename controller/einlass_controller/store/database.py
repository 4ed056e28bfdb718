"""Opening the database and bringing its schema up to date."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError

from einlass_controller.store import sqlite

MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseError(RuntimeError):
    """The database cannot be used; the text says what to do."""


class DatabaseBusyError(DatabaseError):
    """A controller is running on it."""


def url_of_file(path: Path) -> str:
    """The URL of an SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def open_database(url: str) -> Engine:
    """An engine for SQLite or PostgreSQL. Raises DatabaseError."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise DatabaseError(f"database {backend!r}: use sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME")
        options: dict[str, Any] = {} if backend == "sqlite" else {"pool_pre_ping": True}
        engine = create_engine(parsed, **options)
    except (ArgumentError, ImportError) as error:
        raise DatabaseError(f"the database URL cannot be used: {error}") from error
    if backend == "sqlite":
        sqlite.prepare(engine)
    return engine


def directory_of(url: str) -> Path | None:
    """Where an SQLite file lies; None for what has no directory here."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database).resolve().parent


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to this revision, upwards (or downwards, for tests)."""
    with engine.connect() as connection:
        _migrate(connection, revision)
        connection.commit()


def _migrate(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    if revision == "base":
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def checkpoint(engine: Engine) -> None:
    """Tidy up off the decision path; does nothing where the database does it itself."""
    if engine.dialect.name == "sqlite":
        with suppress(Exception):  # it comes again in a few seconds; the log only stays longer
            sqlite.checkpoint(engine)
