"""How a seed that fails is made short enough to read."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from einlass_sim.world.seeded import HOUR_MS, D
from einlass_sim.world.tally import Found

TRIES = 60


def shrink(drawn: D, what: str, play: Callable[[D], Found], tries: int) -> D:
    """Less of the same seed, in which the same promise is broken: fewer faults, a shorter time."""
    name = what.partition(":")[0]
    left = tries

    def fails(candidate: D) -> bool:
        nonlocal left
        if left <= 0:
            return False
        left -= 1
        return play(candidate).violation.partition(":")[0] == name

    best = drawn
    while left > 0:
        smaller = next((candidate for candidate in _smaller(best) if fails(candidate)), None)
        if smaller is None:
            break
        best = smaller
    return best


def _smaller(drawn: D) -> Iterable[D]:
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
