"""Time to fee: one question, one answer with every line of its account."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import accumulate

from einlass_tariff import model as m
from einlass_tariff.book import Book
from einlass_tariff.days import next_period
from einlass_tariff.engine import Climb, Gift, Span, whole
from einlass_tariff.ladder import Amount
from einlass_tariff.lines import explain
from einlass_tariff.problems import StayError
from einlass_tariff.result import (
    CARDS_MAX,
    CENTS_CARD,
    MINUTES_CARD,
    PERCENT_CARD,
    Card,
    CardUse,
    Fee,
    Line,
    Stay,
    Version,
)
from einlass_tariff.vouchers import best_minutes, least_cents, useful_percents
from einlass_tariff.walk import WALK_DAYS_MIN, Walk, Ways

STAY_DAYS_MAX = 1100
CARD_VALUE_MAX = {MINUTES_CARD: 60 * 24 * 31, CENTS_CARD: 1_000_000, PERCENT_CARD: 100}
KINDS_DE = {MINUTES_CARD: "Minuten", CENTS_CARD: "Cent", PERCENT_CARD: "Prozent"}
_DAY_S = 86_400
_HOLIDAYS_MAX = 60
# Instants for which every time zone has a calendar day: the years 1970 to 2199.
AT_S_MAX = 7_258_000_000


class Memo:
    """What was worked out about stays of one book, for who asks again about the same stay with other cards.

    Most of a long stay is then priced once: its fee at any earlier end is known, and that of any worth of cards.
    """

    def __init__(self) -> None:
        self.plain: dict[object, Climb | Walk] = {}
        self.amounts: dict[object, Amount] = {}
        self.ways: dict[object, Ways] = {}


def fee(book: Book, stay: Stay, memo: Memo | None = None, lines_max: int | None = None) -> Fee:
    """What a stay costs. lines_max: further time of a long stay is one line. StayError: the question has no answer."""
    _check(stay)
    question = _Question(book, stay, memo or Memo())
    if stay.is_lost:
        return question.lost()
    return question.answer(lines_max)


def cost(book: Book, stay: Stay, memo: Memo | None = None) -> int:
    """The fee in cents without its account and without payments: the fast way, for looking for the longest stay."""
    _check(stay)
    question = _Question(book, stay, memo or Memo())
    if not stay.cards:
        return question.total(0)
    used = question.minutes()
    return question.after_cards(question.total(question.worth(used)), len(used))[0]


def uses(book: Book, stay: Stay, memo: Memo | None = None) -> tuple[int, list[CardUse]]:
    """The fee in cents without its account and without payments, and which cards are used for it."""
    _check(stay)
    question = _Question(book, stay, memo or Memo())
    minutes = question.minutes()
    worth_s = question.worth(minutes)
    cents, in_money = question.after_cards(question.total(worth_s), len(minutes))
    return cents, [*question.minute_uses(minutes, worth_s), *in_money]


def _check(stay: Stay) -> None:
    if not 0 <= stay.entry_s <= AT_S_MAX:
        raise StayError(
            "the entry is not in the years 1970 to 2199", "Die Einfahrt liegt nicht in den Jahren 1970 bis 2199"
        )
    if stay.exit_s < stay.entry_s:
        raise StayError("the exit is before the entry", "Die Ausfahrt liegt vor der Einfahrt")
    if stay.exit_s - stay.entry_s > STAY_DAYS_MAX * _DAY_S:
        raise StayError(
            f"the stay is longer than {STAY_DAYS_MAX} days; is the entry right?",
            f"Der Parkvorgang ist länger als {STAY_DAYS_MAX} Tage; stimmt die Einfahrt?",
        )
    if len(stay.cards) > CARDS_MAX:
        raise StayError(
            f"{len(stay.cards)} vouchers; {CARDS_MAX} at most are looked at in one payment",
            f"{len(stay.cards)} Gutscheine; in einer Zahlung werden höchstens {CARDS_MAX} angesehen",
        )
    for card in stay.cards:
        if not 0 < card.value <= CARD_VALUE_MAX[card.kind]:
            most = CARD_VALUE_MAX[card.kind]
            raise StayError(
                f"a voucher worth {card.value} {card.kind} is not possible; 1 to {most}",
                f"Ein Gutschein über {card.value} {KINDS_DE[card.kind]} geht nicht; 1 bis {most}",
            )
    if any(payment.cents < 0 for payment in stay.payments):
        raise StayError(
            "a payment below 0; give what was paid as a positive number of cents",
            "Eine Zahlung unter 0; bitte angeben, was bezahlt wurde, als positive Zahl von Cent",
        )


class _Question:
    def __init__(self, book: Book, stay: Stay, memo: Memo) -> None:
        self.book = book
        self.memo = memo
        self._asked = (stay.entry_s, stay.exit_s, stay.pass_name, stay.ticket, stay.free_spans)
        self.stay = stay
        self.plan = book.plan(stay.entry_s, stay.exit_s, stay.pass_name)
        self.tariff = self.plan[0][2].tariff
        self.rules = self.tariff.voucher
        self.offer = self._offer()
        self.gifts = self._gifts()

    # --- the parts of a fee ---

    def plain(self) -> Climb | Walk:
        """The whole stay without cards."""
        found = self.memo.plain.get(self._asked)
        if found is None:
            found = self.memo.plain[self._asked] = self.way(self.plan, 0)
        return found

    def way(self, plan: list[Span], worth_s: int) -> Climb | Walk:
        """Through this part of the stay, without the account's lines if it is a long one."""
        stay = self.stay
        if plan[-1][1] - stay.entry_s < WALK_DAYS_MIN * _DAY_S:
            return self.climb(plan, worth_s)
        key = (stay.entry_s, stay.pass_name)
        ways = self.memo.ways.get(key)
        if ways is None:
            ways = self.memo.ways[key] = Ways(stay.entry_s)
        return Walk(ways, plan, stay.exit_s - stay.entry_s, worth_s, self.gifts)

    def climb(self, plan: list[Span], worth_s: int, lines_max: int | None = None) -> Climb:
        """Through this part of the stay, with an account."""
        stay = self.stay
        climb = Climb(plan, stay.entry_s, plan[-1][1], worth_s, self.gifts, lines_max)
        return climb.run(stay.exit_s - stay.entry_s)

    def until(self, end_s: int) -> list[Span]:
        """The stay's spans as far as this instant."""
        spans = [(begin, min(end, end_s), table) for begin, end, table in self.plan if begin < end_s]
        return spans or [(self.stay.entry_s, self.stay.entry_s, self.plan[0][2])]

    def with_worth(self, worth_s: int, lines_max: int | None) -> Climb:
        """The stay with so many seconds taken off, at the end of it that the tariff says."""
        if not worth_s:
            plain = self.plain()
            return plain if isinstance(plain, Climb) else self.climb(self.plan, 0, lines_max)
        if self.rules.off == m.START:
            return self.climb(self.plan, worth_s, lines_max)
        return self.climb(self.until(self._end(self.plain(), worth_s)), 0, lines_max)

    def _end(self, plain: Climb | Walk, worth_s: int) -> int:
        """Where the stay ends with so much time off its end."""
        return _without_last(plain.costing, worth_s, self.stay.entry_s)

    def total(self, worth_s: int) -> int:
        """Cents with so much time off, rounded, before vouchers in money."""
        return self._rounded(self._at_least(self._less(self.amount(worth_s)))) + self._ticket_cents()

    def amount(self, worth_s: int) -> Amount:
        """What the climb comes to with so much time off, exactly."""
        key = (self._asked, worth_s)
        found = self.memo.amounts.get(key)
        if found is None:
            found = self.memo.amounts[key] = self._amount(worth_s)
        return found

    def _amount(self, worth_s: int) -> Amount:
        if worth_s and self.rules.off == m.START:
            return self.way(self.plan, worth_s).total
        plain = self.plain()
        if not worth_s:
            return plain.total
        end_s = self._end(plain, worth_s)
        return plain.total_at(end_s) if isinstance(plain, Climb) else self.way(self.until(end_s), 0).total

    def _less(self, amount: Amount) -> Amount:
        return Fraction(amount * (100 - self.tariff.percent_off), 100) if self.tariff.percent_off else amount

    def _at_least(self, amount: Amount) -> Amount:
        return max(amount, self.tariff.min_cents) if amount > 0 else amount

    def _rounded(self, amount: Amount) -> int:
        return whole(amount, self.tariff.smallest_coin_cents, self.tariff.rounding)

    def _ticket_cents(self) -> int:
        return self.offer.cents if self.offer else 0

    # --- cards ---

    def _limit(self) -> int:
        return self.rules.per_stay_max if self.rules.stackable else 1

    def _of_kind(self, kind: str) -> list[tuple[int, Card]]:
        return [(number, card) for number, card in enumerate(self.stay.cards) if card.kind == kind]

    def minutes(self) -> list[tuple[int, Card]]:
        """The minute cards that help, and no more of them."""
        cards = self._of_kind(MINUTES_CARD)
        return best_minutes(cards, self._limit(), lambda minutes: self.total(minutes * 60), self.rules.off == m.END)

    @staticmethod
    def worth(cards: Iterable[tuple[int, Card]]) -> int:
        """Their worth in seconds."""
        return sum(card.value for _, card in cards) * 60

    def after_cards(self, cents: int, taken: int) -> tuple[int, list[CardUse]]:
        """The fee after vouchers in money and in percent, and which were used."""
        uses = least_cents(self._of_kind(CENTS_CARD), self._limit() - taken, cents)
        cents -= sum(use.used for use in uses)
        percents = useful_percents(self._of_kind(PERCENT_CARD), self._limit() - taken - len(uses), cents)
        for use in percents:
            cents -= cents * use.card.value // 100
        if uses or percents:
            # A machine can't take less than its smallest coin; the driver is not to lose by that.
            cents = whole(cents, self.tariff.smallest_coin_cents, m.DOWN)
        return cents, [*uses, *percents]

    # --- the answer ---

    def answer(self, lines_max: int | None) -> Fee:
        minutes = self.minutes()
        worth_s = self.worth(minutes)
        climb = self.with_worth(worth_s, lines_max)
        lines = self._climb_lines(climb, self.amount(worth_s))
        uses = self.minute_uses(minutes, worth_s)
        before = sum(line.cents for line in lines)
        assert before == self.total(worth_s)
        cents, money_uses = self.after_cards(before, len(minutes))
        lines += _card_lines(money_uses, before, cents)
        uses += money_uses
        lines += self._time_off_lines(climb, worth_s)
        paid, due, paid_lines = self._settle(cents)
        lines += paid_lines
        return self._result(cents, paid, due, lines, uses)

    def lost(self) -> Fee:
        """A lost ticket has its own price, whatever the stay."""
        cents = self.tariff.lost_ticket_cents
        if cents is None:
            raise StayError(
                "the tariff has no price for a lost ticket; set lost_ticket_cents",
                "Der Tarif nennt keinen Preis für ein verlorenes Ticket; er steht in lost_ticket_cents",
            )
        line = Line("lost_ticket", cents, self.stay.entry_s, self.stay.exit_s, cents=cents)
        paid = sum(payment.cents for payment in self.stay.payments)
        lines = [line, *_paid_lines(cents, paid)]
        return self._result(cents, paid, max(0, cents - paid), lines, [])

    def _climb_lines(self, climb: Climb, total: Amount) -> list[Line]:
        """The account of a climb. total: of the whole stay, of which this may be the first part."""
        lines = climb.all_lines
        if climb.reached_s < climb.exit_s:
            lines.append(Line("further", total - climb.total, climb.reached_s, climb.exit_s))
        if self.offer is not None:
            end = self.gifts_end
            lines.insert(0, Line("ticket_price", 0, self.stay.entry_s, end, name=self.offer.name))
        less = self._less(total)
        if less != total:
            lines.append(Line("percent_off", less - total, count=self.tariff.percent_off, name=self.tariff.pass_name))
        least = self._at_least(less)
        if least != less:
            lines.append(Line("minimum", least - less, unit_cents=self.tariff.min_cents))
        # Every line becomes whole in such a way that the sum down to it is right.
        sums = [0, *(whole(so_far, 1, self.tariff.rounding) for so_far in accumulate(line.amount for line in lines))]
        for line, before, after in zip(lines, sums, sums[1:], strict=False):
            line.cents = after - before
        rounded = self._rounded(least)
        if rounded != sums[-1]:
            lines.append(
                Line(
                    "rounding",
                    cents=rounded - sums[-1],
                    unit_cents=self.tariff.smallest_coin_cents,
                    name=self.tariff.rounding,
                )
            )
        if self.offer is not None:
            lines[0].cents = self.offer.cents
        return lines

    def minute_uses(self, minutes: list[tuple[int, Card]], worth_s: int) -> list[CardUse]:
        """What is used of each of these cards, which are worth so much together."""
        if not minutes:
            return []
        if self.rules.off == m.START:
            used_s = worth_s - self.way(self.plan, worth_s).worth_left_s
        else:
            used_s = min(worth_s, sum(end - begin for begin, end in self.plain().costing))
        uses = []
        for number, card in minutes:
            part = min(card.value * 60, used_s)
            used_s -= part
            uses.append(CardUse(number, card, -(-part // 60)))
        return uses

    def _time_off_lines(self, climb: Climb, worth_s: int) -> list[Line]:
        if not worth_s or self.rules.off == m.START:
            return []
        return [Line("card_time", 0, climb.exit_s, self.stay.exit_s)]

    def _settle(self, cents: int) -> tuple[int, int, list[Line]]:
        """(paid, due, lines): what was paid comes off, and after payment there is time to leave."""
        payments = self.stay.payments
        paid = sum(payment.cents for payment in payments)
        lines = _paid_lines(cents, paid)
        due = max(0, cents - paid)
        if payments and due and self._is_let_out(paid):
            lines.append(Line("grace", cents=-due, count=self.tariff.grace_s // 60))
            due = 0
        return paid, due, lines

    def _is_let_out(self, paid: int) -> bool:
        exit_s, grace = self.stay.exit_s, self.tariff.grace_s
        last = max(self.stay.payments, key=lambda payment: -1 if payment.at_s is None else payment.at_s)
        if last.until_s is not None and exit_s <= last.until_s + grace:
            return True
        at_s = exit_s - grace if last.at_s is None else last.at_s
        if not grace or at_s < self.stay.entry_s or at_s + grace < exit_s:
            return False
        return cost(self.book, _until(self.stay, at_s)) <= paid

    def _result(self, cents: int, paid: int, due: int, lines: list[Line], uses: list[CardUse]) -> Fee:
        for line in lines:
            line.words = explain(line, self.book.days)
        plain = self.plain()
        limit = self.tariff.max_stay
        length = plain.priced_s if limit.counts == m.WHILE_CHARGED else self.stay.exit_s - self.stay.entry_s
        return Fee(
            cents, paid, due, tuple(lines), tuple(uses), self._versions(), self.stay,
            max(0, length - limit.seconds) if limit.seconds else 0, self._holidays(), tuple(self._hints(uses)),
        )  # fmt: skip

    def _versions(self) -> tuple[Version, ...]:
        tariffs = [table.tariff for _, _, table in self.plan]
        return tuple(
            Version(tariff.name, tariff.valid_from.isoformat(), tariff.digest, tariff.pass_name) for tariff in tariffs
        )

    def _holidays(self) -> tuple[tuple[str, str], ...]:
        found: list[tuple[str, str]] = []
        for begin, end, table in self.plan:
            day, last = table.days.day(begin), table.days.day(end)
            while day <= last and len(found) < _HOLIDAYS_MAX:
                names = table.days.holiday(day)
                if names is not None:
                    found.append((day.isoformat(), names[0]))
                day = day.fromordinal(day.toordinal() + 1)
        return tuple(dict.fromkeys(found))

    def _hints(self, uses: list[CardUse]) -> Iterable[tuple[str, str]]:
        if self.book.is_early(self.stay.entry_s):
            first = self.book.versions[0].valid_from.date()
            yield f"Dieser Tarif gilt erst ab {first:%d.%m.%Y}.", f"This tariff is in force from {first} only."
        if len(self.stay.cards) > self._limit():
            limit = self._limit()
            yield (
                f"Höchstens {limit} Gutschein(e) je Parkvorgang.",
                f"No more than {limit} voucher(s) a stay.",
            )
        back = len(self.stay.cards) - len(uses)
        if back:
            yield f"{back} Gutschein(e) werden zurückgegeben.", f"{back} voucher(s) are handed back."
        if any(use.is_partial for use in uses):
            yield (
                "Ein Gutschein würde nur zum Teil genutzt: vorher fragen.",
                "A voucher would be used in part only: ask first.",
            )

    # --- what covers time ---

    def _offer(self) -> m.TicketOffer | None:
        if not self.stay.ticket:
            return None
        found = self.tariff.tickets.get(self.stay.ticket)
        if found is None:
            known = ", ".join(sorted(self.tariff.tickets))
            raise StayError(
                f"the tariff sells no ticket {self.stay.ticket!r}; it sells: {known or 'none'}",
                f"Ein Ticket {self.stay.ticket!r} verkauft der Tarif nicht; er verkauft: {known or 'keines'}",
            )
        return found

    def _gifts(self) -> list[Gift]:
        gifts = [(begin, end, "public_code", "") for begin, end in self.stay.free_spans]
        if self.offer is not None:
            self.gifts_end = self._ticket_end(self.offer)
            gifts.append((self.stay.entry_s, self.gifts_end, "ticket_time", self.offer.name))
        return gifts

    def _ticket_end(self, offer: m.TicketOffer) -> int:
        if offer.seconds:
            return self.stay.entry_s + offer.seconds
        days = self.plan[0][2].days
        last = days.day(self.stay.entry_s)
        if offer.to_end_of:
            return days.instant(next_period(last, offer.to_end_of))
        last = last.fromordinal(last.toordinal() + offer.days - 1)
        end = days.instant(last, offer.until_minute)
        if end <= self.stay.entry_s:
            raise StayError(
                f"the ticket {offer.name!r} has ended for that day already",
                f"Das Ticket {offer.name!r} ist für diesen Tag schon vorbei",
            )
        return end


def _until(stay: Stay, exit_s: int) -> Stay:
    return Stay(
        stay.entry_s, exit_s, stay.cards, stay.pass_name, stay.ticket, stay.is_lost, stay.free_spans, stay.payments
    )


def _without_last(spans: list[tuple[int, int]], seconds: int, entry_s: int) -> int:
    """The instant after which so many seconds of these spans lie; the entry if there are no more."""
    for begin, end in reversed(spans):
        if seconds < end - begin:
            return end - seconds
        seconds -= end - begin
    return spans[0][0] if spans else entry_s


def _paid_lines(cents: int, paid: int) -> list[Line]:
    return [Line("paid", cents=-min(paid, cents))] if paid else []


def _card_lines(uses: list[CardUse], before: int, after: int) -> list[Line]:
    lines = []
    left = before
    for use in uses:
        off = use.used if use.card.kind == CENTS_CARD else left * use.card.value // 100
        lines.append(Line("card_" + use.card.kind, cents=-off, count=use.card.value))
        left -= off
    if left != after:
        lines.append(Line("rounding", cents=after - left, name=m.DOWN))
    return lines
