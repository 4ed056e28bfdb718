"""One TCP or TLS connection, the same on both Pythons.

MicroPython's asyncio.open_connection is not used: cancelled while it connects, it leaks the socket, and an ESP32 has
about ten.
"""

import asyncio
import errno
import socket
import sys

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

IPPROTO_TCP = 6
TCP_NODELAY = 1


def resolve(host: str, port: int) -> "Any":
    """The address to connect to. Blocks on a DNS lookup (not for an IP address); OSError if there is none."""
    return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]


class _MicroPythonTcp:
    def __init__(self) -> None:
        self._socket: "Any" = None
        self._stream: "Any" = None

    async def open(self, address: "Any", ssl: "Any", server_hostname: "str | None") -> None:
        """Start to connect; the first `send` waits until it has worked. TLS shakes hands there too."""
        sock: "Any" = socket.socket(address[0], address[1], address[2])
        self._socket = sock
        sock.setblocking(False)
        try:
            sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        except (OSError, AttributeError, ValueError):
            pass  # Slower on a port without it, not wrong.
        try:
            sock.connect(address[-1])
        except OSError as error:
            if error.errno != errno.EINPROGRESS:
                raise
        if ssl is not None:
            # Without the lazy handshake the whole event loop would stand still for it, watchdog and all.
            self._socket = ssl.wrap_socket(sock, server_hostname=server_hostname, do_handshake_on_connect=False)
            self._socket.setblocking(False)
        self._stream = asyncio.StreamReader(self._socket)

    async def send(self, data: "bytes | bytearray") -> None:
        """Returns when all is handed to the network; one caller at a time."""
        # Not Stream.write: it would try at once, and a socket that is still connecting must not be written to.
        self._stream.out_buf = data
        await self._stream.drain()

    async def read(self, count: int) -> bytes:
        """1 to `count` bytes; OSError(ECONNRESET) when the other side has closed."""
        data: bytes = await self._stream.read(count)
        if not data:
            raise OSError(errno.ECONNRESET)
        return data

    def close(self) -> None:
        """At once, whatever is unsent. No task may be waiting in `send` or `read`."""
        sock = self._socket
        self._socket = self._stream = None
        if sock is not None:
            try:
                sock.close()
            except OSError:
                pass


class _CPythonTcp:
    def __init__(self) -> None:
        self._reader: "Any" = None
        self._writer: "Any" = None

    async def open(self, address: "Any", ssl: "Any", server_hostname: "str | None") -> None:
        host, port = address[-1][:2]
        name = server_hostname if ssl is not None else None
        self._reader, self._writer = await asyncio.open_connection(host, port, ssl=ssl, server_hostname=name)
        # So that drain waits for the last byte, as MicroPython's does.
        self._writer.transport.set_write_buffer_limits(0)

    async def send(self, data: "bytes | bytearray") -> None:
        self._writer.write(bytes(data))
        await self._writer.drain()

    async def read(self, count: int) -> bytes:
        data: bytes = await self._reader.read(count)
        if not data:
            raise OSError(errno.ECONNRESET, "closed by the other side")
        return data

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._reader = self._writer = None


Tcp: "Any" = _MicroPythonTcp if sys.implementation.name == "micropython" else _CPythonTcp
