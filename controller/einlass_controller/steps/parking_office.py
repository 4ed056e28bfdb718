"""What staff does to stays, to what tills owe, and to tariffs: each a line of the ledger with a name and a reason."""

from sqlalchemy import func, insert, select, update

from einlass_controller.domain import decision, parking, visits
from einlass_controller.domain.parking import INSIDE, LEFT, ParkingStay
from einlass_controller.domain.snapshot import row_of
from einlass_controller.domain.tickets import SINGLE, VALID, Ticket
from einlass_controller.issuing import new_id
from einlass_controller.messages import Declined
from einlass_controller.orders_parking import AddTariff, CorrectStay, EndStay, ReplaceParkingTicket, SettleClaim
from einlass_controller.parking_book import book_of_texts
from einlass_controller.steps import claims, parking_stays, sale_credit
from einlass_controller.steps.batch import Batch
from einlass_controller.store.schema import CLAIM, TARIFF
from einlass_core import codes
from einlass_tariff.problems import StayError, TariffError
from einlass_tariff.read import read_tariff

VERSIONS_MAX = 10_000
_NO_STAY = Declined("no such stay", missing=True)


def replace_ticket(batch: Batch, order: ReplaceParkingTicket) -> str | Declined:
    """A new ticket: it goes on with the stay that staff has found, or costs what a lost one costs."""
    book = batch.live.parking
    if order.zone not in book.zones:
        return Declined(f"zone {order.zone!r} is no car park", missing=True)
    old = parking_stays.stay_of(batch, order.stay)
    if order.stay and (old is None or not old.is_open or old.zone != order.zone or not old.ticket):
        return Declined("that stay is not open in this car park")
    if old is not None and old.is_of_visit:
        return Declined("that stay is of a pass: replace the pass (einlass tickets replace), and its stay goes on")
    if old is None and book.lost_cents(order.zone) is None:
        return Declined("there is no price for a lost ticket: set lost_ticket_cents for the zone or in the tariff")
    product = next(iter(sorted(book.products)), SINGLE)
    ticket = Ticket(new_id(), order.digest, order.code_sha256, product, order.zone, 1, VALID, None, None, 1, 0, 0)
    ticket.issued_ms = batch.now_ms
    lost = batch.rows.ticket(old.ticket) if old is not None else None
    ticket.replaces = lost.id if lost is not None else ""
    batch.rows.add_ticket(ticket)
    rows, who = [row_of(ticket)], {"by": order.by, "reason": order.reason}
    batch.record("issued", tickets=[ticket.id], product=product, persons=1, zone=order.zone, rows=rows, **who)
    if old is not None:
        stay = parking_stays.go_on(batch, old, ticket, order.reason)
    else:
        now_ms = batch.now_ms
        stay = ParkingStay(ticket.id, order.zone, parking.LOST, INSIDE, ticket.id, now_ms, reason=order.reason)
        parking_stays.add(batch, stay)
    moved = 0
    if lost is not None:
        lost.status, lost.reason, lost.replaced_by = decision.REVOKED, order.reason, ticket.id
        batch.rows.ticket_changed(lost)
        for visit in [item for item in batch.rows.visits_of_ticket(lost.id) if item.is_open]:
            batch.rows.move_visit(visit, ticket)
            moved += 1
    if not moved:
        sale_credit.replaced(batch, ticket, order.zone, batch.now_ms)
    ticket.entries_used = 1
    batch.rows.ticket_changed(ticket)
    replaced = "" if old is None else old.id
    batch.record("parking_ticket_replaced", stay=stay.id, zone=order.zone, before=replaced, **who)
    return stay.id


def correct(batch: Batch, order: CorrectStay) -> str | Declined:
    """What staff knows better: when it began, or that it may leave as it is."""
    stay = parking_stays.stay_of(batch, order.stay)
    if stay is None:
        return _NO_STAY
    if not stay.is_open:
        return Declined("this stay is over")
    if order.entered_ms is not None and order.entered_ms > batch.now_ms:
        return Declined("a stay cannot begin in the future")
    before = {"entered_ms": stay.entered_ms, "until_ms": stay.until_ms}
    stay.entered_ms = stay.entered_ms if order.entered_ms is None else order.entered_ms
    stay.until_ms = max(stay.until_ms, order.free_until_ms or 0)
    stay.reason = order.reason
    parking_stays.changed(batch, stay)
    after = {"entered_ms": stay.entered_ms, "until_ms": stay.until_ms}
    batch.record("stay_corrected", stay=stay.id, before=before, after=after, by=order.by, reason=order.reason)
    return stay.id


