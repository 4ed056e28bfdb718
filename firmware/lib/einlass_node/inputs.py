"""Input lines: barriers, emergency loop, bolt contact. Interrupts only say "look"; levels are read by the tasks."""

import asyncio
from collections import deque
from machine import Pin

from einlass_core.events import ENTRY, BoltSensed, EmergencyInput
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from einlass_core.events import Event
    from einlass_core.passage import Passage
    from einlass_core.board import Line

CHANGES_MAX = 64
LOOK_MS = 100  # An interrupt can be lost; nothing that matters may depend on one.


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
        self._passage = passage
        self._now_ms = now_ms
        self._changes: "deque[tuple[int, bool, bool]]" = deque((), CHANGES_MAX)  # noqa: RUF037 - MicroPython wants both
        self._flag = asyncio.ThreadSafeFlag()
        for one in (a, b):
            one.pin.irq(self._changed, Pin.IRQ_RISING | Pin.IRQ_FALLING)

    def _changed(self, _: "Pin") -> None:
        self._changes.append((self._now_ms(), self._a.on(), self._b.on()))
        self._flag.set()

    async def run(self, put: "Callable[[Event], bool]") -> None:
        """Until cancelled."""
        while True:
            deadline_ms = self._passage.deadline_ms
            wait_ms = LOOK_MS if deadline_ms is None else max(0, min(LOOK_MS, deadline_ms - self._now_ms()))
            try:
                await asyncio.wait_for_ms(self._flag.wait(), wait_ms)
            except asyncio.TimeoutError:
                pass
            while self._changes:
                at_ms, a, b = self._changes.popleft()
                await _deliver(put, self._passage.step(at_ms, a, b))
            await _deliver(put, self._passage.step(self._now_ms(), self._a.on(), self._b.on()))


class Contacts:
    """Slow contacts, looked at by an interrupt and ten times a second: emergency loop and bolt position."""

    def __init__(self, emergency: Input, bolt_sensed: "Input | None") -> None:
        self._emergency = emergency
        self._bolt = bolt_sensed
        self._flag = asyncio.ThreadSafeFlag()
        emergency.pin.irq(self._changed, Pin.IRQ_RISING | Pin.IRQ_FALLING)
        if bolt_sensed is not None:
            bolt_sensed.pin.irq(self._changed, Pin.IRQ_RISING | Pin.IRQ_FALLING)

    def _changed(self, _: "Pin") -> None:
        self._flag.set()

    async def run(self, put: "Callable[[Event], bool]") -> None:
        """Until cancelled."""
        pressed = released = False
        while True:
            if self._emergency.on() != pressed:
                pressed = not pressed
                await _deliver(put, [EmergencyInput(pressed)])
            if self._bolt is not None and self._bolt.on() != released:
                released = not released
                await _deliver(put, [BoltSensed(ENTRY, released)])
            try:
                await asyncio.wait_for_ms(self._flag.wait(), LOOK_MS)
            except asyncio.TimeoutError:
                pass


async def _deliver(put: "Callable[[Event], bool]", events: "list[Event]") -> None:
    """A passage is never dropped: when the lane is behind, the sensor waits."""
    for event in events:
        while not put(event):
            await asyncio.sleep_ms(5)
