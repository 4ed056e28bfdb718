"""Feeds the watchdog while every task is alive. A task that ends takes the node with it: a half-dead lane is worse."""

import asyncio
import sys

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

FEED_MS = 1000


class Supervisor:
    """start() the tasks, then watch()."""

    def __init__(self, watchdog: "Any") -> None:
        self._watchdog = watchdog
        self._tasks: "list[asyncio.Task[Any]]" = []
        self._dead = ""

    def start(self, name: str, coroutine: "Any") -> None:
        """Run it for good."""
        self._tasks.append(asyncio.create_task(self._guard(name, coroutine)))

    async def watch(self) -> None:
        """Returns when a task has died; the caller resets the board."""
        while not self._dead:
            self._watchdog.feed()
            await asyncio.sleep_ms(FEED_MS)
        for task in self._tasks:
            task.cancel()

    async def _guard(self, name: str, coroutine: "Any") -> None:
        try:
            await coroutine
        except asyncio.CancelledError:
            raise
        except Exception as error:
            print("task", name)
            sys.print_exception(error)
        self._dead = name
