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
PERSONS_MAX = 50
COUNT_MAX = 1_000_000_000
MILLISECONDS_MAX = 1 << 53
NODE_EVENTS = (
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


def _integer(low: int, high: int) -> "tuple[Any, ...]":
    return (int, low, high)


def _text(length_max: int) -> "tuple[Any, ...]":
    return (str, 0, length_max)


_FLAG = (bool, 0, 0)
_OBJECT = (dict, 0, 0)
_COUNT = _integer(0, COUNT_MAX)
_SIGNED = _integer(-COUNT_MAX, COUNT_MAX)
_TIME = _integer(0, MILLISECONDS_MAX)
_NAME = _text(NAME_LENGTH_MAX)
_NONCE = _text(NONCE_LENGTH_MAX)

_ACCOUNT = {"epoch": _COUNT, "version": _COUNT, "ceiling": _SIGNED, "balance": _SIGNED, "pending": _COUNT}
_LIMIT = {"epoch": _COUNT, "version": _COUNT, "ceiling": _SIGNED}
_IDENTITY = {"inc": _NAME, "boot": _COUNT, "seq": _COUNT, "account": _ACCOUNT}


def _with_identity(fields: "dict[str, Any]") -> "dict[str, Any]":
    both = dict(_IDENTITY)
    both.update(fields)
    return both


# A field whose name ends in "?" may be missing. unix_ms 0: the node does not know the time.
MESSAGES = {
    "hello": _with_identity({"software": _NAME, "hardware": _NAME, "reason": _NAME}),
    "ask": _with_identity({"nonce": _NONCE, "side": _NAME, "code": _text(200)}),
    "event": _with_identity(
        {
            "kind": _NAME,
            "ms": _TIME,
            "unix_ms": _TIME,
            "nonce?": _NONCE,
            "side?": _NAME,
            "persons?": _integer(0, COUNT_MAX),
            "digest?": _NAME,
            "reason?": _NAME,
            "code?": _NAME,
            "by?": _text(80),
            "doubtful?": _FLAG,
        }
    ),
    "status": _with_identity(
        {"ms": _TIME, "lane": _NAME, "waiting": _COUNT, "emergency": _FLAG, "heap_free_bytes?": _COUNT, "link_drops?": _COUNT}
    ),
    "alarm": {"inc": _NAME, "reason": _NAME, "ms": _TIME},
    "reply": {"id": _NONCE, "code": _NAME, "detail?": _text(120)},
    "answer": {
        "inc": _NAME,
        "nonce": _NONCE,
        "id": _NONCE,
        "code": _NAME,
        "persons": _integer(0, PERSONS_MAX),
        "values": _OBJECT,
        "limit?": _LIMIT,
    },
    "limit": {"inc": _NAME, "limit": _LIMIT},
    "ack": {"inc": _NAME, "seq": _COUNT},
    "command": {"id": _NONCE, "inc": _NAME, "do": _NAME, "issued_ms": _TIME, "expires_ms": _TIME, "by": _text(80)},
    "state": {"online": _FLAG, "inc?": _NAME, "boot?": _COUNT, "software?": _NAME},
    "time": {"unix_ms": _TIME},
    "emergency": {"on": _FLAG, "by": _text(80)},
}

UP = ("hello", "ask", "event", "status", "alarm", "reply")
DOWN = ("answer", "limit", "ack", "command")
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


def _check(kind: str, fields: "dict[str, Any]") -> None:
    rules = MESSAGES.get(kind)
    if rules is None:
        raise WireError("no message is called %r" % kind)
    _check_fields(kind, rules, fields)


def _check_fields(where: str, rules: "dict[str, Any]", fields: "dict[str, Any]") -> None:
    if not isinstance(fields, dict):
        raise WireError("%s must be an object" % where)
    for name, rule in rules.items():
        optional = name[-1] == "?"
        if optional:
            name = name[:-1]
        value = fields.get(name)
        if value is None:
            if optional:
                continue
            raise WireError("%s lacks %s" % (where, name))
        if isinstance(rule, dict):
            _check_fields("%s.%s" % (where, name), rule, value)
        else:
            _check_value(where, name, rule, value)


def _check_value(where: str, name: str, rule: "tuple[Any, ...]", value: "Any") -> None:
    wanted, low, high = rule
    if type(value) is not wanted:  # bool is an int to isinstance
        raise WireError("%s.%s must be %s" % (where, name, wanted.__name__))
    if wanted is int and not low <= value <= high:
        raise WireError("%s.%s is %d, allowed are %d to %d" % (where, name, value, low, high))
    if wanted is str and len(value) > high:
        raise WireError("%s.%s has %d characters, at most %d are read" % (where, name, len(value), high))
