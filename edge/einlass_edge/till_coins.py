"""Coins that fell in, as one running total that outlives a power cut, for a device that only counts its events."""

from collections.abc import Callable

import structlog

from einlass_core.events import Event
from einlass_core.till_words import CoinsIn
from einlass_edge.drivers.coins import SORTER_BLOCKED, CoinEvent, CoinRefused, Credit, Gap
from einlass_edge.drivers.driver import Trouble
from einlass_edge.till_book import COINS, TillBook

log = structlog.get_logger(__name__)


class CoinTotal:
    """feed() is the acceptor's: the counter and the money are written in one step, then the till hears of it.

    counter: from which the acceptor goes on. Troubles: `cash_box_full`; `coins_uncounted`, until the next coin counts.
    """

    def __init__(
        self, book: TillBook, put: Callable[[Event], None], trouble: Trouble, refused: Callable[[], None]
    ) -> None:
        held = book.read(COINS)
        self.total: int = held.get("total", 0)
        self.counter: int | None = held.get("counter")
        self._book = book
        self._put = put
        self._trouble = trouble
        self._refused = refused

    def feed(self, event: CoinEvent) -> bool:
        """See drivers.coins: False keeps the slot shut until it can be written down."""
        total = self.total + (event.cents if isinstance(event, Credit) else 0)
        try:
            self._book.write(COINS, {"counter": event.counter, "total": total})
        except OSError as error:
            log.error("coin_not_written_down", error=str(error))
            self._trouble("journal_not_writable", True)
            return False
        self.total = total
        self.counter = event.counter
        if isinstance(event, Credit):
            self._put(CoinsIn(total))
            self._trouble("coins_uncounted", False)
        elif isinstance(event, Gap):
            log.error("coins_uncounted", events=event.events)
            self._trouble("coins_uncounted", True)
        elif isinstance(event, CoinRefused):
            if event.code == SORTER_BLOCKED:
                self._trouble("cash_box_full", True)
            self._refused()
        return True
