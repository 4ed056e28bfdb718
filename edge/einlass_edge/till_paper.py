"""Prints what the till wants printed; a slip that may have come out already says that it is a second print."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from einlass_core.events import Event
from einlass_core.till_words import Printed, PrinterReady
from einlass_edge.drivers.driver import Trouble
from einlass_edge.drivers.printer import Outcome, ReceiptPrinter
from einlass_edge.till_book import SLIP, TillBook
from einlass_edge.till_slips import slip_parts

AGAIN_S = 10.0
HINDRANCES = ("printer_lost", "printer_paper_out", "printer_cover_open", "printer_failed")

log = structlog.get_logger(__name__)


class Paper:
    """sold() before the sale is recorded; print() returns at once, and the till hears Printed.

    trouble() stands between the printer and the node: when the printer can print again, the till hears PrinterReady.
    """

    def __init__(
        self, book: TillBook, put: Callable[[Event], None], trouble: Trouble, head: str, when: Callable[[int], str]
    ) -> None:
        self.printer: ReceiptPrinter
        self._book = book
        self._put = put
        self._trouble = trouble
        self._head = head
        self._when = when
        self._row = book.read(SLIP)
        self._slips: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._under_way: set[str] = set()
        self._hindered: set[str] = set()

    def sold(self, row: dict[str, Any]) -> None:
        """What the next slip needs beside what the till keeps. OSError when it can't be written down."""
        self._write(row)

    def print(self, slip: dict[str, Any]) -> None:
        """Print it, if it is not being printed right now."""
        if slip["slip"] not in self._under_way:
            self._under_way.add(slip["slip"])
            self._slips.put_nowait(slip)

    def trouble(self, reason: str, on: bool) -> None:
        """The printer's Trouble."""
        self._trouble(reason, on)
        if reason in HINDRANCES:
            (self._hindered.add if on else self._hindered.discard)(reason)
            if not on and not self._hindered:
                self._put(PrinterReady())

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            slip = await self._slips.get()
            name = slip["slip"]
            whole = await self._print(slip)
            self._under_way.discard(name)
            self._put(Printed(name, whole))
            if not whole and not self._hindered:
                # It was too slow, or it is well again already: nobody will tell us.
                asyncio.get_running_loop().call_later(AGAIN_S, self._put, PrinterReady())

    async def _print(self, slip: dict[str, Any]) -> bool:
        row = self._row
        tried = row.get("tries", 0) if row.get("tried") == slip["slip"] else 0
        try:
            # Written before: after a power cut the paper may be in somebody's hand.
            self._write({**row, "tried": slip["slip"], "tries": tried + 1})
        except OSError as error:
            log.error("print_not_written_down", error=str(error))
            return False
        parts = slip_parts(slip, row, self._head, self._when, again=tried > 0)
        printed = await self.printer.print(parts)
        log.info("slip", slip=slip["slip"], outcome=str(printed.outcome), reason=printed.reason)
        if printed.outcome is Outcome.NOT_PRINTED:
            self._row = {**self._row, "tries": tried}
        return printed.outcome is Outcome.PRINTED

    def _write(self, row: dict[str, Any]) -> None:
        self._book.write(SLIP, row)
        self._row = row
