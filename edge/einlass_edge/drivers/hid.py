"""A keyboard of its own, read from /dev/input/eventN so that it types into nothing else.

Linux event format: include/uapi/linux/input.h.
"""

import asyncio
import fcntl
import os
import struct
from collections.abc import Callable

_EVENT = struct.Struct("llHHi")  # seconds, microseconds, type, code, value
_EV_KEY = 1
_KEY_UP, _KEY_DOWN = 0, 1
_EVIOCGRAB = 0x40044590
_SHIFT = (42, 54)
READ_EVENTS_MAX = 64


class Strokes:
    """Events as the kernel gives them to keys that went down: feed() gives (key code, whether shift was held)."""

    def __init__(self) -> None:
        self._held_shifts = 0
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bool]]:
        """The strokes in these bytes; keys that repeat while they are held down are none."""
        strokes: list[tuple[int, bool]] = []
        data = self._rest + data
        whole = len(data) - len(data) % _EVENT.size
        self._rest = data[whole:]
        for _, _, kind, key, value in _EVENT.iter_unpack(data[:whole]):
            if kind != _EV_KEY or value not in (_KEY_UP, _KEY_DOWN):
                continue
            if key in _SHIFT:
                self._held_shifts = max(0, self._held_shifts + (1 if value == _KEY_DOWN else -1))
            elif value == _KEY_DOWN:
                strokes.append((key, self._held_shifts > 0))
        return strokes


async def read_strokes(path: str, works: Callable[[], None], take: Callable[[list[tuple[int, bool]]], None]) -> None:
    """Until cancelled. OSError when it is no keyboard, somebody else has it, or it is gone. works: it was opened."""
    device = _open_grabbed(path)
    try:
        works()
        await _read(device, take)
    finally:
        os.close(device)


async def _read(device: int, take: Callable[[list[tuple[int, bool]]], None]) -> None:
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    strokes = Strokes()

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
        take(strokes.feed(data))

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
