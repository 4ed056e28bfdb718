"""Bad input on the whole line: on the wire with a node's real credentials, and before the readers.

Whatever comes, the same processes go on, it is written down, and nobody else's admission is touched.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from einlass_core.wire import topic_up
from einlass_sim.demo.parts import ESP32_NODE, PI_NODE, SITE
from whole_line import BROKERS, NODES, STRANGER, Line, open_line

CAP = 20
HELLO = {
    "inc": "AAAA",
    "boot": 1,
    "seq": 0,
    "account": {"epoch": 0, "version": 0, "ceiling": 0, "balance": 0, "pending": 0},
    "software": "1",
    "hardware": "x",
    "reason": "power",
}

READER_PAUSE_S = 0.3  # three times what ends a code without an ending; nothing tells when a reader falls silent

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module", params=BROKERS)
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with open_line(request.param, tmp_path_factory.mktemp("line"), CAP) as line:
        yield line


@pytest.fixture(autouse=True)
def same_processes(line: Line) -> Iterator[None]:
    before = line.pid("controller"), line.pid("broker")
    yield
    line.run(line.audited())
    assert (line.pid("controller"), line.pid("broker")) == before
    assert line.controller.alive


def _hello(**changes: Any) -> bytes:
    return json.dumps({**HELLO, **changes}).encode()


# (kind of message, payload, what the dead letter says)
UNUSABLE = [
    ("hello", _hello()[:-20], "not JSON"),
    ("hello", b"", "not JSON"),
    ("hello", b"\xff\xfe\x00" + _hello(), "not JSON"),
    ("ask", b'{"inc": "\xc3\x28"}', "not JSON"),
    ("ask", b"null", "must be an object"),
    ("ask", b"[" * 1000, "not JSON"),
    ("event", b"[" * 500 + b"]" * 500, "must be an object"),
    ("event", b'{"inc": ' * 120 + b"1" + b"}" * 120, "event"),
    ("event", b'{"inc": "AAAA", "boot": 1, "seq": 1e400}', "event"),
    ("status", _hello(seq="7"), "status"),
    ("hello", _hello(seq=-1), "hello.seq"),
    ("hello", _hello(seq=True), "hello.seq"),
    ("hello", _hello(inc="../../etc"), "inc"),
    ("hello", _hello(software="\ud800"), "surrogates"),
    ("ask", b" " * 10_000, "at most 1024"),
    ("nonsense", b"{}", "no topic"),
]


def test_unusable_messages_become_dead_letters(line: Line) -> None:
    async def scene() -> None:
        await line.settled()
        ticket = await line.ticket()
        await line.kill(ESP32_NODE)
        impostor = line.impostor(ESP32_NODE)
        try:
            for kind, payload, _ in UNUSABLE:
                await impostor.says(topic_up(SITE, ESP32_NODE, kind), payload)
            await impostor.says(topic_up(SITE, ESP32_NODE, "hello/more"), _hello())  # nobody listens there
            impostor.says_in_vain(topic_up(SITE, ESP32_NODE, "ask"), b"x" * 60_000)  # more than the broker takes
            await line.until("the broker hangs up on it", lambda: _now(impostor.connects > 1))
            await impostor.says(topic_up(SITE, ESP32_NODE, "hello"), b"last")
        finally:
            impostor.leave()

        async def last() -> list[dict[str, Any]] | None:
            letters = await line.letters()
            return letters if any(letter["payload"] == "last" for letter in letters) else None

        letters = await line.until("the last one is a dead letter", last)
        for kind, payload, reason in UNUSABLE:
            origin = topic_up(SITE, ESP32_NODE, kind)
            assert any(origin == letter["origin"] and reason in letter["reason"] for letter in letters), (
                f"{kind} {payload[:40]!r}: no letter says {reason!r}: {[letter['reason'] for letter in letters]}"
            )
        assert len(letters) == len(UNUSABLE) + 1, "what was too long for the broker came through"
        # The other lane never noticed.
        await line.enters(PI_NODE, ticket["code"])
        await line.start(ESP32_NODE)
        await line.settled()
        await line.enters(ESP32_NODE, (await line.ticket())["code"])

    line.run(scene())
    assert "dead_letter" in line.log("controller")


def test_a_node_cannot_speak_for_another_and_a_stranger_is_not_heard(line: Line) -> None:
    async def scene() -> None:
        await line.settled()
        before = len(await line.letters())
        ask = json.dumps(
            {**{name: HELLO[name] for name in ("inc", "boot", "seq", "account")}, "nonce": "n.1.1", "side": "entry"}
            | {"code": (await line.ticket())["code"]}
        ).encode()
        after = await line.last()
        await line.kill(ESP32_NODE)
        impostor, stranger = line.impostor(ESP32_NODE), line.impostor(STRANGER)
        try:
            for name in (PI_NODE, "nobody"):
                impostor.says_in_vain(topic_up(SITE, name, "ask"), ask)
            await impostor.says(topic_up(SITE, ESP32_NODE, "hello"), b"after the forbidden ones")
            await stranger.says(topic_up(SITE, STRANGER, "hello"), _hello())
            await stranger.says(topic_up(SITE, STRANGER, "ask"), ask)

            async def heard() -> list[dict[str, Any]] | None:
                letters = (await line.letters())[before:]
                return letters if len(letters) >= 3 else None

            letters = await line.until("three dead letters", heard)
        finally:
            impostor.leave()
            stranger.leave()
        assert [
            letter["payload"]
            for letter in letters
            if letter["origin"].endswith("hello") and "/ost/" in letter["origin"]
        ]
        assert len([letter for letter in letters if f"no node is called '{STRANGER}'" in letter["reason"]]) == 2
        assert len(letters) == 3, letters
        assert not [e for e in await line.ledger() if e["number"] > after and e["kind"] in ("decision", "incarnation")]
        assert (impostor.got, stranger.got) == ([], []), "neither was told anything"
        await line.start(ESP32_NODE)
        await line.settled()

    line.run(scene())


# What a reader may be made to type: nothing of it opens, nothing of it hurts, and the next ticket is read as ever.
STRANGE = [
    b"\xff\xfe\x80\x00\xc3\x28",
    b"'; DROP TABLE ticket; --",
    b"<script>alert(1)</script>",
    b"\x1b]0;title\x07\x1b[2J",
    b"%s%n{0}\\u0000",
    b"\x02\x00\x00\x01\x00\x33\x31",  # as a module answers a command
    b"\x02\x00\x00\x40",  # as the beginning of a long answer, which never goes on
    b"x" * 201,
]


def test_strange_codes_are_red_and_the_reader_reads_on(line: Line) -> None:
    async def strange(lane: str) -> None:
        pid = line.pid(lane)
        for code in STRANGE:
            assert await line.refused(lane, code) == "red", code
        # A reader that types without end; once is enough, at 9600 baud.
        await line.lanes[lane].wait_lamp(False, 5.0)
        length = 10_240 if line.kind == "mosquitto" else 1_024
        typing = asyncio.create_task(line.lanes[lane].readers["entry"].noise(b"A" * length + b"\r"))
        assert await line.lanes[lane].wait_lamp(True, 10.0) == "red"
        await typing
        # On a loaded machine the end of all that may be lost; then a pause ends it, as between two people.
        await asyncio.sleep(READER_PAUSE_S)
        await line.enters(lane, (await line.ticket())["code"])
        assert line.pid(lane) == pid

    async def scene() -> None:
        await line.settled()
        after = await line.last()
        await asyncio.gather(*[strange(lane) for lane in NODES])
        await line.settled()
        told = [e for e in await line.ledger() if e["number"] > after and e["kind"] in ("refused", "decision")]
        for lane in NODES:
            codes = [e["body"]["code"] for e in told if e["body"]["node"] == lane]
            assert set(codes) == {"invalid", "ok"}
            assert codes.count("ok") == 1
        assert "DROP" not in str(told), "a stranger's text does not stand in the ledger"
        assert "script" not in str(told), "a stranger's text does not stand in the ledger"

    line.run(scene())


async def _now(value: bool) -> bool:
    return value
