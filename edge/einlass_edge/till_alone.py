"""A till's own price, for when nobody answers: by the tariff it was told, the time on the ticket, its list of vouchers.

What may be used is einlass_core.till_alone's to say, what it costs einlass_tariff's: the controller has the very same.
"""

import shutil
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from einlass_core import codes, stamp
from einlass_core.allowlist import ENTRY_BYTES, AllowList
from einlass_core.journal import Journal
from einlass_core.stamp import KEY_BYTES
from einlass_core.till_alone import ALONE_LIMIT, WEEKDAYS, Alone, Worth
from einlass_core.till_words import DISPLAY, EXIT, LOST, POOL, Price, PriceAlone, Priced
from einlass_edge.clock import now_ms
from einlass_edge.till_book import KEYS, LOTS, TillBook
from einlass_edge.till_sold import SoldStore
from einlass_edge.till_tariff import Prices, TillTariff
from einlass_tariff import due
from einlass_tariff.due import Bill, Parked, Shown
from einlass_tariff.problems import StayError

# Of these days the newest are kept: yesterday's, today's and, told ahead, tomorrow's.
KEYS_MAX = 3
NO_PRICE, UNTRUSTED, NOT_SOLD = "offline_not_here", "clock_untrusted", "wrong_product"

log = structlog.get_logger(__name__)


def list_folder(base: Path, journal: Journal) -> Path:
    """Where this incarnation's list is kept. What another one owned is not this one's: a list outlives no journal."""
    mine = base / journal.incarnation
    mine.mkdir(parents=True, exist_ok=True)
    for other in base.iterdir():
        if other != mine:
            log.warning("list_of_another_journal", folder=other.name)
            shutil.rmtree(other, ignore_errors=True)
    return mine


@dataclass(frozen=True, slots=True)
class Told:
    """An answer to the till, with what its slip says (`values`) and what is to be kept of the sale (`more`)."""

    priced: Priced
    values: dict[str, Any] = field(default_factory=dict)
    more: dict[str, int] = field(default_factory=dict)


