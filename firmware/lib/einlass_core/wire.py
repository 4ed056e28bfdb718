"""The one contract on the wire: topics, messages, versions, size limits. Both ends encode and decode with this file.

MQTT 3.1.1, QoS 1, JSON. Every message up carries the node's incarnation (random, new whenever its journal is empty);
every message down is bound to one. Only `state` is retained, and nothing that moves a bolt ever is.
"""

import json

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

VERSION = 1
ROOT = "einlass/%d" % VERSION
MESSAGE_BYTES_MAX = 1024
NAME_LENGTH_MAX = 32
NONCE_LENGTH_MAX = 48
TEXT_LENGTH_MAX = 120
CODE_LENGTH_MAX = 200
ENTRIES_LENGTH_MAX = 720  # of 18 hex digits each: 16 of the digest, 2 for the persons
PERSONS_MAX = 50
COUNT_MAX = 1_000_000_000
MILLISECONDS_MAX = 1 << 53
NODE_EVENTS: "tuple[str, ...]" = (
    "boot",
    "limit",
    "released",
    "passed",
    "unused",
    "given_up",
    "uncertain",
    "forced",
    "exit",
    "refused",
    "emergency",
    "rearmed",
    "fault",
    "fault_over",
    "lost",
)


class WireError(ValueError):
    """A message that cannot be used; the text says which field and what it should be."""


# What a field may be: its type, and the least and greatest value (or the greatest length).
TYPES = {
    "flag": (bool, 0, 0),
    "object": (dict, 0, 0),
    "count": (int, 0, COUNT_MAX),
    "signed": (int, -COUNT_MAX, COUNT_MAX),
    "persons": (int, 0, PERSONS_MAX),
    "time": (int, 0, MILLISECONDS_MAX),
    "name": (str, 0, NAME_LENGTH_MAX),
    "nonce": (str, 0, NONCE_LENGTH_MAX),
    "text": (str, 0, TEXT_LENGTH_MAX),
    "code": (str, 0, CODE_LENGTH_MAX),
    "entries": (str, 0, ENTRIES_LENGTH_MAX),
}
PARTS = {
    "account": "epoch:count version:count ceiling:signed balance:signed pending:count",
    "limit": "epoch:count version:count ceiling:signed",
    "version": "added:count removed:count",
    "list": "added:count removed:count age_ms:time",
}
_IDENTITY = "inc:name boot:count seq:count account:account "

# name:type, the name with "?" when the field may be missing. unix_ms 0: the node does not know the time.
# Kept as text because a board has no room for it as tables: 11 kB less of its heap.
MESSAGES = {
    "hello": _IDENTITY + "software:name hardware:name reason:name",
    "ask": _IDENTITY + "nonce:nonce side:name code:code",
    "event": _IDENTITY + "kind:name ms:time unix_ms:time nonce?:nonce side?:name persons?:count digest?:name "
    "reason?:name code?:name by?:text doubtful?:flag till?:object sale?:object",
    "status": _IDENTITY + "ms:time lane:name waiting:count emergency:flag heap_free_bytes?:count link_drops?:count "
    "cut_off?:name list?:list",
    "alarm": "inc:name reason:name ms:time",
    "reply": "id:nonce code:name detail?:text",
    "answer": "inc:name nonce:nonce id:nonce code:name persons:persons values:object limit?:limit",
    "limit": "inc:name limit:limit boot?:count from_ms?:time lease_ms?:time",
    "list": "inc:name since:version to:version start?:flag end?:flag entries:entries",
    "ack": "inc:name seq:count",
    "command": "id:nonce inc:name do:name issued_ms:time expires_ms:time by:text",
    "state": "online:flag inc?:name boot?:count software?:name",
    "time": "unix_ms:time",
    "emergency": "on:flag by:text",
}

UP: "tuple[str, ...]" = ("hello", "ask", "event", "status", "alarm", "reply")
DOWN: "tuple[str, ...]" = ("answer", "limit", "ack", "command", "list")
BROADCAST = ("time", "emergency")


def topic_up(site: str, node: str, kind: str) -> str:
    """Published by that node only."""
    return "%s/%s/%s/up/%s" % (ROOT, site, node, kind)


