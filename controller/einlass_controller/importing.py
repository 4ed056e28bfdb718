"""Storing an import in small pieces through the engine: between two of them it decides scans."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from sqlalchemy import Engine as Database
from sqlalchemy import select

from einlass_controller.engine import StoreError
from einlass_controller.exchange import Batch
from einlass_controller.orders import BeginImport, EndImport, ImportTickets, UndoImport
from einlass_controller.store.schema import TICKET, TICKET_IMPORT

# Some 10 ms of the engine's time on a small computer.
TICKETS_AT_ONCE = 150

Submit = Callable[[Any], Awaitable[Any]]

log = structlog.get_logger("einlass.import")


async def take(submit: Submit, name: str, found: Batch, by: str) -> None:
    """Store all of them, then let them count in one step. Raises StoreError when that failed; then none is left."""
    begun_s = time.monotonic()
    await submit(BeginImport(name, len(found.rows), by))
    try:
        for start in range(0, len(found.rows), TICKETS_AT_ONCE):
            if await submit(ImportTickets(name, tuple(found.some(start, TICKETS_AT_ONCE)))) is not True:
                raise StoreError("another ticket with such an id or code was made meanwhile: nothing was taken")
        if await submit(EndImport(name, by)) is not True:
            raise StoreError("nothing was taken: try again")
    except BaseException:
        with suppress(Exception):  # what cannot be undone now is undone at the next start; until then it does not count
            await drop(submit, name, [ticket.id for ticket in found.tickets])
        raise
    log.info("imported", id=name, tickets=len(found.rows), seconds=round(time.monotonic() - begun_s, 2))


async def drop(submit: Submit, name: str, tickets: Sequence[str]) -> None:
    """Undo an import that did not come to its end."""
    for start in range(0, len(tickets), TICKETS_AT_ONCE):
        await submit(UndoImport(name, tuple(tickets[start : start + TICKETS_AT_ONCE])))
    await submit(EndImport(name, "", done=False))


def unfinished(database: Database) -> dict[str, list[str]]:
    """Imports that a stopped controller has left, and their tickets."""
    with database.connect() as connection:
        names = connection.execute(select(TICKET_IMPORT.c.id).where(TICKET_IMPORT.c.done.is_(False))).scalars().all()
        return {
            name: list(connection.execute(select(TICKET.c.id).where(TICKET.c.import_id == name)).scalars())
            for name in names
        }
