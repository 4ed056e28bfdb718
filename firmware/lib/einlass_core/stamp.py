"""The time of entry on a parking ticket, behind the code in its QR: a till that is cut off has nobody else to ask.

    E1:0123456789ABCDEFG.1790000000.20717.K3J9QW2MNP0T

The opaque code, the second of entry (Unix), the day whose key was used (days since 1970), and the first 60 bits of
HMAC-SHA256 over all that is before it. Only characters that a QR code has in its small mode and a scanner that plays a
keyboard types without shift. Whoever has no key reads the code and leaves the rest: nothing else is in it.
"""

import hashlib

from einlass_core import codes
from einlass_core.record import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from typing import Any

MARK = "."
KEY_BYTES = 16
MAC_LENGTH = 12  # characters of 5 bits
DAY_S = 86_400
# The clocks of column and till may be so far apart.
AHEAD_S_MAX = 60
# Why a ticket tells no time of entry.
MISSING, WRONG, OLD = "stamp_missing", "stamp_wrong", "stamp_old"

_BLOCK_BYTES = 64


class Entered(Record):
    """entered_s: when the ticket was given out, Unix seconds; else `why`: one of the words above."""

    __slots__ = ("entered_s", "why")

    def __init__(self, entered_s: int, why: str = "") -> None:
        self.entered_s = entered_s
        self.why = why


def stamped(code: str, entered_s: int, day: int, key: bytes) -> str:
    """What stands in the QR of a ticket."""
    text = MARK.join((code, str(entered_s), str(day)))
    return text + MARK + _mac(key, text)


def without(raw: bytes) -> bytes:
    """What a reader delivered, without a stamp."""
    head, mark, _ = raw.partition(MARK.encode())
    is_code = mark and head.strip()[:3].upper() == codes.OPAQUE_PREFIX.encode()
    return head if is_code else raw


def entered(raw: bytes, keys: "dict[int, bytes]", now_s: int) -> Entered:
    """When the ticket was given out, by the keys (day -> key) that are valid here."""
    if without(raw) == raw:
        return Entered(0, MISSING)
    try:
        code = codes.read(without(raw))
        text = raw.decode().strip().upper()
    except ValueError:
        return Entered(0, WRONG)
    parts = text.split(MARK)
    if len(parts) != 4 or not _is_number(parts[1]) or not _is_number(parts[2]):
        return Entered(0, WRONG)
    second, day = int(parts[1]), int(parts[2])
    key = keys.get(day)
    if key is None:
        return Entered(0, OLD)
    if stamped(code, second, day, key) != text or second > now_s + AHEAD_S_MAX:
        return Entered(0, WRONG)
    return Entered(second)


def _is_number(text: str) -> bool:
    """Written as str() writes it, and not longer than a time is."""
    return 0 < len(text) <= 11 and all(character in "0123456789" for character in text) and str(int(text)) == text


def _mac(key: bytes, text: str) -> str:
    block = key + bytes(_BLOCK_BYTES - len(key))
    inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in block]) + text.encode()).digest()
    outer: "Any" = hashlib.sha256(bytes([byte ^ 0x5C for byte in block]) + inner).digest()
    number = int.from_bytes(outer[:8], "big") >> 4
    found = ""
    for _ in range(MAC_LENGTH):
        found = codes.ALPHABET[number & 31] + found
        number >>= 5
    return found
