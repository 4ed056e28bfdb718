"""What a stay owes now, and which of the vouchers shown to the till help: pure, on top of the tariff engine.

Controller and tills that are cut off have the very same reckoning. A late exit costs the fee from entry to now less
what was paid. Vouchers of earlier payments go on counting; a new one is used only if it lowers what is still to be
paid, all others are handed back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from einlass_tariff.book import Book
from einlass_tariff.buy import buy
from einlass_tariff.fee import Memo, cost, fee, uses
from einlass_tariff.model import Tariff
from einlass_tariff.problems import StayError
from einlass_tariff.result import Card, CardUse, Fee, Stay

# Kinds of vouchers, in the order in which they are used; `free` makes a span of time free and comes before all.
MINUTES, CENTS, PERCENT = KINDS = ("minutes", "cents", "percent")
FREE = "free"
# A stay without its ticket, which costs a flat sum.
LOST = "lost"
MS = 1000
# So many lines an account has for a customer; further time of a long stay is one line.
LINES_MAX = 200
CARD_MINUTES_MAX = 60 * 24 * 31
Span = tuple[int, int]


class Owing(Protocol):
    """A stay as far as its fee depends on it. Instants are Unix milliseconds.

    paid_cents: money; credit_cents: what vouchers in money and percent took off; card_minutes, cards: vouchers in
    minutes that were used, and how many of all kinds. spans: what is free, as "from-to" in ms, joined by blanks.
    until_ms: the grace after a payment, or the time bought, ends. pass_name: of the tariff, it is priced by that until
    pass_until_ms (None: without end).
    """

    @property
    def kind(self) -> str:
        """LOST, or anything else."""

    @property
    def entered_ms(self) -> int:
        """When it began."""

    @property
    def paid_cents(self) -> int:
        """Money."""

    @property
    def credit_cents(self) -> int:
        """Vouchers in money and percent."""

    @property
    def card_minutes(self) -> int:
        """Vouchers in minutes."""

    @property
    def cards(self) -> int:
        """Vouchers of all kinds."""

    @property
    def spans(self) -> str:
        """What is free."""

    @property
    def until_ms(self) -> int:
        """The end of what was paid for."""

    @property
    def pass_name(self) -> str:
        """The pass of its holder; "": none."""

    @property
    def pass_until_ms(self) -> int | None:
        """The end of that pass."""


@dataclass(frozen=True, slots=True)
class Parked:
    """An Owing, for who has no stay of his own."""

    entered_ms: int
    kind: str = ""
    paid_cents: int = 0
    credit_cents: int = 0
    card_minutes: int = 0
    cards: int = 0
    spans: str = ""
    until_ms: int = 0
    pass_name: str = ""
    pass_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A voucher that the till shows, by its place in the question. span_ms: what a code makes free (kind free)."""

    place: int
    kind: str
    value: int
    span_ms: Span = (0, 0)


@dataclass(frozen=True, slots=True)
class Taken:
    """A voucher that helps: what is used of its worth, and what it takes off."""

    place: int
    kind: str
    value: int
    saved_cents: int
    span_ms: Span = (0, 0)


@dataclass(frozen=True, slots=True)
class Bill:
    """fee_cents: of the whole stay, before vouchers of this payment; due_cents: to be paid now, vouchers taken off.

    until_ms: how long it is valid once it is paid. lines: (German, English, cents), they add up to due_cents.
    version: the tariff and its valid-from, digest: of its text.
    """

    fee_cents: int
    due_cents: int
    until_ms: int
    taken: tuple[Taken, ...] = ()
    lines: tuple[tuple[str, str, int], ...] = ()
    version: str = ""
    digest: str = ""

    @property
    def saved_cents(self) -> int:
        """What the vouchers of this payment take off."""
        return sum(item.saved_cents for item in self.taken)


