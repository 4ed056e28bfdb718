"""A ccTalk hopper: pays out coins of one worth, and says exactly how many fell, or that it cannot know.

Its event counter goes up by one with every payout that it accepts (0 after a reset, then 1 to 255 and 1 again). An
answer that was lost is therefore no second payout: the counter is asked first. Status (command 166) is counter, coins
still to pay, coins paid and coins unpaid of the last payout. Facts: ccTalk generic specification 4.7, commands 160,
163, 164, 166, 167, 171, 172, 217, 242, through the public sources named in cctalk.py.

`serial`: the payout command carries the hopper's serial number (three bytes). `plain`: eight bytes that the hopper
hands out before each payout and does not check (the NOENCRYPT variant of the usual serial hoppers). Hoppers that check
an encrypted answer are not supported: their method is not public.
"""

import asyncio
import contextlib
import enum
from dataclasses import dataclass

import structlog

from einlass_edge.drivers import cctalk
from einlass_edge.drivers.cctalk import CcTalkBus, Refused
from einlass_edge.drivers.coins import COUNTER_LAST, cents_of

ENABLE, DISABLE = b"\xa5", b"\x00"
COINS_MAX = 255
POLL_S = 0.1
# A coin takes a quarter of a second; the hopper itself gives up after some seconds without one.
COIN_S_MAX = 15.0

# First byte of command 163's answer. Power-up and "disabled" are no faults.
_FAULTS = {0x01: "overcurrent", 0x02: "empty", 0x04: "jam_cleared", 0x08: "fraud", 0x10: "fraud", 0x20: "jammed"}

log = structlog.get_logger(__name__)


class Variant(enum.StrEnum):
    """What the payout command carries."""

    SERIAL = "serial"
    PLAIN = "plain"


class Order(enum.Enum):
    """Whether a hopper has taken an order to pay."""

    TAKEN = enum.auto()
    REFUSED = enum.auto()
    UNKNOWN = enum.auto()


@dataclass(frozen=True, slots=True)
class Payout:
    """What became of one payout. certain False: at least `paid` coins fell; someone must count. fault: why not all."""

    asked: int
    paid: int
    certain: bool = True
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """Command 166's answer."""

    counter: int
    to_pay: int
    paid: int
    unpaid: int


