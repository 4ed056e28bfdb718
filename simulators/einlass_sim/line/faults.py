"""What is done to a running line: its network, its processes and their disks. Each fault ends by itself.

Nobody walks through a lane while its node is dead or stands still: a body that no sensor's program sees is in no count,
and no count is to be blamed for it.
"""

import asyncio
import contextlib
import random
import resource
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from einlass_controller.broker import CONTROLLER_NAME
from einlass_core.events import ENTRY
from einlass_sim.demo.parts import PI_NODE
from einlass_sim.line.machines import can_begin_clocks, can_drop_packets, packets_dropped
from einlass_sim.line.whole import LANE_MS, NODES, Line

CLIENTS = (*NODES, CONTROLLER_NAME)
BREATH_S = (0.2, 1.5)
SHORT_S = (0.3, 4.0)
LONG_S = (2.0, 14.0)  # longer than a keep-alive
DELAY_S = (0.05, 1.0)
RELEASE_S = (LANE_MS["ask_ms"] + LANE_MS["release_ms"]) / 1000
# What a node could not write down it tries again every second; a kill before that would lose it, as it may.
OWED_S = 3.0
SEES_S = 1.0
# No file may have a byte more than this: for the process it is a disk that is full, or read-only.
FULL_BYTES = 1
JUMP_MS_MAX = 6 * 3_600_000
UP_S = (5, 600)  # since the machine's start
MINUTES_S = (60.0, 150.0)
LONG = ("long_cut",)
LONG_FROM = 30  # faults

Fault = Callable[["Faults"], Coroutine[Any, Any, None]]


class Faults:
    """Draws them one after the other. `done` counts them by kind; `late` are bolts freed after their time."""

    def __init__(self, line: Line, rng: random.Random, codes: Callable[[], str]) -> None:
        self.line = line
        self.rng = rng
        self.codes = codes
        self.walking = {name: asyncio.Lock() for name in NODES}
        self.done: dict[str, int] = {}
        self.late = 0

    async def play(self, count: int, kinds: list[str]) -> None:
        """So many; every kind before any comes again. Those that last minutes come once, half way through."""
        often = [kind for kind in kinds if kind not in LONG] or kinds
        long = [kind for kind in kinds if kind in LONG and count >= LONG_FROM]
        deck: list[str] = []
        for number in range(count):
            if not deck:
                deck = self.rng.sample(often, len(often))
            kind = long.pop() if long and number >= count // 2 else deck.pop()
            await KINDS[kind](self)
            self.done[kind] = self.done.get(kind, 0) + 1
            await self.wait(BREATH_S)

    async def wait(self, between_s: tuple[float, float]) -> None:
        """A drawn time."""
        await asyncio.sleep(self.rng.uniform(*between_s))

    async def at_work(self, name: str) -> None:
        """A node that was dead or stood still sees bodies again, before anybody goes."""
        if name in self.walking:
            await self.line.at_work(name)
            await asyncio.sleep(SEES_S)

    async def hold_lane(self, stack: AsyncExitStack, name: str) -> None:
        """Nobody walks there until the stack is left."""
        if name in self.walking:
            await stack.enter_async_context(self.walking[name])


async def _reset(faults: Faults) -> None:
    faults.line.tap.reset(faults.rng.choice(CLIENTS))


async def _torn(faults: Faults) -> None:
    faults.line.tap.weather(faults.rng.choice(CLIENTS)).torn = True


async def _cut(faults: Faults) -> None:
    client = faults.rng.choice(CLIENTS)
    weather = faults.line.tap.weather(client)
    weather.refused = True
    faults.line.tap.reset(client)
    await faults.wait(LONG_S)
    weather.refused = False


async def _all_cut(faults: Faults, between_s: tuple[float, float] = LONG_S) -> None:
    for client in CLIENTS:
        faults.line.tap.weather(client).refused = True
        faults.line.tap.reset(client)
    await faults.wait(between_s)
    for client in CLIENTS:
        faults.line.tap.weather(client).refused = False


async def _long_cut(faults: Faults) -> None:
    """Minutes: whoever comes is let in by the lanes' leases, until no place is left."""
    await _all_cut(faults, MINUTES_S)


async def _half_open(faults: Faults) -> None:
    weather = faults.line.tap.weather(faults.rng.choice(CLIENTS))
    road = faults.rng.choice((weather.up, weather.down))
    road.clear()
    await faults.wait(LONG_S)
    road.set()


async def _slow(faults: Faults) -> None:
    weather = faults.line.tap.weather(faults.rng.choice(CLIENTS))
    weather.delay_s = faults.rng.uniform(*DELAY_S)
    await faults.wait(LONG_S)
    weather.delay_s = 0.0


