"""The bolts of a turnstile on two output lines."""

from machine import Pin

from einlass_core.events import ENTRY
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from einlass_core.board import Line


class Output:
    """One output line; on() means what the line's name says, whichever level that is."""

    def __init__(self, line: "Line", on: bool = False) -> None:
        self._active_low = line.active_low
        self._pin = Pin(line.pin, Pin.OUT, value=int(on) ^ int(line.active_low))

    def set(self, on: bool) -> None:
        """Takes effect at once."""
        self._pin.value(int(on) ^ int(self._active_low))


class Bolts:
    """Never: a side that is asked to open after its deadline stays shut. There is no "not now"."""

    def __init__(self, entry: Output, exit_side: Output, now_ms: "Callable[[], int]") -> None:
        self._entry = entry
        self._exit = exit_side
        self._now_ms = now_ms

    def set(self, side: str, released: bool, until_ms: "int | None") -> None:
        """Free or lock a side; a release whose time is over (the program was held up) is dropped."""
        if released and until_ms is not None and self._now_ms() >= until_ms:
            return
        (self._entry if side == ENTRY else self._exit).set(released)
