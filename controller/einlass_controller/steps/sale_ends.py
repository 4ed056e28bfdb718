"""The end of a sale that was not paid: all that it holds is free, unless the machine has lost what it knew of it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, update

from einlass_controller.live import Node
from einlass_controller.orders_vouchers import ReleasePayment, Till
from einlass_controller.steps import parking_visits, voucher_payments
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.sale_rows import ENDED, OPEN, key_of, new_sale
from einlass_controller.store.schema import SALE


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
            end(batch, node, row.inc, row.number, row.boot)
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
        end(batch, node, row.inc, row.number, row.boot)


def _open_sales(batch: Batch, node: Node, *conditions: Any) -> Sequence[Any]:
    if node.id not in batch.live.parking.tills:
        return ()
    mine = select(SALE.c.inc, SALE.c.number, SALE.c.boot).where(SALE.c.node == node.id, SALE.c.state == OPEN)
    return batch.rows.fetch(mine.where(*conditions))


def end(batch: Batch, node: Node, inc: str, number: int, boot: int) -> None:
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
