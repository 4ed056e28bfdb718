"""The load generator, a process of its own: N nodes on raw sockets that speak MQTT 3.1.1 and wire.py.

Commands come as lines of JSON on standard input, results go as lines to standard output; it ends with its input.
Messages are filled into templates, because encoding them would make the generator what is measured; every template is
checked against wire.py at the start.
"""

import json
import random
import select
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from einlass_core import codes, wire
from einlass_sim.bench import probe
from einlass_sim.bench.stock import code_of

READ_BYTES = 65_536
UNACKNOWLEDGED_MAX = 12
SETTLE_S = 20.0
QUIET_S = 0.05
LATE_S = 0.002
_HIGH = 1 << 40

_IDENTITY = (
    b'{"inc": "%s", "boot": %d, "seq": %d, "account": {"epoch": %d, "version": %d, "ceiling": %d, "balance": %d, '
    b'"pending": %d}'
)
_ASK = b', "nonce": "%s", "side": "entry", "code": "%s"}'
_EVENT = b', "kind": "%s", "ms": 123456, "unix_ms": 0}'
_MOVED = b', "kind": "%s", "ms": 123456, "unix_ms": 0, "nonce": "%s", "side": "%s", "persons": 1}'
_EXIT = b', "kind": "exit", "ms": 123456, "unix_ms": 0, "nonce": "%s", "side": "exit", "digest": "%s"}'


class LoadError(RuntimeError):
    """The run went wrong: what it printed would not be a figure."""


@dataclass(slots=True, eq=False)
class Node:
    """One simulated lane: its socket, its account, and what it waits for."""

    name: str
    password: str
    prefix: bytes
    link: socket.socket
    inc: bytes = b""
    boot: int = 1
    seq: int = 0
    acked: int = 0
    epoch: int = 0
    version: int = 0
    ceiling: int = 0
    balance: int = 0
    pending: int = 0
    scans: int = 0
    packet: int = 0
    asked: bytes = b""
    ticket: int = 0
    since_s: float = 0.0
    waiting: bool = False
    answered: bool = False
    out: bytearray = field(default_factory=bytearray)
    kept: bytes = b""

    def publish(self, kind: bytes, payload: bytes) -> None:
        """Queue a message at QoS 1; flush() sends."""
        self.packet = self.packet % 65_535 + 1
        topic = self.prefix + kind
        size = 4 + len(topic) + len(payload)
        self.out += b"\x32" + (bytes((size & 127 | 128, size >> 7)) if size > 127 else bytes((size,)))
        self.out += len(topic).to_bytes(2) + topic + self.packet.to_bytes(2) + payload

    def identity(self) -> bytes:
        """The beginning of every message up."""
        return _IDENTITY % (
            self.inc,
            self.boot,
            self.seq,
            self.epoch,
            self.version,
            self.ceiling,
            self.balance,
            self.pending,
        )

    def event(self, tail: bytes) -> None:
        """The next record of the journal."""
        self.seq += 1
        self.publish(b"event", self.identity() + tail)

    def obey(self, limit: dict[str, int]) -> bool:
        """Take a ceiling if it is newer."""
        if limit["version"] <= self.version:
            return False
        self.version, self.ceiling = limit["version"], limit["ceiling"]
        return True

    def flush(self) -> None:
        """Send what is queued."""
        while self.out:
            try:
                sent = self.link.send(self.out)
            except BlockingIOError:
                return
            del self.out[:sent]


