"""What the money of a sale was for: a stay goes on or ends with it, one begins, or a ticket of the pool is valid."""

from typing import Any

from einlass_controller.domain import parking, vouchers
from einlass_controller.domain.parking import INSIDE, LEFT, ParkingStay
from einlass_controller.domain.snapshot import row_of
from einlass_controller.domain.tickets import VALID, Ticket
from einlass_controller.domain.visits import PRESENT, Visit
from einlass_controller.issuing import new_id
from einlass_controller.parking_book import Machine
from einlass_controller.steps import parking_alone, parking_stays
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.sale_told import Told
from einlass_core import codes
from einlass_tariff.due import tariff_of


def stay_of(batch: Batch, machine: Machine, row: dict[str, Any], sale: Told, at_ms: int) -> ParkingStay | None:
    """The stay that it was paid for; None: there is none (yet)."""
    if sale.what == parking.POOL:
        return None
    stay = parking_stays.stay_of(batch, row["stay"])
    if stay is None and sale.alone is not None:
        stay = parking_alone.stay_of(batch, machine, sale.what, sale.subject, sale.alone, at_ms)
    elif stay is None and sale.what == parking.EXIT:
        batch.rows.tickets_with(sale.subject)
        ticket = batch.rows.by_digest.get(sale.subject)
        stay = parking_stays.stay_of_ticket(batch, ticket, machine.zone) if ticket is not None else None
    return stay if stay is not None and stay.zone in batch.live.parking.zones else None


def pay_for(
    batch: Batch,
    machine: Machine,
    row: dict[str, Any],
    sale: Told,
    uses: list[dict[str, Any]],
    at_ms: int,
    wrong: list[str],
    stay: ParkingStay | None,
) -> str:
    """Credit what the money was for. Returns the stay's id ("": none, or unknown)."""
    if sale.what == parking.POOL:
        _sell_ticket(batch, machine, row, sale, at_ms, wrong)
        return ""
    if stay is None and sale.what not in (parking.DISPLAY, parking.LOST):
        wrong.append("it was paid for a stay that nobody knows")
        return ""
    if stay is None:
        stay = _begin(batch, machine, row, sale, at_ms)
    _credit(batch, machine, stay, sale, uses, at_ms)
    if stay.kind == parking.LOST and not stay.ticket:  # no replacement: staff lets this car out
        stay.state, stay.left_ms = LEFT, at_ms
    elif stay.state == LEFT:
        if sale.alone is None or not parking_alone.was_in_time(stay, at_ms):
            wrong.append("it was paid for a stay that was over")
        parking_stays.settle(batch, stay)
    return stay.id


def _begin(batch: Batch, machine: Machine, row: dict[str, Any], sale: Told, at_ms: int) -> ParkingStay:
    """Pay and display begins its stay with the money; so does a lost ticket's replacement from the machine."""
    name, ticket_id = codes.digest(row["key"]), ""
    if sale.what == parking.LOST and sale.code:
        ticket = _ticket(batch, sale.code, next(iter(sorted(batch.live.parking.products)), "single"), machine.zone)
        if ticket is not None:
            replaced(batch, ticket, machine.zone, at_ms)
            name = ticket_id = ticket.id
    kind = parking.LOST if sale.what == parking.LOST else parking.DISPLAY
    opened_ms = min(row["opened_ms"], at_ms)
    if sale.alone is not None and 0 <= at_ms - sale.alone.entered_ms <= parking_alone.PAYING_MS_MAX:
        opened_ms = sale.alone.entered_ms
    stay = ParkingStay(name, machine.zone, kind, INSIDE, ticket_id, opened_ms)
    stay.plate = sale.subject if kind == parking.DISPLAY else ""
    parking_stays.add(batch, stay)
    return stay


def replaced(batch: Batch, ticket: Ticket, zone: str, at_ms: int) -> None:
    """A replacement's bearer is inside already: the sensor that lets him out has counted him in."""
    visit = Visit(f"lost/{ticket.id}", "", "", ticket.id, "", zone, 1, PRESENT, at_ms)
    visit.passed, visit.began_ms, visit.entries, visit.turns = 1, at_ms, 0, 0
    batch.rows.add_visit(visit)


def _credit(
    batch: Batch, machine: Machine, stay: ParkingStay, sale: Told, uses: list[dict[str, Any]], at_ms: int
) -> None:
    stay.paid_cents += sale.cents
    stay.paid_ms = at_ms
    stay.until_ms = max(stay.until_ms, sale.until_ms)
    if stay.kind != parking.DISPLAY and (sale.cents or uses):
        # The slip says what held when the price was told; who paid has the whole grace from then on.
        tariff = tariff_of(batch.live.parking.book_of(stay.zone), stay.entered_ms, stay.pass_name)
        stay.until_ms = max(stay.until_ms, at_ms + tariff.grace_s * 1000)
    spans = [stay.spans] if stay.spans else []
    for item in uses:
        stay.cards += 1
        if item["kind"] == vouchers.MINUTES:
            stay.card_minutes += item["worth"]
        elif item["kind"] in (vouchers.CENTS, vouchers.PERCENT):
            stay.credit_cents += item["saved"] or 0
        else:
            spans.append(f"{item['span'][0]}-{item['span'][1]}")
    stay.spans = " ".join(spans)
    parking_stays.changed(batch, stay)


def product_of(batch: Batch, digest: str) -> str:
    """The product whose name has this digest; "": none."""
    return next((name for name in batch.catalogue.products if codes.digest(name) == digest), "")


def _sell_ticket(batch: Batch, machine: Machine, row: dict[str, Any], sale: Told, at_ms: int, wrong: list[str]) -> None:
    name = row["subject"] or product_of(batch, sale.subject)
    if not name or not sale.code:
        wrong.append("it sold a ticket that it does not name")
        return
    if _ticket(batch, sale.code, name, "") is None:
        wrong.append(f"it sold a ticket with a code that is known already: {sale.code[:16]}")


def _ticket(batch: Batch, digest: str, name: str, zone: str) -> Ticket | None:
    """A ticket of which the machine has told the digest of its code. None: that code is another ticket's."""
    if digest in batch.rows.by_digest or batch.rows.tickets_with(digest):
        return None
    product = batch.catalogue.products.get(name)
    persons, entries = (1, 1) if product is None else (product.persons, product.entries)
    ticket = Ticket(new_id(), digest, "", name, zone, persons, VALID, None, None, entries, 0, batch.now_ms)
    batch.rows.add_ticket(ticket)
    rows = [row_of(ticket)]
    batch.record("issued", by="till", tickets=[ticket.id], product=name, persons=persons, zone=zone, rows=rows)
    return ticket
