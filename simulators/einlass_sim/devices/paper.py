"""A roll of thermal paper under a print head and a cutter: rows of dots in, slips as pictures out. No I/O, no clock.

8 dots a millimetre both ways. A row that is printed when there is no paper left is lost, as on the real thing.
"""

import functools
import unicodedata
from dataclasses import dataclass, field

from PIL import Image, ImageDraw, ImageFont

WIDTH_DOTS = 512
DOTS_A_MM = 8
CELL = (12, 24)
GLYPH_SIZE = 20
INK_FROM = 110
_BUILT_OF = {"€": "C=", "ß": "B ", "£": "L=", "§": "S\u0308"}
ROLL_MM = 80_000


@dataclass(frozen=True)
class Cut:
    """One piece of paper that fell off: its picture (L, white paper) and the lines of text that are on it."""

    picture: Image.Image
    lines: list[str]
    codes: list[str]


@dataclass
class Roll:
    """Paper in the printer; near_end_mm: from how little on the near-end sensor tells."""

    left_mm: float = ROLL_MM
    near_end_mm: float = 5000
    pieces: list[Cut] = field(default_factory=list)
    _rows: list[bytes] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)
    _codes: list[str] = field(default_factory=list)

    @property
    def out(self) -> bool:
        """No paper under the head."""
        return self.left_mm <= 0

    @property
    def near_end(self) -> bool:
        """Little paper left."""
        return self.left_mm <= self.near_end_mm

    def print_rows(self, picture: Image.Image) -> bool:
        """Print these rows (0 is black); False when the paper ended before the last of them."""
        for row in range(picture.height):
            if self.out:
                return False
            self.left_mm -= 1 / DOTS_A_MM
            self._rows.append(picture.crop((0, row, WIDTH_DOTS, row + 1)).tobytes())
        return True

    def note_line(self, text: str) -> None:
        """The line of text whose rows were just printed."""
        self._lines.append(text)

    def note_code(self, text: str) -> None:
        """The QR code whose rows were just printed."""
        self._codes.append(text)

    def cut(self) -> None:
        """What has come out so far falls off."""
        self.pieces.append(Cut(self.hanging(), self._lines, self._codes))
        self._rows, self._lines, self._codes = [], [], []

    @property
    def hanging_lines(self) -> list[str]:
        """The text on what hangs out and is not cut."""
        return list(self._lines)

    def hanging(self) -> Image.Image:
        """What hangs out of the printer and is not cut yet."""
        height = len(self._rows)
        return Image.frombytes("L", (WIDTH_DOTS, height), b"".join(self._rows)) if height else Image.new("L", (1, 1))


def text_rows(line: list[tuple[str, int, int, bool]], align: int) -> Image.Image:
    """A line of (character, times wider, times higher, bold) as rows of dots; the tallest gives the height."""
    height = max((high for _, _, high, _ in line), default=1) * CELL[1]
    width = sum(wide for _, wide, _, _ in line) * CELL[0]
    rows = Image.new("L", (WIDTH_DOTS, height), 255)
    at = {0: 0, 1: (WIDTH_DOTS - width) // 2, 2: WIDTH_DOTS - width}[align]
    for character, wide, high, bold in line:
        cell = _glyph(character, bold).resize((CELL[0] * wide, CELL[1] * high), Image.Resampling.NEAREST)
        rows.paste(cell, (at, height - cell.height))
        at += cell.width
    return rows


@functools.lru_cache(maxsize=1024)
def _glyph(character: str, bold: bool) -> Image.Image:
    """One character in its cell. Pillow's own font has no letters beyond ASCII: marks are put on by hand."""
    built = (_BUILT_OF.get(character) or unicodedata.normalize("NFD", character)).ljust(2)
    letter, marks = built[0], built[1]
    font = ImageFont.load_default(GLYPH_SIZE)
    width = int(font.getlength(letter)) + 1
    # One width for all, as a printer has it: wide letters are squeezed, narrow ones stand in the middle.
    drawn = Image.new("L", (max(CELL[0], width), CELL[1]), 255)
    pen = ImageDraw.Draw(drawn)
    middle = drawn.width // 2
    pen.text((middle - width // 2, 2), letter, fill=0, font=font, stroke_width=int(bold))
    if marks == "\u0308":
        for side in (-4, 2):
            pen.rectangle((middle + side, 1, middle + side + 2, 3), fill=0)
    elif marks == "=":
        for row in (11, 15):
            pen.line((0, row, drawn.width - 4, row), fill=0, width=2)
    elif marks != " ":
        pen.line((middle - 2, 4, middle + 2, 1), fill=0, width=2)
    cell = drawn.resize(CELL, Image.Resampling.BILINEAR)
    return cell.point([0 if value <= INK_FROM else 255 for value in range(256)])
