"""What time it is for a till that is cut off: by the controller's word since this computer was switched on.

The word outlives the process, not the computer: how long that was off nobody knows, but where it has a battery clock
(`battery_clock`), and that does not stand before the last word.
"""

import time
from pathlib import Path

import structlog

from einlass_edge.clock import WallClock
from einlass_edge.till_book import CLOCK, TillBook

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# A word that moves the clock by less is not written down again.
MOVED_MS = 1_000

log = structlog.get_logger(__name__)


class TillClock:
    """Sets the node's wall clock as far as it may be believed; heard() with every `time` message."""

    def __init__(self, wall: WallClock, book: TillBook, at_ms: int, battery_clock: bool) -> None:
        self._book = book
        self._boot = _boot_id()
        self._row = book.read(CLOCK)
        if self._row.get("boot") == self._boot and self._boot:
            wall.set(self._row["offset_ms"] + at_ms, at_ms)
        elif battery_clock:
            unix_ms = time.time_ns() // 1_000_000
            if unix_ms >= self._row.get("unix_ms", 0):
                wall.set(unix_ms, at_ms)
            else:
                log.error("battery_clock_behind", hint="set the clock, or replace its battery")

    def heard(self, unix_ms: int, at_ms: int) -> None:
        """The controller says so. Not being able to write it down does no harm before the next start."""
        offset_ms = unix_ms - at_ms
        known = self._row.get("boot") == self._boot and abs(offset_ms - self._row["offset_ms"]) < MOVED_MS
        if known or not self._boot:
            return
        row = {"boot": self._boot, "offset_ms": offset_ms, "unix_ms": unix_ms}
        try:
            self._book.write(CLOCK, row)
            self._row = row
        except OSError as error:
            log.warning("time_not_written_down", error=str(error))


def _boot_id() -> str:
    """Which start of the computer this is; "": it does not say."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
