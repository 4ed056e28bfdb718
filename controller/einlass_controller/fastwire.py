"""wire.py at the speed of a controller: the same rules, checked while the JSON is read.

Types made from wire.py's own text say what is surely right; whatever they do not take goes to wire.py, which has the
last word and the words for it. So nothing is accepted here that wire.py refuses, and nothing refused that it accepts.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from einlass_core import wire, wire_signed, wire_till

wire_till.join()
wire_signed.join()
wire.keep_rules()


def _type_of(kind: str) -> Any:
    part = wire.PARTS.get(kind)
    if part is not None:
        return _struct(kind, part)
    wanted, low, high = wire.TYPES[kind]
    if wanted is int:
        return Annotated[int, msgspec.Meta(ge=low, le=high)]
    if wanted is str:
        return Annotated[str, msgspec.Meta(max_length=high)]
    return wanted


def _struct(name: str, text: str) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for field, optional, kind in wire.read_rules(text):
        told = _type_of(kind)
        fields.append((field, told | None, None) if optional else (field, told))
    return msgspec.defstruct(name, fields, kw_only=True)


_decode: Callable[[bytes], Any] = msgspec.json.Decoder().decode
_encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
_checks: dict[str, Callable[[bytes], Any]] = {
    kind: msgspec.json.Decoder(_struct(kind, text)).decode for kind, text in wire.MESSAGES.items()
}
# What msgspec raises for JSON it does not take, and for values it cannot write.
_DOUBTS = (msgspec.MsgspecError, KeyError, UnicodeError, TypeError, ValueError, RecursionError)


def decode(kind: str, payload: bytes) -> dict[str, Any]:
    """As wire.decode()."""
    if len(payload) <= wire.MESSAGE_BYTES_MAX and b"\\" not in payload:
        try:
            _checks[kind](payload)
            fields: dict[str, Any] = _decode(payload)
            return fields
        except _DOUBTS:
            pass
    return wire.decode(kind, payload)


def encode(kind: str, fields: dict[str, Any]) -> bytes:
    """As wire.encode(), without the blanks."""
    try:
        payload = _encode(fields)
        if len(payload) <= wire.MESSAGE_BYTES_MAX:
            _checks[kind](payload)
            return payload
    except _DOUBTS:
        pass
    return wire.encode(kind, fields)
