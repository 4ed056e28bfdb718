"""Many seeds of a town of tills, and what they found."""

from collections.abc import Iterable
from typing import ClassVar

from einlass_sim.tills.drawn import FAULTS, Drawn, draw
from einlass_sim.tills.town import Town
from einlass_sim.world import seeded
from einlass_sim.world.runs import prepare
from einlass_sim.world.tally import Found, Tally

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


class Totals(Tally):
    """What a run over many seeds of tills came to."""

    HOURS: ClassVar[str] = "till_hours"
    SERVED: ClassVar[str] = "sales"
    SOMETIMES: ClassVar[tuple[str, ...]] = SOMETIMES


def kinds_of(text: str) -> frozenset[str]:
    """`all`, `none`, or kinds of faults with commas between. Raises FaultError."""
    return seeded.kinds_of(text, FAULTS)


def play(drawn: Drawn, tell: bool = False) -> Found:
    """One town from beginning to end."""
    prepare()
    return Town(drawn, tell).run()


def run(seeds: Iterable[int], hours: float, faults: frozenset[str]) -> Totals:
    """All these seeds, one after the other."""
    return Totals().add_all(play(draw(seed, hours, faults)) for seed in seeds)
