"""What people do at a turnstile, and how often.

Use: `Mix().draw(rng)` gives a Behaviour for Turnstile.arrive(); a Mix of one behaviour is `Mix(walk=0, force=1)`.
"""

import random
from dataclasses import dataclass, fields
from enum import StrEnum


class Behaviour(StrEnum):
    """How one person meets the arm."""

    WALK = "walk"
    HESITATE = "hesitate"
    STEP_BACK = "step_back"
    TAILGATE = "tailgate"
    SQUEEZE = "squeeze"
    STUCK = "stuck"
    FORCE = "force"


@dataclass(frozen=True)
class Mix:
    """Weights (any scale, at least 0) of the behaviours; the defaults are guesses about a well-behaved pool."""

    walk: float = 0.90
    hesitate: float = 0.03
    step_back: float = 0.03
    tailgate: float = 0.02  # two bodies in one turn with a visible gap: two barrier sequences
    squeeze: float = 0.0  # two bodies as one: no barrier can tell, so a world that allows it cannot be exact
    stuck: float = 0.02
    force: float = 0.0

    def __post_init__(self) -> None:
        weights = [getattr(self, field.name) for field in fields(self)]
        if min(weights) < 0 or sum(weights) <= 0:
            raise ValueError("weights of a Mix must be at least 0 and not all 0")

    def draw(self, rng: random.Random) -> Behaviour:
        """One behaviour; one draw from rng."""
        names = [field.name for field in fields(self)]
        return Behaviour(rng.choices(names, [getattr(self, name) for name in names])[0])
