"""A customer display of two lines with 20 characters on a serial line, in the CD5220 mode that most of them have.

ESC Q A and ESC Q B, text, CR: the upper and the lower line; ESC @ resets, ESC t chooses the code page (public manuals
of such displays; the same numbers as a printer's). The device says nothing, so nobody knows whether it shows anything:
the lines are sent again every REFRESH_S, for one that was without power.
"""

import asyncio
import contextlib
from collections.abc import Callable

from einlass_edge.drivers import escpos
from einlass_edge.drivers.driver import Trouble
from einlass_edge.drivers.lasting import lasting
from einlass_edge.drivers.tty import Tty

COLUMNS = 20
REFRESH_S = 10.0
WRITE_S_MAX = 2.0


class CustomerDisplay:
    """One display. show() at any time; run() keeps the line. Trouble: `display_lost`, when its line is gone."""

    def __init__(
        self, port: str, baud: int, trouble: Trouble, code_page: str = "cp858", refresh_s: float = REFRESH_S
    ) -> None:
        escpos.encode((), code_page)
        self._port = port
        self._baud = baud
        self._trouble = trouble
        self._code_page = code_page
        self._refresh_s = refresh_s
        self._lines = (b"", b"")
        self._changed = asyncio.Event()

    def show(self, upper: str, lower: str = "") -> None:
        """These lines from now on; what does not fit is cut, what the code page lacks is written around."""
        upper_raw, lower_raw = (escpos.printable(line, self._code_page)[:COLUMNS] for line in (upper, lower))
        self._lines = (upper_raw, lower_raw)
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled: write what is to be shown, again and again; the line is opened again when it is lost."""
        await lasting(self._serve, "display_lost", self._port, self._trouble)

    async def _serve(self, works: Callable[[], None]) -> None:
        with Tty(self._port, self._baud) as tty:
            works()
            await self._keep_writing(tty)

    async def _keep_writing(self, tty: Tty) -> None:
        page = escpos.ESC + b"t" + bytes([escpos.CODE_PAGES[self._code_page]])
        await tty.write(escpos.ESC + b"@", WRITE_S_MAX)
        while True:
            self._changed.clear()
            upper, lower = self._lines
            data = page + escpos.ESC + b"QA" + upper.ljust(COLUMNS) + b"\r"
            await tty.write(data + escpos.ESC + b"QB" + lower.ljust(COLUMNS) + b"\r", WRITE_S_MAX)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._refresh_s):
                    await self._changed.wait()
