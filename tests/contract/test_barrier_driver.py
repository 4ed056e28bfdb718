"""The barrier's driver over Modbus, a board, a boom and cars, in real time: through, under, cut off, emergency."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from einlass_core.events import ENTRY, EXIT, BodyPassed, BoltSensed, EmergencyInput, Event, PassageBusy
from einlass_core.signals import GREEN
from einlass_edge.clock import now_ms
from einlass_edge.drivers.barrier_modbus import BUTTON, CAR_WAITING, ModbusBarrier
from einlass_edge.drivers.boom import Boom, CarPassage
from einlass_edge.drivers.outputs import Wanted
from einlass_edge.drivers.sensors import Sensors
from einlass_edge.drivers.turnstile_modbus import tcp_client
from einlass_sim.barrier import DOWN, LOOP_A, LOOP_B, UP, Barrier, DroveIn, Manner, WentBack
from einlass_sim.devices.barrier_lane import COIL_LOWER, COIL_RAISE, BarrierLane
from einlass_sim.devices.io_board import COIL_GREEN, UNIT_ID

DEADLINE_S = 30.0
DEBOUNCE_MS = 15
WATCHDOG_MS = 2000
# That nothing moves can only be seen by looking for a while.
STILL_S = 0.3


class Lane:
    """A driver and its lane, with what the driver told."""

    def __init__(self, sim: BarrierLane) -> None:
        self.sim = sim
        self.plant = sim.plant
        self.events: list[Event] = []
        self.troubles: list[tuple[str, bool]] = []
        self.asked: list[tuple[str, bool]] = []
        sensors = Sensors(self._feed, lambda: True, DEBOUNCE_MS, CarPassage)
        self.driver = ModbusBarrier(
            lambda: tcp_client(sim.board.host, sim.board.port),
            UNIT_ID,
            WATCHDOG_MS,
            Wanted(exit_free=False),
            sensors,
            now_ms,
            lambda reason, on: self.troubles.append((reason, on)),
            asked=lambda what, on: self.asked.append((what, on)),
            boom=Boom(clear_ms=100, run_ms_max=2500),
        )

    def _feed(self, event: Event) -> bool:
        self.events.append(event)
        return True

    def passed(self, side: str) -> int:
        return sum(isinstance(event, BodyPassed) and event.side == side for event in self.events)

    async def until(self, true: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < end_s, f"never: {what}; {self.events} {self.troubles} {self.plant.in_lane()}"
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def lane() -> AsyncIterator[Lane]:
    plant = Barrier(
        random.Random(4), raise_ms=400, lower_ms=800, motor_ms=20, speed_mm_s=(4000, 4000), stall_ms=(300, 500)
    )
    async with BarrierLane(plant=plant) as sim:
        it = Lane(sim)
        task = asyncio.create_task(it.driver.run())
        try:
            await it.until(lambda: any(isinstance(event, BoltSensed) for event in it.events), "the first reading")
            yield it
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert not sim.board.coils[COIL_RAISE]
            assert not sim.board.coils[COIL_LOWER]


def run(talk: Callable[[Lane], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with lane() as it:
            await talk(it)
            assert it.plant.contacts == 0

    asyncio.run(asyncio.wait_for(whole(), 90))


def test_a_car_waits_drives_in_and_is_counted_and_the_boom_closes_behind_it() -> None:
    async def talk(it: Lane) -> None:
        car = asyncio.create_task(it.sim.car_comes("ABC", length_mm=2500))
        await it.until(lambda: it.plant.loop_occupied(LOOP_A) and it.plant.waiting_car() == "ABC", "at the stop line")
        assert PassageBusy(True) not in it.events, "waiting is no passage"
        it.sim.press_button(True)
        await it.until(lambda: (BUTTON, True) in it.asked, "the button")
        it.sim.press_button(False)
        await it.until(lambda: it.asked == [(CAR_WAITING, True), (BUTTON, True), (BUTTON, False)], "both, once")
        it.driver.show(GREEN, ())
        it.driver.set_bolt(ENTRY, True, None)
        await it.until(lambda: it.plant.loop_occupied(LOOP_B), "under the boom")
        it.driver.set_bolt(ENTRY, False, None)
        assert isinstance(await car, DroveIn)
        await it.until(lambda: it.passed(ENTRY) == 1, "counted")
        await it.until(lambda: it.plant.limit(DOWN), "closed")
        assert it.passed(EXIT) == 0
        assert it.sim.board.coils[COIL_GREEN]
        assert not it.troubles

    run(talk)


def test_the_boom_stays_up_over_a_car_that_stops_under_it_and_that_backs_out_again() -> None:
    async def talk(it: Lane) -> None:
        car = asyncio.create_task(it.sim.car_comes("ABC", Manner.BACK_OUT, 4500))
        await it.until(lambda: it.plant.waiting_car() == "ABC", "at the stop line")
        # The release is over before the car has moved on: what counts at the boom is the loop.
        it.driver.set_bolt(ENTRY, True, now_ms() + 20_000)
        # Seen, too: before that the boom may start down, and goes up again.
        await it.until(lambda: it.plant.loop_occupied(LOOP_B) and PassageBusy(True) in it.events, "under the boom")
        it.driver.set_bolt(ENTRY, False, None)
        while it.plant.loop_occupied(LOOP_B):
            assert not it.sim.board.coils[COIL_LOWER]
            await asyncio.sleep(0.02)
        assert isinstance(await car, WentBack)
        await it.until(lambda: it.plant.limit(DOWN), "closed")
        assert it.passed(ENTRY) == 0

    run(talk)


def test_a_release_ends_by_itself_and_a_cut_off_board_leaves_the_boom_alone() -> None:
    async def talk(it: Lane) -> None:
        it.driver.set_bolt(ENTRY, True, now_ms() + 2500)
        await it.until(lambda: it.plant.boom_per_mille() > 0, "it rises")
        await it.until(lambda: it.plant.boom_per_mille() == 0, "it closes by itself")
        it.driver.set_bolt(ENTRY, True, None)
        await it.until(lambda: it.plant.limit(UP), "up")
        it.sim.press_button(True)
        await it.until(lambda: it.asked == [(BUTTON, True)], "the button")
        it.sim.board.power(False)
        await it.until(lambda: ("barrier_lost", True) in it.troubles, "lost")
        assert it.asked[-1] == (BUTTON, False), "a board that cannot be read asks for nothing"
        it.driver.set_bolt(ENTRY, False, None)
        await asyncio.sleep(STILL_S)
        assert it.plant.limit(UP)
        it.sim.board.power(True)
        await it.until(lambda: it.plant.limit(DOWN), "closed after the board is back")
        assert ("barrier_lost", False) in it.troubles

    run(talk)


def test_an_emergency_raises_it_and_a_jammed_boom_is_told() -> None:
    async def talk(it: Lane) -> None:
        it.sim.press_emergency(True)
        await it.until(lambda: it.plant.limit(UP), "up")
        await it.until(lambda: EmergencyInput(True) in it.events, "told")
        it.sim.press_emergency(False)
        await it.until(lambda: it.plant.limit(DOWN), "down again")
        it.sim.jam_boom(True)
        it.driver.set_bolt(ENTRY, True, None)
        await it.until(lambda: ("boom_stuck", True) in it.troubles, "stuck")
        await it.until(lambda: not it.sim.board.coils[COIL_RAISE], "the motor is spared")
        it.sim.jam_boom(False)
        it.driver.set_bolt(ENTRY, False, None)
        it.driver.set_bolt(ENTRY, True, None)

    run(talk)
