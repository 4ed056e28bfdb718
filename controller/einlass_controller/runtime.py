"""A running controller: database, engine, writer and bus, started and stopped together."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import Engine as Database
from sqlalchemy import make_url

from einlass_controller.bus import Bus
from einlass_controller.engine import Engine
from einlass_controller.intake import Intake
from einlass_controller.live import Live, Site
from einlass_controller.settings import Settings
from einlass_controller.store.database import DatabaseError, checkpoint, migrate, open_database
from einlass_controller.writer import Writer

CHECKPOINT_S = 5.0


@dataclass(slots=True)
class Controller:
    """Made by open_controller(); `async with` starts and stops it."""

    settings: Settings
    database: Database
    site: Site
    intake: Intake
    writer: Writer
    bus: Bus
    live: Live
    lock: int | None = None
    stopping: asyncio.Event | None = None
    _checkpoints: "asyncio.Task[None] | None" = None

    async def __aenter__(self) -> Self:
        self.stopping = asyncio.Event()
        await self.writer.start()
        await self.bus.start()
        self._checkpoints = asyncio.create_task(self._keep_checkpointing(), name="checkpoints")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.stopping is not None:
            self.stopping.set()
        if self._checkpoints is not None:
            self._checkpoints.cancel()
            await asyncio.gather(self._checkpoints, return_exceptions=True)
        await self.bus.stop()
        await self.writer.stop()
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self.database.dispose()
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    async def _keep_checkpointing(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_S)
            await asyncio.to_thread(checkpoint, self.database)


def open_controller(settings: Settings) -> Controller:
    """Bring the schema up to date and read the state. Raises DatabaseError, NotSetUpError, InvariantError."""
    lock = _lock(settings.database_url)
    try:
        database = open_database(settings.database_url)
        migrate(database)
        engine = Engine(database)
    except BaseException:
        if lock is not None:
            os.close(lock)
        raise
    site = engine.live.site
    intake = Intake(site.id, settings.hash_key_bytes)
    writer = Writer(engine)
    bus = Bus(settings, site.id, intake, writer.post)
    writer.publish = bus.publish
    return Controller(settings, database, site, intake, writer, bus, engine.live, lock)


@contextmanager
def lock_database(url: str) -> Iterator[None]:
    """Work on a database that no controller runs on meanwhile. Raises DatabaseError when one does."""
    lock = _lock(url)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock(url: str) -> int | None:
    """Two controllers on one file would each believe their own books: the second must not start."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    path = Path(parsed.database + ".lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DatabaseError(f"{path} cannot be written: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        with suppress(OSError):
            os.close(descriptor)
        raise DatabaseError(f"another controller is running on {parsed.database}: stop it first") from error
    return descriptor
