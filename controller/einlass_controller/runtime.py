"""A running controller: database, engine, writer and bus, started and stopped together."""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import Engine as Database
from sqlalchemy import func, make_url, select
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from einlass_controller import importing
from einlass_controller.bus import Bus
from einlass_controller.domain.shares import Leasing
from einlass_controller.engine import Engine
from einlass_controller.guard import Guard, Known, older, position
from einlass_controller.intake import Intake
from einlass_controller.live import Live, Site
from einlass_controller.orders import LeasesUnknown, PutTogether, Restored
from einlass_controller.settings import Settings
from einlass_controller.signing import Signer
from einlass_controller.steady import SteadyClock
from einlass_controller.store.database import (
    DatabaseBusyError,
    DatabaseError,
    checkpoint,
    directory_of,
    migrate,
    open_database,
)
from einlass_controller.writer import Writer

CHECKPOINT_S = 5.0
# What a controller's lock on a PostgreSQL database is called; any number that nobody else uses there.
LOCK_NUMBER = 0x65696E6C


@dataclass(slots=True)
class Controller:
    """Made by open_controller(); `async with` starts and stops it."""

    settings: Settings
    database: Database
    site: Site
    intake: Intake
    writer: Writer
    bus: Bus
    engine: Engine
    signer: Signer
    guard: Guard
    steady: SteadyClock
    lock: Callable[[], None] | None = None
    stopping: asyncio.Event | None = None
    _checkpoints: "asyncio.Task[None] | None" = None
    _tidying: "asyncio.Task[None] | None" = None

    @property
    def live(self) -> Live:
        """The state as it is now; a failed batch replaces it."""
        return self.engine.live

    async def __aenter__(self) -> Self:
        self.stopping = asyncio.Event()
        await self.writer.start()
        await self.bus.start()
        self._tidying = asyncio.create_task(self._tidy_up(), name="unfinished imports")
        self._checkpoints = asyncio.create_task(self._keep_checkpointing(), name="checkpoints")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.stopping is not None:
            self.stopping.set()
        tasks = [task for task in (self._checkpoints, self._tidying) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.bus.stop()
        await self.writer.stop()
        with suppress(SQLAlchemyError, OSError):  # the next start only knows a little less
            await asyncio.to_thread(remember, self.database, self.guard, self.live.epoch)
            await asyncio.to_thread(self.steady.note, now=True)
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self.engine.close()
        self.database.dispose()
        if self.lock is not None:
            self.lock()
            self.lock = None

    async def _tidy_up(self) -> None:
        for name, tickets in (await asyncio.to_thread(importing.unfinished, self.database)).items():
            await importing.drop(self.writer.submit, name, tickets)

    async def _keep_checkpointing(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_S)
            await asyncio.to_thread(checkpoint, self.database)
            await asyncio.to_thread(remember, self.database, self.guard, self.live.epoch)
            await asyncio.to_thread(self.steady.note)


def open_controller(settings: Settings) -> Controller:
    """Bring the schema up to date and read the state. Raises DatabaseError, NotSetUpError, InvariantError."""
    lock = _lock(settings.database_url)
    try:
        database = open_database(settings.database_url)
        migrate(database)
        steady = SteadyClock(state_directory(settings), time.time_ns() // 1_000_000)
        engine = Engine(database, Leasing(settings.lease_minutes * 60_000, settings.lease_percent), steady.ms)
        engine.live.stamp_secret = settings.hash_key_bytes
        guard = Guard(state_directory(settings))
        _look_back(database, engine, guard)
        if not steady.is_known:
            engine.run([LeasesUnknown()], time.time_ns() // 1_000_000)
        engine.run([PutTogether()], time.time_ns() // 1_000_000)
        steady.note(now=True)
    except BaseException:
        lock()
        raise
    site = engine.live.site
    intake = Intake(site.id, settings.hash_key_bytes)
    writer = Writer(engine)
    bus = Bus(settings, site.id, intake, writer.post)
    writer.publish = bus.publish
    signer = Signer(state_directory(settings))
    return Controller(settings, database, site, intake, writer, bus, engine, signer, guard, steady, lock)


def _look_back(database: Database, engine: Engine, guard: Guard) -> None:
    """Is this the database that was used last? If not, nobody is let in before people were counted."""
    known = guard.read()
    reason = older(database, known, engine.live.epoch)
    if reason and known is not None:
        epoch = max(known.epoch, engine.live.epoch) + 1
        guard.write(Known(epoch, max(0, known.number), known.hash))
        engine.run([Restored(reason, epoch)], time.time_ns() // 1_000_000)
    remember(database, guard, engine.live.epoch)


def begin_count(settings: Settings, reason: str) -> None:
    """Let nobody in from the next start on before people were counted. Not while a controller runs.

    Raises what open_controller() raises.
    """
    controller = open_controller(settings)
    try:
        controller.engine.run([Restored(reason, 0)], time.time_ns() // 1_000_000)
        remember(controller.database, controller.guard, controller.live.epoch)
    finally:
        controller.close()


def remember(database: Database, guard: Guard, epoch: int) -> None:
    """Keep outside the database how far it has come. Only what is stored is known."""
    guard.write(Known(epoch, *position(database)))


def state_directory(settings: Settings) -> Path | None:
    """Where is kept what must not be in the database; None when there is no such place."""
    return settings.state_dir or directory_of(settings.database_url)


@contextmanager
def lock_database(url: str) -> Iterator[None]:
    """Work on a database that no controller runs on meanwhile. Raises DatabaseError when one does."""
    lock = _lock(url)
    try:
        yield
    finally:
        lock()


def _lock(url: str) -> Callable[[], None]:
    """Two controllers on one database would each believe their own books: the second must not start."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return _lock_server(url)
    if not parsed.database or parsed.database == ":memory:":
        return lambda: None
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
        raise DatabaseBusyError(f"another controller is running on {parsed.database}: stop it first") from error
    return lambda: os.close(descriptor)


def _lock_server(url: str) -> Callable[[], None]:
    """A lock of the server's, held by a connection that does nothing else; it is gone when the connection is."""
    database = open_database(url)
    try:
        connection = database.connect()
        taken = connection.execute(select(func.pg_try_advisory_lock(LOCK_NUMBER))).scalar()
        connection.commit()
    except OperationalError as error:
        database.dispose()
        raise DatabaseError(f"the database cannot be reached: {error.orig}") from error
    if not taken:
        connection.close()
        database.dispose()
        raise DatabaseBusyError(f"another controller is running on {database.url.database}: stop it first")

    def let_go() -> None:
        with suppress(SQLAlchemyError):  # At once: a server takes a moment to notice that a connection is gone.
            connection.execute(select(func.pg_advisory_unlock(LOCK_NUMBER)))
        connection.invalidate()
        connection.close()
        database.dispose()

    return let_go
