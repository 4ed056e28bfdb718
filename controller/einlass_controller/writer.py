"""The engine's shell: collects what has arrived, runs the engine in one thread of its own, hands on what came out."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from einlass_controller import view
from einlass_controller.engine import Engine, Spent, StoreError
from einlass_controller.messages import Message, Outbound, Outcome

BATCH_MAX = 2_000
INBOX_MAX = 20_000
STORE_RETRY_S = 0.2
VIEW_AGE_MAX_S = 0.2
NANOSECONDS_A_MILLISECOND = 1_000_000

log = structlog.get_logger("einlass.writer")

_Item = tuple[Message, "asyncio.Future[Any] | None"]


class Overloaded(RuntimeError):
    """More is waiting than may wait: try again later."""


class Clock:
    """Unix milliseconds that never run back, whatever happens to the wall clock.

    While the wall clock is behind, they go on at half speed until it has caught up: all that is sent again after a
    while, or ends, would stand still else.
    """

    def __init__(self) -> None:
        self._last_ms = 0.0
        self._looked_ns = 0
        self._is_ahead = False

    def now_ms(self) -> int:
        """The time now."""
        wall_ms, looked_ns = time.time_ns() // 1_000_000, time.monotonic_ns()
        slow_ms = self._last_ms + (looked_ns - self._looked_ns) / (2 * NANOSECONDS_A_MILLISECOND)
        is_ahead = wall_ms < self._last_ms
        if is_ahead and not self._is_ahead:
            log.error(
                "clock_set_back", by_ms=int(self._last_ms) - wall_ms, hint="a restart takes its time over at once"
            )
        self._is_ahead, self._looked_ns = is_ahead, looked_ns
        self._last_ms = slow_ms if is_ahead else wall_ms
        return int(self._last_ms)


class Writer:
    """Group commit: while one batch is being stored the next one gathers. Order of arrival is kept."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._clock = Clock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._inbox: deque[_Item] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._picture: view.Picture | None = None
        self._picture_at_s = 0.0
        self._turn = asyncio.Lock()
        self.publish: Callable[[list[Outbound]], None] = lambda outbound: None
        self.store_works = True

    @property
    def spent(self) -> Spent:
        """What the engine has done so far."""
        return self._engine.spent

    async def start(self) -> None:
        """Begin to take messages."""
        self._task = asyncio.create_task(self._run(), name="writer")

    async def stop(self) -> None:
        """Finish the batch in hand; whoever still waits is told to try again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for _, waiting in self._inbox:
            if waiting is not None and not waiting.done():
                waiting.set_exception(StoreError("the controller is stopping"))
        self._inbox.clear()
        await asyncio.to_thread(self._thread.shutdown)

    def post(self, messages: list[Message]) -> None:
        """Take messages nobody waits for. When too much waits the oldest such goes: nodes send again."""
        over = len(self._inbox) + len(messages) - INBOX_MAX
        if over > 0:
            log.error("inbox_full", dropped=over)
            for _ in range(min(over, len(self._inbox))):
                self._drop(self._inbox.popleft())
        self._inbox.extend([(message, None) for message in messages])
        self._arrived.set()

    async def submit(self, message: Message) -> Any:
        """Take a message and wait for its result, after the commit. Raises StoreError or Overloaded."""
        if len(self._inbox) >= INBOX_MAX:
            raise Overloaded("too much is waiting: try again in a second")
        waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._inbox.append((message, waiting))
        self._arrived.set()
        return await waiting

    async def look(self) -> view.Picture:
        """What screens show, at most a fifth of a second old."""
        async with self._turn:
            if self._picture is None or time.monotonic() - self._picture_at_s > VIEW_AGE_MAX_S:
                self._picture = view.look(self._engine.live, self._clock.now_ms())
                self._picture_at_s = time.monotonic()
            return self._picture

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._inbox:
                taken = [self._inbox.popleft() for _ in range(min(len(self._inbox), BATCH_MAX))]
                try:
                    async with self._turn:
                        outcome = await self._store([message for message, _ in taken])
                except asyncio.CancelledError:
                    for item in taken:
                        self._drop(item)
                    raise
                except Exception as error:  # nothing was stored, so nothing is answered; the shell must live on
                    await self._failed(taken, error)
                    continue
                self.store_works = True
                self.publish(outcome.outbound)
                for (_, waiting), result in zip(taken, outcome.results, strict=True):
                    if waiting is not None and not waiting.done():
                        waiting.set_result(result)

    async def _store(self, messages: list[Message]) -> Outcome:
        """Decide here, wait for the disk in the other thread: while it waits, this one collects the next batch.

        The engine's own work stays in this thread, because two busy threads hand Python's lock to and fro, in steps of
        milliseconds. A database server is waited for at every statement: there the whole batch is done over there.
        """
        loop, engine, now_ms = asyncio.get_running_loop(), self._engine, self._clock.now_ms()
        if not engine.waits_for_a_server:
            begun = engine.begin(messages, now_ms)
            if begun is not None:
                return await loop.run_in_executor(self._thread, begun)
        return await loop.run_in_executor(self._thread, engine.run, messages, now_ms)

    async def _failed(self, taken: list[_Item], error: Exception) -> None:
        self.store_works = False
        if not isinstance(error, StoreError):
            log.error("batch_failed", reason=f"{type(error).__name__}: {error}", messages=len(taken))
        for item in taken:
            self._drop(item)
        await asyncio.sleep(STORE_RETRY_S)

    def _drop(self, item: _Item) -> None:
        waiting = item[1]
        if waiting is not None and not waiting.done():
            waiting.set_exception(StoreError("nothing was stored: try again"))
