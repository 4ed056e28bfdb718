"""One simulated lane in real time: a turnstile's physics joined to the real ends that a node drives.

    async with pi_lane("west", directory) as lane:        # an IO board (lane.board) and two scanners
    async with esp32_lane("east", PINS, directory) as lane:   # lane.address is the board's BOARD_SIM; two scanners
        scan = await lane.hold(ENTRY, "E1:...")           # a visitor shows a code
        await scan.released(3.0)                          # the bolt's coil went up; scan.latency_ms
        what = await lane.person_goes(ENTRY)              # BodyWentIn, BodyWentOut, TurnedBack or GaveUp
        lane.press_emergency(True)
        lane.view()                                       # everything a page draws, as JSON-able values

lane.on_output gets every Output of the plant (truth and sensors), lane.on_signal every lamp, buzzer and bolt coil.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from einlass_core.events import ENTRY, EXIT
from einlass_sim.devices.io_board import (
    COIL_BUZZER,
    COIL_ENTRY,
    COIL_EXIT,
    COIL_GREEN,
    COIL_RED,
    COIL_YELLOW,
    INPUT_BARRIER_A,
    INPUT_BARRIER_B,
    INPUT_BOLT_ENTRY,
    INPUT_EMERGENCY,
    IoBoard,
)
from einlass_sim.devices.pins import PinServer
from einlass_sim.devices.real_time import RealTime
from einlass_sim.devices.scanner import Scanner, Typed
from einlass_sim.people import Behaviour
from einlass_sim.plant import (
    BARRIER_A,
    BARRIER_B,
    BarrierEdge,
    BodyWentIn,
    BodyWentOut,
    BoltMoved,
    GaveUp,
    Output,
    TurnedBack,
    Turnstile,
)

BOLT_ENTRY, BOLT_EXIT = "bolt_entry", "bolt_exit"
LAMPS = {"lamp_green": "green", "lamp_red": "red", "lamp_yellow": "yellow"}
BUZZER = "buzzer"
BARRIERS = {BARRIER_A: "barrier_a", BARRIER_B: "barrier_b"}
EMERGENCY = "emergency"
BOLT_FEEDBACK = "bolt_entry_sensed"
OUTPUTS = (BOLT_ENTRY, BOLT_EXIT, *LAMPS, BUZZER)
INPUTS = (*BARRIERS.values(), EMERGENCY, BOLT_FEEDBACK)

PATIENCE_MS = 10_000
SCANS_KEPT = 1000

Fate = BodyWentIn | BodyWentOut | TurnedBack | GaveUp
OutputCallback = Callable[[str, bool, float], None]


class Ends(Protocol):
    """The electrical side of a lane: named outputs of a node come out of it, named inputs go in."""

    def listen(self, on_output: OutputCallback, on_power: Callable[[], None]) -> None:
        """Whom to tell of outputs (name, on, time.monotonic()) and that `powered` may have changed."""

    def set_input(self, name: str, on: bool) -> None:
        """Drive one of INPUTS; on is the meaning, whatever the level."""

    @property
    def powered(self) -> bool:
        """False: nothing drives the bolts; they fall to where the mechanics hold them."""


class BoardEnds:
    """A Pi's lane: the coils and inputs of an IO board."""

    _OUTPUTS = {
        COIL_ENTRY: BOLT_ENTRY,
        COIL_EXIT: BOLT_EXIT,
        COIL_GREEN: "lamp_green",
        COIL_RED: "lamp_red",
        COIL_YELLOW: "lamp_yellow",
        COIL_BUZZER: BUZZER,
    }
    _INPUTS = {
        "barrier_a": INPUT_BARRIER_A,
        "barrier_b": INPUT_BARRIER_B,
        EMERGENCY: INPUT_EMERGENCY,
        BOLT_FEEDBACK: INPUT_BOLT_ENTRY,
    }

    def __init__(self, board: IoBoard) -> None:
        self._board = board

    def listen(self, on_output: OutputCallback, on_power: Callable[[], None]) -> None:
        """See Ends."""
        # The exit's coil locks, so that a board without power leaves the way out free; its signal says "free".
        self._board.on_coil = lambda coil, value, at_s: on_output(
            self._OUTPUTS[coil], value != (coil == COIL_EXIT), at_s
        )
        on_output(BOLT_EXIT, True, time.monotonic())
        self._board.on_power = on_power

    def set_input(self, name: str, on: bool) -> None:
        """See Ends."""
        self._board.set_input(self._INPUTS[name], on)

    @property
    def powered(self) -> bool:
        """Without power, or with its watchdog fallen, the board drives nothing."""
        return self._board.powered and not self._board.fallen


