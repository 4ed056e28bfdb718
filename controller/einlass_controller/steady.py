"""A clock for what must have ended for certain: it counts only time that surely went by.

The wall clock may jump and says nothing of that; the kernel's clock that counts since the machine was started
(suspended or not) does not jump, but begins anew with the machine. So a small file beside the database keeps how far
this clock had come: the same machine run goes on exactly, after another start it goes on from the last note, as if no
time had passed. It is late, never early.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from einlass_controller.private_file import write_private

STEADY_FILE = "steady.json"
BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
# After a new start of the machine at most so much is not counted; every note is a write to a disk that may be flash.
NOTE_EVERY_MS = 600_000

log = structlog.get_logger("einlass.steady")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of this machine: its id ("": it has none), and how long it has lasted."""

    id: str
    ms: int


def this_run() -> Run:
    """As the kernel says. Without such a clock the one that stands still in suspend: late, never early."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    try:
        name = BOOT_ID_FILE.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        name = ""
    return Run(name, time.clock_gettime_ns(clock) // 1_000_000)


class SteadyClock:
    """directory None: there is no place for the file. is_known: whether what was counted before goes on here."""

    def __init__(self, directory: Path | None, wall_ms: int, run: Callable[[], Run] = this_run) -> None:
        self._path = None if directory is None else directory / STEADY_FILE
        self._run = run
        began = run()
        noted = self._read()
        self.is_known = noted is not None
        steady_ms, last = noted if noted is not None else (wall_ms, began)
        goes_on = bool(began.id) and began.id == last.id
        self._offset_ms = steady_ms - (last.ms if goes_on else began.ms)
        self._last_ms = self._noted_ms = steady_ms

    def ms(self) -> int:
        """Milliseconds that surely went by since an instant that means nothing; never less than before."""
        self._last_ms = max(self._last_ms, self._offset_ms + self._run().ms)
        return self._last_ms

    def note(self, now: bool = False) -> None:
        """Keep it, if the last note is old or this is the moment. Raises OSError."""
        steady_ms = self.ms()
        if self._path is None or not (now or steady_ms - self._noted_ms >= NOTE_EVERY_MS):
            return
        run = self._run()
        values = {"steady_ms": steady_ms, "run": run.id, "run_ms": run.ms}
        write_private(self._path, json.dumps(values) + "\n")
        self._noted_ms = steady_ms

    def _read(self) -> tuple[int, Run] | None:
        if self._path is None or not self._path.exists():
            return None
        try:
            said = json.loads(self._path.read_text(encoding="utf-8"))
            return int(said["steady_ms"]), Run(str(said["run"]), int(said["run_ms"]))
        except (ValueError, KeyError, TypeError):
            log.error("steady_clock_damaged", file=str(self._path))
            return None
