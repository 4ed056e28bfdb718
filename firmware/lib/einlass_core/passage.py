"""Two light barriers tell who went where: A outside, B inside. Debounced here, because drivers' own debouncing differs.

    inward   A, A+B, B, none        outward  B, A+B, A, none        stepped back: the side it came from clears last

The arm of a turnstile cannot turn back once a body has cleared the first barrier, so a body at the far barrier alone is
through; a second one following before the first has left is counted on its own.
"""

from einlass_core.events import ENTRY, EXIT, BodyPassed, PassageBusy
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from einlass_core.events import Event

_NONE = 0
_A = 1
_B = 2
_BOTH = 3


class Passage:
    """Feed step() every change of a barrier, and again at deadline_ms; it returns the lane's events."""

    def __init__(self, debounce_ms: int = 15) -> None:
        self._debounce_ms = debounce_ms
        self._raw = _NONE
        self._seen = _NONE
        self._came_from = _NONE
        self._through = False
        self.deadline_ms: "int | None" = None

    def step(self, now_ms: int, a_blocked: bool, b_blocked: bool) -> "list[Event]":
        """The barriers as they stand now; events once a change has lasted debounce_ms."""
        events: "list[Event]" = []
        if self.deadline_ms is not None and now_ms >= self.deadline_ms:
            self.deadline_ms = None
            self._settled(self._raw, events)
        raw = (_A if a_blocked else _NONE) | (_B if b_blocked else _NONE)
        if raw != self._raw:
            self._raw = raw
            self.deadline_ms = now_ms + self._debounce_ms
            if not self._debounce_ms:
                self.deadline_ms = None
                self._settled(raw, events)
        if self._raw == self._seen:
            self.deadline_ms = None
        return events

    def _settled(self, now: int, events: "list[Event]") -> None:
        before = self._seen
        if now == before:
            return
        self._seen = now
        if before == _NONE:
            events.append(PassageBusy(True))
            self._came_from = now  # _BOTH: too quick to tell; the barrier that clears last will.
            self._through = False
        elif now == _NONE:
            self._cleared(before, events)
            events.append(PassageBusy(False))
        elif now == _BOTH and self._through:
            pass  # A second body is entering behind one that is through.
        elif self._through and before == _BOTH and now == self._came_from:
            events.append(BodyPassed(self._direction()))
            self._through = False
        elif now in (_A, _B):
            self._through = self._came_from != _BOTH and now != self._came_from

    def _cleared(self, last: int, events: "list[Event]") -> None:
        if self._came_from == _BOTH:
            if last in (_A, _B):
                self._came_from = _B if last == _A else _A
                events.append(BodyPassed(self._direction()))
        elif last == _BOTH:
            events.append(BodyPassed(self._direction()))  # In doubt somebody went through.
        elif last != self._came_from:
            events.append(BodyPassed(self._direction()))

    def _direction(self) -> str:
        return ENTRY if self._came_from == _A else EXIT
