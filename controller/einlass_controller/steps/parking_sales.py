"""What tills tell, each record once, in the order of their journals. A sale is never refused: the money is in.

What can't be right any more (a voucher that was used elsewhere, a stay that is unknown or over) is kept as evidence
and raises an alarm. Money, stay and vouchers change in one transaction.
"""

import json
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import delete, insert, select, update

from einlass_controller.domain import parking
from einlass_controller.live import Node
from einlass_controller.messages import NodeEvent
from einlass_controller.orders_vouchers import Answered, CommitPayment, Till, Use
from einlass_controller.parking_book import Machine
from einlass_controller.steps import (
    claims,
    parking_alone,
    parking_stays,
    parking_visits,
    sale_credit,
    sale_ends,
    sale_told,
    till_account,
    voucher_payments,
)
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.sale_rows import PAID, key_of, new_sale
from einlass_controller.steps.sale_told import Told, count, slip_of
from einlass_controller.store.schema import PRICE, SALE, VOUCHER

# Answers are kept for who asks again; a till does so within seconds.
PRICES_KEPT_MS = 24 * 3600_000
SWEEP_EVERY_MS = 60_000
STOPPED = "coins_stopped"
CARD_IS_CLEAR = frozenset(("card_undone", "card_not"))
# Kinds of records that end a sale without a payment.
POWERED = "powered"
OVER = frozenset(("aborted", POWERED))


def told(batch: Batch, node: Node, message: NodeEvent, at_ms: int) -> None:
    """A record of a till."""
    machine = batch.live.parking.tills.get(node.id)
    account, body = message.fields.get("till") or {}, message.fields.get("sale") or {}
    if machine is None:
        batch.letter(f"{node.id}/event", f"record {message.seq}: {message.kind} of a node that is no till")
        batch.record("unusable", node=node.id, seq=message.seq, reason=f"{message.kind} of a node that is no till")
        return
    number = count(account.get("sale"))
    sale_ends.end_before(batch, node, message.inc, number)
    if message.kind == "paid":
        _paid(batch, node, machine, message, body, number, at_ms)
    else:
        _note(batch, node, machine, message, body, number, at_ms)
    till_account.keep(batch, node, machine, message, account)


def _note(
    batch: Batch, node: Node, machine: Machine, message: NodeEvent, body: dict[str, Any], number: int, at_ms: int
) -> None:
    kind = message.kind
    said = {name: value for name, value in body.items() if isinstance(value, int | str)}
    said = {name: value for name, value in list(said.items())[:8] if name not in ("node", "till", "seq", "number")}
    if kind in OVER:
        sale_ends.end(batch, node, message.inc, number, message.boot)
    if kind == POWERED:
        # The sale that was under way when the power went may have no record, and so no number that is known now.
        sale_ends.started(batch, node, message.boot)
    if kind == STOPPED:
        node.fault = STOPPED
        batch.nodes.add(node.id)
    elif kind == "coins" and node.fault == STOPPED:
        node.fault = ""
        batch.nodes.add(node.id)
    batch.record(f"till_{kind}", at_ms, node=node.id, till=machine.id, seq=message.seq, number=number, **said)
    if kind == "owed":
        claims.of_paper(batch, node, machine, message, count(body.get("cents")), at_ms)
    elif kind == "card_doubtful":
        claims.of_card(batch, node, message, body, at_ms)
    elif kind in CARD_IS_CLEAR:
        claims.card_is_clear(batch, node, str(body.get("ref")), kind, at_ms)
    elif kind == STOPPED:
        batch.alarm(node, f"coins_stopped: {str(body.get('reason') or 'no change, or the cash box is full')[:100]}")


