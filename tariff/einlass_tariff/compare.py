"""Two versions of a tariff against the same stays: what the new one would have brought."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from einlass_tariff.book import Book
from einlass_tariff.fee import cost
from einlass_tariff.problems import StayError
from einlass_tariff.result import Stay

EXAMPLES_MAX = 10
# Upper ends of the lengths that stays are told by, in minutes; the last group is open.
LENGTHS_MIN = (30, 60, 120, 240, 480, 1440)
# Upper ends of the changes that stays are told by, in cents: "-100" is "by more than 1.00 cheaper"; 0: the same.
CHANGES_CENTS = (-501, -201, -101, -51, -1, 0, 50, 100, 200, 500)


@dataclass(slots=True)
class Group:
    """Stays that are told together, in cents."""

    stays: int = 0
    old_cents: int = 0
    new_cents: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """One stay with what it costs under both; row: in the file."""

    row: int
    stay: Stay
    old_cents: int
    new_cents: int


@dataclass(slots=True)
class Comparison:
    """Sums over all stays. by_change: how many by the place of their change in CHANGES_CENTS; the last group is open.

    examples: those with the greatest change; skipped: (row, reason in German and English).
    """

    all: Group = field(default_factory=Group)
    dearer: int = 0
    cheaper: int = 0
    by_minutes: dict[str, Group] = field(default_factory=dict)
    by_weekday: dict[int, Group] = field(default_factory=dict)
    by_change: dict[int, int] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    skipped: list[tuple[int, tuple[str, str]]] = field(default_factory=list)


def compare(old: Book, new: Book, stays: Iterable[tuple[int, Stay]]) -> Comparison:
    """Work out every stay (with its row in the file) under both; a stay without an answer is named, not dropped."""
    result = Comparison()
    for row, stay in stays:
        try:
            before, after = cost(old, stay), cost(new, stay)
        except StayError as error:
            result.skipped.append((row, error.words))
            continue
        minutes = -(-(stay.exit_s - stay.entry_s) // 60)
        weekday = old.days.day(stay.entry_s).weekday()
        for group in (
            result.all,
            result.by_minutes.setdefault(_length(minutes), Group()),
            result.by_weekday.setdefault(weekday, Group()),
        ):
            group.stays += 1
            group.old_cents += before
            group.new_cents += after
        result.dearer += after > before
        result.cheaper += after < before
        change = bisect_left(CHANGES_CENTS, after - before)
        result.by_change[change] = result.by_change.get(change, 0) + 1
        if before != after:
            result.examples.append(Example(row, stay, before, after))
            if len(result.examples) > 20 * EXAMPLES_MAX:
                _keep_greatest(result)
    _keep_greatest(result)
    return result


def _keep_greatest(result: Comparison) -> None:
    result.examples = sorted(result.examples, key=lambda one: -abs(one.new_cents - one.old_cents))[:EXAMPLES_MAX]


def _length(minutes: int) -> str:
    lower = 0
    for upper in LENGTHS_MIN:
        if minutes <= upper:
            return f"{lower}-{upper} min"
        lower = upper
    return f"over {lower} min"
