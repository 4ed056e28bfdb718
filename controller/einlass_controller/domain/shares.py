"""How the free places are spread over lanes that may be cut off: more to where more people come than go.

The rule, in one sentence: of the places that are free, so many percent are lent to the lanes, each in proportion to
one plus its recent arrivals less its recent exits, because whoever leaves by a cut-off lane frees a place there anyway.
"""

from collections.abc import Mapping
from dataclasses import dataclass

HALF_LIFE_MS = 600_000
PERCENT_DEFAULT = 90
LEASE_MS_DEFAULT = 8 * 3_600_000
# Rates of two monotonic clocks may differ by this much; a passage under way when the lease ends takes at most so long.
RATE_ERROR = 0.01
PASSAGE_MS_MAX = 320_000


@dataclass(frozen=True, slots=True)
class Leasing:
    """What a lane may do alone. percent: of the free places, lent to lanes; lease_ms: for how long after its request.

    equal: the same to every lane, as a comparison.
    """

    lease_ms: int = LEASE_MS_DEFAULT
    percent: int = PERCENT_DEFAULT
    equal: bool = False


@dataclass(slots=True)
class Demand:
    """Persons who came to a lane and who left by it, of late: halved every ten minutes."""

    came: float = 0.0
    left: float = 0.0
    at_ms: int = 0

    def note(self, now_ms: int, came: int = 0, left: int = 0) -> None:
        """So many came or left just now."""
        fade = 0.5 ** (max(0, now_ms - self.at_ms) / HALF_LIFE_MS)
        self.came, self.left, self.at_ms = self.came * fade + came, self.left * fade + left, now_ms

    def weight(self, now_ms: int) -> float:
        """What its share is in proportion to."""
        self.note(now_ms)
        return 1.0 + max(0.0, self.came - self.left)


def spread(places: int, weights: Mapping[str, float]) -> dict[str, int]:
    """All of these places by weight, in whole numbers: the largest remainders get what is left over."""
    total = sum(weights.values())
    if places <= 0 or not total:
        return dict.fromkeys(weights, 0)
    exact = {name: places * weight / total for name, weight in weights.items()}
    found = {name: int(part) for name, part in exact.items()}
    by_remainder = sorted(weights, key=lambda name: (found[name] - exact[name], name))
    for name in by_remainder[: places - sum(found.values())]:
        found[name] += 1
    return found


def lent(free: int, percent: int) -> int:
    """How many of the free places are lent; one at least stays with the controller."""
    return max(0, min(free * percent // 100, free - 1))


def ends_ms(now_ms: int, lease_ms: int) -> int:
    """When a lease that is sent now has ended at the lane for certain, by the controller's own clock."""
    rate = 1 + RATE_ERROR
    longest = rate * ((lease_ms - PASSAGE_MS_MAX * rate) / (1 - RATE_ERROR) + PASSAGE_MS_MAX)
    return now_ms + max(lease_ms, int(longest) + 1) + PASSAGE_MS_MAX
