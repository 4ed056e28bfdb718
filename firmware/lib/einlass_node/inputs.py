"""Input lines: barriers, emergency loop, bolt contact. Looked at again and again, so nothing depends on an interrupt.

look() makes no garbage while nothing changes: it is called a hundred times a second, and a collection takes time.
"""

from collections import deque
from machine import Pin

from einlass_core.events import ENTRY, BoltSensed, EmergencyInput
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from einlass_core.board import Line
    from einlass_core.events import Event
    from einlass_core.passage import Passage

CHANGES_MAX = 32  # four people, should the program be held up so long
NOTHING: "tuple[Event, ...]" = ()


class Input:
    """One input line with pull-up, so that a cut wire reads as 1."""

    def __init__(self, line: "Line") -> None:
        self._active_low = line.active_low
        self.pin = Pin(line.pin, Pin.IN, Pin.PULL_UP)

    def on(self) -> bool:
        """Whether the line is in the state its name says."""
        return bool(self.pin.value()) != self._active_low


class Barriers:
    """Two light barriers, every change kept in order by the interrupt and handed to the passage decoder."""

    def __init__(self, a: Input, b: Input, passage: "Passage", now_ms: "Callable[[], int]") -> None:
        self._a = a
        self._b = b
        self._a_on = self._b_on = False
        self._passage = passage
        self._now_ms = now_ms
        self._changes: "deque[tuple[int, bool, bool]]" = deque((), CHANGES_MAX)
        for one in (a, b):
            one.pin.irq(self._changed, Pin.IRQ_RISING | Pin.IRQ_FALLING)

    def _changed(self, _: "Pin") -> None:
        self._changes.append((self._now_ms(), self._a.on(), self._b.on()))

    def look(self, now_ms: int) -> "Sequence[Event]":
        """What has happened since the last look."""
        a, b = self._a.on(), self._b.on()
        deadline_ms = self._passage.deadline_ms
        due = deadline_ms is not None and now_ms >= deadline_ms
        if not due and not self._changes and a == self._a_on and b == self._b_on:
            return NOTHING
        self._a_on, self._b_on = a, b
        events: "list[Event]" = []
        while self._changes:
            events.extend(self._passage.step(*self._changes.popleft()))
        events.extend(self._passage.step(self._now_ms(), a, b))
        return events


class Contacts:
    """Slow contacts: emergency loop and bolt position."""

    def __init__(self, emergency: Input, bolt_sensed: "Input | None") -> None:
        self._emergency = emergency
        self._bolt = bolt_sensed
        self._pressed = self._released = False
        self.site = False  # an emergency of the whole site, which counts as one more button on the loop

    def look(self, now_ms: int) -> "Sequence[Event]":
        """What has happened since the last look; one thing at a time."""
        if (self.site or self._emergency.on()) != self._pressed:
            self._pressed = not self._pressed
            return (EmergencyInput(self._pressed),)
        if self._bolt is not None and self._bolt.on() != self._released:
            self._released = not self._released
            return (BoltSensed(ENTRY, self._released),)
        return NOTHING
