"""The wires between a simulated board and its plant: lines of JSON over the socket named in BOARD_SIM.

BOARD_SIM is a path (unix-domain socket) or host:port; without it the board has no plant and its outputs move nothing.
The plant first drives its inputs and then says {"t": "ready"}: a real pin has its level before the first instruction.
Lines from the plant are taken by a task of the firmware's own event loop, as soon as they are there; code that does
not run the loop sees them when it reads a pin.
"""

import asyncio
import errno
import io
import json
import os
import select
import socket
import struct
import time

LINE_BYTES_MAX = 512
READY_MS_MAX = 5000
RECEIVE_BYTES = 256
MSG_DONTWAIT = socket.MSG_DONTWAIT
STREAM_GET_FILENO = 10
TCP_NODELAY = (6, 1, 1)

_socket = None
_pump_task = None
_rest = b""
_polling = False
_handlers = {}
faults = 0  # lines that were no message


def on(kind, handler):
    """Have lines of this kind ({"t": kind, ...}) given to `handler(message)`."""
    _handlers[kind] = handler


def send(message):
    """One line to the plant; waits while the plant does not read. The board loses its power when the plant is gone."""
    if _socket is None:
        return
    data = json.dumps(message).encode() + b"\n"
    try:
        while data:
            data = data[_socket.send(data) :]
    except OSError:
        lose_power()


def poll():
    """Take every line that has arrived. Called from a handler it does nothing: the lines keep their order."""
    global _polling
    if _socket is None or _polling:
        return
    _polling = True
    try:
        _receive()
    finally:
        _polling = False


def _receive():
    global _rest, faults
    while True:
        try:
            part = _socket.recv(RECEIVE_BYTES, MSG_DONTWAIT)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return
            part = b""
        if not part:
            lose_power()
        *lines, _rest = (_rest + part).split(b"\n")
        if len(_rest) > LINE_BYTES_MAX:
            faults += 1
            _rest = b""
        for line in lines:
            _take(line)


def _take(line):
    global faults
    try:
        message = json.loads(line)
        handler = _handlers.get(message["t"])
        if handler is not None:
            handler(message)
    except (ValueError, KeyError, TypeError, AttributeError):
        faults += 1


def die(signal):
    """End this process by a signal, at once: no `finally` of the firmware runs, as on the real chip."""
    # The process has no kill of its own; the shell's parent is this process.
    os.system("kill -%s $PPID" % signal)
    while True:
        pass


def lose_power():
    """The plant is gone, and with it the supply."""
    die("TERM")


class _Arrivals(io.IOBase):
    """Makes the socket something that an asyncio stream can wait for; reading it delivers the lines."""

    def ioctl(self, request, argument):
        return _socket.fileno() if request == STREAM_GET_FILENO else -1

    def read(self, count):
        poll()
        return b"."


async def _pump():
    arrivals = asyncio.StreamReader(_Arrivals())
    while True:
        await arrivals.read(1)


def _connect(address):
    if address[0] == "/":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # struct sockaddr_un: this port takes addresses raw.
        sock.connect(struct.pack("<H", socket.AF_UNIX) + address.encode() + b"\x00")
        return sock
    host, port = address.rsplit(":", 1)
    sock = socket.socket()
    sock.connect(socket.getaddrinfo(host, int(port))[0][-1])
    sock.setsockopt(*TCP_NODELAY)
    return sock


def _wait_ready():
    """Until the plant has driven its inputs; a plant that never says so is taken as it is, after READY_MS_MAX."""
    ready = []
    on("ready", ready.append)
    arrivals = select.poll()
    arrivals.register(_socket, select.POLLIN)
    start_ms = time.ticks_ms()
    while not ready and time.ticks_diff(time.ticks_ms(), start_ms) < READY_MS_MAX:
        if arrivals.poll(100):
            poll()


def open_link():
    """Connect to the plant named in BOARD_SIM; OSError if it is named and not there."""
    global _socket, _pump_task
    address = os.getenv("BOARD_SIM")
    if address and _socket is None:
        _socket = _connect(address)
        _wait_ready()
        _pump_task = asyncio.create_task(_pump())
