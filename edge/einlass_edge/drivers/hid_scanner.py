"""A scanner that plays a keyboard (USB HID), read from /dev/input/eventN so that it types into nothing else.

Set the scanner to US layout and to send Enter after a code.
"""

from collections.abc import Callable

import structlog

from einlass_core.codes import CODE_LENGTH_MAX
from einlass_core.events import Scanned
from einlass_edge.drivers.driver import Feed, Trouble
from einlass_edge.drivers.hid import Strokes, read_strokes
from einlass_edge.drivers.lasting import lasting

_ENTER = (28, 96)

# Key codes from 2 on in rows, US layout, without and with shift; space: no character.
_ROWS = (
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", " "),
)
_PLAIN = {first + at: character for first, plain, _ in _ROWS for at, character in enumerate(plain)}
_SHIFTED = {first + at: character for first, _, shifted in _ROWS for at, character in enumerate(shifted)}
_UNKNOWN = "\x00"

log = structlog.get_logger(__name__)


class Keys:
    """Key events to codes: feed() bytes as the kernel gives them."""

    def __init__(self) -> None:
        self._strokes = Strokes()
        self._text = ""

    def feed(self, data: bytes) -> list[bytes]:
        """Codes completed by Enter; an overlong one is cut one byte above the limit, as SerialScanner does."""
        return self.press(self._strokes.feed(data))

    def press(self, strokes: list[tuple[int, bool]]) -> list[bytes]:
        """The same, of keys that went down."""
        codes: list[bytes] = []
        for key, shifted in strokes:
            self._press(key, shifted, codes)
        return codes

    def _press(self, key: int, shifted: bool, codes: list[bytes]) -> None:
        if key in _ENTER:
            if self._text:
                codes.append(self._text.encode())
            self._text = ""
        elif len(self._text) <= CODE_LENGTH_MAX:
            # A key that is no character makes the code unreadable rather than another code.
            self._text += (_SHIFTED if shifted else _PLAIN).get(key, _UNKNOWN)


class HidScanner:
    """See Reader."""

    def __init__(self, side: str, path: str, feed: Feed, trouble: Trouble) -> None:
        self._side = side
        self._path = path
        self._feed = feed
        self._trouble = trouble

    async def run(self) -> None:
        """See Reader."""
        await lasting(self._serve, f"{self._side}_scanner_lost", self._path, self._trouble)

    async def _serve(self, works: Callable[[], None]) -> None:
        keys = Keys()

        def take(strokes: list[tuple[int, bool]]) -> None:
            for raw in keys.press(strokes):
                if not self._feed(Scanned(self._side, raw)):
                    log.warning("scans_dropped", side=self._side, count=1)

        await read_strokes(self._path, works, take)
