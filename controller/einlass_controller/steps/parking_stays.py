"""Stays of cars follow the visits of their tickets: what lanes report moves both."""

from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from einlass_controller.domain import parking, visits
from einlass_controller.domain.parking import INSIDE, ISSUED, LEFT, UNUSED, ParkingStay
from einlass_controller.domain.tickets import Ticket
from einlass_controller.domain.visits import Visit
from einlass_controller.steps.batch import Batch, log
from einlass_controller.store.schema import STAY
from einlass_core import codes
from einlass_tariff import due
from einlass_tariff.due import Bill, Shown
from einlass_tariff.problems import StayError

# So long after an exit said yes the car may take to pass it.
CLEARED_MS = 5 * 60_000
# Why a stay begins and ends at once: its ticket was seen at an exit only.
ENTRY_NOT_TOLD = "entry not told yet"
STAY_COLUMNS = [STAY.c[item.name] for item in fields(ParkingStay)]


def stay_of(batch: Batch, name: str) -> ParkingStay | None:
    """A stay by its id, which is that of its ticket."""
    if name and name not in batch.stays:
        _read(batch, STAY.c.id == name)
    return batch.stays.get(name)


def stay_of_ticket(batch: Batch, ticket: Ticket, zone: str) -> ParkingStay | None:
    """The stay that a code at a till or an exit of a car park is about: a ticket's only one, or a pass's open one."""
    found = stay_of(batch, ticket.id)
    if found is not None:
        return found
    _read(batch, STAY.c.ticket == ticket.id, STAY.c.state.in_(parking.OPEN))
    mine = [item for item in batch.stays.values() if (item.ticket, item.zone) == (ticket.id, zone) and item.is_open]
    return max(mine, key=lambda item: item.entered_ms, default=None)


def stay_of_plate(batch: Batch, zone: str, plate: str) -> ParkingStay | None:
    """The stay of pay and display that is not over."""
    _read(batch, STAY.c.plate == plate, STAY.c.zone == zone, STAY.c.kind == parking.DISPLAY)
    found = [stay for stay in batch.stays.values() if (stay.plate, stay.zone) == (plate, zone) and stay.is_open]
    return max(found, key=lambda stay: stay.until_ms, default=None)


def _read(batch: Batch, *conditions: Any) -> None:
    for row in batch.rows.fetch(select(*STAY_COLUMNS).where(*conditions)):
        batch.stays.setdefault(row.id, ParkingStay(*row))


def add(batch: Batch, stay: ParkingStay) -> None:
    """A new stay."""
    batch.stays[stay.id] = stay
    batch.new_stays.add(stay.id)


def changed(batch: Batch, stay: ParkingStay) -> None:
    """This stay must be written."""
    if stay.id not in batch.new_stays:
        batch.changed_stays.add(stay.id)


def bill_of(batch: Batch, stay: ParkingStay, at_ms: int, shown: Iterable[Shown] = ()) -> Bill:
    """What is due at an instant. Raises StayError."""
    book = batch.live.parking
    return due.bill(book.book_of(stay.zone), stay, at_ms, book.lost_cents(stay.zone), tuple(shown))


def follow(batch: Batch) -> None:
    """Bring stays up to what this batch did with their visits, and write all that have changed."""
    zones = batch.live.parking.zones
    if zones:
        _, fresh, moved = batch.rows.touched()
        for visit in (*fresh, *moved):
            ticket = batch.rows.tickets.get(visit.ticket)
            if ticket is not None and visit.zone in zones:
                _follow(batch, visit, ticket)
    _write(batch)


