"""A payment and the vouchers it holds: each question is answered once, and the answer is stored before it is given.

A hold ends with its payment: paid, broken off, ended by staff; by the clock only where the till serves nobody before
the controller has answered. A till that was cut off tells afterwards what it used, and its word is never lost.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, insert, select, update

from einlass_controller.domain import public_codes, vouchers
from einlass_controller.domain.public_codes import GUESSES_PER_S, PublicCode
from einlass_controller.domain.rate import Bucket
from einlass_controller.domain.voucher_owner import CONTROLLER, Asker, may_decide
from einlass_controller.domain.vouchers import HELD, OK, REDEEMED, USED, Scene, Verdict, Voucher
from einlass_controller.messages import Declined
from einlass_controller.orders_vouchers import Answered, CommitPayment, EndPayment, HoldVoucher, ReleasePayment, Use
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.vouchers import keep, keep_code
from einlass_controller.store.schema import PAYMENT, PUBLIC_USE, VOUCHER, VOUCHER_OP
from einlass_controller.store.vouchers import VOUCHER_COLUMNS, vouchers_of
from einlass_controller.voucher_book import OPEN

HOLD_MS = 60_000
VOUCHERS_A_PAYMENT_MAX = 50
COMMITTED, RELEASED = "committed", "released"
PLATES_EVERY_MS = 60_000
_OLD_PLATE = "SELECT key FROM voucher_payment WHERE plate <> '' AND opened_ms < ? AND state <> ? LIMIT 1"


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as it is stored."""

    key: str
    state: str
    area: str
    stay: str
    plate: str
    content: str
    answer: bytes


def hold(batch: Batch, order: HoldVoucher) -> Answered:
    """A code is held to a till: for this payment from now on, or the reason why not."""
    sweep(batch)
    key = order.till.key(order.number)
    row = batch.rows.fetch(select(VOUCHER_OP.c.content, VOUCHER_OP.c.answer).where(VOUCHER_OP.c.key == key))
    if row:
        return Answered(bytes(row[0].answer), conflict=row[0].content != order.content)
    payment = payment_of(batch, order.till.key(order.payment))
    if payment is not None and payment.state != OPEN:
        return _answer(batch, order, Verdict(vouchers.PAYMENT_OVER, {}))
    if payment is not None and (payment.area, payment.stay, payment.plate) != (order.area, order.stay, order.plate):
        return Answered(payment.answer, conflict=True)
    took = take(batch, order, payment)
    if not took.is_kept:
        return Answered(_said(order, took.verdict, took.said))
    return _answer(batch, order, took.verdict, took.said)


@dataclass(frozen=True, slots=True)
class Took:
    """What came of a try to hold a code. is_kept False: the same question may be asked again (too fast)."""

    verdict: Verdict
    said: dict[str, Any]
    voucher: Voucher | None = None
    code: PublicCode | None = None
    is_kept: bool = True


def take(batch: Batch, order: HoldVoucher, payment: Payment | None) -> Took:
    """Hold a code for a payment that is open or not yet begun, or say why not; the answer is the caller's to keep."""
    bucket = batch.live.vouchers.guesses.get(order.till.node)
    if order.public and bucket is not None and (wait_ms := bucket.wait_ms(batch.now_ms)):
        # Also for the right one: else it would stand out among the wrong ones.
        return Took(Verdict(vouchers.TOO_FAST, {"wait_ms": wait_ms}), {}, is_kept=False)
    code = batch.live.vouchers.codes.get(order.public)
    if code is not None:
        return _take_code(batch, order, payment, code)
    voucher = find(batch, order.proof.digest, order.proof.sha256)
    if voucher is None:
        return _guess(batch, order)
    lot = batch.live.vouchers.lots[voucher.lot]
    said = {"serial": voucher.serial, "kind": lot.kind, "value": lot.value, "partner": voucher.partner, "lot": lot.id}
    if voucher.state == HELD and payment is not None and voucher.payment == payment.key:
        return Took(Verdict(OK, {}), said, voucher)  # the same card again counts once
    verdict = vouchers.judge(voucher, lot, _scene(batch, order, voucher))
    if verdict.holds and not may_decide(voucher, Asker(order.till.node, order.till.inc)):
        verdict = Verdict(vouchers.OWNED_ELSEWHERE, {"owner": voucher.owner})
    if verdict.holds:
        name = _open(batch, order, payment)
        vouchers.hold(voucher, name, order.area, batch.now_ms)
        keep(batch, [voucher])
        op = order.till.key(order.number)
        batch.record("voucher_held", voucher=voucher.serial, lot=lot.id, payment=name, area=order.area, op=op)
    return Took(verdict, said, voucher)


