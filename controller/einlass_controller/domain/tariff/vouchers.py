"""Which of the cards held to the machine are used: those that help, as few as possible; the rest is handed back."""

from collections.abc import Callable

from einlass_controller.domain.tariff.result import Card, CardUse

Numbered = tuple[int, Card]
# So many different sums of cards are tried; cards of one worth make no more sums than there are cards.
SUMS_MAX = 300


def best_minutes(cards: list[Numbered], limit: int, price: Callable[[int], int]) -> list[Numbered]:
    """The minute cards with the lowest fee, then worth the least, then the fewest. price: the fee with minutes off."""
    if not cards or limit < 1:
        return []
    choices = _by_worth(cards, limit)
    return sorted(choices[min(choices, key=lambda minutes: (price(minutes), minutes))])


def _by_worth(cards: list[Numbered], limit: int) -> dict[int, tuple[Numbered, ...]]:
    """For every worth in minutes that cards make together, the fewest cards that make it."""
    choices: dict[int, tuple[Numbered, ...]] = {0: ()}
    # The biggest first: should there be too many sums, those that matter most are there.
    for item in sorted(cards, key=lambda item: -item[1].value):
        for minutes, chosen in list(choices.items()):
            if len(chosen) >= limit:
                continue
            total = minutes + item[1].value
            held = choices.get(total)
            if (held is None and len(choices) < SUMS_MAX) or (held is not None and len(held) > len(chosen) + 1):
                choices[total] = (*chosen, item)
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
