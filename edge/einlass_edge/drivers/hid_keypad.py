"""A keypad or keyboard on USB (HID): the keys of drivers.keypad, from a numeric block as well as from letters.

Enter is OK; Esc, Delete and Num Lock cancel; Backspace and the block's comma take a character back; `*` is the key for
cards, `/` and `#` the language, `+` and `?` a lost ticket. Keys that are none of these are dropped.
"""

from collections.abc import Callable

from einlass_edge.drivers.driver import Trouble
from einlass_edge.drivers.hid import read_strokes
from einlass_edge.drivers.keypad import BACK, CANCEL, CARD, LANGUAGE, LOST, OK
from einlass_edge.drivers.lasting import lasting

GERMAN, AMERICAN = LAYOUTS = ("de", "us")

_LETTERS = {16: "QWERTYUIOP", 30: "ASDFGHJKL", 44: "ZXCVBNM"}
_TYPED = {first + at: letter for first, row in _LETTERS.items() for at, letter in enumerate(row)}
_TYPED |= {2 + at: digit for at, digit in enumerate("1234567890")}
_TYPED |= {71: "7", 72: "8", 73: "9", 75: "4", 76: "5", 77: "6", 79: "1", 80: "2", 81: "3", 82: "0"}  # the block
_TYPED |= {57: " ", 74: "-"}
_ORDERS = {28: OK, 96: OK, 1: CANCEL, 111: CANCEL, 69: CANCEL, 14: BACK, 83: BACK, 121: BACK}
_ORDERS |= {55: CARD, 98: LANGUAGE, 78: LOST}
# What lies elsewhere: by layout without shift, and with it. Umlauts of plates are their letters (einlass_core.plates).
_PLAIN = {
    GERMAN: {21: "Z", 44: "Y", 53: "-", 43: LANGUAGE, 27: LOST, 26: "U", 39: "O", 40: "A"},
    AMERICAN: {12: "-", 53: LANGUAGE},
}
_SHIFTED = {
    GERMAN: {27: CARD, 12: LOST, 8: LANGUAGE},
    AMERICAN: {4: LANGUAGE, 9: CARD, 13: LOST, 53: LOST},
}


def key_of(code: int, shifted: bool, layout: str) -> str:
    """The key of drivers.keypad that this one is; "": none."""
    if shifted and code in _SHIFTED[layout]:
        return _SHIFTED[layout][code]
    found = _PLAIN[layout].get(code) or _ORDERS.get(code) or _TYPED.get(code, "")
    return "" if shifted and found.isdigit() and code < 12 else found


class HidKeypad:
    """One keypad. pressed() gets each key, letters in upper case. Trouble: `keys_lost`, when it is unplugged."""

    def __init__(self, path: str, layout: str, pressed: Callable[[str], None], trouble: Trouble) -> None:
        self._path = path
        self._layout = layout
        self._pressed = pressed
        self._trouble = trouble

    async def run(self) -> None:
        """Until cancelled: it is opened again when it is plugged in again."""
        await lasting(self._serve, "keys_lost", self._path, self._trouble)

    async def _serve(self, works: Callable[[], None]) -> None:
        await read_strokes(self._path, works, self._take)

    def _take(self, strokes: list[tuple[int, bool]]) -> None:
        for code, shifted in strokes:
            key = key_of(code, shifted, self._layout)
            if key:
                self._pressed(key)
