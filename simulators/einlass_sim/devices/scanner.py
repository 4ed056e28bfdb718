"""A GM65-family scanner on a pseudo terminal: the device's end of a serial line, at the speed of a serial line.

    async with Scanner() as scanner:            # real_pacing=False types without waiting
        node_reads_from = scanner.path          # a tty for pyserial or a board's UART
        typed = await scanner.hold("E1:...")    # held once; typed.last_byte_s is on the clock of time.monotonic()
        await scanner.hold("E1:...", 3.0)       # kept there for 3 s: typed again as often as the module repeats
        scanner.garble = 0.01                   # a hundredth of the bytes, both ways, arrive wrong

The tty stays open on our side too, so a node that closes it, dies and comes back finds the same line. There is no flow
control: what a dead node does not fetch is lost once the line's buffer is full, and drop_unread() loses it at once,
as the reset of a board does.
"""

import asyncio
import contextlib
import os
import random
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from einlass_sim.devices.gm65 import Gm65
from einlass_sim.devices.pty_end import PtyEnd

BITS_A_BYTE = 10  # 8N1
BAUD = 9600
POLL_S = 0.05
READ_BYTES_MAX = 4096
HOLD_S_MAX = 600.0


@dataclass(frozen=True)
class Typed:
    """One code went over the line (or was swallowed by the module: text is empty); times of time.monotonic()."""

    text: bytes
    first_byte_s: float
    last_byte_s: float


class Scanner(PtyEnd):
    """One scanner and its line. link: an extra stable name for the tty, replaced when it is an old link."""

    def __init__(
        self,
        link: Path | None = None,
        *,
        baud: int = BAUD,
        real_pacing: bool = True,
        rng: random.Random | None = None,
        module: Gm65 | None = None,
    ) -> None:
        self.module = module or Gm65()
        self.garble = 0.0
        self.bytes_lost = 0
        self.typed: Typed | None = None
        super().__init__(link)
        self._byte_s = BITS_A_BYTE / baud if real_pacing else 0.0
        self._rng = rng or random.Random()
        self._line = asyncio.Lock()
        self._answers: set[asyncio.Task[Typed]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Make the line. OSError when the machine has no more ptys or the link's place is taken."""
        self._plug_in()
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """Unplug it. The node's reads fail from now on, as with a pulled USB adapter."""
        if self._loop is None:
            return
        self._deafen()
        self._loop = None
        for task in list(self._answers):
            task.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)
        self._unplug()

    async def __aenter__(self) -> "Scanner":
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def hold(self, code: str | bytes, hold_s: float = 0.0) -> Typed:
        """Hold a code before the window for hold_s (0: one glance); the last time it was typed.

        ValueError when hold_s is out of bounds.
        """
        if not 0 <= hold_s <= HOLD_S_MAX:
            raise ValueError(f"a code is held for 0 to {HOLD_S_MAX:.0f} s")
        raw = code.encode() if isinstance(code, str) else code
        until_s = time.monotonic() + hold_s
        typed = await self._glance(raw)
        while (left_s := until_s - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, POLL_S))
            again = await self._glance(raw)
            typed = again if again.text else typed
        return typed

    async def noise(self, data: bytes) -> Typed:
        """Put these bytes on the line as they are: a loose contact, a foreign device."""
        return await self._send(data)

    def drop_unread(self) -> None:
        """Lose what the node has not fetched yet."""
        termios.tcflush(self._slave, termios.TCIFLUSH)

    async def _glance(self, raw: bytes) -> Typed:
        self.typed = await self._send(self.module.looks_at(_now_ms(), raw))
        return self.typed

    async def _send(self, data: bytes) -> Typed:
        async with self._line:
            start_s = time.monotonic()
            sent = 0
            while sent < len(data):
                # By the clock and not by one sleep a byte: an oversleeping machine catches up instead of drifting.
                due = len(data) if not self._byte_s else int((time.monotonic() - start_s) / self._byte_s)
                if due > sent:
                    self._write(data[sent:due])
                    sent = min(due, len(data))
                else:
                    await asyncio.sleep(start_s + (sent + 1) * self._byte_s - time.monotonic())
            return Typed(data, start_s, time.monotonic())

    def _write(self, data: bytes) -> None:
        data = self._garbled(data)
        written = 0
        with contextlib.suppress(BlockingIOError):
            written = os.write(self._master, data)
        self.bytes_lost += len(data) - written

    def _read(self) -> None:
        try:
            data = os.read(self._master, READ_BYTES_MAX)
        except (BlockingIOError, OSError):
            return
        answer = self.module.received(_now_ms(), self._garbled(data))
        if answer:
            task = asyncio.ensure_future(self._send(answer))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    def _garbled(self, data: bytes) -> bytes:
        if not self.garble:
            return data
        return bytes(byte ^ self._rng.randrange(1, 256) if self._rng.random() < self.garble else byte for byte in data)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