class Hopper:
    """One hopper of the bus. OSError (CcTalkError) from any call: it cannot be asked, and this call paid nothing.

    To be exact also across a power cut: write down counter() and the number of coins, pay_out(), write the result
    down. After a cut between the two: settle() with what was written.
    """

    def __init__(
        self,
        bus: CcTalkBus,
        address: int,
        variant: Variant = Variant.SERIAL,
        coin_s: float = COIN_S_MAX,
        poll_s: float = POLL_S,
    ) -> None:
        """coin_s: how long one coin may take before the payout is stopped, or given up as not known."""
        if not cctalk.HOPPER_FIRST <= address <= cctalk.HOPPER_LAST:
            raise ValueError(f"hoppers have addresses {cctalk.HOPPER_FIRST} to {cctalk.HOPPER_LAST}, not {address}")
        self._bus = bus
        self._address = address
        self._variant = variant
        self._coin_s = coin_s
        self._poll_s = poll_s

    async def cents(self) -> int | None:
        """The worth of its coins by its own word; None: it was not told, or it is no euro coin."""
        return cents_of(await self._ask(cctalk.HOPPER_COIN, count=6))

    async def levels(self) -> tuple[bool, bool]:
        """Whether it is nearly empty, and whether it is full; False for a sensor that it does not have."""
        (byte,) = await self._ask(cctalk.PAYOUT_LEVELS, count=1)
        return bool(byte & 0x10 and byte & 0x01), bool(byte & 0x20 and byte & 0x02)

    async def counter(self) -> int:
        """The event counter, to be written down before pay_out()."""
        return (await self._status()).counter

    async def pay_out(self, coins: int, counter: int | None = None) -> Payout:
        """Pay coins (1 to COINS_MAX) and wait until all are out or the hopper gives up.

        counter: what counter() said, if that was written down; then a hopper that has paid since refuses to again.
        """
        if not 1 <= coins <= COINS_MAX:
            raise ValueError(f"a hopper pays 1 to {COINS_MAX} coins at once, not {coins}")
        # Enabled first: a hopper that is reset from here on is not enabled any more and takes no order, so that the
        # counter read now cannot be one from before a reset.
        await self._ask(cctalk.ENABLE_HOPPER, ENABLE, count=0)
        before = await self._status()
        if before.to_pay or (counter is not None and counter != before.counter):
            raise Refused(f"hopper {self._address} is not as it was when this payout was written down: settle() it")
        order = await self._give_order(coins, before.counter)
        if order is Order.REFUSED:
            payout = Payout(coins, 0, fault=await self._fault())
        else:
            payout = await self._follow(coins, before.counter, begun=order is Order.TAKEN)
        with contextlib.suppress(OSError):
            await self._ask(cctalk.ENABLE_HOPPER, DISABLE, count=0)
        return payout

    async def settle(self, coins: int, counter: int) -> Payout:
        """What became of a payout of `coins` that was begun, or was to be, when the counter stood at `counter`.

        Not certain when both are 0: a hopper that has paid and was then reset looks the same.
        """
        return await self._follow(coins, counter, begun=False)

    async def _follow(self, coins: int, counter: int, *, begun: bool) -> Payout:
        loop = asyncio.get_running_loop()
        seen = 0
        last = loop.time()
        while True:
            try:
                status = await self._status()
            except OSError as error:
                if loop.time() - last > self._coin_s:
                    log.warning("hopper_lost_in_a_payout", hopper=self._address, error=str(error))
                    return Payout(coins, seen, certain=False, fault="lost")
                await asyncio.sleep(self._poll_s)
                continue
            if status.counter == counter and not begun:
                return Payout(coins, 0, certain=counter != 0, fault="not_begun")
            if status.counter != counter % COUNTER_LAST + 1:
                # It was reset (0), or somebody else has made it pay since.
                return Payout(coins, seen, certain=False, fault="reset" if status.counter == 0 else "foreign_payout")
            begun = True
            if status.paid > seen:
                seen, last = status.paid, loop.time()
            if not status.to_pay:
                certain = status.paid + status.unpaid == coins
                fault = "" if status.paid == coins else await self._fault()
                return Payout(coins, status.paid, certain=certain, fault=fault)
            if loop.time() - last > self._coin_s:
                last = loop.time()
                with contextlib.suppress(OSError):
                    await self.stop()
            await asyncio.sleep(self._poll_s)

    async def stop(self) -> int:
        """Stop a payout now; how many coins were not paid."""
        (unpaid,) = await self._ask(cctalk.EMERGENCY_STOP, count=1)
        return unpaid

    async def _give_order(self, coins: int, counter: int) -> Order:
        """Give it once and only once: again only when the hopper's counter shows that it does not have it."""
        refusals = 0
        for _ in range(cctalk.TRIES):
            try:
                key = await self._key()
                await self._bus.ask(self._address, cctalk.DISPENSE, key + bytes([coins]), count=None, tries=1)
            except Refused:
                refusals += 1
            except OSError as error:
                log.info("hopper_order_not_confirmed", hopper=self._address, error=str(error))
            try:
                if (await self._status()).counter != counter:
                    return Order.TAKEN
            except OSError:
                return Order.UNKNOWN
        # At 0, a hopper that took it, paid, and was reset looks the same as one that did not hear it.
        return Order.REFUSED if counter or refusals == cctalk.TRIES else Order.UNKNOWN

    async def _key(self) -> bytes:
        if self._variant is Variant.SERIAL:
            return await self._ask(cctalk.SERIAL_NUMBER, count=3)
        return await self._ask(cctalk.REQUEST_CIPHER_KEY, count=8)

    async def _fault(self) -> str:
        try:
            flags = await self._ask(cctalk.TEST_HOPPER, count=None)
        except OSError:
            return "lost"
        return next((name for bit, name in _FAULTS.items() if flags and flags[0] & bit), "") or "stopped"

    async def _status(self) -> Status:
        return Status(*await self._ask(cctalk.HOPPER_STATUS, count=4))

    async def _ask(self, header: int, data: bytes = b"", *, count: int | None) -> bytes:
        return await self._bus.ask(self._address, header, data, count=count)
