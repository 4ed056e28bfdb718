"""The controller's MQTT client against a broker that we are: every byte apart, garbage, silence, refusals."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from einlass_controller import mqtt
from einlass_controller.bus import Bus
from einlass_controller.intake import Intake
from einlass_controller.messages import Message, Outbound, Rejected
from einlass_controller.mqtt import Client, MqttError, Publication
from einlass_controller.settings import Settings

ACCEPTED = b"\x20\x02\x00\x00"
DEADLINE_S = 20.0


class Peer:
    """The broker's end of one connection, and what the client said of it."""

    def __init__(self) -> None:
        self.heard: list[Publication] = []
        self.lost: list[str] = []
        self.client = Client(self.heard.extend, self.lost.append)
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def packet(self) -> tuple[int, bytes]:
        first = (await self.reader.readexactly(1))[0]
        size = shift = 0
        while True:
            byte = (await self.reader.readexactly(1))[0]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return first, await self.reader.readexactly(size)

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await asyncio.sleep(0.005)


def with_peer(story: Callable[[Peer], Awaitable[None]], answer: bytes = ACCEPTED, keepalive_s: int = 0) -> Any:
    async def run() -> None:
        peer, came = Peer(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer.reader, peer.writer = reader, writer
            first, body = await peer.packet()
            assert (first, body[:7]) == (0x10, b"\x00\x04MQTT\x04")
            await peer.say(answer)
            came.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(DEADLINE_S):
                await peer.client.connect(
                    "127.0.0.1", port, name="c", user="u", password="p", keepalive_s=keepalive_s, clean=True
                )
                await came.wait()
                await story(peer)
        finally:
            peer.client.close()
            server.close()
            if came.is_set():
                peer.writer.close()

    return asyncio.run(run())


def publication(topic: bytes, payload: bytes, packet_id: int = 7, first: int = 0x32) -> bytes:
    body = len(topic).to_bytes(2) + topic + (packet_id.to_bytes(2) if first & 6 else b"") + payload
    return bytes((first,)) + mqtt._length(len(body)) + body


@pytest.mark.parametrize("at_once", [True, False])
def test_packets_arrive_whole_however_they_are_cut(at_once: bool) -> None:
    sizes = [0, 1, 119, 120, 121, 127, 128, 300, 16_383, 16_384, 20_000]
    stream = b"".join(publication(b"a/b", b"x" * size, size + 1) for size in sizes) + b"\xd0\x00"

    async def story(peer: Peer) -> None:
        step = len(stream) if at_once else 997
        for start in range(0, len(stream), step):
            await peer.say(stream[start : start + step])
            await asyncio.sleep(0)
        await peer.until(lambda: len(peer.heard) == len(sizes))
        acks = [await peer.packet() for _ in sizes]
        assert acks == [(0x40, (size + 1).to_bytes(2)) for size in sizes]
        assert [len(item.payload) for item in peer.heard] == sizes
        assert {item.topic for item in peer.heard} == {"a/b"}

    with_peer(story)


def test_one_byte_at_a_time() -> None:
    async def story(peer: Peer) -> None:
        for byte in publication(b"t", b"y" * 200, 9) + publication(b"t", b"", 10, 0x31):
            peer.client.data_received(bytes((byte,)))
        assert [(item.payload, item.retained) for item in peer.heard] == [(b"y" * 200, False), (b"", True)]

    with_peer(story)


def test_what_is_published_arrives_and_is_forgotten_when_acknowledged() -> None:
    async def story(peer: Peer) -> None:
        peer.client.publish([("a", b"1"), ("b", b"2" * 200), ("c", b"3" * 20_000)])
        found = [await peer.packet() for _ in range(3)]
        assert [body[:3] for _, body in found] == [b"\x00\x01a", b"\x00\x01b", b"\x00\x01c"]
        assert peer.client.unacknowledged == 3
        for _, body in found:
            await peer.say(b"\x40\x02" + body[3:5])
        await peer.until(lambda: peer.client.unacknowledged == 0)

    with_peer(story)


def test_packet_ids_are_not_used_twice_and_end_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "UNACKNOWLEDGED_MAX", 5)
    monkeypatch.setattr(mqtt, "PACKET_ID_MAX", 6)

    async def story(peer: Peer) -> None:
        peer.client.publish([("a", b"")] * 5)
        ids = {(await peer.packet())[1][3:5] for _ in range(5)}
        assert len(ids) == 5
        with pytest.raises(MqttError, match="not acknowledged"):
            peer.client.publish([("a", b"")])

    with_peer(story)


