"""The customer display: what the driver was told to show is what a customer reads."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einlass_edge.drivers.customer_display import COLUMNS
from einlass_edge.drivers.customer_display import CustomerDisplay as Driver
from einlass_sim.devices.customer_display import CustomerDisplay

DEADLINE_S = 20.0


@contextlib.asynccontextmanager
async def shown(
    code_page: str, refresh_s: float
) -> AsyncIterator[tuple[CustomerDisplay, Driver, list[tuple[str, bool]]]]:
    troubles: list[tuple[str, bool]] = []
    async with CustomerDisplay() as display:
        driver = Driver(
            display.path, 9600, lambda reason, on: troubles.append((reason, on)), code_page, refresh_s=refresh_s
        )
        task = asyncio.create_task(driver.run())
        try:
            yield display, driver, troubles
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def reads(display: CustomerDisplay, upper: str, lower: str) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while display.lines != [upper.ljust(COLUMNS), lower.ljust(COLUMNS)]:
        assert time.monotonic() < end_s, display.lines
        await asyncio.sleep(0.005)


def run(
    talk: Callable[[CustomerDisplay, Driver], Awaitable[None]], code_page: str = "cp858", refresh_s: float = 3600
) -> None:
    async def whole() -> None:
        async with shown(code_page, refresh_s) as (display, driver, troubles):
            await talk(display, driver)
            assert not display.unknown
            assert not troubles

    asyncio.run(asyncio.wait_for(whole(), 60))


@pytest.mark.parametrize("code_page", ["cp858", "cp1252"])
def test_a_price_with_umlaut_and_euro_is_read(code_page: str) -> None:
    async def talk(display: CustomerDisplay, driver: Driver) -> None:
        driver.show("Gebühr für 2 h", "4,50 €")
        await reads(display, "Gebühr für 2 h", "4,50 €")
        driver.show("Danke!")
        await reads(display, "Danke!", "")

    run(talk, code_page)


def test_a_display_that_was_without_power_shows_it_again() -> None:
    async def talk(display: CustomerDisplay, driver: Driver) -> None:
        driver.show("Bitte zahlen", "1,00 €")
        await reads(display, "Bitte zahlen", "1,00 €")
        display.power_cycle()
        await reads(display, "Bitte zahlen", "1,00 €")

    run(talk, refresh_s=0.1)


def test_a_name_cannot_clear_or_move() -> None:
    async def talk(display: CustomerDisplay, driver: Driver) -> None:
        driver.show("\x0c\x1b@Bob\r\x1bQBpaid", "0,00\x18" + "x" * 40)
        await reads(display, "??@Bob ?QBpaid", "0,00?" + "x" * 15)

    run(talk)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100), st.integers(0, 100))
def test_noise_leaves_two_lines_of_twenty(noise: bytes, cut: int) -> None:
    display = CustomerDisplay()
    display.received(noise[:cut])
    display.received(noise[cut:])
    assert [len(line) for line in display.lines] == [COLUMNS, COLUMNS]


def test_no_display_is_one_trouble() -> None:
    async def whole() -> None:
        troubles: list[tuple[str, bool]] = []
        driver = Driver("/nowhere/display", 9600, lambda reason, on: troubles.append((reason, on)))
        task = asyncio.create_task(driver.run())
        end_s = time.monotonic() + DEADLINE_S
        while not troubles:
            assert time.monotonic() < end_s
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert troubles == [("display_lost", True)]

    asyncio.run(asyncio.wait_for(whole(), 60))
