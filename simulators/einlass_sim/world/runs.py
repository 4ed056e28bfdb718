"""Many seeds, what they found, and how a seed that fails is made short enough to read."""

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from einlass_core.wire import keep_rules
from einlass_sim.world.drawn import FAULTS, HOUR_MS, Drawn, draw
from einlass_sim.world.office import quiet
from einlass_sim.world.world import Found, World

ALL = "all"
SHRINK_TRIES = 60
# A run counts only when it has been there: at least so often in a thousand seeds.
SOMETIMES_A_THOUSAND = 20
SOMETIMES = (
    "a_ceiling_lowered_while_cut_off",
    "lease_ended_with_rights_left",
    "wiped_node_back",
    "old_image_found",
    "controller_restarted",
    "refund",
    "cap_reached",
    "exit_at_a_cut_off_lane",
    "a_late_answer_met_a_locked_lane",
    "admitted_alone",
    "signed_let_in_alone",
    "lease_exhausted",
    "conflict_reported",
    "uncertain_passage",
    "recount_with_a_dead_lane",
    "controller_restored",
    "repeated_operation_answered",
    "counted_in_doubt",
    "counted_while_a_lane_is_cut_off",
    "cap_lowered",
    "cap_raised",
    "lockdown",
    "evacuation",
    "alone_near_closing",
)
# Fewer seeds need not have been everywhere.
COUNTS_FROM_SEEDS = 100


class FaultError(ValueError):
    """There is no such kind of fault; the text names those that there are."""


@dataclass
class Totals:
    """What a run over many seeds came to."""

    seeds: int = 0
    gate_hours: float = 0.0
    admissions: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    sometimes: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(SOMETIMES, 0)))
    violations: list[dict[str, Any]] = field(default_factory=list)
    cpu_s: float = 0.0

    def add(self, found: Found) -> None:
        """One more seed."""
        self.seeds += 1
        self.gate_hours += found.gate_hours
        self.admissions += found.admissions
        self.faults.update(found.faults)
        self.sometimes.update(found.sometimes)
        if found.violation:
            self.violations.append({"seed": found.seed, "what": found.violation})

    def join(self, other: "Totals") -> None:
        """What other seeds came to, too."""
        self.seeds += other.seeds
        self.gate_hours += other.gate_hours
        self.admissions += other.admissions
        self.faults.update(other.faults)
        self.sometimes.update(other.sometimes)
        self.violations += other.violations
        self.cpu_s += other.cpu_s

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Totals":
        """What as_dict() said."""
        found = cls(int(told["seeds"]), float(told["gate_hours"]), int(told["admissions"]))
        found.faults.update(told["faults"])
        found.sometimes.update(told["sometimes"])
        found.violations, found.cpu_s = list(told["violations"]), float(told["cpu_s"])
        return found

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
            "gate_hours": round(self.gate_hours, 1),
            "admissions": self.admissions,
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


def prepare() -> None:
    """Before a world; once in a process is enough."""
    quiet()
    keep_rules()
    _freeze()


@cache
def _freeze() -> None:
    gc.collect()
    gc.freeze()  # as the controller does: what is there now stays and is not looked through again


def play(drawn: Drawn, tell: bool = False) -> Found:
    """One world from beginning to end."""
    prepare()
    return World(drawn, tell).run()


def run(
    seeds: Iterable[int], hours: float, faults: frozenset[str], told: Callable[[Found], None] = lambda found: None
) -> Totals:
    """All these seeds, one after the other."""
    totals = Totals()
    began_s = time.process_time()
    for seed in seeds:
        found = play(draw(seed, hours, faults))
        totals.add(found)
        told(found)
    totals.cpu_s = time.process_time() - began_s
    return totals


def shrink(drawn: Drawn, what: str, tries: int = SHRINK_TRIES) -> Drawn:
    """A smaller world in which the same promise is broken: fewer faults, a shorter time."""
    name = what.partition(":")[0]
    left = tries

    def fails(candidate: Drawn) -> Found | None:
        nonlocal left
        if left <= 0:
            return None
        left -= 1
        found = play(candidate)
        return found if found.violation.partition(":")[0] == name else None

    best = drawn
    while left > 0:
        smaller = next((candidate for candidate in _smaller(best) if fails(candidate) is not None), None)
        if smaller is None:
            break
        best = smaller
    return best


def _smaller(drawn: Drawn) -> Iterable[Drawn]:
    """Candidates, the boldest first."""
    if drawn.episodes:
        half = len(drawn.episodes) // 2
        if half:
            yield replace(drawn, episodes=drawn.episodes[:half])
            yield replace(drawn, episodes=drawn.episodes[half:])
    if drawn.hours > 0.25:
        hours = drawn.hours / 2
        kept = tuple(item for item in drawn.episodes if item.at_ms < hours * HOUR_MS)
        yield replace(drawn, hours=hours, episodes=kept)
    for kind in [name for name, rate in drawn.noise.items() if rate]:
        yield replace(drawn, noise={**drawn.noise, kind: 0.0})
    for kind in [name for name, rate in drawn.habits.items() if rate]:
        yield replace(drawn, habits={**drawn.habits, kind: 0.0})
    for index in range(len(drawn.episodes)):
        yield replace(drawn, episodes=drawn.episodes[:index] + drawn.episodes[index + 1 :])
