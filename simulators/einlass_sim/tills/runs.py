"""Many seeds of a town of tills, and what they found."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from einlass_sim.tills.drawn import FAULTS, Drawn, draw
from einlass_sim.tills.town import Found, Town
from einlass_sim.world.runs import ALL, COUNTS_FROM_SEEDS, SOMETIMES_A_THOUSAND, FaultError, prepare

SOMETIMES = (
    "sold_alone",
    "used_own",
    "used_own_alone",
    "used_report",
    "used_report_alone",
    "used_refuse",
    "alone_voucher_alone",
    "alone_redeemed",
    "alone_clock_untrusted",
    "alone_stamp_old",
    "conflict_reported",
    "held_elsewhere",
    "owned_elsewhere",
    "payment_over",
    "handed_over",
    "wanted_back",
    "blocked",
    "wiped_till_back",
    "controller_restarted",
    "power_lost_pricing",
    "power_lost_paying",
    "power_lost_card",
    "power_lost_back",
)


@dataclass
class Totals:
    """What a run over many seeds came to."""

    seeds: int = 0
    till_hours: float = 0.0
    sales: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    sometimes: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(SOMETIMES, 0)))
    violations: list[dict[str, Any]] = field(default_factory=list)
    cpu_s: float = 0.0

    def add(self, found: Found) -> None:
        """One more seed."""
        self.seeds += 1
        self.till_hours += found.till_hours
        self.sales += found.sales
        self.faults.update(found.faults)
        self.sometimes.update(found.sometimes)
        if found.violation:
            self.violations.append({"seed": found.seed, "what": found.violation})

    def missed(self) -> list[str]:
        """States that were not reached often enough for so many seeds."""
        least = self.seeds * SOMETIMES_A_THOUSAND / 1000
        return [name for name in SOMETIMES if self.sometimes[name] < least]

    def counts(self) -> bool:
        """Whether this many seeds have been where they must have been."""
        return self.seeds < COUNTS_FROM_SEEDS or not self.missed()

    def as_dict(self) -> dict[str, Any]:
        """As it is printed."""
        return {
            "seeds": self.seeds,
            "till_hours": round(self.till_hours, 1),
            "sales": self.sales,
            "faults": dict(sorted(self.faults.items())),
            "sometimes": dict(sorted(self.sometimes.items())),
            "missed": self.missed(),
            "violations": self.violations,
            "cpu_s": round(self.cpu_s, 2),
        }


def kinds_of(text: str) -> frozenset[str]:
    """`all`, `none`, or kinds of faults with commas between. Raises FaultError."""
    if text == ALL:
        return frozenset(FAULTS)
    wanted = frozenset(word.strip() for word in text.split(",") if word.strip()) - {"none"}
    unknown = sorted(wanted - set(FAULTS))
    if unknown:
        raise FaultError(f"no fault is called {unknown[0]!r}; there are: all, none, {', '.join(FAULTS)}")
    return wanted


def play(drawn: Drawn, tell: bool = False) -> Found:
    """One town from beginning to end."""
    prepare()
    return Town(drawn, tell).run()


def run(seeds: Iterable[int], hours: float, faults: frozenset[str]) -> Totals:
    """All these seeds, one after the other."""
    totals = Totals()
    began_s = time.process_time()
    for seed in seeds:
        totals.add(play(draw(seed, hours, faults)))
    totals.cpu_s = time.process_time() - began_s
    return totals
