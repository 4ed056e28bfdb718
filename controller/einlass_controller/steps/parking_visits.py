"""A visit that pays for parking: whoever was in the zone `free_with` during the stay shows his ticket, once a visit."""

from dataclasses import dataclass

from sqlalchemy import insert, select, update

from einlass_controller.domain import vouchers
from einlass_controller.domain.parking import ParkingStay
from einlass_controller.domain.tickets import Ticket
from einlass_controller.messages import Proof
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.presenting import present
from einlass_controller.store.schema import VISIT_USE

HELD, REDEEMED, RELEASED = "held", "redeemed", "released"
VISITS_A_STAY_MAX = 1


@dataclass(frozen=True, slots=True)
class Found:
    """code: as for a voucher (domain.vouchers); visit: its key, if it is held."""

    code: str
    visit: str = ""


def hold(batch: Batch, ticket: Ticket, proof: Proof, stay: ParkingStay, zone: str, sale: str) -> Found:
    """Hold a visit of this ticket for the sale, or say why there is none."""
    park = batch.live.parking.zones[zone]
    if present(batch, proof).ticket is None or not park.free_with or not stay.id:
        return Found(vouchers.UNKNOWN)
    if ticket.status in (vouchers.BLOCKED, "revoked", "cancelled"):
        return Found(vouchers.BLOCKED)
    keys = [
        visit.key
        for visit in batch.rows.visits_ever(ticket.id)
        if visit.zone == park.free_with and visit.began_ms is not None and visit.began_ms >= stay.entered_ms
    ]
    if not keys:
        return Found(vouchers.NOT_ACTIVE)
    used = {row.visit: row for row in batch.rows.fetch(select(VISIT_USE).where(VISIT_USE.c.visit.in_(keys)))}
    mine = next((key for key in keys if key in used and (used[key].state, used[key].sale) == (HELD, sale)), None)
    if mine is not None:
        return Found(vouchers.OK, mine)
    free = next((key for key in keys if key not in used or used[key].state == RELEASED), None)
    if free is None:
        held = any(row.state == HELD for row in used.values())
        return Found(vouchers.HELD_ELSEWHERE if held else vouchers.REDEEMED)
    counted = select(VISIT_USE.c.visit).where(VISIT_USE.c.stay == stay.id, VISIT_USE.c.state != RELEASED)
    if len(batch.rows.fetch(counted)) >= VISITS_A_STAY_MAX:
        return Found(vouchers.LIMIT_STAY)
    row = {"sale": sale, "stay": stay.id, "state": HELD, "at_ms": batch.now_ms, "saved_cents": None}
    if free in used:
        batch.rows.execute(update(VISIT_USE).where(VISIT_USE.c.visit == free).values(row))
    else:
        batch.rows.execute(insert(VISIT_USE), [row | {"visit": free}])
    batch.record("visit_held", visit=free, ticket=ticket.id, stay=stay.id, sale=sale)
    return Found(vouchers.OK, free)


def held_by(batch: Batch, sale: str) -> set[str]:
    """The visits that a sale holds."""
    mine = select(VISIT_USE.c.visit).where(VISIT_USE.c.sale == sale, VISIT_USE.c.state == HELD)
    return {row.visit for row in batch.rows.fetch(mine)}


def keep_only(batch: Batch, sale: str, wanted: set[str]) -> None:
    """All other visits that the sale holds are free again."""
    for visit in sorted(held_by(batch, sale) - wanted):
        batch.rows.execute(update(VISIT_USE).where(VISIT_USE.c.visit == visit).values(state=RELEASED))


def use(batch: Batch, sale: str, visit: str, stay: str, saved_cents: int) -> bool:
    """The sale was paid with it. False: it is another sale's by now."""
    rows = batch.rows.fetch(select(VISIT_USE.c.state, VISIT_USE.c.sale).where(VISIT_USE.c.visit == visit))
    if rows and rows[0].sale != sale and rows[0].state != RELEASED:
        return False
    row = {"sale": sale, "stay": stay, "state": REDEEMED, "at_ms": batch.now_ms, "saved_cents": saved_cents}
    if not batch.rows.execute(update(VISIT_USE).where(VISIT_USE.c.visit == visit).values(row)):
        batch.rows.execute(insert(VISIT_USE), [row | {"visit": visit}])
    return True
