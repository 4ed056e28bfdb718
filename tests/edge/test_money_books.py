"""Drawn lives of an acceptor and a hopper with their drivers, over a wire that loses requests and answers.

Whatever happens: nothing is ever credited twice, and what the drivers call certain is true to the coin.
"""

import asyncio
from dataclasses import dataclass, field

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from einlass_edge.drivers import cctalk
from einlass_edge.drivers.cctalk import CcTalkError, Refused
from einlass_edge.drivers.coins import CoinAcceptor as AcceptorDriver
from einlass_edge.drivers.coins import CoinEvent, Credit, Gap
from einlass_edge.drivers.hopper import Hopper as HopperDriver
from einlass_edge.drivers.hopper import Payout, Variant
from einlass_sim.devices.cctalk import CoinAcceptor, Device, Hopper

POSITIONS = {"EU010A": 1, "EU050A": 3, "EU200A": 5}
PATHS = {10: 1, 50: 2, 200: 1}
CENTS = {name: int(name[2:5]) for name in POSITIONS}
TURNS_A_TRY = 3  # a hopper of one coin is done between two tries
FINE, REQUEST_LOST, ANSWER_LOST = "fine", "request lost", "answer lost"
FATES = st.lists(st.sampled_from([FINE, FINE, FINE, REQUEST_LOST, ANSWER_LOST]), max_size=40)


@dataclass
class Wire:
    """What a bus is to a driver, with the fate of each try drawn; fine when there are no more."""

    device: Device
    fates: list[str] = field(default_factory=list)

    async def ask(
        self, device: int, header: int, data: bytes = b"", *, count: int | None, tries: int = cctalk.TRIES
    ) -> bytes:
        for _ in range(tries):
            for _ in range(TURNS_A_TRY):
                await asyncio.sleep(0)
            fate = self.fates.pop(0) if self.fates else FINE
            if fate == REQUEST_LOST:
                continue
            answer = self.device.answer(header, data)
            if fate == ANSWER_LOST or answer is None:
                continue
            if answer[0] != cctalk.ANSWER:
                raise Refused("no")
            assert count is None or len(answer[1]) == count
            return answer[1]
        raise CcTalkError("lost")


@dataclass
class Books:
    """What a till writes down: every event with its counter, one by one."""

    events: list[CoinEvent] = field(default_factory=list)
    behind: bool = False

    def feed(self, event: CoinEvent) -> bool:
        if not self.behind:
            self.events.append(event)
        return not self.behind

    @property
    def counter(self) -> int:
        return self.events[-1].counter if self.events else 0

    @property
    def cents(self) -> int:
        return sum(event.cents for event in self.events if isinstance(event, Credit))


COINS = st.sampled_from([*POSITIONS, *POSITIONS, "washer"])
STEPS = st.one_of(
    st.tuples(st.just("coin"), COINS),
    st.tuples(st.just("coin"), COINS),
    st.tuples(st.just("poll"), FATES),
    st.tuples(st.just("poll"), FATES),
    st.tuples(st.sampled_from(["restart", "reset", "behind"]), st.none()),
)


BURST = [("coin", "EU010A")] * 6


# Six coins that the till has not taken, a reset, a new start: the only trace is in the acceptor's inhibits.
@example(0, [*BURST, ("behind", None), ("poll", []), ("reset", None), ("poll", []), ("restart", None)])
@example(0, [("poll", []), ("coin", "EU010A"), ("reset", None)])
@settings(max_examples=250, deadline=None)
@given(st.integers(0, 255), st.lists(STEPS, max_size=40))
def test_no_coin_is_credited_twice_and_none_is_missing_without_a_gap(
    start: int, steps: list[tuple[str, object]]
) -> None:
    async def life() -> None:
        acceptor, books = CoinAcceptor(POSITIONS), Books()
        acceptor.counter = start
        wire = Wire(acceptor)

        def driver_from(counter: int | None) -> AcceptorDriver:
            driver = AcceptorDriver(wire, books.feed, lambda reason, on: None, PATHS, counter)  # type: ignore[arg-type]
            driver.allow(True)
            return driver

        driver, ready = driver_from(None), False

        async def poll() -> None:
            nonlocal ready
            try:
                ready = ready or await driver._set_up()
                ready = ready and await driver._poll()
            except OSError:
                ready = False

        await poll()
        for what, value in [*steps, ("heal", None)]:
            if what == "coin":
                acceptor.insert(str(value))
            elif what == "poll":
                wire.fates = list(value)  # type: ignore[call-overload]
                await poll()
            elif what == "behind":
                books.behind = not books.behind
            elif what == "reset":
                acceptor.reset()
            elif what == "restart":
                driver, ready = driver_from(books.counter if books.events else start), False
            else:
                wire.fates, books.behind = [], False
                for _ in range(30):
                    await poll()
            inside = sum(CENTS[coin] for coin in acceptor.inside)
            assert books.cents <= inside, "credited what is not there"
        gaps = any(isinstance(entry, Gap) for entry in books.events)
        event("with a gap" if gaps else "without a gap")
        if not gaps:
            assert books.cents == inside
        assert driver._open, "it takes coins again in the end"

    asyncio.run(life())


# The order's answer is lost, and when it could be given again the coin has fallen already.
@example(7, 5, False, True, [(1, [FINE, FINE, FINE, ANSWER_LOST], None)])
# The same, and the hopper is reset before it can be asked: its counter stands at 0 as before the order.
@example(0, 5, False, False, [(1, [FINE, FINE, FINE, ANSWER_LOST], 14)])
@example(0, 5, False, False, [(1, [FINE, FINE, FINE, ANSWER_LOST], 15)])
@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 255),
    st.integers(0, 12),
    st.booleans(),
    st.booleans(),
    st.lists(st.tuples(st.integers(1, 8), FATES, st.one_of(st.none(), st.none(), st.integers(1, 30))), max_size=4),
)
def test_what_a_hopper_s_driver_calls_certain_is_true(
    start: int, coins: int, plain: bool, stays_enabled: bool, orders: list[tuple[int, list[str], int | None]]
) -> None:
    async def life() -> None:
        hopper = Hopper(3, "EU050A", coins, plain=plain, coin_s=0, give_up_s=0)
        hopper.counter = start
        hopper.stays_enabled = stays_enabled
        wire = Wire(hopper)
        driver = HopperDriver(wire, 3, Variant.PLAIN if plain else Variant.SERIAL, coin_s=0.02, poll_s=0)  # type: ignore[arg-type]
        for asked, fates, reset_after in orders:
            before = hopper.fallen
            wire.fates = list(fates)
            resetting = None
            if reset_after is not None:
                resetting = asyncio.create_task(_reset_after(hopper, reset_after))
            try:
                payout = await driver.pay_out(asked)
            except OSError:
                payout = Payout(asked, 0)
            at_once = hopper.fallen - before
            if resetting is not None:
                await resetting
            wire.fates = []
            while hopper.to_pay:
                await asyncio.sleep(0)
            fallen = hopper.fallen - before
            event(f"certain {payout.certain}, fault {payout.fault or 'none'}")
            assert fallen <= asked, "paid twice"
            assert payout.paid <= fallen
            if payout.certain:
                assert payout.paid == at_once == fallen
        hopper._stop_motor()

    asyncio.run(life())


async def _reset_after(hopper: Hopper, turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    hopper.reset()
