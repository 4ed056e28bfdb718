"""MQTT 3.1.1 client of QoS 0 and 1 for asyncio: what it has accepted is not lost while the program runs.

One link at a time. Per link two tasks: the reader (connects, then takes packets) and the writer (sends everything after
that). `run` starts them, looks at the clock until one of them or the other side fails, ends both, and waits before the
next link; a task never ends or restarts itself. Nothing waits with a timeout: MicroPython makes a task for each.

    down --CONNACK accepted--> up --closed, malformed, silent or stuck--> down --back-off with jitter--> (next link)

A message of QoS 1 stays in the pending table until the broker acknowledges it. Each new link sends the table again, in
order and before anything newer, with DUP on what was sent before.
"""

import asyncio
import sys
import time

from einlass_core.record import TYPE_CHECKING
from einlass_node import mqtt_packets as packets
from einlass_node.mqtt_outbox import CONTROL_PACKETS_MAX, Outbox
from einlass_node.mqtt_packets import MqttError
from einlass_node.tcp import Tcp, resolve

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from einlass_node.mqtt_outbox import Subscription

BACKOFF_MS_MIN = 250
BACKOFF_MS_MAX = 30_000
# A link that held this long was a good one: the next failure starts from the shortest back-off again.
BACKOFF_RESET_MS = 2_000
# The broker's address is asked for again after this many failures: DNS blocks, so not at each.
RESOLVE_FAILURES = 4
# Alive but never acknowledging: MQTT 3.1.1 allows sending again only on a new link.
ACKNOWLEDGE_MS_MAX = 30_000
OUTBOUND_BYTES_MAX = 4_096
PART_BYTES = 256
KEEPALIVE_S_MAX = 0xFFFF
LOOK_MS = 50  # between two looks at whether a link has ended or something is overdue


clock: "Any" = time  # each Python has only its own of these functions, and the other's stubs say so


def _monotonic_ms() -> int:
    return int(clock.monotonic() * 1000)


def _difference(end: int, start: int) -> int:
    return end - start


# MicroPython's ticks wrap, so only ever differences of them are used; CPython has no such clock.
ticks_ms: "Callable[[], int]" = clock.ticks_ms if sys.implementation.name == "micropython" else _monotonic_ms
ticks_diff: "Callable[[int, int], int]" = clock.ticks_diff if sys.implementation.name == "micropython" else _difference