class PinEnds:
    """An ESP32's lane: the pins of whatever board is connected to `pins`. While none is, nothing drives the bolts.

    numbers: GPIO by name; active_low: names whose meaning is the low level (wiring() has both from a board profile);
    the bolt's contact, bolt_entry_sensed, may be missing. on_bite: the board's watchdog was not fed.
    """

    def __init__(
        self, numbers: Mapping[str, int], active_low: Collection[str] = (), on_bite: Callable[[], None] | None = None
    ) -> None:
        missing = [name for name in (*OUTPUTS, *INPUTS) if name not in numbers and name != BOLT_FEEDBACK]
        if missing:
            raise ValueError(f"no pin is given for {', '.join(missing)}")
        self.pins = PinServer(on_pin=self._pin, on_bite=on_bite, on_link=self._link, on_pwm=self._pwm)
        self.on_link: Callable[[bool], None] | None = None
        self._numbers = dict(numbers)
        self._names = {number: name for name, number in numbers.items() if name in OUTPUTS}
        self._active_low = frozenset(active_low)
        self._on_output: OutputCallback | None = None
        self._on_power: Callable[[], None] | None = None

    def listen(self, on_output: OutputCallback, on_power: Callable[[], None]) -> None:
        """See Ends."""
        self._on_output, self._on_power = on_output, on_power

    def set_input(self, name: str, on: bool) -> None:
        """See Ends."""
        if name in self._numbers:
            self.pins.set_pin(self._numbers[name], int(on != (name in self._active_low)))

    @property
    def powered(self) -> bool:
        """A board is connected."""
        return self.pins.connected

    def _link(self, up: bool) -> None:
        if self._on_output:
            for name in OUTPUTS:
                # A pin that the board does not drive yet is pulled low.
                self._on_output(name, up and name in self._active_low, time.monotonic())
        if self._on_power:
            self._on_power()
        if self.on_link:
            self.on_link(up)

    def _pin(self, pin: int, value: int) -> None:
        name = self._names.get(pin)
        if name and self._on_output:
            self._on_output(name, bool(value) != (name in self._active_low), time.monotonic())

    def _pwm(self, pin: int, _freq_hz: int, duty: int) -> None:
        name = self._names.get(pin)
        if name and self._on_output:
            self._on_output(name, duty > 0, time.monotonic())


def wiring(profile: Mapping[str, Any]) -> tuple[dict[str, int], set[str]]:
    """GPIO by name and the names that are active low, of a board profile's "lines"; KeyError when it has none."""
    lines = profile["lines"]
    return {name: line["pin"] for name, line in lines.items()}, {
        n for n, line in lines.items() if line.get("active_low")
    }


