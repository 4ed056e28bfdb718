from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einlass_controller.intake import Intake
from einlass_controller.messages import Ask, NodeEvent, Rejected
from einlass_core import wire

INTAKE = Intake("pool", b"k" * 32)
ASK = wire.topic_up("pool", "gate-1", "ask")
EVENT = wire.topic_up("pool", "gate-1", "event")
ACCOUNT = {"epoch": 0, "version": 0, "ceiling": 0, "balance": 0, "pending": 0}
GOOD = {"inc": "i", "boot": 1, "seq": 0, "account": ACCOUNT, "nonce": "i.1.1", "side": "entry", "code": "ABC"}
GOOD_EVENT = {"inc": "i", "boot": 1, "seq": 1, "account": ACCOUNT, "kind": "forced", "ms": 1, "unix_ms": 0}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"\xff\xfe\xfd",
        b"{",
        b"null",
        b"[]",
        b"[" * 1000,
        b'{"a":' * 170,
        b"x" * 10_000,
        b'{"inc":"i"}',
        wire.encode("ask", GOOD).replace(b'"entry"', b'"sideways"'),
        wire.encode("ask", GOOD).replace(b"i.1.1", b"../../x"),
        wire.encode("ask", GOOD).replace(b'"boot": 1', b'"boot": true'),
        wire.encode("ask", GOOD).replace(b'"boot": 1', b'"boot": -1'),
        wire.encode("ask", GOOD).replace(b'"boot": 1', b'"boot": 1e3'),
        wire.encode("ask", GOOD).replace(b"ABC", b"\\ud800"),
        wire.encode("ask", GOOD).replace(b"ABC", b"\xed\xa0\x80"),
        wire.encode("ask", GOOD).replace(b"ABC", b"A\\u0000C"),
        wire.encode("ask", GOOD).replace(b"ABC", b"A\x00C"),
    ],
)
def test_garbage_becomes_a_dead_letter_and_nothing_else(payload: bytes) -> None:
    assert isinstance(INTAKE.read(ASK, payload), Rejected)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "einlass/1/pool/gate-1/up/unknown",
        "einlass/1/other/gate-1/up/ask",
        "einlass/2/pool/gate-1/up/ask",
        "einlass/1/pool/gate-1/down/ask",
        "einlass/1/pool/gate-1/up/ask/more",
        "einlass/1/pool/gate-1/state/ask",
        "\x00",
    ],
)
def test_a_topic_that_no_node_publishes(topic: str) -> None:
    assert isinstance(INTAKE.read(topic, wire.encode("ask", GOOD)), Rejected)


def test_what_is_retained_is_only_believed_of_a_state() -> None:
    assert isinstance(INTAKE.read(ASK, wire.encode("ask", GOOD), retained=True), Rejected)
    assert not isinstance(INTAKE.read(wire.topic_state("pool", "g"), b'{"online":true}', retained=True), Rejected)


def test_an_event_that_cannot_be_read_keeps_its_number() -> None:
    message = INTAKE.read(EVENT, wire.encode("event", GOOD_EVENT).replace(b'"ms": 1', b'"ms": "x"'))
    assert isinstance(message, NodeEvent)
    assert (message.seq, message.report) == (1, None)


def test_a_code_is_never_in_what_is_kept() -> None:
    read = INTAKE.read(ASK, wire.encode("ask", {**GOOD, "code": "TOPSECRET"}))
    assert isinstance(read, Ask)
    assert "TOPSECRET" not in repr(read)
    rejected = INTAKE.read("einlass/1/other/x/up/ask", wire.encode("ask", {**GOOD, "code": 'TOP"SECRET'}))
    assert isinstance(rejected, Rejected)
    assert b"SECRET" not in rejected.payload


@settings(max_examples=300, deadline=None)
@given(payload=st.binary(max_size=200), kind=st.sampled_from([*wire.UP, "state"]))
def test_any_bytes_are_survived(payload: bytes, kind: str) -> None:
    topic = wire.topic_state("pool", "g") if kind == "state" else wire.topic_up("pool", "g", kind)
    INTAKE.read(topic, payload)


def test_unknown_nodes_and_kinds_stop_nobody(bench: Any) -> None:
    gate = bench.gate()
    stranger = bench.intake.read(wire.topic_up("pool", "nobody", "ask"), wire.encode("ask", GOOD))
    unknown = gate.event_message("danced")
    sideways = gate.event_message("passed", side="sideways")
    unreadable = bench.intake.read(
        wire.topic_up("pool", "gate-1", "event"),
        wire.encode("event", {**GOOD_EVENT, "inc": gate.inc, "seq": 3}).replace(b'"ms": 1', b'"ms": []'),
    )
    gate.seq = 3
    after = gate.event_message("forced", side="entry", persons=1)
    answers = bench.run(stranger, unknown, sideways, unreadable, after)
    assert [item["seq"] for item in answers if item["kind"] == "ack"] == [4]
    reasons = [reason for (reason,) in bench.rows("SELECT reason FROM dead_letter ORDER BY number")]
    assert len(reasons) == 4
    assert "nobody" in reasons[0]
    assert "danced" in reasons[1]
    assert gate.ask(bench.ticket())["code"] == "ok"


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(wire.NODE_EVENTS),
    fields=st.fixed_dictionaries(
        {},
        optional={
            "nonce": st.sampled_from(["i.1.1", "", "i.1.2"]),
            "side": st.sampled_from(["entry", "exit", "up"]),
            "persons": st.integers(0, 10**9),
            "digest": st.text(max_size=16),
            "reason": st.text(max_size=32),
            "code": st.text(max_size=32),
            "by": st.text(max_size=80),
            "doubtful": st.booleans(),
        },
    ),
    account=st.fixed_dictionaries(
        {
            "epoch": st.integers(0, 2),
            "version": st.integers(0, 5),
            "ceiling": st.integers(-9, 10**9),
            "balance": st.integers(-9, 10**9),
            "pending": st.integers(0, 10**9),
        }
    ),
)
def test_whatever_a_node_says_it_is_acknowledged_and_the_books_hold(
    shared_gate: Any, kind: str, fields: dict[str, Any], account: dict[str, int]
) -> None:
    gate, bench = shared_gate, shared_gate.bench
    gate.seq += 1
    payload = wire.encode(
        "event",
        {
            "inc": gate.inc,
            "boot": 1,
            "seq": gate.seq,
            "account": account,
            "kind": kind,
            "ms": 1,
            "unix_ms": 5,
            **fields,
        },
    )
    message = bench.intake.read(wire.topic_up("pool", "gate-1", "event"), payload)
    acks = [item["seq"] for item in bench.run(message) if item["kind"] == "ack"]
    assert acks == [gate.seq]
    bench.engine.live.books.audit()
