"""What a seed draws for a town's tills: machines, vouchers, drivers, and every fault with its time."""

import random
from dataclasses import dataclass

from einlass_sim.world.seeded import HOUR_MS, NOISE, Episode, Seeded, noise_of, only, times_of

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
LASTS_MINUTES = (1, 5, 20, 60, 120)
LOTS = ("own", "report", "refuse")


@dataclass(frozen=True, kw_only=True)
class Drawn(Seeded):
    """Of tills of one town.

    cards: vouchers of each lot, in the order of LOTS. own_share: of the own ones, handed over to tills at the start.
    """

    kinds: tuple[str, ...]  # of each till
    drivers_an_hour: float  # at each till
    cards: tuple[int, int, int]
    own_share: float

    @property
    def size(self) -> str:
        """How much there is of what, in words."""
        return f"{len(self.kinds)} tills, {sum(self.cards)} cards"


def draw(seed: int, hours: float, faults: frozenset[str]) -> Drawn:
    """The town of a seed, with only these kinds of faults; the other kinds do not change what these are."""
    rng = random.Random(f"{seed}/town")
    tills = rng.choice((2, 2, 3))
    kinds = tuple(rng.choices(("pay-on-foot", "pay-and-display"), (3, 1), k=tills))
    sales = rng.choice((8.0, 15.0, 30.0, 80.0))  # in the last of them everybody comes at once
    cards = (rng.randint(5, 40), rng.randint(5, 120), rng.randint(2, 15))
    rates = random.Random(f"{seed}/rates")
    noise = noise_of(rates)
    habits = {
        "photo": rates.choice((0.0, 0.2, 0.5)),
        "aborts": rates.choice((0.0, 0.1, 0.3)),
        "pays_twice": rates.choice((0.0, 0.1)),
        "strange_code": rates.choice((0.0, 0.1)),
    }
    episodes = [
        Episode(own.randrange(int(hours * HOUR_MS)), kind, own.randrange(tills), lasts_ms)
        for kind, own, lasts_ms in times_of(seed, hours, EPISODES, OFTEN | RARE, LASTS_MINUTES)
    ]
    drawn = Drawn(
        seed=seed,
        hours=hours,
        noise=noise,
        habits=habits,
        episodes=tuple(episodes),
        kinds=kinds,
        drivers_an_hour=sales,
        cards=cards,
        own_share=rng.choice((0.3, 0.7, 1.0)),
    )
    return only(drawn, faults)