@dataclass(eq=False)
class Scan:
    """One code that was held, and what the bolt of that side did about it; times of time.monotonic()."""

    side: str
    code: str | bytes
    typed: Typed | None = None
    bolt_at_s: float | None = None
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def latency_ms(self) -> float | None:
        """From the last byte on the line to the bolt's coil; None: it has not released."""
        if self.typed is None or self.bolt_at_s is None:
            return None
        return 1000 * (self.bolt_at_s - self.typed.last_byte_s)

    async def released(self, timeout_s: float) -> bool:
        """Wait for the bolt's coil; False when it stayed down."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._released.wait()
        except TimeoutError:
            return False
        return True

    def _bolt(self, at_s: float) -> None:
        self.bolt_at_s = at_s
        self._released.set()


class SimulatedLane:
    """Physics and ends of one lane, driven by the event loop's clock from start() to stop()."""

    def __init__(self, name: str, ends: Ends, readers: Mapping[str, Scanner], plant: Turnstile) -> None:
        self.name = name
        self.plant = plant
        self.readers = dict(readers)
        self.board: IoBoard | None = None
        self.pins: PinServer | None = None
        self.address = ""
        self.signals = dict.fromkeys(OUTPUTS, False)
        self.emergency = False
        self.scans: deque[Scan] = deque(maxlen=SCANS_KEPT)
        self.on_output: list[Callable[[Output], None]] = []
        self.on_signal: list[Callable[[str, bool, float], None]] = []
        self._ends = ends
        self._open_scans: dict[str, Scan] = {}
        self._fates: dict[str, asyncio.Future[Fate]] = {}
        self._people = 0
        self._lamp_waiters: list[tuple[bool, asyncio.Future[str | None]]] = []
        self._time = RealTime(plant, self._deliver)

    def start(self) -> None:
        """Begin: time runs, inputs are at rest, the bolts are where no power leaves them."""
        self._time.start()
        self._ends.listen(self._output, self._bolts)
        for name in INPUTS:
            self._ends.set_input(name, False)
        self._bolts()

    def stop(self) -> None:
        """Time stops; whoever waits for a person's fate is cancelled."""
        self._time.stop()
        for fate in self._fates.values():
            fate.cancel()

    # -- visitors

    async def hold(self, side: str, code: str | bytes, hold_s: float = 0.0) -> Scan:
        """Hold a code before this side's reader; returns when it is away again. KeyError: there is no reader."""
        scan = Scan(side, code)
        self.scans.append(scan)
        self._open_scans[side] = scan
        scan.typed = await self.readers[side].hold(code)
        if hold_s:
            await self.readers[side].hold(code, hold_s)
        return scan

    async def person_goes(
        self,
        side: str,
        behaviour: Behaviour = Behaviour.WALK,
        *,
        person: str | None = None,
        patience_ms: int = PATIENCE_MS,
        follower: str | None = None,
    ) -> Fate:
        """Somebody goes to the arm; what became of them. ValueError when that person is here already."""
        self._people += 1
        person = person or f"{self.name}-{self._people}"
        if person in self._fates:
            raise ValueError(f"{person} is at {self.name} already")
        fate: asyncio.Future[Fate] = asyncio.get_running_loop().create_future()
        self._fates[person] = fate
        try:
            self._time.catch_up()
            self.plant.arrive(person, side, behaviour, patience_ms, follower)
            self._time.catch_up()
            return await fate
        finally:
            self._fates.pop(person, None)

    def press_emergency(self, pressed: bool) -> None:
        """The button by the lane (or the fire alarm's contact, or a cut wire)."""
        self.emergency = pressed
        self._ends.set_input(EMERGENCY, pressed)

    @property
    def lamp(self) -> str | None:
        """The colour that is lit; None: dark."""
        return next((colour for name, colour in LAMPS.items() if self.signals[name]), None)

    async def wait_lamp(self, lit: bool, timeout_s: float) -> str | None:
        """Wait until a lamp is lit, or until all are dark, if for a moment only; the colour then, or in the end."""
        if (self.lamp is not None) == lit:
            return self.lamp
        waiter: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._lamp_waiters.append((lit, waiter))
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter
        except TimeoutError:
            return self.lamp
        finally:
            self._lamp_waiters.remove((lit, waiter))

    # -- faults

    def jam_bolt(self, side: str, jammed: bool) -> None:
        """See Turnstile.jam_bolt."""
        self._time.catch_up()
        self.plant.jam_bolt(side, jammed)
        self._time.catch_up()

    def stick_barrier(self, barrier: str, blocked: bool | None) -> None:
        """See Turnstile.stick_barrier."""
        self._time.catch_up()
        self.plant.stick_barrier(barrier, blocked)
        self._time.catch_up()

    # -- looking

    def view(self) -> dict[str, Any]:
        """Everything a page shows of this lane now."""
        self._time.catch_up()
        now_ms = self.plant.now_ms
        return {
            "name": self.name,
            "powered": self._ends.powered,
            "emergency": self.emergency,
            "bolts": {side: self.plant.bolt_free(side) for side in (ENTRY, EXIT)},
            "arm_per_mille": self.plant.arm_per_mille(now_ms),
            "barriers": {barrier: self.plant.barrier_blocked(barrier) for barrier in BARRIERS},
            "lamp": self.lamp,
            "lamps": {colour: self.signals[name] for name, colour in LAMPS.items()},
            "buzzer": self.signals[BUZZER],
            "passage_mm": self.plant.in_passage(now_ms),
            "queues": {side: self.plant.queue(side) for side in (ENTRY, EXIT)},
            "bodies_in": self.plant.bodies_in,
            "bodies_out": self.plant.bodies_out,
        }

    # -- the join

    def _output(self, name: str, on: bool, at_s: float) -> None:
        rising = on and not self.signals[name]
        self.signals[name] = on
        if name in (BOLT_ENTRY, BOLT_EXIT):
            side = ENTRY if name == BOLT_ENTRY else EXIT
            if rising and side in self._open_scans:
                self._open_scans.pop(side)._bolt(at_s)
            self._bolts()
        for lit, waiter in self._lamp_waiters:
            if (self.lamp is not None) == lit and not waiter.done():
                waiter.set_result(self.lamp)
        for tell in self.on_signal:
            tell(name, on, at_s)

    def _bolts(self) -> None:
        if not self._time.runs:
            return
        self._time.catch_up()
        self.plant.set_bolt(ENTRY, self.signals[BOLT_ENTRY] and self._ends.powered)
        # The exit's bolt is held locked by power, so that without any the way out is free.
        self.plant.set_bolt(EXIT, self.signals[BOLT_EXIT] or not self._ends.powered)
        self._time.catch_up()

    def _deliver(self, output: Output) -> None:
        if isinstance(output, BarrierEdge):
            self._ends.set_input(BARRIERS[output.barrier], output.blocked)
        elif isinstance(output, BoltMoved):
            if output.side == ENTRY:
                self._ends.set_input(BOLT_FEEDBACK, output.free)
        else:
            fate = self._fates.get(output.person)
            if fate and not fate.done():
                fate.set_result(output)
        for tell in self.on_output:
            tell(output)


