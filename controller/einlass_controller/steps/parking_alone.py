"""A sale that a till priced by itself while it was cut off, told afterwards: applied as it was, then worked out anew.

What it should have come to by the books here is written beside it; where it differs somebody has a claim (claims.py).
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from einlass_controller.domain import parking
from einlass_controller.domain.parking import ISSUED, LEFT, ParkingStay
from einlass_controller.parking_book import Machine
from einlass_controller.steps import parking_stays
from einlass_controller.steps.batch import Batch, log
from einlass_controller.steps.presenting import Shown as Seen
from einlass_controller.steps.presenting import given_out, keep
from einlass_controller.steps.sale_told import Alone
from einlass_tariff import due
from einlass_tariff.due import Shown
from einlass_tariff.problems import StayError

# A stamp tells when the ticket was printed, the books when the entry was granted: seconds apart, and the customer is
# charged by what stands on his ticket.
STAMP_APART_MS = 60_000
# From the price to the end of the payment; a record that says more is not believed.
PAYING_MS_MAX = 3_600_000


def priced_at(alone: Alone, at_ms: int) -> int:
    """When it was priced, as far as that can be."""
    return alone.at_ms if 0 <= at_ms - alone.at_ms <= PAYING_MS_MAX else at_ms


def tariff_named(batch: Batch, zone: str, alone: Alone) -> str:
    """The version that it was priced by, as online sales name it."""
    if not alone.text:
        return ""
    for tariff in batch.live.parking.book_of(zone).versions:
        if tariff.digest == alone.text:
            return f"{tariff.name} {tariff.valid_from.isoformat()} {tariff.digest}"
    return f"unknown {alone.text}"


def stay_of(batch: Batch, machine: Machine, what: str, subject: str, alone: Alone, at_ms: int) -> ParkingStay | None:
    """The stay that it was paid for, if it is known here, or can be: its entry may have been cut off, too."""
    if what == parking.DISPLAY:
        known = parking_stays.stay_of_plate(batch, machine.zone, subject)
        return known if known is not None and known.until_ms >= priced_at(alone, at_ms) else None
    if what != parking.EXIT or not subject:
        return None
    batch.rows.tickets_with(subject)
    ticket = batch.rows.by_digest.get(subject)
    if ticket is not None:
        return parking_stays.stay_of_ticket(batch, ticket, machine.zone)
    lanes = batch.live.lanes.values()
    giver = next((lane for lane in lanes if lane.issues and machine.zone in lane.zones), None)
    if giver is None:
        return None
    fresh = given_out(batch, giver, subject)
    keep(batch, Seen(fresh, fresh=True))
    entered_ms = min(alone.entered_ms, at_ms)
    stay = ParkingStay(fresh.id, machine.zone, parking.TICKET, ISSUED, fresh.id, entered_ms)
    parking_stays.add(batch, stay)
    return stay


def was_in_time(stay: ParkingStay, at_ms: int) -> bool:
    """Whether a stay that is over by now was paid before it ended."""
    return stay.state == LEFT and stay.left_ms is not None and at_ms <= stay.left_ms


def should_cents(
    batch: Batch,
    machine: Machine,
    what: str,
    subject: str,
    until_ms: int,
    alone: Alone,
    before: ParkingStay | None,
    uses: Iterable[dict[str, Any]],
    at_ms: int,
) -> int | None:
    """What it should have come to by the books here, as the stay was `before` it; None: nobody can say."""
    book = batch.live.parking
    if what == parking.POOL:
        product = batch.catalogue.products.get(subject)
        return None if product is None else product.price_cents
    if what == parking.LOST:
        return book.lost_cents(machine.zone)
    priced_ms = priced_at(alone, at_ms)
    shown = [
        Shown(place, item["kind"], item["worth"], (item["span"][0], item["span"][1])) for place, item in enumerate(uses)
    ]
    try:
        if what == parking.DISPLAY:
            entered_ms = min(alone.entered_ms, at_ms)
            stay = before or ParkingStay("", machine.zone, parking.DISPLAY, parking.INSIDE, "", entered_ms)
            return due.cost_until(book.book_of(machine.zone), stay, until_ms, shown)
        if before is None:
            return None
        stay = before
        near = abs(stay.entered_ms - alone.entered_ms) <= STAMP_APART_MS
        if near or stay.reason == parking_stays.ENTRY_NOT_TOLD:
            stay = replace(stay, entered_ms=min(alone.entered_ms, priced_ms))
        return parking_stays.bill_of(batch, stay, priced_ms, shown).due_cents
    except StayError as error:
        log.error("no_price", till=machine.id, reason=str(error))
        return None
