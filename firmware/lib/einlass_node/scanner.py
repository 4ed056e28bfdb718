"""A GM65-family QR scanner on a UART."""

from machine import UART

from einlass_core.events import Scanned
from einlass_core.gm65 import Splitter, provision
from einlass_core.record import TYPE_CHECKING
from einlass_node.inputs import NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from einlass_core.board import ReaderLine
    from einlass_core.events import Event

RECEIVE_BYTES = 512  # twice the longest code, so that one can come while one is being read
READ_BYTES = 128
REPLY_MS = 500  # how long the scanner may take to answer a command
PAUSE_MS = 100  # a code without an ending ends here; 100 characters take as long at 9600 baud, without a gap
PROVISION_EVERY_MS = 60_000  # a scanner that lost its power has forgotten it


class Scanner:
    """Codes as events, looked for like the other inputs."""

    def __init__(self, line: "ReaderLine") -> None:
        self._side = line.side
        self._uart = UART(line.uart, line.baud, tx=line.tx, rx=line.rx, rxbuf=RECEIVE_BYTES, timeout=0)
        self._splitter = Splitter()
        self._provision_ms = 0
        self._heard_ms = 0

    def look(self, now_ms: int) -> "Sequence[Event]":
        """The codes that are complete by now."""
        splitter = self._splitter
        if now_ms >= self._provision_ms:
            self._provision_ms = now_ms + PROVISION_EVERY_MS
            self._uart.write(provision())
            splitter.awaits_reply = True
        elif self._provision_ms - now_ms <= PROVISION_EVERY_MS - REPLY_MS:
            splitter.awaits_reply = False
        data = self._uart.read(READ_BYTES) if self._uart.any() else None
        if data:
            self._heard_ms = now_ms
            codes = splitter.feed(data)[0]
        elif splitter.waiting and now_ms - self._heard_ms >= PAUSE_MS:
            codes = splitter.paused()
        else:
            return NOTHING
        return [Scanned(self._side, code) for code in codes]
