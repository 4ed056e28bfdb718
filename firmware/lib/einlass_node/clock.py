"""Two clocks: one that only goes up, and what the controller says the time is."""

import time


class Clock:
    """now_ms() never wraps. Call it at least once every 6 days: a tick difference past that is ambiguous."""

    def __init__(self) -> None:
        self._last = time.ticks_ms()
        self._total_ms = 0
        self._offset_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since the start."""
        now = time.ticks_ms()
        self._total_ms += time.ticks_diff(now, self._last)
        self._last = now
        return self._total_ms

    def trust(self, unix_ms: int) -> None:
        """The controller has told the time."""
        self._offset_ms = unix_ms - self.now_ms()

    def unix_ms(self) -> int:
        """The time of day as told by the controller, carried on by this clock; 0 when it was never told."""
        return self._offset_ms + self.now_ms() if self._offset_ms else 0

    def started_unix_ms(self) -> int:
        """When this node started, by the controller's clock; 0 when unknown."""
        return self._offset_ms
