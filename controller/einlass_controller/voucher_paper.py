"""Vouchers for people: checkcard sheets as PDF, ten on an A4 page with crop marks, and a picture for a telephone.

A card is as large as a bank card (ISO 7810 ID-1). Codes are drawn and forgotten.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from einlass_controller.domain import vouchers
from einlass_controller.domain.decision import Text
from einlass_controller.domain.vouchers import Lot
from einlass_controller.paper import (
    BOLD,
    LARGE,
    MONO,
    NORMAL,
    POINTS_PER_MM,
    REGULAR,
    SMALL,
    Line,
    draw_symbol,
    join,
    pick,
    picture,
    register_fonts,
)
from einlass_core import codes

CARD_WIDTH_MM, CARD_HEIGHT_MM = 85.6, 53.98
COLUMNS, ROWS = 2, 5
CARDS_A_PAGE = COLUMNS * ROWS
PADDING_MM = 4.0
SYMBOL_MM = 33.0
CROP_MM, CROP_GAP_MM = 5.0, 1.5
SERIAL_DIGITS = 8
# Letters smaller than this nobody reads; a longer text is cut.
FONT_MIN = 4.0
MINUTES_AN_HOUR = 60

WORDS = {
    "hour": Text("1 Stunde parken", "1 hour of parking"),
    "hours": Text("{n} Stunden parken", "{n} hours of parking"),
    "minutes": Text("{n} Minuten parken", "{n} minutes of parking"),
    "cents": Text("{euros} € Parkgeld", "€{euros} off parking"),
    "percent": Text("{n} % Parkgeld gespart", "{n} % off parking"),
    "voucher": Text("Parkgutschein", "Parking voucher"),
    "from": Text("gültig ab {first}", "valid from {first}"),
    "until": Text("gültig bis {last}", "valid until {last}"),
    "between": Text("gültig {first} bis {last}", "valid {first} to {last}"),
    "areas": Text("nur: {areas}", "only: {areas}"),
    "number": Text("Nr.", "No."),
    "hint": Text("Am Automaten vorzeigen, bevor Sie zahlen.", "Show it to the machine before you pay."),
    "once": Text("Gilt einmal. Der Rest verfällt.", "Counts once. No change is given."),
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """What stands on all of them. partner, areas: names for people; instant writes Unix ms as local time."""

    lot: Lot
    site: Text
    partner: str
    areas: tuple[Text, ...]
    instant: Callable[[int], str]
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One voucher while its code is known."""

    serial: int
    code: str


def serial_text(serial: int) -> str:
    """A serial number as people read it: 0000 1234."""
    digits = f"{serial:0{SERIAL_DIGITS}}"
    return f"{digits[:-4]} {digits[-4:]}"