def end(batch: Batch, order: EndStay) -> str | Declined:
    """Its car is gone. Cars that sensors counted stay counted: the zone's count is corrected apart from this."""
    stay = parking_stays.stay_of(batch, order.stay)
    if stay is None:
        return _NO_STAY
    if not stay.is_open:
        return Declined("this stay is over")
    batch.rows.ticket(stay.ticket)
    for visit in batch.rows.visits_of_ticket(stay.ticket) if stay.ticket else ():
        mine = not stay.is_of_visit or codes.digest(visit.key) == stay.id
        if visit.state == visits.PRESENT and mine:
            visits.leave(visit, visit.inside, batch.now_ms)
            batch.rows.changed(visit, None)
    stay.state, stay.left_ms, stay.reason, stay.plate = LEFT, batch.now_ms, order.reason, ""
    parking_stays.changed(batch, stay)
    batch.record("stay_ended", stay=stay.id, by=order.by, reason=order.reason)
    return stay.id


def settle(batch: Batch, order: SettleClaim) -> int | Declined:
    """A paper is paid out once, whoever brings a copy of it."""
    rows = batch.rows.fetch(select(CLAIM).where(CLAIM.c.name == order.name).order_by(CLAIM.c.at_ms))
    if not rows:
        return Declined("no till has told of this paper (yet)", missing=True)
    row = next((item for item in rows if item.state == claims.OPEN), rows[-1])
    if row.state != claims.OPEN:
        return Declined("it was settled before" if row.state == claims.SETTLED else "a later paper has its cents, too")
    done = {"state": claims.SETTLED, "settled_ms": batch.now_ms, "by": order.by, "reason": order.reason}
    batch.rows.execute(update(CLAIM).where(CLAIM.c.key == row.key).values(done))
    who = {"by": order.by, "reason": order.reason}
    batch.record("claim_settled", node=row.node, claim=row.kind, name=row.name, cents=row.cents, **who)
    return int(row.cents)


def add_tariff(batch: Batch, order: AddTariff) -> int | Declined:
    """A version that begins in the future; until then a later text with the same day takes its place."""
    live = batch.live
    columns = (TARIFF.c.number, TARIFF.c.valid_from, TARIFF.c.body, TARIFF.c.is_json, TARIFF.c.digest)
    try:
        tariff = read_tariff(order.body, order.is_json)
        valid_from = tariff.valid_from.isoformat()
        mine = select(*columns).where(TARIFF.c.name == tariff.name).order_by(TARIFF.c.number)
        known = batch.rows.fetch(mine)
        same = [row for row in known if row.valid_from == valid_from]
        if same and same[-1].digest == tariff.digest:
            return int(same[-1].number)
        texts = [(row.valid_from, row.body, bool(row.is_json)) for row in known]
        book = book_of_texts([*texts, (valid_from, order.body, order.is_json)])
        begins_ms = book.days.of_local(tariff.valid_from) * 1000
    except (TariffError, StayError) as error:
        return Declined(str(error)[:2000])
    if tariff.name not in live.parking.books:
        names = ", ".join(sorted(live.parking.books)) or "none"
        return Declined(f"no car park has the tariff {tariff.name!r}; there is: {names}")
    if begins_ms <= batch.now_ms:
        return Declined(f"valid_from is {valid_from}: stays were priced since then, give a later one")
    before = live.parking.books[tariff.name].versions[-1].passes.keys()
    for product in [item for catalogue in live.catalogues for item in catalogue.products.values()]:
        name = product.parking_pass
        if name in before and name not in tariff.passes:
            return Declined(
                f"product {product.id!r} parks by the pass {name!r}: the new version needs [pass.{name}], too"
            )
    number = int(batch.rows.scalar(select(func.max(TARIFF.c.number))) or 0) + 1
    if len(known) >= VERSIONS_MAX:
        return Declined(f"there are {VERSIONS_MAX} versions already")
    row = {"number": number, "name": tariff.name, "valid_from": valid_from, "digest": tariff.digest}
    row |= {"body": order.body, "is_json": order.is_json, "created_ms": batch.now_ms}
    batch.rows.execute(insert(TARIFF), [row | {"by": order.by, "reason": order.reason}])
    live.parking.books[tariff.name] = book
    said = {"number": number, "valid_from": valid_from, "digest": tariff.digest, "body": order.body}
    batch.record("tariff", tariff=tariff.name, **said, by=order.by, reason=order.reason)
    return number
