"""A scanner that plays a keyboard (USB HID), read from /dev/input/eventN so that it types into nothing else.

Set the scanner to US layout and to send Enter after a code. Linux event format: include/uapi/linux/input.h.
"""

import asyncio
import fcntl
import os
import struct
from collections.abc import Callable

import structlog

from einlass_core.codes import CODE_LENGTH_MAX
from einlass_core.events import Scanned
from einlass_edge.drivers.driver import Feed, Trouble
from einlass_edge.drivers.lasting import lasting

_EVENT = struct.Struct("llHHi")  # seconds, microseconds, type, code, value
_EV_KEY = 1
_KEY_UP, _KEY_DOWN = 0, 1
_EVIOCGRAB = 0x40044590
_ENTER = (28, 96)
_SHIFT = (42, 54)
READ_EVENTS_MAX = 64

# Key codes from 2 on in rows, US layout, without and with shift; space: no character.
_ROWS = (
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", " "),
)
_PLAIN = {first + at: character for first, plain, _ in _ROWS for at, character in enumerate(plain)}
_SHIFTED = {first + at: character for first, _, shifted in _ROWS for at, character in enumerate(shifted)}
_UNKNOWN = "\x00"

log = structlog.get_logger(__name__)


class Keys:
    """Key events to codes: feed() bytes as the kernel gives them."""

    def __init__(self) -> None:
        self._held_shifts = 0
        self._text = ""
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Codes completed by Enter; an overlong one is cut one byte above the limit, as SerialScanner does."""
        codes: list[bytes] = []
        data = self._rest + data
        whole = len(data) - len(data) % _EVENT.size
        self._rest = data[whole:]
        for _, _, kind, key, value in _EVENT.iter_unpack(data[:whole]):
            if kind != _EV_KEY or value not in (_KEY_UP, _KEY_DOWN):
                continue
            if key in _SHIFT:
                self._held_shifts = max(0, self._held_shifts + (1 if value == _KEY_DOWN else -1))
            elif value == _KEY_DOWN:
                self._press(key, codes)
        return codes

    def _press(self, key: int, codes: list[bytes]) -> None:
        if key in _ENTER:
            if self._text:
                codes.append(self._text.encode())
            self._text = ""
        elif len(self._text) <= CODE_LENGTH_MAX:
            # A key that is no character makes the code unreadable rather than another code.
            self._text += (_SHIFTED if self._held_shifts else _PLAIN).get(key, _UNKNOWN)


class HidScanner:
    """See Reader."""

    def __init__(self, side: str, path: str, feed: Feed, trouble: Trouble) -> None:
        self._side = side
        self._path = path
        self._feed = feed
        self._trouble = trouble

    async def run(self) -> None:
        """See Reader."""
        await lasting(self._serve, f"{self._side}_scanner_lost", self._path, self._trouble)

    async def _serve(self, works: Callable[[], None]) -> None:
        device = _open_grabbed(self._path)
        try:
            works()
            await self._read(device)
        finally:
            os.close(device)

    async def _read(self, device: int) -> None:
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[None] = loop.create_future()
        keys = Keys()

        def readable() -> None:
            try:
                data = os.read(device, _EVENT.size * READ_EVENTS_MAX)
                if not data:
                    raise OSError("the keyboard is gone")
            except BlockingIOError:
                return
            except OSError as error:
                loop.remove_reader(device)
                if not failed.done():
                    failed.set_exception(error)
                return
            for raw in keys.feed(data):
                if not self._feed(Scanned(self._side, raw)):
                    log.warning("scans_dropped", side=self._side, count=1)

        loop.add_reader(device, readable)
        try:
            await failed
        finally:
            loop.remove_reader(device)


def _open_grabbed(path: str) -> int:
    """The device, read by nobody else from now on; OSError when it is no keyboard or somebody else has it."""
    device = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.ioctl(device, _EVIOCGRAB, 1)
    except OSError:
        os.close(device)
        raise
    return device
