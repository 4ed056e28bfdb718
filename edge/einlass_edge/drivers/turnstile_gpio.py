"""A turnstile on the Pi's own pins: relays, lamps, buzzer, two barriers, the emergency loop.

gpiozero sits behind Pins, so another pin library is one class away. Debouncing is the core's (Passage): gpiozero's own
differs between its pin backends.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog

from einlass_edge.drivers.driver import Now
from einlass_edge.drivers.outputs import SAFE, Outputs, Wanted
from einlass_edge.drivers.sensors import Levels, Sensors

OUTPUT_NAMES = ("entry_bolt", "exit_bolt", "lamp_green", "lamp_red", "lamp_yellow", "buzzer")
INPUT_NAMES = ("barrier_a", "barrier_b", "emergency", "bolt_contact")
# An edge that the kernel did not report is found by looking.
LOOK_MS = 100

log = structlog.get_logger(__name__)


class PinsMissingError(OSError):
    """The pins cannot be used here; the text says what to install or to change."""


class Pins(Protocol):
    """A turnstile's outputs and inputs as one piece of hardware."""

    def write(self, outputs: Outputs) -> None:
        """Set all outputs now."""

    def levels(self) -> Levels:
        """Read all inputs now."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Call changed() after any input changed, from whatever thread."""

    def close(self) -> None:
        """Give the pins back; outputs fall to their unpowered state."""


class GpiozeroPins:
    """Pins by BCM number through gpiozero. Inputs have pull-ups: high is blocked, pressed or a cut wire.

    inverted: names whose level is the other way round. PinsMissingError when gpiozero or its backend is not there.
    """

    def __init__(self, numbers: Mapping[str, int], inverted: frozenset[str], factory: Any = None) -> None:
        try:
            import gpiozero
        except ImportError as error:
            raise PinsMissingError(
                "gpiozero is not installed: apt-get install python3-gpiozero, or `einlass[pi]`"
            ) from error
        self._inverted = inverted
        self._outputs: dict[str, Any] = {}
        self._inputs: dict[str, Any] = {}
        try:
            for name, number in numbers.items():
                if name in OUTPUT_NAMES:
                    self._outputs[name] = gpiozero.DigitalOutputDevice(
                        number,
                        active_high=name not in inverted,
                        initial_value=_safe_value(name),
                        pin_factory=factory,
                    )
                else:
                    self._inputs[name] = gpiozero.DigitalInputDevice(number, pull_up=True, pin_factory=factory)
        except gpiozero.GPIOZeroError as error:
            self.close()
            raise PinsMissingError(f"pin {name} ({number}): {error}. On a Pi: apt-get install python3-lgpio") from error

    def write(self, outputs: Outputs) -> None:
        """See Pins."""
        for name, value in zip(OUTPUT_NAMES, _values(outputs), strict=True):
            if name in self._outputs:
                self._outputs[name].value = value

    def levels(self) -> Levels:
        """See Pins."""
        return Levels(
            barrier_a=self._is_on("barrier_a"),
            barrier_b=self._is_on("barrier_b"),
            emergency=self._is_on("emergency"),
            entry_free=self._is_on("bolt_contact") if "bolt_contact" in self._inputs else None,
        )

    def watch(self, changed: Callable[[], None]) -> None:
        """See Pins."""
        for device in self._inputs.values():
            device.when_activated = changed
            device.when_deactivated = changed

    def close(self) -> None:
        """See Pins."""
        for device in (*self._outputs.values(), *self._inputs.values()):
            device.close()

    def _is_on(self, name: str) -> bool:
        # With its pull-up gpiozero calls a low pin active.
        high = not self._inputs[name].value
        return high != (name in self._inverted)


class GpioTurnstile:
    """See Turnstile. bolt_moved is called after the entry pin was set."""

    def __init__(
        self,
        pins: Pins,
        wanted: Wanted,
        sensors: Sensors,
        now_ms: Now,
        bolt_moved: Callable[[bool], None] = lambda free: None,
    ) -> None:
        self._pins = pins
        self._wanted = wanted
        self._sensors = sensors
        self._now_ms = now_ms
        self._bolt_moved = bolt_moved
        self._wake = asyncio.Event()
        self._written: Outputs | None = None
        self._closed = False

    def set_bolt(self, side: str, released: bool, until_ms: int | None) -> None:
        """See Turnstile."""
        self._wanted.set_bolt(side, released, until_ms)
        self._write()

    def show(self, colour: str, sound: tuple[int, ...]) -> None:
        """See Turnstile."""
        self._wanted.show(self._now_ms(), colour, sound)
        self._write()

    async def run(self) -> None:
        """See Turnstile."""
        loop = asyncio.get_running_loop()

        def changed() -> None:
            # A pin may still change while the loop is closing.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wake.set)

        self._pins.watch(changed)
        try:
            while True:
                self._wake.clear()
                self._sensors.see(self._now_ms(), self._pins.levels())
                self._write()
                await self._sleep()
        finally:
            self._closed = True
            self._pins.write(SAFE)
            self._pins.close()

    async def _sleep(self) -> None:
        now = self._now_ms()
        due = [now + LOOK_MS]
        for at_ms in (self._sensors.deadline_ms, self._wanted.change_ms(now)):
            if at_ms is not None:
                due.append(at_ms)
        with contextlib.suppress(asyncio.TimeoutError):
            # Not wait_for: in Python 3.11 that loses a cancellation that comes together with the event.
            async with asyncio.timeout(max(0, min(due) - now) / 1000):
                await self._wake.wait()

    def _write(self) -> None:
        if self._closed:
            return
        outputs = self._wanted.at(self._now_ms())
        before, self._written = self._written, outputs
        if outputs == before:
            return
        self._pins.write(outputs)
        if before is None or before.entry_free != outputs.entry_free:
            self._bolt_moved(outputs.entry_free)
        self._wake.set()


def _values(outputs: Outputs) -> tuple[bool, ...]:
    return (
        outputs.entry_free,
        outputs.exit_free,
        outputs.green,
        outputs.red,
        outputs.yellow,
        outputs.buzzer,
    )


def _safe_value(name: str) -> bool:
    return dict(zip(OUTPUT_NAMES, _values(SAFE), strict=True))[name]