class Client:
    """`await run()` does the work; `publish` and `subscribe` may be called at any time, also before it.

    `up` says whether a link is accepted; `last_error` why the last one was not or ended (bad password: "refused: ...").
    Counters since the start: `links`, `oversize`, `callback_errors`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        user: "str | None" = None,
        password: "str | None" = None,
        will: "tuple[str, str | bytes, int, bool] | None" = None,
        keepalive_s: int = 20,
        on_message: "Callable[[str, bytes], object] | None" = None,
        on_link: "Callable[[bool, bool], object] | None" = None,
        ssl: "Any" = None,
        server_hostname: "str | None" = None,
        connect_timeout_ms: int = 5_000,
        inbound_max: int = 2_048,
        pending_max: int = 32,
        random01: "Callable[[], float] | None" = None,
        backoff_ms: "tuple[int, int]" = (BACKOFF_MS_MIN, BACKOFF_MS_MAX),
    ) -> None:
        """`connect_timeout_ms` bounds connecting, each send, and each answer the broker owes us.

        `will` is (topic, payload, qos, retain); `on_message(topic, payload)` and `on_link(up, session_present)` are
        plain functions; `inbound_max` (bytes of a packet) and `pending_max` (messages) bound the memory; `random01`
        gives the jitter, 0 <= x < 1. ValueError if a value cannot work.
        """
        if not 1 <= keepalive_s <= KEEPALIVE_S_MAX:
            raise ValueError("keepalive_s must be 1 to %d, not %r" % (KEEPALIVE_S_MAX, keepalive_s))
        if connect_timeout_ms < 1 or inbound_max < 4 or pending_max < 1 or not 0 < backoff_ms[0] <= backoff_ms[1]:
            raise ValueError("connect_timeout_ms, inbound_max (from 4), pending_max and backoff_ms must be positive")
        if will is not None:
            packets.check_topic(will[0])
        self.up = False
        self.last_error: "Exception | None" = None
        self.links = 0
        self.oversize = 0
        self.callback_errors = 0
        self._host = host
        self._port = port
        self._ssl = ssl
        self._server_hostname = server_hostname or host
        self._connect_packet = packets.connect(client_id, user, password, will, keepalive_s)
        self._keepalive_ms = keepalive_s * 1000
        self._timeout_ms = connect_timeout_ms
        self._inbound = bytearray(inbound_max)  # once and for all: a heap in pieces may have no room for it later
        self._backoff_ms = backoff_ms
        self._random01 = random01
        self._on_message = on_message
        self._on_link = on_link
        self._address: "Any" = None
        self._failures = 0

        self._outbox = Outbox(pending_max, ticks_diff)
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False
        self._closing = False

        self._started_ms = 0
        self._up_ms: "int | None" = None
        self._heard_ms = 0
        self._spoke_ms = 0
        self._sending_ms: "int | None" = None  # a send that has not returned
        self._asked_ms: "int | None" = None  # the oldest question since the broker was last heard

    # ---- for the program -------------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Messages of QoS 1 that are not acknowledged."""
        return len(self._outbox.pending)

    @property
    def resent(self) -> int:
        """Messages of QoS 1 that were sent again on a later link, since the start."""
        return self._outbox.resent

    def publish(self, topic: str, payload: "str | bytes", qos: int = 1, retain: bool = False) -> bool:
        """Take a message, without waiting. False: no room (QoS 1: `pending_max`), no memory; QoS 0: no link, or stuck.

        ValueError for a bad topic or QoS, or over OUTBOUND_BYTES_MAX.
        """
        packets.check_topic(topic)
        if qos not in (0, 1):
            raise ValueError("qos must be 0 or 1, not %r" % qos)
        data = payload.encode() if isinstance(payload, str) else payload
        if len(topic) + len(data) > OUTBOUND_BYTES_MAX:
            raise ValueError("a message holds at most %d bytes with its topic" % OUTBOUND_BYTES_MAX)
        if self._closing:
            return False
        if qos == 0 and (not self.up or len(self._outbox.control) >= CONTROL_PACKETS_MAX // 2):
            return False
        try:
            if qos == 0:
                self._outbox.control.append(packets.publish(topic, data, 0, retain))
            elif not self._outbox.put(topic, data, retain):
                return False
        except MemoryError:
            return False
        self._work.set()
        return True

    def subscribe(self, topic: str, qos: int = 1) -> "Subscription":
        """Subscribe for good: sent as soon as there is a link, and again whenever the broker has lost the session.

        The result's `granted` says whether the broker has (None: not known yet); see `last_error` for a refusal.
        """
        if not topic or qos not in (0, 1):
            raise ValueError("cannot subscribe to %r with QoS %r" % (topic, qos))
        wanted = self._outbox.subscription(topic, qos)
        self._work.set()
        return wanted

    def close(self) -> None:
        """Say goodbye (so the will is not sent) and let `run` return; unacknowledged messages are given up."""
        self._closing = True
        self._work.set()

    async def run(self) -> None:
        """Keep a link up until cancelled or closed. Never raises for anything that the network or the broker does."""
        while not self._closing:
            await self._one_link()
            held_ms = 0 if self._up_ms is None else ticks_diff(ticks_ms(), self._up_ms)
            self._failures = 0 if held_ms >= BACKOFF_RESET_MS else self._failures + 1
            if self._failures % RESOLVE_FAILURES == RESOLVE_FAILURES - 1:
                self._address = None
            pause_ms = self._pause_ms()
            while pause_ms > 0 and not self._closing:
                await asyncio.sleep(min(pause_ms, LOOK_MS) / 1000)
                pause_ms -= LOOK_MS

    # ---- one link --------------------------------------------------------------------------------------------------

    async def _one_link(self) -> None:
        tcp = Tcp()
        self._ended = False
        self._started_ms = self._heard_ms = self._spoke_ms = ticks_ms()
        self._up_ms = self._sending_ms = self._asked_ms = None
        tasks = [asyncio.create_task(self._guarded(part, tcp)) for part in (self._read, self._write)]
        try:
            while not self._ended:
                await asyncio.sleep(LOOK_MS / 1000)
                self._keep(ticks_ms())
        finally:
            for task in tasks:
                task.cancel()
            # Not `await task`: a cancellation of ours that arrived meanwhile would go to the task and be lost.
            while not all(task.done() for task in tasks):
                await asyncio.sleep(0)
            tcp.close()
            self._go_down()

    async def _guarded(self, part: "Callable[[Any], Any]", tcp: "Any") -> None:
        try:
            await part(tcp)
        except Exception as error:
            self.last_error = error
        self._ended = True

    def _go_up(self, session_present: bool) -> None:
        self._outbox.link_up(session_present)
        self.up = True
        self.links += 1
        self._up_ms = ticks_ms()
        self.last_error = None
        self._tell(self._on_link, True, session_present)
        self._work.set()

    def _go_down(self) -> None:
        was_up = self.up
        self.up = False
        if was_up:
            self._tell(self._on_link, False, False)

    def _tell(self, callback: "Callable[..., object] | None", *values: object) -> None:
        """A callback's fault is counted and kept, never the link's end."""
        if callback is None:
            return
        try:
            callback(*values)
        except Exception as error:
            self.callback_errors += 1
            self.last_error = error

    def _pause_ms(self) -> int:
        shortest, longest = self._backoff_ms
        pause_ms = min(longest, shortest << min(self._failures, 16))
        # Half of it is left to chance, so that all nodes do not come back at the same instant after a power cut.
        return pause_ms // 2 + int(pause_ms / 2 * (self._random01() if self._random01 is not None else 0.5))

    # ---- the reader ------------------------------------------------------------------------------------------------

    async def _read(self, tcp: "Any") -> None:
        if self._address is None:
            self._address = resolve(self._host, self._port)
        await tcp.open(self._address, self._ssl, self._server_hostname)
        await tcp.send(self._connect_packet)
        flags = (await tcp.read(1))[0]
        length = await _length(tcp)
        if flags != packets.CONNACK or length != 2:
            raise MqttError("CONNECT was answered with packet type %#x of %d bytes" % (flags, length))
        session_present = packets.connack_session(await self._receive(tcp, length))
        self._heard()
        self._go_up(session_present)
        while True:
            flags = (await tcp.read(1))[0]
            length = await _length(tcp)
            if length > len(self._inbound):
                await self._skip(tcp, flags, length)
            else:
                self._take(flags, await self._receive(tcp, length))
            self._heard()
            # Acknowledgements must not pile up faster than the writer gets rid of them.
            while len(self._outbox.control) >= CONTROL_PACKETS_MAX:
                self._room.clear()
                await self._room.wait()

    def _heard(self) -> None:
        self._heard_ms = ticks_ms()
        self._asked_ms = None

    def _take(self, flags: int, body: "memoryview") -> None:
        if flags & 0xF0 == packets.PUBLISH:
            self._take_publish(flags, body)
        elif flags == packets.PUBACK:
            self._outbox.acknowledged(packets.acknowledged(body))
        elif flags == packets.SUBACK:
            one = self._outbox.answered(*packets.subscribed(body))
            if one is not None and not one.granted:
                self.last_error = MqttError("subscription to %s was refused" % one.topic)
        elif flags != packets.PINGRESP or len(body):
            raise MqttError("packet type %#x of %d bytes is not for a client" % (flags, len(body)))

    def _take_publish(self, flags: int, body: "memoryview") -> None:
        end = packets.topic_end(body, flags, len(body))
        start = end + 2 if flags & 0x02 else end
        try:
            topic = bytes(body[2:end]).decode()
        except UnicodeError:
            raise MqttError("malformed PUBLISH: its topic is not UTF-8") from None
        self._tell(self._deliver, topic, body[start:])
        if flags & 0x02:
            self._acknowledge(bytes(body[end:start]))

    def _deliver(self, topic: str, payload: "memoryview") -> None:
        if self._on_message is not None:
            self._on_message(topic, bytes(payload))

    async def _receive(self, tcp: "Any", count: int) -> "memoryview":
        """The next bytes, as they lie in the one buffer: they are gone with the next ones."""
        at = 0
        while at < count:
            part = await tcp.read(min(count - at, PART_BYTES))
            self._inbound[at : at + len(part)] = part
            at += len(part)
        return memoryview(self._inbound)[:count]

    async def _skip(self, tcp: "Any", flags: int, length: int) -> None:
        """Read an oversize message away, and acknowledge it: else the broker would send it on every link for ever."""
        if flags & 0xF0 != packets.PUBLISH:
            raise MqttError("packet type %#x of %d bytes is too large" % (flags, length))
        end = packets.topic_end(await self._receive(tcp, 2), flags, length)
        await _drain(tcp, end - 2)
        if flags & 0x02:
            packet_id = bytes(await self._receive(tcp, 2))
            await _drain(tcp, length - end - 2)
            self._acknowledge(packet_id)
        else:
            await _drain(tcp, length - end)
        self.oversize += 1

    def _acknowledge(self, packet_id: bytes) -> None:
        if packet_id == b"\x00\x00":
            raise MqttError("malformed PUBLISH: packet id 0")
        self._outbox.control.append(packets.packet(packets.PUBACK, packet_id))
        self._work.set()

    # ---- the writer ------------------------------------------------------------------------------------------------

    async def _write(self, tcp: "Any") -> None:
        while True:
            now_ms = ticks_ms()
            found = self._outbox.next_packet(now_ms) if self.up else None
            if found is not None:
                packet, asks = found
                self._room.set()
                if asks:
                    self._asked(now_ms)
                self._sending_ms = now_ms
                await tcp.send(packet)
                self._sending_ms = None
                self._spoke_ms = ticks_ms()
            elif self._closing:
                if self.up:
                    self._sending_ms = now_ms
                    await tcp.send(packets.packet(packets.DISCONNECT))
                return
            else:
                self._work.clear()
                await self._work.wait()

    def _asked(self, now_ms: int) -> None:
        if self._asked_ms is None:
            self._asked_ms = now_ms

    # ---- the clock -------------------------------------------------------------------------------------------------

    def _keep(self, now_ms: int) -> None:
        """End a link whose other side owes us something for too long; ask whether a quiet one is still there."""
        overdue = self._overdue(now_ms)
        if overdue and not self._ended:
            self.last_error = MqttError(overdue)
            self._ended = True
        quiet_ms = max(ticks_diff(now_ms, self._heard_ms), ticks_diff(now_ms, self._spoke_ms))
        # A full line of control packets waits for the writer, whose own deadline runs already.
        full = len(self._outbox.control) >= CONTROL_PACKETS_MAX
        if self.up and self._asked_ms is None and quiet_ms > self._keepalive_ms // 2 and not full:
            self._asked(now_ms)
            self._outbox.control.append(packets.packet(packets.PINGREQ))
            self._work.set()

    def _overdue(self, now_ms: int) -> str:
        """What the other side owes us for too long, or nothing."""
        if not self.up and ticks_diff(now_ms, self._started_ms) > self._timeout_ms:
            return "no CONNACK within %d ms" % self._timeout_ms
        if self._sending_ms is not None and ticks_diff(now_ms, self._sending_ms) > self._timeout_ms:
            return "nothing can be sent for %d ms" % self._timeout_ms
        if self._asked_ms is not None and ticks_diff(now_ms, self._asked_ms) > self._timeout_ms:
            return "no answer for %d ms" % self._timeout_ms
        if self._outbox.oldest_ms(now_ms) > ACKNOWLEDGE_MS_MAX:
            return "no acknowledgement for %d ms" % ACKNOWLEDGE_MS_MAX
        return ""


async def _length(tcp: "Any") -> int:
    """How many bytes of a packet follow its header, after the header's first byte."""
    length = 0
    for i in range(packets.LENGTH_BYTES_MAX):
        byte = (await tcp.read(1))[0]
        length |= (byte & 127) << (7 * i)
        if not byte & 128:
            return length
    raise MqttError("malformed packet: its length does not end")


async def _drain(tcp: "Any", count: int) -> None:
    while count:
        count -= len(await tcp.read(min(count, PART_BYTES)))