@asynccontextmanager
async def pi_lane(
    name: str,
    directory: Path,
    *,
    rng: random.Random | None = None,
    board: IoBoard | None = None,
    sides: Collection[str] = (ENTRY, EXIT),
    real_pacing: bool = True,
) -> AsyncIterator[SimulatedLane]:
    """A Raspberry Pi's lane; the readers' ttys are linked as <directory>/<name>-<side>."""
    rng = rng or random.Random()
    board = board or IoBoard()
    async with AsyncExitStack() as stack:
        readers = await _readers(stack, name, directory, sides, rng, real_pacing)
        lane = SimulatedLane(name, BoardEnds(board), readers, Turnstile(rng))
        lane.board = board
        await stack.enter_async_context(board)
        stack.callback(lane.stop)
        lane.start()
        yield lane


@asynccontextmanager
async def esp32_lane(
    name: str,
    numbers: Mapping[str, int],
    directory: Path,
    *,
    active_low: Collection[str] = (),
    on_bite: Callable[[], None] | None = None,
    rng: random.Random | None = None,
    sides: Collection[str] = (ENTRY, EXIT),
    real_pacing: bool = True,
) -> AsyncIterator[SimulatedLane]:
    """An ESP32's lane: its pin socket is <directory>/<name>-pins, the readers' ttys <directory>/<name>-<side>."""
    rng = rng or random.Random()
    ends = PinEnds(numbers, active_low, on_bite)
    async with AsyncExitStack() as stack:
        readers = await _readers(stack, name, directory, sides, rng, real_pacing)
        lane = SimulatedLane(name, ends, readers, Turnstile(rng))
        lane.pins = ends.pins

        def board_came_or_went(_up: bool) -> None:
            for reader in readers.values():
                reader.drop_unread()  # What a UART has received is lost with the board's memory.

        ends.on_link = board_came_or_went
        stack.callback(lane.stop)
        lane.start()
        stack.push_async_callback(ends.pins.stop)
        lane.address = await ends.pins.start(directory / f"{name}-pins")
        yield lane


async def _readers(
    stack: AsyncExitStack, name: str, directory: Path, sides: Collection[str], rng: random.Random, real_pacing: bool
) -> dict[str, Scanner]:
    return {
        side: await stack.enter_async_context(
            Scanner(directory / f"{name}-{side}", rng=random.Random(rng.random()), real_pacing=real_pacing)
        )
        for side in sides
    }
