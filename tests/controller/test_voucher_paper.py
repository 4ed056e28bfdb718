"""Checkcard sheets and digital vouchers: read back by a scanner, cut where a card ends, in both languages."""

import base64
import io
import itertools
import re
import zlib
from dataclasses import replace
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from reportlab.lib.pagesizes import A4

from einlass_controller import voucher_paper
from einlass_controller.domain.decision import Text
from einlass_controller.domain.vouchers import Lot
from einlass_controller.pages.words import instant_writer
from einlass_controller.paper import POINTS_PER_MM
from einlass_controller.voucher_paper import Card, Sheet, corner, lines, pdf, png, serial_text, worth
from einlass_core import codes

CARDS = [Card(1230 + n, codes.opaque(7_000 + n)) for n in range(13)]
LOT = Lot(1, "baker", "minutes", 60, "card", 1230, 1243, 13, valid_until_ms=1_777_658_400_000)
SCALE = 5


def sheet(**changes: Any) -> Sheet:
    names = Text("Löwenbad Hachenburg", "Lions' Pool")
    made = Sheet(LOT, names, "Bäckerei Höß", (), instant_writer("Europe/Berlin"), ("de", "en"))
    return replace(made, **changes)


def streams(document: bytes) -> list[bytes]:
    found = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", document, re.DOTALL):
        try:
            found.append(zlib.decompress(base64.a85decode(stream.strip().removesuffix(b"~>"))))
        except (ValueError, zlib.error):  # a font: not packed in the same way
            continue
    return found


def drawn(page: bytes) -> Image.Image:
    """The rectangles of a page, as any printer would draw them: those are the symbols, in vectors."""
    width, height = (round(side * SCALE) for side in A4)
    image = Image.new("L", (width, height), 255)
    for found in re.finditer(rb"([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re", page):
        x, y, w, h = (float(part) * SCALE for part in found.groups())
        image.paste(0, (round(x), height - round(y + h), round(x + w), height - round(y)))
    return image


def test_every_code_of_a_sheet_is_read_back_in_its_own_card() -> None:
    pages = [stream for stream in streams(pdf(sheet(), CARDS)) if b" re" in stream]
    assert len(pages) == 2
    for number, page in enumerate(pages):
        image = drawn(page)
        for place, card in enumerate(CARDS[number * 10 : number * 10 + 10]):
            x, y = (side * SCALE for side in corner(place))
            w = voucher_paper.CARD_WIDTH_MM * POINTS_PER_MM * SCALE
            h = voucher_paper.CARD_HEIGHT_MM * POINTS_PER_MM * SCALE
            (found,) = zxingcpp.read_barcodes(
                image.crop((int(x), int(image.height - y - h), int(x + w), int(image.height - y)))
            )
            assert found.text == card.code


def test_cards_are_as_large_as_bank_cards_and_marks_stay_off_them() -> None:
    width, height = A4
    (x0, y0), (x1, _), (_, y2) = corner(8), corner(9), corner(6)
    assert (x1 - x0) / POINTS_PER_MM == pytest.approx(85.6)
    assert (y2 - y0) / POINTS_PER_MM == pytest.approx(53.98)
    left, bottom = x0, y0
    right, top = width - left, height - bottom
    page = next(stream for stream in streams(pdf(sheet(), CARDS[:1])) if b" re" in stream)
    marks = re.findall(rb"([\d.]+) ([\d.]+) m ([\d.]+) ([\d.]+) l", page)
    assert len(marks) == 2 * 3 + 2 * 6
    for mark in marks:
        ax, ay, bx, by = map(float, mark)
        outside = [not (left < x < right and bottom < y < top) for x, y in ((ax, ay), (bx, by))]
        assert outside == [True, True]
        assert all(0 < x < width and 0 < y < height for x, y in ((ax, ay), (bx, by)))
        assert abs(ax - bx) < 0.01 or abs(ay - by) < 0.01


def test_no_line_of_a_card_stands_on_another() -> None:
    full = sheet(lot=replace(LOT, valid_from_ms=1), areas=(Text("Parkplatz", "Car park"),))
    page = next(stream for stream in streams(pdf(full, CARDS[:1])) if b" re" in stream)
    found = [float(y) for y in re.findall(rb"1 0 0 1 [\d.]+ ([\d.]+) Tm", page)]
    assert len(found) == len(lines(full, CARDS[0])) + 2
    heights = sorted(found)
    assert min(upper - lower for lower, upper in itertools.pairwise(heights)) > 6
    _, bottom = corner(0)
    assert heights[0] > bottom + 3 * POINTS_PER_MM


def test_what_stands_on_a_card() -> None:
    words = [line.text for line in lines(sheet(), CARDS[0])]
    assert words[:4] == ["Löwenbad Hachenburg · Lions' Pool", "1 Stunde parken", "1 hour of parking", "Bäckerei Höß"]
    assert "gültig bis 01.05.2026 20:00" in words
    assert serial_text(1230) == "0000 1230"
    only = sheet(areas=(Text("Parkplatz", "Car park"),), languages=("en",), partner="")
    assert "only: Car park" in [line.text for line in lines(only, CARDS[0])]
    long = sheet(partner="ß" * 200, site=Text("x" * 300, "y" * 300))
    assert pdf(long, CARDS[:1]).startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("kind", "value", "de", "en"),
    [
        ("minutes", 60, "1 Stunde parken", "1 hour of parking"),
        ("minutes", 180, "3 Stunden parken", "3 hours of parking"),
        ("minutes", 45, "45 Minuten parken", "45 minutes of parking"),
        ("cents", 205, "2,05 € Parkgeld", "€2.05 off parking"),
        ("percent", 20, "20 % Parkgeld gespart", "20 % off parking"),
    ],
)
def test_worth_in_words(kind: str, value: int, de: str, en: str) -> None:
    assert (worth(kind, value, "de"), worth(kind, value, "en")) == (de, en)


def test_a_digital_voucher_is_read_from_a_telephone() -> None:
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(png(sheet(), CARDS[0]))))
    assert found.text == CARDS[0].code


def test_the_same_cards_are_the_same_file_and_name_no_code() -> None:
    assert pdf(sheet(), CARDS) == pdf(sheet(), CARDS)
    assert CARDS[0].code.encode() not in pdf(sheet(), CARDS)
