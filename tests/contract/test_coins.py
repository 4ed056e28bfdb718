"""Coin acceptor and hopper, driver against device over a real tty: the books equal the boxes, to the cent."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from einlass_edge.drivers.cctalk import CcTalkBus as Line
from einlass_edge.drivers.cctalk import CcTalkError, Refused
from einlass_edge.drivers.coins import Beginning, CoinEvent, CoinFeed, CoinRefused, Credit, Gap
from einlass_edge.drivers.coins import CoinAcceptor as AcceptorDriver
from einlass_edge.drivers.hopper import Hopper as HopperDriver
from einlass_edge.drivers.hopper import Payout, Variant
from einlass_sim.devices.cctalk import CcTalkBus, CoinAcceptor, Hopper

DEADLINE_S = 20.0
POLL_S = 0.01
POSITIONS = {"EU010A": 1, "EU020A": 2, "EU050A": 3, "EU100A": 4, "EU200A": 5, "EU005A": 9, "GB100A": 12}
PATHS = {10: 1, 20: 1, 50: 2, 100: 3, 200: 1}
CENTS = {name: int(name[2:5]) for name in POSITIONS}


@dataclass
class Slot:
    """An acceptor on its bus, its driver, and the books."""

    bus: CcTalkBus
    acceptor: CoinAcceptor
    driver: AcceptorDriver
    events: list[CoinEvent]
    troubles: list[tuple[str, bool]]
    taking: list[bool] = field(default_factory=lambda: [True])

    @property
    def booked(self) -> int:
        return sum(event.cents for event in self.events if isinstance(event, Credit))

    @property
    def inside(self) -> int:
        return sum(CENTS[coin] for coin in self.acceptor.inside)

    async def until(self, true: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < end_s, f"never: {what}; {self.events[-5:]} {self.troubles}"
            await asyncio.sleep(0.005)

    def trouble(self, reason: str) -> bool:
        return ([on for name, on in self.troubles if name == reason] or [False])[-1]

    async def opened(self) -> None:
        self.driver.allow(True)
        await self.until(lambda: self.driver._open is True, "the slot opens")

    async def drop(self, *coins: str) -> None:
        """Coins at the pace of a hand: each is polled before the next five are through."""
        for coin in coins:
            # An answer that came late on a busy machine makes the driver shut the slot and begin again.
            await self.until(lambda: bool(self.acceptor._master and self.acceptor._mask), "an open slot")
            polls = self.acceptor.requests.count(229)
            self.acceptor.insert(coin)
            await self.until(lambda polls=polls: self.acceptor.requests.count(229) > polls, "a poll")  # type: ignore[misc]


def keeping(events: list[CoinEvent]) -> CoinFeed:
    def feed(event: CoinEvent) -> bool:
        events.append(event)
        return True

    return feed


@contextlib.asynccontextmanager
async def slot(
    *, echo: bool = True, counter: int | None = None, seed: int = 1, answer_s: float = 5.0
) -> AsyncIterator[Slot]:
    events: list[CoinEvent] = []
    troubles: list[tuple[str, bool]] = []
    taking = [True]

    def feed(event: CoinEvent) -> bool:
        if taking[0]:
            events.append(event)
        return taking[0]

    async with CcTalkBus(echo=echo, rng=random.Random(seed)) as bus:
        acceptor = CoinAcceptor(POSITIONS)
        bus.add(acceptor)
        line = Line(bus.path, answer_s=answer_s)
        driver = AcceptorDriver(
            line, feed, lambda reason, on: troubles.append((reason, on)), PATHS, counter, poll_s=POLL_S
        )
        task = asyncio.create_task(driver.run())
        try:
            yield Slot(bus, acceptor, driver, events, troubles, taking)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            line.close()


def at_slot(talk: Callable[[Slot], Awaitable[None]], **options: object) -> None:
    async def run() -> None:
        async with slot(**options) as it:  # type: ignore[arg-type]
            await it.opened()
            if options.get("counter") is None:
                # Else a coin that falls before the first event is written down would be nobody's after a restart.
                assert it.events.pop(0) == Beginning(0)
            await talk(it)

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("echo", [True, False], ids=["hears_itself", "adapter_hides_echo"])
def test_coins_are_credited_in_order_and_sorted_and_others_come_back(echo: bool) -> None:
    async def talk(it: Slot) -> None:
        await it.drop("EU100A", "EU050A", "washer", "EU005A", "GB100A", "EU010A")
        await it.until(lambda: len(it.events) == 6, "six events")
        assert [event.cents if isinstance(event, Credit) else "back" for event in it.events] == [
            100, 50, "back", "back", "back", 10,
        ]  # fmt: skip
        assert [len(it.acceptor.boxes[path]) for path in (1, 2, 3)] == [1, 1, 1]
        assert it.acceptor.returned == 3
        assert it.booked == it.inside == 160
        assert not it.troubles

    at_slot(talk, echo=echo)


def test_a_shut_slot_takes_nothing() -> None:
    async def talk(it: Slot) -> None:
        it.driver.allow(False)
        await it.until(lambda: it.driver._open is False, "shut")
        assert not it.acceptor.insert("EU100A")
        await it.until(lambda: it.events == [CoinRefused(2, 1)], "the refusal")

    at_slot(talk)


def test_answers_that_are_lost_lose_no_coin_and_double_none() -> None:
    async def talk(it: Slot) -> None:
        for coin in ("EU100A", "EU020A", "EU200A"):
            it.bus.lose_answers = 2
            await it.drop(coin)
        await it.until(lambda: it.booked == 320, "all of it")
        assert it.booked == it.inside
        assert len(it.events) == 3

    at_slot(talk, answer_s=0.2)


def test_a_noisy_line_loses_no_cent() -> None:
    rng = random.Random(11)

    async def talk(it: Slot) -> None:
        it.bus.noise, it.bus.garble = 3, 0.3
        await it.drop(*rng.choices(["EU010A", "EU020A", "EU050A", "EU100A", "EU200A"], k=12))
        it.bus.noise, it.bus.garble = 0, 0.0
        await it.until(lambda: it.booked == it.inside, "the books are right")
        assert len([event for event in it.events if isinstance(event, Credit)]) == len(it.acceptor.inside)
        assert not any(isinstance(event, Gap) for event in it.events)

    at_slot(talk, answer_s=0.2)


def test_the_counter_wraps_on_the_way() -> None:
    async def talk(it: Slot) -> None:
        for _ in range(4):
            assert it.acceptor.insert("EU010A")  # all within one poll
        await it.until(lambda: it.booked == it.inside == 40, "all of it")

    async def run() -> None:
        async with CcTalkBus() as bus:
            acceptor = CoinAcceptor(POSITIONS)
            acceptor.counter = 253
            bus.add(acceptor)
            events: list[CoinEvent] = []
            line = Line(bus.path, answer_s=5)
            driver = AcceptorDriver(line, keeping(events), lambda reason, on: None, PATHS, None, poll_s=POLL_S)
            task = asyncio.create_task(driver.run())
            it = Slot(bus, acceptor, driver, events, [])
            await it.opened()
            await talk(it)
            assert [event.counter for event in events if isinstance(event, Credit)] == [254, 255, 1, 2]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            line.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_more_than_five_coins_unheard_are_a_gap_and_the_last_five_are_money() -> None:
    async def talk(it: Slot) -> None:
        it.acceptor.silent = True
        for _ in range(7):
            it.acceptor.insert("EU100A")
        it.acceptor.silent = False
        await it.until(lambda: it.booked == 500, "five of them")
        assert [event.events for event in it.events if isinstance(event, Gap)] == [2]
        await it.until(lambda: it.driver._open is True, "open again")

    at_slot(talk, answer_s=0.2)


def test_a_reset_is_a_gap_and_the_acceptor_is_set_up_again() -> None:
    async def talk(it: Slot) -> None:
        await it.drop("EU100A")
        await it.until(lambda: it.booked == 100, "the first")
        it.acceptor.reset()
        await it.until(lambda: any(isinstance(event, Gap) for event in it.events), "the gap")
        await it.until(lambda: it.acceptor._mask != 0 and it.driver._open is True, "open again")
        await it.drop("EU050A")
        await it.until(lambda: it.booked == it.inside == 150, "the next coin")

    at_slot(talk)


def test_a_reset_that_no_counter_shows_is_found_and_the_slot_opens_again() -> None:
    async def talk(it: Slot) -> None:
        it.acceptor.reset()
        await it.until(lambda: it.acceptor._mask != 0 and it.driver._open is True, "set up again")
        assert it.events == [Gap(0, 0)], "a coin may have fallen in between"
        await it.drop("EU050A")
        await it.until(lambda: it.booked == it.inside == 50, "the next coin")

    at_slot(talk)


def test_a_restarted_driver_credits_what_fell_in_between_from_the_counter_in_the_books() -> None:
    async def run() -> None:
        async with CcTalkBus() as bus:
            acceptor = CoinAcceptor(POSITIONS)
            bus.add(acceptor)
            events: list[CoinEvent] = []
            for round_number in (1, 2):
                counter = events[-1].counter if events else None
                line = Line(bus.path, answer_s=0.5)
                driver = AcceptorDriver(line, keeping(events), lambda reason, on: None, PATHS, counter, poll_s=POLL_S)
                task = asyncio.create_task(driver.run())
                it = Slot(bus, acceptor, driver, events, [])
                await it.opened()
                await it.until(lambda: it.booked == it.inside, f"round {round_number}")  # noqa: B023
                await it.drop("EU100A")
                await it.until(lambda: it.booked == it.inside, "the coin")  # noqa: B023
                # Killed without a word: the slot stays open, and two more coins fall.
                task.cancel()
                bus._devices[2].silent = True
                await asyncio.gather(task, return_exceptions=True)
                bus._devices[2].silent = False
                line.close()
                assert acceptor.insert("EU020A")
                assert acceptor.insert("EU010A")
            assert it.inside == 260
            assert it.booked == 230

    asyncio.run(asyncio.wait_for(run(), 60))


def test_while_the_till_is_behind_the_slot_is_shut_and_nothing_is_forgotten() -> None:
    async def talk(it: Slot) -> None:
        it.taking[0] = False
        await it.drop("EU200A")
        await it.until(lambda: it.driver._open is False, "shut")
        assert it.booked == 0
        assert not it.acceptor.insert("EU200A")
        it.taking[0] = True
        await it.until(lambda: it.booked == it.inside == 200, "the coin")
        await it.until(lambda: it.driver._open is True, "open again")

    at_slot(talk)


def test_a_jam_shuts_the_slot_until_it_is_cleared() -> None:
    async def talk(it: Slot) -> None:
        it.acceptor.jammed = True
        assert not it.acceptor.insert("EU100A")
        await it.until(lambda: it.trouble("coins_jammed"), "the jam")
        await it.until(lambda: it.driver._open is False, "shut")
        it.acceptor.jammed = False
        await it.until(lambda: not it.trouble("coins_jammed"), "cleared")
        await it.until(lambda: it.driver._open is True, "open")
        await it.drop("EU100A")
        await it.until(lambda: it.booked == it.inside == 100, "the coin")

    at_slot(talk)


def test_a_full_cash_box_shuts_the_slot_and_money_stays_right() -> None:
    async def talk(it: Slot) -> None:
        it.acceptor.capacity = 2
        await it.drop("EU010A", "EU020A", "EU200A")
        await it.until(lambda: it.trouble("coins_jammed"), "the box is full")
        await it.until(lambda: it.driver._open is False, "shut")
        assert it.booked == it.inside == 30
        it.acceptor.boxes[1].clear()
        await it.until(lambda: it.driver._open is True, "emptied")

    at_slot(talk)


def test_a_full_hopper_s_coins_go_elsewhere() -> None:
    async def talk(it: Slot) -> None:
        await it.drop("EU050A")
        it.driver.set_path(50, 1)
        await it.until(lambda: it.acceptor._paths[3] == 1, "the new path")
        await it.drop("EU050A")
        await it.until(lambda: it.booked == it.inside == 100, "both")
        assert [len(it.acceptor.boxes[path]) for path in (1, 2)] == [1, 1]
        with pytest.raises(ValueError, match="no coin of 7 cents"):
            it.driver.set_path(7, 1)

    at_slot(talk)


def test_a_silent_acceptor_is_trouble_once_and_comes_back() -> None:
    async def talk(it: Slot) -> None:
        it.acceptor.silent = True
        await it.until(lambda: it.trouble("coins_lost"), "lost")
        it.acceptor.silent = False
        await it.until(lambda: not it.trouble("coins_lost"), "back")
        await it.until(lambda: it.driver._open is True, "open")
        await it.drop("EU100A")
        await it.until(lambda: it.booked == it.inside == 100, "the coin")

    at_slot(talk, answer_s=0.2)


def test_a_coin_that_the_acceptor_does_not_know_is_told() -> None:
    async def run() -> None:
        async with CcTalkBus() as bus:
            bus.add(CoinAcceptor({"EU100A": 1}))
            troubles: list[tuple[str, bool]] = []
            line = Line(bus.path, answer_s=5)
            driver = AcceptorDriver(
                line, lambda event: True, lambda reason, on: troubles.append((reason, on)), {100: 1, 200: 1}
            )
            task = asyncio.create_task(driver.run())
            it = Slot(bus, CoinAcceptor({}), driver, [], troubles)
            await it.until(lambda: it.trouble("coins_setup"), "told")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            line.close()

    asyncio.run(asyncio.wait_for(run(), 60))


# -- hoppers


@contextlib.asynccontextmanager
async def chest(
    *, plain: bool = False, coins: int = 50, answer_s: float = 5.0, coin_s: float = 10.0, drop_s: float = 0.01
) -> AsyncIterator[tuple[CcTalkBus, Hopper, HopperDriver]]:
    async with CcTalkBus() as bus:
        hopper = Hopper(3, "EU050A", coins, plain=plain, coin_s=drop_s)
        bus.add(hopper)
        line = Line(bus.path, answer_s=answer_s)
        try:
            yield bus, hopper, HopperDriver(line, 3, Variant.PLAIN if plain else Variant.SERIAL, coin_s, POLL_S)
        finally:
            line.close()


def at_chest(talk: Callable[[CcTalkBus, Hopper, HopperDriver], Awaitable[None]], **options: object) -> None:
    async def run() -> None:
        async with chest(**options) as (bus, hopper, driver):  # type: ignore[arg-type]
            await talk(bus, hopper, driver)

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("plain", [False, True], ids=["serial", "plain"])
def test_a_hopper_pays_exactly_what_it_is_told(plain: bool) -> None:
    async def talk(bus: CcTalkBus, hopper: Hopper, driver: HopperDriver) -> None:
        assert await driver.cents() == 50
        assert await driver.pay_out(3) == Payout(3, 3)
        assert await driver.pay_out(1) == Payout(1, 1)
        assert hopper.fallen == 4
        assert await driver.levels() == (False, False)
        hopper.coins = 2
        assert await driver.levels() == (True, False)

    at_chest(talk, plain=plain)


@pytest.mark.parametrize("lost", [1, 2, 3, 5])
def test_a_lost_answer_never_pays_twice(lost: int) -> None:
    async def talk(bus: CcTalkBus, hopper: Hopper, driver: HopperDriver) -> None:
        original = hopper.command

        def command(header: int, data: bytes) -> tuple[int, bytes] | None:
            if header == 167 and hopper.requests.count(167) == 1:
                bus.lose_answers = lost
            return original(header, data)

        hopper.command = command  # type: ignore[method-assign]
        assert await driver.pay_out(4) == Payout(4, 4)
        assert hopper.fallen == 4
        assert hopper.counter == 1

    at_chest(talk, answer_s=0.2)


def test_a_refused_payout_is_given_again_once_the_counter_shows_that_nothing_was_paid() -> None:
    async def talk(bus: CcTalkBus, hopper: Hopper, driver: HopperDriver) -> None:
        hopper.refuse = 2
        assert await driver.pay_out(2) == Payout(2, 2)
        hopper.refuse = 9
        payout = await driver.pay_out(2)
        assert (payout.paid, payout.certain) == (0, True)
        assert payout.fault
        assert hopper.fallen == 2

    at_chest(talk)


def test_a_hopper_that_runs_empty_says_how_many_fell() -> None:
    async def talk(bus: CcTalkBus, hopper: Hopper, driver: HopperDriver) -> None:
        assert await driver.pay_out(5) == Payout(5, 3, fault="empty")
        assert hopper.fallen == 3
        assert (await driver.levels())[0]

    at_chest(talk, coins=3)


def test_a_jam_in_mid_payout_says_how_many_fell() -> None:
    async def talk(bus: CcTalkBus, hopper: Hopper, driver: HopperDriver) -> None:
        paying = asyncio.create_task(driver.pay_out(30))
        while hopper.fallen < 2:
            await asyncio.sleep(0.005)
        hopper.jammed = True
        payout = await paying
        assert payout == Payout(30, hopper.fallen, fault="jammed")
        assert 2 <= payout.paid < 30

    at_chest(talk, drop_s=0.05)


def test_a_hopper_that_is_reset_in_mid_payout_leaves_a_doubt_and_says_so() -> None:
    async def talk(bus: CcTalkBus, hopper: Hopper, driver: HopperDriver) -> None:
        paying = asyncio.create_task(driver.pay_out(30))
        while hopper.fallen < 3:
            await asyncio.sleep(0.005)
        hopper.reset()  # the counter stands where it stood before: 0
        payout = await paying
        assert not payout.certain
        assert payout.fault == "reset"
        assert payout.paid <= hopper.fallen < 30

    at_chest(talk, drop_s=0.1)


def test_a_hopper_that_falls_silent_leaves_a_doubt_and_is_settled_later() -> None:
    async def talk(bus: CcTalkBus, hopper: Hopper, driver: HopperDriver) -> None:
        before = await driver.counter()
        paying = asyncio.create_task(driver.pay_out(6, before))
        while hopper.fallen < 1:
            await asyncio.sleep(0.005)
        hopper.silent = True
        payout = await paying
        assert not payout.certain
        assert payout.fault == "lost"
        hopper.silent = False
        assert await driver.settle(6, before) == Payout(6, 6)
        assert hopper.fallen == 6

    at_chest(talk, answer_s=0.2, coin_s=0.5, drop_s=0.05)


def test_after_a_power_cut_before_the_order_nothing_was_paid_and_after_it_all() -> None:
    async def talk(bus: CcTalkBus, hopper: Hopper, driver: HopperDriver) -> None:
        assert await driver.settle(3, 0) == Payout(3, 0, certain=False, fault="not_begun"), "it may have been reset"
        await driver.pay_out(1)
        before = await driver.counter()
        assert await driver.settle(3, before) == Payout(3, 0, fault="not_begun")
        await driver.pay_out(3, before)
        # The result was never written down: asked again, nothing more falls.
        with pytest.raises(Refused, match="settle"):
            await driver.pay_out(3, before)
        assert await driver.settle(3, before) == Payout(3, 3)
        assert hopper.fallen == 4

    at_chest(talk)


def test_a_hopper_that_is_not_there_pays_nothing() -> None:
    async def talk(bus: CcTalkBus, hopper: Hopper, driver: HopperDriver) -> None:
        hopper.silent = True
        with pytest.raises(CcTalkError, match="does not answer"):
            await driver.pay_out(1)
        hopper.silent = False
        for coins in (0, 256, -1):
            with pytest.raises(ValueError, match="1 to 255"):
                await driver.pay_out(coins)
        assert hopper.fallen == 0

    at_chest(talk, answer_s=0.2)