def bill(book: Book, stay: Owing, now_ms: int, lost_cents: int | None = None, shown: Sequence[Shown] = ()) -> Bill:
    """What is due for a stay now. lost_cents: the price of a lost ticket. Raises StayError when there is no answer."""
    tariff = tariff_of(book, stay.entered_ms, stay.pass_name)
    grace_ms = now_ms + tariff.grace_s * MS
    if stay.kind == LOST:
        if lost_cents is None:
            raise StayError(
                "there is no price for a lost ticket: set lost_ticket_cents for the zone or in the tariff",
                "es gibt keinen Preis für eine verlorene Karte: lost_ticket_cents für die Zone oder im Tarif angeben",
            )
        due = max(0, lost_cents - stay.paid_cents)
        lines = [("Verlorene Karte", "Lost ticket", lost_cents), *_paid(stay, lost_cents)]
        until_ms = grace_ms if due else max(stay.until_ms, stay.entered_ms)
        return Bill(lost_cents, due, until_ms, (), tuple(lines), *_named(tariff))
    question = _Question(book, stay, now_ms)
    fee_cents = question.cents()
    owed = _owed(stay, fee_cents)
    if now_ms <= stay.until_ms:  # paid for, and time to leave: no voucher is needed, and the time does not begin anew
        lines = [*_lines(stay, question.fee()), *([("Zeit zur Ausfahrt", "Time to leave", -owed)] if owed else [])]
        return Bill(fee_cents, 0, stay.until_ms, (), tuple(lines), *_named(tariff))
    taken, answer = _help(question, tariff, owed, shown) if owed and shown else ((), question.fee())
    lines = _lines(stay, answer)
    return Bill(fee_cents, _owed(stay, answer.fee_cents), grace_ms, taken, tuple(lines), *_named(tariff))


