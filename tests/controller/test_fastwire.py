"""The quick reader of messages and wire.py are one contract: what one takes the other takes, with the same fields."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from einlass_controller import fastwire
from einlass_controller.domain.ledger import canonical
from einlass_controller.intake import Intake
from einlass_core import codes, wire

_VALUES = {
    "flag": st.booleans(),
    "object": st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
    "count": st.integers(0, wire.COUNT_MAX),
    "signed": st.integers(-wire.COUNT_MAX, wire.COUNT_MAX),
    "persons": st.integers(0, wire.PERSONS_MAX),
    "time": st.integers(0, wire.MILLISECONDS_MAX),
    "name": st.text(max_size=wire.NAME_LENGTH_MAX),
    "nonce": st.text(max_size=wire.NONCE_LENGTH_MAX),
    "text": st.text(max_size=40),
    "code": st.text(max_size=60),
    "entries": st.text(max_size=60),
    "piece": st.text(max_size=60),
    "chunk": st.text(max_size=60),
    "cards": st.text(max_size=60),
    "held": st.text(max_size=24),
}
_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.text(st.characters(), max_size=210),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def _fields(text: str) -> st.SearchStrategy[dict[str, Any]]:
    needed: dict[str, Any] = {}
    free: dict[str, Any] = {}
    for name, optional, kind in wire.read_rules(text):
        value = _fields(wire.PARTS[kind]) if kind in wire.PARTS else _VALUES[kind]
        (free if optional else needed)[name] = value
    return st.fixed_dictionaries(needed, optional=free)


@st.composite
def _messages(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A good message, or one with something odd in one place."""
    kind = draw(st.sampled_from(sorted(wire.MESSAGES)))
    fields = draw(_fields(wire.MESSAGES[kind]))
    where: dict[str, Any] = fields
    if isinstance(fields.get("account"), dict) and draw(st.booleans()):
        where = fields["account"]
    if draw(st.booleans()):
        name = draw(st.sampled_from([*where, "unknown"]))
        if draw(st.booleans()):
            where[name] = draw(_ODD)
        else:
            where.pop(name, None)
    return kind, fields


def _told(read: Any, kind: str, given: Any) -> Any:
    try:
        return repr(read(kind, given))  # repr: NaN is not itself
    except wire.WireError as error:
        return f"refused: {error}"


@given(_messages(), st.booleans())
def test_what_one_reads_the_other_reads(message: tuple[str, dict[str, Any]], ascii_only: bool) -> None:
    kind, fields = message
    payload = json.dumps(fields, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    assert _told(fastwire.decode, kind, payload) == _told(wire.decode, kind, payload)


@given(st.sampled_from(sorted(wire.MESSAGES)), st.binary(max_size=60))
def test_garbage_is_refused_in_the_same_words(kind: str, payload: bytes) -> None:
    assert _told(fastwire.decode, kind, payload) == _told(wire.decode, kind, payload)


@pytest.mark.parametrize(
    "text",
    [
        '{"unix_ms":1.0}',
        '{"unix_ms":1e3}',
        '{"unix_ms":-0}',
        '{"unix_ms":true}',
        '{"unix_ms":1,"unix_ms":"a"}',
        '{"unix_ms":"a","unix_ms":1}',
        '{"unix_ms":1,"x":NaN}',
        '{"unix_ms":1,"x":1e999}',
        '{"unix_ms":1,"x":"\x01"}',
        '\ufeff{"unix_ms":1}',
        '{"unix_ms":1}x',
        '{"unix_ms":01}',
        '{"unix_ms":1,}',
        "[" * 2000,
        "null",
    ],
)
def test_corners_of_json_are_read_alike(text: str) -> None:
    assert _told(fastwire.decode, "time", text.encode()) == _told(wire.decode, "time", text.encode())


@given(_messages())
def test_what_one_writes_the_other_would_have_written(message: tuple[str, dict[str, Any]]) -> None:
    kind, fields = message
    quick, slow = _told(fastwire.encode, kind, fields), _told(wire.encode, kind, fields)
    if "refused" in slow and " bytes, at most " in slow:  # shorter without the blanks: it may just fit
        return
    assert ("refused" in quick, "refused" in slow) in ((True, True), (False, False)), (quick, slow)
    if "refused" in slow:
        assert quick == slow
    else:
        assert json.loads(fastwire.encode(kind, fields)) == json.loads(wire.encode(kind, fields)) or "nan" in repr(
            fields
        )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), _JSON, max_size=4))
@example({"a": "\x7f"})
@example({"b": "\ud800", "c": "\u2028", "ä": 1 << 64})
def test_a_line_of_the_ledger_is_written_as_the_json_module_would(body: dict[str, Any]) -> None:
    assert canonical(body) == json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@given(st.integers(0, (1 << codes.OPAQUE_BITS) - 1), st.integers(0, 40), st.sampled_from(codes.ALPHABET + "-iLo \x07"))
def test_the_short_way_to_a_proof_is_the_long_one(number: int, at: int, changed: str) -> None:
    intake = Intake("pool", b"k" * 32)
    code = codes.opaque(number)
    for raw in (code, code[:at] + changed + code[at + 1 :], code.lower(), code + "\r\n"):
        if raw[:3].upper() == codes.SIGNED_PREFIX:
            continue  # a signed code has rules of its own
        proof = intake.prove(raw.encode())
        assert (proof.fault, proof.digest, proof.content) == _the_long_way(intake, raw.encode())


def _the_long_way(intake: Intake, raw: bytes) -> tuple[str, str, str]:
    try:
        plain = codes.read(raw)
    except codes.CodeError as error:
        return error.reason, "", intake.mask(raw)
    return "", codes.digest(plain), intake.mask(plain.encode())
