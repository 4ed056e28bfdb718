"""A till asks what is due: the stay's fee, the vouchers that help held for this sale, all others handed back.

Asked again under the same nonce it gets the same bytes. A hold ends with its sale: steps/sale_ends.py.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import insert, select, update

from einlass_controller.domain import decision as codes
from einlass_controller.domain import parking, vouchers
from einlass_controller.domain.parking import LEFT, ParkingStay
from einlass_controller.domain.tickets import VALID, Ticket
from einlass_controller.live import Node
from einlass_controller.messages import Price
from einlass_controller.orders_vouchers import HoldVoucher, Till
from einlass_controller.parking_book import Machine
from einlass_controller.steps import parking_stays, parking_visits, sale_ends, voucher_payments
from einlass_controller.steps.batch import Batch, log
from einlass_controller.steps.old_images import suspicious
from einlass_controller.steps.parking_exits import an_entry_is_away
from einlass_controller.steps.presenting import present
from einlass_controller.steps.sale_rows import OPEN, asked, key_of, new_sale
from einlass_controller.steps.sessions import recognise
from einlass_controller.store.schema import PRICE, SALE
from einlass_tariff import due
from einlass_tariff.due import Bill, Shown
from einlass_tariff.problems import StayError

OK = "ok"
# With the rest of the message it has to fit into one of 1,024 bytes.
VALUES_BYTES_MAX = 600
LINE_LENGTH_MAX = 60


_NOTHING = Shown(0, "", 0)


@dataclass(frozen=True, slots=True)
class _Answer:
    code: str
    bill: Bill | None = None
    stay: ParkingStay | None = None
    held: tuple[int, ...] = ()
    uses: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class _Held:
    """A card of the question that is held for the sale. serial, code, visit: one of them says what it is."""

    place: int
    digest: str
    serial: int = 0
    code: str = ""
    visit: str = ""
    shown: Shown = _NOTHING


def price(batch: Batch, message: Price) -> None:
    """Answer a till's question."""
    node = recognise(batch, message.node, message.report.inc, message.boot, "price", message.report)
    if node is None:
        return
    row = batch.rows.fetch(select(PRICE.c.content, PRICE.c.answer).where(PRICE.c.key == message.key))
    if row and row[0].content == message.content:
        batch.resend(node.id, "priced", bytes(row[0].answer))
        return
    machine = batch.live.parking.tills.get(node.id)
    if row or machine is None or suspicious(batch, node, message.report, message.boot):
        why = "nonce was used for another question" if row else "no till" if machine is None else "old image"
        batch.letter(f"{node.id}/price", f"{message.nonce}: {why}")
        _send(batch, message, _Answer(codes.ERROR))
        return
    try:
        answer = _answer(batch, message, machine, node)
    except StayError as error:
        log.warning("no_price", till=machine.id, what=message.what, reason=str(error))
        batch.record("price_missing", node=node.id, sale=message.sale, what=message.what, reason=str(error)[:200])
        answer = _Answer(codes.STAFF)
    payload = _send(batch, message, answer)
    kept = {"key": message.key, "content": message.content, "at_ms": batch.now_ms, "answer": payload}
    batch.rows.execute(insert(PRICE), [kept])


def _answer(batch: Batch, message: Price, machine: Machine, node: Node) -> _Answer:
    key = key_of(node.id, message.report.inc, message.sale)
    if message.report.seq <= node.applied:  # all that its journal has is known: what was open before is over
        sale_ends.end_before(batch, node, message.report.inc, message.sale)
    before = batch.rows.fetch(select(SALE.c.state, SALE.c.uses).where(SALE.c.key == key))
    state = before[0].state if before else None
    if state not in (None, OPEN):
        return _Answer(vouchers.PAYMENT_OVER)
    if message.what == parking.POOL:
        answer = _of_product(batch, message)
    else:
        stay, code = _stay(batch, message, machine)
        answer = _Answer(code) if stay is None else _of_stay(batch, message, machine, stay, key)
    if answer.code == OK and answer.bill is not None:
        _keep_sale(batch, message, machine, key, answer, before[0].uses if before else "")
    return answer