def hand_back(batch: Batch, payment: str, serials: Iterable[int], codes: Iterable[str]) -> None:
    """The till gave these back to the driver, and goes on with the payment."""
    wanted, named = set(serials), sorted(codes)
    freed = [voucher for voucher in held_by(batch, payment) if voucher.serial in wanted]
    for voucher in freed:
        vouchers.release(voucher)
    keep(batch, freed)
    _end_codes(batch, payment, named, {})
    if freed or named:
        given = [voucher.serial for voucher in freed]
        batch.record("vouchers_released", payment=payment, vouchers=given, codes=named, by="till", reason="handed back")


def commit(batch: Batch, order: CommitPayment) -> Answered | Declined:
    """Payment and vouchers in one step: what was used is used, what it held beside that is free again."""
    key = order.till.key(order.payment)
    sweep(batch)
    payment = payment_of(batch, key)
    if payment is not None and payment.state == COMMITTED:
        return Answered(payment.answer, conflict=payment.content != order.content)
    if order.till.asks_first:
        if payment is None:
            return Declined("this payment holds nothing: hold the vouchers first", missing=True)
        if payment.state != OPEN:
            return Declined(vouchers.ANSWERS[vouchers.PAYMENT_OVER].en)
    held = {item.serial: item for item in held_by(batch, key)}
    codes = codes_of(batch, key)
    wrong = _wrong(batch, order, held, codes) if order.till.asks_first else ""
    if wrong:
        return Declined(wrong)
    at_ms = batch.now_ms if order.at_ms is None else min(order.at_ms, batch.now_ms)
    used = _use(batch, order, key, held, at_ms)
    freed = [item for item in held.values() if item.state == HELD]
    for voucher in freed:
        vouchers.release(voucher)
    keep(batch, [*held.values()])
    spent = {item.code: item.saved_cents for item in order.uses if item.code}
    _end_codes(batch, key, codes, spent)
    said = {"payment": order.payment, "used": used, "released": sorted(item.serial for item in freed)}
    said |= {"codes": sorted(spent.keys() & set(codes)), "fee_cents": order.fee_cents, "paid_cents": order.paid_cents}
    answer = _json({"state": COMMITTED, **said})
    money = {"fee_cents": order.fee_cents, "paid_cents": order.paid_cents}
    _end(batch, order.till, payment, key, COMMITTED, order.content, answer, money)
    batch.record("vouchers_used", at_ms, **{**said, "payment": key})
    return Answered(answer)


def release(batch: Batch, order: ReleasePayment) -> Answered | Declined:
    """Broken off: all is free. A question of this payment that is still under way comes too late from now on."""
    key = order.till.key(order.payment)
    sweep(batch)
    payment = payment_of(batch, key)
    if payment is not None and payment.state == COMMITTED:
        return Declined("this payment was made: its vouchers are used")
    if payment is not None and payment.state == RELEASED:
        return Answered(payment.answer)
    return _let_go(batch, order.till, payment, key, "till", "")


def end(batch: Batch, order: EndPayment) -> Answered | Declined:
    """A person ends what a till holds that will not come back. What it tells later is checked against that."""
    payment = payment_of(batch, order.key)
    if payment is None:
        return Declined("no such payment", missing=True)
    if payment.state == COMMITTED:
        return Declined("this payment was made: its vouchers are used")
    if payment.state == RELEASED:
        return Answered(payment.answer)
    return _let_go(batch, None, payment, order.key, order.by, order.reason)


def sweep(batch: Batch) -> None:
    """Payments that end by the clock and are out of time; and plates of days that are over."""
    book, now_ms = batch.live.vouchers, batch.now_ms
    for key in [name for name, until_ms in book.timed.items() if until_ms < now_ms]:
        payment = payment_of(batch, key)
        book.timed.pop(key)
        if payment is not None and payment.state == OPEN:
            _let_go(batch, None, payment, key, "clock", f"held for {HOLD_MS // 1000} s")
    if now_ms - book.plates_swept_ms >= PLATES_EVERY_MS:
        book.plates_swept_ms = now_ms
        if batch.rows.ask(_OLD_PLATE, batch.moment.midnight_ms, OPEN):
            old = PAYMENT.c.plate != "", PAYMENT.c.opened_ms < batch.moment.midnight_ms, PAYMENT.c.state != OPEN
            batch.rows.execute(update(PAYMENT).where(*old).values(plate=""))


