"""What to do with a barrier's boom, and which car went where: pure, from the two loops and the limit switches.

Loop A lies before the boom, where a car stands and asks; loop B under and behind it. The rule that everything here
serves: the boom is lowered only while loop B is known to be free, and has been for clear_ms; it goes up again at once
when a car comes under it on its way down. While nothing can be seen it is not moved at all.
"""

from einlass_core.events import ENTRY, EXIT, BodyPassed, Event, PassageBusy

CLEAR_MS = 500
RUN_MS_MAX = 12_000


class Boom:
    """Tell it what is wanted and seen; drive() says what to do with the motor now, as (up, down)."""

    def __init__(self, clear_ms: int = CLEAR_MS, run_ms_max: int = RUN_MS_MAX) -> None:
        self.stuck = False
        self._clear_ms = clear_ms
        self._run_ms_max = run_ms_max
        self._seen = False
        self._occupied = True
        self._clear_since_ms = 0
        self._up = False
        self._down = False
        self._driven = (False, False)
        self._driven_since_ms = 0
        self._retreating = False

    def see(self, now_ms: int, occupied: bool, up: bool, down: bool) -> None:
        """Loop B and the limit switches as they stand now."""
        if not self._seen or self._occupied != occupied:
            self._clear_since_ms = now_ms
        self._seen, self._occupied, self._up, self._down = True, occupied, up, down

    def blind(self) -> None:
        """Nothing can be seen any more: as if a car stood there."""
        self._seen = False

    def drive(self, now_ms: int, wanted_open: bool) -> tuple[bool, bool]:
        """What the motor must do now; stuck becomes true when it has run too long without reaching its end."""
        driven = self._wish(now_ms, wanted_open) if self._seen else (False, False)
        if driven != self._driven:
            self._driven, self._driven_since_ms = driven, now_ms
            self.stuck = self.stuck and not (self._up or self._down)
        elif any(driven) and now_ms - self._driven_since_ms > self._run_ms_max:
            self.stuck = True
            return (False, False)
        if self._up or self._down:
            self.stuck = False
        return driven

    def _wish(self, now_ms: int, wanted_open: bool) -> tuple[bool, bool]:
        if self._up:
            self._retreating = False
        if wanted_open:
            self._retreating = False
            return (not self._up, False)
        if self._down:
            return (False, False)
        if self._occupied and not self._up:
            self._retreating = True
        if self._retreating:
            return (True, False)
        clear = not self._occupied and now_ms - self._clear_since_ms >= self._clear_ms
        return (False, clear)


class CarPassage:
    """Which way cars went, from loops A and B; as einlass_core.passage.Passage, with a car's rules.

    A car that stands on A is no passage: it waits. In: A and B, then B alone, then neither. Several that follow so
    closely that B stays occupied are counted by their gaps over A; with none there, as one. Out: B, both, A. A car that
    backs out after its rear has left A cannot be told from one in with another behind it: it counts as in.

    ahead: which way it is from A to B. At an exit's barrier that is out, and "in" above reads "out".
    """

    def __init__(self, debounce_ms: int, ahead: str = ENTRY) -> None:
        self.deadline_ms: int | None = None
        self._ahead, self._back = (ENTRY, EXIT) if ahead == ENTRY else (EXIT, ENTRY)
        self._debounce_ms = debounce_ms
        self._raw = self._a, self._b = False, False
        self._inward = False
        self._past_a = 0

    def step(self, now_ms: int, a_occupied: bool, b_occupied: bool) -> list[Event]:
        """The loops as they stand now; events once a change has lasted debounce_ms."""
        events: list[Event] = []
        if self.deadline_ms is not None and now_ms >= self.deadline_ms:
            self.deadline_ms = None
            self._settled(*self._raw, events)
        if (a_occupied, b_occupied) != self._raw:
            self._raw = a_occupied, b_occupied
            self.deadline_ms = now_ms + self._debounce_ms
            if not self._debounce_ms:
                self.deadline_ms = None
                self._settled(*self._raw, events)
        if self._raw == (self._a, self._b):
            self.deadline_ms = None
        return events

    def _settled(self, a: bool, b: bool, events: list[Event]) -> None:
        was_a, was_b = self._a, self._b
        self._a, self._b = a, b
        if b and not was_b:
            # Both at once is a quick car from outside: from inside it would have to be on B first.
            self._inward = a or was_a
            self._past_a = int(self._inward and not a)
            events.append(PassageBusy(True))
        elif b and was_a and not a and self._inward:
            self._past_a += 1
        elif was_b and not b:
            if self._inward:
                # A car that leaves both at the same reading was last over B, so it is in.
                gone = self._past_a + int(was_a and not a)
                events += [BodyPassed(self._ahead)] * gone
            elif a:
                events.append(BodyPassed(self._back))
            events.append(PassageBusy(False))
