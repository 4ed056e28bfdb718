"""What becomes of a ticket beside scans: every change with a reason, and a line in the ledger."""

import asyncio

from fastapi import APIRouter, HTTPException

from einlass_controller.api import models
from einlass_controller.api.access import ControllerOf, Office, Supervisor
from einlass_controller.api.signing_keys import key_that_signs
from einlass_controller.api.tickets import find_ticket, load_tickets
from einlass_controller.domain.life import DONE, LifeError
from einlass_controller.issuing import Terms, make_ticket, new_code, sign_ticket
from einlass_controller.orders import AnnulEntry, ChangeTicket, Done, OfficeOrder, ReplaceTicket
from einlass_controller.runtime import Controller
from einlass_controller.store.schema import TICKET
from einlass_core import codes

ID_LENGTH_MAX = 40

router = APIRouter(tags=["tickets"])


@router.post("/tickets/{ticket_id}/change")
async def change(
    ticket_id: str, order: models.TicketChange, client: Office, controller: ControllerOf
) -> models.Changed:
    """Block, unblock, cancel, mark as unpaid or paid, withdraw. 409 when the ticket is in a state that forbids it."""
    name = _id(ticket_id)
    done = await _do(controller, ChangeTicket(name, order.do, order.reason, client))
    return await _changed(controller, name, done)


@router.post("/tickets/{ticket_id}/annul")
async def annul(
    ticket_id: str, order: models.Annulment, client: Supervisor, controller: ControllerOf
) -> models.Changed:
    """Take back an entry that should not have been counted."""
    name = _id(ticket_id)
    done = await _do(controller, AnnulEntry(name, order.visit, order.reason, client))
    return await _changed(controller, name, done)


@router.post("/tickets/{ticket_id}/replace", status_code=201)
async def replace(ticket_id: str, why: models.ReasonIn, client: Office, controller: ControllerOf) -> models.Replacement:
    """A new code for a lost or spoilt ticket: the old one is dead, entries left and an open visit go over."""
    old = await find_ticket(controller.database, TICKET.c.id, _id(ticket_id))
    terms: Terms = {
        "persons": old.persons,
        "zone": old.zone,
        "valid_from_ms": old.valid_from_ms,
        "valid_until_ms": old.valid_until_ms,
    }
    if old.key_id:
        key = await key_that_signs(controller, client)
        code, new = await asyncio.to_thread(lambda: sign_ticket(controller.signer, key, old.product, **terms))
    else:
        code = new_code()
        new = make_ticket(code, **terms)
    order = ReplaceTicket(old.id, new.id, new.digest, new.code_sha256, new.key_id, why.reason, client)
    shown = await _changed(controller, new.id, await _do(controller, order))
    typed = code if new.key_id else codes.in_groups(code)
    return models.Replacement(**dict(shown), id=new.id, code=code, typed=typed)


def _id(given: str) -> str:
    return given.strip().upper()[:ID_LENGTH_MAX]


async def _do(controller: Controller, order: OfficeOrder) -> Done:
    result = await controller.writer.submit(order)
    if isinstance(result, LifeError):
        raise result
    if not isinstance(result, Done):
        raise HTTPException(404, "no such ticket")
    return result


async def _changed(controller: Controller, name: str, done: Done) -> models.Changed:
    found = await asyncio.to_thread(load_tickets, controller.database, 1, TICKET.c.id == name)
    words = DONE[done.what]
    return models.Changed(
        changed=done.changed,
        text_de=words.de,
        text_en=words.en,
        ticket=found[0] if found else None,
        still_counted=done.counted,
    )
