"""A ticket for the visitor, as PDF to print and as PNG for a telephone: QR, the code to type, what it is good for.

Everything is drawn here; the letters come with reportlab (Vera), so that it looks the same everywhere.
"""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import reportlab
import segno
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pagesizes import A6
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from einlass_controller.domain.decision import Text
from einlass_controller.domain.tickets import Ticket
from einlass_core import codes

QR_ERROR_LEVEL = "q"
QR_BORDER_MODULES = 4
POINTS_PER_MM = 72 / 25.4
MARGIN_PT = 9 * POINTS_PER_MM
QR_PDF_PT = 58 * POINTS_PER_MM
PNG_WIDTH = 720
PNG_MARGIN = 48
LARGE, NORMAL, SMALL, MONO = 15.0, 9.5, 7.5, 13.0
_FONTS = Path(reportlab.__file__).parent / "fonts"
REGULAR, BOLD = "Vera", "VeraBd"
_PNG_SCALE = 2.4

WORDS = {
    "ticket": Text("Eintrittskarte", "Ticket"),
    "zone": Text("für {zone}", "for {zone}"),
    "persons": Text("{n} Personen", "{n} persons"),
    "person": Text("1 Person", "1 person"),
    "from": Text("gültig ab {at}", "valid from {at}"),
    "until": Text("gültig bis {at}", "valid until {at}"),
    "between": Text("gültig {first} bis {last}", "valid {first} to {last}"),
    "entries": Text("{n} Eintritte", "{n} entries"),
    "entry": Text("1 Eintritt", "1 entry"),
    "typed": Text("Von Hand eingeben", "To type by hand"),
    "number": Text("Kartennummer", "Ticket number"),
    "hint": Text("QR-Code an den Leser halten.", "Hold the QR code in front of the reader."),
}


