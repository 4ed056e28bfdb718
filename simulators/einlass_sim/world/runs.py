"""Many seeds, what they found, and how a seed that fails is made short enough to read."""

import gc
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import ClassVar

from einlass_core.wire import keep_rules
from einlass_sim.world import seeded
from einlass_sim.world.drawn import FAULTS, Drawn, draw
from einlass_sim.world.office import quiet
from einlass_sim.world.seeded import HOUR_MS
from einlass_sim.world.tally import Found, Tally
from einlass_sim.world.world import World

SHRINK_TRIES = 60
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


class Totals(Tally):
    """What a run over many seeds of lanes came to."""

    HOURS: ClassVar[str] = "gate_hours"
    SERVED: ClassVar[str] = "admissions"
    SOMETIMES: ClassVar[tuple[str, ...]] = SOMETIMES


def kinds_of(text: str) -> frozenset[str]:
    """`all`, `none`, or kinds of faults with commas between. Raises FaultError."""
    return seeded.kinds_of(text, FAULTS)


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
    return Totals().add_all((play(draw(seed, hours, faults)) for seed in seeds), told)


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
