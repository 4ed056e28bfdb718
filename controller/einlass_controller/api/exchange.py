"""Tickets in and out as CSV. An import counts as a whole or not at all, and lanes go on deciding meanwhile."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import Engine as Database
from sqlalchemy import or_, select

from einlass_controller import exchange
from einlass_controller.api import models
from einlass_controller.api.access import ClientOf, ControllerOf, Seller
from einlass_controller.cells import Fault
from einlass_controller.domain.catalogue import in_force
from einlass_controller.domain.tickets import Ticket
from einlass_controller.importing import take
from einlass_controller.runtime import Controller
from einlass_controller.store.reading import one_moment
from einlass_controller.store.schema import TICKET

IMPORT_ID_BYTES = 8
CSV = "text/csv"
_COLUMNS = [TICKET.c[item.name] for item in fields(Ticket)]
_ID = [item.name for item in fields(Ticket)].index("id")

router = APIRouter(tags=["tickets"])


@router.post(
    "/tickets/import",
    max_body_size=exchange.BYTES_MAX,
    responses={415: {"model": models.Problem, "description": "the body is no text/csv"}},
    response_model=models.Imported,
    openapi_extra={"requestBody": {"content": {CSV: {"schema": {"type": "string"}}}, "required": True}},
)
async def take_file(request: Request, client: Seller, controller: ControllerOf) -> Any:
    """Take tickets from a CSV file (UTF-8, a header line). 422 with every bad line: then nothing was taken."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != CSV:
        raise HTTPException(415, "send the file as Content-Type: text/csv")
    name = secrets.token_hex(IMPORT_ID_BYTES)
    now_ms = time.time_ns() // 1_000_000
    raw = await request.body()
    live = controller.live
    products = in_force(live.catalogues, now_ms).products
    found = await asyncio.to_thread(exchange.read, raw, name, list(live.areas), products, now_ms)
    if not found.count:
        await asyncio.to_thread(_check_known, controller.database, found)
    if found.count:
        return _refused(found)
    await take(controller.writer.submit, name, found, client)
    return models.Imported(id=name, tickets=len(found.rows))


@router.get(
    "/tickets/export",
    response_class=StreamingResponse,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
async def give_file(client: ClientOf, controller: ControllerOf) -> StreamingResponse:
    """All tickets as they are at this moment; without codes, which nobody has."""
    headers = {"Content-Disposition": 'attachment; filename="tickets.csv"'}
    return StreamingResponse(_pieces(controller), media_type=CSV + "; charset=utf-8", headers=headers)


def _refused(found: exchange.Batch) -> JSONResponse:
    lines = []
    for fault in found.faults:
        words = fault.words()
        lines.append({"line": fault.line, "text_de": words.de, "text_en": words.en})
    told = {
        "detail": f"{found.count} lines are not as they should be: nothing was taken",
        "text_de": f"{found.count} Zeilen sind nicht in Ordnung: nichts wurde übernommen",
        "text_en": f"{found.count} lines are not as they should be: nothing was taken",
        "faults": lines,
    }
    return JSONResponse(told, 422)


def _check_known(database: Database, found: exchange.Batch) -> None:
    """Blame lines whose ticket is in the database already, or comes along with one that is nowhere."""
    mine = {row[_ID] for row in found.rows}
    with database.connect() as connection:
        for start in range(0, len(found.rows), exchange.ROWS_AT_ONCE):
            some = found.some(start, exchange.ROWS_AT_ONCE)
            names, digests = [ticket.id for ticket in some], [ticket.digest for ticket in some]
            there = or_(TICKET.c.id.in_(names), TICKET.c.digest.in_(digests))
            rows = connection.execute(select(TICKET.c.id, TICKET.c.digest).where(there)).all()
            known = {value for row in rows for value in row}
            others = {ticket.company_of for ticket in some} - mine - {""}
            hosts = set(connection.execute(select(TICKET.c.id).where(TICKET.c.id.in_(others))).scalars())
            for ticket, line in zip(some, found.lines[start : start + len(some)], strict=True):
                if known and (ticket.id in known or ticket.digest in known):
                    found.blame(Fault(line, "known"))
                elif ticket.company_of in others - hosts:
                    found.blame(Fault(line, "company"))


def _pieces(controller: Controller) -> Iterator[str]:
    with one_moment(controller.database) as connection:

        def tickets() -> Iterator[Ticket]:
            last = ""
            while True:
                statement = select(*_COLUMNS).where(TICKET.c.id > last).order_by(TICKET.c.id)
                rows = connection.execute(statement.limit(exchange.ROWS_AT_ONCE)).all()
                if not rows:
                    return
                yield from (Ticket(*row) for row in rows)
                last = rows[-1].id

        waiting: list[str] = []
        for line in exchange.write(tickets()):
            waiting.append(line)
            if len(waiting) >= exchange.ROWS_AT_ONCE:
                yield "".join(waiting)
                waiting.clear()
        yield "".join(waiting)