class AloneDesk:
    """heard() what the controller tells ahead; price() works it out. unix_ms: what time it is (UTC), 0: unknown."""

    def __init__(
        self,
        book: TillBook,
        store: SoldStore,
        listed: AllowList,
        acknowledged: Callable[[], int],
        unix_ms: Callable[[], int],
        timezone: str,
        now_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._now_ms = now_ms
        self._book = book
        self._list = listed
        self._unix_ms = unix_ms
        self._zone = zoneinfo.ZoneInfo(timezone)
        self._keys = {int(day): bytes.fromhex(key) for day, key in book.read(KEYS).items()}
        self._tariff = TillTariff(book)
        lots = {int(line): lot for line, lot in book.read(LOTS).items()}
        self.rules = Alone(store, lots, listed.persons, acknowledged)

    # What is told ahead

    def heard(self, kind: str, fields: dict[str, Any]) -> bool:
        """A message of the controller; whether it is to be told how far the till has come."""
        if kind == "list":
            return self._take_list(fields)
        if kind == "book":
            return self._tariff.take(fields)
        if kind == "lot":
            self._take_lot(fields)
        elif kind == "stamp":
            self._take_key(fields)
        return False

    def status(self) -> dict[str, Any]:
        """What is here, for the till's status."""
        listed = self._list.status(self._now_ms())
        return {"list": listed, "book": self._tariff.status(), "stamp": max(self._keys, default=0)}

    def tidy(self) -> None:
        """What can wait until nobody stands here."""
        self._merge()
        try:
            self.rules.forget(self._unix_ms())
        except OSError as error:
            log.error("sales_not_tidied", error=str(error))

    def _take_list(self, fields: dict[str, Any]) -> bool:
        try:
            taken = self._list.take(fields, self._now_ms())
        except (OSError, ValueError) as error:
            log.error("list_not_kept", error=str(error))
            return False
        self._merge()
        if taken and fields["entries"]:
            log.info("list", entries=len(fields["entries"]) // (2 * ENTRY_BYTES), **self._list.version())
        return bool(fields["entries"]) or not taken

    def _merge(self) -> None:
        try:
            while self._list.work():
                pass
        except OSError as error:
            log.error("list_not_merged", error=str(error))

    def _take_lot(self, fields: dict[str, Any]) -> None:
        """What vouchers of a lot are worth."""
        lot = {name: fields[name] for name in ("alone", "kind", "value", "from", "until", "days", "count", "cents")}
        if self.rules.lots.get(fields["line"]) == lot:
            return
        try:
            self._book.write(LOTS, {str(line): kept for line, kept in {**self.rules.lots, fields["line"]: lot}.items()})
        except OSError as error:
            log.error("lot_not_kept", error=str(error))
            return
        self.rules.lots[fields["line"]] = lot

    def _take_key(self, fields: dict[str, Any]) -> None:
        """A day's key of the stamps on tickets. It is in no log."""
        try:
            key = bytes.fromhex(fields["key"])
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            log.error("stamp_key_not_understood", day=fields["day"])
            return
        keys = {**self._keys, fields["day"]: key}
        keys = {day: keys[day] for day in sorted(keys)[-KEYS_MAX:]}
        if keys == self._keys:
            return
        try:
            self._book.write(KEYS, {str(day): kept.hex() for day, kept in keys.items()})
        except OSError as error:
            log.error("stamp_key_not_kept", error=str(error))
            return
        self._keys = keys
        log.info("stamp_key", day=fields["day"])

    # The price

    def instead(self, asked: Price) -> Priced | None:
        """What to answer in the controller's place while it has not heard of a sale alone; None: ask it.

        Asked now it would take the voucher for good, and the stay for unpaid.
        """
        if any(self.rules.is_untold(card) for card in asked.cards):
            return Priced(asked.nonce, "redeemed")
        return Priced(asked.nonce, NO_PRICE) if self.rules.is_untold(asked.subject) else None

    def price(self, asked: PriceAlone, raw: bytes, known_ms: int) -> Told:
        """raw: what the reader read of the ticket. known_ms: when the stay began, if an answer in this sale said so."""
        try:
            return self._price(asked, raw, known_ms)
        except StayError as error:
            log.warning("no_price_alone", what=asked.what, reason=str(error))
            return Told(Priced(asked.nonce, "staff"))

    def _price(self, asked: PriceAlone, raw: bytes, known_ms: int) -> Told:
        at_ms, prices = self._unix_ms(), self._tariff.prices
        if not at_ms:
            return Told(Priced(asked.nonce, UNTRUSTED))
        if prices is None:
            return Told(Priced(asked.nonce, NO_PRICE))
        if asked.what == POOL:
            return self._of_product(asked, prices, at_ms)
        found = [self.rules.judge(card, at_ms, self._weekday(at_ms)) for card in asked.cards]
        worth = {place: item for place, item in enumerate(found) if isinstance(item, Worth)}
        for item in found:
            if isinstance(item, str):
                return Told(Priced(asked.nonce, item))
        entered_ms, why = self._entered_ms(asked, raw, known_ms, at_ms)
        if why:
            return Told(Priced(asked.nonce, why))
        parked = self._parked(asked, entered_ms, at_ms)
        shown = [Shown(place, item.kind, item.value) for place, item in worth.items()]
        if asked.what == DISPLAY:
            bill = due.display(prices.book, parked, asked.paid, shown)
        else:
            bill = due.bill(prices.book, parked, at_ms, prices.lost_cents, shown)
        taken = sorted(bill.taken, key=lambda one: one.place)
        if not self.rules.fits([(worth[one.place], one.saved_cents) for one in taken]):
            return Told(Priced(asked.nonce, ALONE_LIMIT))
        return _told(asked, bill, parked.entered_ms, at_ms, worth)

    def _of_product(self, asked: PriceAlone, prices: Prices, at_ms: int) -> Told:
        product = prices.products.get(asked.subject)
        if product is None:
            return Told(Priced(asked.nonce, NOT_SOLD))
        return _told(asked, Bill(product[2], product[2], 0, lines=(product,)), 0, at_ms, {})

    def _entered_ms(self, asked: PriceAlone, raw: bytes, known_ms: int, at_ms: int) -> tuple[int, str]:
        """When the stay began, or why nobody knows."""
        if asked.what != EXIT:
            return at_ms, ""
        found = stamp.entered(raw, self._keys, at_ms // 1000)
        if not found.why:
            return found.entered_s * 1000, ""
        if found.why == stamp.WRONG:
            return 0, found.why
        paid = [row["entered"] for row in self.rules.paid_here(codes.digest(asked.subject)) if row["entered"]]
        known_ms = known_ms or next(iter(paid), 0)
        return known_ms, "" if known_ms else found.why

    def _parked(self, asked: PriceAlone, entered_ms: int, at_ms: int) -> Parked:
        """The stay, with what was paid for it here."""
        if asked.what == LOST:
            return Parked(entered_ms, kind=due.LOST)
        rows = self.rules.paid_here(codes.digest(asked.subject))
        if asked.what == DISPLAY:
            # Time that was bought and is over is another stay.
            rows = [row for row in rows if row["until"] >= at_ms]
            entered_ms = min((row["entered"] for row in rows if row["entered"]), default=entered_ms)
        return Parked(
            entered_ms,
            paid_cents=sum(row["cents"] for row in rows),
            credit_cents=sum(row["credit"] for row in rows),
            card_minutes=sum(row["minutes"] for row in rows),
            cards=sum(row["cards"] for row in rows),
            until_ms=max((row["until"] for row in rows), default=0),
        )

    def _weekday(self, at_ms: int) -> str:
        return WEEKDAYS[datetime.fromtimestamp(at_ms / 1000, self._zone).weekday()]


def _told(asked: PriceAlone, bill: Bill, entered_ms: int, at_ms: int, worth: dict[int, Worth]) -> Told:
    taken = sorted(bill.taken, key=lambda one: one.place)
    held = tuple(asked.cards[one.place] for one in taken)
    partly = tuple(asked.cards[one.place] for one in taken if one.value < worth[one.place].value)
    note: dict[str, object] = {"at": at_ms, "entered": entered_ms, "fee": bill.fee_cents, "text": bill.digest}
    note["saved"] = [one.saved_cents for one in taken]
    values: dict[str, Any] = {"fee_cents": bill.fee_cents, "saved_cents": bill.saved_cents, "alone": True}
    values["lines"] = [list(line) for line in bill.lines if line[2]]
    if asked.what == EXIT:
        values["entered_ms"] = entered_ms
    more = {
        "entered": entered_ms,
        "credit": sum(one.saved_cents for one in taken if one.kind != due.MINUTES),
        "minutes": sum(worth[one.place].value for one in taken if one.kind == due.MINUTES),
    }
    priced = Priced(asked.nonce, "ok", bill.due_cents, held, bill.until_ms, partly, note)
    return Told(priced, values, more)
