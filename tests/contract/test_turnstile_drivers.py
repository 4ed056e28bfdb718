"""What every turnstile driver does, proved on both: Modbus against the simulated IO board, GPIO on gpiozero's pins."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import pytest
from gpiozero.pins.mock import MockFactory

from einlass_core.events import ENTRY, EXIT, BodyPassed, BoltSensed, EmergencyInput, Event, PassageBusy
from einlass_core.signals import GREEN, RED
from einlass_edge.clock import now_ms
from einlass_edge.drivers.driver import Turnstile
from einlass_edge.drivers.outputs import Wanted
from einlass_edge.drivers.sensors import Sensors
from einlass_edge.drivers.turnstile_gpio import GpioTurnstile, GpiozeroPins
from einlass_edge.drivers.turnstile_modbus import ModbusTurnstile, tcp_client
from einlass_sim.devices import io_board
from einlass_sim.devices.io_board import IoBoard

DEADLINE_S = 20.0
DEBOUNCE_MS = 15
WATCHDOG_MS = 500
OUTPUTS = ("entry_bolt", "exit_bolt", "lamp_green", "lamp_red", "lamp_yellow", "buzzer")
INPUTS = ("barrier_a", "barrier_b", "emergency", "bolt_contact")
PINS = {name: number for number, name in enumerate((*OUTPUTS, *INPUTS), 4)}


@dataclass
class Rig:
    """A driver under test with the outside world's handles on its hardware."""

    driver: Turnstile
    out: Callable[[str], bool]
    put: Callable[[str, bool], None]
    events: list[Event]
    stop: Callable[[], Awaitable[None]]
    moved: list[bool] = field(default_factory=list)
    troubles: list[tuple[str, bool]] = field(default_factory=list)
    settled: list[bool] = field(default_factory=lambda: [True])
    board: IoBoard | None = None

    async def until(self, true: Callable[[], bool], what: str = "it") -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < end_s, f"never: {what}; {self.events}"
            await asyncio.sleep(0.002)

    async def body(self, *barriers: str) -> None:
        """Somebody blocks these barriers one after the other, with an overlap, as bodies do."""
        for before, barrier in zip(("", *barriers), (*barriers, ""), strict=True):
            if barrier:
                self.put(barrier, True)
                await asyncio.sleep(0.05)
            if before:
                self.put(before, False)
                await asyncio.sleep(0.05)

    def bodies(self) -> list[Event]:
        return [event for event in self.events if isinstance(event, BodyPassed)]


@contextlib.asynccontextmanager
async def running(rig_of: Callable[["Rig", Sensors, Wanted], Turnstile], rig: Rig) -> AsyncIterator[Rig]:
    def feed(event: Event) -> bool:
        rig.events.append(event)
        return True

    sensors = Sensors(feed, lambda: rig.settled[-1], DEBOUNCE_MS)
    rig.driver = rig_of(rig, sensors, Wanted(exit_free=True))
    task = asyncio.create_task(rig.driver.run())

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    rig.stop = stop
    try:
        await rig.until(lambda: rig.out("exit_bolt"), "the exit is free from the start")
        # The bolt's contact is told once, with the first reading.
        await rig.until(lambda: any(isinstance(event, BoltSensed) for event in rig.events), "the first reading")
        yield rig
    finally:
        await stop()


def _rig() -> Rig:
    async def nothing() -> None:
        pass

    return Rig(driver=None, out=lambda name: False, put=lambda name, on: None, events=[], stop=nothing)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def modbus() -> AsyncIterator[Rig]:
    async with IoBoard() as board:
        rig = _rig()
        rig.board = board
        # The exit's coil locks: without power the way out is free.
        rig.out = lambda name: board.coils[OUTPUTS.index(name)] != (name == "exit_bolt")
        rig.put = lambda name, on: board.set_input(INPUTS.index(name), on)

        def make(rig: Rig, sensors: Sensors, wanted: Wanted) -> Turnstile:
            return ModbusTurnstile(
                lambda: tcp_client(board.host, board.port),
                io_board.UNIT_ID,
                WATCHDOG_MS,
                wanted,
                sensors,
                now_ms,
                lambda reason, began: rig.troubles.append((reason, began)),
                rig.moved.append,
            )

        async with running(make, rig):
            yield rig


@contextlib.asynccontextmanager
async def gpio() -> AsyncIterator[Rig]:
    factory = MockFactory()
    rig = _rig()
    inverted = frozenset({"exit_bolt"})

    def out(name: str) -> bool:
        return bool(factory.pin(PINS[name]).state) != (name in inverted)

    def put(name: str, on: bool) -> None:
        pin = factory.pin(PINS[name])
        if on:
            pin.drive_high()
        else:
            pin.drive_low()

    rig.out, rig.put = out, put

    def make(rig: Rig, sensors: Sensors, wanted: Wanted) -> Turnstile:
        pins = GpiozeroPins(PINS, inverted, factory)
        for name in INPUTS:
            put(name, False)
        return GpioTurnstile(pins, wanted, sensors, now_ms, rig.moved.append)

    try:
        async with running(make, rig):
            yield rig
    finally:
        factory.reset()