@dataclass(frozen=True, slots=True)
class Paper:
    """What stands on it. Names in German and English; the code itself is drawn and forgotten."""

    ticket: Ticket
    code: str
    site: Text
    zone: Text
    instant: Callable[[int], str]
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text; size in points."""

    text: str
    size: float
    bold: bool = False


def pdf(paper: Paper) -> bytes:
    """One page A6. The symbol is made of rectangles: sharp at any size."""
    register_fonts()
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A6, invariant=1)
    canvas.setTitle(paper.site.de)
    canvas.setAuthor(paper.site.de)
    width, top = A6
    y = top - MARGIN_PT
    for line in _head(paper):
        y = _write(canvas, line, width, y)
    y -= 2
    draw_symbol(canvas, paper.code, (width - QR_PDF_PT) / 2, y - QR_PDF_PT, QR_PDF_PT)
    y -= QR_PDF_PT + 2
    for line in _foot(paper):
        y = _write(canvas, line, width, y)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def png(paper: Paper) -> bytes:
    """The same for a screen: black on white, as high as it needs to be."""
    return picture(paper.code, _head(paper), _foot(paper))


def picture(code: str, above: Iterable[Line], below: Iterable[Line]) -> bytes:
    """A PNG with a code and lines of text above and below it."""
    symbol = symbol_image(code, PNG_WIDTH - 2 * PNG_MARGIN)
    head = [fitted(line) for line in above]
    foot = [fitted(line) for line in below]
    height = 2 * PNG_MARGIN + symbol.height + sum(size for _, _, size in (*head, *foot))
    image = Image.new("L", (PNG_WIDTH, height), 255)
    draw = ImageDraw.Draw(image)
    y = PNG_MARGIN
    for font, text, size in head:
        draw.text((PNG_WIDTH / 2, y), text, 0, font, "ma")
        y += size
    image.paste(symbol, ((PNG_WIDTH - symbol.width) // 2, y))
    y += symbol.height
    for font, text, size in foot:
        draw.text((PNG_WIDTH / 2, y), text, 0, font, "ma")
        y += size
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _head(paper: Paper) -> list[Line]:
    ticket = paper.ticket
    lines = [Line(_both(paper, paper.site), LARGE, bold=True), Line(_said(paper, "ticket"), NORMAL)]
    if ticket.zone:
        zones = [pick(WORDS["zone"], lang).format(zone=pick(paper.zone, lang)) for lang in paper.languages]
        lines.append(Line(join(zones), NORMAL))
    lines.append(Line(_counted(paper, "person", ticket.persons), NORMAL))
    if ticket.entries_max is not None:
        lines.append(Line(_counted(paper, "entr", ticket.entries_max, "y", "ies"), NORMAL))
    window = _window(paper)
    return [*lines, *([Line(text, NORMAL, bold=True) for text in window])]


def _foot(paper: Paper) -> list[Line]:
    signed = paper.code.startswith(codes.SIGNED_PREFIX)
    # A signed code is too long to type: its ticket number finds it.
    typed = _groups(paper.ticket.id) if signed else codes.in_groups(paper.code)
    return [
        Line(_said(paper, "number" if signed else "typed"), SMALL),
        Line(typed, MONO, bold=True),
        *(Line(pick(WORDS["hint"], lang), SMALL) for lang in paper.languages),
    ]


def _window(paper: Paper) -> list[str]:
    first, last = paper.ticket.valid_from_ms, paper.ticket.valid_until_ms
    if first is None and last is None:
        return []
    key = "between" if first is not None and last is not None else "from" if last is None else "until"
    values = {
        "first": paper.instant(first or 0),
        "last": paper.instant(last or 0),
        "at": paper.instant(first if last is None and first is not None else last or 0),
    }
    return [pick(WORDS[key], lang).format(**values) for lang in paper.languages]


def _counted(paper: Paper, stem: str, n: int, one: str = "", many: str = "s") -> str:
    return join(pick(WORDS[stem + (one if n == 1 else many)], lang).format(n=n) for lang in paper.languages)


def _said(paper: Paper, key: str) -> str:
    return _both(paper, WORDS[key])


def _both(paper: Paper, text: Text) -> str:
    return join(pick(text, lang) for lang in paper.languages)


def join(parts: Iterable[str]) -> str:
    """What is the same in both languages stands there once."""
    return " · ".join(dict.fromkeys(parts))


def pick(text: Text, language: str) -> str:
    """The words of one language."""
    return text.en if language == "en" else text.de


def _groups(text: str) -> str:
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


@lru_cache(maxsize=1)
def register_fonts() -> None:
    """Make the letters known to reportlab."""
    for name in (REGULAR, BOLD):
        pdfmetrics.registerFont(TTFont(name, str(_FONTS / f"{name}.ttf")))


def _write(canvas: Canvas, line: Line, width: float, y: float) -> float:
    font = BOLD if line.bold else REGULAR
    size = line.size
    room = width - 2 * MARGIN_PT
    long = pdfmetrics.stringWidth(line.text, font, size)
    if long > room:
        size *= room / long
    canvas.setFont(font, size)
    canvas.drawCentredString(width / 2, y - line.size, line.text)
    return y - line.size * 1.35


def draw_symbol(canvas: Canvas, code: str, x: float, y: float, size_pt: float) -> None:
    """A QR code of this width, quiet zone included, made of rectangles; x, y: its lower left corner."""
    matrix = segno.make(code, error=QR_ERROR_LEVEL, micro=False).matrix
    module = size_pt / (len(matrix) + 2 * QR_BORDER_MODULES)
    path = canvas.beginPath()
    for row, cells in enumerate(matrix):
        start = None
        for column, dark in enumerate([*cells, 0]):
            if dark and start is None:
                start = column
            elif not dark and start is not None:
                left = x + (start + QR_BORDER_MODULES) * module
                bottom = y + (len(matrix) - row - 1 + QR_BORDER_MODULES) * module
                path.rect(left, bottom, (column - start) * module, module)
                start = None
    canvas.setFillGray(0)
    canvas.drawPath(path, stroke=0, fill=1)


def symbol_image(code: str, width: int) -> Image.Image:
    """A QR code, at most so many pixels wide, quiet zone included."""
    symbol = segno.make(code, error=QR_ERROR_LEVEL, micro=False)
    modules = len(symbol.matrix) + 2 * QR_BORDER_MODULES
    out = io.BytesIO()
    symbol.save(out, kind="png", scale=max(1, width // modules), border=QR_BORDER_MODULES)
    return Image.open(out).convert("L")


def fitted(line: Line) -> tuple[ImageFont.FreeTypeFont, str, int]:
    """A font in which the line fits, its text, and the height that it takes."""
    name = str(_FONTS / f"{BOLD if line.bold else REGULAR}.ttf")
    size = line.size * _PNG_SCALE
    font = ImageFont.truetype(name, size)
    room = PNG_WIDTH - 2 * PNG_MARGIN
    long = font.getlength(line.text)
    if long > room:
        font = ImageFont.truetype(name, size * room / long)
    return font, line.text, round(size * 1.35)
