"""Signed codes: a ticket that carries what it says, so that it can be judged without a list (docs/signed.md).

    E2: + Crockford base32 of: version 1, key 2, ticket 8, persons 1, from 4, until 4, product, zone, signature 64

Numbers are big-endian bytes, instants Unix seconds (0: no bound), names a length byte and ASCII. Every content has one
spelling only: else one ticket could be shown as two codes. Hosts only: an ESP32 takes about a second for a signature.
"""

import struct

from einlass_core import codes, wire
from einlass_core.record import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    # (public key, signature, message) -> whether the key signed the message. Ed25519, without state.
    Check = Callable[[bytes, bytes, bytes], bool]

VERSION = 1
KEY_ID_MAX = 0xFFFF
SIGNATURE_BYTES = 64
PUBLIC_KEY_BYTES = 32
KEYS_REMEMBERED = 64
TICKET_ID_LENGTH = 12
INSTANT_S_MAX = 0xFFFF_FFFF
_HEAD = ">BHQBII"
_HEAD_BYTES = 20
_BITS = 5
TICKET_ID_BITS = TICKET_ID_LENGTH * _BITS
CODE_BYTES_MAX = (codes.CODE_LENGTH_MAX - len(codes.SIGNED_PREFIX)) * _BITS // 8
# What product and zone may have together.
NAMES_LENGTH_MAX = CODE_BYTES_MAX - _HEAD_BYTES - 2 - SIGNATURE_BYTES


