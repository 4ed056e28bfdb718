"""What is owed: by a machine to who holds its paper, by a bank about a card, by one side where prices differ.

A claim is open until a person settles it, or the terminal tells what became of its card. `refund` is owed to the
customer, against the receipt; `due` is what the house did not get.
"""

from typing import Any

from sqlalchemy import insert, select, update

from einlass_controller.live import Node
from einlass_controller.messages import NodeEvent
from einlass_controller.parking_book import Machine
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.sale_told import NAME_LENGTH_MAX, count, slip_of
from einlass_controller.store.schema import CLAIM

OWED, CARD, DUE, REFUND = "owed", "card", "due", "refund"
OPEN, SETTLED, REPLACED = "open", "settled", "replaced"
KEY_LENGTH_MAX = 160


def of_paper(batch: Batch, node: Node, machine: Machine, message: NodeEvent, cents: int, at_ms: int) -> None:
    """The machine could not pay out these cents, and gave a paper that says so."""
    slip = (message.fields.get("till") or {}).get("slip")
    name = slip_of(message, machine)
    total = max(cents, count(slip.get("owed")) if isinstance(slip, dict) else 0)
    if total > cents:  # this paper has what earlier ones say: those that were not printed, so nobody has them
        mine = CLAIM.c.node == node.id, CLAIM.c.kind == OWED, CLAIM.c.state == OPEN
        earlier = batch.rows.fetch(select(CLAIM.c.key, CLAIM.c.name).where(*mine))
        for row in earlier:
            if name.startswith(row.name) and row.name != name:
                batch.rows.execute(update(CLAIM).where(CLAIM.c.key == row.key).values(state=REPLACED))
    _add(batch, node, f"{node.id}/{message.inc}/{message.seq}", OWED, name, total, at_ms)
    batch.alarm(node, f"owed: {total} cents on the paper {name}")


def of_card(batch: Batch, node: Node, message: NodeEvent, body: dict[str, Any], at_ms: int) -> None:
    """Nobody knows whether a card was charged, or it was and should not be."""
    ref, cents = str(body.get("ref") or "")[:NAME_LENGTH_MAX], count(body.get("cents"))
    known = select(CLAIM.c.key).where(CLAIM.c.node == node.id, CLAIM.c.kind == CARD, CLAIM.c.name == ref)
    if not (ref and batch.rows.fetch(known)):
        key = f"{node.id}/{message.inc}/{message.seq}"
        _add(batch, node, key, CARD, ref or f"seq-{message.seq}", cents, at_ms)
    what = "was taken; return it" if body.get("taken") else "ask the terminal's bank"
    batch.alarm(node, f"card_doubtful: {ref}, {cents} cents: {what}, then settle it")


def card_is_clear(batch: Batch, node: Node, ref: str, how: str, at_ms: int) -> None:
    """The terminal has told at last: nobody has to ask the bank any more."""
    mine = CLAIM.c.node == node.id, CLAIM.c.kind == CARD, CLAIM.c.name == ref
    who = {"by": "terminal", "reason": how}
    for row in batch.rows.fetch(select(CLAIM).where(*mine, CLAIM.c.state == OPEN)):
        settled = {"state": SETTLED, "settled_ms": at_ms, **who}
        batch.rows.execute(update(CLAIM).where(CLAIM.c.key == row.key).values(settled))
        batch.record("claim_settled", at_ms, node=node.id, claim=CARD, name=row.name, cents=row.cents, **who)


def of_difference(
    batch: Batch, node: Node, sale: str, receipt: str, asked_cents: int, should_cents: int | None, at_ms: int
) -> None:
    """A sale was priced by the machine alone, and the books here say another price. None: nobody can say."""
    if should_cents is None or should_cents == asked_cents:
        return
    cents = abs(should_cents - asked_cents)
    kind = DUE if should_cents > asked_cents else REFUND
    name = receipt[:NAME_LENGTH_MAX]
    _add(batch, node, f"{sale}/{kind}"[:KEY_LENGTH_MAX], kind, name, cents, at_ms)
    said = {"node": node.id, "sale": sale, "claim": kind, "name": name, "cents": cents}
    batch.record("sale_differs", at_ms, **said, asked_cents=asked_cents, should_cents=should_cents)
    why = "too little was asked for" if kind == DUE else "too much was asked for: pay it back against the receipt"
    batch.alarm(node, f"sold_alone: {receipt}: {cents} cents {why}")


def _add(batch: Batch, node: Node, key: str, kind: str, name: str, cents: int, at_ms: int) -> None:
    row: dict[str, Any] = {"key": key, "name": name, "node": node.id, "kind": kind, "cents": cents}
    row |= {"state": OPEN, "at_ms": at_ms, "settled_ms": None, "by": "", "reason": ""}
    batch.rows.execute(insert(CLAIM), [row])
