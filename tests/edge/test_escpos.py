"""Bytes for a receipt printer: whatever a text holds, nothing but text comes out of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einlass_edge.drivers import escpos
from einlass_edge.drivers.escpos import Answered, Answers, Qr, Reached, Text, Told

FEW = settings(max_examples=100, deadline=None)


@FEW
@given(st.text(max_size=200), st.sampled_from(sorted(escpos.CODE_PAGES)))
def test_no_control_code_leaves_a_text(text: str, code_page: str) -> None:
    clean = escpos.printable(text, code_page)
    assert not any(byte < 0x20 or byte == 0x7F for byte in clean)
    clean.decode(code_page)


@FEW
@given(st.text(max_size=300), st.booleans())
def test_a_slip_differs_from_an_empty_one_by_printable_lines_only(text: str, big: bool) -> None:
    if text.count("\n") > 50:
        return
    head, tail = escpos.encode((Text("|", big=big),)).split(b"|")
    inner = escpos.encode((Text(text, big=big),))[len(head) : -len(tail)]
    assert all((byte >= 0x20 and byte != 0x7F) or byte == 0x0A for byte in inner)
    width = escpos.COLUMNS // 2 if big else escpos.COLUMNS
    assert all(len(line) <= width for line in inner.split(b"\n"))


def test_umlauts_and_the_euro_and_what_a_code_page_lacks() -> None:
    assert escpos.printable("Größe 3 €", "cp858").decode("cp858") == "Größe 3 €"
    assert escpos.printable("Größe 3 €", "cp1252").decode("cp1252") == "Größe 3 €"
    assert escpos.printable("Größe 3 €", "cp850").decode("cp850") == "Größe 3 EUR"
    assert escpos.printable("„Łódź“ – 日", "cp858") == b'"?\xa2dz" - ?'
    assert escpos.printable("u\u0308", "cp437").decode("cp437") == "ü"


@pytest.mark.parametrize("text", ["", "a\nb", "ä", "x" * (escpos.QR_CHARS_MAX + 1), "\x10\x04\x01"])
def test_a_qr_code_holds_printable_ascii_only(text: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        escpos.encode((Qr(text),))


def test_what_cannot_be_a_slip_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of"):
        escpos.encode((), "cp1")
    with pytest.raises(ValueError, match="more than a slip may have"):
        escpos.encode((Text("\n" * escpos.SLIP_LINES_MAX),))


@pytest.mark.parametrize("command", ["1004", "1005", "1014"])
def test_no_picture_holds_a_command_that_a_printer_obeys_while_receiving(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dots = [[bit == "1" for bit in f"{int(command, 16):016b}"]]
    assert escpos.holds_realtime_command(escpos._raster(dots, 0))
    monkeypatch.setattr(escpos, "_qr_dots", lambda part: dots)
    assert not escpos.holds_realtime_command(escpos.encode((Qr("E1:X"),), raster=True))


@FEW
@given(
    st.lists(st.sampled_from([b"\x12", b"\x1a\x32\x7e", b"\x1c\x00\x0f\x0f", b"\x37\x220042\x00", b"\x00"])), st.data()
)
def test_answers_are_told_apart_however_they_are_torn(parts: list[bytes], data: st.DataObject) -> None:
    whole = Answers().feed(b"".join(parts))
    answers, stream, torn = Answers(), b"".join(parts), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        torn += answers.feed(stream[:size])
        stream = stream[size:]
    assert torn == whole
    assert answers.strange == 0
    assert sum(isinstance(answer, Told) for answer in whole) == parts.count(b"\x1c\x00\x0f\x0f")
    assert whole.count(Reached(42)) == parts.count(b"\x37\x220042\x00")
    assert sum(isinstance(answer, Answered) for answer in whole) == parts.count(b"\x12") + 3 * parts.count(
        b"\x1a\x32\x7e"
    )


@FEW
@given(st.binary(max_size=200))
def test_any_answer_harms_nobody(noise: bytes) -> None:
    answers = Answers()
    answers.feed(noise)
    answers.feed(bytes(8) + b"\xff" * 8)
    assert Answered(0x12) in answers.feed(b"\x12")


def test_status_bits() -> None:
    status = escpos.PrinterStatus()
    for kind, byte in zip(escpos.STATUS_KINDS, (0x1A, 0x32, 0x12, 0x7E), strict=True):
        status = escpos.with_answer(status, kind, byte)
    assert status == escpos.PrinterStatus(online=False, paper_near_end=True, paper_out=True)
    assert status.hindrance == "paper_out"
    assert escpos.from_asb(b"\x38\x00\x00\x0f") == escpos.PrinterStatus(online=False, cover_open=True)
    assert escpos.PrinterStatus(online=False).hindrance == "offline"
    assert escpos.PrinterStatus(paper_near_end=True).hindrance is None
