"""The ports that hardware plugs into. A driver gets its device passed in and never looks one up.

Drivers report through three callables:

    Feed      takes an event for the lane; False means "not now, the lane is behind": keep it and offer it again, or
              drop it if the world will repeat it (a code that is still held before the reader)
    Trouble   takes a reason (at most 32 characters) and whether it began (True) or is over (False)
    Now       milliseconds that never run back (clock.now_ms)
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from einlass_core.events import Event

Feed = Callable[[Event], bool]
Trouble = Callable[[str, bool], None]
Now = Callable[[], int]

RETRY_MS_MIN = 200
RETRY_MS_MAX = 5000
KEPT_EVENTS_MAX = 256


class Reader(Protocol):
    """Something that sees codes and feeds Scanned events."""

    async def run(self) -> None:
        """Until cancelled. A device that is not there is reported once as trouble and tried again, for ever."""


class Turnstile(Protocol):
    """Bolts, lamps and buzzer of one lane, and its sensors, which feed passages and the emergency input."""

    def set_bolt(self, side: str, released: bool, until_ms: int | None) -> None:
        """Free or lock a side; returns at once.

        Not now (the board does not answer): the wish is kept and carried out when it does, unless until_ms is over by
        then; whether the bolt moved is only ever told by the bolt's own contact. Never: a release later than until_ms.
        """

    def show(self, colour: str, sound: tuple[int, ...]) -> None:
        """Lamp (signals.GREEN ...) and a sound in ms on, off, on; returns at once, replaces what was shown."""

    async def run(self) -> None:
        """Until cancelled; then the bolts are brought to their safe state if the device can still be reached.

        While the sensors cannot be read the lane hears PassageBusy(True): somebody might be passing.
        """


class Backoff:
    """How long to wait before a device is tried again: doubles from RETRY_MS_MIN to RETRY_MS_MAX."""

    def __init__(self) -> None:
        self._next_ms = RETRY_MS_MIN

    def next_s(self) -> float:
        """The pause before the next try, in seconds."""
        pause_ms = self._next_ms
        self._next_ms = min(RETRY_MS_MAX, pause_ms * 2)
        return pause_ms / 1000

    def reset(self) -> None:
        """It works again: the next pause is the shortest."""
        self._next_ms = RETRY_MS_MIN


class KeptEvents:
    """For what the world will not repeat: keeps events in order until the lane has room for them."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._events: deque[Event] = deque()
        self.lost = 0

    def offer(self, event: Event) -> bool:
        """Whether everything is with the lane now; False: call retry() soon. Beyond KEPT_EVENTS_MAX it is lost."""
        if len(self._events) >= KEPT_EVENTS_MAX:
            self.lost += 1
            return False
        self._events.append(event)
        return self.retry()

    def retry(self) -> bool:
        """Offer again what is kept; whether all of it is with the lane now."""
        while self._events and self._feed(self._events[0]):
            self._events.popleft()
        return not self._events
