"""Money to time: the longest stay that an amount pays, found with the same function that turns time into money."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from einlass_tariff import model as m
from einlass_tariff.book import Book
from einlass_tariff.fee import AT_S_MAX, Memo, cost, fee
from einlass_tariff.problems import StayError
from einlass_tariff.result import Fee, Stay

# Money that pays for longer than this (free parking, a maximum for the whole stay) buys this long.
BUY_DAYS_MAX = 31
CENTS_MAX = 10_000_000
_DAY_S = 86_400
_FIRST_S = 1800


@dataclass(frozen=True, slots=True)
class Bought:
    """What an amount buys. paid_s: exactly; sold_s: in full minutes, what the ticket says; both from the entry.

    used_cents: the least that buys the same; rest_cents: given back, or not taken. ticket: the offer that was best.
    stopped_by: "", "max_stay" or "open_end" (there would be more). fee: the account of what was bought.
    """

    paid_s: int
    sold_s: int
    until_s: int
    used_cents: int
    rest_cents: int
    ticket: str
    stopped_by: str
    fee: Fee


def buy(book: Book, stay: Stay, cents: int) -> Bought:
    """The longest stay from stay.entry_s that costs no more than so many cents; the stay's exit is not looked at."""
    if not 0 <= cents <= CENTS_MAX:
        raise StayError(
            f"{cents} cents can't be paid; 0 to {CENTS_MAX}",
            f"{cents} Cent lassen sich nicht bezahlen; 0 bis {CENTS_MAX}",
        )
    asked = replace(stay, exit_s=stay.entry_s, payments=(), is_lost=False)
    memo = Memo()
    cost(book, asked, memo)  # a question without an answer is refused here
    tariff = book.plan(stay.entry_s, stay.entry_s, stay.pass_name)[0][2].tariff
    money = cents if tariff.machine_max_cents is None else min(cents, tariff.machine_max_cents)
    best = _longest(book, asked, money, tariff, memo)
    names = [stay.ticket] if stay.ticket else ["", *sorted(tariff.tickets)]
    ticket = stay.ticket
    for name in names[1:]:
        try:
            found = _longest(book, replace(asked, ticket=name), money, tariff, memo)
        except StayError:  # this ticket is over for today
            continue
        if found[0] > best[0]:
            best, ticket = found, name
    paid_s, stopped_by = best
    answer = fee(book, replace(asked, exit_s=stay.entry_s + paid_s, ticket=ticket))
    sold_s = _full_minutes(paid_s, answer)
    used = max(0, answer.fee_cents)
    if used > money:  # a ticket that was asked for costs more than there is
        raise StayError(
            f"{cents} cents do not pay for the ticket {ticket!r}, which costs {used}",
            f"{cents} Cent reichen nicht für das Ticket {ticket!r}; es kostet {used}",
        )
    return Bought(paid_s, sold_s, stay.entry_s + sold_s, used, cents - used, ticket, stopped_by, answer)


def _full_minutes(paid_s: int, answer: Fee) -> int:
    """What the ticket says. A minute begun in proportion (37.5 min) is given whole, any other is not."""
    costing = [line for line in answer.lines if line.unit_s and line.to_s == answer.stay.exit_s]
    in_proportion = bool(costing) and costing[-1].kind == m.LINEAR
    return -(-paid_s // 60) * 60 if in_proportion else paid_s // 60 * 60


def _longest(book: Book, stay: Stay, cents: int, tariff: m.Tariff, memo: Memo) -> tuple[int, str]:
    """(seconds, what stopped it) by halving: a longer stay never costs less."""
    most = min(BUY_DAYS_MAX * _DAY_S, AT_S_MAX - stay.entry_s)

    def pays(seconds: int) -> bool:
        return cost(book, replace(stay, exit_s=stay.entry_s + seconds), memo) <= cents

    def allowed(seconds: int) -> bool:
        return not over_max_stay(book, replace(stay, exit_s=stay.entry_s + seconds))

    paid = last_true(pays, most)
    if tariff.max_stay.seconds:
        stay_max = last_true(allowed, paid)
        if stay_max < paid:
            return stay_max, "max_stay"
    return paid, "open_end" if paid == most else ""


def over_max_stay(book: Book, stay: Stay) -> bool:
    """Whether a stay is longer than the tariff allows."""
    plan = book.plan(stay.entry_s, stay.exit_s, stay.pass_name)
    limit = plan[0][2].tariff.max_stay
    if not limit.seconds:
        return False
    if limit.counts == m.FROM_ENTRY:
        return stay.exit_s - stay.entry_s > limit.seconds
    priced = sum(
        last - first
        for begin, end, table in plan
        for first, last, window, _ in table.pieces(begin, end, stay.entry_s)
        if not window.is_free
    )
    return priced > limit.seconds


def last_true(holds: Callable[[int], bool], most: int) -> int:
    """The greatest number from 0 to `most` that a condition holds for which once false stays so; 0 where it never does.

    From below in doubling steps: most amounts buy hours, and a short stay is worked out faster than a long one.
    """
    low, high = 0, min(_FIRST_S, most)
    while holds(high):
        if high == most:
            return most
        low, high = high, min(high * 2, most)
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
