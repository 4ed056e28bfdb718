"""What a QR text may be, and how it is read: a stranger's text is data, bounded and never trusted.

E1: opaque code: 80 random bits as 16 Crockford base32 characters and one check character. A person may type it in
lower case, in groups, without the prefix. E2: signed code. Anything else printable is passed on as it is.
"""

import hashlib

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH_MAX = 200
OPAQUE_BITS = 80
OPAQUE_LENGTH = 17
OPAQUE_PREFIX = "E1:"
SIGNED_PREFIX = "E2:"
DIGEST_BYTES = 8


class CodeError(ValueError):
    """Not a code. The reason is a word for the journal: empty, too_long, not_text, misread."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_character(body: str) -> str:
    """Catches every single wrong character and every swap of neighbours: Damm's scheme over GF(32)."""
    total = 0
    for at in range(len(body)):
        total = _double(total) ^ ALPHABET.index(body[at : at + 1])
    total = _double(total)
    return ALPHABET[total : total + 1]


def opaque(number: int) -> str:
    """The E1 code of an 80-bit number; ValueError outside 0 .. 2**80 - 1."""
    if not 0 <= number < 1 << OPAQUE_BITS:
        raise ValueError("an opaque code is made of 80 bits")
    body = ""
    for _ in range(OPAQUE_LENGTH - 1):
        body = ALPHABET[number & 31 : (number & 31) + 1] + body
        number >>= 5
    return OPAQUE_PREFIX + body + check_character(body)


def read(raw: bytes) -> str:
    """The code in what a reader or a keyboard delivered; CodeError when it cannot be one."""
    if len(raw) > CODE_LENGTH_MAX:
        raise CodeError("too_long")
    for byte in raw:
        if not 32 <= byte < 127 and byte not in (9, 10, 13):
            raise CodeError("not_text")
    text = raw.decode().strip()
    if not text:
        raise CodeError("empty")
    head = text[:3].upper()
    if head == OPAQUE_PREFIX:
        plain = _opaque_body(text[3:])
        if plain is None:
            raise CodeError("misread")
        return plain
    if head == SIGNED_PREFIX:
        return text.upper()
    return _opaque_body(text) or text


def digest(code: str) -> str:
    """What a node's list and journal hold instead of the code: 8 bytes of SHA-256, as 16 hex digits."""
    return "".join("%02x" % byte for byte in hashlib.sha256(code.encode()).digest()[:DIGEST_BYTES])


def in_groups(code: str) -> str:
    """An E1 code as people read and type it: groups of four."""
    body = code[len(OPAQUE_PREFIX) :]
    return "-".join(body[at : at + 4] for at in range(0, len(body), 4))


def _opaque_body(text: str) -> "str | None":
    text = text.upper().replace(" ", "").replace("-", "").replace("I", "1").replace("L", "1").replace("O", "0")
    if len(text) != OPAQUE_LENGTH:
        return None
    # Slices: MicroPython keeps every single character that a loop over a text has seen, for good, and a
    # stranger's codes would fill its heap.
    for at in range(OPAQUE_LENGTH):
        if text[at : at + 1] not in ALPHABET:
            return None
    return OPAQUE_PREFIX + text if check_character(text[:-1]) == text[-1:] else None


def _double(element: int) -> int:
    """Times two in GF(32) with the polynomial x^5 + x^2 + 1."""
    element <<= 1
    return element ^ 0b100101 if element & 32 else element
