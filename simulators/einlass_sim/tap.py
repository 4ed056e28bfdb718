"""Between MQTT clients and their broker: hears every message, and lets a direction stand still where it is told to.

    tap = Tap(broker_port)
    port = await tap.start()                          # clients connect here
    hold = tap.hold("gate-1", "answer")               # the next answer to gate-1, and all behind it, does not arrive
    said = await hold.wait(5.0)                       # it is on its way
    hold.release()                                    # now it arrives (or hold.drop(): it never does, the link is cut)

A held packet is one that takes its time on the network: what its sender does meanwhile, dying included, changes
nothing about it.
"""

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from einlass_core.wire import kind_of
from einlass_sim.processes import LOOPBACK

CONNECT = 0x10
PUBLISH = 0x30
LENGTH_BYTES_MAX = 4
SAID_MAX = 100_000
REACH_S_MAX = 10.0
REACH_AGAIN_S = 0.05
REACH_TRY_S = 2.0


@dataclass(frozen=True)
class Said:
    """One PUBLISH as it was on the line, also if the other side never got it."""

    client: str
    to_broker: bool
    topic: str
    payload: bytes

    @property
    def kind(self) -> str:
        """The topic's last level."""
        return kind_of(self.topic)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The payload's JSON; empty when it is no object."""
        try:
            fields = json.loads(self.payload)
        except ValueError:
            return {}
        return fields if isinstance(fields, dict) else {}


class Hold:
    """Stops one direction of one client's connection at the first message that fits. Made by Tap.hold."""

    def __init__(self, client: str, kind: str, to_broker: bool, fits: Callable[[Said], bool]) -> None:
        self.said: Said | None = None
        self.dropped = False
        self._client = client
        self._kind = kind
        self._to_broker = to_broker
        self._fits = fits
        self._reached = asyncio.Event()
        self._free = asyncio.Event()
        self._over = asyncio.Event()

    async def wait(self, timeout_s: float) -> Said:
        """Until a message is held. TimeoutError names it."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._reached.wait()
        except TimeoutError:
            raise TimeoutError(f"not within {timeout_s:g} s: {self._kind} of {self._client}") from None
        assert self.said is not None
        return self.said

    async def arrived(self, timeout_s: float) -> None:
        """Until it, released, has been handed to the other side's kernel, whether or not anybody reads it there."""
        async with asyncio.timeout(timeout_s):
            await self._over.wait()

    def release(self) -> None:
        """Let it, and all that came after it, arrive; a hold that has caught nothing yet catches nothing any more."""
        self._free.set()

    def drop(self) -> None:
        """It is lost, and with it the connection."""
        self.dropped = True
        self._free.set()

    def catches(self, said: Said) -> bool:
        """Whether this is the message it waits for; it catches one only."""
        if self._reached.is_set() or self._free.is_set():
            return False
        return (said.client, said.kind, said.to_broker) == (
            self._client,
            self._kind,
            self._to_broker,
        ) and self._fits(said)

    async def keep(self, said: Said) -> None:
        """Stand still until released."""
        self.said = said
        self._reached.set()
        await self._free.wait()

    def sent(self) -> None:
        """What was kept has gone on."""
        self._over.set()


def _open_road() -> asyncio.Event:
    road = asyncio.Event()
    road.set()
    return road


@dataclass
class Weather:
    """What the network does to one client. A direction whose event is cleared stands still (half-open)."""

    up: asyncio.Event = field(default_factory=_open_road)
    down: asyncio.Event = field(default_factory=_open_road)
    delay_s: float = 0.0  # of each packet
    refused: bool = False  # new connections are closed at once
    torn: bool = False  # the next packet breaks off in its middle, and the connection with it