def _follow(batch: Batch, visit: Visit, ticket: Ticket) -> None:
    issued = ticket.product in batch.live.parking.products
    name = ticket.id if issued else codes.digest(visit.key)
    stay = stay_of(batch, name)
    if stay is None:
        product = batch.catalogue.products.get(ticket.product)
        held = product.parking_pass if product is not None else ""
        if visit.state == visits.ANNULLED or not (issued or held):
            return
        stay = ParkingStay(name, visit.zone, parking.TICKET, ISSUED, ticket.id, visit.granted_ms, pass_name=held)
        stay.pass_until_ms = ticket.valid_until_ms if held else None
        add(batch, stay)
    if stay.zone != visit.zone:
        return
    before = stay.state
    if visit.state == visits.ANNULLED:
        stay.state = UNUSED if stay.is_open else before
    elif before == LEFT and visit.state == visits.PRESENT and stay.reason == ENTRY_NOT_TOLD:
        # The lane that let it in was cut off, and tells later than the one that let it out.
        visits.leave(visit, visit.inside, stay.left_ms or batch.now_ms)
        batch.rows.changed(visit, None)
        stay.entered_ms, stay.reason = min(visit.granted_ms, stay.left_ms or visit.granted_ms), ""
        changed(batch, stay)
        settle(batch, stay)
    elif visit.state == visits.ENDED or (visit.left and visit.left >= visit.persons):
        leave(batch, stay, visit.ended_ms or batch.now_ms)
    elif visit.state == visits.PRESENT and before in (ISSUED, UNUSED):
        stay.state = INSIDE
    elif visit.state in (visits.RESERVED, visits.RELEASED) and before == UNUSED:
        stay.state, stay.entered_ms = ISSUED, visit.granted_ms
    if stay.state != before:
        changed(batch, stay)


def leave(batch: Batch, stay: ParkingStay, at_ms: int) -> None:
    """The car is out. What it still owes is written down: no exit is held shut for it when nobody could ask."""
    if stay.state == LEFT:
        return
    stay.state, stay.left_ms = LEFT, max(at_ms, stay.entered_ms)
    changed(batch, stay)
    settle(batch, stay)


def settle(batch: Batch, stay: ParkingStay) -> None:
    """What a stay that is over has not paid; told again when that changes (a till told late that it was paid)."""
    at_ms = stay.left_ms or batch.now_ms
    was = stay.unpaid_cents
    stay.unpaid_cents = 0
    if not 0 <= at_ms - stay.cleared_ms <= CLEARED_MS:
        try:
            stay.unpaid_cents = bill_of(batch, stay, at_ms).due_cents
        except StayError as error:
            log.error("no_price", stay=stay.id, reason=str(error))
            batch.record("alarm", node="", reason=f"stay {stay.id} has no price: {error}"[:200])
    if stay.unpaid_cents != was:
        changed(batch, stay)
        batch.record("left_unpaid", at_ms, stay=stay.id, zone=stay.zone, cents=stay.unpaid_cents, before_cents=was)


def go_on(batch: Batch, stay: ParkingStay, ticket: Ticket, reason: str) -> ParkingStay:
    """The same stay under another ticket: all that was paid for it counts."""
    if stay.is_of_visit:  # found by its visit, which moves to the new ticket
        stay.ticket, stay.reason = ticket.id, reason
        changed(batch, stay)
        return stay
    fresh = replace(stay, id=ticket.id, ticket=ticket.id, reason=reason)
    add(batch, fresh)
    stay.state, stay.left_ms, stay.reason, stay.plate = LEFT, batch.now_ms, f"goes on as {ticket.id}", ""
    changed(batch, stay)
    return fresh


def seen_at_exit(batch: Batch, ticket: Ticket, at_ms: int) -> None:
    """A car went out by a ticket that no entry has told of: cut off, it will tell later when that was."""
    stay = ParkingStay(ticket.id, ticket.zone, parking.TICKET, LEFT, ticket.id, at_ms, at_ms, reason=ENTRY_NOT_TOLD)
    add(batch, stay)


def end_displays(batch: Batch) -> None:
    """Time that was bought is over: the stay is, and its plate is forgotten."""
    over = STAY.c.kind == parking.DISPLAY, STAY.c.state == INSIDE, STAY.c.until_ms < batch.now_ms - CLEARED_MS
    _read(batch, *over)
    for stay in list(batch.stays.values()):
        late = stay.until_ms < batch.now_ms - CLEARED_MS
        if stay.kind == parking.DISPLAY and stay.state == INSIDE and late:
            stay.state, stay.left_ms, stay.plate = LEFT, stay.until_ms, ""
            changed(batch, stay)


def _write(batch: Batch) -> None:
    new = [asdict(batch.stays[name]) for name in sorted(batch.new_stays)]
    if new:
        batch.rows.execute(insert(STAY), new)
    old = [asdict(batch.stays[name]) for name in sorted(batch.changed_stays - batch.new_stays)]
    if old:
        names = [item.name for item in fields(ParkingStay) if item.name != "id"]
        values: dict[str, Any] = {name: bindparam(f"b_{name}") for name in names}
        rows = [{f"b_{name}": value for name, value in row.items()} for row in old]
        batch.rows.execute(update(STAY).where(STAY.c.id == bindparam("b_id")).values(values), rows)