def _stay(batch: Batch, message: Price, machine: Machine) -> tuple[ParkingStay | None, str]:
    """What is to be paid for, or why nothing is."""
    if message.what == parking.DISPLAY:
        known = parking_stays.stay_of_plate(batch, machine.zone, message.subject)
        if known is not None and known.until_ms >= batch.now_ms:
            return known, OK
        return ParkingStay("", machine.zone, parking.DISPLAY, parking.INSIDE, "", batch.now_ms), OK
    if message.what == parking.LOST:
        return ParkingStay("", machine.zone, parking.LOST, parking.INSIDE, "", batch.now_ms), OK
    ticket = present(batch, message.proof).ticket
    if ticket is None:
        return None, codes.STAFF if an_entry_is_away(batch, machine.zone) else codes.INVALID
    stay = parking_stays.stay_of_ticket(batch, ticket, machine.zone)
    if stay is None or (stay.is_of_visit and ticket.status != VALID):
        return None, _no_stay(batch, ticket, machine)
    if stay.zone != machine.zone:
        return None, codes.WRONG_ZONE
    return (None, codes.USED_UP) if stay.state == LEFT else (stay, OK)


def _no_stay(batch: Batch, ticket: Ticket, machine: Machine) -> str:
    """A ticket that is no parking ticket: whoever parks by it has nothing to pay."""
    inside = any(visit.zone == machine.zone and visit.is_open for visit in batch.rows.visits_of_ticket(ticket.id))
    if ticket.status != VALID:
        return ticket.status
    return codes.OK_EXIT if inside else codes.WRONG_PRODUCT


def _of_product(batch: Batch, message: Price) -> _Answer:
    product = batch.catalogue.products.get(message.subject)
    if product is None or product.price_cents is None:
        return _Answer(codes.WRONG_PRODUCT)
    lines = ((product.name, product.name_en, product.price_cents),)
    version = f"rules {batch.catalogue.version}"
    return _Answer(OK, Bill(product.price_cents, product.price_cents, 0, lines=lines, version=version))


def _of_stay(batch: Batch, message: Price, machine: Machine, stay: ParkingStay, key: str) -> _Answer:
    book = batch.live.parking
    till = Till(message.node, message.report.inc, asks_first=False)
    held, refused = _hold(batch, message, machine, stay, till, key)
    if refused:
        return _Answer(refused)
    shown = [item.shown for item in held]
    if stay.kind == parking.DISPLAY:
        bill = due.display(book.book_of(stay.zone), stay, message.paid_cents, shown)
        bill = replace(bill, until_ms=max(bill.until_ms, batch.now_ms))
    else:
        bill = parking_stays.bill_of(batch, stay, batch.now_ms, shown)
    taken = {item.place: item for item in bill.taken}
    kept = [item for item in held if item.place in taken]
    named = {item.serial for item in kept if item.serial}, {item.code for item in kept if item.code}
    gone = [item.serial for item in voucher_payments.held_by(batch, key) if item.serial not in named[0]]
    codes_gone = [code for code in voucher_payments.codes_of(batch, key) if code not in named[1]]
    if gone or codes_gone:
        voucher_payments.hand_back(batch, key, gone, codes_gone)
    parking_visits.keep_only(batch, key, {item.visit for item in kept if item.visit})
    uses = [_use(item, taken[item.place]) for item in kept]
    return _Answer(OK, bill, stay, tuple(item.place for item in kept), tuple(uses))


def _use(item: _Held, taken: due.Taken) -> dict[str, Any]:
    said: dict[str, Any] = {"place": item.place, "digest": item.digest, "kind": taken.kind, "value": taken.value}
    said |= {"saved": taken.saved_cents, "span": list(taken.span_ms)}
    return said | {"serial": item.serial, "code": item.code, "visit": item.visit, "worth": item.shown.value}


