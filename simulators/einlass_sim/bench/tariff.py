"""How many parking fees a second: random stays of a month, fixed seed, each tariff in one run beside a bare loop."""

import random
import time
from collections.abc import Callable

from einlass_controller.tariffs import days_of
from einlass_tariff.book import Book
from einlass_tariff.buy import buy
from einlass_tariff.fee import cost, fee
from einlass_tariff.read import read_tariff
from einlass_tariff.result import MINUTES_CARD, Card, Stay

SEED = 5
STAYS = 2000
MONTH_S = 30 * 86_400
FROM_S = 1_777_593_600  # 1 May 2026
ROUNDS = 3

SIMPLE = """tariff = "simple"
valid_from = 2026-01-01
[free]
minutes = 60
[rate.hour]
steps = [{ minutes = 60, cents = 50 }]
"""
CROWDED = """tariff = "crowded"
valid_from = 2026-01-01
[free]
minutes = 30
[holidays]
state = "BY"
[rate.day]
steps = [{ minutes = 60, cents = 150 }, { minutes = 60, cents = 200 }, { minutes = 20, cents = 50 }]
begins_again = "24h"
[[window]]
name = "day"
from = "07:00"
to = "19:00"
days = ["mon-sat"]
rate = "day"
[[window]]
name = "night"
days = ["mon-sat"]
from = "19:00"
to = "07:00"
rate = "day"
max_cents = 300
[[window]]
name = "sunday"
days = ["sun", "holiday"]
from = "07:00"
to = "07:00"
flat_cents = 300
[[cap]]
per = "24h"
cents = 1200
[[cap]]
per = "calendar_day"
cents = 1000
"""


def measure(seconds: float) -> dict[str, float]:
    """Calls a second, the best of three rounds each."""
    maker = random.Random(SEED)
    stays = []
    for _ in range(STAYS):
        entry_s = FROM_S + maker.randrange(MONTH_S)
        # Most stay for an hour or two, some over night, a few for days.
        length = int(min(5 * 86_400, maker.lognormvariate(8.3, 1.1)))
        stays.append(Stay(entry_s, entry_s + length))
    cards = [Stay(one.entry_s, one.exit_s, (Card(MINUTES_CARD, 60),) * 3) for one in stays]
    found: dict[str, float] = {"seed": SEED, "stays": STAYS}
    each = seconds / ROUNDS
    found["bare_loop_per_s"] = _rate(lambda stay: None, stays, each)
    for name, text in (("simple", SIMPLE), ("crowded", CROWDED)):
        book = Book([read_tariff(text)], days_of)
        found[f"{name}_fees_per_s"] = _rate(lambda stay, book=book: cost(book, stay), stays, each)  # type: ignore[misc]
        found[f"{name}_fees_3_cards_per_s"] = _rate(lambda stay, book=book: cost(book, stay), cards, each)  # type: ignore[misc]
        found[f"{name}_accounts_per_s"] = _rate(lambda stay, book=book: fee(book, stay), stays, each)  # type: ignore[misc]
        found[f"{name}_buys_per_s"] = _rate(lambda stay, book=book: buy(book, stay, 400), stays, each)  # type: ignore[misc]
    return found


def _rate(call: Callable[[Stay], object], stays: list[Stay], seconds: float) -> float:
    best = 0.0
    for _ in range(ROUNDS):
        count = 0
        began = time.perf_counter()
        while (took := time.perf_counter() - began) < seconds or not count:
            for stay in stays[: 100 if took < seconds / 2 else 20]:
                call(stay)
                count += 1
        best = max(best, count / (time.perf_counter() - began))
    return round(best, 1)
