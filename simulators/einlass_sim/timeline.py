"""Something whose time is driven from outside: what happens at which millisecond, and what came of it."""

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Timeline(Generic[T]):
    """Things happen in the order of their time; at the same time, as they were planned. `_out`: what came of it."""

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._serial = 0
        self._out: list[T] = []

    @property
    def next_ms(self) -> int | None:
        """When advance() has something to do next; None while only the outside can change anything."""
        if self._out:
            return self.now_ms
        return self._heap[0][0] if self._heap else None

    def advance(self, to_ms: int) -> list[T]:
        """Let time pass up to and including to_ms; what came of it, in order. ValueError when time would run back."""
        if to_ms < self.now_ms:
            raise ValueError(f"time ran back from {self.now_ms} to {to_ms} ms")
        while self._heap and self._heap[0][0] <= to_ms:
            self.now_ms, _, happen = heapq.heappop(self._heap)
            happen()
        self.now_ms = to_ms
        out, self._out = self._out, []
        return out

    def _at(self, after_ms: int, happen: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (self.now_ms + after_ms, self._serial, happen))
