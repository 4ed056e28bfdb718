"""Four weeks of invented stays, for whoever has none yet: the same for the same seed, and always said to be invented.

A small town's car park as its like are used: errands, shopping, appointments, work, evenings, guests over night.
"""

import random
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

STAYS = 3_000
DAYS = 28
SEED_MAX = 1_000_000
HEAD = "entry,exit,vouchers"
# (how many of 100, weekdays, earliest and latest entry in hours, shortest, usual and longest stay in minutes)
_HABITS = (
    (38, range(6), (7.0, 19.0), (3, 20, 60)),
    (27, range(6), (8.5, 17.5), (30, 80, 200)),
    (10, range(5), (8.0, 15.0), (60, 150, 300)),
    (9, range(5), (6.5, 9.0), (420, 510, 600)),
    (8, range(7), (17.5, 20.5), (60, 140, 270)),
    (6, (6,), (10.0, 16.0), (30, 110, 300)),
    (2, range(7), (15.0, 20.0), (720, 840, 1_000)),
)
# Of a hundred stays, so many come with one card of a shop, and so many with two.
_CARDS = ((80, 0), (16, 1), (4, 2))


def invented_csv(seed: int, first: date, count: int = STAYS) -> str:
    """A stays file of so many stays from this day on, in local times and in the order of their entries."""
    rows = sorted(_stays(random.Random(seed), first, count))
    lines = [f"{entry.isoformat()},{leave.isoformat()},{cards}" for entry, leave, cards in rows]
    return "\n".join([HEAD, *lines]) + "\n"


def _stays(draw: random.Random, first: date, count: int) -> Iterator[tuple[datetime, datetime, int]]:
    days = [first + timedelta(days=number) for number in range(DAYS)]
    for _ in range(count):
        _, weekdays, (early, late), (least, usual, most) = draw.choices(_HABITS, [one[0] for one in _HABITS])[0]
        day = draw.choice([day for day in days if day.weekday() in weekdays])
        begin = datetime.combine(day, time()) + timedelta(seconds=round(draw.uniform(early, late) * 3600))
        minutes = draw.triangular(least, most, usual)
        cards = draw.choices([one[1] for one in _CARDS], [one[0] for one in _CARDS])[0]
        yield begin, _awake(begin + timedelta(seconds=round(minutes * 60))), cards


def _awake(leave: datetime) -> datetime:
    """Nobody leaves between one and six: a clock change skips a time in there."""
    return leave.replace(hour=6) if 1 <= leave.hour < 6 else leave
