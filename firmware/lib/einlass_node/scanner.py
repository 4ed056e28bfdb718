"""A GM65-family QR scanner on a UART."""

import asyncio
from machine import UART

from einlass_core.events import Scanned
from einlass_core.gm65 import Splitter, provision
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from einlass_core.events import Event
    from einlass_core.board import ReaderLine

RECEIVE_BYTES = 512  # twice the longest code, so that one can come while one is being read
READ_BYTES = 128
PROVISION_EVERY_MS = 60_000


class Scanner:
    """Codes as events. "Not now" (the lane is busy) drops the scan: the visitor holds the code there anyway."""

    def __init__(self, line: "ReaderLine") -> None:
        self._side = line.side
        self._uart = UART(line.uart, line.baud, tx=line.tx, rx=line.rx, rxbuf=RECEIVE_BYTES, timeout=0)

    async def run(self, put: "Callable[[Event], bool]") -> None:
        """Until cancelled."""
        splitter = Splitter()
        stream = asyncio.StreamReader(self._uart)
        while True:
            data = await stream.read(READ_BYTES)
            if not data:
                await asyncio.sleep_ms(20)
                continue
            for code in splitter.feed(data)[0]:
                put(Scanned(self._side, code))

    async def keep_provisioned(self) -> None:
        """Until cancelled. Again every minute: a scanner that lost its power has forgotten it."""
        while True:
            self._uart.write(provision())
            await asyncio.sleep_ms(PROVISION_EVERY_MS)