def worth(kind: str, value: int, language: str) -> str:
    """What a voucher is worth, in words."""
    if kind == vouchers.CENTS:
        euros = f"{value // 100}.{value % 100:02}"
        return pick(WORDS["cents"], language).format(euros=euros if language == "en" else euros.replace(".", ","))
    if kind == vouchers.PERCENT:
        return pick(WORDS["percent"], language).format(n=value)
    whole = value % MINUTES_AN_HOUR == 0
    key = "minutes" if not whole else "hour" if value == MINUTES_AN_HOUR else "hours"
    return pick(WORDS[key], language).format(n=value // MINUTES_AN_HOUR if whole else value)


def pdf(sheet: Sheet, cards: Sequence[Card]) -> bytes:
    """As many A4 pages as it takes. The symbols are rectangles: sharp on any printer."""
    register_fonts()
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    canvas.setTitle(f"{sheet.site.de}: {serial_text(cards[0].serial)} - {serial_text(cards[-1].serial)}")
    canvas.setAuthor(sheet.site.de)
    for start in range(0, len(cards), CARDS_A_PAGE):
        _crop_marks(canvas)
        for place, card in enumerate(cards[start : start + CARDS_A_PAGE]):
            x, y = corner(place)
            _draw(canvas, sheet, card, x, y)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def png(sheet: Sheet, card: Card) -> bytes:
    """A digital voucher."""
    head = [
        Line(join(pick(sheet.site, lang) for lang in sheet.languages), NORMAL),
        Line(join(worth(sheet.lot.kind, sheet.lot.value, lang) for lang in sheet.languages), LARGE, bold=True),
        *([Line(sheet.partner, NORMAL, bold=True)] if sheet.partner else []),
        *(Line(text, NORMAL) for text in _terms(sheet)),
    ]
    foot = [
        Line(codes.in_groups(card.code), MONO, bold=True),
        Line(_numbered(sheet, card), SMALL),
        *(Line(pick(WORDS[key], lang), SMALL) for lang in sheet.languages for key in ("hint", "once")),
    ]
    return picture(card.code, head, foot)


def corner(place: int) -> tuple[float, float]:
    """The lower left corner of a place on the page, in points: left to right, top to bottom."""
    width, height = A4
    left = (width - COLUMNS * CARD_WIDTH_MM * POINTS_PER_MM) / 2
    bottom = (height - ROWS * CARD_HEIGHT_MM * POINTS_PER_MM) / 2
    column, row = place % COLUMNS, ROWS - 1 - place // COLUMNS
    return left + column * CARD_WIDTH_MM * POINTS_PER_MM, bottom + row * CARD_HEIGHT_MM * POINTS_PER_MM


def lines(sheet: Sheet, card: Card) -> list[Line]:
    """What stands beside the symbol, from the top."""
    titles = [Line(worth(sheet.lot.kind, sheet.lot.value, lang), 10.5, bold=True) for lang in sheet.languages]
    small = [Line(text, 6.0) for text in _terms(sheet)]
    hints = [Line(pick(WORDS[key], lang), 5.5) for lang in sheet.languages for key in ("hint", "once")]
    return [
        Line(join(pick(sheet.site, lang) for lang in sheet.languages), 6.5),
        *titles,
        *([Line(sheet.partner, 8.5, bold=True)] if sheet.partner else []),
        *small,
        *hints,
    ]


def _draw(canvas: Canvas, sheet: Sheet, card: Card, x: float, y: float) -> None:
    padding, size = PADDING_MM * POINTS_PER_MM, SYMBOL_MM * POINTS_PER_MM
    height = CARD_HEIGHT_MM * POINTS_PER_MM
    draw_symbol(canvas, card.code, x + padding / 2, y + height - padding - size, size)
    left = x + padding + size
    room = CARD_WIDTH_MM * POINTS_PER_MM - padding - size - padding
    top = y + height - padding
    for line in lines(sheet, card):
        top = _write(canvas, line, left, top, room)
    full = CARD_WIDTH_MM * POINTS_PER_MM - 2 * padding
    serial = Line(_numbered(sheet, card), 8.0)
    typed = Line(codes.in_groups(card.code), 9.5, bold=True)
    bottom = y + padding + serial.size
    _write(canvas, serial, x + padding, bottom, full)
    _write(canvas, typed, x + padding, bottom + 1.4 * typed.size, full)


def _write(canvas: Canvas, line: Line, x: float, y: float, room: float) -> float:
    font, text, size = BOLD if line.bold else REGULAR, line.text, line.size
    long = pdfmetrics.stringWidth(text, font, size)
    if long > room:
        size = max(FONT_MIN, size * room / long)
    while text and pdfmetrics.stringWidth(text, font, size) > room:
        text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
    canvas.setFont(font, size)
    canvas.drawString(x, y - size, text)
    return y - size * 1.3


def _crop_marks(canvas: Canvas) -> None:
    """Short lines in the margins, where a ruler is laid on: none of them touches a card."""
    canvas.setLineWidth(0.25)
    left, bottom = corner(CARDS_A_PAGE - COLUMNS)
    right = left + COLUMNS * CARD_WIDTH_MM * POINTS_PER_MM
    top = bottom + ROWS * CARD_HEIGHT_MM * POINTS_PER_MM
    near, far = CROP_GAP_MM * POINTS_PER_MM, (CROP_GAP_MM + CROP_MM) * POINTS_PER_MM
    for column in range(COLUMNS + 1):
        x = left + column * CARD_WIDTH_MM * POINTS_PER_MM
        canvas.line(x, bottom - near, x, bottom - far)
        canvas.line(x, top + near, x, top + far)
    for row in range(ROWS + 1):
        y = bottom + row * CARD_HEIGHT_MM * POINTS_PER_MM
        canvas.line(left - near, y, left - far, y)
        canvas.line(right + near, y, right + far, y)


def _terms(sheet: Sheet) -> list[str]:
    first, last = sheet.lot.valid_from_ms, sheet.lot.valid_until_ms
    found = []
    if first is not None or last is not None:
        key = "between" if first is not None and last is not None else "from" if last is None else "until"
        values = {"first": sheet.instant(first or 0), "last": sheet.instant(last or 0)}
        found += [pick(WORDS[key], lang).format(**values) for lang in sheet.languages]
    if sheet.areas:
        found += [
            pick(WORDS["areas"], lang).format(areas=", ".join(pick(area, lang) for area in sheet.areas))
            for lang in sheet.languages
        ]
    return list(dict.fromkeys(found))


def _numbered(sheet: Sheet, card: Card) -> str:
    return "/".join(pick(WORDS["number"], lang) for lang in sheet.languages) + " " + serial_text(card.serial)
