"""A receipt printer on a serial line (or a USB printer's tty), ESC/POS: prints slips and says what became of each.

A slip is `printed` only when the printer itself says that it has come to the mark behind the cut. `not_printed` is
as certain: nothing was sent. Everything else is `uncertain`: somebody may hold half of it, or all. Then the printer's
buffers are cleared, else the rest of an old ticket would come out with the next roll of paper.
"""

import asyncio
import enum
from dataclasses import dataclass

import structlog

from einlass_edge.drivers import escpos
from einlass_edge.drivers.driver import Backoff, Trouble
from einlass_edge.drivers.escpos import Answered, PrinterStatus, Reached, Slip, Told
from einlass_edge.drivers.tty import Tty

LISTEN_S = 0.05
MARK_MAX = 9999

log = structlog.get_logger(__name__)


class Outcome(enum.StrEnum):
    """What became of one slip."""

    PRINTED = "printed"
    NOT_PRINTED = "not_printed"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Printed:
    """reason: why not, or why not known; empty when it was printed."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """In seconds: how long the printer may take for an answer and for a slip, and how often it is asked how it is."""

    answer_s: float = 2.0
    slip_s: float = 30.0
    poll_s: float = 1.0


class _Silent(OSError):
    """The printer does not answer."""


class ReceiptPrinter:
    """One printer. run() keeps watch over it; print() may be called at any time and never raises for what it does.

    Troubles: `printer_lost`, `printer_paper_out`, `printer_paper_low`, `printer_cover_open`, `printer_failed`.
    raster: for a printer without a QR command. marks: False for one without GS ( H; it is asked by GS r then, which
    may be answered while the last lines are still being printed, and its buffers cannot be cleared from here.
    """

    def __init__(
        self,
        port: str,
        baud: int,
        trouble: Trouble,
        *,
        code_page: str = "cp858",
        raster: bool = False,
        marks: bool = True,
        times: Times | None = None,
    ) -> None:
        escpos.encode((), code_page)
        self.status: PrinterStatus | None = None
        self._port = port
        self._baud = baud
        self._trouble = trouble
        self._code_page = code_page
        self._raster = raster
        self._marks = marks
        self._times = times or Times()
        self._tty: Tty | None = None
        self._answers = escpos.Answers()
        self._turn = asyncio.Lock()
        self._mark = 0
        self._told: set[str] = set()
        self._answered: int | None = None
        self._reached: set[int] = set()

    async def run(self) -> None:
        """Until cancelled: open the line, watch the status, report troubles, begin again when it is lost."""
        backoff = Backoff()
        while True:
            try:
                with Tty(self._port, self._baud) as self._tty:
                    await self._watch(backoff)
            except OSError as error:
                log.info("printer_lost", port=self._port, error=str(error))
                self._lost()
            finally:
                self._tty = None
            await asyncio.sleep(backoff.next_s())

    async def print(self, slip: Slip) -> Printed:
        """Print one slip and cut. ValueError for a slip that cannot be one (see escpos.encode)."""
        data = escpos.encode(slip, self._code_page, raster=self._raster)
        async with self._turn:
            if self._tty is None:
                return Printed(Outcome.NOT_PRINTED, "printer_lost")
            try:
                status = await self._ask_status()
            except OSError:
                return Printed(Outcome.NOT_PRINTED, "printer_lost")
            if status.hindrance is not None:
                return Printed(Outcome.NOT_PRINTED, status.hindrance)
            try:
                async with asyncio.timeout(self._times.slip_s):
                    await self._send(data)
            except TimeoutError:
                await self._clear()
                return Printed(Outcome.UNCERTAIN, "too_slow")
            except _Hindered as hindered:
                await self._clear()
                return Printed(Outcome.UNCERTAIN, str(hindered))
            except OSError as error:
                log.warning("printer_lost_in_a_slip", error=str(error))
                return Printed(Outcome.UNCERTAIN, "printer_lost")
            return Printed(Outcome.PRINTED)

    async def _watch(self, backoff: Backoff) -> None:
        async with self._turn:
            tty = self._line()
            tty.drop_input()
            self._answers = escpos.Answers()
            # Whatever a program before us has left there is nobody's slip.
            await self._clear()
            await tty.write(escpos.ENABLE_ASB, self._times.answer_s)
        while True:
            async with self._turn:
                await self._ask_status()
            backoff.reset()
            await asyncio.sleep(self._times.poll_s)

    async def _ask_status(self) -> PrinterStatus:
        """All four real-time answers; _Silent when one does not come."""
        status = PrinterStatus()
        for kind in escpos.STATUS_KINDS:
            await self._listen(0)
            self._answered = None
            await self._line().write(escpos.status_request(kind), self._times.answer_s)
            until = asyncio.get_running_loop().time() + self._times.answer_s
            while self._answered is None:
                await self._listen()
                if self._answered is None and asyncio.get_running_loop().time() > until:
                    raise _Silent("the printer does not answer")
            status = escpos.with_answer(status, kind, self._answered)
        self._note(status)
        return status

    async def _send(self, data: bytes) -> None:
        """Return when the printer says that all of it is on paper; _Hindered when it cannot go on."""
        self._mark = self._mark % MARK_MAX + 1
        awaited = self._mark if self._marks else 0
        self._reached.clear()
        await self._line().write(data, self._times.answer_s)
        await self._line().write(escpos.mark(awaited) if self._marks else escpos.paper_mark(), self._times.answer_s)
        while True:
            quiet_until = asyncio.get_running_loop().time() + self._times.poll_s / 2
            while asyncio.get_running_loop().time() < quiet_until:
                await self._listen()
                if awaited in self._reached:
                    return
            status = await self._ask_status()
            if awaited in self._reached:
                return
            if status.hindrance is not None:
                raise _Hindered(status.hindrance)

    async def _listen(self, wait_s: float = LISTEN_S) -> None:
        for answer in self._answers.feed(await self._line().read(wait_s)):
            if isinstance(answer, Answered):
                self._answered = answer.byte
            elif isinstance(answer, Reached):
                self._reached.add(answer.mark)
            elif isinstance(answer, Told):
                self._note(answer.status)

    async def _clear(self) -> None:
        if self._marks and self._tty is not None:
            try:
                await self._tty.write(escpos.CLEAR_BUFFERS, self._times.answer_s)
            except OSError as error:
                log.warning("printer_not_cleared", error=str(error))

    def _line(self) -> Tty:
        if self._tty is None:
            raise _Silent("the printer's line is closed")
        return self._tty

    def _lost(self) -> None:
        self.status = None
        self._tell("printer_lost", True)

    def _note(self, status: PrinterStatus) -> None:
        self.status = status
        self._tell("printer_lost", False)
        self._tell("printer_paper_out", status.paper_out)
        self._tell("printer_paper_low", status.paper_near_end and not status.paper_out)
        self._tell("printer_cover_open", status.cover_open)
        self._tell("printer_failed", status.failed or status.cutter_jammed)

    def _tell(self, reason: str, on: bool) -> None:
        if on != (reason in self._told):
            (self._told.add if on else self._told.discard)(reason)
            self._trouble(reason, on)


class _Hindered(Exception):
    """The printer stopped within a slip; the text says why."""
