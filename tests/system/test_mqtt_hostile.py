"""The node's MQTT client under the real MicroPython, against servers that misbehave."""

import random
import socket
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

import pytest

from einlass_node import mqtt as node_mqtt
from einlass_sim.processes import wait_until
from mqtt_bench import DEADLINE_S, Node

CONNACK = b"\x20\x02\x00\x00"
CONNACK_PRESENT = b"\x20\x02\x01\x00"


class Peer:
    """One connection of a client, seen from the server."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(DEADLINE_S)

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.connection.recv(count - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data

    def packet(self) -> tuple[int, bytes]:
        """First byte and body of the client's next packet; pings are answered and passed over."""
        while True:
            first = self.exactly(1)[0]
            length = shift = 0
            while True:
                byte = self.exactly(1)[0]
                length |= (byte & 127) << shift
                shift += 7
                if not byte & 128:
                    break
            body = self.exactly(length)
            if first != 0xC0:
                return first, body
            self.send(b"\xd0\x00")

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def accept(self, connack: bytes = CONNACK) -> Self:
        assert self.packet()[0] == 0x10
        self.send(connack)
        return self

    def wait_closed(self) -> None:
        """Until the client has closed; what it still says is thrown away."""
        try:
            while self.connection.recv(4096):
                pass
        except TimeoutError:
            raise
        except OSError:
            pass  # reset, or the test has ended


class Server:
    """A TCP server of the test's own: `links[i]` serves the i-th connection, the last one all that follow."""

    def __init__(self, *links: Callable[[Peer], None], receive_bytes: int | None = None) -> None:
        self.listener = socket.socket()
        if receive_bytes is not None:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(8)
        self.port: int = self.listener.getsockname()[1]
        self.connected_s: list[float] = []
        self.served = 0
        self.errors: list[BaseException] = []
        self._links = links
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(connection)
            link = self._links[min(len(self.connected_s), len(self._links) - 1)]
            self.connected_s.append(time.monotonic())
            try:
                link(Peer(connection))
            except (TimeoutError, AssertionError, ValueError, IndexError) as error:
                self.errors.append(error)
            except OSError:
                pass  # The client is gone, or the test has ended.
            self.served += 1
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self._open:
            connection.close()
        self._thread.join(5)
        if error is None and self.errors:
            raise self.errors[0]


def hold(peer: Peer) -> None:
    """A good server for one client that only has to be kept."""
    peer.accept()
    peer.wait_closed()


def test_server_that_never_answers_times_out_and_is_tried_again() -> None:
    with Server(Peer.wait_closed) as server, Node(server.port, connect_timeout_ms=400) as node:
        wait_until(lambda: len(server.connected_s) >= 3, DEADLINE_S, "a third try")
        assert server.connected_s[1] - server.connected_s[0] >= 0.4
        assert node.ask("stats")["last_error"] == "no CONNACK within 400 ms"


PUBLISH_TOO_LONG_TOPIC = b"\x32\x06\xff\xffabcd"
MALFORMED = {
    "length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "topic beyond the packet": PUBLISH_TOO_LONG_TOPIC,
    "topic beyond an oversize packet": b"\x32\x80\x80\x01\xff\xff" + b"x" * 64,
    "publish without a topic": b"\x30\x02\x00\x00",
    "publish of one byte": b"\x30\x01\x00",
    "publish without room for its id": b"\x32\x05\x00\x03a/b",
    "publish with id 0": b"\x32\x07\x00\x03a/b\x00\x00",
    "publish of QoS 2": b"\x34\x07\x00\x03a/b\x00\x01",
    "publish of QoS 3": b"\x36\x07\x00\x03a/b\x00\x01",
    "topic that is not UTF-8": b"\x30\x05\x00\x03\xff\xfe\xfd",
    "type 0": b"\x00\x00",
    "type 15": b"\xf0\x00",
    "a client's packet": b"\xc0\x00",
    "second CONNACK": CONNACK,
    "PUBACK of three bytes": b"\x40\x03\x00\x01\x00",
    "oversize PUBACK": b"\x40\x80\x80\x01" + b"x" * 64,
    "SUBACK of two bytes": b"\x90\x02\x00\x01",
    "SUBACK with code 7": b"\x90\x03\x00\x01\x07",
    "PINGRESP with a body": b"\xd0\x01x",
    "garbage": bytes(random.Random(7).randbytes(300)),
}


