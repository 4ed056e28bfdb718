"""Card payments of a till: an attempt is written down before the terminal is asked, and never forgotten before it told.

At most one is open. The till says which reference it is; the terminal knows only its receipt numbers.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from einlass_core.events import Event
from einlass_core.till_words import CardDone, CardKept, CardUndone
from einlass_edge.drivers.card_terminal import Attempt, CardResult, CardTerminal, Outcome, Reversal
from einlass_edge.drivers.driver import Trouble
from einlass_edge.till_book import CARD, TillBook

AGAIN_S = 1.0
OPEN, TAKEN, NOT_TAKEN = "open", "taken", "not_taken"
UNDONE, KEPT = "undone", "kept"

log = structlog.get_logger(__name__)


class CardDesk:
    """take(), ask() and undo() return at once; the till hears CardDone, CardUndone or CardKept.

    Trouble: `card_in_doubt`, while the terminal does not tell what became of a payment.
    """

    def __init__(self, terminal: CardTerminal, book: TillBook, put: Callable[[Event], None], trouble: Trouble) -> None:
        self._terminal = terminal
        self._book = book
        self._put = put
        self._trouble = trouble
        self._row = book.read(CARD)
        self._jobs: asyncio.Queue[tuple[str, str, int]] = asyncio.Queue()
        self._waiting: set[tuple[str, str]] = set()
        self._paying = ""
        self._given_up = ""
        self._lines: tuple[str, ...] = ()

    def take(self, ref: str, cents: int) -> None:
        """Ask the customer for a card."""
        self._do("take", ref, cents)

    def ask(self, ref: str) -> None:
        """What became of it? One that still waits for a card waits no more."""
        if self._paying == ref and self._given_up != ref:
            self._given_up = ref
            self._do("give up", ref)
        elif self._paying != ref:
            self._do("ask", ref)

    def undo(self, ref: str) -> None:
        """Give it back."""
        self._do("undo", ref)

    def receipt(self, ref: str) -> tuple[str, ...]:
        """The terminal's own lines for the customer's slip, if it sent any in this run."""
        return self._lines if ref and self._row.get("ref") == ref else ()

    async def run(self) -> None:
        """Until cancelled; what is under way then is asked for at the next start."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    what, ref, cents = await self._jobs.get()
                    if what == "give up":
                        await self._terminal.abort()
                        self._waiting.discard((what, ref))
                    else:
                        # Tasks of their own, so that a payment can be given up; the terminal takes turns itself.
                        tasks.create_task(self._work(what, ref, cents))
        finally:
            await self._terminal.close()

    def _do(self, what: str, ref: str, cents: int = 0) -> None:
        if (what, ref) not in self._waiting:
            self._waiting.add((what, ref))
            self._jobs.put_nowait((what, ref, cents))

    async def _work(self, what: str, ref: str, cents: int) -> None:
        try:
            if what == "take":
                await self._take(ref, cents)
            elif what == "ask":
                await self._ask(ref)
            else:
                await self._undo(ref)
        finally:
            self._waiting.discard((what, ref))

    async def _take(self, ref: str, cents: int) -> None:
        if self._row.get("state") == OPEN:
            # It would look like the new one: the terminal tells only its last transaction.
            self._put(CardDone(ref, False))
            return
        self._paying = ref
        try:
            attempt = await self._terminal.prepare(cents)
            self._write({"ref": ref, "cents": cents, "previous": attempt.previous, "state": OPEN})
        except OSError as error:
            log.warning("no_card_payment_now", error=str(error))
            self._paying = ""
            self._put(CardDone(ref, False))
            return
        if self._given_up == ref:
            result = CardResult(Outcome.ABORTED, reason="given up before it began")
        else:
            result = await self._terminal.pay(attempt)
        log.info("card_payment", ref=ref, outcome=str(result.outcome), code=result.code, reason=result.reason)
        await self._settle(result, attempt)
        self._paying = ""

    async def _ask(self, ref: str) -> None:
        row = self._row
        if row.get("ref") != ref:
            self._put(CardDone(ref, False))  # It was never written down, so the terminal was never asked.
        elif row["state"] == OPEN:
            attempt = Attempt(row["cents"], row["previous"])
            await self._settle(await self._terminal.resolve(attempt), attempt)
        elif row["state"] == UNDONE:
            self._put(CardUndone(ref))
        elif row["state"] == KEPT:
            self._put(CardKept(ref))
        else:
            self._put(CardDone(ref, row["state"] == TAKEN))

    async def _settle(self, result: CardResult, attempt: Attempt) -> None:
        """Until the terminal has told; then write it down and tell the till."""
        while result.outcome is Outcome.UNKNOWN:
            self._trouble("card_in_doubt", True)
            await asyncio.sleep(AGAIN_S)
            result = await self._terminal.resolve(attempt)
        self._trouble("card_in_doubt", False)
        taken = result.outcome is Outcome.PAID
        self._lines = result.lines
        await self._write_down({**self._row, "state": TAKEN if taken else NOT_TAKEN, "receipt": result.receipt})
        self._put(CardDone(self._row["ref"], taken))

    async def _undo(self, ref: str) -> None:
        if self._row.get("ref") != ref or self._row["state"] != TAKEN:
            await self._ask(ref)
            return
        receipt = self._row["receipt"]
        outcome = Reversal.REFUSED if receipt is None else await self._terminal.reverse(receipt)
        while outcome is Reversal.UNKNOWN:
            await asyncio.sleep(AGAIN_S)
            outcome = await self._terminal.reverse(receipt)
        log.warning("card_payment_reversed", ref=ref, receipt=receipt, outcome=str(outcome))
        await self._write_down({**self._row, "state": UNDONE if outcome is Reversal.DONE else KEPT})
        self._put(CardUndone(ref) if outcome is Reversal.DONE else CardKept(ref))

    def _write(self, row: dict[str, Any]) -> None:
        self._book.write(CARD, row)
        self._row = row

    async def _write_down(self, row: dict[str, Any]) -> None:
        """Until the disk takes it: the till must not hear what the next start would not know."""
        while True:
            try:
                self._write(row)
            except OSError as error:
                log.error("card_payment_not_written_down", error=str(error))
                self._trouble("journal_not_writable", True)
                await asyncio.sleep(AGAIN_S)
                continue
            return
