"""Feeds the watchdog while every task is alive. A task that ends takes the node with it: a half-dead lane is worse."""

import asyncio

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

FEED_MS = 1000


async def supervise(watchdog: "Any", parts: "dict[str, Any]") -> None:
    """Run these coroutines, by name, for good; returns when one of them has ended, and the caller resets the board.

    What it raised, asyncio prints.
    """
    tasks = [(name, asyncio.create_task(part)) for name, part in parts.items()]
    while True:
        for name, task in tasks:
            if task.done():
                print("ended:", name)
                return
        watchdog.feed()
        await asyncio.sleep_ms(FEED_MS)