Make = Callable[[], AbstractAsyncContextManager[Rig]]


@pytest.fixture(params=[modbus, gpio], ids=["modbus", "gpio"])
def make(request: pytest.FixtureRequest) -> Make:
    chosen: Make = request.param
    return chosen


def on(make: Make, work: Callable[[Rig], Awaitable[None]]) -> None:
    async def run() -> None:
        async with make() as rig:
            await work(rig)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_release_opens_and_a_lock_closes(make: Make) -> None:
    async def work(rig: Rig) -> None:
        rig.driver.set_bolt(ENTRY, True, now_ms() + 5000)
        await rig.until(lambda: rig.out("entry_bolt"))
        rig.driver.set_bolt(ENTRY, False, None)
        await rig.until(lambda: not rig.out("entry_bolt"))
        await rig.until(lambda: rig.moved[-2:] == [True, False], "told of both")

    on(make, work)


def test_a_release_that_comes_too_late_never_opens(make: Make) -> None:
    async def work(rig: Rig) -> None:
        rig.driver.set_bolt(ENTRY, True, now_ms())
        rig.driver.show(GREEN, ())  # what came after it has been written, so it had its chance
        await rig.until(lambda: rig.out("lamp_green"))
        assert True not in rig.moved

    on(make, work)


def test_a_release_ends_by_itself_when_nobody_locks(make: Make) -> None:
    async def work(rig: Rig) -> None:
        rig.driver.set_bolt(ENTRY, True, now_ms() + 150)
        await rig.until(lambda: rig.out("entry_bolt"))
        await rig.until(lambda: not rig.out("entry_bolt"))

    on(make, work)


def test_the_exit_can_be_locked_and_freed(make: Make) -> None:
    async def work(rig: Rig) -> None:
        rig.driver.set_bolt(EXIT, False, None)
        await rig.until(lambda: not rig.out("exit_bolt"))
        rig.driver.set_bolt(EXIT, True, None)
        await rig.until(lambda: rig.out("exit_bolt"))

    on(make, work)


def test_lamps_replace_each_other_and_the_buzzer_falls_silent(make: Make) -> None:
    async def work(rig: Rig) -> None:
        rig.driver.show(GREEN, (60, 60, 60))
        await rig.until(lambda: rig.out("lamp_green") and rig.out("buzzer"), "green and a tone")
        rig.driver.show(RED, (60,))
        await rig.until(lambda: rig.out("lamp_red") and not rig.out("lamp_green"), "red alone")
        await rig.until(lambda: not rig.out("buzzer"), "silence")

    on(make, work)


def test_bodies_are_told_with_their_direction(make: Make) -> None:
    async def work(rig: Rig) -> None:
        await rig.body("barrier_a", "barrier_b")
        await rig.until(lambda: rig.bodies() == [BodyPassed(ENTRY)], "inward")
        await rig.body("barrier_b", "barrier_a")
        await rig.until(lambda: rig.bodies() == [BodyPassed(ENTRY), BodyPassed(EXIT)], "outward")
        await rig.body("barrier_a")
        await rig.until(lambda: rig.events[-1] == PassageBusy(False), "stepped back")
        assert len(rig.bodies()) == 2

    on(make, work)


def test_a_bouncing_barrier_is_one_change(make: Make) -> None:
    async def work(rig: Rig) -> None:
        busy = rig.events.count(PassageBusy(True))
        for _ in range(10):
            rig.put("barrier_a", True)
            rig.put("barrier_a", False)
        rig.put("barrier_a", True)
        await rig.until(lambda: rig.events.count(PassageBusy(True)) == busy + 1)
        rig.put("barrier_a", False)
        await rig.until(lambda: rig.events[-1] == PassageBusy(False))
        assert rig.events.count(PassageBusy(True)) == busy + 1

    on(make, work)


def test_the_emergency_loop_and_the_bolts_contact_are_told(make: Make) -> None:
    async def work(rig: Rig) -> None:
        rig.put("emergency", True)
        await rig.until(lambda: EmergencyInput(True) in rig.events)
        rig.put("emergency", False)
        await rig.until(lambda: EmergencyInput(False) in rig.events)
        rig.put("bolt_contact", True)
        await rig.until(lambda: BoltSensed(ENTRY, True) in rig.events)

    on(make, work)


