"""What a receipt printer is told and what it answers: bytes of ESC/POS, no I/O.

Facts from Epson's published ESC/POS command reference (ESC @, ESC R, ESC t, ESC a, ESC E, GS !, ESC d, GS V, GS ( k
functions 165 to 181, GS v 0, GS a, GS r, GS ( H, DLE EOT, DLE DC4 function 8) and Star's ESC/POS mode manual 2.50.

A slip's text may come from strangers: only printable characters of the code page leave encode(), so nobody can cut,
feed or clear by a name. A printer obeys DLE commands the moment they arrive, even inside of a picture's bytes, so a
picture that would hold one is moved by some dots.
"""

import textwrap
import unicodedata
from dataclasses import dataclass, replace

import segno

ESC, GS, DLE = b"\x1b", b"\x1d", b"\x10"
EOT, ENQ, DC4 = b"\x04", b"\x05", b"\x14"

# ESC t's number by Python's name. cp858 is cp850 with the euro sign.
CODE_PAGES = {"cp858": 19, "cp1252": 16, "cp850": 2, "cp437": 0}
LEFT, CENTRE, RIGHT = 0, 1, 2
COLUMNS = 42
DOTS = 512
SLIP_LINES_MAX = 300
QR_CHARS_MAX = 300
QR_BORDER = 4
FEED_LINES_MAX = 20
FEED_TO_CUTTER = 3

# What a European ticket is likely to hold and an old code page lacks.
_INSTEAD = {
    "€": "EUR", "–": "-", "—": "-", "‑": "-", "„": '"', "“": '"', "”": '"', "‚": "'", "‘": "'", "’": "'", "…": "...",
    "•": "*", "ẞ": "SS", "×": "x",
}  # fmt: skip

ENABLE_ASB = GS + b"a\xff"
CLEAR_BUFFERS = DLE + DC4 + b"\x08\x01\x03\x14\x01\x06\x02\x08"
STATUS_KINDS = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Text:
    """One paragraph, wrapped at the paper's width. big: twice as wide and high."""

    text: str
    big: bool = False
    bold: bool = False
    align: int = LEFT


@dataclass(frozen=True, slots=True)
class Qr:
    """A QR code (model 2, error correction M), centred. ValueError in encode() unless printable ASCII."""

    text: str
    dots_a_module: int = 6


@dataclass(frozen=True, slots=True)
class Feed:
    """Empty lines, at most FEED_LINES_MAX."""

    lines: int = 1


Part = Text | Qr | Feed
Slip = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """What the printer says of itself."""

    online: bool = True
    cover_open: bool = False
    paper_near_end: bool = False
    paper_out: bool = False
    cutter_jammed: bool = False
    failed: bool = False

    @property
    def hindrance(self) -> str | None:
        """Why nothing can be printed now (`paper_out`, `cover_open`, `cutter_jammed`, `failed`, `offline`)."""
        for name in ("paper_out", "cover_open", "cutter_jammed", "failed"):
            if getattr(self, name):
                return name
        return None if self.online else "offline"


def status_request(kind: int) -> bytes:
    """DLE EOT: 1 printer, 2 why offline, 3 error, 4 paper; answered at once, also by a printer that is offline."""
    return DLE + EOT + bytes([kind])


def with_answer(status: PrinterStatus, kind: int, byte: int) -> PrinterStatus:
    """The status as one answer to status_request(kind) changes it."""
    if kind == 1:
        return replace(status, online=not byte & 0x08)
    if kind == 2:
        return replace(status, cover_open=bool(byte & 0x04))
    if kind == 3:
        return replace(status, cutter_jammed=bool(byte & 0x08), failed=bool(byte & 0x20))
    return replace(status, paper_near_end=bool(byte & 0x0C), paper_out=bool(byte & 0x60))


