"""A sale that a till priced by itself while it was cut off, told afterwards: applied as it was, then worked out anew.

What it should have come to by the books here is written beside it; where it differs somebody has a claim: `refund` is
owed to the customer, against the receipt; `due` is what the house did not get. Both are settled by a person.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import insert

from einlass_controller.domain import parking
from einlass_controller.domain.parking import ISSUED, LEFT, ParkingStay
from einlass_controller.live import Node
from einlass_controller.parking_book import Machine
from einlass_controller.steps import parking_stays
from einlass_controller.steps.batch import Batch, log
from einlass_controller.steps.presenting import Shown as Seen
from einlass_controller.steps.presenting import given_out, keep
from einlass_controller.store.schema import CLAIM
from einlass_core import wire
from einlass_tariff import due
from einlass_tariff.due import Shown
from einlass_tariff.problems import StayError

DUE, REFUND = "due", "refund"
CLAIM_OPEN = "open"
# A stamp tells when the ticket was printed, the books when the entry was granted: seconds apart, and the customer is
# charged by what stands on his ticket.
STAMP_APART_MS = 60_000
# From the price to the end of the payment; a record that says more is not believed.
PAYING_MS_MAX = 3_600_000
NAME_LENGTH_MAX = 64
SAVED_MAX = 6


@dataclass(frozen=True, slots=True)
class Alone:
    """What the machine says of its price: when, begin of the stay, fee, tariff (digest), what each card took off."""

    at_ms: int
    entered_ms: int
    fee_cents: int
    text: str
    saved: tuple[int, ...]


def read(value: Any) -> Alone | None:
    """`alone` of a `paid` record; None: it was priced here."""
    if not isinstance(value, dict):
        return None
    saved = value.get("saved")
    return Alone(
        _number(value.get("at"), wire.MILLISECONDS_MAX),
        _number(value.get("entered"), wire.MILLISECONDS_MAX),
        _number(value.get("fee"), wire.COUNT_MAX),
        str(value.get("text") or "")[: wire.NAME_LENGTH_MAX],
        tuple(_number(item, wire.COUNT_MAX) for item in saved[:SAVED_MAX]) if isinstance(saved, list) else (),
    )


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


def settle(batch: Batch, node: Node, key: str, name: str, asked_cents: int, should: int | None, at_ms: int) -> None:
    """A claim where the two differ. name: what stands on the receipt."""
    if should is None or should == asked_cents:
        return
    kind, cents = (DUE, should - asked_cents) if should > asked_cents else (REFUND, asked_cents - should)
    row: dict[str, Any] = {"key": f"{key}/{kind}"[:160], "name": name[:NAME_LENGTH_MAX], "node": node.id, "kind": kind}
    row |= {"cents": cents, "state": CLAIM_OPEN, "at_ms": at_ms, "settled_ms": None, "by": "", "reason": ""}
    batch.rows.execute(insert(CLAIM), [row])
    said = {"node": node.id, "sale": key, "claim": kind, "name": row["name"], "cents": cents}
    batch.record("sale_differs", at_ms, **said, asked_cents=asked_cents, should_cents=should)
    why = "too little was asked for" if kind == DUE else "too much was asked for: pay it back against the receipt"
    batch.alarm(node, f"sold_alone: {name}: {cents} cents {why}")


def _number(value: Any, most: int) -> int:
    return min(value, most) if type(value) is int and value >= 0 else 0
