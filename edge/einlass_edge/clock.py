"""The node's two clocks: one that only counts, and the wall's, which is the controller's word."""

import time

NANOSECONDS_A_MILLISECOND = 1_000_000


def now_ms() -> int:
    """Milliseconds since the machine started; never runs back, never wraps, and counts on while it sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // NANOSECONDS_A_MILLISECOND


class WallClock:
    """What time it is by the last `time` message; 0 while nobody has said."""

    def __init__(self) -> None:
        self._offset_ms: int | None = None

    def set(self, unix_ms: int, at_ms: int) -> None:
        """The controller says that it was unix_ms (UTC) when the node's clock showed at_ms."""
        self._offset_ms = unix_ms - at_ms

    def unix_ms(self, at_ms: int) -> int:
        """UTC in milliseconds at that moment of the node's clock, or 0 when it is not known."""
        return 0 if self._offset_ms is None else max(0, self._offset_ms + at_ms)