def test_a_subscription_is_waited_for_and_may_be_refused() -> None:
    async def story(peer: Peer) -> None:
        for granted in (b"\x01\x01", b"\x01\x80"):
            waiting = asyncio.ensure_future(peer.client.subscribe(["a/+", "b"]))
            first, body = await peer.packet()
            assert (first, body[2:]) == (0x82, b"\x00\x03a/+\x01\x00\x01b\x01")
            await peer.say(b"\x90\x04" + body[:2] + granted)
            if granted == b"\x01\x80":
                with pytest.raises(MqttError, match="subscription"):
                    await waiting
            else:
                await waiting

    with_peer(story)


def test_a_refusal_says_why() -> None:
    async def story(_: Peer) -> None:
        raise AssertionError("it was refused")

    with pytest.raises(MqttError, match="password"):
        with_peer(story, answer=b"\x20\x02\x00\x04")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x32\xff\xff\xff\x7f",  # 256 MB
        b"\x32\x02\x00\x40",  # a topic longer than its packet
        b"\x32\x03\x00\x01a",  # no room for the packet id
        b"\x32\x05\x00\x01\xff\x00\x01",  # no text
        b"\x32\x00\x00",
        b"\x10\x00",  # what only a client says
        b"\x90\x00",
    ],
)
def test_a_broker_that_breaks_the_protocol_is_left(garbage: bytes) -> None:
    async def story(peer: Peer) -> None:
        await peer.say(garbage + b"\xd0\x00")
        await peer.until(lambda: bool(peer.lost))
        assert "protocol" in peer.lost[0]

    with_peer(story)


def test_a_lost_connection_is_told_once() -> None:
    async def story(peer: Peer) -> None:
        waiting = asyncio.ensure_future(peer.client.subscribe(["a"]))
        await peer.packet()
        peer.writer.close()
        with pytest.raises(MqttError):
            await waiting
        peer.client.publish([("a", b"into the void")])
        assert len(peer.lost) == 1

    with_peer(story)


def test_silence_is_noticed_and_a_ping_prevents_it() -> None:
    async def story(peer: Peer) -> None:
        for _ in range(2):
            assert await peer.packet() == (0xC0, b"")
            await peer.say(b"\xd0\x00")
        assert not peer.lost
        await peer.until(lambda: bool(peer.lost))  # now it stays silent
        assert "silent" in peer.lost[0]

    with_peer(story, keepalive_s=1)


def test_a_broker_that_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "UNSENT_BYTES_MAX", 1 << 16)

    async def story(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(2_000):
            peer.client.publish([("a", b"x" * 16_000)])
            if peer.lost:
                break
            await asyncio.sleep(0)
        assert "does not read" in peer.lost[0]

    with_peer(story)


def test_what_the_broker_had_kept_is_answered_before_it_confirms_the_topics() -> None:
    """A controller that comes back hears the questions of those who stand at the gates first of all."""

    async def story() -> None:
        peer = Peer()
        said: list[tuple[int, bytes]] = []
        over = asyncio.Event()

        def post(found: list[Message]) -> None:
            if any(isinstance(message, Rejected) for message in found):
                asyncio.get_running_loop().call_soon(bus.publish, [Outbound("a/b", b"answer")])

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer.reader, peer.writer = reader, writer
            await peer.packet()
            await peer.say(ACCEPTED)
            first, body = await peer.packet()
            assert first == 0x82
            await peer.say(publication(b"einlass/1/pool/gate-1/up/ask", b"a question"))
            while not any(first >> 4 == 3 for first, _ in said):
                said.append(await peer.packet())
            await peer.say(b"\x90\x04" + body[:2] + b"\x01\x01")
            over.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        settings: dict[str, Any] = {"database_url": "sqlite://", "hash_key": "00" * 32}
        settings["mqtt_port"] = server.sockets[0].getsockname()[1]
        bus = Bus(Settings(**settings), "pool", Intake("pool", bytes(32)), post)
        await bus.start()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await over.wait()
                await bus.connected.wait()
        finally:
            await bus.stop()
            server.close()
            peer.writer.close()
        assert said[-1][1].endswith(b"answer")

    asyncio.run(story())
