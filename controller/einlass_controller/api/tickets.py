"""Tickets: issue, look up, draw. Codes travel in bodies only."""

import asyncio
import io
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal

import segno
from fastapi import APIRouter, HTTPException, Query, Response
from sqlalchemy import Column, func, select
from sqlalchemy import Engine as Database

from einlass_controller.api import models
from einlass_controller.api.access import Anybody, ControllerOf, Seller, Watcher
from einlass_controller.api.house import now_ms, unix_ms
from einlass_controller.api.house import read as read_database
from einlass_controller.api.signing_keys import key_that_signs
from einlass_controller.api.state import PAGE_MAX
from einlass_controller.domain import visits
from einlass_controller.domain.catalogue import Product
from einlass_controller.domain.decision import Text
from einlass_controller.domain.life import STATUS_WORDS
from einlass_controller.domain.tickets import Ticket
from einlass_controller.issuing import Terms, make_ticket, new_code, sign_ticket
from einlass_controller.messages import Declined, Issue
from einlass_controller.pages.words import instant_writer
from einlass_controller.runtime import Controller
from einlass_controller.store.reading import rules_in_force
from einlass_controller.store.schema import TICKET, VISIT
from einlass_core import codes

QR_BORDER = 4
# A quarter of a wet or scratched symbol can be missing; the symbol stays small.
QR_ERROR_LEVEL = "q"
_COLUMNS = [TICKET.c[item.name] for item in fields(Ticket)]

router = APIRouter(tags=["tickets"])


@router.post("/tickets", status_code=201)
async def issue(order: models.TicketOrder, client: Seller, controller: ControllerOf) -> models.Issued:
    """Issue n tickets. Their codes are told in this answer and never again."""
    if order.zone and order.zone not in controller.live.areas:
        raise HTTPException(422, f"zone {order.zone!r} is not known; known are: {', '.join(controller.live.areas)}")
    if order.valid_from and order.valid_until and order.valid_from > order.valid_until:
        raise HTTPException(422, "valid_from is after valid_until")
    terms = _terms(order, await _product(controller, order))
    if order.signed:
        made = await _sign(controller, order.n, terms, client)
    else:
        made = [(code, make_ticket(code, **terms)) for code in (new_code() for _ in range(order.n))]
    declined = await controller.writer.submit(Issue(tuple(ticket for _, ticket in made), client, order.walk_in))
    if isinstance(declined, Declined):
        raise HTTPException(409, declined.reason)
    return models.Issued(
        tickets=[
            models.IssuedTicket(
                id=ticket.id,
                code=code,
                typed=code if order.signed else codes.in_groups(code),
                qr_svg=draw(code, "svg").decode() if order.with_qr else None,
            )
            for code, ticket in made
        ]
    )


@router.get("/tickets")
async def search(
    client: Watcher,
    controller: ControllerOf,
    status: Annotated[Literal["valid", "revoked", "blocked", "cancelled", "unpaid"] | None, Query()] = None,
    zone: Annotated[str | None, Query(max_length=40)] = None,
    product: Annotated[str | None, Query(max_length=40)] = None,
    after: Annotated[str, Query(max_length=40)] = "",
    size: Annotated[int, Query(alias="limit", ge=1, le=PAGE_MAX)] = 100,
) -> models.Page:
    """Tickets that are all of this, a page at a time."""
    wanted = {TICKET.c.status: status, TICKET.c.zone: zone, TICKET.c.product: product}
    conditions = [column == value for column, value in wanted.items() if value is not None]
    found = await asyncio.to_thread(load_tickets, controller.database, size, TICKET.c.id > after, *conditions)
    return models.Page(tickets=found, next=found[-1].id if len(found) == size else None)


@router.get("/tickets/{ticket_id}")
async def read(ticket_id: str, client: Anybody, controller: ControllerOf) -> models.TicketOut:
    """A ticket by its short id."""
    return await find_ticket(controller.database, TICKET.c.id, ticket_id.strip().upper()[:40])


@router.post("/tickets/find")
async def find(given: models.CodeIn, client: Anybody, controller: ControllerOf) -> models.TicketOut:
    """A ticket by its code, typed or scanned."""
    proof = controller.intake.prove(given.code.encode(errors="replace"))
    return await find_ticket(controller.database, TICKET.c.code_sha256, proof.sha256, TICKET.c.digest == proof.digest)


