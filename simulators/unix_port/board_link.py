"""The wires between a simulated board and its plant: lines of JSON over a socket.

Without a plant its outputs move nothing. Lines from the plant are taken by a task of the firmware's own event loop, as
soon as they are there; code that does not run the loop sees them when it reads a pin.
"""

import asyncio
import errno
import io
import json
import os
import socket
from micropython import const

_LINE_BYTES_MAX = const(512)
_RECEIVE_BYTES = const(256)
_STREAM_GET_FILENO = const(10)

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
            part = _socket.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return
            part = b""
        if not part:
            lose_power()
        *lines, _rest = (_rest + part).split(b"\n")
        if len(_rest) > _LINE_BYTES_MAX:
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
        return _socket.fileno() if request == _STREAM_GET_FILENO else -1

    def read(self, count):
        poll()
        return b"."


async def _pump():
    arrivals = asyncio.StreamReader(_Arrivals())
    while True:
        await arrivals.read(1)


def use(sock):
    """Speak over this socket from now on."""
    global _socket, _pump_task
    _socket = sock
    _pump_task = asyncio.create_task(_pump())
