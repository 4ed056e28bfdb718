"""What a seed draws whatever the site: how likely messages suffer, and every fault with its time.

Each kind has its own generator, so that a kind that is left out changes nothing of the others.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
ALL = "all"
NONE = "none"
# What a message may suffer, drawn for each.
NOISE = ("loss", "repeat", "delay", "old_copy")
USUAL = 0.5


class FaultError(ValueError):
    """There is no such kind of fault; the text names those that there are."""


@dataclass(frozen=True)
class Episode:
    """A fault at a time, at the lane or till of this number."""

    at_ms: int
    kind: str
    lane: int
    lasts_ms: int


@dataclass(frozen=True, kw_only=True)
class Seeded(ABC):
    """What every site has drawn before its run begins; the rest follows from the seed and these."""

    seed: int
    hours: float
    noise: dict[str, float] = field(default_factory=dict)
    habits: dict[str, float] = field(default_factory=dict)  # of people: how likely
    episodes: tuple[Episode, ...] = ()

    @property
    def ends_ms(self) -> int:
        """When faults end, and nobody comes any more; then everything heals."""
        return int(self.hours * HOUR_MS)

    @property
    @abstractmethod
    def size(self) -> str:
        """How much there is of what, in words."""


D = TypeVar("D", bound=Seeded)


def kinds_of(text: str, faults: tuple[str, ...]) -> frozenset[str]:
    """`all`, `none`, or kinds of these faults with commas between. Raises FaultError."""
    if text == ALL:
        return frozenset(faults)
    wanted = frozenset(word.strip() for word in text.split(",") if word.strip()) - {NONE}
    unknown = sorted(wanted - set(faults))
    if unknown:
        raise FaultError(f"no fault is called {unknown[0]!r}; there are: {ALL}, {NONE}, {', '.join(faults)}")
    return wanted


def noise_of(rates: random.Random) -> dict[str, float]:
    """How likely a message suffers what."""
    return {
        "loss": rates.choice((0.0, 0.01, 0.1, 0.3)),
        "repeat": rates.choice((0.0, 0.05, 0.2)),
        "delay": rates.choice((0.0, 0.1, 0.3)),
        "old_copy": rates.choice((0.0, 0.002, 0.01)),
    }


def times_of(
    seed: int, hours: float, kinds: tuple[str, ...], an_hour: Mapping[str, float], minutes: tuple[int, ...]
) -> Iterator[tuple[str, random.Random, int]]:
    """Each kind as often as it happens: with its generator, which says the rest, and for how long (in ms) it lasts.

    an_hour: how often, at the whole site; USUAL otherwise. minutes: it may last, at most.
    """
    for kind in kinds:
        own = random.Random(f"{seed}/{kind}")
        often = an_hour.get(kind, USUAL) * hours
        for _ in range(int(often) + (own.random() < often % 1)):
            yield kind, own, int(own.choice(minutes) * MINUTE_MS * own.uniform(0.3, 1))


def only(drawn: D, faults: frozenset[str]) -> D:
    """With no other kinds than these; its episodes in the order of their time."""
    episodes = sorted(drawn.episodes, key=lambda item: (item.at_ms, item.kind))
    return replace(
        drawn,
        noise={name: rate for name, rate in drawn.noise.items() if name in faults},
        habits={name: rate for name, rate in drawn.habits.items() if name in faults},
        episodes=tuple(item for item in episodes if item.kind in faults),
    )
