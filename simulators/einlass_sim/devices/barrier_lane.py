"""A car lane in real time: the barrier's physics joined to the IO board that a node drives.

    async with BarrierLane() as lane:           # lane.board.host, lane.board.port
        fate = await lane.car_comes("ABC")      # DroveIn or WentBack, when it has left the lane
        lane.plant.contacts                     # truth: how often boom and car met
        lane.press_emergency(True)

lane.on_output gets every Output of the plant. Coils: 0 raise, 1 lower, 2 green (3 red, 4 yellow, 5 buzzer are only
lamps); inputs: 0 loop A, 1 loop B, 2 emergency, 3 boom up, 4 boom down, 5 the button for a ticket, 6 a
ticket in the printer's mouth.
"""

import asyncio
import random
from collections.abc import Callable
from types import TracebackType

from einlass_sim.barrier import LOOP_A, LOOP_B, UP, Barrier, DroveIn, LimitEdge, LoopEdge, Manner, Output, WentBack
from einlass_sim.devices.io_board import COIL_GREEN, IoBoard
from einlass_sim.devices.real_time import RealTime

COIL_RAISE, COIL_LOWER = 0, 1
INPUT_LOOP_A, INPUT_LOOP_B, INPUT_EMERGENCY, INPUT_UP, INPUT_DOWN, INPUT_BUTTON, INPUT_PAPER = range(7)
INPUTS = 7

Fate = DroveIn | WentBack


class BarrierLane:
    """Physics and board of one lane, on the event loop's clock."""

    def __init__(self, rng: random.Random | None = None, plant: Barrier | None = None) -> None:
        self.board = IoBoard(inputs=INPUTS)
        self.plant = plant or Barrier(rng or random.Random())
        self.on_output: list[Callable[[Output], None]] = []
        self._fates: dict[str, asyncio.Future[Fate]] = {}
        self._time = RealTime(self.plant, self._deliver)

    async def __aenter__(self) -> "BarrierLane":
        self._time.start()
        self.board.on_coil = lambda coil, value, at_s: self._coils()
        self.board.set_input(INPUT_DOWN, True)
        await self.board.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._time.stop()
        await self.board.stop()
        for fate in self._fates.values():
            fate.cancel()

    async def car_comes(
        self, car: str, manner: Manner = Manner.DRIVE, length_mm: int | None = None, patience_ms: int | None = None
    ) -> Fate:
        """A car joins the queue; what became of it. ValueError when it is here already."""
        if car in self._fates:
            raise ValueError(f"{car} is here already")
        fate: asyncio.Future[Fate] = asyncio.get_running_loop().create_future()
        self._fates[car] = fate
        try:
            self._time.catch_up()
            self.plant.arrive(car, manner, length_mm, patience_ms)
            self._time.catch_up()
            return await fate
        finally:
            self._fates.pop(car, None)

    def withdraw(self, car: str) -> bool:
        """See Barrier.withdraw."""
        self._time.catch_up()
        done = self.plant.withdraw(car)
        self._time.catch_up()
        return done

    def press_emergency(self, pressed: bool) -> None:
        """The button by the lane, or the fire alarm's contact."""
        self.board.set_input(INPUT_EMERGENCY, pressed)

    def press_button(self, pressed: bool) -> None:
        """The driver's window is open, and a hand on the button."""
        self.board.set_input(INPUT_BUTTON, pressed)

    def jam_boom(self, jammed: bool) -> None:
        """See Barrier.jam_boom."""
        self._time.catch_up()
        self.plant.jam_boom(jammed)
        self._time.catch_up()

    def _coils(self) -> None:
        if not self._time.runs:
            return
        self._time.catch_up()
        self.plant.drive(self.board.coils[COIL_RAISE], self.board.coils[COIL_LOWER])
        self.plant.set_green(self.board.coils[COIL_GREEN])
        self._time.catch_up()

    def _deliver(self, output: Output) -> None:
        if isinstance(output, LoopEdge):
            self.board.set_input({LOOP_A: INPUT_LOOP_A, LOOP_B: INPUT_LOOP_B}[output.loop], output.occupied)
        elif isinstance(output, LimitEdge):
            self.board.set_input(INPUT_UP if output.limit == UP else INPUT_DOWN, output.on)
        elif isinstance(output, DroveIn | WentBack):
            fate = self._fates.get(output.car)
            if fate and not fate.done():
                fate.set_result(output)
        for tell in self.on_output:
            tell(output)
