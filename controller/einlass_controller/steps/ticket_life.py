"""Orders about one ticket: the rules are in domain/life.py, here are their rows and lines of the ledger."""

from sqlalchemy import delete, insert, select

from einlass_controller.domain import life, visits
from einlass_controller.domain.life import LifeError
from einlass_controller.domain.snapshot import row_of
from einlass_controller.domain.tickets import Ticket
from einlass_controller.domain.visits import Visit
from einlass_controller.orders import AnnulEntry, ChangeTicket, Done, ReplaceTicket
from einlass_controller.steps import parking_stays
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.moving import key_beside
from einlass_controller.store.schema import HELD_BACK
from einlass_core.signed import TICKET_ID_LENGTH

_HELD = {life.BLOCK: life.BLOCKED, life.REVOKE: life.REVOKED, life.CANCEL: life.CANCELLED}


def change(batch: Batch, order: ChangeTicket) -> Done | LifeError | None:
    """Block, unblock, cancel, mark as unpaid or paid, withdraw."""
    ticket = batch.rows.ticket(order.ticket)
    if ticket is None:
        return _hold_back(batch, order)
    before = ticket.status
    try:
        changed = life.change(ticket, order.do, order.reason)
    except LifeError as error:
        return error
    if changed:
        batch.rows.ticket_changed(ticket)
        words = {"do": order.do, "before": before, "status": ticket.status, "reason": order.reason, "by": order.by}
        batch.record("ticket_changed", ticket=ticket.id, **words)
    return Done(order.do, changed)


def _hold_back(batch: Batch, order: ChangeTicket) -> Done | None:
    """A signed ticket that was never shown here has no row; its id can be held back all the same."""
    name = order.ticket
    if not batch.live.ring or len(name) != TICKET_ID_LENGTH:
        return None
    held = batch.rows.scalar(select(HELD_BACK.c.status).where(HELD_BACK.c.ticket == name))
    wanted = _HELD.get(order.do)
    if not held and wanted is None:
        return None
    if held in (life.REVOKED, life.CANCELLED) or held == wanted:
        return Done("held_back", changed=False)
    batch.rows.execute(delete(HELD_BACK).where(HELD_BACK.c.ticket == name))
    batch.live.list_number += 1  # lanes that judge signatures by themselves are told
    row = {"ticket": name, "status": wanted or "", "reason": order.reason, "at_ms": batch.now_ms}
    batch.rows.execute(insert(HELD_BACK), [row | {"listed_number": batch.live.list_number}])
    words = {"do": order.do, "before": held or "", "status": wanted or "", "reason": order.reason, "by": order.by}
    batch.record("held_back", ticket=name, **words)
    return Done("held_back" if wanted is not None else order.do)


def replace(batch: Batch, order: ReplaceTicket) -> Done | LifeError | None:
    """The old code is dead; the new one has the entries that are left, and an open visit goes on under it."""
    old = batch.rows.ticket(order.ticket)
    if old is None:
        return None
    try:
        new = life.supersede(
            old, order.new_id, order.digest, order.code_sha256, order.key_id, order.reason, batch.now_ms
        )
    except LifeError as error:
        return error
    batch.rows.add_ticket(new)
    batch.rows.ticket_changed(old)
    batch.rows.came_later(old.id)
    moved = [visit for visit in batch.rows.visits_of_ticket(old.id) if visit.is_open or visit.entry_of]
    for visit in moved:
        batch.rows.move_visit(visit, new)
    for zone in batch.live.parking.zones:
        stay = parking_stays.stay_of_ticket(batch, old, zone)
        if stay is not None and stay.zone == zone and stay.is_open:
            parking_stays.go_on(batch, stay, new, order.reason)
    batch.record(
        "replaced",
        ticket=old.id,
        new=new.id,
        reason=order.reason,
        by=order.by,
        visits=[visit.key for visit in moved],
        row=row_of(new),
    )
    return Done("replace")


def annul(batch: Batch, order: AnnulEntry) -> Done | LifeError | None:
    """An entry that should not have been: it comes back, and nobody of it counts as inside at a desk.

    Bodies that a gate counted stay counted: they went through it, and its own account says so until a recount.
    """
    ticket = batch.rows.ticket(order.ticket)
    if ticket is None:
        return None
    try:
        visit = life.last_entry(batch.rows.visits_ever(ticket.id), order.visit)
    except LifeError as error:
        return error
    counted = 0
    if visit.state in (visits.RESERVED, visits.RELEASED):
        batch.annul(visit)
    else:
        counted = _take_back(batch, ticket, visit)
    batch.record(
        "annulled",
        ticket=ticket.id,
        visit=visit.key,
        lane=visit.lane,
        counted=counted,
        reason=order.reason,
        by=order.by,
    )
    return Done("annul", counted=counted)


def _take_back(batch: Batch, ticket: Ticket, visit: Visit) -> int:
    """In all zones that the passage led into; returns how many are still counted as inside in one of them."""
    keys = {visit.key, *(key_beside(visit, zone) for zone in batch.live.areas)}
    inside = {}
    for item in batch.rows.visits_of_ticket(ticket.id):
        if item.key in keys:
            inside[item.zone] = life.take_back(item, ticket, batch.now_ms)
            batch.rows.changed(item, ticket)
    lane = batch.live.lanes.get(visit.lane)
    if lane is None or lane.node:
        return max(inside.values())
    if inside[visit.zone]:  # a desk counts its own zone only
        batch.live.books.walk(lane.id, -inside[visit.zone])
        batch.touch(lane)
    return 0
