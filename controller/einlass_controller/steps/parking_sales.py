"""What tills tell, each record once, in the order of their journals. A sale is never refused: the money is in.

What can't be right any more (a voucher that was used elsewhere, a stay that is unknown or over) is kept as evidence
and raises an alarm. Money, stay and vouchers change in one transaction.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from einlass_controller.domain import parking, vouchers
from einlass_controller.domain.parking import INSIDE, LEFT, ParkingStay
from einlass_controller.domain.snapshot import row_of
from einlass_controller.domain.tickets import VALID, Ticket
from einlass_controller.domain.visits import PRESENT, Visit
from einlass_controller.issuing import new_id
from einlass_controller.live import Node
from einlass_controller.messages import NodeEvent
from einlass_controller.orders_vouchers import Answered, CommitPayment, ReleasePayment, Till, Use
from einlass_controller.parking_book import Machine
from einlass_controller.steps import parking_alone, parking_stays, parking_visits, voucher_payments
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.parking_alone import Alone
from einlass_controller.store.schema import CLAIM, PRICE, SALE, TILL, VOUCHER
from einlass_core import codes, wire
from einlass_tariff.due import tariff_of

OPEN, PAID, ENDED = "open", "paid", "ended"
OWED, CARD = "owed", "card"
CLAIM_OPEN, SETTLED, REPLACED = "open", "settled", "replaced"
CENTS = ("taken", "given", "kept", "credit", "change", "owed", "lost")
# Answers are kept for who asks again; a till does so within seconds.
PRICES_KEPT_MS = 24 * 3600_000
SWEEP_EVERY_MS = 60_000
DIGESTS_MAX = 6
DUES_MAX = 20
CARDS_MAX = 20
NAME_LENGTH_MAX = 64
STOPPED = "coins_stopped"
TOLD = frozenset(("card_undone", "card_not"))
# Kinds of records that end a sale without a payment.
POWERED = "powered"
OVER = frozenset(("aborted", POWERED))


@dataclass(frozen=True, slots=True)
class Told:
    """A `paid` record as the machine wrote it. subject: a digest; used: digests of vouchers; code: of a ticket sold.

    alone: how it priced it by itself; None: it was told the price here.
    """

    number: int
    what: str
    subject: str
    due: int
    coins: int
    by_card: int
    ref: str
    used: tuple[str, ...]
    until_ms: int
    code: str
    alone: Alone | None = None

    @property
    def cents(self) -> int:
        """The money that is in."""
        return self.coins + self.by_card


def key_of(node: str, inc: str, number: int) -> str:
    """What makes a sale the same one: also the payment that holds its vouchers."""
    return Till(node, inc, asks_first=False).key(number)


def new_sale(
    key: str, node: str, inc: str, boot: int, number: int, what: str, zone: str, now_ms: int
) -> dict[str, Any]:
    """The row of a sale that begins."""
    row: dict[str, Any] = {"key": key, "node": node, "inc": inc, "boot": boot, "number": number, "what": what}
    row |= {"zone": zone, "stay": "", "subject": "", "state": OPEN, "opened_ms": now_ms, "ended_ms": None}
    row |= dict.fromkeys(("until_ms", "due_cents", "fee_cents", "saved_cents", "coins_cents", "card_cents"), 0)
    row |= {"is_alone": False, "should_cents": None}
    return row | {"paid_ms": None, "ref": "", "tariff": "", "uses": asked("", 0, ())}


def asked(before: str, due_cents: int, uses: Iterable[dict[str, Any]]) -> str:
    """What a sale keeps of its questions: every price that was told, and every card as it was priced last.

    A machine whose last question was not answered in time goes on with the answer before.
    """
    known = json.loads(before) if before else {"dues": [], "cards": []}
    fresh = {item["digest"]: item for item in uses}
    cards = [item for item in known["cards"] if item["digest"] not in fresh] + list(fresh.values())
    dues = [due for due in known["dues"] if due != due_cents] + [due_cents]
    return json.dumps({"dues": dues[-DUES_MAX:], "cards": cards[-CARDS_MAX:]})


def told(batch: Batch, node: Node, message: NodeEvent, at_ms: int) -> None:
    """A record of a till."""
    machine = batch.live.parking.tills.get(node.id)
    account, body = message.fields.get("till") or {}, message.fields.get("sale") or {}
    if machine is None:
        batch.letter(f"{node.id}/event", f"record {message.seq}: {message.kind} of a node that is no till")
        batch.record("unusable", node=node.id, seq=message.seq, reason=f"{message.kind} of a node that is no till")
        return
    number = _count(account.get("sale"))
    end_before(batch, node, message.inc, number)
    if message.kind == "paid":
        _paid(batch, node, machine, message, body, number, at_ms)
    else:
        _note(batch, node, machine, message, body, number, at_ms)
    _books(batch, node, machine, message, account)


def _note(
    batch: Batch, node: Node, machine: Machine, message: NodeEvent, body: dict[str, Any], number: int, at_ms: int
) -> None:
    kind = message.kind
    said = {name: value for name, value in body.items() if isinstance(value, int | str)}
    said = {name: value for name, value in list(said.items())[:8] if name not in ("node", "till", "seq", "number")}
    if kind in OVER:
        _end(batch, node, message.inc, number, message.boot)
    if kind == POWERED:
        # The sale that was under way when the power went may have no record, and so no number that is known now.
        started(batch, node, message.boot)
    if kind == STOPPED:
        node.fault = STOPPED
        batch.nodes.add(node.id)
    elif kind == "coins" and node.fault == STOPPED:
        node.fault = ""
        batch.nodes.add(node.id)
    batch.record(f"till_{kind}", at_ms, node=node.id, till=machine.id, seq=message.seq, number=number, **said)
    if kind == "owed":
        _owed(batch, node, machine, message, _count(body.get("cents")), at_ms)
    elif kind == "card_doubtful":
        ref, cents = str(body.get("ref") or "")[:NAME_LENGTH_MAX], _count(body.get("cents"))
        known = select(CLAIM.c.key).where(CLAIM.c.node == node.id, CLAIM.c.kind == CARD, CLAIM.c.name == ref)
        if not (ref and batch.rows.fetch(known)):
            _claim(batch, node, CARD, ref or f"seq-{message.seq}", cents, f"{message.inc}/{message.seq}", at_ms)
        what = "was taken; return it" if body.get("taken") else "ask the terminal's bank"
        batch.alarm(node, f"card_doubtful: {ref}, {cents} cents: {what}, then settle it")
    elif kind in TOLD:
        # The terminal has told at last: nobody has to ask the bank any more.
        mine = CLAIM.c.node == node.id, CLAIM.c.kind == CARD, CLAIM.c.name == str(body.get("ref"))
        who = {"by": "terminal", "reason": kind}
        for row in batch.rows.fetch(select(CLAIM).where(*mine, CLAIM.c.state == CLAIM_OPEN)):
            settled = {"state": SETTLED, "settled_ms": at_ms, **who}
            batch.rows.execute(update(CLAIM).where(CLAIM.c.key == row.key).values(settled))
            batch.record("claim_settled", at_ms, node=node.id, claim=CARD, name=row.name, cents=row.cents, **who)
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
    sale = _read(body, number)
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
    paid_for = _paid_for(batch, machine, row, sale, at_ms)
    before = None if paid_for is None else replace(paid_for)
    stay = _pay_for(batch, machine, node, row, sale, uses, at_ms, wrong, paid_for)
    good = _commit(batch, node, machine, message, row, sale, uses, at_ms, wrong, stay)
    if sale.alone is not None:
        what_for = row["subject"] or _product_of(batch, sale.subject) if sale.what == parking.POOL else sale.subject
        said = (sale.what, what_for, sale.until_ms, sale.alone, before, good, at_ms)
        row["should_cents"] = parking_alone.should_cents(batch, machine, *said)
        parking_alone.settle(batch, node, key, _slip_of(message, machine), sale.due, row["should_cents"], at_ms)
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


def _paid_for(batch: Batch, machine: Machine, row: dict[str, Any], sale: Told, at_ms: int) -> ParkingStay | None:
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


def _pay_for(
    batch: Batch,
    machine: Machine,
    node: Node,
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


def _product_of(batch: Batch, digest: str) -> str:
    """The product whose name has this digest; "": none."""
    return next((name for name in batch.catalogue.products if codes.digest(name) == digest), "")


def _slip_of(message: NodeEvent, machine: Machine) -> str:
    """What the receipt is called."""
    slip = (message.fields.get("till") or {}).get("slip")
    name = slip.get("slip") if isinstance(slip, dict) else ""
    return str(name or f"{machine.id}-{message.seq}")[:NAME_LENGTH_MAX]


def _sell_ticket(batch: Batch, machine: Machine, row: dict[str, Any], sale: Told, at_ms: int, wrong: list[str]) -> None:
    name = row["subject"] or _product_of(batch, sale.subject)
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


# The end of a sale that was not paid


def started(batch: Batch, node: Node, boot: int) -> None:
    """The machine started: what an earlier boot had open is over. Its journal would have said so, had it been paid."""
    _end_where(batch, node, SALE.c.inc == node.inc, SALE.c.boot < boot)


def forgotten(batch: Batch, node: Node) -> None:
    """The machine has lost its journal, and with it perhaps a sale that nobody heard of.

    Cards that were held for it may be used: they stay held until a person has looked and ends that payment.
    """
    for row in _open_sales(batch, node, SALE.c.inc != node.inc):
        key = key_of(node.id, row.inc, row.number)
        held = voucher_payments.held_by(batch, key)
        if not held:
            _end(batch, node, row.inc, row.number, row.boot)
            continue
        parking_visits.keep_only(batch, key, set())
        batch.rows.execute(update(SALE).where(SALE.c.key == key).values({"state": ENDED, "ended_ms": batch.now_ms}))
        serials = ", ".join(str(item.serial) for item in held)
        batch.record("vouchers_in_doubt", node=node.id, sale=key, vouchers=[item.serial for item in held])
        batch.alarm(node, f"vouchers_in_doubt: {serials} were held for payment {key}: look at the machine, then end it")


def end_before(batch: Batch, node: Node, inc: str, number: int) -> None:
    """The machine is at this sale: those before it are over."""
    _end_where(batch, node, SALE.c.inc == inc, SALE.c.number < number)


def _end_where(batch: Batch, node: Node, *conditions: Any) -> None:
    for row in _open_sales(batch, node, *conditions):
        _end(batch, node, row.inc, row.number, row.boot)


def _open_sales(batch: Batch, node: Node, *conditions: Any) -> Sequence[Any]:
    if node.id not in batch.live.parking.tills:
        return ()
    mine = select(SALE.c.inc, SALE.c.number, SALE.c.boot).where(SALE.c.node == node.id, SALE.c.state == OPEN)
    return batch.rows.fetch(mine.where(*conditions))


def _end(batch: Batch, node: Node, inc: str, number: int, boot: int) -> None:
    """All that a sale holds is free. A question about it that is still on its way comes too late."""
    key = key_of(node.id, inc, number)
    state = batch.rows.scalar(select(SALE.c.state).where(SALE.c.key == key))
    if state is None and number:
        zone = batch.live.parking.tills[node.id].zone
        row = new_sale(key, node.id, inc, boot, number, "", zone, batch.now_ms)
        batch.rows.execute(insert(SALE), [row | {"state": ENDED, "ended_ms": batch.now_ms}])
    elif state == OPEN:
        ended = {"state": ENDED, "ended_ms": batch.now_ms}
        batch.rows.execute(update(SALE).where(SALE.c.key == key).values(ended))
    if state in (None, OPEN):
        parking_visits.keep_only(batch, key, set())
        payment = voucher_payments.payment_of(batch, key)
        if payment is not None and payment.state == OPEN:
            voucher_payments.release(batch, ReleasePayment(Till(node.id, inc, asks_first=False), number))


# What a machine owes


def _owed(batch: Batch, node: Node, machine: Machine, message: NodeEvent, cents: int, at_ms: int) -> None:
    slip = (message.fields.get("till") or {}).get("slip")
    slip = slip if isinstance(slip, dict) else {}
    name = str(slip.get("slip") or f"{machine.id}-{message.seq}")[:NAME_LENGTH_MAX]
    total = max(cents, _count(slip.get("owed")))
    if total > cents:  # this paper has what earlier ones say: those that were not printed, so nobody has them
        mine = CLAIM.c.node == node.id, CLAIM.c.kind == OWED, CLAIM.c.state == CLAIM_OPEN
        earlier = batch.rows.fetch(select(CLAIM.c.key, CLAIM.c.name).where(*mine))
        for row in earlier:
            if name.startswith(row.name) and row.name != name:
                batch.rows.execute(update(CLAIM).where(CLAIM.c.key == row.key).values(state=REPLACED))
    _claim(batch, node, OWED, name, total, f"{message.inc}/{message.seq}", at_ms)
    batch.alarm(node, f"owed: {total} cents on the paper {name}")


def _claim(batch: Batch, node: Node, kind: str, name: str, cents: int, key: str, at_ms: int) -> None:
    row: dict[str, Any] = {"key": f"{node.id}/{key}", "name": name, "node": node.id, "kind": kind, "cents": cents}
    row |= {"state": CLAIM_OPEN, "at_ms": at_ms, "settled_ms": None, "by": "", "reason": ""}
    batch.rows.execute(insert(CLAIM), [row])


# The machine's own books


def _books(batch: Batch, node: Node, machine: Machine, message: NodeEvent, account: dict[str, Any]) -> None:
    """Keep what the machine says it holds; an alarm when that can't be, or is not what its sales brought."""
    if not account:
        return
    before = machine.account if machine.inc == message.inc else {}
    cents = {name: _count(account.get(name)) for name in CENTS}
    named = cents["kept"] + cents["credit"] + cents["change"] + cents["owed"] - cents["lost"]
    wrong = "" if cents["taken"] - cents["given"] == named else "its own account does not add up"
    if message.kind == "paid" and not wrong:
        mine = SALE.c.node == node.id, SALE.c.inc == message.inc, SALE.c.state == PAID
        sold = int(batch.rows.scalar(select(func.coalesce(func.sum(SALE.c.coins_cents), 0)).where(*mine)) or 0)
        off = cents["kept"] - sold
        if off != before.get("off", 0):
            wrong = f"it kept {cents['kept']} cents, its sales brought {sold}"
        cents["off"] = off
    else:
        cents["off"] = before.get("off", 0)
    machine.inc, machine.account = message.inc, cents
    change = update(TILL).where(TILL.c.id == machine.id)
    batch.rows.execute(change.values(inc=message.inc, account=json.dumps(cents)))
    if wrong:
        batch.alarm(node, f"till_books: {wrong}")


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


def _read(body: dict[str, Any], number: int) -> Told:
    used = body.get("used")
    digests = [str(item) for item in used if isinstance(item, str)] if isinstance(used, list) else []
    return Told(
        _count(body.get("sale")) or number,
        _word(body.get("what")),
        _word(body.get("subject")),
        _count(body.get("due")),
        _count(body.get("coins")),
        _count(body.get("by_card")),
        _word(body.get("ref")),
        tuple(digests[:DIGESTS_MAX]),
        _count(body.get("until"), wire.MILLISECONDS_MAX),
        _word(body.get("code")),
        parking_alone.read(body.get("alone")),
    )


def _word(value: Any) -> str:
    return value[:NAME_LENGTH_MAX] if isinstance(value, str) else ""


def _count(value: Any, most: int = wire.COUNT_MAX) -> int:
    """A machine's number, if it is one: what it wrote is never refused, only not believed beyond reason."""
    return min(value, most) if type(value) is int and value >= 0 else 0
