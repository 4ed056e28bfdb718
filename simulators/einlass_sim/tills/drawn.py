"""What a seed draws for a town's tills: machines, vouchers, drivers, and every fault with its time."""

import random
from dataclasses import dataclass, field, replace

from einlass_sim.world.drawn import HOUR_MS, MINUTE_MS, NOISE, Episode

# What happens at a time, to a till (or to the controller, the broker, the office), for so long.
EPISODES = (
    "cut",
    "all_cut",
    "half_open_up",
    "half_open_down",
    "broker_forgets",
    "till_crash",
    "till_crash_soon",
    "controller_crash",
    "controller_crash_soon",
    "wipe",
    "disk_full",
    "terminal_silent",
    "paper_out",
    "hopper_empty",
    "hand_over",
    "hand_back",
    "block",
)
# What drivers do.
HABITS = ("photo", "aborts", "pays_twice", "strange_code")
FAULTS = (*NOISE, *EPISODES, *HABITS)
# So often in an hour, at all tills together.
OFTEN = {"cut": 2.0, "till_crash_soon": 3.0, "controller_crash_soon": 1.0, "hand_over": 1.0, "hand_back": 3.0}
RARE = {"wipe": 0.15, "all_cut": 0.4, "disk_full": 0.3, "block": 0.3}
USUAL = 0.5
LOTS = ("own", "report", "refuse")


@dataclass(frozen=True)
class Drawn:
    """All that is drawn before a run begins; the rest follows from the seed and these.

    cards: vouchers of each lot, in the order of LOTS. own_share: of the own ones, handed over to tills at the start.
    """

    seed: int
    hours: float
    kinds: tuple[str, ...]  # of each till
    drivers_an_hour: float  # at each till
    cards: tuple[int, int, int]
    own_share: float
    noise: dict[str, float] = field(default_factory=dict)
    habits: dict[str, float] = field(default_factory=dict)
    episodes: tuple[Episode, ...] = ()

    @property
    def ends_ms(self) -> int:
        """When faults and drivers end; then everything heals."""
        return int(self.hours * HOUR_MS)


def draw(seed: int, hours: float, faults: frozenset[str]) -> Drawn:
    """The town of a seed, with only these kinds of faults; the other kinds do not change what these are."""
    rng = random.Random(f"{seed}/town")
    tills = rng.choice((2, 2, 3))
    kinds = tuple(rng.choices(("pay-on-foot", "pay-and-display"), (3, 1), k=tills))
    sales = rng.choice((8.0, 15.0, 30.0, 80.0))  # in the last of them everybody comes at once
    cards = (rng.randint(5, 40), rng.randint(5, 120), rng.randint(2, 15))
    rates = random.Random(f"{seed}/rates")
    noise = {
        "loss": rates.choice((0.0, 0.01, 0.1, 0.3)),
        "repeat": rates.choice((0.0, 0.05, 0.2)),
        "delay": rates.choice((0.0, 0.1, 0.3)),
        "old_copy": rates.choice((0.0, 0.002, 0.01)),
    }
    habits = {
        "photo": rates.choice((0.0, 0.2, 0.5)),
        "aborts": rates.choice((0.0, 0.1, 0.3)),
        "pays_twice": rates.choice((0.0, 0.1)),
        "strange_code": rates.choice((0.0, 0.1)),
    }
    episodes = []
    for kind in EPISODES:
        own = random.Random(f"{seed}/{kind}")
        often = OFTEN.get(kind, RARE.get(kind, USUAL)) * hours
        count = int(often) + (own.random() < often % 1)
        for _ in range(count):
            lasts_ms = int(own.choice((1, 5, 20, 60, 120)) * MINUTE_MS * own.uniform(0.3, 1))
            episodes.append(Episode(own.randrange(int(hours * HOUR_MS)), kind, own.randrange(tills), lasts_ms))
    episodes.sort(key=lambda item: (item.at_ms, item.kind))
    drawn = Drawn(seed, hours, kinds, sales, cards, rng.choice((0.3, 0.7, 1.0)))
    return replace(
        drawn,
        noise={name: rate for name, rate in noise.items() if name in faults},
        habits={name: rate for name, rate in habits.items() if name in faults},
        episodes=tuple(item for item in episodes if item.kind in faults),
    )
