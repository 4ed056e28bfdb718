"""The row of a sale: one for each number that a machine has given, from its first question or its record to its end."""

import json
from collections.abc import Iterable
from typing import Any

from einlass_controller.orders_vouchers import Till

OPEN, PAID, ENDED = "open", "paid", "ended"
DUES_MAX = 20
CARDS_MAX = 20


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
