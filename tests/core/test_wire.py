"""Every message there and back, and everything that must not get through."""

from einlass_core import wire

ACCOUNT = {"epoch": 0, "version": 3, "ceiling": 4, "balance": -2, "pending": 0}


def error_of(kind: str, payload: bytes) -> str:
    try:
        wire.decode(kind, payload)
    except wire.WireError as error:
        return str(error)
    raise AssertionError("accepted")


def ask() -> "dict[str, object]":
    return {"inc": "A", "boot": 1, "seq": 9, "account": ACCOUNT, "nonce": "A.1.1", "side": "entry", "code": "E1:X"}


def test_there_and_back() -> None:
    assert wire.decode("ask", wire.encode("ask", ask())) == ask()


def test_optional_fields_may_be_missing_and_new_ones_are_kept() -> None:
    assert wire.decode("state", b'{"online": true, "colour": "red"}') == {"online": True, "colour": "red"}


def test_what_is_wrong_is_named() -> None:
    assert error_of("ask", b"{}").startswith("ask lacks ")
    assert error_of("ask", b"[]") == "ask must be an object"
    assert error_of("ack", b'{"inc": "A", "seq": -1}') == "ack.seq is -1, allowed are 0 to 1000000000"
    assert error_of("ack", b'{"inc": "A", "seq": true}') == "ack.seq must be int"
    assert error_of("ack", b'{"inc": 7, "seq": 1}') == "ack.inc must be str"
    assert "characters" in error_of("ack", b'{"inc": "' + b"A" * 99 + b'", "seq": 1}')
    assert error_of("nonsense", b"{}") == "no message is called 'nonsense'"
    assert "limit.limit.ceiling" in error_of("limit", b'{"inc":"A","limit":{"epoch":0,"version":0,"ceiling":"9"}}')


def test_hostile_payloads_are_refused_and_nothing_else_happens() -> None:
    for payload in (
        b"",
        b"\xff\xfe",
        b"{",
        b"null",
        b"1e999",
        b"[" * 1000,
        b'{"a":' * 150,
        b"x" * 20_000,
        b'"\\ud800"',
    ):
        error_of("ask", payload)


def test_what_is_sent_is_checked_too() -> None:
    broken = ask()
    broken["code"] = "A" * 201
    try:
        wire.encode("ask", broken)
    except wire.WireError as error:
        assert "201" in str(error)
    else:
        raise AssertionError("sent")


def test_topics() -> None:
    assert wire.topic_up("pool", "gate-1", "ask") == "einlass/1/pool/gate-1/up/ask"
    assert wire.sender_of("einlass/1/pool/gate-1/up/ask") == ("pool", "gate-1")
    assert wire.kind_of(wire.topic_state("pool", "gate-1")) == "state"
    for topic in ("", "einlass/1/pool", "other/1/pool/gate-1/up/ask"):
        try:
            wire.sender_of(topic)
        except wire.WireError:
            continue
        raise AssertionError(topic)