def from_asb(data: bytes) -> PrinterStatus:
    """The status in the four bytes that a printer sends by itself (automatic status back)."""
    return PrinterStatus(
        online=not data[0] & 0x08,
        cover_open=bool(data[0] & 0x20),
        cutter_jammed=bool(data[1] & 0x08),
        failed=bool(data[1] & 0x20),
        paper_near_end=bool(data[2] & 0x03),
        paper_out=bool(data[2] & 0x0C),
    )


@dataclass(frozen=True, slots=True)
class Answered:
    """The byte that answers DLE EOT."""

    byte: int


@dataclass(frozen=True, slots=True)
class Told:
    """An automatic status back."""

    status: PrinterStatus


@dataclass(frozen=True, slots=True)
class Reached:
    """The printer has come to a mark() in its data; mark 0: to a paper_mark()."""

    mark: int


Answer = Answered | Told | Reached


class Answers:
    """Takes a printer's bytes apart by their fixed bits; what fits nothing is dropped, counted in `strange`."""

    def __init__(self) -> None:
        self.strange = 0
        self._input = bytearray()

    def feed(self, data: bytes) -> list[Answer]:
        """Whatever is complete now."""
        self._input += data
        found: list[Answer] = []
        while self._input and self._take(found):
            pass
        return found

    def _take(self, found: list[Answer]) -> bool:
        first = self._input[0]
        if first & 0x93 == 0x12:
            found.append(Answered(first))
            del self._input[:1]
        elif first & 0x93 == 0x10:
            if len(self._input) < 4:
                return False
            if any(byte & 0x90 for byte in self._input[1:4]):
                self._drop()
            else:
                found.append(Told(from_asb(bytes(self._input[:4]))))
                del self._input[:4]
        elif first == 0x37:
            end = self._input.find(0)
            if end < 0 and len(self._input) < 8:
                return False
            body = bytes(self._input[1 : max(end, 1)])
            if len(body) == 5 and body[:1] == b"\x22" and body[1:].isdigit():
                found.append(Reached(int(body[1:])))
                del self._input[: end + 1]
            elif body == b"\x25":
                del self._input[: end + 1]  # The buffers are cleared.
            else:
                self._drop()
        elif not first & 0x90:
            found.append(Reached(0))
            del self._input[:1]
        else:
            self._drop()
        return True

    def _drop(self) -> None:
        self.strange += 1
        del self._input[:1]


def mark(number: int) -> bytes:
    """GS ( H: answered with this number (1 to 9999) when everything before it is printed. Epson's own have it."""
    if not 1 <= number <= 9999:
        raise ValueError("a mark has four digits and is not 0")
    return GS + b"(H\x06\x00\x30\x30" + b"%04d" % number


def paper_mark() -> bytes:
    """GS r 1: answered when it is its turn; nearly every printer has it."""
    return GS + b"r\x01"


def printable(text: str, code_page: str) -> bytes:
    """The text in that code page without a single control code; what it lacks is written around, or `?`."""
    encoded = bytearray()
    for character in unicodedata.normalize("NFC", text):
        if character in "\t\r":
            encoded += b" "
            continue
        for candidate in (character, _INSTEAD.get(character, ""), _plain(character), "?"):
            try:
                raw = candidate.encode(code_page)
            except UnicodeEncodeError:
                continue
            if raw and not any(byte < 0x20 or byte == 0x7F for byte in raw):
                encoded += raw
                break
    return bytes(encoded)


