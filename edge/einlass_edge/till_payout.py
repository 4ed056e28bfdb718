"""Pays money back with the hoppers, exactly: each order is written down before a coin falls, its end after.

What a hopper cannot tell for certain (it was reset or lost in the middle) is not paid again: the till hears `stopped`,
and the rest stands on a paper for staff.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from einlass_core.events import Event
from einlass_core.till_words import PaidOut
from einlass_edge.drivers.driver import Trouble
from einlass_edge.drivers.hopper import Hopper
from einlass_edge.drivers.hopper import Payout as Result
from einlass_edge.till_book import PAYOUT, TillBook

COINS_AN_ORDER_MAX = 20
RETRY_S = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tube:
    """One hopper: its address on the bus, and the worth of its coins."""

    address: int
    cents: int
    hopper: Hopper


class Payout:
    """order() says how much shall have been paid out in all; the till hears PaidOut as it falls.

    settle() once before the first order. Troubles: `hopper_<address>_lost`, `..._empty`, `..._jammed` and other faults
    by the hopper's own word; `payout_uncertain`.
    """

    def __init__(self, tubes: Sequence[Tube], book: TillBook, put: Callable[[Event], None], trouble: Trouble) -> None:
        held = book.read(PAYOUT)
        self.total: int = held.get("total", 0)
        self._open: dict[str, Any] | None = held.get("open")
        self._doubtful: bool = held.get("doubtful", False)
        self._tubes = sorted(tubes, key=lambda tube: -tube.cents)
        self._book = book
        self._put = put
        self._trouble = trouble
        self._wanted = self.total
        self._changed = asyncio.Event()
        self._told: set[str] = set()

    def order(self, total: int) -> None:
        """Pay until so much has been paid out in all; not more than is paid already: stop."""
        self._wanted = total
        self._changed.set()

    async def settle(self) -> None:
        """Find out what became of a payout that a power cut or a restart has interrupted. Ends in bounded time."""
        if self._open is None:
            return
        tube = next((tube for tube in self._tubes if tube.address == self._open["hopper"]), None)
        coins: int = self._open["coins"]
        result = (
            Result(coins, 0, certain=False, fault="gone")
            if tube is None
            else await tube.hopper.settle(coins, self._open["counter"])
        )
        log.warning("payout_settled", hopper=self._open["hopper"], asked=coins, paid=result.paid, fault=result.fault)
        self._book_in(result, self._open["cents"])
        await self._write_down()

    def begun(self) -> None:
        """The till has started and said what it wants: no order now, so nothing is left of a doubtful payout."""
        if self._wanted <= self.total:
            self._end_doubt()

    async def run(self) -> None:
        """Until cancelled. A hopper goes on without us; settle() finds out at the next start."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._wanted <= self.total:
                self._end_doubt()
            elif self._doubtful or not await self._pay():
                self._put(PaidOut(self.total, stopped=True))

    async def _pay(self) -> bool:
        """Pay what is wanted; whether all of it fell, or the order was taken back."""
        useless: set[int] = set()
        while (rest := self._wanted - self.total) > 0:
            lost = False
            for tube in self._tubes:
                coins = min(rest // tube.cents, COINS_AN_ORDER_MAX)
                if not coins or tube.address in useless:
                    continue
                try:
                    result = await self._pay_from(tube, coins)
                except OSError as error:
                    log.warning("hopper_not_paying", hopper=tube.address, error=str(error))
                    self._tell(tube, "lost", True)
                    lost = True
                    continue
                self._note(tube, result)
                if self._doubtful:
                    return False
                self._put(PaidOut(self.total))
                if result.paid < coins:
                    useless.add(tube.address)
                break
            else:
                if not lost:
                    return False
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._changed.wait()
        return True

    async def _pay_from(self, tube: Tube, coins: int) -> Result:
        """One order. OSError: nothing fell."""
        counter = await tube.hopper.counter()
        self._open = {"hopper": tube.address, "cents": tube.cents, "coins": coins, "counter": counter}
        try:
            self._write()
        except OSError:
            self._open = None
            raise
        try:
            result = await self._watched(tube, coins, counter)
        except OSError:
            result = Result(coins, 0)
            self._book_in(result, tube.cents)
            await self._write_down()
            raise
        self._book_in(result, tube.cents)
        await self._write_down()
        return result

    async def _watched(self, tube: Tube, coins: int, counter: int) -> Result:
        """Pay; when the order is taken back meanwhile, stop the hopper where it is."""
        paying = asyncio.ensure_future(tube.hopper.pay_out(coins, counter))
        try:
            while not paying.done():
                changed = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait((paying, changed), return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if self._changed.is_set() and not paying.done():
                    self._changed.clear()
                    if self._wanted <= self.total:
                        with contextlib.suppress(OSError):
                            await tube.hopper.stop()
            return paying.result()
        finally:
            if not paying.done():
                paying.cancel()
                await asyncio.wait((paying,))

    def _book_in(self, result: Result, cents: int) -> None:
        self.total += result.paid * cents
        self._open = None
        self._doubtful = not result.certain
        if self._doubtful:
            log.error("payout_uncertain", asked=result.asked, paid_at_least=result.paid, fault=result.fault)
        # It stands until the next payout is certain, so that it is told also when the line was down just then.
        self._trouble("payout_uncertain", self._doubtful)

    def _end_doubt(self) -> None:
        """The till has put the rest on a paper."""
        if self._doubtful:
            self._doubtful = False
            with contextlib.suppress(OSError):  # It would only make the next payout a paper, too.
                self._write()

    def _write(self) -> None:
        self._book.write(PAYOUT, {"total": self.total, "open": self._open, "doubtful": self._doubtful})

    async def _write_down(self) -> None:
        """Until it is written: no order may follow before. The hopper itself knows it until then."""
        while True:
            try:
                self._write()
            except OSError as error:
                log.error("payout_not_written_down", error=str(error))
                self._trouble("journal_not_writable", True)
                await asyncio.sleep(RETRY_S)
                continue
            return

    def _note(self, tube: Tube, result: Result) -> None:
        self._tell(tube, "lost", False)
        if result.paid == result.asked:
            for reason in [told for told in self._told if told.startswith(f"hopper_{tube.address}_")]:
                self._told.discard(reason)
                self._trouble(reason, False)
        elif result.fault not in ("", "stopped", "lost", "not_begun"):
            self._tell(tube, result.fault, True)

    def _tell(self, tube: Tube, fault: str, on: bool) -> None:
        reason = f"hopper_{tube.address}_{fault}"
        if on != (reason in self._told):
            (self._told.add if on else self._told.discard)(reason)
            self._trouble(reason, on)
