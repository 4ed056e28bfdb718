"""A keypad on a serial line: one ASCII character for each key that is pressed.

Letters, digits, `-` and blank are typed. CR is OK, ESC cancels, BS takes a character back, `*` is the key for cards,
`#` for the language, `?` for a lost ticket. Other bytes are noise and dropped.
"""

from collections.abc import Callable

from einlass_edge.drivers.driver import Trouble
from einlass_edge.drivers.lasting import lasting
from einlass_edge.drivers.tty import Tty

OK, CANCEL, BACK, CARD, LANGUAGE, LOST = "\r", "\x1b", "\x08", "*", "#", "?"
_TYPED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789- ")
KEYS = _TYPED | {OK, CANCEL, BACK, CARD, LANGUAGE, LOST}
WAIT_S = 5.0


class Keypad:
    """One keypad. pressed() gets each key, letters in upper case. Trouble: `keys_lost`, when its line is gone."""

    def __init__(self, port: str, baud: int, pressed: Callable[[str], None], trouble: Trouble) -> None:
        self._port = port
        self._baud = baud
        self._pressed = pressed
        self._trouble = trouble

    async def run(self) -> None:
        """Until cancelled: the line is opened again when it is lost."""
        await lasting(self._serve, "keys_lost", self._port, self._trouble)

    async def _serve(self, works: Callable[[], None]) -> None:
        with Tty(self._port, self._baud) as tty:
            works()
            tty.drop_input()  # What was pressed while nobody listened is nobody's wish any more.
            while True:
                self._take(await tty.read(WAIT_S))

    def _take(self, data: bytes) -> None:
        for byte in data:
            key = chr(byte).upper() if byte < 128 else ""
            if key in KEYS:
                self._pressed(key)


def is_typed(key: str) -> bool:
    """Whether this key is a character, and no order."""
    return key in _TYPED