def encode(slip: Slip, code_page: str = "cp858", *, raster: bool = False, columns: int = COLUMNS) -> bytes:
    """The bytes of one slip, from reset to cut. raster: draw QR codes here, for a printer without GS ( k.

    ValueError: unknown code page, too many lines, or a QR text that is no printable ASCII.
    """
    if code_page not in CODE_PAGES:
        raise ValueError(f"{code_page!r} is no code page; choose one of {', '.join(CODE_PAGES)}")
    data = bytearray(ESC + b"@" + ESC + b"R\x00" + ESC + b"t" + bytes([CODE_PAGES[code_page]]))
    lines = 0
    for part in slip:
        if isinstance(part, Text):
            wrapped = _wrapped(part, code_page, columns // 2 if part.big else columns)
            lines += len(wrapped)
            style = ESC + b"a" + bytes([part.align]) + ESC + b"E" + bytes([part.bold])
            data += style + GS + b"!" + bytes([0x11 if part.big else 0x00])
            for line in wrapped:
                data += line + b"\n"
        elif isinstance(part, Qr):
            data += ESC + b"a\x01" + (_qr_raster(part) if raster else _qr_native(part)) + b"\n"
            lines += 1
        else:
            lines += part.lines
            data += ESC + b"d" + bytes([max(0, min(part.lines, FEED_LINES_MAX))])
    if lines > SLIP_LINES_MAX:
        raise ValueError(f"{lines} lines are more than a slip may have ({SLIP_LINES_MAX})")
    return bytes(data) + ESC + b"d" + bytes([FEED_TO_CUTTER]) + GS + b"V\x42\x00"


def _wrapped(part: Text, code_page: str, columns: int) -> list[bytes]:
    lines: list[bytes] = []
    for paragraph in part.text.split("\n"):
        # Wrapped after it was encoded: a replacement can be longer than what it stands for.
        clean = printable(paragraph, code_page).decode("latin-1")
        lines += [line.encode("latin-1") for line in textwrap.wrap(clean, columns, drop_whitespace=True)] or [b""]
    return lines


def _plain(character: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))


def _checked(part: Qr) -> bytes:
    if not 0 < len(part.text) <= QR_CHARS_MAX or not all(" " <= c <= "~" for c in part.text):
        raise ValueError(f"a QR code holds 1 to {QR_CHARS_MAX} printable ASCII characters, not {part.text[:40]!r}")
    if not 1 <= part.dots_a_module <= 16:
        raise ValueError("a module of a QR code is 1 to 16 dots wide")
    return part.text.encode()


def _qr_native(part: Qr) -> bytes:
    raw = _checked(part)
    function = GS + b"(k"
    return (
        function + b"\x04\x00\x31\x41\x32\x00"
        + function + b"\x03\x00\x31\x43" + bytes([part.dots_a_module])
        + function + b"\x03\x00\x31\x45\x31"
        + function + (len(raw) + 3).to_bytes(2, "little") + b"\x31\x50\x30" + raw
        + function + b"\x03\x00\x31\x51\x30"
    )  # fmt: skip


def _qr_dots(part: Qr) -> list[list[bool]]:
    code = segno.make_qr(_checked(part), error="m", boost_error=False)
    dots = min(part.dots_a_module, DOTS // code.symbol_size(border=QR_BORDER)[0])
    return [[bool(dot) for dot in row] for row in code.matrix_iter(scale=dots, border=QR_BORDER)]


def _qr_raster(part: Qr) -> bytes:
    rows = _qr_dots(part)
    for shift in range(8):
        picture = _raster(rows, shift)
        if not holds_realtime_command(picture):
            return picture
    raise ValueError("no place on the paper where this picture holds no command; print another size")


def holds_realtime_command(data: bytes) -> bool:
    """Whether a printer would see a DLE command in these bytes while it receives them."""
    return any(DLE + second in data for second in (EOT, ENQ, DC4))


def _raster(rows: list[list[bool]], shift: int) -> bytes:
    """GS v 0 of these dots (True is black), moved right by `shift` dots."""
    width = (len(rows[0]) + shift + 7) // 8
    data = bytearray(GS + b"v0\x00" + width.to_bytes(2, "little") + len(rows).to_bytes(2, "little"))
    for row in rows:
        bits = int("".join("01"[dot] for dot in row), 2) << (8 * width - len(row) - shift)
        data += bits.to_bytes(width, "big")
    return bytes(data)
