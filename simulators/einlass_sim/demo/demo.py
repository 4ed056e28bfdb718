"""The demonstration as one object: parts, lanes, crowd and counts; the panel's Stage, the headless run's engine."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from einlass_core.events import ENTRY, EXIT
from einlass_core.profile import board as read_board
from einlass_hardware import board_text
from einlass_hardware.firmware import build
from einlass_sim.brokers import BrokerKind
from einlass_sim.crowd import Crowd, CrowdSettings, Visitors
from einlass_sim.demo import car_park, car_parts, parts
from einlass_sim.demo.car_park import CarPark
from einlass_sim.demo.office import Office, OfficeError
from einlass_sim.demo.parts import ESP32_NODE, PI_NODE, Part
from einlass_sim.demo.stage import StageError
from einlass_sim.demo.tally import Decided, Truth, percentiles
from einlass_sim.devices.board import Board
from einlass_sim.devices.camera import Camera
from einlass_sim.devices.lane import SimulatedLane, esp32_lane, pi_lane, wiring
from einlass_sim.people import Behaviour, Mix
from einlass_sim.processes import ProcessError, free_port

LOOK_S = 0.5
READY_S_MAX = 30.0
RESTART_S = 0.7
LAMP_S = 4.0
CROWD_S_MAX = 86_400.0
ARRIVALS_MAX = 600.0
# Nobody pushes in behind another: a body that no sensor can keep out would blur what is shown. The panel can send some.
_ENTRY_MIX = Mix(walk=0.95, hesitate=0.02, step_back=0.02, tailgate=0, stuck=0.01)
_EXIT_MIX = Mix(walk=0.97, hesitate=0.01, step_back=0.01, tailgate=0, stuck=0.01)

Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoSettings:
    """What the command line says."""

    directory: Path
    cap: int = 60
    arrivals_a_minute: float = 90.0
    broker: BrokerKind | None = None
    http_port: int = 0
    seed: int = 1


class Demo:
    """`async with Demo(settings, say) as demo:` starts everything; leaving it ends everything."""

    def __init__(self, settings: DemoSettings, say: Say) -> None:
        self.settings = settings
        self.ready_s = 0.0
        self.broker_kind = ""
        self.panel_url = ""
        self.parts: dict[str, Part] = {}
        self.lanes: dict[str, SimulatedLane] = {}
        self.decided = Decided((ESP32_NODE, PI_NODE))
        self.park: CarPark | None = None
        self._say = say
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._zones: list[dict[str, Any]] = []
        self._nodes: dict[str, bool] = {}
        self._controller_answers = False
        self._crowd: Crowd | None = None
        self._crowd_running = False
        self._arrivals_a_minute = settings.arrivals_a_minute
        self._visitors_task: asyncio.Task[None] | None = None
        self._holding: dict[tuple[str, str], asyncio.Lock] = {}

    # -- starting and ending

    async def __aenter__(self) -> Self:
        start_s = time.monotonic()
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        self.ready_s = time.monotonic() - start_s
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _start(self) -> None:
        settings = self.settings
        directory = settings.directory
        rng = random.Random(settings.seed)
        mqtt_port = free_port()
        http_port = settings.http_port or free_port()
        self._say("building the ESP32's firmware")
        building = asyncio.create_task(asyncio.to_thread(build, directory / "firmware"))
        self._say("making a site, its secrets and its database")
        prepared = await asyncio.to_thread(
            parts.prepare_site, directory, settings.cap, mqtt_port, http_port, car_park.prepare(directory)
        )
        self.office = Office(f"http://{parts.LOOPBACK}:{http_port}", prepared.api_key)
        broker, self.broker_kind = parts.broker_part(directory, settings.broker, mqtt_port, prepared.passwords)
        controller = parts.controller_part(directory, prepared)
        self.parts = {"broker": broker, "controller": controller}
        self._say(f"starting the broker ({self.broker_kind}) and the controller")
        await asyncio.to_thread(broker.start)
        await asyncio.to_thread(controller.start)
        await self._start_lanes(directory, rng, mqtt_port, prepared.passwords, await building)
        self.truth = Truth(self.lanes.values())
        self._say("starting an ESP32 node (MicroPython) and a Raspberry Pi node")
        for name in (ESP32_NODE, PI_NODE):
            await asyncio.to_thread(self.parts[name].start)
        self.run_beside(self._look())
        await self._until(lambda: self._controller_answers and all(self._nodes.get(n) for n in self.lanes))
        self.park = CarPark(directory, self.office, random.Random(rng.random()))
        await self.park.open(self._stack)
        self.run_beside(self._open_car_park(self.park, mqtt_port, prepared.passwords))

    async def _open_car_park(self, park: CarPark, mqtt_port: int, passwords: dict[str, str]) -> None:
        """Beside the pool, which does not wait for it."""
        self._say("opening the car park: entry, exit, pay station and sign")
        try:
            await park.start(mqtt_port, passwords, lambda part: self.parts.update({part.name: part}))
        except ProcessError as error:
            self._say(f"the car park stays closed: {error}")
            return
        heard: set[str] = set()
        while not heard >= set(park.parts):  # All at once may never be, where parts are being killed.
            heard |= {name for name in park.parts if self._nodes.get(name)}
            await asyncio.sleep(0.05)
        self._say("the car park is open")
        self.run_beside(park.look())
        await park.run()

    async def _start_lanes(
        self, directory: Path, rng: random.Random, mqtt_port: int, passwords: dict[str, str], firmware: Path
    ) -> None:
        enter = self._stack.enter_async_context
        profile = read_board(_profile())
        numbers, active_low = wiring(_profile())
        board: list[Board] = []
        ost = await enter(
            esp32_lane(
                ESP32_NODE,
                numbers,
                directory,
                active_low=active_low,
                on_bite=lambda: board[0].bite(),
                rng=random.Random(rng.random()),
            )
        )
        readers = {line.uart: str(directory / f"{ESP32_NODE}-{line.side}") for line in profile.readers}
        board.append(parts.esp32_board(directory, firmware, ost.address, readers, mqtt_port, passwords[ESP32_NODE]))
        west = await enter(pi_lane(PI_NODE, directory, rng=random.Random(rng.random())))
        self._camera = await enter(Camera(directory / "west-camera"))
        self.lanes = {ESP32_NODE: ost, PI_NODE: west}
        self.parts[ESP32_NODE] = parts.esp32_part(board[0])
        self.parts[PI_NODE] = parts.pi_part(directory, west, directory / "west-camera", mqtt_port, passwords[PI_NODE])

    async def _end(self) -> None:
        if self.park is not None:
            await self.park.end()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for part in reversed(self.parts.values()):
            await asyncio.to_thread(part.kill)
        await self._stack.aclose()

    def run_beside(self, work: Any) -> asyncio.Task[None]:
        """Run a coroutine until the demonstration ends."""
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(READY_S_MAX):
            while not ready():
                await asyncio.sleep(0.05)

    # -- looking

    async def _look(self) -> None:
        """What the controller says, again and again; while it is down the last figures stay, marked as old."""
        while True:
            try:
                self._zones = await self.office.zones()
                self._nodes = {node["id"]: node["online"] for node in await self.office.nodes()}
                await self.read_ledger()
                self._controller_answers = True
            except OfficeError:
                self._controller_answers = False
            await asyncio.sleep(LOOK_S if self.nodes_up() else LOOK_S / 5)

    async def read_ledger(self) -> None:
        """All that the ledger has and we have not; OfficeError while the controller is down."""
        while entries := await self.office.ledger(self.decided.number):
            if self.decided.number == 0 and entries[0]["number"] != 1:
                entries = await self.office.ledger(1) if entries[0]["number"] > 2 else entries
            self.decided.take(entries)

    def present(self) -> int | None:
        """Bodies inside as the controller last said."""
        zone = self.zone(parts.ZONE)
        return zone["present"] if zone is not None else None

    def zone(self, name: str) -> dict[str, Any] | None:
        """A zone's figures as the controller last said."""
        return next((zone for zone in self._zones if zone["id"] == name), None)

    def nodes_up(self) -> bool:
        """Whether the controller hears every node."""
        return self._controller_answers and all(self._nodes.get(name) for name in self.lanes)

    def view(self) -> dict[str, Any]:
        """See Stage.view."""
        return {
            "pool": {
                "name": "Freibad",
                "cap": self.settings.cap,
                "inside": self.truth.inside,
                "inside_max": self.truth.inside_max,
            },
            "controller": {
                "url": self.office.url,
                "up": self._controller_answers,
                "zones": [zone | {"zone": zone["id"]} for zone in self._zones],
            },
            "lanes": [self._lane_view(name, lane) for name, lane in self.lanes.items()],
            "crowd": self._crowd_view(),
            "park": self.park.view(self._nodes) if self.park is not None else None,
            "parts": [{"name": part.name, "up": part.up, "starts": part.starts} for part in self.parts.values()],
            "admitted": self.decided.admitted,
            "refused": dict(self.decided.refused),
            "log": list(self.decided.log),
        }

    def _lane_view(self, name: str, lane: SimulatedLane) -> dict[str, Any]:
        view = lane.view()
        lit = view["lamp"] is not None
        return {
            **view,
            "node": name,
            "kind": "esp32" if name == ESP32_NODE else "pi",
            "node_up": bool(self._nodes.get(name)),
            "camera": name == PI_NODE,
            "shown": self.decided.shown.get(name, "ready") if lit else "ready",
            "latency_ms": percentiles(lane.scans),
        }

    def _crowd_view(self) -> dict[str, Any]:
        crowd = self._crowd
        return {
            "came": crowd.came if crowd else 0,
            "went_home": crowd.went_home if crowd else 0,
            "waiting": crowd.waiting if crowd else 0,
            "running": self._crowd_running,
            "arrivals_a_minute": self._arrivals_a_minute,
        }

    # -- doing

    async def new_ticket(self, persons: int) -> dict[str, str]:
        """See Stage.new_ticket."""
        try:
            ticket = await self.office.ticket(persons, with_qr=True)
        except OfficeError as error:
            raise StageError(str(error)) from error
        return {"id": ticket["id"], "code": ticket["code"], "typed": ticket["typed"], "svg": ticket["qr_svg"]}

    async def hold(self, lane: str, side: str, code: bytes) -> dict[str, Any]:
        """See Stage.hold."""
        there = self._lane(lane)
        if side not in (ENTRY, EXIT):
            raise StageError("side must be entry or exit")
        async with self._holding.setdefault((lane, side), asyncio.Lock()):
            await there.wait_lamp(False, LAMP_S)  # the answer to whoever was here before
            scan = await there.hold(side, code)
            lamp = await there.wait_lamp(True, LAMP_S)
        return {"lamp": lamp, "latency_ms": scan.latency_ms}

    async def go(self, lane: str, side: str, behaviour: str) -> dict[str, str]:
        """See Stage.go."""
        try:
            wanted = Behaviour(behaviour)
        except ValueError as error:
            raise StageError(f"behaviour must be one of: {', '.join(Behaviour)}") from error
        fate = await self._lane(lane).person_goes(side, wanted)
        return {"fate": type(fate).__name__}

    def push_frame(self, lane: str, jpeg: bytes) -> None:
        """See Stage.push_frame."""
        if lane != PI_NODE:
            raise StageError(f"only the lane {PI_NODE} has a camera")
        self._camera.push(jpeg)

    def press_emergency(self, lane: str, pressed: bool) -> None:
        """See Stage.press_emergency."""
        self._lane(lane).press_emergency(pressed)

    async def rearm(self, lane: str, first: str, second: str) -> None:
        """See Stage.rearm."""
        self._lane(lane)
        try:
            await self.office.rearm(lane, first, second)
        except OfficeError as error:
            raise StageError(str(error)) from error

    async def pull_the_plug(self, part: str) -> None:
        """See Stage.pull_the_plug."""
        if part not in self.parts:
            raise StageError(f"part must be one of: {', '.join(self.parts)}")
        await self.kill_and_restart(part, RESTART_S)

    async def kill_and_restart(self, part: str, off_s: float) -> None:
        """kill -9, off for a while, and on again."""
        victim = self.parts[part]
        await asyncio.to_thread(victim.kill)
        await asyncio.sleep(off_s)
        await asyncio.to_thread(victim.start)

    def set_crowd(self, running: bool, arrivals_a_minute: float) -> None:
        """See Stage.set_crowd."""
        if not 0 < arrivals_a_minute <= ARRIVALS_MAX:
            raise StageError(f"arrivals_a_minute must be above 0 and at most {ARRIVALS_MAX:g}")
        self._arrivals_a_minute = arrivals_a_minute
        if running and not self._crowd_running:
            self._start_crowd()
        elif self._crowd is not None and self._crowd_running:
            if running:
                self._crowd.set_arrivals(arrivals_a_minute)
            else:
                self._crowd.everybody_out()
                self._crowd_running = False

    def freeze_crowd(self) -> None:
        """Nobody does anything new; whoever is in an arm goes on through it."""
        if self._visitors_task is not None:
            self._visitors_task.cancel()
        if self.park is not None:
            self.park.close()

    def at_rest(self) -> bool:
        """Whether nobody is at or in any arm and every entry is locked."""
        views = [lane.view() for lane in self.lanes.values()]
        return not any(view["passage_mm"] or any(view["queues"].values()) or view["bolts"][ENTRY] for view in views)

    def park_at_rest(self) -> bool:
        """Whether nobody is at a machine or in a lane of the car park."""
        return self.park is None or self.park.at_rest()

    def park_agrees(self) -> bool:
        """Whether the books of the car park are the truth."""
        return self.park is None or self.park.agrees(self.zone(car_parts.PARK))

    def park_result(self) -> dict[str, Any] | None:
        """For the last line of a headless run."""
        return self.park.result(self.zone(car_parts.PARK)) if self.park is not None else None

    def _start_crowd(self) -> None:
        if self._visitors_task is not None and not self._visitors_task.done():
            raise StageError("the last ones are still leaving: wait until the pool is empty")
        self._crowd = Crowd(
            random.Random(self.settings.seed),
            dict.fromkeys(self.lanes, (ENTRY, EXIT)),
            CrowdSettings(
                arrivals_a_minute=self._arrivals_a_minute,
                stay_ms=(40_000, 100_000),
                step_ms=(100, 500),
                entry_mix=_ENTRY_MIX,
                exit_mix=_EXIT_MIX,
            ),
        )
        visitors = Visitors(self._crowd, self.lanes, self._sell)
        self._visitors_task = self.run_beside(visitors.run(CROWD_S_MAX))
        self._crowd_running = True

    async def _sell(self) -> str | None:
        return (await self.office.ticket())["code"]

    def _lane(self, name: str) -> SimulatedLane:
        if name not in self.lanes:
            raise StageError(f"lane must be one of: {', '.join(self.lanes)}")
        return self.lanes[name]


def _profile() -> Any:

    return json.loads(board_text(parts.ESP32_BOARD))
