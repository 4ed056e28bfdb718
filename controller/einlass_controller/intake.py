"""From a topic and bytes to a message the engine understands; whatever cannot be one becomes a Rejected."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from einlass_controller import fastwire
from einlass_controller.domain.occupancy import Report
from einlass_controller.domain.parking import DISPLAY, POOL, SOLD
from einlass_controller.domain.public_codes import normal
from einlass_controller.messages import (
    SIDES,
    Alarm,
    Ask,
    Hello,
    Message,
    NodeEvent,
    Price,
    Proof,
    Rejected,
    Reply,
    State,
    Status,
)
from einlass_core import codes, signed, stamp, wire

# What names and nonces are made of: they become keys, log lines and topic levels.
TOKEN = re.compile(r"[A-Za-z0-9._:-]{1,48}")
UNUSABLE = "unusable"
CONTENT_LENGTH = 32
ADDRESSES_MAX = 10_000
CARDS_MAX = 6
_OPAQUE_PREFIX = codes.OPAQUE_PREFIX.encode()
_SIGNED_PREFIX = codes.SIGNED_PREFIX.encode()
# A till's question holds codes, too; its `cards` are masked as one text.
_CODE_FIELD = re.compile(rb'("(?:code|subject|cards)"\s*:\s*")((?:[^"\\]|\\.)*)')


class Intake:
    """Reads messages of one site. hash_key: makes codes unrecognisable in logs, decisions and dead letters."""

    def __init__(self, site: str, hash_key: bytes) -> None:
        self._site = site
        self._hash_key = hash_key
        self._addresses: dict[str, tuple[str, str]] = {}
        self._readers: dict[str, Callable[[str, dict[str, Any]], Message]] = {
            "hello": _hello,
            "ask": self._ask,
            "event": self._event,
            "price": self._price,
            "status": _status,
            "alarm": lambda node, fields: Alarm(node, fields["inc"], fields["reason"]),
            "reply": lambda node, fields: Reply(node, fields["id"], fields["code"], fields.get("detail") or ""),
            "state": lambda node, fields: State(node, fields["online"]),
        }

    def read(self, topic: str, payload: bytes, retained: bool = False) -> Message:
        """A message; never raises. A retained one is only believed on `state`: nothing else may be retained."""
        try:
            kind, node = self._addresses.get(topic) or self._address(topic)
            if retained and kind != "state":
                raise wire.WireError(f"{kind} was retained by the broker: only state may be")
            return self._read(kind, node, payload)
        except wire.WireError as error:
            return self.rejected(topic, str(error), payload)

    def rejected(self, origin: str, reason: str, payload: bytes) -> Rejected:
        """A dead letter, with the text of any code in it made unrecognisable."""
        masked = _CODE_FIELD.sub(lambda found: found[1] + self.mask(found[2]).encode(), payload)
        return Rejected(origin[:200], reason, masked)

    def mask(self, code: bytes) -> str:
        """A code as it may stand in a log: the same for the same code, and nothing else is known from it."""
        return hmac.digest(self._hash_key, code, "sha256").hex()[:CONTENT_LENGTH]

    def prove(self, raw: bytes) -> Proof:
        """All that is kept of a scanned or typed code, without the stamp of a parking ticket."""
        raw = stamp.without(raw)
        if not _is_plain(raw):
            try:
                raw = codes.read(raw).encode()
            except codes.CodeError as error:
                return Proof(self.mask(raw), fault=error.reason)
        sha256 = hashlib.sha256(raw).hexdigest()
        is_opaque = raw.startswith(_OPAQUE_PREFIX)
        proof = Proof(self.mask(raw), sha256[: 2 * codes.DIGEST_BYTES], sha256, is_opaque=is_opaque)
        if not raw.startswith(_SIGNED_PREFIX):
            return proof
        try:
            return replace(proof, signed=signed.parse(raw.decode()))
        except signed.SignedError as error:
            return Proof(proof.content, fault=error.reason)

    def _address(self, topic: str) -> tuple[str, str]:
        site, node = wire.sender_of(topic)
        kind = wire.kind_of(topic)
        if site != self._site:
            raise wire.WireError(f"site {site[:40]!r} is not this controller's ({self._site})")
        expected = wire.topic_state(site, node) if kind == "state" else wire.topic_up(site, node, kind)
        if topic != expected or kind not in self._readers:
            raise wire.WireError("no topic that a node publishes: see wire.py")
        if len(self._addresses) < ADDRESSES_MAX:
            self._addresses[topic] = kind, node
        return kind, node

    def _read(self, kind: str, node: str, payload: bytes) -> Message:
        try:
            fields = fastwire.decode(kind, payload)
            if b"\\" in payload or not payload.isascii():
                _check_text(fields)
            return self._readers[kind](node, fields)
        except (wire.WireError, UnicodeEncodeError) as error:
            if kind == "event":
                return _numbered(node, payload, str(error))
            raise wire.WireError(str(error)) from error

    def _ask(self, node: str, fields: dict[str, Any]) -> Ask:
        side = fields["side"]
        if side not in SIDES:
            raise wire.WireError("ask.side must be entry or exit")
        proof = self.prove(fields["code"].encode())
        return Ask(node, fields["boot"], _report(fields), _token("nonce", fields["nonce"]), side, proof)

    def _event(self, node: str, fields: dict[str, Any]) -> NodeEvent:
        report = _report(fields)
        nonce = fields.get("nonce")
        if nonce:
            _token("nonce", nonce)
        sale = fields.get("sale")
        if sale is not None and sale.get("what") == DISPLAY and isinstance(sale.get("subject"), str):
            # Of a number plate nothing is kept that could be found out by trying all of them.
            fields = {**fields, "sale": {**sale, "subject": self.mask(sale["subject"].encode())}}
        return NodeEvent(node, report.inc, fields["boot"], report.seq, fields["kind"], report, fields)

    def _price(self, node: str, fields: dict[str, Any]) -> Price:
        what, raw = fields["what"], fields["subject"]
        if what not in SOLD:
            raise wire.WireError(f"price.what must be one of {', '.join(SOLD)}")
        cards = fields["cards"].split()
        if len(cards) > CARDS_MAX:
            raise wire.WireError(f"price.cards has {len(cards)} codes, at most {CARDS_MAX} are read")
        subject = self.mask(codes.digest(raw).encode()) if what == DISPLAY else raw if what == POOL else ""
        return Price(
            node,
            fields["boot"],
            _report(fields),
            _token("nonce", fields["nonce"]),
            fields["sale"],
            what,
            subject,
            self.prove(raw.encode()),
            tuple(self.prove(card.encode()) for card in cards),
            tuple(normal(card) for card in cards),
            fields["paid"],
        )


def _double(element: int) -> int:
    element <<= 1
    return element ^ 0b100101 if element & 32 else element


# codes.check_character() as a table: for each state and character the next state; at the end it must be the last one.
_PLAIN = re.compile(rb"E1:[%s]{%d}" % (codes.ALPHABET.encode(), codes.OPAQUE_LENGTH))
_VALUES = {ord(character): value for value, character in enumerate(codes.ALPHABET)}
_STEPS = [{byte: _double(state ^ value) for byte, value in _VALUES.items()} for state in range(32)]


def _is_plain(raw: bytes) -> bool:
    """Whether this is an opaque code exactly as it is printed, so that codes.read() would return it as it is."""
    if _PLAIN.fullmatch(raw) is None:
        return False
    state = 0
    for byte in raw[len(codes.OPAQUE_PREFIX) : -1]:
        state = _STEPS[state][byte]
    return _VALUES[raw[-1]] == state


def _hello(node: str, fields: dict[str, Any]) -> Hello:
    return Hello(node, fields["boot"], _report(fields), fields["software"], fields["hardware"], fields["reason"])


def _status(node: str, fields: dict[str, Any]) -> Status:
    on_list, trust, book = fields.get("list"), fields.get("trust"), fields.get("book")
    return Status(
        node,
        fields["boot"],
        _report(fields),
        fields["lane"],
        fields["waiting"],
        fields["emergency"],
        fields["ms"],
        fields.get("cut_off") or "",
        None if on_list is None else (on_list["added"], on_list["removed"]),
        0 if on_list is None else on_list["age_ms"],
        None if trust is None else (trust["number"], trust["sum"]),
        None if book is None else (book["digest"], book["coming"], book["part"]),
        fields.get("stamp"),
    )


def _report(fields: dict[str, Any]) -> Report:
    account = fields["account"]
    if account["pending"] > wire.COUNT_MAX // 2:
        raise wire.WireError("account.pending is out of all proportion")
    return Report(
        _token("inc", fields["inc"]),
        fields["seq"],
        account["epoch"],
        account["version"],
        account["ceiling"],
        account["balance"],
        account["pending"],
    )


def _numbered(node: str, payload: bytes, reason: str) -> Message:
    """An event that cannot be read still has its number: else the node would be stuck on it for ever."""
    try:
        fields = json.loads(payload) if len(payload) <= wire.MESSAGE_BYTES_MAX else {}
        inc, boot, seq = fields["inc"], fields["boot"], fields["seq"]
        if type(boot) is int and type(seq) is int and isinstance(inc, str) and TOKEN.fullmatch(inc):
            return NodeEvent(node, inc, boot, seq, UNUSABLE, None, {"reason": reason})
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise wire.WireError(reason)


def _check_text(fields: dict[str, Any]) -> None:
    """Half a surrogate pair and NUL are JSON, but no text that every database could keep."""
    text = json.dumps(fields, ensure_ascii=False).encode().decode()
    if "\\u0000" in text.replace("\\\\", ""):  # a backslash before "u0000" is text, and stands there twice
        raise wire.WireError("a text has a NUL character in it")


def _token(name: str, value: str) -> str:
    if TOKEN.fullmatch(value) is None:
        raise wire.WireError(f"{name} must be 1 to 48 of A-Z a-z 0-9 . _ : -")
    return value
