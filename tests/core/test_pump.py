"""Real time, real asyncio: on both Pythons."""

import asyncio
import time

from einlass_core.effects import Ask, Record, SetBolt
from einlass_core.events import Answered, Linked, Scanned, Started
from einlass_core.gate import Gate, GateSettings
from einlass_core.lease import Account, Limit
from einlass_core.pump import EVENTS_MAX, Inbox, pump


def test_releases_and_locks_again_by_itself() -> None:
    bolt: "list[bool]" = []
    kinds: "list[str]" = []
    start = time.time()

    def now_ms() -> int:
        return int((time.time() - start) * 1000)

    async def run() -> None:
        inbox = Inbox()
        settings = GateSettings(ask_ms=200, release_ms=60, settle_ms=20)

        def perform(effect: object) -> bool:
            if isinstance(effect, SetBolt) and effect.side == "entry":
                bolt.append(effect.released)
            elif isinstance(effect, Ask):
                inbox.put(Answered(effect.nonce, "ok", 1, {}, Limit(0, 1, 1)))
            elif isinstance(effect, Record):
                kinds.append(effect.kind)
            return True

        task = asyncio.create_task(pump(Gate(settings, Account(), "A.1"), inbox, perform, now_ms, Started("power")))
        inbox.put(Linked(True))
        inbox.put(Scanned("entry", b"E1:QS4YXZ6AKQQBRRRAV"))
        until = time.time() + 5
        while "unused" not in kinds and time.time() < until:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())
    assert bolt == [False, True, False], bolt
    assert kinds == ["boot", "released", "unused"], kinds


def test_a_full_inbox_pushes_back() -> None:
    async def run() -> None:
        inbox = Inbox()
        for _ in range(EVENTS_MAX):
            assert inbox.put(Linked(True))
        assert not inbox.put(Linked(False)) and inbox.dropped == 1
        for _ in range(EVENTS_MAX):
            assert await inbox.get(None) == Linked(True)

    asyncio.run(run())
