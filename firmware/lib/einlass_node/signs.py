"""Lamps and buzzer: what the visitor sees and hears of a decision."""

import asyncio

from einlass_core.record import TYPE_CHECKING
from einlass_core.signals import GREEN, RED, YELLOW, signal

if TYPE_CHECKING:
    from einlass_node.bolt import Output


class Signs:
    """show() never waits; a new sign ends the sound of the one before."""

    def __init__(self, green: "Output", red: "Output", yellow: "Output", buzzer: "Output") -> None:
        self._lamps = ((GREEN, green), (RED, red), (YELLOW, yellow))
        self._buzzer = buzzer
        self._sound: "asyncio.Task[None] | None" = None
        self.shown = ""

    def show(self, code: str) -> None:
        """Light and sound of one decision code."""
        colour, sound = signal(code)
        for name, lamp in self._lamps:
            lamp.set(name == colour)
        if code == self.shown and not sound:
            return
        self.shown = code
        if self._sound is not None:
            self._sound.cancel()
            self._sound = None
        self._buzzer.set(False)
        if sound:
            self._sound = asyncio.create_task(self._play(sound))

    async def _play(self, sound: "tuple[int, ...]") -> None:
        try:
            on = True
            for length_ms in sound:
                self._buzzer.set(on)
                await asyncio.sleep_ms(length_ms)
                on = not on
        finally:
            self._buzzer.set(False)
