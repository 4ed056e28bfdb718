"""A customer display with two lines of 20 characters on a pseudo terminal, in CD5220 mode.

    async with CustomerDisplay(link) as display:
        display.path                   # a tty for the driver
        display.lines                  # what a customer reads: two texts of 20 characters
        display.power_cycle()          # dark, until something is sent again

Commands: ESC @, ESC t n, ESC R n, ESC Q A and ESC Q B with CR, CLR (0C), CAN (18); from public manuals.
"""

import os
import time
from pathlib import Path
from types import TracebackType

from einlass_sim.devices.pty_end import PtyEnd

COLUMNS = 20
ROWS = 2
CODE_PAGES = {0: "cp437", 2: "cp850", 16: "cp1252", 19: "cp858"}


class CustomerDisplay(PtyEnd):
    """One display on its line."""

    def __init__(self, link: Path | None = None) -> None:
        self.lines = [" " * COLUMNS] * ROWS
        self.unknown = bytearray()
        self.changed_s = 0.0  # when it last showed something new, on the clock of time.monotonic()
        super().__init__(link)
        self._page = "cp437"
        self._row = 0
        self._column = 0
        self._input = bytearray()

    async def __aenter__(self) -> "CustomerDisplay":
        self._plug_in()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deafen()
        self._unplug()

    def power_cycle(self) -> None:
        """Off and on: dark, with the factory's code page."""
        self.lines = [" " * COLUMNS] * ROWS
        self._page, self._row, self._column = "cp437", 0, 0
        self._input.clear()

    def received(self, data: bytes) -> None:
        """Take bytes from the host."""
        self._input += data
        while self._input and self._obey():
            pass

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except (BlockingIOError, OSError):
            return
        before = list(self.lines)
        self.received(data)
        if self.lines != before:
            self.changed_s = time.monotonic()

    def _obey(self) -> bool:
        """One command or character; False: more bytes are needed."""
        first = self._input[0]
        if first == 0x1B:
            return self._escape()
        del self._input[:1]
        if first in (0x0C, 0x18):
            self.lines = [" " * COLUMNS] * ROWS
            self._row = self._column = 0
        elif first == 0x0D:
            self._column = 0
        elif first == 0x0A:
            self._row = (self._row + 1) % ROWS
        elif first >= 0x20:
            self._put(bytes([first]).decode(self._page, "replace"))
        else:
            self.unknown.append(first)
        return True

    def _escape(self) -> bool:
        if len(self._input) < 2:
            return False
        command = self._input[1:2]
        if command == b"@":
            del self._input[:2]
            self.lines, self._row, self._column = [" " * COLUMNS] * ROWS, 0, 0
            return True
        if len(self._input) < 3:
            return False
        value = self._input[2]
        if command == b"Q" and value in b"AB":
            end = self._input.find(b"\r")
            if end < 0:
                return False
            self._row, self._column = value - 0x41, 0
            self.lines[self._row] = " " * COLUMNS
            text = bytes(self._input[3:end])
            del self._input[: end + 1]
            for byte in text[:COLUMNS]:
                self._put(bytes([byte]).decode(self._page, "replace"))
            return True
        del self._input[:3]
        if command == b"t":
            self._page = CODE_PAGES.get(value, self._page)
        elif command != b"R":
            self.unknown += b"\x1b" + command
        return True

    def _put(self, character: str) -> None:
        line = self.lines[self._row]
        self.lines[self._row] = line[: self._column] + character + line[self._column + 1 :]
        self._column += 1
        if self._column == COLUMNS:
            self._row, self._column = (self._row + 1) % ROWS, 0