def test_malformed_packets_end_the_link_and_never_the_client() -> None:
    ended: list[str] = []

    def bad(name: str, data: bytes) -> Callable[[Peer], None]:
        def link(peer: Peer) -> None:
            peer.accept()
            peer.send(data)
            peer.wait_closed()
            ended.append(name)

        return link

    def truncated(peer: Peer) -> None:
        peer.accept()
        peer.send(b"\x30\x20\x00\x03a/b")

    links = [*(bad(name, data) for name, data in MALFORMED.items()), truncated]
    # Some garbage is the beginning of a packet that never ends: then the keepalive finds out.
    patience: dict[str, Any] = {"keepalive_s": 1, "connect_timeout_ms": 500, "backoff_ms": [20, 40]}
    with Server(*links, hold) as server, Node(server.port, inbound_max=256, **patience) as node:
        for name in [*MALFORMED, "truncated"]:
            node.expect("link", True)
            try:
                node.expect("link", False)
            except AssertionError:
                raise AssertionError(f"still up after: {name}") from None
        node.expect("link", True)
        assert ended == list(MALFORMED)
        assert node.ask("stats")["links"] > len(links)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x20\x02\x00\x05", "refused: not authorised"),
        (b"\x20\x02\x00\x63", "refused: code 99"),
        (b"\x20\x02\x02\x00", "malformed CONNACK"),
        (b"\x20\x03\x00\x00\x00", "CONNECT was answered with packet type 0x20 of 3 bytes"),
        (b"\xd0\x00", "CONNECT was answered with packet type 0xd0 of 0 bytes"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "CONNECT was answered with packet type 0x48 of 84 bytes"),
    ],
)
def test_wrong_answer_to_connect_is_reported(answer: bytes, reason: str) -> None:
    def link(peer: Peer) -> None:
        peer.packet()
        peer.send(answer)
        peer.wait_closed()

    with Server(link) as server, Node(server.port, backoff_ms=[20, 40]) as node:
        wait_until(lambda: len(server.connected_s) >= 2, DEADLINE_S, "a second try")
        stats = node.ask("stats")
        assert (stats["up"], stats["links"], stats["last_error"]) == (False, 0, reason)


def test_message_of_sixty_kilobytes_is_drained_and_acknowledged() -> None:
    acknowledged: list[tuple[int, bytes]] = []

    def link(peer: Peer) -> None:
        peer.accept()
        body = b"\x00\x03a/b\x00\x2a" + b"x" * 60_000
        length = bytes((len(body) & 127 | 128, len(body) >> 7 & 127 | 128, len(body) >> 14))
        peer.send(b"\x32" + length + body)
        acknowledged.append(peer.packet())
        peer.send(b"\x30\x08\x00\x03a/bend")
        peer.wait_closed()

    with Server(link) as server, Node(server.port, inbound_max=512) as node:
        node.expect("link", True)
        node.expect("message", "a/b", 3, "end")
        assert acknowledged == [(0x40, b"\x00\x2a")]
        stats = node.ask("stats")
        assert (stats["oversize"], stats["links"]) == (1, 1)


def test_unacknowledged_are_sent_again_in_order_with_dup_before_anything_new() -> None:
    first: list[tuple[int, bytes]] = []
    second: list[tuple[int, bytes]] = []
    go_on = threading.Event()

    def loses_all_but_one(peer: Peer) -> None:
        peer.accept()
        first.extend(peer.packet() for _ in range(5))
        peer.send(b"\x40\x02" + packet_id(first[1][1]))
        assert go_on.wait(DEADLINE_S)

    def keeps(peer: Peer) -> None:
        peer.accept(CONNACK_PRESENT)
        for _ in range(5):
            second.append(peer.packet())
            peer.send(b"\x40\x02" + packet_id(second[-1][1]))
        peer.wait_closed()

    def packet_id(body: bytes) -> bytes:
        return body[5:7]

    with Server(loses_all_but_one, keeps) as server, Node(server.port, keepalive_s=60) as node:
        node.expect("link", True)
        for number in range(5):
            assert node.publish(f"m{number}", topic="a/b")
        wait_until(lambda: node.ask("stats")["pending"] == 4, DEADLINE_S, "one is acknowledged")
        go_on.set()
        node.expect("link", False)
        assert node.publish("new", topic="a/b")
        node.expect("link", True, True)
        wait_until(lambda: node.ask("stats")["pending"] == 0, DEADLINE_S, "all are acknowledged")
        assert [kind for kind, _ in first] == [0x32] * 5
        assert [kind for kind, _ in second] == [0x3A] * 4 + [0x32]
        assert [body[7:] for _, body in second] == [b"m0", b"m2", b"m3", b"m4", b"new"]
        assert [packet_id(body) for _, body in second[:4]] == [packet_id(first[i][1]) for i in (0, 2, 3, 4)]
        assert node.ask("stats")["resent"] == 4


def test_subscription_is_sent_again_only_when_the_session_is_gone() -> None:
    heard: list[list[int]] = [[], [], []]

    def link(index: int, connack: bytes) -> Callable[[Peer], None]:
        def serve(peer: Peer) -> None:
            peer.accept(connack)
            while True:
                kind, body = peer.packet()
                heard[index].append(kind)
                if kind == 0x82:
                    peer.send(b"\x90\x03" + body[:2] + b"\x01")
                else:
                    peer.send(b"\x40\x02" + body[5:7])
                    return

        return serve

    with (
        Server(link(0, CONNACK), link(1, CONNACK_PRESENT), link(2, CONNACK), hold) as server,
        Node(server.port, backoff_ms=[20, 40]) as node,
    ):
        node.expect("link", True)
        assert node.ask("subscribe", "a/b", 1) is True
        for _ in range(3):
            assert node.publish("x", topic="a/b")
            node.expect("link", True)
        assert heard == [[0x82, 0x32], [0x32], [0x82, 0x32]]