def test_stopped_it_leaves_the_entry_locked_and_the_exit_free(make: Make) -> None:
    async def work(rig: Rig) -> None:
        rig.driver.set_bolt(ENTRY, True, now_ms() + 60_000)
        rig.driver.set_bolt(EXIT, False, None)
        await rig.until(lambda: rig.out("entry_bolt") and not rig.out("exit_bolt"))
        await rig.stop()
        assert not rig.out("entry_bolt")
        assert rig.out("exit_bolt")
        rig.driver.set_bolt(ENTRY, True, now_ms() + 60_000)  # a wish that comes after the end
        assert not rig.out("entry_bolt")

    on(make, work)


# What only a board on a wire can do to us


def test_the_boards_exit_coil_locks_so_that_a_fallen_board_frees_the_exit() -> None:
    async def work(rig: Rig) -> None:
        assert rig.board is not None
        rig.driver.set_bolt(EXIT, False, None)
        await rig.until(lambda: rig.board is not None and rig.board.coils[io_board.COIL_EXIT])
        await rig.stop()
        assert not rig.board.coils[io_board.COIL_EXIT]

    on(modbus, work)


def test_a_board_that_comes_back_gets_the_wanted_state_and_no_stale_release() -> None:
    async def work(rig: Rig) -> None:
        board = rig.board
        assert board is not None
        rig.driver.show(RED, ())
        rig.driver.set_bolt(ENTRY, True, now_ms() + 60_000)
        await rig.until(lambda: rig.out("entry_bolt"))
        board.power(False)
        await rig.until(lambda: rig.troubles == [("turnstile_lost", True)], "told once")
        assert rig.events[-1] == PassageBusy(True)
        rig.driver.set_bolt(ENTRY, True, now_ms() + 30)
        await asyncio.sleep(0.05)  # the deadline passes while nothing can be done: that is the test
        moves: list[tuple[int, bool]] = []
        board.on_coil = lambda coil, value, at_s: moves.append((coil, value))
        board.power(True)
        await rig.until(lambda: rig.out("lamp_red"), "rewritten")
        await rig.until(lambda: rig.troubles[-1] == ("turnstile_lost", False), "told that it is back")
        assert (io_board.COIL_ENTRY, True) not in moves
        assert board.watchdog_ms == WATCHDOG_MS

        rig.driver.set_bolt(ENTRY, True, now_ms() + 60_000)
        await rig.until(lambda: rig.out("entry_bolt"))

    on(modbus, work)


def test_blind_while_a_release_is_open_stays_in_doubt_until_it_has_settled() -> None:
    async def work(rig: Rig) -> None:
        assert rig.board is not None
        rig.settled.append(False)
        rig.board.power(False)
        await rig.until(lambda: rig.events[-1] == PassageBusy(True), "blind")
        rig.board.power(True)
        await rig.until(lambda: rig.troubles[-1:] == [("turnstile_lost", False)], "sees again")
        await rig.body("barrier_a", "barrier_b")
        await rig.until(lambda: rig.bodies() == [BodyPassed(ENTRY)], "bodies are told all the same")
        assert rig.events[-1] != PassageBusy(False)
        rig.settled.append(True)
        await rig.until(lambda: rig.events[-1] == PassageBusy(False), "no doubt any more")

    on(modbus, work)


def test_a_board_that_is_silent_or_refuses_is_trouble_and_is_tried_again() -> None:
    async def work(rig: Rig) -> None:
        assert rig.board is not None
        rig.board.silent = True
        await rig.until(lambda: rig.troubles == [("turnstile_lost", True)], "silent")
        rig.board.silent = False
        await rig.until(lambda: rig.troubles[-1] == ("turnstile_lost", False), "speaks")
        rig.board.exception = io_board.DEVICE_BUSY
        await rig.until(lambda: rig.troubles[-1] == ("turnstile_lost", True), "refuses")
        rig.board.exception = None
        await rig.until(lambda: rig.troubles[-1] == ("turnstile_lost", False), "obeys")

    on(modbus, work)


def test_coils_that_somebody_else_dropped_are_put_back() -> None:
    async def work(rig: Rig) -> None:
        assert rig.board is not None
        rig.driver.show(RED, ())
        await rig.until(lambda: rig.out("lamp_red"))
        rig.board._bite()  # as its watchdog does
        assert not rig.out("lamp_red")
        await rig.until(lambda: rig.out("lamp_red"))

    on(modbus, work)


def test_a_polled_board_never_lets_its_watchdog_fall() -> None:
    async def work(rig: Rig) -> None:
        assert rig.board is not None
        end_s = time.monotonic() + 3 * WATCHDOG_MS / 1000
        await rig.until(lambda: time.monotonic() > end_s, "time passes")
        assert rig.board.falls == 0

    on(modbus, work)
