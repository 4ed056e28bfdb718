"""Bugs planted in what tills and the controller do with money and shops' cards; see world/planted.py."""

from typing import Any
from unittest import mock

from einlass_controller.domain.vouchers import ACTIVATED, Limits, Voucher
from einlass_controller.steps import vouchers
from einlass_core import till, till_account, till_alone
from einlass_core.effects import Record


def _list_whatever_is_active(policy: str, limits: Limits, voucher: Voucher) -> bool:
    return voucher.state == ACTIVATED


_ASK_CARD = till.Till._powered


def _card_payment_forgotten(self: till.Till, now_ms: int, event: Any, effects: list[Any]) -> None:
    """After a power cut nobody asks the terminal what became of it."""
    self.account.card, self.account.card_cents = "", 0
    _ASK_CARD(self, now_ms, event, effects)


def _coins_as_differences(self: till_account.Account, total: int) -> int:
    """Each message is taken for one more coin of the last value."""
    more = max(0, total - self.taken)
    self.taken += more or 50
    self.credit += more or 50
    return more


_RECORD = till.Till._record


def _paid_twice(self: till.Till, kind: str, fields: dict[str, Any], effects: list[Any]) -> None:
    """The record that is the sale is written twice, to be safe."""
    _RECORD(self, kind, fields, effects)
    if kind == "paid":
        effects.append(Record(kind, dict(effects[-1].fields)))


def _swap(where: Any, name: str, value: Any) -> Any:
    return mock.patch.object(where, name, value)


# name: (what is broken, patches)
BUGS: dict[str, tuple[str, Any]] = {
    "used_here_not_looked_up": (
        "a till does not remember what it used while its list still has it",
        lambda: [_swap(till_alone.Alone, "_take", lambda self, number, row: None)],
    ),
    "every_card_on_the_list": (
        "lists have whatever is active, whatever its lot says",
        lambda: [_swap(vouchers, "is_listed", _list_whatever_is_active)],
    ),
    "card_payment_forgotten": (
        "after a power cut a card payment is not asked about",
        lambda: [_swap(till.Till, "_powered", _card_payment_forgotten)],
    ),
    "coins_by_message": (
        "a message about a coin counts, not the total that it tells",
        lambda: [_swap(till_account.Account, "count_in", _coins_as_differences)],
    ),
    "paid_told_twice": ("the sale's record is written twice", lambda: [_swap(till.Till, "_record", _paid_twice)]),
}
