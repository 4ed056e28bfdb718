"""Tariffs for tests: short texts, and times as people write them."""

from einlass_controller.tariffs import days_of, instant_of
from einlass_tariff.book import Book
from einlass_tariff.buy import Bought, buy
from einlass_tariff.fee import fee
from einlass_tariff.read import read_tariff
from einlass_tariff.result import MINUTES_CARD, Card, Fee, Payment, Stay

HEAD = 'tariff = "town"\nvalid_from = 2020-01-01\n'


class Town:
    """A tariff to ask; times are local unless they have an offset."""

    def __init__(self, *texts: str) -> None:
        self.book = Book([read_tariff(text) for text in texts], days_of)

    def at(self, text: str) -> int:
        return instant_of(text, self.book.days)

    def fee(
        self,
        begin: str,
        end: str,
        cards: int | tuple[Card, ...] = 0,
        *,
        paid: int | None = None,
        paid_at: str = "",
        pass_name: str = "",
        ticket: str = "",
    ) -> Fee:
        payments = () if paid is None else (Payment(paid, self.at(paid_at) if paid_at else None),)
        held = (Card(MINUTES_CARD, 60),) * cards if isinstance(cards, int) else cards
        stay = Stay(self.at(begin), self.at(end), held, pass_name, ticket, payments=payments)
        return fee(self.book, stay)

    def cents(self, begin: str, end: str, cards: int | tuple[Card, ...] = 0, pass_name: str = "") -> int:
        return self.fee(begin, end, cards, pass_name=pass_name).due_cents

    def buy(self, begin: str, cents: int) -> Bought:
        at_s = self.at(begin)
        return buy(self.book, Stay(at_s, at_s), cents)


def town(prices: str, top: str = "") -> Town:
    """A tariff from its prices only; `top` are keys before the first section."""
    return Town(HEAD + top + "\n" + prices)
