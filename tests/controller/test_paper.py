"""The ticket that a visitor holds: read back by a scanner, in both languages, with the code a person can type."""

import base64
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from fastapi.testclient import TestClient
from PIL import Image
from reportlab.lib.pagesizes import A6
from typer.testing import CliRunner

from einlass_controller import cli, paper
from einlass_controller.api.app import make_app
from einlass_controller.domain.decision import Text
from einlass_controller.domain.tickets import Ticket
from einlass_controller.pages.words import instant_writer
from einlass_controller.runtime import open_controller
from einlass_core import codes

CODE = codes.opaque(123456789)


def sheet(code: str = CODE, **changes: Any) -> paper.Paper:
    values: dict[str, Any] = {
        "id": "0123456789AB",
        "digest": "d",
        "code_sha256": "h",
        "product": "single",
        "zone": "bath",
        "persons": 3,
        "status": "valid",
        "valid_from_ms": 1_777_618_800_000,
        "valid_until_ms": 1_777_658_400_000,
        "entries_max": 1,
        "entries_used": 0,
        "issued_ms": 0,
        **changes,
    }
    languages = values.pop("languages", ("de", "en"))
    names = Text("Löwenbad Hachenburg", "Lions' Pool"), Text("Becken", "Basin")
    return paper.Paper(Ticket(**values), code, *names, instant_writer("Europe/Berlin"), languages)


def lines(made: paper.Paper) -> list[str]:
    return [line.text for line in (*paper._head(made), *paper._foot(made))]


def test_what_stands_on_it() -> None:
    assert lines(sheet()) == [
        "Löwenbad Hachenburg · Lions' Pool",
        "Eintrittskarte · Ticket",
        "für Becken · for Basin",
        "3 Personen · 3 persons",
        "1 Eintritt · 1 entry",
        "gültig 01.05.2026 09:00 bis 01.05.2026 20:00",
        "valid 01.05.2026 09:00 to 01.05.2026 20:00",
        "Von Hand eingeben · To type by hand",
        codes.in_groups(CODE),
        "QR-Code an den Leser halten.",
        "Hold the QR code in front of the reader.",
    ]
    english = lines(sheet(languages=("en",), zone="", valid_from_ms=None, entries_max=None, persons=1))
    assert english[1:4] == ["Ticket", "1 person", "valid until 01.05.2026 20:00"]
    assert codes.read(codes.in_groups(CODE).encode()) == CODE
    assert all(len(group) <= 4 for group in codes.in_groups(CODE).split("-"))


@pytest.mark.parametrize("code", [CODE, "E2:" + "7Q2M0ABC" * 20])
def test_a_scanner_reads_the_png(code: str) -> None:
    image = Image.open(io.BytesIO(paper.png(sheet(code))))
    assert image.width == paper.PNG_WIDTH
    (found,) = zxingcpp.read_barcodes(image)
    assert found.text == code


@pytest.mark.parametrize("code", [CODE, "E2:" + "7Q2M0ABC" * 20])
def test_a_scanner_reads_the_pdf(code: str) -> None:
    """Only the rectangles of the page are drawn here, as any printer would: that is the symbol, in vectors."""
    scale = 4
    width, height = (round(side * scale) for side in A6)
    image = Image.new("L", (width, height), 255)
    for x, y, w, h in rectangles(paper.pdf(sheet(code))):
        image.paste(
            0, (round(x * scale), height - round((y + h) * scale), round((x + w) * scale), height - round(y * scale))
        )
    (found,) = zxingcpp.read_barcodes(image)
    assert found.text == code


def rectangles(document: bytes) -> Iterator[tuple[float, float, float, float]]:
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", document, re.DOTALL):
        try:
            plain = zlib.decompress(base64.a85decode(stream.strip().removesuffix(b"~>")))
        except (ValueError, zlib.error):  # a font: not packed in the same way
            continue
        for found in re.finditer(rb"([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re", plain):
            x, y, w, h = (float(part) for part in found.groups())
            yield x, y, w, h


def test_the_same_ticket_is_the_same_file_and_names_no_code() -> None:
    assert paper.pdf(sheet()) == paper.pdf(sheet())
    assert CODE.encode() not in paper.pdf(sheet())
    names = Text("ß" * 80, "x" * 80), Text("z" * 80, "z")
    assert paper.pdf(replace(sheet(), site=names[0], zone=names[1])), "long names are drawn smaller"


@pytest.fixture
def staff(bench: Any) -> Iterator[TestClient]:
    bench.close()
    with TestClient(make_app(open_controller(bench.settings))) as client:
        client.headers["Authorization"] = f"Bearer {bench.prepared.api_key}"
        yield client


def test_over_the_api_with_the_code_in_the_body(staff: TestClient) -> None:
    for signed in (False, True):
        made = staff.post("/api/v1/tickets", json={"signed": signed, "zone": "bath"}).json()["tickets"][0]
        pdf = staff.post("/api/v1/tickets/paper", json={"code": made["typed"]})
        assert pdf.headers["content-type"] == "application/pdf"
        assert pdf.content.startswith(b"%PDF-")
        png = staff.post("/api/v1/tickets/paper", json={"code": made["code"], "format": "png", "language": "de"})
        assert zxingcpp.read_barcodes(Image.open(io.BytesIO(png.content)))[0].text == made["code"]
    for wrong in (CODE, "E1:X", "\x00"):
        assert staff.post("/api/v1/tickets/paper", json={"code": wrong}).status_code == 404


def test_from_the_command_line_with_the_code_on_standard_input(bench: Any, tmp_path: Path) -> None:
    code = bench.ticket()
    bench.close()
    words = ["print", "--dir", str(bench.prepared.directory), "--out"]
    done = CliRunner().invoke(cli.ticket, [*words, str(tmp_path / "t.png")], input=code + "\n")
    assert done.exit_code == 0, done.output
    assert zxingcpp.read_barcodes(Image.open(tmp_path / "t.png"))[0].text == code
    assert CliRunner().invoke(cli.ticket, [*words, str(tmp_path / "t.gif")], input=code).exit_code == 2
