"""A receipt printer that speaks ESC/POS on a pseudo terminal and draws what it prints.

    async with ReceiptPrinter(link) as printer:
        printer.path                      # a tty for the driver
        printer.roll.pieces[-1].picture   # the last slip; .lines its text
        printer.roll.left_mm = 20         # the paper ends soon
        printer.open_cover(True)
        printer.jam_cutter(True)
        printer.silent = True             # takes everything, answers nothing, prints nothing
        printer.new_roll()
    printer.on_cut = mouth.fell       # gets every piece

Commands as in Epson's ESC/POS reference: ESC @ R t a E ! d J 2 3, GS ! V a r v0 (k (H, DLE EOT 1-4, DLE ENQ 2, DLE DC4
functions 1, 2 and 8. DLE commands are obeyed when they arrive, wherever they stand, also inside of a picture: that is
what the real ones do. It stops at the end of the paper, with an open cover or a jammed cutter, and goes on with
what it has in its buffer when that is over. has_marks False: one of the many that lack GS ( H and DLE DC4 8.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import segno
from PIL import Image

from einlass_sim.devices.paper import DOTS_A_MM, ROLL_MM, WIDTH_DOTS, Cut, Roll, text_rows
from einlass_sim.devices.pty_end import PtyEnd

LOOK_S = 0.02
BUFFER_BYTES = 65_536
LINE_DOTS = 30
FEED_TO_CUTTER_DOTS = 12 * DOTS_A_MM
QR_STORE_MAX = 7089
CODE_PAGES = {0: "cp437", 2: "cp850", 16: "cp1252", 19: "cp858"}
_DC4_LENGTHS = {1: 5, 2: 5, 8: 10}
_CLEAR = b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08"


class _More(Exception):
    """The command is not complete yet."""


class ReceiptPrinter(PtyEnd):
    """One printer on its line. line_s: how long a printed line takes (0: as fast as it comes)."""

    def __init__(self, link: Path | None = None, *, has_marks: bool = True, has_qr: bool = True, line_s: float = 0.0):
        super().__init__(link)
        self.roll = Roll()
        self.silent = False
        self.cover_open = False
        self.cutter_jammed = False
        self.unknown = bytearray()  # control bytes that are no command of ours
        self.commands: list[str] = []
        self.lines_printed = 0
        self.cleared = 0
        self.on_cut: Callable[[Cut], None] | None = None
        self._has_marks = has_marks
        self._has_qr = has_qr
        self._line_s = line_s
        self._buffer = bytearray()
        self._realtime = bytearray()
        self._worker: asyncio.Task[None] | None = None
        self._asb = 0
        self._told: bytes | None = None
        self._command = ""
        self._reset()

    async def __aenter__(self) -> "ReceiptPrinter":
        self._plug_in()
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deafen()
        assert self._worker is not None
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        self._unplug()

    # -- what a technician does

    def open_cover(self, is_open: bool) -> None:
        """Open or close the lid."""
        self.cover_open = is_open
        self._tell()

    def jam_cutter(self, jammed: bool) -> None:
        """A scrap of paper in the knife; False: pulled out, and the printer was told to go on."""
        self.cutter_jammed = jammed
        self._tell()

    def new_roll(self, length_mm: float = ROLL_MM) -> None:
        """Put a new roll in; what hung out is torn off and is a piece, too."""
        if self.roll.hanging().height > 1:
            self.roll.cut()
        self.roll.left_mm = length_mm
        self._tell()

    def power_cycle(self) -> None:
        """Off and on: buffers, styles and what it was to tell by itself are forgotten."""
        self._buffer.clear()
        self._realtime.clear()
        self._asb, self._told = 0, None
        self._reset()

    @property
    def stopped(self) -> bool:
        """It cannot print now."""
        return self.roll.out or self.cover_open or self.cutter_jammed or self.silent

    @property
    def waiting_bytes(self) -> int:
        """What it has received and not worked off."""
        return len(self._buffer)

    # -- the line

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except (BlockingIOError, OSError):
            return
        if self.silent:
            return
        for byte in data:
            self.receive(byte)

    def receive(self, byte: int) -> None:
        """One byte comes off the line: into the buffer, and a real-time command is obeyed at once."""
        if len(self._buffer) < BUFFER_BYTES:
            self._buffer.append(byte)
        self._realtime.append(byte)
        del self._realtime[:-10]
        last = bytes(self._realtime)
        if last[-3:-1] == b"\x10\x04" and 1 <= byte <= 4:
            self._answer(bytes([self._status(byte)]))
        elif last[-3:] == b"\x10\x05\x02":
            self._clear_buffers()
        elif last == _CLEAR and self._has_marks:
            self._clear_buffers()
            self._answer(b"\x37\x25\x00")

    def _clear_buffers(self) -> None:
        self._buffer.clear()
        self._line.clear()
        self.cleared += 1

    def _answer(self, data: bytes) -> None:
        if not self.silent and self._master >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, data)

    def _status(self, kind: int) -> int:
        if kind == 1:
            return 0x12 | 0x08 * self.stopped
        if kind == 2:
            return 0x12 | 0x04 * self.cover_open | 0x20 * self.roll.out | 0x40 * self.cutter_jammed
        if kind == 3:
            return 0x12 | 0x08 * self.cutter_jammed
        return 0x12 | 0x0C * self.roll.near_end | 0x60 * self.roll.out

    def _tell(self) -> None:
        """Automatic status back, when something has changed."""
        now = bytes(
            [
                0x10 | 0x08 * self.stopped | 0x20 * self.cover_open,
                0x08 * self.cutter_jammed,
                0x03 * self.roll.near_end | 0x0C * self.roll.out,
                0x0F,
            ]
        )
        if self._asb and now != self._told:
            self._told = now
            self._answer(now)

    # -- the interpreter

    def _reset(self) -> None:
        self._page = "cp437"
        self._align = 0
        self._bold = False
        self._size = (1, 1)
        self._spacing = LINE_DOTS
        self._line: list[tuple[str, int, int, bool]] = []
        self._qr = b""
        self._qr_dots = 3
        self._qr_level = "l"

    def step(self) -> bool:
        """Work off one command or character of the buffer; False: there is none, or not all of it, or it is stopped."""
        if not self._buffer or self.stopped:
            return False
        at = _Cursor(self._buffer)
        self._command = ""
        try:
            self._obey(at)
        except _More:
            return False
        if self._command:
            self.commands.append(self._command)
        del self._buffer[: at.at]
        self._tell()
        return True

    async def _work(self) -> None:
        while True:
            printed = self.lines_printed
            if not self.step():
                await asyncio.sleep(LOOK_S)
            elif self.lines_printed != printed:
                await asyncio.sleep(self._line_s)

    def _obey(self, at: "_Cursor") -> None:
        byte = at.byte()
        if byte >= 0x20 and byte != 0x7F:
            self._line.append((bytes([byte]).decode(self._page, "replace"), *self._size, self._bold))
            if sum(wide for _, wide, _, _ in self._line) * 12 > WIDTH_DOTS - 12:
                self._print_line()
        elif byte == 0x0A:
            self._print_line()
        elif byte == 0x1B:
            self._escape(at)
        elif byte == 0x1D:
            self._group(at)
        elif byte == 0x10:
            second = at.byte()
            # Obeyed already; here it only takes its place.
            at.take(1 if second in (4, 5) else _DC4_LENGTHS.get(at.byte(), 3) - 3 if second == 0x14 else 0)
        elif byte != 0x0D:
            self.unknown.append(byte)

    def _escape(self, at: "_Cursor") -> None:
        command = chr(at.byte())
        self._command = "ESC " + command
        if command == "@":
            self._reset()
        elif command == "2":
            self._spacing = LINE_DOTS
        elif command in "RtaE!dJ3-MG":
            self._escape_with(command, at.byte())
        else:
            self.unknown += b"\x1b" + command.encode("latin-1")

    def _escape_with(self, command: str, value: int) -> None:
        if command == "t":
            self._page = CODE_PAGES.get(value, "ascii")
        elif command == "a":
            self._align = value % 48 if value % 48 in (0, 1, 2) else self._align
        elif command == "E":
            self._bold = bool(value & 1)
        elif command == "!":
            self._bold = bool(value & 8)
            self._size = (2 if value & 0x20 else 1, 2 if value & 0x10 else 1)
        elif command == "3":
            self._spacing = value
        elif command in "dJ":
            self._print_line(feed_only=not self._line)
            self._feed(value * self._spacing if command == "d" else value)

    def _group(self, at: "_Cursor") -> None:
        command = chr(at.byte())
        self._command = "GS " + command
        if command == "!":
            value = at.byte()
            self._size = ((value >> 4 & 7) + 1, (value & 7) + 1)
        elif command == "V":
            kind = at.byte()
            self._cut(at.byte() if kind in (65, 66) else None)
        elif command == "a":
            self._asb, self._told = at.byte(), None
        elif command == "r":
            if at.byte() in (1, 49):
                self._answer(bytes([0x03 * self.roll.near_end | 0x0C * self.roll.out]))
        elif command == "v":
            self._raster(at)
        elif command == "(":
            function, length = chr(at.byte()), at.word()
            self._function(function, at.take(length))
        else:
            self.unknown += b"\x1d" + command.encode("latin-1")

    def _raster(self, at: "_Cursor") -> None:
        at.take(2)
        width, height = at.word(), at.word()
        dots = Image.frombytes("1", (8 * width, height), at.take(width * height)) if width and height else None
        if dots is None:
            return
        rows = Image.new("L", (WIDTH_DOTS, height), 255)
        left = {0: 0, 1: (WIDTH_DOTS - dots.width) // 2, 2: WIDTH_DOTS - dots.width}[self._align]
        rows.paste(dots.convert("L").point(lambda value: 255 - value), (left, 0))
        self._rows(rows)

    def _function(self, function: str, data: bytes) -> None:
        if function == "H" and self._has_marks and data[:2] == b"00" and len(data) == 6:
            self._answer(b"\x37\x22" + data[2:] + b"\x00")
        elif function == "k" and self._has_qr and data[:1] == b"1" and len(data) >= 3:
            kind, value = data[1], data[2]
            if kind == 67:
                self._qr_dots = max(1, min(16, value))
            elif kind == 69:
                self._qr_level = {48: "l", 49: "m", 50: "q", 51: "h"}.get(value, "l")
            elif kind == 80:
                self._qr = data[3 : 3 + QR_STORE_MAX]
            elif kind == 81 and self._qr:
                self._print_qr()

    def _print_qr(self) -> None:
        code = segno.make_qr(self._qr, error=self._qr_level, boost_error=False)
        modules = [[bool(dot) for dot in row] for row in code.matrix_iter(scale=self._qr_dots, border=0)]
        size = len(modules)
        if size > WIDTH_DOTS:
            return  # Too wide for the paper: nothing comes out.
        rows = Image.new("L", (WIDTH_DOTS, size), 255)
        left = {0: 0, 1: (WIDTH_DOTS - size) // 2, 2: WIDTH_DOTS - size}[self._align]
        picture = Image.frombytes("L", (size, size), bytes(0 if dot else 255 for row in modules for dot in row))
        rows.paste(picture, (left, 0))
        if self._rows(rows):
            self.roll.note_code(self._qr.decode("utf-8", "replace"))

    def _print_line(self, feed_only: bool = False) -> None:
        if feed_only:
            return
        line, self._line = self._line, []
        if self._rows(text_rows(line, self._align)):
            self.roll.note_line("".join(character for character, *_ in line))
        self._feed(max(0, self._spacing - 24))

    def _feed(self, dots: int) -> None:
        if dots:
            self._rows(Image.new("L", (WIDTH_DOTS, dots), 255))

    def _rows(self, rows: Image.Image) -> bool:
        self.lines_printed += 1
        return self.roll.print_rows(rows)

    def _cut(self, feed: int | None) -> None:
        if feed is not None:
            self._feed(FEED_TO_CUTTER_DOTS + feed)
        # Without paper the knife falls on nothing; with a jam it never gets there.
        if not self.roll.out and not self.cutter_jammed:
            self.roll.cut()
            if self.on_cut:
                self.on_cut(self.roll.pieces[-1])


class _Cursor:
    """Reads a command out of the buffer; _More when it is not all there."""

    def __init__(self, data: bytearray) -> None:
        self.at = 0
        self._data = data

    def byte(self) -> int:
        return self.take(1)[0]

    def word(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def take(self, count: int) -> bytes:
        if self.at + count > len(self._data):
            raise _More
        taken = bytes(self._data[self.at : self.at + count])
        self.at += count
        return taken
