"""Bugs planted in what tills and the controller do with money and shops' cards; see world/planted.py."""

from typing import Any
from unittest import mock

from einlass_controller.domain.vouchers import ACTIVATED, Limits, Voucher
from einlass_controller.steps import parking_sales, voucher_lists, vouchers
from einlass_controller.store.schema import SALE
from einlass_core import till, till_account, till_alone
from einlass_core.effects import Record

_HAND_OVER = voucher_lists.hand_over


def _back_at_once(batch: Any, order: Any) -> Any:
    """Wanted back, so it is back."""
    if not order.till:
        order = type(order)(order.first, order.last, "", True, order.reason, order.by)
    return _HAND_OVER(batch, order)


def _list_whatever_is_active(policy: str, limits: Limits, voucher: Voucher) -> bool:
    return voucher.state == ACTIVATED


def _all_freed(batch: Any, node: Any) -> None:
    """What a lost journal had held is free again."""
    for row in parking_sales._open_sales(batch, node, SALE.c.inc != node.inc):
        parking_sales._end(batch, node, row.inc, row.number, row.boot)


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
    "back_without_its_word": (
        "a card that is wanted back from a till is back at once",
        lambda: [_swap(voucher_lists, "hand_over", _back_at_once)],
    ),
    "every_card_on_the_list": (
        "lists have whatever is active, whatever its lot says",
        lambda: [_swap(vouchers, "is_listed", _list_whatever_is_active)],
    ),
    "power_cut_ends_nothing": (
        "what a sale held that a power cut ended stays held",
        lambda: [_swap(parking_sales, "started", lambda batch, node, boot: None)],
    ),
    "lost_journal_frees_all": (
        "what a till held that lost its journal is free again",
        lambda: [_swap(parking_sales, "forgotten", _all_freed)],
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
