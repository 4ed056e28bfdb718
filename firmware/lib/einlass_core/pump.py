"""Feeds a lane from asyncio, which both Pythons have. The one core file that waits."""

import asyncio
from collections import deque

from einlass_core.effects import Record
from einlass_core.events import NotRecorded, Ticked
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from einlass_core.effects import Effect
    from einlass_core.events import Event

EVENTS_MAX = 64


class Inbox:
    """Events waiting for the lane. When EVENTS_MAX wait, the new one is dropped and counted.

    Passages and emergency come through the same queue: EVENTS_MAX is far more than sensors can make in one turn.
    """

    def __init__(self) -> None:
        self._events: "deque[Event]" = deque((), EVENTS_MAX)
        self._ready = asyncio.Event()
        self.dropped = 0

    def put(self, event: "Event") -> bool:
        """False when there is no room: the caller may try again (back-pressure)."""
        if len(self._events) >= EVENTS_MAX:
            self.dropped += 1
            return False
        self._events.append(event)
        self._ready.set()
        return True

    def wake(self) -> None:
        """End the waiting in get(): for a shell that looks at the lane's deadline itself."""
        self._ready.set()

    async def get(self, timeout_ms: "int | None") -> "Event":
        """The next event, or Ticked when none came in time (None: until wake() is called).

        Only the waiting may be cancelled, never the taking: MicroPython's wait_for loses the result of a task that
        finishes as its time runs out.
        """
        if not self._events:
            self._ready.clear()
            if timeout_ms is None:
                await self._ready.wait()
            else:
                try:
                    await asyncio.wait_for(self._ready.wait(), timeout_ms / 1000)
                except asyncio.TimeoutError:
                    pass
        return self._events.popleft() if self._events else Ticked()


def run_step(machine: "Any", now_ms: int, event: "Event", perform: "Callable[[Effect], bool]") -> None:
    """One step and its effects. perform() says False when a Record could not be made durable."""
    waiting = [event]
    while waiting:
        failed = False
        for effect in machine.step(now_ms, waiting.pop(0)):
            if failed or not perform(effect):
                failed = True
                if isinstance(effect, Record):
                    waiting.append(NotRecorded(effect.kind, effect.fields))


async def pump(
    machine: "Any", inbox: Inbox, perform: "Callable[[Effect], bool]", now_ms: "Callable[[], int]", first: "Event"
) -> None:
    """Run until cancelled."""
    event = first
    while True:
        run_step(machine, now_ms(), event, perform)
        deadline_ms = machine.deadline_ms
        event = await inbox.get(None if deadline_ms is None else max(0, deadline_ms - now_ms()))
