"""ZVT, the protocol of card terminals at German tills: packets and fields, no I/O.

A packet (APDU) is `class, instruction, length, data`; length FF means that two more bytes give it, low byte first.
Numbers are BCD. Data are fields by number (BMP), whose lengths one has to know; field 06 is a TLV container. Facts:
Verband der Terminalhersteller, PA00P015 13.07 (commands, fields, error messages) and PA00P016 04 (transport,
time-outs), with the field lengths also in the public parsers of Portalum.Zvt and EVerest/zvt (revision 13.11).
"""

from dataclasses import dataclass, field

DATA_BYTES_MAX = 16_384
CENTS_MAX = 10**12 - 1
EURO = 978

REGISTER = 0x0600
AUTHORISE = 0x0601
COMPLETION = 0x060F
ABORTED = 0x061E
REPEAT_RECEIPT = 0x0620
REVERSE = 0x0630
END_OF_DAY = 0x0650
ABORT = 0x06B0
PRINT_LINE = 0x06D1
PRINT_TEXT = 0x06D3
STATUS = 0x040F
INTERMEDIATE = 0x04FF
SET_TIME = 0x0401

ACK_CLASS, NACK_CLASS = 0x80, 0x84

AMOUNT, TLV, TRACE, RESULT, TERMINAL, CURRENCY, RECEIPT, CARD_NAME = 0x04, 0x06, 0x0B, 0x27, 0x29, 0x49, 0x87, 0x8B

# Result codes that a till must tell apart; all others are "declined" with the number.
APPROVED, STOPPED, NOT_POSSIBLE, PLEASE_WAIT, ALREADY_REVERSED = 0x00, 0x6C, 0x83, 0x9C, 0xB4

_FIXED = {
    0x01: 1, 0x02: 1, 0x03: 1, 0x04: 6, 0x05: 1, 0x0B: 3, 0x0C: 3, 0x0D: 2, 0x0E: 2, 0x17: 2, 0x19: 1, 0x27: 1,
    0x29: 4, 0x2A: 15, 0x37: 3, 0x3A: 2, 0x3B: 8, 0x3D: 3, 0x49: 2, 0x87: 2, 0x88: 3, 0x8A: 1, 0x8C: 1, 0xA0: 1,
    0xAA: 3, 0xBA: 5, 0xD0: 1, 0xD2: 1, 0xD3: 1,
}  # fmt: skip
_LL = {0x22, 0x23, 0x2D, 0x8B, 0xA7, 0xD1}
_LLL = {0x24, 0x2E, 0x3C, 0x60, 0x9A, 0xAF}
_RECEIPT_LINES, _RECEIPT_LINE = 0x25, 0x07


class ZvtError(ValueError):
    """What came is not ZVT; the text says why."""


def packet(control: int, data: bytes = b"") -> bytes:
    """One APDU; control is class and instruction, as AUTHORISE. ValueError when there is too much data."""
    if len(data) > DATA_BYTES_MAX:
        raise ValueError(f"a packet holds at most {DATA_BYTES_MAX} bytes")
    length = bytes([len(data)]) if len(data) < 0xFF else b"\xff" + len(data).to_bytes(2, "little")
    return control.to_bytes(2, "big") + length + data


ACK = packet(0x8000)


@dataclass(frozen=True, slots=True)
class Packet:
    """One APDU that came in."""

    control: int
    data: bytes

    @property
    def acknowledges(self) -> bool:
        """Whether it is a positive acknowledgement."""
        return self.control == 0x8000

    @property
    def refusal(self) -> int | None:
        """The error code of a negative acknowledgement; None: it is none."""
        return self.control & 0xFF if self.control >> 8 == NACK_CLASS else None


@dataclass
class Packets:
    """Takes the stream apart."""

    _input: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[Packet]:
        """All packets that are complete now. ZvtError when the stream cannot be ZVT: close the connection."""
        self._input += data
        found: list[Packet] = []
        while len(self._input) >= 3:
            start, length = 3, self._input[2]
            if length == 0xFF:
                if len(self._input) < 5:
                    break
                start, length = 5, int.from_bytes(self._input[3:5], "little")
            if length > DATA_BYTES_MAX:
                raise ZvtError(f"a packet of {length} bytes: this is no ZVT")
            if len(self._input) < start + length:
                break
            control = int.from_bytes(self._input[:2], "big")
            found.append(Packet(control, bytes(self._input[start : start + length])))
            del self._input[: start + length]
        return found


def bcd(number: int, count: int) -> bytes:
    """A number as `count` bytes BCD. ValueError when it does not fit or is negative."""
    if not 0 <= number < 100**count:
        raise ValueError(f"{number} does not fit {2 * count} digits")
    return bytes.fromhex(f"{number:0{2 * count}d}")


def number(raw: bytes) -> int:
    """The number in BCD digits. ZvtError when one is none."""
    if not raw.hex().isdigit():
        raise ZvtError(f"{raw.hex()} is no BCD number")
    return int(raw.hex())


def fields(data: bytes) -> dict[int, bytes]:
    """The fields of a packet's data; those behind one that nobody knows are missing, for its length is not known.

    ZvtError when a field is cut short.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        name = data[at]
        at += 1
        if name in _FIXED:
            length = _FIXED[name]
        elif name in _LL or name in _LLL:
            digits = 2 if name in _LL else 3
            if any(byte & 0xF0 != 0xF0 or byte & 0x0F > 9 for byte in data[at : at + digits]):
                raise ZvtError(f"field {name:02X} has no length")
            length = int("0" + "".join(str(byte & 0x0F) for byte in data[at : at + digits]))
            at += digits
        elif name == TLV:
            length, at = _tlv_length(data, at)
        else:
            return found
        if at + length > len(data):
            raise ZvtError(f"field {name:02X} is cut short")
        found[name] = data[at : at + length]
        at += length
    return found


def receipt_lines(container: bytes) -> list[str]:
    """The lines of text in the TLV container of a print-text packet; nothing when it holds none or is broken."""
    lines: list[str] = []
    try:
        for tag, value in _tlvs(container):
            if tag == _RECEIPT_LINES:
                lines += [_text(line) for name, line in _tlvs(value) if name == _RECEIPT_LINE]
    except ZvtError:
        return lines
    return lines


def line_text(data: bytes) -> str:
    """The text of a print-line packet: an attribute byte, then characters."""
    return _text(data[1:])


def _text(raw: bytes) -> str:
    return "".join(character if character.isprintable() else " " for character in raw.decode("cp437")).rstrip()


def _tlvs(data: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        tag, at = data[at], at + 1
        if tag & 0x1F == 0x1F:
            if at >= len(data):
                raise ZvtError("a tag is cut short")
            tag, at = tag << 8 | data[at], at + 1
        length, at = _tlv_length(data, at)
        if at + length > len(data):
            raise ZvtError("a TLV is cut short")
        found.append((tag, data[at : at + length]))
        at += length
    return found


def _tlv_length(data: bytes, at: int) -> tuple[int, int]:
    """The length in BER, and where the value begins."""
    if at >= len(data):
        raise ZvtError("a TLV has no length")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    if count not in (1, 2) or at + 1 + count > len(data):
        raise ZvtError("a TLV has no length")
    return int.from_bytes(data[at + 1 : at + 1 + count], "big"), at + 1 + count