def display(book: Book, stay: Owing, cents: int, shown: Sequence[Shown] = ()) -> Bill:
    """Pay and display: how long so many cents last, on top of what this plate has paid. due_cents: the least for it."""
    tariff = tariff_of(book, stay.entered_ms)
    cards = [item for item in shown if item.kind != FREE]
    asked = Stay(stay.entered_ms // MS, stay.entered_ms // MS, tuple(Card(item.kind, item.value) for item in cards))
    bought = buy(book, asked, cents + stay.paid_cents)
    due = max(0, bought.used_cents - stay.paid_cents)
    taken: tuple[Taken, ...] = ()
    if bought.fee.uses:
        exit_s = asked.entry_s + bought.paid_s
        without = fee(book, Stay(asked.entry_s, exit_s)).fee_cents
        chosen = [(cards[use.number], use.used) for use in bought.fee.uses]
        taken = _shared(chosen, max(0, without - bought.used_cents))
    lines = [(line.words[0], line.words[1], line.cents) for line in bought.fee.lines]
    until_ms = max(stay.until_ms, bought.until_s * MS)
    return Bill(due + sum(item.saved_cents for item in taken), due, until_ms, taken, tuple(lines), *_named(tariff))


def cost_until(book: Book, stay: Owing, until_ms: int, shown: Sequence[Shown] = ()) -> int:
    """Pay and display: what the time until then costs, less what this plate has paid. Raises StayError."""
    entry_s = stay.entered_ms // MS
    cards = tuple(Card(item.kind, item.value) for item in shown if item.kind != FREE)
    cost = fee(book, Stay(entry_s, max(entry_s, until_ms // MS), cards)).fee_cents
    return max(0, cost - stay.paid_cents)


def tariff_of(book: Book, entered_ms: int, pass_name: str = "") -> Tariff:
    """The version that a stay belongs to, as it is for holders of this pass."""
    at_s = entered_ms // MS
    return book.plan(at_s, at_s, pass_name)[0][2].tariff


def _named(tariff: Tariff) -> tuple[str, str]:
    return f"{tariff.name} {tariff.valid_from.isoformat()}", tariff.digest


class _Question:
    """The stay so far, asked about with one set of vouchers after the other: what they share is priced once."""

    def __init__(self, book: Book, stay: Owing, now_ms: int) -> None:
        self.stay = stay
        self._book = book
        self._entry_s = stay.entered_ms // MS
        # Full seconds of the time that has passed: exactly n minutes are n minutes.
        self._exit_s = self._entry_s + max(0, now_ms - stay.entered_ms) // MS
        self._memo = Memo()

    def fee(self, shown: Sequence[Shown] = ()) -> Fee:
        """With these vouchers after those of earlier payments."""
        asked = self._asked(shown)
        parts = self._parts(asked)
        if len(parts) == 1:
            return fee(self._book, asked, self._memo, LINES_MAX)
        first, then = (fee(self._book, part, self._memo, LINES_MAX) for part in parts)
        cents = first.fee_cents + then.fee_cents
        return replace(then, fee_cents=cents, due_cents=cents, lines=(*first.lines, *then.lines))

    def cents(self, shown: Sequence[Shown] = ()) -> int:
        """The fee with them, without its account."""
        return sum(cost(self._book, part, self._memo) for part in self._parts(self._asked(shown)))

    def uses(self, shown: Sequence[Shown]) -> tuple[int, list[CardUse]]:
        """The fee with them, and which of them it takes."""
        *first, last = self._parts(self._asked(shown))
        cents, found = uses(self._book, last, self._memo)
        return cents + sum(cost(self._book, part, self._memo) for part in first), found

    def due(self, shown: Sequence[Shown]) -> int:
        """What is still to be paid with them, in cents."""
        return _owed(self.stay, self.cents(shown))

    def _asked(self, shown: Sequence[Shown]) -> Stay:
        stay = self.stay
        old = (Card(MINUTES, min(stay.card_minutes, CARD_MINUTES_MAX)),) if stay.card_minutes else ()
        cards = [Card(item.kind, item.value) for item in shown if item.kind != FREE]
        spans = [item.span_ms for item in shown if item.kind == FREE]
        free = tuple((first // MS, last // MS) for first, last in (*spans_of(stay.spans), *spans))
        return Stay(self._entry_s, self._exit_s, (*old, *cards), stay.pass_name, free_spans=free)

    def _parts(self, asked: Stay) -> list[Stay]:
        """A pass that ended meanwhile: from then on the car parks like any other, and cards take off what it costs."""
        until_ms = self.stay.pass_until_ms if self.stay.pass_name else None
        if until_ms is None or self._exit_s <= until_ms // MS:
            return [asked]
        ends_s = max(self._entry_s, until_ms // MS)
        return [replace(asked, exit_s=ends_s, cards=()), replace(asked, entry_s=ends_s, pass_name="")]


def _owed(stay: Owing, fee_cents: int) -> int:
    return max(0, fee_cents - stay.credit_cents - stay.paid_cents)


def _help(question: _Question, tariff: Tariff, owed: int, shown: Sequence[Shown]) -> tuple[tuple[Taken, ...], Fee]:
    """The vouchers that lower what is due, as few as do it, each with what it takes off; and the fee with them."""
    stay = question.stay
    limit = tariff.voucher.per_stay_max if tariff.voucher.stackable else 1
    free = [item for item in shown if item.kind == FREE]
    cards = [item for item in shown if item.kind != FREE][: max(0, limit - stay.cards)]
    chosen: list[Shown] = []

    least = owed
    for item in free:
        found = question.due([*chosen, item])
        if found < least:
            chosen, least = [*chosen, item], found
    # The engine finds the cards that make the fee lowest; what was paid before may make some of them needless.
    old = 1 if stay.card_minutes else 0
    cents, best = question.uses([*chosen, *cards])
    if _owed(stay, cents) < least:
        helping = {use.number - old for use in best if use.number >= old}
        order = sorted(helping, key=lambda number: (KINDS.index(cards[number].kind), number))
        chosen, least = [*chosen, *[cards[number] for number in order]], _owed(stay, cents)
    for item in reversed(list(chosen)):
        without = [other for other in chosen if other is not item]
        found = question.due(without)
        if found <= least:
            chosen, least = without, found
    final = question.fee(chosen)
    taken, before = [], owed
    for number, item in enumerate(chosen):
        last = number == len(chosen) - 1
        after = least if last else min(before, max(least, question.due(chosen[: number + 1])))
        taken.append(Taken(item.place, item.kind, _used(item, final, chosen, old), before - after, item.span_ms))
        before = after
    return tuple(taken), final


def _used(item: Shown, answer: Fee, chosen: Sequence[Shown], old: int) -> int:
    """What is used of a card's worth, as the engine says it."""
    cards = [other for other in chosen if other.kind != FREE]
    for use in answer.uses:
        if use.number >= old and cards[use.number - old] is item:
            return use.used
    return item.value


def _shared(chosen: Sequence[tuple[Shown, int]], saved: int) -> tuple[Taken, ...]:
    """What several cards save together, by what is used of each; the last has the rest."""
    worth = sum(used for _, used in chosen) or 1
    taken, left = [], saved
    for number, (item, used) in enumerate(chosen):
        part = left if number == len(chosen) - 1 else min(left, saved * used // worth)
        taken.append(Taken(item.place, item.kind, used, part))
        left -= part
    return tuple(taken)


def _lines(stay: Owing, answer: Fee) -> list[tuple[str, str, int]]:
    lines = [(line.words[0], line.words[1], line.cents) for line in answer.lines]
    credit = min(stay.credit_cents, answer.fee_cents)
    if credit:
        lines.append(("Gutscheine", "Vouchers", -credit))
    return [*lines, *_paid(stay, answer.fee_cents - credit)]


def _paid(stay: Owing, fee_cents: int) -> list[tuple[str, str, int]]:
    return [("Schon bezahlt", "Paid before", -min(stay.paid_cents, fee_cents))] if stay.paid_cents else []


def spans_of(text: str) -> tuple[Span, ...]:
    """The spans in a stay's text, in milliseconds."""
    found = []
    for part in text.split():
        first, _, last = part.partition("-")
        found.append((int(first), int(last)))
    return tuple(found)
