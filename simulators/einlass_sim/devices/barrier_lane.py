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

COIL_RAISE, COIL_LOWER = 0, 1
INPUT_LOOP_A, INPUT_LOOP_B, INPUT_EMERGENCY, INPUT_UP, INPUT_DOWN, INPUT_BUTTON, INPUT_PAPER = range(7)
INPUTS = 7
LATE_MS = 5

Fate = DroveIn | WentBack


class BarrierLane:
    """Physics and board of one lane, on the event loop's clock."""

    def __init__(self, rng: random.Random | None = None, plant: Barrier | None = None) -> None:
        self.board = IoBoard(inputs=INPUTS)
        self.plant = plant or Barrier(rng or random.Random())
        self.on_output: list[Callable[[Output], None]] = []
        self._fates: dict[str, asyncio.Future[Fate]] = {}
        self._start_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> "BarrierLane":
        self._loop = asyncio.get_running_loop()
        self._start_s = self._loop.time() - self.plant.now_ms / 1000
        self.board.on_coil = lambda coil, value, at_s: self._coils()
        self.board.set_input(INPUT_DOWN, True)
        await self.board.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop = None
        if self._timer:
            self._timer.cancel()
        await self.board.stop()
        for fate in self._fates.values():
            fate.cancel()

    async def car_comes(
        self, car: str, manner: Manner = Manner.DRIVE, length_mm: int | None = None, patience_ms: int | None = None
    ) -> Fate:
        """A car joins the queue; what became of it. ValueError when it is here already."""
        if car in self._fates:
            raise ValueError(f"{car} is here already")
        assert self._loop is not None
        fate: asyncio.Future[Fate] = self._loop.create_future()
        self._fates[car] = fate
        try:
            self._run()
            self.plant.arrive(car, manner, length_mm, patience_ms)
            self._run()
            return await fate
        finally:
            self._fates.pop(car, None)

    def withdraw(self, car: str) -> bool:
        """See Barrier.withdraw."""
        self._run()
        done = self.plant.withdraw(car)
        self._run()
        return done

    def press_emergency(self, pressed: bool) -> None:
        """The button by the lane, or the fire alarm's contact."""
        self.board.set_input(INPUT_EMERGENCY, pressed)

    def press_button(self, pressed: bool) -> None:
        """The driver's window is open, and a hand on the button."""
        self.board.set_input(INPUT_BUTTON, pressed)

    def jam_boom(self, jammed: bool) -> None:
        """See Barrier.jam_boom."""
        self._run()
        self.plant.jam_boom(jammed)
        self._run()

    def _coils(self) -> None:
        if self._loop is None:
            return
        self._run()
        self.plant.drive(self.board.coils[COIL_RAISE], self.board.coils[COIL_LOWER])
        self.plant.set_green(self.board.coils[COIL_GREEN])
        self._run()

    def _run(self) -> None:
        """Let the plant's time catch up, pass on what happened, and come back when more will."""
        loop = self._loop
        assert loop is not None
        now_ms, next_ms = int(1000 * (loop.time() - self._start_s)), self.plant.next_ms
        if next_ms is not None and now_ms > next_ms + LATE_MS:
            # This program was held up: the world stands still for so long, else sensors would miss half of a car.
            self._start_s += (now_ms - next_ms) / 1000
            now_ms = next_ms
        for output in self.plant.advance(max(self.plant.now_ms, now_ms)):
            self._deliver(output)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self.plant.next_ms is not None:
            self._timer = loop.call_at(self._start_s + self.plant.next_ms / 1000, self._run)

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
