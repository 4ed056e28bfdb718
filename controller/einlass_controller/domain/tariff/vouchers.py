"""Which of the cards held to the machine are used: those that help, as few as possible; the rest is handed back."""

from collections.abc import Callable

from einlass_controller.domain.tariff.result import Card, CardUse

Numbered = tuple[int, Card]


def best_minutes(cards: list[Numbered], limit: int, price: Callable[[int], int]) -> list[Numbered]:
    """The minute cards with the lowest fee, then worth the least, then the fewest. price: the fee with minutes off."""
    if not cards or limit < 1:
        return []
    known: dict[int, int] = {}

    def priced(chosen: tuple[Numbered, ...]) -> tuple[int, int, int]:
        minutes = sum(card.value for _, card in chosen)
        if minutes not in known:
            known[minutes] = price(minutes)
        return known[minutes], minutes, len(chosen)

    rising = sorted(cards, key=lambda item: item[1].value)
    falling = rising[::-1]
    choices: list[tuple[Numbered, ...]] = [()]
    for ordered in (rising, falling):
        choices += [tuple(ordered[:count]) for count in range(1, min(limit, len(ordered)) + 1)]
    choices += [(card,) for card in rising]
    best = min(choices, key=priced)
    # A bigger card may have become needless beside the others.
    for card in falling:
        fewer = tuple(item for item in best if item is not card)
        if len(fewer) < len(best) and priced(fewer)[0] <= priced(best)[0]:
            best = fewer
    return sorted(best)


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