class Load:
    """All nodes, one thread, one epoll."""

    def __init__(self, host: str, port: int, site: str, users: list[tuple[str, str]], tickets: int, seed: int) -> None:
        self._site = site
        self._poll = select.epoll()
        self._by_fd: dict[int, Node] = {}
        numbers = list(range(tickets))
        random.Random(seed).shuffle(numbers)  # visitors do not come in the order of issue
        self._tickets = deque(numbers)
        self._codes: dict[int, bytes] = {}
        self._seed = seed
        self._latencies_s: list[float] = []
        self._codes_seen: Counter[str] = Counter()
        self._mix = ""
        self._rate_per_s = 0.0
        self._used: list[int] = []
        self._until_s = 0.0
        self._ended_s = 0.0
        self._going = False
        self._idle: deque[Node] = deque()
        self._heard_s = 0.0
        self._events = 0
        self.watched: dict[str, list[int]] = {}
        self.nodes = [self._connect(host, port, name, password) for name, password in users]

    def _connect(self, host: str, port: int, name: str, password: str) -> Node:
        link = socket.create_connection((host, port), timeout=10)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        prefix = wire.topic_up(self._site, name, "").encode()
        node = Node(name, password, prefix, link, f"b{time.time_ns() & _HIGH - 1:x}{name}".encode()[:32])
        fields = b"".join(len(part).to_bytes(2) + part for part in (name.encode(), name.encode(), password.encode()))
        body = b"\x00\x04MQTT\x04\xc2\x00\x00" + fields
        link.sendall(b"\x10" + bytes((len(body),)) + body)
        if link.recv(4) != b"\x20\x02\x00\x00":
            raise LoadError(f"{name}: the broker refused the connection")
        topic = wire.topic_down(self._site, name, "#").encode()
        body = b"\x00\x01" + len(topic).to_bytes(2) + topic + b"\x01"
        link.sendall(b"\x82" + bytes((len(body),)) + body)
        if link.recv(5)[:1] != b"\x90":
            raise LoadError(f"{name}: the broker refused the subscription")
        link.setblocking(False)
        self._poll.register(link.fileno(), select.EPOLLIN)
        self._by_fd[link.fileno()] = node
        return node

    def hello(self) -> None:
        """Introduce every node to the controller."""
        for node in self.nodes:
            payload = node.identity() + b', "software": "bench", "hardware": "bench", "reason": "power"}'
            wire.decode("hello", payload)
            node.publish(b"hello", payload)
            node.flush()
        self._settle()

    def check_templates(self) -> None:
        """Every message this sends is one that wire.py takes."""
        node = self.nodes[0]
        head = node.identity()
        wire.decode("ask", head + _ASK % (b"n", b"c"))
        for tail in (_EVENT % b"boot", _MOVED % (b"passed", b"n", b"entry"), _EXIT % (b"n", b"0" * 16)):
            wire.decode("event", head + tail)

    def window(self, mix: str, seconds: float, rate_per_s: float) -> dict[str, Any]:
        """One measurement. mix: echo, scans (asks only) or visits (with the whole stay); rate 0: as fast as goes."""
        self._mix, self._rate_per_s, self._events = mix, rate_per_s, 0
        self._latencies_s, self._codes_seen = [], Counter()
        self._prepare(seconds)
        cpu_s, began_s = self._cpu_s(), time.monotonic()
        self._until_s, self._ended_s, self._going = began_s + seconds, 0.0, True
        if rate_per_s:
            self._paced(rate_per_s, seconds)
        else:
            for node in self.nodes:
                self._start(node, time.monotonic())
                node.flush()
            while self._going and (now_s := time.monotonic()) < self._until_s:
                self._turn(self._until_s - now_s)
        self._going = False
        elapsed_s = (self._ended_s or self._until_s) - began_s
        done = len(self._latencies_s)
        cpu_s = {name: value - cpu_s[name] for name, value in self._cpu_s().items()}
        self._settle()
        return {
            "mix": mix,
            "per_s": done / elapsed_s,
            "done": done,
            "events": self._events,
            "seconds": elapsed_s,
            "cpu_s": cpu_s,
            "codes": dict(self._codes_seen),
            "latencies_ms": [round(value * 1000, 3) for value in sorted(self._latencies_s)],
        }

    def _cpu_s(self) -> dict[str, float]:
        return {name: probe.cpu_s(pids) for name, pids in self.watched.items()} | {"load": time.process_time()}

    def _prepare(self, seconds: float) -> None:
        """Make codes before the clock runs."""
        if self._mix == "echo":
            return
        for number in list(self._tickets)[: int(20_000 * seconds)]:
            if number not in self._codes:
                self._codes[number] = code_of(self._seed, number).encode()

    def _paced(self, rate_per_s: float, seconds: float) -> None:
        self._idle = deque(self.nodes)
        began_s = time.monotonic()
        due = 0
        while (now_s := time.monotonic()) < self._until_s and self._going:
            while due / rate_per_s <= now_s - began_s and self._idle:
                scheduled_s = began_s + due / rate_per_s
                node = self._idle.popleft()
                self._start(node, now_s if now_s - scheduled_s < LATE_S else scheduled_s)
                node.flush()
                due += 1
            next_s = began_s + due / rate_per_s if self._idle else now_s + 0.01
            self._turn(min(max(next_s - time.monotonic(), 0.0), 0.01))

    def _turn(self, timeout_s: float) -> None:
        """One round over the sockets that have something."""
        for descriptor, _ in self._poll.poll(timeout_s):
            node = self._by_fd[descriptor]
            try:
                data = node.link.recv(READ_BYTES)
            except BlockingIOError:
                continue
            if not data:
                raise LoadError(f"{node.name}: the broker closed the connection")
            self._heard_s = time.monotonic()
            self._read(node, node.kept + data if node.kept else data)
            node.flush()

    def _read(self, node: Node, data: bytes) -> None:
        at, end = 0, len(data)
        while end - at >= 2:
            size, head = data[at + 1], 2
            if size & 128:
                if end - at < 3:
                    break
                size, head = size & 127 | data[at + 2] << 7, 3
            if end - at < head + size:
                break
            if data[at] >> 4 == 3:
                start = at + head
                after = start + 2 + (data[start] << 8 | data[start + 1])
                node.out += b"\x40\x02" + data[after : after + 2]
                self._heard(node, data[start + 2 : after], data[after + 2 : at + head + size])
            at += head + size
        node.kept = data[at:]

    def _heard(self, node: Node, topic: bytes, payload: bytes) -> None:
        kind = topic[topic.rindex(b"/") + 1 :]
        if kind == b"answer":
            self._answered(node, json.loads(payload))
        elif kind == b"ack":
            node.acked = max(node.acked, json.loads(payload)["seq"])
            if node.answered:
                self._next(node)
        elif kind == b"limit":
            if node.obey(json.loads(payload)["limit"]):
                node.event(_EVENT % b"limit")
                self._events += 1
        elif kind == b"echo":
            if (now_s := time.monotonic()) < self._until_s:
                self._latencies_s.append(now_s - node.since_s)
            node.waiting, node.answered = False, True
            self._next(node)

    def _answered(self, node: Node, answer: dict[str, Any]) -> None:
        if not node.waiting or answer["nonce"].encode() != node.asked:
            return
        node.waiting = False
        now_s = time.monotonic()
        code = answer["code"]
        if now_s < self._until_s:
            self._latencies_s.append(now_s - node.since_s)
            self._codes_seen[code] += 1
        if answer.get("limit"):
            node.epoch = answer["limit"]["epoch"]
            node.obey(answer["limit"])
        if code == "ok" and self._mix == "visits":
            if node.balance + 1 > node.ceiling:
                raise LoadError(f"{node.name}: let in without a ceiling: {answer}")
            self._stay(node)
        elif code == "ok":
            self._used.append(node.ticket)
        node.answered = True
        self._next(node)

    def _stay(self, node: Node) -> None:
        """Through the lane, and out again by its exit."""
        nonce, out = node.asked, node.asked + b"x"
        node.balance, node.pending = node.balance + 1, node.pending + 1
        node.event(_MOVED % (b"released", nonce, b"entry"))
        node.pending -= 1
        node.event(_MOVED % (b"passed", nonce, b"entry"))
        node.event(_EXIT % (out, codes.digest(self._codes[node.ticket].decode()).encode()))
        node.balance -= 1
        node.event(_MOVED % (b"passed", out, b"exit"))
        self._events += 4
        self._tickets.append(node.ticket)

    def _next(self, node: Node) -> None:
        """Begin again, unless too much is not acknowledged yet."""
        if not self._going or node.waiting or node.seq - node.acked > UNACKNOWLEDGED_MAX:
            return
        if self._rate_per_s:
            if node.answered:
                node.answered = False
                self._idle.append(node)
            return
        if time.monotonic() < self._until_s:
            self._start(node, time.monotonic())

    def _start(self, node: Node, since_s: float) -> None:
        node.answered = False
        node.since_s = since_s
        if self._mix == "echo":
            node.waiting = True
            node.publish(b"echo/x", node.identity() + _ASK % (b"%s.1.%d" % (node.inc, 1000), b"E1:" + b"0" * 17))
            return
        if not self._tickets or self._tickets[0] not in self._codes:
            self._ended_s, self._going = time.monotonic(), False
            return
        node.ticket = self._tickets.popleft()
        node.scans += 1
        node.asked = b"%s.%d.%d" % (node.inc, node.boot, node.scans)
        node.waiting = True
        node.publish(b"ask", node.identity() + _ASK % (node.asked, self._codes[node.ticket]))

    def _settle(self) -> None:
        """Wait until everything asked is answered and every record acknowledged, and the line is quiet."""
        deadline_s = time.monotonic() + SETTLE_S
        while True:
            self._turn(QUIET_S)
            now_s = time.monotonic()
            open_still = [node.name for node in self.nodes if node.waiting or node.acked < node.seq]
            if not open_still and now_s - self._heard_s > QUIET_S:
                return
            if now_s > deadline_s:
                raise LoadError(f"no end within {SETTLE_S:g} s at {open_still[:3]}")

    def reboot(self) -> None:
        """Nobody was let through on these answers: a reboot makes every grant void, its ticket is as before."""
        for node in self.nodes:
            node.boot += 1
            node.event(_EVENT % b"boot")
            node.flush()
        self._settle()
        self._tickets.extend(self._used)
        self._used = []


def main() -> None:
    """Serve commands until standard input ends."""
    load: Load | None = None
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if order["do"] == "connect":
                load = Load(
                    order["host"], order["port"], order["site"], order["users"], order["tickets"], order["seed"]
                )
                load.check_templates()
                if order["hello"]:
                    load.hello()
                answer: dict[str, Any] = {"ok": True}
            elif load is None:
                raise LoadError("connect first")
            elif order["do"] == "reboot":
                load.reboot()
                answer = {"ok": True}
            else:
                load.watched = order["watched"]
                answer = load.window(order["mix"], order["seconds"], order["rate_per_s"])
        except (LoadError, OSError, wire.WireError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
