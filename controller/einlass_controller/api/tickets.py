"""Tickets: issue, look up, draw. Codes travel in bodies only."""

import asyncio
import io
from dataclasses import fields
from datetime import datetime
from typing import Any

import segno
from fastapi import APIRouter, HTTPException, Response
from sqlalchemy import Column, select
from sqlalchemy import Engine as Database

from einlass_controller.api import models
from einlass_controller.api.access import ClientOf, ControllerOf
from einlass_controller.domain import visits
from einlass_controller.domain.tickets import Ticket
from einlass_controller.issuing import make_ticket, new_code
from einlass_controller.messages import Issue
from einlass_controller.store.schema import TICKET, VISIT
from einlass_core import codes

QR_BORDER = 4
# A quarter of a wet or scratched symbol can be missing; the symbol stays small.
QR_ERROR_LEVEL = "q"
_COLUMNS = [TICKET.c[item.name] for item in fields(Ticket)]

router = APIRouter(tags=["tickets"])


@router.post("/tickets", status_code=201)
async def issue(order: models.TicketOrder, client: ClientOf, controller: ControllerOf) -> models.Issued:
    """Issue n tickets. Their codes are told in this answer and never again."""
    if order.zone and order.zone not in controller.live.areas:
        raise HTTPException(422, f"zone {order.zone!r} is not known: see /api/v1/zones")
    if order.valid_from and order.valid_until and order.valid_from > order.valid_until:
        raise HTTPException(422, "valid_from is after valid_until")
    made = [new_code() for _ in range(order.n)]
    tickets = tuple(_ticket(order, code) for code in made)
    await controller.writer.submit(Issue(tickets, client))
    return models.Issued(
        tickets=[
            models.IssuedTicket(
                id=ticket.id,
                code=code,
                typed=codes.in_groups(code),
                qr_svg=draw(code, "svg").decode() if order.with_qr else None,
            )
            for ticket, code in zip(tickets, made, strict=True)
        ]
    )


@router.get("/tickets/{ticket_id}")
async def read(ticket_id: str, client: ClientOf, controller: ControllerOf) -> models.TicketOut:
    """A ticket by its short id."""
    return await _find(controller.database, TICKET.c.id, ticket_id.strip().upper()[:40])


@router.post("/tickets/find")
async def find(given: models.CodeIn, client: ClientOf, controller: ControllerOf) -> models.TicketOut:
    """A ticket by its code, typed or scanned."""
    proof = controller.intake.prove(given.code.encode(errors="replace"))
    return await _find(controller.database, TICKET.c.code_sha256, proof.sha256, TICKET.c.digest == proof.digest)


@router.post("/qr", response_class=Response, responses={200: {"content": {"image/svg+xml": {}, "image/png": {}}}})
async def qr(order: models.QrOrder, client: ClientOf) -> Response:
    """A code as a QR image."""
    try:
        code = codes.read(order.code.encode(errors="replace"))
    except codes.CodeError as error:
        raise HTTPException(422, f"this is no code: {error.reason}") from error
    media = "image/svg+xml" if order.format == "svg" else "image/png"
    image = await asyncio.to_thread(draw, code, order.format, order.scale)
    return Response(image, media_type=media, headers={"Cache-Control": "no-store"})


def draw(code: str, kind: str, scale: int = 8) -> bytes:
    """A code as SVG or PNG."""
    out = io.BytesIO()
    segno.make(code, error=QR_ERROR_LEVEL, micro=False).save(out, kind=kind, scale=scale, border=QR_BORDER)
    return out.getvalue()


def _ticket(order: models.TicketOrder, code: str) -> Ticket:
    return make_ticket(
        code,
        persons=order.persons,
        zone=order.zone,
        valid_from_ms=_ms(order.valid_from),
        valid_until_ms=_ms(order.valid_until),
    )


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp() * 1000)


async def _find(database: Database, column: Column[Any], value: str, *more: Any) -> models.TicketOut:
    found = await asyncio.to_thread(_load, database, column, value, more)
    if found is None:
        raise HTTPException(404, "no such ticket")
    return found


def _load(database: Database, column: Column[Any], value: str, more: tuple[Any, ...]) -> models.TicketOut | None:
    if not value:
        return None
    with database.connect() as connection:
        row = connection.execute(select(*_COLUMNS).where(column == value, *more)).first()
        if row is None:
            return None
        ticket = Ticket(*row)
        stays = connection.execute(
            select(VISIT.c.passed - VISIT.c.left).where(VISIT.c.ticket == ticket.id, VISIT.c.state == visits.PRESENT)
        ).scalars()
        inside = sum(stays)
    shown = {name: getattr(ticket, name) for name in models.TicketOut.model_fields if hasattr(ticket, name)}
    return models.TicketOut(**shown, inside=inside)