async def _kill(faults: Faults) -> None:
    name = faults.rng.choice(("broker", "controller", *NODES))
    async with AsyncExitStack() as stack:
        await faults.hold_lane(stack, name)
        await faults.line.kill(name)
        await faults.wait(SHORT_S)
        await faults.line.start(name)
        await faults.at_work(name)


async def _wipe_broker(faults: Faults) -> None:
    await faults.line.wipe_broker()
    await faults.wait(SHORT_S)
    await faults.line.start("broker")


async def _pause(faults: Faults) -> None:
    name = faults.rng.choice(("broker", "controller", PI_NODE))
    async with AsyncExitStack() as stack:
        await faults.hold_lane(stack, name)
        faults.line.pause(name)
        await faults.wait(SHORT_S)
        faults.line.resume(name)
        await faults.at_work(name)


async def _kill_after_scan(faults: Faults) -> None:
    """Between a scan and a passage that never comes: the place counts as taken if the bolt was freed."""
    name = faults.rng.choice(NODES)
    async with faults.walking[name]:
        await faults.line.lanes[name].hold(ENTRY, faults.codes())
        await asyncio.sleep(faults.rng.uniform(0.0, 0.4))
        await faults.line.kill(name)
        await faults.wait(SHORT_S)
        await faults.line.start(name)
        await faults.at_work(name)


async def _pause_after_scan(faults: Faults) -> None:
    """Between check and bolt: whoever wakes up too late must not open."""
    async with faults.walking[PI_NODE]:
        asks = len(faults.line.sent("ask", PI_NODE))
        scan = await faults.line.lanes[PI_NODE].hold(ENTRY, faults.codes())
        await asyncio.sleep(faults.rng.uniform(0.0, 0.1))
        faults.line.pause(PI_NODE)
        await asyncio.sleep(RELEASE_S + 1.0)
        # A code that it had not read before it stood still is read, asked for and let in when it goes on: in time.
        is_checked = len(faults.line.sent("ask", PI_NODE)) > asks
        is_free = scan.bolt_at_s is not None
        faults.line.resume(PI_NODE)
        await asyncio.sleep(1.0)
        await faults.at_work(PI_NODE)
        faults.late += is_checked and not is_free and scan.bolt_at_s is not None


async def _disk_full(faults: Faults) -> None:
    name = faults.rng.choice(("controller", *NODES))
    pid = faults.line.pid(name)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (FULL_BYTES, hard))
    await faults.wait(SHORT_S)
    with contextlib.suppress(ProcessLookupError):  # a board that was reset meanwhile is another process, without limit
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    await asyncio.sleep(OWED_S)


async def _broker_restart(faults: Faults) -> None:
    await faults.line.restart_broker()


async def _clock_jump(faults: Faults) -> None:
    """Somebody (or the time server) sets the controller's clock, forwards or back; it tells the nodes."""
    faults.line.wall_clock.set(faults.rng.randint(-JUMP_MS_MAX, JUMP_MS_MAX))
    await faults.wait(LONG_S)


async def _reboot(faults: Faults) -> None:
    """The Pi's machine starts anew: its clock counts from a few seconds on, far below what its journal says."""
    async with AsyncExitStack() as stack:
        await faults.hold_lane(stack, PI_NODE)
        await faults.line.reboot_pi(faults.rng.randint(*UP_S))
        await faults.at_work(PI_NODE)


async def _cable(faults: Faults) -> None:
    """The kernel drops whatever the broker sends: half of every connection is gone, and nobody is told."""
    with packets_dropped():
        await faults.wait(LONG_S)


KINDS: dict[str, Fault] = {
    "reset": _reset,
    "torn": _torn,
    "cut": _cut,
    "all_cut": _all_cut,
    "half_open": _half_open,
    "slow": _slow,
    "kill": _kill,
    "wipe_broker": _wipe_broker,
    "pause": _pause,
    "kill_after_scan": _kill_after_scan,
    "pause_after_scan": _pause_after_scan,
    "disk_full": _disk_full,
    "broker_restart": _broker_restart,
    "clock_jump": _clock_jump,
    "reboot": _reboot,
    "cable": _cable,
    "long_cut": _long_cut,
}


def impossible() -> dict[str, str]:
    """Kinds that this machine does not let us play, and why."""
    found = {} if can_begin_clocks() else {"reboot": "the kernel lets this user make no time namespace"}
    return found if can_drop_packets() else found | {"cable": "not in a network namespace of its own: --own-network"}
