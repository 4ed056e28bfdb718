"""A small MQTT 3.1.1 client for a host with much to say: whatever came in one read is acknowledged in one write.

Only what a controller needs: QoS 0 and 1, one connection, no memory of packets past it (the caller makes anew what is
worth sending). Anything a broker must not send ends the connection; nothing is buffered without a bound.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, cast

PACKET_BYTES_MAX = 1 << 20
UNSENT_BYTES_MAX = 16 << 20
UNACKNOWLEDGED_MAX = 60_000
PACKET_ID_MAX = 65_535
_SILENCE = 1.5  # of the keep-alive time, without a word of the broker's, and it is gone

_CONNACK, _PUBLISH, _PUBACK, _SUBACK, _PINGRESP = 2, 3, 4, 9, 13
_REFUSALS = {
    1: "it does not speak MQTT 3.1.1",
    2: "it does not take this client id",
    3: "it is not available",
    4: "user name or password is wrong",
    5: "this user is not allowed",
}


class MqttError(ConnectionError):
    """The broker refused, broke the protocol, or went away; the text says which."""


class Publication(NamedTuple):
    """A message that came in. retained: the broker kept it, nobody says it now."""

    topic: str
    payload: bytes
    retained: bool


class Client(asyncio.Protocol):
    """One connection, made by connect(). `heard` gets every read's messages; `lost` is called once at its end."""

    def __init__(self, heard: Callable[[list[Publication]], None], lost: Callable[[str], None]) -> None:
        self._heard = heard
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._kept = b""
        self._out: list[bytes] = []
        self._reading = False
        self._packet_id = 0
        self._unacknowledged: set[int] = set()
        self._accepted: asyncio.Future[None] | None = None
        self._subscribed: dict[int, asyncio.Future[None]] = {}
        self._keepalive_s = 0.0
        self._keeper: asyncio.TimerHandle | None = None
        self._said_s = self._heard_s = 0.0
        self._ended = False

    async def connect(
        self,
        host: str,
        port: int,
        *,
        name: str,
        user: str,
        password: str,
        keepalive_s: int,
        clean: bool,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Connect and wait until the broker accepts. Raises MqttError and OSError; the caller bounds the time."""
        loop = asyncio.get_running_loop()
        self._accepted = loop.create_future()
        self._keepalive_s = float(keepalive_s)
        await loop.create_connection(lambda: self, host, port, ssl=tls)
        flags = 0xC0 | (2 if clean else 0)
        body = b"\x00\x04MQTT\x04" + bytes((flags,)) + keepalive_s.to_bytes(2)
        self._send(b"\x10", body + b"".join(_text(part) for part in (name, user, password)))
        await self._accepted
        self._keep()

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Subscribe at QoS 1 and wait until the broker agrees. Raises MqttError."""
        packet_id = self._next_id()
        self._subscribed[packet_id] = asyncio.get_running_loop().create_future()
        self._send(b"\x82", packet_id.to_bytes(2) + b"".join(_text(topic) + b"\x01" for topic in topics))
        await self._subscribed[packet_id]

    def publish(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Send (topic, payload) at QoS 1, all in one write. Raises MqttError when the broker does not keep up."""
        out = self._out
        for topic, payload in messages:
            head = topic.encode()
            size = 4 + len(head) + len(payload)
            length = bytes((size & 127 | 128, size >> 7)) if 127 < size < 16_384 else _length(size)
            packet_id = self._next_id()
            out += (b"\x32", length, len(head).to_bytes(2), head, packet_id.to_bytes(2), payload)
        if not self._reading:
            self._flush()

    @property
    def unacknowledged(self) -> int:
        """Messages sent that the broker has not acknowledged yet."""
        return len(self._unacknowledged)

    def close(self) -> None:
        """Say goodbye; `lost` is not called."""
        self._ended = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"\xe0\x00")
            self._transport.close()
        self._end("closed")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)
        self._heard_s = time.monotonic()

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop."""
        self._end(f"the connection broke: {error}" if error else "the broker closed the connection")

    def data_received(self, data: bytes) -> None:
        """Called by the event loop with what one read brought."""
        self._heard_s = time.monotonic()
        self._reading = True
        try:
            self._read(self._kept + data if self._kept else data)
        except (IndexError, ValueError) as error:
            self._abort(f"the broker broke the protocol: {error}")
        finally:
            self._reading = False
        self._flush()

    def _read(self, data: bytes) -> None:
        at, end = 0, len(data)
        found: list[Publication] = []
        while end - at >= 2:
            first, size, head = data[at], data[at + 1], at + 2
            if size > 127:
                more = _size(data, at + 1)
                if more is None:
                    break
                size, head = more
                if size > PACKET_BYTES_MAX:
                    raise ValueError(f"a packet of {size} bytes")
            after = head + size
            if after > end:
                break
            kind = first >> 4
            if kind == _PUBLISH:
                start = head + 2 + (data[head] << 8 | data[head + 1])
                topic = str(data[head + 2 : start], "utf-8")
                if first & 6:
                    self._out.append(b"\x40\x02" + data[start : start + 2])
                    start += 2
                if start > after:
                    raise ValueError("a message shorter than its head")
                found.append(Publication(topic, data[start:after], bool(first & 1)))
            elif kind == _PUBACK:
                self._unacknowledged.discard(data[head] << 8 | data[head + 1])
            else:
                self._control(kind, data[head:after])
            at = after
        self._kept = data[at:]
        if found:
            self._heard(found)

    def _control(self, kind: int, body: bytes) -> None:
        if kind == _CONNACK and self._accepted is not None and not self._accepted.done():
            if body[1]:
                reason = _REFUSALS.get(body[1], f"reason {body[1]}")
                self._accepted.set_exception(MqttError(f"the broker refused: {reason}"))
            else:
                self._accepted.set_result(None)
        elif kind == _SUBACK:
            packet_id = body[0] << 8 | body[1]
            self._unacknowledged.discard(packet_id)
            waiting = self._subscribed.pop(packet_id, None)
            if waiting is not None and not waiting.done():
                if max(body[2:]) > 2:
                    waiting.set_exception(MqttError("the broker refused a subscription"))
                else:
                    waiting.set_result(None)
        elif kind != _PINGRESP:
            raise ValueError(f"a packet of kind {kind}")

    def _next_id(self) -> int:
        if len(self._unacknowledged) >= UNACKNOWLEDGED_MAX:
            raise MqttError(f"{UNACKNOWLEDGED_MAX} messages are not acknowledged")
        packet_id = self._packet_id % PACKET_ID_MAX + 1
        while packet_id in self._unacknowledged:
            packet_id = packet_id % PACKET_ID_MAX + 1
        self._packet_id = packet_id
        self._unacknowledged.add(packet_id)
        return packet_id

    def _send(self, first: bytes, body: bytes) -> None:
        self._out += (first, _length(len(body)), body)
        self._flush()

    def _flush(self) -> None:
        transport = self._transport
        if not self._out or transport is None:
            return
        out, self._out = b"".join(self._out), []
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() + len(out) > UNSENT_BYTES_MAX:
            self._abort("the broker does not read")
            return
        transport.write(out)
        self._said_s = time.monotonic()

    def _keep(self) -> None:
        if self._ended or not self._keepalive_s:
            return
        now_s = time.monotonic()
        if now_s - self._heard_s > _SILENCE * self._keepalive_s:
            self._abort("the broker is silent")
            return
        if now_s - min(self._said_s, self._heard_s) >= self._keepalive_s / 2:
            self._send(b"\xc0", b"")
        self._keeper = asyncio.get_running_loop().call_later(self._keepalive_s / 4, self._keep)

    def _abort(self, reason: str) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        for waiting in (self._accepted, *self._subscribed.values()):
            if waiting is None or waiting.done():
                continue
            if self._ended:  # closed by us: nobody waits
                waiting.cancel()
            else:
                waiting.set_exception(MqttError(reason))
        if not self._ended:
            self._ended = True
            self._lost(reason)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(2) + encoded


def _size(data: bytes, at: int) -> tuple[int, int] | None:
    """(a packet's remaining length, where its body begins); None when the length is not there as a whole yet."""
    size = shift = 0
    while at < len(data):
        byte = data[at]
        size |= (byte & 127) << shift
        shift += 7
        at += 1
        if byte < 128:
            return size, at
        if shift > 21:
            raise ValueError("a length of more than four bytes")
    return None


def _length(size: int) -> bytes:
    found = bytearray()
    while True:
        size, digit = size >> 7, size & 127
        found.append(digit | 128 if size else digit)
        if not size:
            return bytes(found)
