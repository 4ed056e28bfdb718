"""Partners, lots, and what is done to whole ranges of vouchers: the rules are in domain/vouchers.py."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from einlass_controller.domain import voucher_snapshot, vouchers
from einlass_controller.domain.public_codes import PublicCode
from einlass_controller.domain.replay import VOUCHERS_MADE
from einlass_controller.domain.voucher_owner import REPORT, is_listed
from einlass_controller.domain.vouchers import Lot, Partner, Voucher, VoucherError
from einlass_controller.messages import Declined
from einlass_controller.orders_vouchers import (
    BlockPublicCode,
    Changed,
    ChangeVouchers,
    CloseMonth,
    MakeLot,
    MakeVouchers,
    SetPartner,
    SetPublicCode,
)
from einlass_controller.steps.batch import Batch
from einlass_controller.store.schema import LOT, PARTNER, PUBLIC_CODE, VOUCHER
from einlass_controller.store.vouchers import VOUCHER_COLUMNS, code_row, lot_row, vouchers_of

PARTNERS_MAX = 2_000
LOTS_MAX = 10_000
CODES_MAX = 1_000
# A serial number stays one that a person can read out.
SERIAL_MAX = 99_999_999
# One order is one transaction, and every till waits for it.
RANGE_MAX = 2_000
# A line is a byte of a list's entry.
LINES_MAX = 255

_STATE = [item.name for item in fields(Voucher) if item.name not in voucher_snapshot.VOUCHER_FIXED]


def set_partner(batch: Batch, order: SetPartner) -> Partner | Declined:
    """A new partner, or another name or standing."""
    book, partner = batch.live.vouchers, order.partner
    known = book.partners.get(partner.id)
    if order.is_new and known is not None:
        return Declined(f"a partner is called {partner.id!r} already")
    if not order.is_new and known is None:
        return Declined("no such partner", missing=True)
    if order.is_new and len(book.partners) >= PARTNERS_MAX:
        return Declined(f"there are {PARTNERS_MAX} partners already")
    if known == partner:
        return partner
    row = asdict(partner)
    if order.is_new:
        batch.rows.execute(insert(PARTNER), [row | {"created_ms": batch.now_ms}])
    else:
        batch.rows.execute(update(PARTNER).where(PARTNER.c.id == partner.id).values(row))
    book.partners[partner.id] = partner
    body = {"name": partner.name, "is_active": partner.is_active, "reason": order.reason, "by": order.by}
    batch.record("partner", partner=partner.id, **body)
    return partner


def make_lot(batch: Batch, order: MakeLot) -> Lot | Declined:
    """A lot has its serial numbers at once and its codes when they are made."""
    book = batch.live.vouchers
    first = book.last_serial + 1
    if len(book.lots) >= LOTS_MAX or first + order.size - 1 > SERIAL_MAX:
        return Declined(f"there are {LOTS_MAX} lots or {SERIAL_MAX} serial numbers already")
    partner = book.partners.get(order.lot.partner)
    if order.lot.partner and (partner is None or not partner.is_active):
        return Declined(f"partner {order.lot.partner!r} is not known, or nothing is sold to it any more")
    number = max(book.lots, default=0) + 1
    line = next_line(batch) if order.lot.while_cut_off == REPORT else 0
    lot = replace(order.lot, line=line, id=number, first=first, last=first + order.size - 1, made=0)
    batch.rows.execute(insert(LOT), [lot_row(lot) | {"created_ms": batch.now_ms}])
    book.lots[number] = lot
    batch.record("lot", lot=asdict(lot), by=order.by)
    return lot


def next_line(batch: Batch) -> int:
    """What tills are to call one more lot; 0: there are no names left, and it is used at none of them alone."""
    line = max((lot.line for lot in batch.live.vouchers.lots.values()), default=0) + 1
    return line if line <= LINES_MAX else 0


def make_vouchers(batch: Batch, order: MakeVouchers) -> tuple[int, ...] | Declined:
    """Codes for the next serial numbers of a lot. Only who ordered them has the codes."""
    book = batch.live.vouchers
    lot = book.lots.get(order.lot)
    if lot is None or order.partner not in ("", lot.partner):
        return Declined("no such lot", missing=True)
    if len(order.proofs) > lot.left:
        return Declined(f"the lot has {lot.left} vouchers left: make a new lot for more")
    partner = book.partners.get(lot.partner)
    if order.activate and (partner is None or not partner.is_active):
        return Declined("only vouchers of a lot with a partner that still buys can be activated as they are made")
    now_ms = batch.now_ms
    made: list[Voucher] = []
    for serial, (digest, sha256) in enumerate(order.proofs, lot.first + lot.made):
        voucher = Voucher(serial, lot.id, digest, sha256, now_ms, lot.partner)
        if order.activate:
            vouchers.change(voucher, vouchers.ACTIVATE, "", now_ms, lot.partner)
        look(batch, voucher)
        made.append(voucher)
    batch.rows.execute(insert(VOUCHER), [_row(voucher) for voucher in made])
    batch.rows.execute(update(LOT).where(LOT.c.id == lot.id).values(made=lot.made + len(made)))
    book.lots[lot.id] = replace(lot, made=lot.made + len(made))
    who = {"by": order.by, "partner": lot.partner, "activated": order.activate}
    batch.record(VOUCHERS_MADE, lot=lot.id, cards=[voucher_snapshot.row_of(item) for item in made], **who)
    return tuple(voucher.serial for voucher in made)


def change_vouchers(batch: Batch, order: ChangeVouchers) -> Changed | Declined:
    """Activate, block, unblock, take back or void all of a range that can be; the others are counted."""
    if order.last - order.first >= RANGE_MAX:
        return Declined(f"at most {RANGE_MAX} vouchers at once: give smaller ranges")
    book = batch.live.vouchers
    buyer = book.partners.get(order.partner)
    if order.do == vouchers.ACTIVATE and (buyer is None or not buyer.is_active):
        return Declined(f"partner {order.partner!r} is not known, or nothing is sold to it any more")
    found = read_range(batch, order.first, order.last, order.asked_by)
    changed, already, waiting, refused = [], 0, [], Counter[str]()
    for voucher in found:
        held = voucher.state == vouchers.HELD
        try:
            if not vouchers.change(voucher, order.do, order.reason, batch.now_ms, order.partner):
                already += 1
                continue
        except VoucherError as error:
            refused["partner" if error.reason == "partner" else voucher.state] += 1
            continue
        changed.append(voucher)
        if held:
            waiting.append(voucher.serial)
    if changed:
        keep(batch, changed)
        words = {"reason": order.reason, "by": order.by, "partner": order.partner, "waiting": waiting}
        batch.record(
            "vouchers_changed", do=order.do, first=order.first, last=order.last, vouchers=len(changed), **words
        )
    missing = order.last - order.first + 1 - len(found)
    return Changed(len(changed) - len(waiting), already, tuple(waiting), dict(refused), missing)


def set_public_code(batch: Batch, order: SetPublicCode) -> PublicCode | Declined:
    """A new code for everybody."""
    book = batch.live.vouchers
    if order.code.code in book.codes:
        return Declined(f"there is a code {order.code.code!r} already: codes are not used twice")
    if len(book.codes) >= CODES_MAX:
        return Declined(f"there are {CODES_MAX} public codes already")
    batch.rows.execute(insert(PUBLIC_CODE), [code_row(order.code) | {"created_ms": batch.now_ms}])
    book.codes[order.code.code] = order.code
    batch.record("public_code", code=asdict(order.code), by=order.by)
    return order.code


def block_public_code(batch: Batch, order: BlockPublicCode) -> PublicCode | Declined:
    """It counts no more, or again."""
    known = batch.live.vouchers.codes.get(order.code)
    if known is None:
        return Declined("no such public code", missing=True)
    if known.is_blocked != order.blocked:
        known = replace(known, is_blocked=order.blocked)
        keep_code(batch, known)
        kind = "public_code_blocked" if order.blocked else "public_code_unblocked"
        batch.record(kind, code=known.code, reason=order.reason, by=order.by)
    return known


def close_month(batch: Batch, order: CloseMonth) -> int:
    """Used vouchers stand in one account and no other. What is told later comes into the next one."""
    used = (
        VOUCHER.c.partner == order.partner,
        VOUCHER.c.state == vouchers.REDEEMED,
        VOUCHER.c.used_ms < order.until_ms,
    )
    rows = batch.rows.fetch(select(*VOUCHER_COLUMNS).where(*used).order_by(VOUCHER.c.serial).limit(RANGE_MAX))
    found = vouchers_of(rows)
    for voucher in found:
        vouchers.settle(voucher, order.month)
    if found:
        keep(batch, found)
        batch.record("vouchers_settled", partner=order.partner, month=order.month, vouchers=len(found), by=order.by)
    return len(found)


def read_range(batch: Batch, first: int, last: int, partner: str = "") -> list[Voucher]:
    """Vouchers with these serial numbers. partner: only its own."""
    mine = (VOUCHER.c.partner == partner,) if partner else ()
    wanted = select(*VOUCHER_COLUMNS).where(VOUCHER.c.serial.between(first, last), *mine)
    return vouchers_of(batch.rows.fetch(wanted.order_by(VOUCHER.c.serial)))


def keep(batch: Batch, changed: Iterable[Voucher], moved: bool = False) -> None:
    """Write vouchers that have changed, into their table and into the ledger. moved: they are another's now."""
    rows = []
    for voucher in changed:
        look(batch, voucher, moved)
        batch.vouchers[str(voucher.serial)] = voucher_snapshot.state_of(voucher)
        rows.append({"b_serial": voucher.serial} | {f"b_{name}": getattr(voucher, name) for name in _STATE})
    if rows:
        values: dict[str, Any] = {name: bindparam(f"b_{name}") for name in _STATE}
        batch.rows.execute(update(VOUCHER).where(VOUCHER.c.serial == bindparam("b_serial")).values(values), rows)


def look(batch: Batch, voucher: Voucher, moved: bool = False) -> None:
    """Whether tills may find it on their lists now; if that has changed (or whose it is) it gets the next number."""
    book = batch.live.vouchers
    lot = book.lots[voucher.lot]
    line = lot.line if is_listed(lot.while_cut_off, lot.limits, voucher) else 0
    if line != voucher.listed or moved:
        book.list_number += 1
        voucher.listed, voucher.listed_number = line, book.list_number


def keep_code(batch: Batch, code: PublicCode) -> None:
    """Write a public code that has changed."""
    batch.live.vouchers.codes[code.code] = code
    values = {"used": code.used, "is_blocked": code.is_blocked}
    batch.rows.execute(update(PUBLIC_CODE).where(PUBLIC_CODE.c.code == code.code).values(values))


def _row(voucher: Voucher) -> dict[str, Any]:
    return {item.name: getattr(voucher, item.name) for item in fields(Voucher)}