def topic_down(site: str, node: str, kind: str) -> str:
    """Published by the controller only; kind "#" is what a node subscribes to."""
    return "%s/%s/%s/down/%s" % (ROOT, site, node, kind)


def topic_state(site: str, node: str) -> str:
    """Retained; the last will sets it to offline."""
    return "%s/%s/%s/state" % (ROOT, site, node)


def topic_all(site: str, kind: str) -> str:
    """To every node of a site; kind "#" to subscribe."""
    return "%s/%s/all/%s" % (ROOT, site, kind)


def kind_of(topic: str) -> str:
    """The message kind a topic carries (its last level)."""
    return topic.rsplit("/", 1)[-1]


def sender_of(topic: str) -> "tuple[str, str]":
    """(site, node) of a topic that a node publishes; WireError when it is not one."""
    levels = topic.split("/")
    if not topic.startswith(ROOT + "/") or len(levels) < 5:
        raise WireError("not a node's topic: expected %s/<site>/<node>/..." % ROOT)
    return levels[2], levels[3]


def encode(kind: str, fields: "dict[str, Any]") -> bytes:
    """A message as bytes; WireError when it breaks the contract, so that a fault shows where it is made."""
    _check(kind, fields)
    payload = json.dumps(fields).encode()
    if len(payload) > MESSAGE_BYTES_MAX:
        raise WireError("%s is %d bytes, at most %d may be sent" % (kind, len(payload), MESSAGE_BYTES_MAX))
    return payload


def decode(kind: str, payload: bytes) -> "dict[str, Any]":
    """The fields of a message; WireError names the field. Unknown fields are kept: a newer peer may send more."""
    if len(payload) > MESSAGE_BYTES_MAX:
        raise WireError("%s is %d bytes, at most %d are read" % (kind, len(payload), MESSAGE_BYTES_MAX))
    try:
        fields = json.loads(payload)
    except (ValueError, RuntimeError):  # RuntimeError: MicroPython's recursion limit on deeply nested brackets
        raise WireError("%s is not JSON in UTF-8" % kind)
    _check(kind, fields)
    return fields  # type: ignore[no-any-return]


def keep_rules() -> None:
    """Read the rules once instead of at every message: for a host, which has the memory."""
    for text in list(MESSAGES.values()) + list(PARTS.values()):
        _kept[text] = read_rules(text)


_kept: "dict[str, list[tuple[str, bool, str]]]" = {}


def read_rules(text: str) -> "list[tuple[str, bool, str]]":
    """(field, whether it may be missing, a key of TYPES or PARTS) for each field that a message's text names."""
    rules = []
    for field in text.split():
        name, kind = field.split(":")
        optional = name[-1] == "?"
        rules.append((name[:-1] if optional else name, optional, kind))
    return rules


def _check(kind: str, fields: "dict[str, Any]") -> None:
    rules = MESSAGES.get(kind)
    if rules is None:
        raise WireError("no message is called %r" % kind)
    _check_fields(kind, rules, fields)


def _check_fields(where: str, rules: str, fields: "dict[str, Any]") -> None:
    if not isinstance(fields, dict):
        raise WireError("%s must be an object" % where)
    for name, optional, kind in _kept.get(rules) or read_rules(rules):
        value = fields.get(name)
        if value is None:
            if optional:
                continue
            raise WireError("%s lacks %s" % (where, name))
        part = PARTS.get(kind)
        if part is not None:
            _check_fields("%s.%s" % (where, name), part, value)
        else:
            _check_value(where, name, TYPES[kind], value)


def _check_value(where: str, name: str, rule: "tuple[Any, int, int]", value: "Any") -> None:
    wanted, low, high = rule
    if type(value) is not wanted:  # bool is an int to isinstance
        raise WireError("%s.%s must be %s" % (where, name, wanted.__name__))
    if wanted is int and not low <= value <= high:
        raise WireError("%s.%s is %d, allowed are %d to %d" % (where, name, value, low, high))
    if wanted is str and len(value) > high:
        raise WireError("%s.%s has %d characters, at most %d are read" % (where, name, len(value), high))
