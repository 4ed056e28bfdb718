"""From the levels of barriers, emergency loop and bolt contact to the lane's events. No I/O: drivers feed it levels.

What cannot be seen is in doubt. While the sensors cannot be read the lane hears PassageBusy(True); if a release was
open meanwhile, it goes on hearing it until that release has settled, so that the lane counts it as used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from einlass_core.events import ENTRY, BoltSensed, EmergencyInput, Event, PassageBusy
from einlass_core.passage import Passage
from einlass_edge.drivers.driver import Feed, KeptEvents

EMERGENCY_DEBOUNCE_MS = 30


@dataclass(frozen=True, slots=True)
class Levels:
    """Raw: True is blocked, pressed (or the loop is cut), mechanically free; entry_free None: there is no contact."""

    barrier_a: bool
    barrier_b: bool
    emergency: bool
    entry_free: bool | None = None


class TellsPassages(Protocol):
    """As einlass_core.passage.Passage: from two sensors' levels to BodyPassed and PassageBusy."""

    deadline_ms: int | None

    def step(self, now_ms: int, a_blocked: bool, b_blocked: bool) -> list[Event]:
        """The sensors as they stand now; events once a change has lasted long enough."""


class Sensors:
    """Drivers call see() with every reading and again by deadline_ms, and blind() when they cannot read.

    settled() says whether the lane has no release open or settling; passage makes what tells who went where, from its
    debounce time.
    """

    def __init__(
        self,
        feed: Feed,
        settled: Callable[[], bool],
        debounce_ms: int,
        passage: Callable[[int], TellsPassages] = Passage,
    ) -> None:
        self._events = KeptEvents(feed)
        self._settled = settled
        self._debounce_ms = debounce_ms
        self._make_passage = passage
        self._passage = passage(debounce_ms)
        self._blind = False
        self._in_doubt = False
        self._busy = False
        self._loop = False
        self._loop_since_ms: int | None = None
        self._site = False
        self._emergency = False
        self._entry_free: bool | None = None

    @property
    def deadline_ms(self) -> int | None:
        """When see() wants to be called at the latest, with the levels as they are then."""
        due = [] if self._passage.deadline_ms is None else [self._passage.deadline_ms]
        if self._loop_since_ms is not None:
            due.append(self._loop_since_ms + EMERGENCY_DEBOUNCE_MS)
        return min(due) if due else None

    def see(self, now_ms: int, levels: Levels) -> None:
        """The levels as they stand now."""
        if self._blind:
            self._blind = False
            self._in_doubt = True
            self._busy = False
            self._passage = self._make_passage(self._debounce_ms)
        for event in self._passage.step(now_ms, levels.barrier_a, levels.barrier_b):
            if isinstance(event, PassageBusy):
                self._busy = event.busy
                if self._in_doubt:
                    continue
            self._events.offer(event)
        if self._in_doubt and self._settled():
            self._in_doubt = False
            self._events.offer(PassageBusy(self._busy))
        if levels.entry_free is not None and levels.entry_free != self._entry_free:
            self._entry_free = levels.entry_free
            self._events.offer(BoltSensed(ENTRY, levels.entry_free))
        self._see_loop(now_ms, levels.emergency)
        self._events.retry()

    def blind(self) -> None:
        """Nothing can be read any more. The emergency loop keeps its last level: it acts by wire, not through us."""
        if not self._blind:
            self._blind = True
            self._entry_free = None
            self._events.offer(PassageBusy(True))
        self._events.retry()

    def site_emergency(self, on: bool) -> None:
        """The controller's emergency broadcast counts as one more button on the loop."""
        self._site = on
        self._tell_emergency()

    def _see_loop(self, now_ms: int, pressed: bool) -> None:
        if pressed == self._loop:
            self._loop_since_ms = None
        elif self._loop_since_ms is None:
            self._loop_since_ms = now_ms
        elif now_ms - self._loop_since_ms >= EMERGENCY_DEBOUNCE_MS:
            self._loop = pressed
            self._loop_since_ms = None
            self._tell_emergency()

    def _tell_emergency(self) -> None:
        pressed = self._loop or self._site
        if pressed != self._emergency:
            self._emergency = pressed
            self._events.offer(EmergencyInput(pressed))
