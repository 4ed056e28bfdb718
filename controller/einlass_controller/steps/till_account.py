"""What a till says that it holds, kept beside what its sales brought; an alarm where the two part."""

import json
from typing import Any

from sqlalchemy import func, select, update

from einlass_controller.live import Node
from einlass_controller.messages import NodeEvent
from einlass_controller.parking_book import Machine
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.sale_rows import PAID
from einlass_controller.steps.sale_told import count
from einlass_controller.store.schema import SALE, TILL

CENTS = ("taken", "given", "kept", "credit", "change", "owed", "lost")


def keep(batch: Batch, node: Node, machine: Machine, message: NodeEvent, account: dict[str, Any]) -> None:
    """Keep what the machine says it holds; an alarm when that can't be, or is not what its sales brought."""
    if not account:
        return
    before = machine.account if machine.inc == message.inc else {}
    cents = {name: count(account.get(name)) for name in CENTS}
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
