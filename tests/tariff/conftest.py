"""Tariffs for tests: short texts, and times as people write them."""

from collections.abc import Callable
from datetime import date

import pytest

from einlass_controller.domain.tariff.book import Book
from einlass_controller.domain.tariff.buy import Bought, buy
from einlass_controller.domain.tariff.fee import fee
from einlass_controller.domain.tariff.read import read_tariff
from einlass_controller.domain.tariff.result import MINUTES_CARD, Card, Fee, Payment, Stay
from einlass_controller.tariffs import days_of, instant_of

HEAD = 'tariff = "town"\nvalid_from = 2020-01-01\n'


class Town:
    """A tariff to ask; times are local unless they have an offset."""

    def __init__(self, *texts: str) -> None:
        self.book = Book([read_tariff(text) for text in texts], days_of)

    def at(self, text: str) -> int:
        return instant_of(text, self.book.days)

    def fee(
        self, begin: str, end: str, cards: int = 0, *, paid: int | None = None, paid_at: str = "", **more: str
    ) -> Fee:
        payments = () if paid is None else (Payment(paid, self.at(paid_at) if paid_at else None),)
        cards_held = (Card(MINUTES_CARD, 60),) * cards
        return fee(self.book, Stay(self.at(begin), self.at(end), cards_held, payments=payments, **more))

    def cents(self, begin: str, end: str, cards: int = 0, **more: str) -> int:
        return self.fee(begin, end, cards, **more).due_cents

    def buy(self, begin: str, cents: int, **more: str) -> Bought:
        at_s = self.at(begin)
        return buy(self.book, Stay(at_s, at_s, **more), cents)


@pytest.fixture
def town() -> Callable[..., Town]:
    """A tariff from its prices only; `top` are keys before the first section."""

    def make(prices: str, top: str = "") -> Town:
        return Town(HEAD + top + "\n" + prices)

    return make


def day(text: str) -> date:
    return date.fromisoformat(text)
