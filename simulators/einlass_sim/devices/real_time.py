"""A plant's time driven by the event loop's clock."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from einlass_sim.timeline import Timeline

T = TypeVar("T")
LATE_MS = 5


class RealTime(Generic[T]):
    """From start() to stop() a plant's time is the loop's. catch_up() before and after whatever touches the plant."""

    def __init__(self, plant: Timeline[T], deliver: Callable[[T], None]) -> None:
        """deliver: takes whatever came of it, in order."""
        self._plant = plant
        self._deliver = deliver
        self._start_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def runs(self) -> bool:
        """Whether time goes on."""
        return self._loop is not None

    def start(self) -> None:
        """From here on."""
        self._loop = asyncio.get_running_loop()
        self._start_s = self._loop.time() - self._plant.now_ms / 1000

    def stop(self) -> None:
        """Time stands still."""
        self._loop = None
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def catch_up(self) -> None:
        """Let the plant's time catch up, pass on what happened, and come back when more will.

        RuntimeError before start() and after stop().
        """
        loop, plant = self._loop, self._plant
        if loop is None:
            raise RuntimeError("the lane is not started: its time stands still")
        now_ms, next_ms = int(1000 * (loop.time() - self._start_s)), plant.next_ms
        if next_ms is not None and now_ms > next_ms + LATE_MS:
            # This program was held up. The world stands still for so long: else sensors would miss half of a passage.
            self._start_s += (now_ms - next_ms) / 1000
            now_ms = next_ms
        for output in plant.advance(max(plant.now_ms, now_ms)):
            self._deliver(output)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if plant.next_ms is not None:
            self._timer = loop.call_at(self._start_s + plant.next_ms / 1000, self.catch_up)