def find(batch: Batch, digest: str, sha256: str) -> Voucher | None:
    """The voucher of a code."""
    if not digest:
        return None
    wanted = VOUCHER.c.digest == digest, VOUCHER.c.code_sha256 == sha256
    found = vouchers_of(batch.rows.fetch(select(*VOUCHER_COLUMNS).where(*wanted)))
    return found[0] if found else None


def held_by(batch: Batch, payment: str) -> list[Voucher]:
    """What a payment holds now."""
    mine = VOUCHER.c.payment == payment, VOUCHER.c.state == HELD
    return vouchers_of(batch.rows.fetch(select(*VOUCHER_COLUMNS).where(*mine).order_by(VOUCHER.c.serial)))


def _take_code(batch: Batch, order: HoldVoucher, payment: Payment | None, code: PublicCode) -> Took:
    said = {"serial": 0, "kind": code.kind, "value": code.value, "partner": "", "public": code.code}
    said |= {"from_ms": code.from_ms, "until_ms": code.until_ms}
    if payment is not None and code.code in codes_of(batch, payment.key):
        return Took(Verdict(OK, {}), said, code=code)
    verdict = public_codes.judge(code, _scene_of_code(batch, order, code))
    if verdict.holds:
        name = _open(batch, order, payment)
        row = {"code": code.code, "payment": name, "state": HELD, "area": order.area, "at_ms": batch.now_ms}
        again = update(PUBLIC_USE).where(PUBLIC_USE.c.key == f"{name}/{code.code}")
        if not batch.rows.execute(again.values(**row, saved_cents=None)):  # handed back before, in this payment
            batch.rows.execute(insert(PUBLIC_USE), [row | {"key": f"{name}/{code.code}", "saved_cents": None}])
        keep_code(batch, replace(code, used=code.used + 1))
        batch.record("public_code_held", code=code.code, payment=name, area=order.area)
    return Took(verdict, said, code=code)


def _guess(batch: Batch, order: HoldVoucher) -> Took:
    """An unknown code. Who tries many is told to wait, and nothing of that is kept: he may ask the same again."""
    guesses = batch.live.vouchers.guesses
    bucket = guesses.setdefault(order.till.node, Bucket(GUESSES_PER_S, batch.now_ms))
    wait_ms = bucket.take(batch.now_ms) if order.public else 0
    if wait_ms:
        return Took(Verdict(vouchers.TOO_FAST, {"wait_ms": wait_ms}), {}, is_kept=False)
    return Took(Verdict(vouchers.UNKNOWN, {}), {})


def _answer(batch: Batch, order: HoldVoucher, verdict: Verdict, said: dict[str, Any] | None = None) -> Answered:
    answer = _said(order, verdict, said or {})
    key = order.till.key(order.number)
    row = {"key": key, "payment": order.till.key(order.payment), "content": order.content, "at_ms": batch.now_ms}
    batch.rows.execute(insert(VOUCHER_OP), [row | {"answer": answer}])
    if not verdict.holds:
        serial = (said or {}).get("serial", 0)
        batch.record("voucher_refused", op=key, code=verdict.code, voucher=serial, area=order.area)
    return Answered(answer)


def _said(order: HoldVoucher, verdict: Verdict, said: dict[str, Any]) -> bytes:
    return _json(
        {
            "code": verdict.code,
            "values": dict(verdict.values),
            "number": order.number,
            "payment": order.payment,
            "serial": 0,
            "kind": "",
            "value": 0,
            "partner": "",
            **said,
        }
    )


def _open(batch: Batch, order: HoldVoucher, payment: Payment | None) -> str:
    """The payment's key; its row is made when it holds its first voucher."""
    key = order.till.key(order.payment)
    if payment is None:
        until_ms = batch.now_ms + HOLD_MS if order.till.asks_first else None
        row = _new_row(order.till.node, order.till.inc, key, batch.now_ms)
        row |= {"state": OPEN, "area": order.area, "stay": order.stay, "plate": order.plate, "until_ms": until_ms}
        batch.rows.execute(insert(PAYMENT), [row])
        if until_ms is not None:
            batch.live.vouchers.timed[key] = until_ms
    return key