class Tap:
    """Listens on a port of its own; every connection to it is one to the broker. Only the event loop's thread.

    source: the address that the broker sees.
    """

    def __init__(self, broker_port: int, source: str = LOOPBACK) -> None:
        self._source = source
        self.said: list[Said] = []
        self._broker_port = broker_port
        self._holds: list[Hold] = []
        self._weather: dict[str, Weather] = {}
        self._ends: dict[str, set[asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; the port."""
        self._server = await asyncio.start_server(self._connected, LOOPBACK, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Cut every connection and listen no more."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def hold(
        self, client: str, kind: str, *, to_broker: bool = False, fits: Callable[[Said], bool] = lambda said: True
    ) -> Hold:
        """Stop what this client sends (to_broker) or gets, at its next message of this kind that fits."""
        hold = Hold(client, kind, to_broker, fits)
        self._holds.append(hold)
        return hold

    def weather(self, client: str) -> Weather:
        """Change it as you like; it holds for this client's connections to come, too."""
        return self._weather.setdefault(client, Weather())

    def fair(self) -> None:
        """No client suffers anything any more."""
        for weather in self._weather.values():
            weather.up.set()
            weather.down.set()
        self._weather.clear()

    def reset(self, client: str) -> None:
        """Its connections end with an RST at both ends, whatever was under way."""
        for end in list(self._ends.get(client, ())):
            _break(end)

    def release_all(self) -> None:
        """Nothing is held any more."""
        for hold in self._holds:
            hold.release()
        self._holds.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            broker_reader, broker_writer = await self._reach_broker()
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            self._connections.discard(task)
            return
        name: list[str] = []
        pumps = [
            asyncio.create_task(self._pump(reader, broker_writer, name, True, (writer, broker_writer))),
            asyncio.create_task(self._pump(broker_reader, writer, name, False, (writer, broker_writer))),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (writer, broker_writer):
                end.close()
                if name:
                    self._ends[name[0]].discard(end)
            self._connections.discard(task)

    async def _reach_broker(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A broker that is down is one whose answer takes long: whoever connects waits, or loses patience."""
        end_s = time.monotonic() + REACH_S_MAX
        while True:
            try:
                async with asyncio.timeout(REACH_TRY_S):  # a road that is cut answers nothing at all
                    return await asyncio.open_connection(LOOPBACK, self._broker_port, local_addr=(self._source, 0))
            except OSError:
                if time.monotonic() >= end_s:
                    raise
                await asyncio.sleep(REACH_AGAIN_S)

    async def _goes_through(self, client: str, to_broker: bool) -> bool:
        """Wait as the weather wants it; False: half of it only."""
        weather = self.weather(client)
        if weather.delay_s:
            await asyncio.sleep(weather.delay_s)
        await (weather.up if to_broker else weather.down).wait()
        torn, self.weather(client).torn = self.weather(client).torn, False
        return not torn

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        name: list[str],
        to_broker: bool,
        ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        """Until the sender has closed, or a message was dropped. Whoever no longer listens only hears no more."""
        with contextlib.suppress(asyncio.IncompleteReadError, ValueError, ConnectionError):
            while True:
                head, body, raw = await _read_packet(reader)
                held: list[Hold] = []
                if head & 0xF0 == CONNECT and to_broker:
                    name.append(_text_at(body, 10)[0])
                    self._ends.setdefault(name[0], set()).update(ends)
                    if self.weather(name[0]).refused:
                        return
                elif head & 0xF0 == PUBLISH and name:
                    said = _read_publish(name[0], to_broker, head, body)
                    del self.said[: len(self.said) - SAID_MAX + 1]
                    self.said.append(said)
                    for hold in list(self._holds):
                        if hold.catches(said):
                            held.append(hold)
                            await hold.keep(said)
                            if hold.dropped:
                                return
                if name and not await self._goes_through(name[0], to_broker):
                    writer.write(raw[: len(raw) // 2])
                    for end in ends:
                        end.close()  # After what was written: half of it does arrive.
                    return
                if not writer.is_closing():
                    writer.write(raw)
                    with contextlib.suppress(ConnectionError):
                        await writer.drain()
                for hold in held:
                    hold.sent()


def _break(end: asyncio.StreamWriter) -> None:
    sock = end.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.transport.abort()


async def _read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    raw = await reader.readexactly(1)
    length = 0
    for place in range(LENGTH_BYTES_MAX):
        byte = await reader.readexactly(1)
        raw += byte
        length |= (byte[0] & 0x7F) << 7 * place
        if byte[0] < 0x80:
            break
    else:
        raise ValueError("no MQTT packet is that long")
    body = await reader.readexactly(length)
    return raw[0], body, raw + body


def _read_publish(client: str, to_broker: bool, head: int, body: bytes) -> Said:
    topic, after = _text_at(body, 0)
    return Said(client, to_broker, topic, body[after + (2 if head & 0x06 else 0) :])


def _text_at(body: bytes, at: int) -> tuple[str, int]:
    """A text with its length before it, and where it ends. ValueError when it is cut off."""
    try:
        (length,) = struct.unpack_from(">H", body, at)
    except struct.error:
        raise ValueError("a packet that ends in its text") from None
    end = at + 2 + length
    return body[at + 2 : end].decode("utf-8", "replace"), end
