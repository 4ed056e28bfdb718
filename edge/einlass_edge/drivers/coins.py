"""A ccTalk coin acceptor: every coin credited exactly once, whatever happens on the wire.

The acceptor keeps its last five events with a counter (0 after a reset, then 1 to 255 and 1 again), so an answer that
was lost is no coin lost: the counter says how many of the five are new. More than five, or a counter that jumped, means
that events were overwritten or the acceptor was reset unseen: that is told as a Gap, never guessed. A reset can hide
behind a counter that happens to fit (0 and 0 again, with a coin between), but a reset acceptor has all coins inhibited:
the inhibits are read back now and then, and before every set-up.

Facts: ccTalk generic specification 4.7, commands 229 (two bytes an event: coin position and sorter path, or 0 and an
error code), 184, 210, 228, 230, 231, 232, through the public sources named in cctalk.py; error codes from its table.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from einlass_edge.drivers import cctalk
from einlass_edge.drivers.cctalk import CcTalkBus
from einlass_edge.drivers.driver import Backoff, Trouble

EVENTS_KEPT = 5
COUNTER_LAST = 255
POSITIONS = 16
POLL_S = 0.1
CHECK_EVERY_POLLS = 20

# The coin went back to the customer, and the next may be good.
RETURNED = frozenset((1, 2, 3, 8, 9, 10, 11, 12, 16, 17, 18, 19, 23, 24, 25, 37, 38, *range(128, 160)))
COIN_RETURN_PRESSED = 254
# What an acceptor says when no coin fits behind its sorter any more.
SORTER_BLOCKED = 15

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Beginning:
    """A machine that knew no counter goes on from this one. Told before the slot is opened for the first time."""

    counter: int


@dataclass(frozen=True, slots=True)
class Credit:
    """One coin is in the machine. counter: the acceptor's event counter with it."""

    cents: int
    path: int
    counter: int


@dataclass(frozen=True, slots=True)
class CoinRefused:
    """A coin came back, or something else happened that is no money: the acceptor's error code."""

    code: int
    counter: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Events were lost (how many; 0: the acceptor was reset and nobody knows). Coins may be inside uncounted."""

    events: int
    counter: int


CoinEvent = Beginning | Credit | CoinRefused | Gap
CoinFeed = Callable[[CoinEvent], bool]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one answer to command 229 adds: (position, path) or (0, error code) oldest first, and how many were lost."""

    events: tuple[tuple[int, int], ...]
    lost: int = 0
    reset: bool = False


def read_events(answer: bytes, last: int | None) -> Reading:
    """The news in an answer since the event counter was `last` (None: we begin here, nothing is news).

    ValueError when it is no answer to command 229.
    """
    if len(answer) != 1 + 2 * EVENTS_KEPT:
        raise ValueError("an answer to command 229 has a counter and five events")
    counter = answer[0]
    if last is None or counter == last:
        return Reading(())
    if counter == 0:
        return Reading((), reset=True)
    # The counter goes from 255 to 1: 0 is only ever a reset.
    news = counter if last == 0 else (counter - last) % COUNTER_LAST
    pairs = [(answer[1 + 2 * place], answer[2 + 2 * place]) for place in range(EVENTS_KEPT)]
    return Reading(tuple(reversed(pairs[: min(news, EVENTS_KEPT)])), max(0, news - EVENTS_KEPT))


def cents_of(coin_id: bytes) -> int | None:
    """The worth of a coin by its six-letter name, `EU100A` for one euro; None: no coin, or not in cents of a euro."""
    name = coin_id.decode("latin-1")
    if len(name) != 6 or name[:2] != "EU" or not (name[2:5].isascii() and name[2:5].isdigit()):
        return None
    return int(name[2:5]) or None