def _new_row(node: str, inc: str, key: str, now_ms: int) -> dict[str, Any]:
    return {
        "key": key,
        "node": node,
        "inc": inc,
        "state": RELEASED,
        "area": "",
        "stay": "",
        "plate": "",
        "opened_ms": now_ms,
        "until_ms": None,
        "ended_ms": None,
        "fee_cents": None,
        "paid_cents": None,
        "content": "",
        "answer": b"",
    }


def _end(
    batch: Batch,
    till: Any,
    payment: Payment | None,
    key: str,
    state: str,
    content: str,
    answer: bytes,
    money: dict[str, int | None],
) -> None:
    ended = {"state": state, "ended_ms": batch.now_ms, "content": content, "answer": answer, **money}
    if payment is None:
        batch.rows.execute(insert(PAYMENT), [_new_row(till.node, till.inc, key, batch.now_ms) | ended])
    else:
        batch.rows.execute(update(PAYMENT).where(PAYMENT.c.key == key).values(ended))
    batch.live.vouchers.timed.pop(key, None)


def _let_go(batch: Batch, till: Any, payment: Payment | None, key: str, by: str, reason: str) -> Answered:
    freed = held_by(batch, key)
    for voucher in freed:
        vouchers.release(voucher)
    keep(batch, freed)
    codes = codes_of(batch, key)
    _end_codes(batch, key, codes, {})
    serials = [voucher.serial for voucher in freed]
    answer = _json({"state": RELEASED, "released": serials, "by": by})
    _end(batch, till, payment, key, RELEASED, "", answer, {})
    batch.record("vouchers_released", payment=key, vouchers=serials, codes=sorted(codes), by=by, reason=reason)
    return Answered(answer)


def _use(batch: Batch, order: CommitPayment, key: str, held: dict[int, Voucher], at_ms: int) -> list[int]:
    """Mark what was used. A till that tells late may have used what is not its own any more: that is evidence."""
    used = []
    for item in (item for item in order.uses if item.serial):
        voucher = held.get(item.serial)
        if voucher is None:
            voucher = _told_late(batch, key, item)
            if voucher is None:
                continue
            vouchers.hold(voucher, key, order.area, at_ms)
            held[item.serial] = voucher
        lot = batch.live.vouchers.lots[voucher.lot]
        vouchers.use(voucher, min(item.value or lot.value, lot.value), item.saved_cents, at_ms)
        used.append(item.serial)
    return sorted(used)


def _told_late(batch: Batch, key: str, item: Use) -> Voucher | None:
    """A voucher that the till used and does not hold. None: it cannot be used once more, and a person must look."""
    rows = batch.rows.fetch(select(*VOUCHER_COLUMNS).where(VOUCHER.c.serial == item.serial))
    voucher = vouchers_of(rows)[0] if rows else None
    told_by = key.split("/")[0]
    if voucher is not None and voucher.state == vouchers.ACTIVATED and voucher.owner in (CONTROLLER, told_by):
        return voucher
    state = "missing" if voucher is None else voucher.state
    if voucher is not None and voucher.state not in USED:  # it must not be used once more
        if voucher.state == HELD:
            voucher.before = vouchers.VOIDED
        else:
            voucher.state, voucher.before = vouchers.VOIDED, ""
        voucher.reason = "used elsewhere while cut off"
        keep(batch, [voucher])
    other = "" if voucher is None else voucher.payment
    used_ms = None if voucher is None or voucher.state not in USED else voucher.used_ms
    evidence = {"voucher": item.serial, "payment": key, "state": state, "other_payment": other, "used_ms": used_ms}
    batch.record("voucher_conflict", saved_cents=item.saved_cents, **evidence)
    batch.record("alarm", node=key.split("/")[0], reason=f"voucher {item.serial} was used and is {state}")
    return None


