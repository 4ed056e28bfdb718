"""What a seed draws: the site, its visitors, and every fault with its time; so a run can be repeated, and cut short."""

import random
from dataclasses import dataclass, replace

from einlass_sim.world.seeded import HOUR_MS, MINUTE_MS, NOISE, Episode, Seeded, noise_of, only, times_of

# What happens at a time, to a lane ("": to the controller or the broker), for so long.
EPISODES = (
    "cut",
    "half_open_up",
    "half_open_down",
    "broker_forgets",
    "lane_crash",
    "lane_crash_soon",
    "controller_crash",
    "controller_crash_soon",
    "wipe",
    "old_image",
    "disk_full",
    "pause",
    "wall_jump",
    "sensor_stuck",
    "emergency",
    "all_cut",
    "count",
    "cap",
    "lockdown",
    "evacuation",
    "restore",
    "new_key",
    "key_revoked",
)
# What people and readers do.
HABITS = ("tailgate", "step_back", "shared_ticket", "double_read", "garbage", "linger")
LASTING = ("clock_rates", "closing", "signed")
FAULTS = (*NOISE, *EPISODES, *HABITS, *LASTING)
# Of every seed's episodes: so often in so many hours, at all lanes together.
OFTEN = {"cut": 2.0, "lane_crash": 1.0, "lane_crash_soon": 2.0, "controller_crash_soon": 1.5, "all_cut": 0.5}
RARE = {"wipe": 0.12, "old_image": 0.06, "emergency": 0.2, "disk_full": 0.3}
RARE |= {
    "count": 0.3,
    "cap": 0.15,
    "lockdown": 0.1,
    "evacuation": 0.06,
    "restore": 0.12,
    "new_key": 0.1,
    "key_revoked": 0.1,
}
CAP_MIN, CAP_MAX = 3, 40
CLOSING_RATE = 0.3
CLOSING_HOURS_MAX = 6.0
LASTS_MINUTES = (1, 5, 20, 60, 200)


@dataclass(frozen=True, kw_only=True)
class Drawn(Seeded):
    """Of lanes of one zone."""

    lanes: int
    cap: int
    arrivals_an_hour: float  # at each lane, on average
    stay_ms: int
    lease_ms: int
    percent: int
    policies: tuple[str, ...]
    clock_rates: tuple[float, ...]
    closing: tuple[int, int] = (0, 0)  # minutes after the start at which the house closes and opens again; 0: never
    signed: float = 0.0  # so many of the tickets are signed elsewhere
    hosts: tuple[bool, ...] = ()  # lanes that judge signatures; the others are boards

    @property
    def size(self) -> str:
        """How much there is of what, in words."""
        return f"{self.lanes} lanes, cap {self.cap}"


def draw(seed: int, hours: float, faults: frozenset[str]) -> Drawn:
    """The world of a seed, with only these kinds of faults; the other kinds do not change what these are."""
    rng = random.Random(f"{seed}/site")
    lanes = rng.choice((1, 2, 2, 3, 3, 4))
    cap = rng.randint(CAP_MIN, CAP_MAX)
    policies = tuple(rng.choices(("leased", "secure", "open", "free-flow"), (20, 2, 1, 1), k=lanes))
    stay_ms = rng.randint(4, 60) * MINUTE_MS
    # So many that the cap is reached now and then.
    arrivals = rng.uniform(0.5, 1.6) * cap * HOUR_MS / stay_ms / lanes
    drawn = Drawn(
        seed=seed,
        hours=hours,
        lanes=lanes,
        cap=cap,
        arrivals_an_hour=min(arrivals, 60.0),
        stay_ms=stay_ms,
        lease_ms=rng.choice((2, 10, 30, 120, 480)) * MINUTE_MS,
        percent=rng.choice((25, 75, 75, 100)),
        policies=policies,
        clock_rates=(1.0,) * (lanes + 1),
        hosts=(False,) * lanes,
    )
    rates = random.Random(f"{seed}/rates")
    noise = noise_of(rates)
    habits = {
        "tailgate": rates.choice((0.0, 0.0, 0.0, 0.03)),
        "step_back": rates.choice((0.0, 0.1)),
        "shared_ticket": rates.choice((0.0, 0.1)),
        "double_read": rates.choice((0.0, 0.1)),
        "garbage": rates.choice((0.0, 0.05)),
        "linger": random.Random(f"{seed}/linger").choice((0.0, 0.05)),
    }
    clocks = tuple(1.0 + rates.uniform(-0.005, 0.005) for _ in range(lanes + 1))
    share, hosts = _signed(seed, lanes) if "signed" in faults else (0.0, drawn.hosts)
    episodes = []
    for kind, own, lasts_ms in times_of(seed, hours, EPISODES, OFTEN | RARE, LASTS_MINUTES):
        lane = own.randrange(lanes)
        episodes.append(Episode(own.randrange(drawn.ends_ms), kind, lane, lasts_ms))
    whole = replace(drawn, noise=noise, habits=habits, episodes=tuple(episodes))
    return replace(
        only(whole, faults),
        signed=share,
        hosts=hosts,
        closing=_closing(seed, hours) if "closing" in faults else (0, 0),
        clock_rates=clocks if "clock_rates" in faults else drawn.clock_rates,
    )


def _closing(seed: int, hours: float) -> tuple[int, int]:
    """Now and then the house closes for a while."""
    rng = random.Random(f"{seed}/closing")
    closes = int(rng.uniform(0.2, 1) * min(hours, CLOSING_HOURS_MAX) * 60)
    return (closes, closes + rng.randint(10, 60)) if rng.random() < CLOSING_RATE else (0, 0)


def _signed(seed: int, lanes: int) -> tuple[float, tuple[bool, ...]]:
    """In one seed of three tickets are signed, too, and most lanes are hosts."""
    rng = random.Random(f"{seed}/signed")
    share = rng.choice((0.0, 0.0, 0.5))
    return share, tuple(bool(share) and rng.random() < 0.8 for _ in range(lanes))