class CoinAcceptor:
    """One acceptor. feed() gets what happened, in order; False: keep it, offer it again, take no coin meanwhile.

    counter: that of the last event fed before this start, of whatever kind: kept beside the money, in the same step.
    Coins since then are credited now. None: the machine is new, or nobody knows: what fell before is not credited.
    paths: cents -> sorter path (1 to 8); coins of other worth are refused. allow() opens the slot.
    Troubles: `coins_lost` (no answer), `coins_jammed`, `coins_setup` (it lacks a coin that `paths` names).
    """

    def __init__(
        self,
        bus: CcTalkBus,
        feed: CoinFeed,
        trouble: Trouble,
        paths: Mapping[int, int],
        counter: int | None = None,
        address: int = cctalk.ACCEPTOR,
        poll_s: float = POLL_S,
    ) -> None:
        if not paths or not all(1 <= path <= 8 for path in paths.values()):
            raise ValueError("paths: at least one coin's worth in cents, each with a sorter path from 1 to 8")
        self.counter = counter
        self.cents_by_position: dict[int, int] = {}
        self._bus = bus
        self._feed = feed
        self._trouble = trouble
        self._paths = dict(paths)
        self._address = address
        self._poll_s = poll_s
        self._allowed = False
        self._open: bool | None = None
        self._jammed = False
        self._mask = 0
        self._polls = 0
        self._reset_told = False
        self._waiting: list[CoinEvent] = []
        self._told: set[str] = set()

    def allow(self, on: bool) -> None:
        """Take coins from now on, or no more; what is in the slot already may still be credited."""
        self._allowed = on

    def set_path(self, cents: int, path: int) -> None:
        """Send this coin elsewhere (its hopper is full): takes effect when the acceptor is next set up or asked."""
        if cents not in self._paths:
            raise ValueError(f"no coin of {cents} cents is taken here")
        self._paths[cents] = path
        self._open = None

    async def run(self) -> None:
        """Until cancelled; then no more coins are taken, if the acceptor can still be reached."""
        backoff = Backoff()
        ready = False
        try:
            while True:
                try:
                    if not ready:
                        ready = await self._set_up()
                        backoff.reset()
                    if ready:
                        ready = await self._poll()
                    self._tell("coins_lost", False)
                except OSError as error:
                    if "coins_lost" not in self._told:
                        log.warning("coin_acceptor_lost", error=str(error))
                    self._tell("coins_lost", True)
                    ready, self._open = False, None
                    await asyncio.sleep(backoff.next_s())
                await asyncio.sleep(self._poll_s)
        finally:
            await self._shut()

    async def _set_up(self) -> bool:
        """Learn its coins, tell it which to take and where to; it is left shut.

        False: not now. A reset is only to be seen in the inhibits, so they stay as they are until the till has written
        down everything that it has to know: else a restart would find nothing amiss.
        """
        await self._ask(cctalk.SIMPLE_POLL, b"", 0)
        await self._ask(cctalk.MASTER_INHIBIT, b"\x00", 0)
        self._open = False
        inhibits = int.from_bytes(await self._ask(cctalk.REQUEST_INHIBITS, b"", 2), "little")
        if self.counter is not None and not inhibits and not self._reset_told:
            log.warning("coin_acceptor_was_reset")
            self._waiting.append(Gap(0, self.counter))
            self._reset_told = True
        if not self._hand_over():
            return False
        # First: coins that fell before we came must be credited under the names that they had then.
        coins: dict[int, int] = {}
        for position in range(1, POSITIONS + 1):
            cents = cents_of(await self._ask(cctalk.COIN_ID, bytes([position]), 6))
            if cents is not None:
                coins[position] = cents
        self.cents_by_position = coins
        self._tell("coins_setup", not set(self._paths) <= set(coins.values()))
        await self._set_paths()
        return True

    async def _set_paths(self) -> None:
        self._mask = 0
        for position, cents in self.cents_by_position.items():
            if cents in self._paths:
                self._mask |= 1 << (position - 1)
                await self._ask(cctalk.MODIFY_SORTER_PATHS, bytes([position, self._paths[cents]]), 0)
        await self._ask(cctalk.INHIBITS, self._mask.to_bytes(2, "little"), 0)

    async def _poll(self) -> bool:
        """Read and pass on what is new; whether the acceptor still is as we set it up."""
        answer = await self._ask(cctalk.READ_CREDIT, b"", 1 + 2 * EVENTS_KEPT)
        reading = read_events(answer, self.counter)
        if self.counter is None:
            self._waiting.append(Beginning(answer[0]))
        if reading.reset or reading.lost:
            log.warning("coin_events_lost", events=reading.lost, reset=reading.reset)
            self._waiting.append(Gap(reading.lost, answer[0]))
            self._reset_told = True
        self.counter = answer[0]
        first = answer[0] - len(reading.events) + 1
        for place, (position, detail) in enumerate(reading.events):
            number = first + place
            self._take(position, detail, number if number > 0 else number + COUNTER_LAST)
        self._hand_over()
        if reading.reset or reading.lost:
            self._open = None
            return False
        await self._open_or_shut()
        self._reset_told = False
        self._polls += 1
        if self._polls % CHECK_EVERY_POLLS:
            return True
        return int.from_bytes(await self._ask(cctalk.REQUEST_INHIBITS, b"", 2), "little") == self._mask

    def _hand_over(self) -> bool:
        """Offer the till what waits for it; whether it has all of it now."""
        while self._waiting and self._feed(self._waiting[0]):
            del self._waiting[0]
        return not self._waiting

    def _take(self, position: int, detail: int, counter: int) -> None:
        if position:
            cents = self.cents_by_position.get(position)
            if cents is None:
                # Money of unknown worth is a gap, not nothing.
                self._waiting.append(Gap(1, counter))
            else:
                self._waiting.append(Credit(cents, detail, counter))
            self._jam(False)
        elif detail:
            self._waiting.append(CoinRefused(detail, counter))
            if detail not in RETURNED and detail != COIN_RETURN_PRESSED:
                self._jam(True)

    async def _open_or_shut(self) -> None:
        if self._jammed and (await self._ask(cctalk.SELF_CHECK, b"", None))[:1] == b"\x00":
            self._jam(False)
        if self._open is None:
            await self._set_paths()
        wanted = self._allowed and not self._jammed and not self._waiting
        if wanted != self._open:
            await self._ask(cctalk.MASTER_INHIBIT, bytes([wanted]), 0)
            self._open = wanted

    async def _shut(self) -> None:
        try:
            await self._bus.ask(self._address, cctalk.MASTER_INHIBIT, b"\x00", count=0, tries=1)
        except OSError as error:
            log.warning("coin_acceptor_left_open", error=str(error))

    async def _ask(self, header: int, data: bytes, count: int | None) -> bytes:
        return await self._bus.ask(self._address, header, data, count=count)

    def _jam(self, jammed: bool) -> None:
        self._jammed = jammed
        self._tell("coins_jammed", jammed)

    def _tell(self, reason: str, on: bool) -> None:
        if on != (reason in self._told):
            (self._told.add if on else self._told.discard)(reason)
            self._trouble(reason, on)
