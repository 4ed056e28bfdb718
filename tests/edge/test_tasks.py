"""A task that shrugs off a cancellation ends all the same, and a fault in it is not lost."""

import asyncio
import contextlib

import pytest

from einlass_edge.tasks import insisting

FOREVER_S = 60  # ends only by being cancelled


def test_it_is_cancelled_until_it_has_ended() -> None:
    async def run() -> None:
        shrugs = 0

        async def stubborn() -> None:
            nonlocal shrugs
            while shrugs < 3:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(FOREVER_S)
                shrugs += 1

        task = asyncio.create_task(insisting(stubborn()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert shrugs == 3

    asyncio.run(asyncio.wait_for(run(), 5))


def test_its_own_fault_is_raised() -> None:
    async def fails() -> None:
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        asyncio.run(insisting(fails()))