@router.post(
    "/tickets/paper",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}, "image/png": {}}}},
)
async def on_paper(order: models.PaperOrder, client: Seller, controller: ControllerOf) -> Response:
    """A ticket as the visitor gets it: QR, code to type, validity. The code comes in the body, never in an address."""
    from einlass_controller import paper  # a tenth of the controller's start, and many never print

    given = order.code.encode(errors="replace")
    proof = controller.intake.prove(given)
    ticket = await asyncio.to_thread(_load, controller.database, proof.digest, proof.sha256)
    if ticket is None:
        raise HTTPException(404, "no such ticket")
    area, site = controller.live.areas.get(ticket.zone), controller.site
    sheet = paper.Paper(
        ticket,
        codes.read(given),
        Text(site.name, site.name_en),
        Text(ticket.zone, ticket.zone) if area is None else Text(area.name, area.name_en),
        instant_writer(site.time_zone),
        ("de", "en") if order.language == "both" else (order.language,),
    )
    image = await asyncio.to_thread(paper.pdf if order.format == "pdf" else paper.png, sheet)
    media = "application/pdf" if order.format == "pdf" else "image/png"
    return Response(image, media_type=media, headers={"Cache-Control": "no-store"})


@router.post("/qr", response_class=Response, responses={200: {"content": {"image/svg+xml": {}, "image/png": {}}}})
async def qr(order: models.QrOrder, client: Seller) -> Response:
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


async def _sign(controller: Controller, n: int, terms: Terms, client: str) -> list[tuple[str, Ticket]]:
    key = await key_that_signs(controller, client)

    def sign() -> list[tuple[str, Ticket]]:
        return [sign_ticket(controller.signer, key, **terms) for _ in range(n)]

    try:
        return await asyncio.to_thread(sign)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error


async def _product(controller: Controller, order: models.TicketOrder) -> Product:
    """The product that is ordered, by the rules that hold now (or when its slot begins)."""
    at_ms = now_ms() if order.slot is None else max(now_ms(), unix_ms(order.slot))
    catalogue = await read_database(controller.database, lambda connection: rules_in_force(connection, at_ms))
    product = catalogue.products.get(order.product)
    if product is None:
        raise HTTPException(422, f"product {order.product!r} is not known; known are: {', '.join(catalogue.products)}")
    if (product.slots is None) != (order.slot is None):
        raise HTTPException(422, f"{product.id} {'has no time slots' if order.slot else 'needs a time slot: slot'}")
    if (
        order.company_of
        and await read_database(
            controller.database,
            lambda connection: connection.execute(select(TICKET.c.id).where(TICKET.c.id == order.company_of)).first(),
        )
        is None
    ):
        raise HTTPException(422, "company_of: no such ticket")
    return product


def _terms(order: models.TicketOrder, product: Product) -> Terms:
    return {
        "product": product,
        "slot_ms": _ms(order.slot),
        "company_of": order.company_of,
        "persons": order.persons or product.persons,
        "zone": order.zone,
        "valid_from_ms": _ms(order.valid_from),
        "valid_until_ms": _ms(order.valid_until),
    }


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp() * 1000)


async def find_ticket(database: Database, column: Column[Any], value: str, *more: Any) -> models.TicketOut:
    """The ticket with this value; 404 when there is none."""
    found = await asyncio.to_thread(load_tickets, database, 1, column == value, *more) if value else []
    if not found:
        raise HTTPException(404, "no such ticket")
    return found[0]


def _load(database: Database, digest: str, sha256: str) -> Ticket | None:
    if not digest:
        return None
    wanted = TICKET.c.digest == digest, TICKET.c.code_sha256 == sha256
    with database.connect() as connection:
        row = connection.execute(select(*_COLUMNS).where(*wanted)).first()
    return None if row is None else Ticket(*row)


def load_tickets(database: Database, size: int, *conditions: Any) -> list[models.TicketOut]:
    """At most `size` tickets that fulfil these, by id."""
    with database.connect() as connection:
        rows = connection.execute(select(*_COLUMNS).where(*conditions).order_by(TICKET.c.id).limit(size))
        found = [Ticket(*row) for row in rows]
        names = [ticket.id for ticket in found]
        inside = dict(
            connection.execute(
                select(VISIT.c.ticket, func.sum(VISIT.c.passed - VISIT.c.left))
                .where(VISIT.c.ticket.in_(names), VISIT.c.state == visits.PRESENT)
                .group_by(VISIT.c.ticket)
            ).all()
        )
    return [_out(ticket, int(inside.get(ticket.id, 0))) for ticket in found]


def _out(ticket: Ticket, inside: int) -> models.TicketOut:
    shown = {name: getattr(ticket, name) for name in models.TicketOut.model_fields if hasattr(ticket, name)}
    words = STATUS_WORDS[ticket.status]
    return models.TicketOut(**shown, inside=inside, status_de=words.de, status_en=words.en)
