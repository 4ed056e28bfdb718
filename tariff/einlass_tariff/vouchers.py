"""Which of the cards held to the machine are used: those that help, as few as possible; the rest is handed back."""

from bisect import bisect_left
from collections.abc import Callable

from einlass_tariff.result import Card, CardUse

Numbered = tuple[int, Card]
# So many different sums of cards are looked at; cards of one worth make no more sums than there are cards.
SUMS_MAX = 300
# So many where each has to be priced, because more time off may cost more (progressive steps, cards off the start).
SUMS_PRICED_MAX = 64


def best_minutes(cards: list[Numbered], limit: int, price: Callable[[int], int], never_dearer: bool) -> list[Numbered]:
    """The minute cards with the lowest fee, then worth the least, then the fewest.

    price: the fee with so many minutes off; never_dearer: more minutes off never cost more, so halving finds the best.
    """
    if not cards or limit < 1:
        return []
    choices = _by_worth(cards, limit, SUMS_MAX if never_dearer else SUMS_PRICED_MAX)
    sums = sorted(choices)
    if never_dearer:
        lowest = price(sums[-1])
        best = sums[bisect_left(sums, True, key=lambda minutes: price(minutes) <= lowest)]
    else:
        best = min(sums, key=lambda minutes: (price(minutes), minutes))
    return sorted(choices[best])


def _by_worth(cards: list[Numbered], limit: int, sums_max: int) -> dict[int, tuple[Numbered, ...]]:
    """For every worth in minutes that cards make together, the fewest cards that make it."""
    choices: dict[int, tuple[Numbered, ...]] = {0: ()}
    # The biggest first, and all of them together in any case: should there be too many sums, the lowest fee is there.
    most: tuple[Numbered, ...] = ()
    for item in sorted(cards, key=lambda item: -item[1].value):
        for minutes, chosen in list(choices.items()):
            if len(chosen) >= limit:
                continue
            total = minutes + item[1].value
            held = choices.get(total)
            if (held is None and len(choices) < sums_max) or (held is not None and len(held) > len(chosen) + 1):
                choices[total] = (*chosen, item)
        if len(most) < limit:
            most = (*most, item)
            choices.setdefault(sum(card.value for _, card in most), most)
    return choices


def least_cents(cards: list[Numbered], limit: int, cents: int) -> list[CardUse]:
    """Cards in money, until nothing is due: the biggest first, a smaller one where it does as well."""
    uses: list[CardUse] = []
    left = cents
    free = sorted(cards, key=lambda item: item[1].value)
    while free and left > 0 and len(uses) < limit:
        enough = [item for item in free if item[1].value >= left]
        chosen = enough[0] if enough else free[-1]
        free.remove(chosen)
        used = min(left, chosen[1].value)
        uses.append(CardUse(chosen[0], chosen[1], used))
        left -= used
    return uses


def useful_percents(cards: list[Numbered], limit: int, cents: int) -> list[CardUse]:
    """Cards in percent, each of what the one before left, as long as they take off a cent."""
    uses: list[CardUse] = []
    left = cents
    for number, card in sorted(cards, key=lambda item: -item[1].value):
        off = left * card.value // 100
        if off > 0 and len(uses) < limit:
            uses.append(CardUse(number, card, card.value))
            left -= off
    return uses
