"""What a cut of 30 minutes costs: how many are let in, how many too many, by what each lane goes on with.

A pool of 700 with 690 inside and four lanes; then nobody reaches anybody. The lanes' accounts and the spread of places
are the shipped ones. An all-knowing controller is the measure, "last known count" and "fail open" are what others do;
"equal" is every free place in equal parts, none kept.
"""

import random
from collections import Counter
from dataclasses import dataclass
from statistics import median

from einlass_controller.domain.shares import PERCENT_DEFAULT, Demand, lent, spread
from einlass_core.lease import Account, Limit

CAP = 700
INSIDE = 690
MINUTES = 30
WARM_UP_MINUTES = 60
MINUTE_MS = 60_000
POLICIES = ("all_knowing", "lent_by_demand", "lent_equally", "equal", "last_known_count", "fail_open")


@dataclass(frozen=True)
class Traffic:
    """Persons a minute at each lane."""

    come: tuple[float, ...]
    go: tuple[float, ...]


TRAFFIC = {
    "even": Traffic((3, 3, 3, 3), (1.9, 1.9, 1.9, 1.9)),
    "arrivals_uneven": Traffic((8, 2, 1, 1), (1.9, 1.9, 1.9, 1.9)),
    "exits_uneven": Traffic((3, 3, 3, 3), (0.2, 0.2, 3.6, 3.6)),
    "both_uneven": Traffic((8, 2, 1, 1), (0.2, 0.4, 3.5, 3.5)),
}

Movement = tuple[int, int, bool]  # when, lane, whether somebody comes


def movements(traffic: Traffic, seed: int, minutes: int) -> list[Movement]:
    """Everybody who comes to a lane and everybody who wants to leave by one, in order."""
    rng = random.Random(f"{seed}/outage")
    found: list[Movement] = []
    for rates, comes in ((traffic.come, True), (traffic.go, False)):
        for lane, rate in enumerate(rates):
            at_ms = 0.0
            while (at_ms := at_ms + rng.expovariate(rate / MINUTE_MS)) < minutes * MINUTE_MS:
                found.append((int(at_ms), lane, comes))
    return sorted(found)


def play(policy: str, traffic: Traffic, seed: int) -> tuple[int, int]:
    """(let in during the cut, the most over the cap)."""
    before = movements(traffic, seed, WARM_UP_MINUTES)
    lanes = len(traffic.come)
    demand = [Demand() for _ in range(lanes)]
    for at_ms, lane, comes in before:
        demand[lane].note(at_ms, came=int(comes), left=int(not comes))
    accounts = _lend(policy, demand)
    own = Counter[int]()  # entries less exits at each lane since the cut
    inside, admitted, over = INSIDE, 0, 0
    for _, lane, comes in movements(traffic, seed + 1_000_000, MINUTES):
        if not comes:
            if inside:
                inside -= 1
                own[lane] -= 1
                accounts[lane].leave(1)
            continue
        lets_in = {
            "all_knowing": inside < CAP,
            "last_known_count": INSIDE + own[lane] < CAP,
            "fail_open": True,
        }.get(policy, accounts[lane].fits(1))
        if lets_in:
            inside += 1
            admitted += 1
            own[lane] += 1
            accounts[lane].enter(1)
            accounts[lane].confirm(1)
            over = max(over, inside - CAP)
    return admitted, over


def _lend(policy: str, demand: list[Demand]) -> list[Account]:
    now_ms = WARM_UP_MINUTES * MINUTE_MS
    evenly = policy != "lent_by_demand"
    weights = {f"{lane}": 1.0 if evenly else each.weight(now_ms) for lane, each in enumerate(demand)}
    free = CAP - INSIDE
    places = spread(free if policy == "equal" else lent(free, PERCENT_DEFAULT), weights)
    accounts = []
    for lane in range(len(demand)):
        account = Account()
        account.take(Limit(0, 1, places[f"{lane}"]))
        accounts.append(account)
    return accounts


def measure(seeds: int) -> dict[str, dict[str, dict[str, float]]]:
    """By traffic and policy: medians of persons let in and of those turned away who had room, the most over the cap."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, traffic in TRAFFIC.items():
        runs = {policy: [play(policy, traffic, seed) for seed in range(seeds)] for policy in POLICIES}
        best = [admitted for admitted, _ in runs["all_knowing"]]
        found[name] = {
            policy: {
                "admitted": median(admitted for admitted, _ in each),
                "wrongly_turned_away": median(
                    max(0, most - admitted) for most, (admitted, _) in zip(best, each, strict=True)
                ),
                "over_cap": max(over for _, over in each),
            }
            for policy, each in runs.items()
        }
    return found
