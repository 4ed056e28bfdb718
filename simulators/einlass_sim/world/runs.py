"""Many seeds of lanes, and what they found."""

import gc
from collections.abc import Callable, Iterable
from functools import cache
from typing import ClassVar

from einlass_core.wire import keep_rules
from einlass_sim.world import seeded
from einlass_sim.world.drawn import FAULTS, Drawn, draw
from einlass_sim.world.office import quiet
from einlass_sim.world.tally import Found, Tally
from einlass_sim.world.world import World

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
