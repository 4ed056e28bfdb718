"""Load over HTTP, a process of its own: keep-alive connections that send the next request when the answer is there.

One command as a line of JSON on standard input, one result on standard output, as in load.py.
"""

import json
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from einlass_sim.bench.stock import code_of

READ_BYTES = 65_536
TIMEOUT_S = 10.0
_HEAD = b"POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"


class WebError(RuntimeError):
    """An answer that is no figure."""


@dataclass(slots=True, eq=False)
class Link:
    """One connection and the request it waits for."""

    socket: socket.socket
    since_s: float = 0.0
    kept: bytes = b""


class Web:
    """All connections, one thread."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self._poll = select.epoll()
        self._links: dict[int, Link] = {}
        for _ in range(connections):
            link = Link(socket.create_connection((host, port), timeout=TIMEOUT_S))
            link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links[link.socket.fileno()] = link
            self._poll.register(link.socket.fileno(), select.EPOLLIN)

    def window(self, path: str, key: str, seconds: float, bodies: list[bytes]) -> dict[str, Any]:
        """Send these bodies, each once and as fast as the answers come, for so many seconds or until they are used."""
        head = _HEAD % (path.encode(), key.encode())
        latencies_s: list[float] = []
        codes: Counter[str] = Counter()
        bodies.reverse()
        cpu_s, began_s = time.process_time(), time.monotonic()
        until_s, waiting = began_s + seconds, 0
        for link in self._links.values():
            waiting += self._send(link, head, bodies)
        ended_s = began_s
        while waiting:
            ready = self._poll.poll(TIMEOUT_S)
            if not ready:
                raise WebError(f"no answer within {TIMEOUT_S:g} s")
            for descriptor, _ in ready:
                link = self._links[descriptor]
                answer = _answer(link)
                if answer is None:
                    continue
                waiting -= 1
                now_s = time.monotonic()
                if now_s < until_s:
                    latencies_s.append(now_s - link.since_s)
                    codes[json.loads(answer).get("code", "")] += 1
                    ended_s = now_s
                    waiting += self._send(link, head, bodies)
        return {
            "per_s": len(latencies_s) / max(ended_s - began_s, 1e-9),
            "done": len(latencies_s),
            "seconds": ended_s - began_s,
            "cpu_s": time.process_time() - cpu_s,
            "codes": dict(codes),
            "latencies_ms": [round(value * 1000, 3) for value in sorted(latencies_s)],
        }

    def _send(self, link: Link, head: bytes, bodies: list[bytes]) -> int:
        if not bodies:
            return 0
        body = bodies.pop()
        link.since_s = time.monotonic()
        link.socket.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return 1


def _answer(link: Link) -> bytes | None:
    """The body of an answer once it is there as a whole."""
    data = link.socket.recv(READ_BYTES)
    if not data:
        raise WebError("the server closed the connection")
    link.kept += data
    head, found, body = link.kept.partition(b"\r\n\r\n")
    if not found:
        return None
    if not head.startswith(b"HTTP/1.1 200"):
        raise WebError((head[:40] + body[:200]).decode(errors="replace"))
    at = head.lower().index(b"content-length:") + 15
    if len(body) < int(head[at:].split(b"\r\n", 1)[0]):
        return None
    link.kept = b""
    return body


def bodies_of(seed: int, first: int, count: int, zone: str) -> list[bytes]:
    """Redeem orders for tickets of the bench's stock."""
    return [
        json.dumps({"code": code_of(seed, number), "nonce": f"w{number}", "zone": zone}).encode()
        for number in range(first, first + count)
    ]


def main() -> None:
    """Serve commands until standard input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        try:
            bodies = bodies_of(order["seed"], order["first"], order["count"], order["zone"])
            web = Web(order["host"], order["port"], order["connections"])
            answer = web.window(order["path"], order["key"], order["seconds"], bodies)
        except (WebError, OSError, ValueError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
