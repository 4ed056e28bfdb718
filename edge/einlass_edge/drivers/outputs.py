"""What bolts, lamps and buzzer should be at a moment: pure, so that every turnstile driver asks it at the bolt."""

from dataclasses import dataclass

from einlass_core.events import ENTRY
from einlass_core.signals import DARK, GREEN, RED, YELLOW

IDENTIFY_SOUND = (100, 100, 100, 100, 100, 100, 100, 100, 100)


@dataclass(frozen=True, slots=True)
class Outputs:
    """True: the side is free, the lamp is lit, the buzzer sounds."""

    entry_free: bool
    exit_free: bool
    green: bool = False
    red: bool = False
    yellow: bool = False
    buzzer: bool = False


SAFE = Outputs(entry_free=False, exit_free=True, red=True)


class Wanted:
    """Collects the lane's wishes; at() says what they come to now. An entry release ends by itself at its deadline."""

    def __init__(self, exit_free: bool) -> None:
        self._entry_free = False
        self._entry_until_ms: int | None = None
        self._exit_free = exit_free
        self._colour = DARK
        self._sound: tuple[int, ...] = ()
        self._sound_from_ms = 0

    def set_bolt(self, side: str, released: bool, until_ms: int | None) -> None:
        """As Turnstile.set_bolt."""
        if side == ENTRY:
            self._entry_free = released
            self._entry_until_ms = until_ms
        else:
            self._exit_free = released

    def show(self, now_ms: int, colour: str, sound: tuple[int, ...]) -> None:
        """Light this lamp from now on; the sound starts now."""
        self._colour = colour
        self._sound = sound
        self._sound_from_ms = now_ms

    def at(self, now_ms: int) -> Outputs:
        """The outputs as they must be now."""
        in_time = self._entry_until_ms is None or now_ms < self._entry_until_ms
        return Outputs(
            entry_free=self._entry_free and in_time,
            exit_free=self._exit_free,
            green=self._colour == GREEN,
            red=self._colour == RED,
            yellow=self._colour == YELLOW,
            buzzer=self._sounding(now_ms)[0],
        )

    def change_ms(self, now_ms: int) -> int | None:
        """The next moment at which at() may say something else by itself; None: not before a new wish."""
        due = self._sounding(now_ms)[1]
        until_ms = self._entry_until_ms
        if self._entry_free and until_ms is not None and until_ms > now_ms:
            due = until_ms if due is None else min(due, until_ms)
        return due

    def _sounding(self, now_ms: int) -> tuple[bool, int | None]:
        end_ms = self._sound_from_ms
        for index, length_ms in enumerate(self._sound):
            end_ms += length_ms
            if now_ms < end_ms:
                return index % 2 == 0, end_ms
        return False, None