def _wrong(batch: Batch, order: CommitPayment, held: dict[int, Voucher], codes: Iterable[str]) -> str:
    """What is wrong with a payment's list, in words; "": nothing."""
    named = [item.serial or item.code for item in order.uses]
    if len(set(named)) != len(named):
        return "a voucher is named twice"
    for item in order.uses:
        if item.serial and item.serial not in held:
            return f"voucher {item.serial} is not held by this payment"
        if not item.serial and item.code not in codes:
            return f"the code {item.code!r} is not held by this payment"
        if item.serial and item.value > batch.live.vouchers.lots[held[item.serial].lot].value:
            return f"voucher {item.serial} is not worth that much"
    return ""


def _json(said: dict[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()


def payment_of(batch: Batch, key: str) -> Payment | None:
    """A payment; None: it holds nothing and never did."""
    columns = (PAYMENT.c.key, PAYMENT.c.state, PAYMENT.c.area, PAYMENT.c.stay, PAYMENT.c.plate, PAYMENT.c.content)
    rows = batch.rows.fetch(select(*columns, PAYMENT.c.answer).where(PAYMENT.c.key == key))
    if not rows:
        return None
    name, state, area, stay, plate, content, answer = rows[0]
    return Payment(name, state, area, stay, plate, content, bytes(answer))


def codes_of(batch: Batch, payment: str) -> list[str]:
    """The public codes that a payment holds now."""
    mine = PUBLIC_USE.c.payment == payment, PUBLIC_USE.c.state == HELD
    return [row.code for row in batch.rows.fetch(select(PUBLIC_USE.c.code).where(*mine))]


def _end_codes(batch: Batch, payment: str, codes: Iterable[str], spent: dict[str, int | None]) -> None:
    for name in codes:
        state = REDEEMED if name in spent else RELEASED
        change = update(PUBLIC_USE).where(PUBLIC_USE.c.payment == payment, PUBLIC_USE.c.code == name)
        batch.rows.execute(change.values(state=state, saved_cents=spent.get(name), at_ms=batch.now_ms))
        code = batch.live.vouchers.codes[name]
        if state == RELEASED:
            keep_code(batch, replace(code, used=max(0, code.used - 1)))


def _scene(batch: Batch, order: HoldVoucher, voucher: Voucher) -> Scene:
    limits = batch.live.vouchers.lots[voucher.lot].limits
    lot, partner = VOUCHER.c.lot == voucher.lot, VOUCHER.c.partner == voucher.partner
    stay, plate = _in_stay(order), _of_plate(batch, order)
    return Scene(
        batch.now_ms,
        batch.moment.weekday,
        order.area,
        order.stay,
        order.plate,
        _count(batch, stay, lot) if limits.per_stay and order.stay else 0,
        _count(batch, stay, partner) if limits.partner_per_stay and order.stay else 0,
        _count(batch, plate, lot) if limits.per_plate_day and order.plate else 0,
    )


def _scene_of_code(batch: Batch, order: HoldVoucher, code: PublicCode) -> Scene:
    stay, plate = _in_stay(order), _of_plate(batch, order)
    in_stay = _count_code(batch, stay, code) if code.limits.per_stay and order.stay else 0
    for_plate = _count_code(batch, plate, code) if code.limits.per_plate_day and order.plate else 0
    words = (batch.now_ms, batch.moment.weekday, order.area, order.stay, order.plate)
    return Scene(*words, of_lot_in_stay=in_stay, of_lot_for_plate=for_plate)


def _in_stay(order: HoldVoucher) -> tuple[Any, ...]:
    return (PAYMENT.c.stay == order.stay,)


def _of_plate(batch: Batch, order: HoldVoucher) -> tuple[Any, ...]:
    return PAYMENT.c.plate == order.plate, PAYMENT.c.opened_ms >= batch.moment.midnight_ms


def _count(batch: Batch, payments: tuple[Any, ...], which: Any) -> int:
    joined = select(func.count()).select_from(VOUCHER.join(PAYMENT, PAYMENT.c.key == VOUCHER.c.payment))
    return int(batch.rows.scalar(joined.where(*payments, which)) or 0)


def _count_code(batch: Batch, payments: tuple[Any, ...], code: PublicCode) -> int:
    joined = select(func.count()).select_from(PUBLIC_USE.join(PAYMENT, PAYMENT.c.key == PUBLIC_USE.c.payment))
    mine = PUBLIC_USE.c.code == code.code, PUBLIC_USE.c.state.in_((HELD, REDEEMED))
    return int(batch.rows.scalar(joined.where(*payments, *mine)) or 0)
