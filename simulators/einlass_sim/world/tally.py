"""What seeds came to, one by one and added up: of lanes and of tills alike."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

# A run counts only when it has been there: at least so often in a thousand seeds.
SOMETIMES_A_THOUSAND = 20
# Fewer seeds need not have been everywhere.
COUNTS_FROM_SEEDS = 100


@dataclass
class Found:
    """What came of a seed. hours: of all nodes together; served: persons let in, or sales."""

    seed: int
    hours: float
    served: int
    faults: Counter[str]
    sometimes: Counter[str]
    violation: str = ""
    at_ms: int = 0
    history: str = ""
    story: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """What a run over many seeds came to; subclasses say what it is called, and where a run must have been."""

    HOURS: ClassVar[str]
    SERVED: ClassVar[str]
    SOMETIMES: ClassVar[tuple[str, ...]]

    seeds: int = 0
    hours: float = 0.0
    served: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    sometimes: Counter[str] = field(default_factory=Counter)
    violations: list[dict[str, Any]] = field(default_factory=list)
    cpu_s: float = 0.0

    def __post_init__(self) -> None:
        for name in self.SOMETIMES:
            self.sometimes.setdefault(name, 0)

    def add(self, found: Found) -> None:
        """One more seed."""
        self.seeds += 1
        self.hours += found.hours
        self.served += found.served
        self.faults.update(found.faults)
        self.sometimes.update(found.sometimes)
        if found.violation:
            self.violations.append({"seed": found.seed, "what": found.violation})

    def add_all(self, each: Iterable[Found], told: Callable[[Found], None] = lambda found: None) -> Self:
        """Seed by seed, as they are played; and the processor's time that it takes."""
        began_s = time.process_time()
        for found in each:
            self.add(found)
            told(found)
        self.cpu_s += time.process_time() - began_s
        return self

    def join(self, other: Self) -> None:
        """What other seeds came to, too."""
        self.seeds += other.seeds
        self.hours += other.hours
        self.served += other.served
        self.faults.update(other.faults)
        self.sometimes.update(other.sometimes)
        self.violations += other.violations
        self.cpu_s += other.cpu_s

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """What as_dict() said."""
        found = cls(int(told["seeds"]), float(told[cls.HOURS]), int(told[cls.SERVED]))
        found.faults.update(told["faults"])
        found.sometimes.update(told["sometimes"])
        found.violations, found.cpu_s = list(told["violations"]), float(told["cpu_s"])
        return found

    def missed(self) -> list[str]:
        """States that were not reached often enough for so many seeds."""
        least = self.seeds * SOMETIMES_A_THOUSAND / 1000
        return [name for name in self.SOMETIMES if self.sometimes[name] < least]

    def counts(self) -> bool:
        """Whether this many seeds have been where they must have been."""
        return self.seeds < COUNTS_FROM_SEEDS or not self.missed()

    def as_dict(self) -> dict[str, Any]:
        """As it is printed."""
        return {
            "seeds": self.seeds,
            self.HOURS: round(self.hours, 1),
            self.SERVED: self.served,
            "faults": dict(sorted(self.faults.items())),
            "sometimes": dict(sorted(self.sometimes.items())),
            "missed": self.missed(),
            "violations": self.violations,
            "cpu_s": round(self.cpu_s, 2),
        }
