"""What a simulated board does once, when its power comes: it finds its plant and its flash. Forgotten afterwards.

BOARD_SIM is the plant's address, a path (unix-domain socket) or host:port. The plant first drives its inputs and then
says {"t": "ready"}: a real pin has its level before the first instruction. BOARD_FLASH names the image of the flash, on
which a file system is made if there is none (as the ESP32 port does on its first start); BOARD_CUT_AFTER_WRITES=n cuts
the power at the n-th write.
"""

import os
import select
import socket
import struct
import time
import vfs
from micropython import const

import board_link
import flash

_READY_MS_MAX = const(5000)
_TCP_NODELAY = const((6, 1, 1))
# As the ESP32 port mounts its flash.
_PROGRAM_BYTES = const(32)
_LOOKAHEAD_BYTES = const(32)


def link():
    """Connect to the plant; OSError if it is named and not there."""
    address = os.getenv("BOARD_SIM")
    if address:
        sock = _connect(address)
        board_link.use(sock)
        _wait_ready(sock)


def file_system():
    """The file system on the flash."""
    cut = os.getenv("BOARD_CUT_AFTER_WRITES")
    device = flash.Flash(os.getenv("BOARD_FLASH"), int(cut) if cut else None)
    sizes = {"readsize": _PROGRAM_BYTES, "progsize": _PROGRAM_BYTES, "lookahead": _LOOKAHEAD_BYTES}
    try:
        return vfs.VfsLfs2(device, **sizes)
    except OSError:
        vfs.VfsLfs2.mkfs(device, **sizes)
        return vfs.VfsLfs2(device, **sizes)


def _connect(address):
    if address[0] == "/":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # struct sockaddr_un: this port takes addresses raw.
        sock.connect(struct.pack("<H", socket.AF_UNIX) + address.encode() + b"\x00")
        return sock
    host, port = address.rsplit(":", 1)
    sock = socket.socket()
    sock.connect(socket.getaddrinfo(host, int(port))[0][-1])
    sock.setsockopt(*_TCP_NODELAY)
    return sock


def _wait_ready(sock):
    """Until the plant has driven its inputs; a plant that never says so is taken as it is, after _READY_MS_MAX."""
    ready = []
    board_link.on("ready", ready.append)
    arrivals = select.poll()
    arrivals.register(sock, select.POLLIN)
    start_ms = time.ticks_ms()
    while not ready and time.ticks_diff(time.ticks_ms(), start_ms) < _READY_MS_MAX:
        if arrivals.poll(100):
            board_link.poll()
    board_link.on("ready", len)