def _paid(
    batch: Batch,
    node: Node,
    machine: Machine,
    message: NodeEvent,
    body: dict[str, Any],
    number: int,
    at_ms: int,
) -> None:
    sale = sale_told.read(body, number)
    key = key_of(node.id, message.inc, sale.number)
    found = batch.rows.fetch(select(SALE).where(SALE.c.key == key))
    row = dict(found[0]._mapping) if found else None
    known = json.loads(row["uses"]) if row is not None else {"dues": [], "cards": []}
    if row is not None:
        at_ms = max(at_ms, int(row["opened_ms"]))  # by a clock of its own that is wrong: it was asked for before
    wrong: list[str] = []
    if row is not None and row["state"] == PAID:  # two sales with one number: the money of both is in
        wrong.append("this sale was told before")
        key, row = f"{key}#{message.seq}", None
    fresh = row is None
    if row is None:
        row = new_sale(key, node.id, message.inc, message.boot, sale.number, sale.what, machine.zone, at_ms)
    elif sale.alone is None and sale.due not in known["dues"] and sale.what != parking.DISPLAY:
        wrong.append(f"{row['due_cents']} cents were asked for, the machine says {sale.due}")
    if sale.cents < sale.due:
        wrong.append(f"{sale.due - sale.cents} cents are missing")
    if sale.alone is not None:
        row |= {"is_alone": True, "fee_cents": sale.alone.fee_cents}
        row["tariff"] = parking_alone.tariff_named(batch, machine.zone, sale.alone)
    uses = _uses(batch, key, known["cards"], sale, wrong)
    saved = sum(item["saved"] or 0 for item in uses)
    paid_for = sale_credit.stay_of(batch, machine, row, sale, at_ms)
    before = None if paid_for is None else replace(paid_for)
    stay = sale_credit.pay_for(batch, machine, row, sale, uses, at_ms, wrong, paid_for)
    good = _commit(batch, node, machine, message, row, sale, uses, at_ms, wrong, stay)
    if sale.alone is not None:
        what_for = sale.subject
        if sale.what == parking.POOL:
            what_for = row["subject"] or sale_credit.product_of(batch, sale.subject)
        said = (sale.what, what_for, sale.until_ms, sale.alone, before, good, at_ms)
        row["should_cents"] = parking_alone.should_cents(batch, machine, *said)
        receipt = slip_of(message, machine)
        claims.of_difference(batch, node, key, receipt, sale.due, row["should_cents"], at_ms)
    row |= {"state": PAID, "paid_ms": at_ms, "ended_ms": batch.now_ms, "stay": stay, "what": sale.what}
    row |= {"due_cents": sale.due, "coins_cents": sale.coins, "card_cents": sale.by_card, "ref": sale.ref}
    row |= {"saved_cents": saved, "until_ms": sale.until_ms, "uses": json.dumps({"dues": [sale.due], "cards": uses})}
    if fresh:
        batch.rows.execute(insert(SALE), [row])
    else:
        batch.rows.execute(update(SALE).where(SALE.c.key == key).values(row))
    batch.record(
        "paid",
        at_ms,
        node=node.id,
        till=machine.id,
        seq=message.seq,
        sale=key,
        what=sale.what,
        stay=stay,
        due_cents=sale.due,
        coins_cents=sale.coins,
        card_cents=sale.by_card,
        ref=sale.ref,
        fee_cents=row["fee_cents"],
        saved_cents=saved,
        tariff=row["tariff"],
        vouchers=[item["serial"] for item in uses if item["serial"]],
        codes=[item["code"] for item in uses if item["code"]],
        visits=[item["visit"] for item in uses if item["visit"]],
        wrong=wrong,
        **({} if sale.alone is None else {"alone": asdict(sale.alone), "should_cents": row["should_cents"]}),
    )
    for reason in wrong:
        batch.alarm(node, f"sale {sale.number}: {reason}")


def _uses(batch: Batch, key: str, known: list[dict[str, Any]], sale: Told, wrong: list[str]) -> list[dict[str, Any]]:
    """What the machine used up, by the digests that it names: as it was priced, or found anew."""
    by_digest = {item["digest"]: item for item in known}
    told = {} if sale.alone is None else dict(zip(sale.used, sale.alone.saved, strict=False))
    uses: list[dict[str, Any]] = []
    for digest in dict.fromkeys(sale.used):
        if digest in by_digest:
            uses.append(by_digest[digest] | ({"saved": told[digest]} if digest in told else {}))
            continue
        rows = batch.rows.fetch(select(VOUCHER.c.serial, VOUCHER.c.lot).where(VOUCHER.c.digest == digest))
        if not rows:
            wrong.append(f"it used a voucher that nobody knows: {digest[:16]}")
            batch.record("voucher_conflict", voucher=0, digest=digest[:16], payment=key, state="missing")
            continue
        lot = batch.live.vouchers.lots[rows[0].lot]
        use = {"digest": digest, "kind": lot.kind, "value": lot.value, "saved": told.get(digest), "span": [0, 0]}
        uses.append(use | {"serial": rows[0].serial, "code": "", "visit": "", "worth": lot.value})
    return uses


def _commit(
    batch: Batch,
    node: Node,
    machine: Machine,
    message: NodeEvent,
    row: dict[str, Any],
    sale: Told,
    uses: list[dict[str, Any]],
    at_ms: int,
    wrong: list[str],
    stay: str,
) -> list[dict[str, Any]]:
    """Vouchers are used with the money, in this transaction; what else the sale held is free. Returns what counted."""
    key = key_of(node.id, message.inc, sale.number)
    parking_visits.keep_only(batch, key, {item["visit"] for item in uses})
    for item in uses:
        if item["visit"] and not parking_visits.use(batch, key, item["visit"], stay, item["saved"] or 0):
            wrong.append("the visit that paid was used by another sale")
    held = set(voucher_payments.codes_of(batch, key))
    for item in uses:
        if item["code"] and item["code"] not in held:
            wrong.append(f"the code {item['code']} was not held any more")
    spent = tuple(Use(item["serial"], item["code"], item["value"], item["saved"]) for item in uses if not item["visit"])
    if not spent and voucher_payments.payment_of(batch, key) is None:
        return uses
    till = Till(node.id, message.inc, asks_first=False)
    money = (row["fee_cents"], sale.cents)
    done = voucher_payments.commit(batch, CommitPayment(till, sale.number, spent, *money, at_ms, machine.zone))
    used = set(json.loads(done.answer).get("used", ())) if isinstance(done, Answered) else set()
    for item in uses:
        if item["serial"] and item["serial"] not in used:
            wrong.append(f"voucher {item['serial']} was not its own any more")
    return [item for item in uses if not item["serial"] or item["serial"] in used]


def sweep(batch: Batch) -> None:
    """Answers that nobody asks for any more; time of pay and display that is over, and its plates."""
    book = batch.live.parking
    if not book.zones or batch.now_ms - book.swept_ms < SWEEP_EVERY_MS:
        return
    book.swept_ms = batch.now_ms
    old = PRICE.c.at_ms < batch.now_ms - PRICES_KEPT_MS
    if batch.rows.fetch(select(PRICE.c.key).where(old).limit(1)):
        batch.rows.execute(delete(PRICE).where(old))
    parking_stays.end_displays(batch)