def _hold(
    batch: Batch, message: Price, machine: Machine, stay: ParkingStay, till: Till, key: str
) -> tuple[list[_Held], str]:
    """All cards of the question, or the reason why one of them cannot be: then only what was held before still is."""
    payment = voucher_payments.payment_of(batch, key)
    if payment is not None and payment.state != OPEN and message.cards:  # staff has ended what this sale held
        return [], vouchers.PAYMENT_OVER
    before = {item.serial for item in voucher_payments.held_by(batch, key)}
    codes_before, visits_before = set(voucher_payments.codes_of(batch, key)), parking_visits.held_by(batch, key)
    held: list[_Held] = []
    for place, (proof, public) in enumerate(zip(message.cards, message.public, strict=True)):
        ticket = batch.rows.by_digest.get(proof.digest)
        if ticket is not None:
            found = parking_visits.hold(batch, ticket, proof, stay, machine.zone, key)
            worth = batch.live.parking.zones[machine.zone].free_minutes
            item = _Held(place, proof.digest, visit=found.visit, shown=Shown(place, vouchers.MINUTES, worth))
            code = found.code
        else:
            plate = message.subject if message.what == parking.DISPLAY else ""
            order = HoldVoucher(till, message.sale, message.sale, proof, public, machine.zone, stay.id, plate)
            took = voucher_payments.take(batch, order, voucher_payments.payment_of(batch, key))
            code = took.verdict.code
            item = _held(place, proof.digest, took)
        if code != vouchers.OK:
            serials = [one.serial for one in held if one.serial and one.serial not in before]
            voucher_payments.hand_back(
                batch, key, serials, [one.code for one in held if one.code and one.code not in codes_before]
            )
            parking_visits.keep_only(batch, key, visits_before)
            batch.record("voucher_refused", op=message.key, code=code, voucher=item.serial, area=machine.zone)
            return [], code
        held.append(item)
    return held, ""


def _held(place: int, digest: str, took: voucher_payments.Took) -> _Held:
    if took.code is not None:
        code = took.code
        shown = Shown(place, code.kind, code.value, (code.from_ms, code.until_ms))
        return _Held(place, digest, code=code.code, shown=shown)
    if took.voucher is None:
        return _Held(place, digest)
    shown = Shown(place, str(took.said["kind"]), int(took.said["value"]))
    return _Held(place, digest, serial=took.voucher.serial, shown=shown)


def _keep_sale(batch: Batch, message: Price, machine: Machine, key: str, answer: _Answer, before: str) -> None:
    assert answer.bill is not None
    stay, bill = answer.stay, answer.bill
    row: dict[str, Any] = {
        "what": message.what,
        "stay": stay.id if stay is not None else "",
        "subject": message.subject if message.what == parking.POOL else "",
        "until_ms": bill.until_ms,
        "due_cents": bill.due_cents,
        "fee_cents": bill.fee_cents,
        "saved_cents": bill.saved_cents,
        "tariff": f"{bill.version} {bill.digest}".strip(),
        "uses": asked(before, bill.due_cents, answer.uses),
    }
    if not before:
        inc = message.report.inc
        first = new_sale(key, message.node, inc, message.boot, message.sale, message.what, machine.zone, batch.now_ms)
        batch.rows.execute(insert(SALE), [first | row])
    else:
        batch.rows.execute(update(SALE).where(SALE.c.key == key).values(row))


def _send(batch: Batch, message: Price, answer: _Answer) -> bytes:
    bill = answer.bill
    values: dict[str, Any] = {}
    if bill is not None:
        values = {"fee_cents": bill.fee_cents, "saved_cents": bill.saved_cents}
        if answer.stay is not None:
            values["entered_ms"] = answer.stay.entered_ms
        partly = [use["place"] for use in answer.uses if use["serial"] and use["value"] < use["worth"]]
        if partly:
            values["partly"] = partly  # the till asks first whether they shall be used for less than they are worth
        values["lines"] = _lines(bill, VALUES_BYTES_MAX - len(json.dumps(values)) - len(', "lines": []'))
    return batch.send(
        message.node,
        "priced",
        {
            "inc": message.report.inc,
            "nonce": message.nonce,
            "code": answer.code,
            "due": 0 if bill is None else bill.due_cents,
            "held": " ".join(map(str, answer.held)),
            "until": 0 if bill is None else bill.until_ms,
            "values": values,
        },
    )


def _lines(bill: Bill, bytes_max: int) -> list[list[str | int]]:
    """As many of the account's lines as there is room for, the first ones; those of 0 cents say least."""
    found: list[list[str | int]] = []
    for german, english, cents in [line for line in bill.lines if line[2]] or bill.lines:
        line: list[str | int] = [german[:LINE_LENGTH_MAX], english[:LINE_LENGTH_MAX], cents]
        if len(json.dumps([*found, line])) > bytes_max:
            break
        found.append(line)
    return found
