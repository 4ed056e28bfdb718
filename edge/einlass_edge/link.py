"""The node's line to the broker: paho-mqtt driven by the node's own event loop, so that no message changes threads.

Nothing is kept here: every connection is a new client on the same session (clean_session off, client id = node id).
What must not be lost is in the journal and sent again; what must not be late is never queued.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from einlass_core import wire, wire_signed, wire_till
from einlass_core.wire import (
    BROADCAST,
    WireError,
    decode,
    encode,
    kind_of,
    topic_all,
    topic_down,
    topic_state,
    topic_up,
)

CONNECT_S_MAX = 3.0
READY_S_MAX = 5.0
KEEPALIVE_S = 10
KEEPALIVE_CHECK_S = 1.0
RETRY_S_MIN = 0.2
RETRY_S_MAX = 5.0
STABLE_S = 5.0
IN_FLIGHT_MAX = 64
QUEUED_MAX = 128
QOS = 1

wire_till.join()
wire_signed.join()
log = structlog.get_logger(__name__)


class Hears(Protocol):
    """What the link tells the node."""

    def received(self, kind: str, fields: dict[str, Any]) -> None:
        """A checked message for this incarnation, or a broadcast."""

    def link_changed(self, up: bool) -> None:
        """True: subscribed, and hello is out. False: lost; what was under way may or may not have arrived."""

    def identity(self) -> dict[str, Any]:
        """inc, boot, seq, account as they are durable now."""


class Link:
    """publish() while `up`; run() connects, for ever."""

    def __init__(
        self,
        hears: Hears,
        *,
        site: str,
        node: str,
        host: str,
        port: int,
        password: str,
        ca: str | None,
        software: str,
        hardware: str,
        reason: str,
    ) -> None:
        self._hears = hears
        self._site = site
        self._node = node
        self._host = host
        self._port = port
        self._password = password
        self._ca = ca
        self._software = software
        self._hello = {"software": software, "hardware": hardware, "reason": reason}
        self._session: _Session | None = None
        self.up = False
        self.drops = 0
        self.ignored = 0

    def publish(self, kind: str, fields: dict[str, Any]) -> bool:
        """Send at QoS 1; False when the link is down or clogged: nothing is kept. WireError breaks the contract."""
        payload = encode(kind, fields)
        if not self.up or self._session is None:
            return False
        return self._session.publish(topic_up(self._site, self._node, kind), payload, retain=False)

    async def run(self) -> None:
        """Until cancelled; then the broker is told that the node went on purpose."""
        loop = asyncio.get_running_loop()
        pause_s = RETRY_S_MIN
        while True:
            session = _Session(self._client(), self._host, self._port)
            self._session = session
            started_s = loop.time()
            try:
                await session.open([topic_down(self._site, self._node, "#"), topic_all(self._site, "#")])
                self._opened(session)
                await session.ended()
            except (TimeoutError, OSError, ValueError) as error:
                log.warning("link_down", host=self._host, port=self._port, error=str(error) or "no answer in time")
            except asyncio.CancelledError:
                if self.up:
                    session.publish(
                        topic_state(self._site, self._node), encode("state", {"online": False}), retain=True
                    )
                raise
            finally:
                self._session = None
                session.close()
                if self.up:
                    self.up = False
                    self.drops += 1
                    self._hears.link_changed(False)
            if loop.time() - started_s >= STABLE_S:
                pause_s = RETRY_S_MIN
            # Jitter: after a power cut all nodes of a site come at once.
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(RETRY_S_MAX, pause_s * 2)

    def _client(self) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, self._node, clean_session=False, protocol=MQTTv311)
        client.username_pw_set(self._node, self._password)
        client.will_set(topic_state(self._site, self._node), encode("state", {"online": False}), QOS, retain=True)
        client.connect_timeout = CONNECT_S_MAX
        client.max_inflight_messages_set(IN_FLIGHT_MAX)
        client.max_queued_messages_set(QUEUED_MAX)
        if self._ca is not None:
            client.tls_set(ca_certs=self._ca, tls_version=ssl.PROTOCOL_TLS_CLIENT)
        client.on_message = self._received
        client.connect_async(self._host, self._port, keepalive=KEEPALIVE_S)
        return client

    def _opened(self, session: "_Session") -> None:
        identity = self._hears.identity()
        state = {"online": True, "inc": identity["inc"], "boot": identity["boot"], "software": self._software}
        session.publish(topic_state(self._site, self._node), encode("state", state), retain=True)
        session.publish(
            topic_up(self._site, self._node, "hello"), encode("hello", {**identity, **self._hello}), retain=False
        )
        self.up = True
        log.info("link_up", host=self._host, port=self._port)
        self._hears.link_changed(True)

    def _received(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        kind = kind_of(message.topic)
        if message.retain:
            self._ignore(kind, "retained: nothing that was kept for later is obeyed")
            return
        if kind not in (BROADCAST if message.topic == topic_all(self._site, kind) else wire.DOWN):
            self._ignore(kind, "no message of this contract")
            return
        try:
            fields = decode(kind, bytes(message.payload))
        except WireError as error:
            self._ignore(kind, str(error))
            return
        if kind in wire.DOWN and fields["inc"] != self._hears.identity()["inc"]:
            self._ignore(kind, "for another incarnation")
            return
        try:
            self._hears.received(kind, fields)
        except Exception:
            # A message must never take the lane with it, whatever is wrong with it.
            log.exception("message_failed", kind=kind)

    def _ignore(self, kind: str, why: str) -> None:
        self.ignored += 1
        log.warning("message_ignored", kind=kind[:32], why=why[:200], ignored=self.ignored)


class _Session:
    """One connection: open() it, use it, close() it; never again."""

    def __init__(self, client: Client, host: str, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = client
        self._where = f"{host}:{port}"
        self._socket: socket.socket | None = None
        self._writing = False
        self._subscribed: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._topics: list[str] = []
        client.on_socket_open = _no_delay
        client.on_socket_close = lambda *_: self._unwatch()
        client.on_connect = self._connected
        client.on_subscribe = self._granted
        client.on_disconnect = self._disconnected

    async def open(self, topics: list[str]) -> None:
        """Connected and subscribed when it returns; OSError or TimeoutError with the reason when not."""
        self._topics = topics
        await self._in_thread(self._client.reconnect)
        connection = self._client.socket()
        if not isinstance(connection, socket.socket):
            raise ConnectionError(f"no connection to {self._where}")
        self._socket = connection
        self._loop.add_reader(connection, self._readable)
        self._flush()
        done, _ = await asyncio.wait(
            (self._subscribed, self._lost), timeout=READY_S_MAX, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            raise ConnectionError(f"the broker at {self._where} does not answer")
        for future in (self._lost, self._subscribed):
            if future in done:
                future.result()

    async def ended(self) -> None:
        """Returns never; OSError when the connection is lost."""
        while True:
            await asyncio.wait((self._lost,), timeout=KEEPALIVE_CHECK_S)
            if self._lost.done():
                self._lost.result()
                raise ConnectionError("the connection was closed")
            self._client.loop_misc()
            self._flush()

    def publish(self, topic: str, payload: bytes, retain: bool) -> bool:
        """False when it cannot be sent now."""
        info = self._client.publish(topic, payload, QOS, retain)
        self._flush()
        return info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def close(self) -> None:
        """Say goodbye if anybody is there, and forget everything."""
        self._client.on_message = None
        if self._socket is not None:
            self._client.disconnect()
            self._client.loop_write()
        self._unwatch()
        for future in (self._subscribed, self._lost):
            if future.done() and not future.cancelled():
                future.exception()
            future.cancel()

    async def _in_thread(self, work: Callable[[], Any]) -> None:
        """Name look-up, connecting and TLS block; the thread may be left behind when the node stops."""
        done: asyncio.Future[None] = self._loop.create_future()

        def finish(error: Exception | None) -> None:
            if not done.done():
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)

        def run() -> None:
            error: Exception | None = None
            try:
                work()
            except Exception as caught:
                error = caught
            with contextlib.suppress(RuntimeError):  # The loop is closed: the node has stopped meanwhile.
                self._loop.call_soon_threadsafe(finish, error)

        threading.Thread(target=run, name="connect", daemon=True).start()
        await done

    def _readable(self) -> None:
        connection = self._socket
        self._client.loop_read()
        # TLS hands over whole records: what it holds already makes no socket readable.
        while isinstance(connection, ssl.SSLSocket) and self._socket is connection and connection.pending():
            self._client.loop_read()
        self._flush()

    def _writable(self) -> None:
        self._client.loop_write()
        self._flush()

    def _flush(self) -> None:
        """Send what paho has kept back (it does inside its callbacks), and watch the socket while some is left."""
        if self._socket is None:
            return
        if not self._writing and self._client.want_write():
            self._client.loop_write()
        wanted = self._socket is not None and self._client.want_write()
        if wanted and not self._writing:
            self._loop.add_writer(self._socket, self._writable)
        elif self._writing and not wanted and self._socket is not None:
            self._loop.remove_writer(self._socket)
        self._writing = wanted

    def _unwatch(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None and connection.fileno() >= 0:
            self._loop.remove_reader(connection)
            self._loop.remove_writer(connection)
        self._writing = False

    def _connected(
        self, client: Client, userdata: Any, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._fail(f"the broker at {self._where} refuses the node: {code}. Are node id and password right?")
            return
        client.subscribe([(topic, QOS) for topic in self._topics])

    def _granted(
        self, client: Client, userdata: Any, mid: int, codes: list[ReasonCode], properties: Properties | None
    ) -> None:
        if any(code.is_failure for code in codes):
            self._fail(
                "the broker refuses the subscription: is the site name right, and the node in the broker's rules?"
            )
        elif not self._subscribed.done():
            self._subscribed.set_result(None)

    def _disconnected(
        self, client: Client, userdata: Any, flags: DisconnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        self._fail(f"connection to {self._where} lost: {code}")

    def _fail(self, why: str) -> None:
        if not self._lost.done():
            self._lost.set_exception(ConnectionError(why))


def _no_delay(client: Client, userdata: Any, connection: Any) -> None:
    # Without it a small message waits up to 40 ms for the acknowledgement of the one before.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