def test_refused_subscription_is_reported() -> None:
    def link(peer: Peer) -> None:
        peer.accept()
        peer.send(b"\x90\x03" + peer.packet()[1][:2] + b"\x80")
        peer.wait_closed()

    with Server(link) as server, Node(server.port) as node:
        node.expect("link", True)
        assert node.ask("subscribe", "a/b", 1) is False
        stats = node.ask("stats")
        assert (stats["up"], stats["last_error"]) == (True, "subscription to a/b was refused")


def test_silent_server_is_noticed_by_the_keepalive() -> None:
    def link(peer: Peer) -> None:
        peer.accept()
        peer.wait_closed()  # reads, and never answers a ping

    with Server(link) as server, Node(server.port, keepalive_s=1, connect_timeout_ms=400) as node:
        node.expect("link", True)
        start = time.monotonic()
        node.expect("link", False)
        # Quiet for half the keepalive, then no answer to the ping.
        assert time.monotonic() - start > 0.7
        wait_until(lambda: len(server.connected_s) >= 2, DEADLINE_S, "a second try")


def test_pings_keep_a_quiet_link() -> None:
    pings: list[float] = []

    def link(peer: Peer) -> None:
        peer.accept()
        while peer.exactly(2) == b"\xc0\x00":
            pings.append(time.monotonic())
            peer.send(b"\xd0\x00")

    with Server(link) as server, Node(server.port, keepalive_s=1) as node:
        node.expect("link", True)
        wait_until(lambda: len(pings) >= 4, DEADLINE_S, "four pings")
        assert max(b - a for a, b in pairwise(pings)) < 1.5  # the broker's own patience
        assert node.ask("stats")["links"] == 1


def test_server_that_reads_nothing_ends_the_link_by_the_sending_deadline() -> None:
    done = threading.Event()

    def link(peer: Peer) -> None:
        peer.accept()
        done.wait(DEADLINE_S)

    with Server(link, hold, receive_bytes=4096) as server, Node(server.port, keepalive_s=600) as node:
        node.expect("link", True)
        end = time.monotonic() + DEADLINE_S
        # QoS 0 asks for no answer, so only the sending itself can be overdue.
        while ["link", False, False] not in node.events:
            assert time.monotonic() < end, "a link that takes nothing is kept"
            node.publish("x" * 1000, 0, topic="a/b")
        done.set()
        node.expect("link", True)


def test_end_of_the_connection_is_noticed_at_once() -> None:
    closed_s: list[float] = []
    go_on = threading.Event()

    def link(peer: Peer) -> None:
        peer.accept()
        assert go_on.wait(DEADLINE_S)
        closed_s.append(time.monotonic())

    with Server(link, hold) as server, Node(server.port, keepalive_s=600) as node:
        node.expect("link", True)
        go_on.set()
        node.expect("link", False)
        assert time.monotonic() - closed_s[0] < 0.3


def test_pauses_grow_with_chance_up_to_the_longest() -> None:
    def slam(peer: Peer) -> None:
        pass

    with Server(slam) as server, Node(server.port, backoff_ms=[100, 400]):
        wait_until(lambda: len(server.connected_s) >= 7, DEADLINE_S, "seven tries")
    gaps_s = [b - a for a, b in pairwise(server.connected_s)]
    # Half of each pause is left to chance: 50 to 100 % of 200, 400, 400 … ms, and a little for connecting.
    assert all(gap_s >= 0.19 for gap_s in gaps_s[1:6]), gaps_s
    assert all(gap_s < 0.75 for gap_s in gaps_s), gaps_s
    assert len({round(gap_s, 2) for gap_s in gaps_s[1:6]}) > 1, "no chance in it"


def test_bad_arguments_are_refused_with_a_reason() -> None:
    def client(**arguments: Any) -> node_mqtt.Client:
        return node_mqtt.Client("127.0.0.1", 1, "x", **arguments)

    for wrong in ({"keepalive_s": 0}, {"keepalive_s": 70_000}, {"pending_max": 0}, {"will": ("a/#", "", 1, True)}):
        with pytest.raises(ValueError, match=r"must be|cannot publish"):
            client(**wrong)
    for topic, payload, qos in (("a/+", "x", 1), ("", "x", 1), ("a", "x", 2), ("a", "x" * 5000, 1)):
        with pytest.raises(ValueError, match=r"cannot publish|qos must be|at most"):
            client().publish(topic, payload, qos)
    assert client().publish("a", "x", 0) is False, "QoS 0 without a link goes nowhere"
