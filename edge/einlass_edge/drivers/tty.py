"""A serial line for drivers that ask and wait for an answer: non-blocking reads and writes with a bound in seconds."""

import asyncio
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any

import serial

READ_BYTES_MAX = 4096
WRITE_BYTES_MAX = 512


class Tty:
    """One open line, 8N1. OSError from every call once the device is gone; whoever opened it closes it."""

    def __init__(self, path: str, baud: int) -> None:
        """Open it for us alone. OSError: not there, not a tty, or somebody else has it."""
        self._serial = serial.Serial(path, baud, timeout=0, write_timeout=0, exclusive=True)
        self._fd: int = self._serial.fileno()

    def __enter__(self) -> "Tty":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the line back."""
        self._serial.close()

    async def read(self, wait_s: float) -> bytes:
        """What has come in, as soon as there is something; empty when wait_s passed without a byte."""
        loop = asyncio.get_running_loop()
        data = self._read_now()
        if not data and await self._ready(loop.add_reader, loop.remove_reader, wait_s):
            data = self._read_now()
            if not data:
                raise OSError("the serial line was unplugged")
        return data

    async def write(self, data: bytes, wait_s: float) -> None:
        """All of it into the line's buffer; TimeoutError when a part was not taken for wait_s."""
        loop = asyncio.get_running_loop()
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._fd, left[:WRITE_BYTES_MAX]) :]
            except BlockingIOError:
                if not await self._ready(loop.add_writer, loop.remove_writer, wait_s):
                    raise TimeoutError(f"{len(left)} of {len(data)} bytes were not taken in {wait_s} s") from None

    def drop_input(self) -> int:
        """Forget what has come in and was not asked for; how many bytes that were."""
        dropped = 0
        while data := self._read_now():
            dropped += len(data)
        return dropped

    def _read_now(self) -> bytes:
        try:
            return os.read(self._fd, READ_BYTES_MAX)
        except BlockingIOError:
            return b""

    async def _ready(self, watch: Callable[..., Any], forget: Callable[[int], Any], wait_s: float) -> bool:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watch(self._fd, lambda: None if ready.done() else ready.set_result(None))
        try:
            await asyncio.wait((ready,), timeout=wait_s)
        finally:
            forget(self._fd)
        return ready.done()