class SignedError(ValueError):
    """Why a signed code does not count: malformed, version, unknown_key, key_past, key_revoked, signature."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Claim(Record):
    """What a signed code says. Instants are Unix milliseconds, whole seconds; None: no bound. zone "": every zone."""

    __slots__ = ("key", "ticket", "product", "zone", "persons", "valid_from_ms", "valid_until_ms")

    def __init__(
        self,
        key: int,
        ticket: str,
        product: str,
        zone: str,
        persons: int,
        valid_from_ms: "int | None",
        valid_until_ms: "int | None",
    ) -> None:
        self.key = key
        self.ticket = ticket
        self.product = product
        self.zone = zone
        self.persons = persons
        self.valid_from_ms = valid_from_ms
        self.valid_until_ms = valid_until_ms


class Signed(Record):
    """A code as it was read: the claim, and what proves it."""

    __slots__ = ("claim", "message", "signature")

    def __init__(self, claim: Claim, message: bytes, signature: bytes) -> None:
        self.claim = claim
        self.message = message
        self.signature = signature


class PublicKey(Record):
    """One of the keys that may have signed. verify_until_ms, revoked_ms: None for a key without an end."""

    __slots__ = ("id", "public", "verify_until_ms", "revoked_ms")

    def __init__(
        self, id: int, public: bytes, verify_until_ms: "int | None" = None, revoked_ms: "int | None" = None
    ) -> None:
        self.id = id
        self.public = public
        self.verify_until_ms = verify_until_ms
        self.revoked_ms = revoked_ms


def message_of(claim: Claim) -> bytes:
    """The bytes that are signed. Raises ValueError for what no code can carry."""
    product, zone = _name("product", claim.product), _name("zone", claim.zone)
    if len(product) + len(zone) > NAMES_LENGTH_MAX:
        raise ValueError("product and zone have at most %d characters together in a signed code" % NAMES_LENGTH_MAX)
    if not 1 <= claim.key <= KEY_ID_MAX:
        raise ValueError("a key id is 1 to %d" % KEY_ID_MAX)
    if not 1 <= claim.persons <= wire.PERSONS_MAX:
        raise ValueError("a ticket is for 1 to %d persons" % wire.PERSONS_MAX)
    head = struct.pack(
        _HEAD,
        VERSION,
        claim.key,
        number_of(claim.ticket),
        claim.persons,
        _seconds(claim.valid_from_ms),
        _seconds(claim.valid_until_ms),
    )
    body = head + bytes([len(product)]) + product + bytes([len(zone)]) + zone
    return codes.SIGNED_PREFIX.encode() + body


def code_of(message: bytes, signature: bytes) -> str:
    """The code of a signed message."""
    return codes.SIGNED_PREFIX + _write(message[len(codes.SIGNED_PREFIX) :] + signature)


def parse(code: str) -> Signed:
    """What a code says, unproved. Raises SignedError (malformed, version)."""
    if not code.startswith(codes.SIGNED_PREFIX) or len(code) > codes.CODE_LENGTH_MAX:
        raise SignedError("malformed")
    raw = _read(code[len(codes.SIGNED_PREFIX) :])
    body, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
    if len(body) < _HEAD_BYTES + 2:
        raise SignedError("malformed")
    version, key, ticket, persons, first_s, last_s = struct.unpack(_HEAD, body[:_HEAD_BYTES])
    if version != VERSION:
        raise SignedError("version")
    product, rest = _split(body[_HEAD_BYTES:])
    zone, rest = _split(rest)
    if rest or ticket >> TICKET_ID_BITS or not 1 <= persons <= wire.PERSONS_MAX or not key or not product:
        raise SignedError("malformed")
    claim = Claim(key, ticket_of(ticket), product, zone, persons, _ms(first_s), _ms(last_s))
    return Signed(claim, codes.SIGNED_PREFIX.encode() + body, signature)


def verify(signed: Signed, ring: "Mapping[int, PublicKey]", now_ms: int, check: "Check") -> Claim:
    """The claim, if one of these keys vouches for it now. Raises SignedError."""
    key = ring.get(signed.claim.key)
    if key is None:
        raise SignedError("unknown_key")
    if not check(key.public, signed.signature, signed.message):
        raise SignedError("signature")
    if key.revoked_ms is not None:
        raise SignedError("key_revoked")
    if key.verify_until_ms is not None and now_ms > key.verify_until_ms:
        raise SignedError("key_past")
    return signed.claim


def checker(load: "Callable[[bytes], Any]", wrong: "tuple[type[Exception], ...]") -> "Check":
    """A Check made of a host's library, which remembers the keys that it has loaded.

    load: a public key of its bytes, whose verify(signature, message) raises one of `wrong`; as it does for no key.
    """
    loaded: "dict[bytes, Any]" = {}

    def check(public: bytes, signature: bytes, message: bytes) -> bool:
        try:
            key = loaded.get(public)
            if key is None:
                key = load(public)
                if len(loaded) >= KEYS_REMEMBERED:
                    loaded.clear()
                loaded[public] = key
            key.verify(signature, message)
        except wrong:
            return False
        return True

    return check


def whole_seconds(first_ms: "int | None", last_ms: "int | None") -> "tuple[int | None, int | None]":
    """A window that a code can carry: it begins no later and ends no earlier than asked for."""
    first = None if first_ms is None else first_ms // 1000 * 1000
    last = None if last_ms is None else -(-last_ms // 1000) * 1000
    return first, last


def _name(what: str, text: str) -> bytes:
    if not text.isascii() or not text.isprintable():
        raise ValueError("%s %r: only ASCII letters and digits fit into a signed code" % (what, text))
    return text.encode()


def _split(raw: bytes) -> "tuple[str, bytes]":
    if not raw or len(raw) < 1 + raw[0]:
        raise SignedError("malformed")
    name = raw[1 : 1 + raw[0]]
    if not all(32 <= byte < 127 for byte in name):
        raise SignedError("malformed")
    return name.decode(), raw[1 + raw[0] :]


def number_of(ticket: str) -> int:
    """A ticket id as the number that a code carries. Raises ValueError."""
    if len(ticket) != TICKET_ID_LENGTH or not set(ticket) <= set(codes.ALPHABET):
        raise ValueError("ticket %r: an id is %d characters of %s" % (ticket[:20], TICKET_ID_LENGTH, codes.ALPHABET))
    number = 0
    for character in ticket:
        number = number << _BITS | codes.ALPHABET.index(character)
    return number


def ticket_of(number: int) -> str:
    """The id of a ticket by its number."""
    return "".join(codes.ALPHABET[number >> shift & 31] for shift in range((TICKET_ID_LENGTH - 1) * _BITS, -1, -_BITS))


def _seconds(instant_ms: "int | None") -> int:
    if instant_ms is None:
        return 0
    seconds, rest = divmod(instant_ms, 1000)
    if rest or not 0 < seconds <= INSTANT_S_MAX:
        raise ValueError("an instant in a signed code is a whole second from 1970 to 2106")
    return seconds


def _ms(seconds: int) -> "int | None":
    return seconds * 1000 if seconds else None


def _write(raw: bytes) -> str:
    bits = len(raw) * 8
    characters = -(-bits // _BITS)
    number = int.from_bytes(raw, "big") << (characters * _BITS - bits)
    return "".join(codes.ALPHABET[number >> shift & 31] for shift in range((characters - 1) * _BITS, -1, -_BITS))


def _read(text: str) -> bytes:
    number = 0
    for character in text:
        value = codes.ALPHABET.find(character)
        if value < 0:
            raise SignedError("malformed")
        number = number << _BITS | value
    size = len(text) * _BITS // 8
    spare = len(text) * _BITS - size * 8
    if spare >= _BITS or number & ((1 << spare) - 1) or size < SIGNATURE_BYTES:
        raise SignedError("malformed")
    return (number >> spare).to_bytes(size, "big")
