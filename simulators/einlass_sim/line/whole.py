"""The whole line: real broker, controller and node processes, simulated lanes, and a tap on every connection.

line.run(scene(line))      # scene: async; the lanes live on an event loop in a thread of their own
"""

import asyncio
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from einlass_controller.broker import controller_user, new_password, node_user
from einlass_core.events import ENTRY, EXIT
from einlass_core.profile import board as read_board
from einlass_hardware import board_text
from einlass_hardware.firmware import build
from einlass_sim import plant
from einlass_sim.audit import double_admissions, journals
from einlass_sim.brokers import Broker, BrokerKind
from einlass_sim.demo import parts
from einlass_sim.demo.office import Office, OfficeError
from einlass_sim.demo.parts import ESP32_NODE, PI_NODE, SITE
from einlass_sim.demo.tally import Truth
from einlass_sim.devices.board import Board
from einlass_sim.devices.lane import Fate, Scan, SimulatedLane, esp32_lane, pi_lane, wiring
from einlass_sim.line.machines import CLIENTS_ADDRESS, WallClock, begun_anew, program_of
from einlass_sim.people import Behaviour
from einlass_sim.plant import BodyWentIn, BodyWentOut
from einlass_sim.processes import Process, free_port
from einlass_sim.tap import Tap

NODES = (ESP32_NODE, PI_NODE)
STRANGER = "fremd"  # the broker knows it, the controller does not
START_S_MAX = 80.0
# Generous: they only end what hangs, and the machine may be busy with others.
SCENE_S_MAX = 110.0
WAIT_S_MAX = 40.0
LOOK_S = 0.02
# A busy machine needs a second or two for what a scene does between a question and its answer: far less than ask_ms.
LANE_MS = {"ask_ms": 5000, "release_ms": 6000, "settle_ms": 200, "show_ms": 500, "same_code_ms": 0}
GM65_SAME_CODE = 0x0013

T = TypeVar("T")


class Line:
    """One site with the lanes `ost` (ESP32) and `west` (Pi). Everything async runs on its own loop: see run().

    cut_off: what lanes do alone; `secure` lends them no places, so that `leased` is 0 whenever nothing is under way.
    """

    cut_off = "secure"

    def __init__(self, directory: Path, kind: BrokerKind, cap: int) -> None:
        self.directory = directory
        self.kind: BrokerKind = kind
        self.cap = cap
        self.lanes: dict[str, SimulatedLane] = {}
        self.nodes: dict[str, Process | Board] = {}
        self.passwords: dict[str, str] = {}
        self.entries: list[dict[str, Any]] = []
        self._since: dict[str, int] = {}  # how much had been said when a part was started last
        self.excess = 0  # bodies that count as inside though nobody saw them go in
        self._reading = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="line", daemon=True)

    # -- from the test's thread

    def open(self) -> None:
        """Start everything and wait until the controller hears both nodes."""
        self._thread.start()
        try:
            self.run(self._start(), START_S_MAX)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End everything."""
        try:
            self.run(self._end(), START_S_MAX)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def run(self, scene: Coroutine[Any, Any, T], timeout_s: float = SCENE_S_MAX) -> T:
        """Play a scene on the lanes' loop, and hand back what it returns or raises."""
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(scene, timeout_s), self._loop).result()

    # -- starting and ending

    async def _start(self) -> None:
        directory = self.directory
        broker_port, http_port = free_port(), free_port()
        self.tap = Tap(broker_port, CLIENTS_ADDRESS)
        port = await self.tap.start()
        firmware = await asyncio.to_thread(build, directory / "firmware")
        prepared = await asyncio.to_thread(parts.prepare_site, directory, self.cap, port, http_port)
        self.prepared = prepared.directory
        self.wall_clock = WallClock(directory / "wall-clock")
        self.passwords = {**prepared.passwords, STRANGER: new_password()}
        self.office = Office(f"http://{parts.LOOPBACK}:{http_port}", prepared.api_key)
        users = [node_user(SITE, node, self.passwords[node]) for node in (*NODES, STRANGER)]
        users.append(controller_user(self.passwords["controller"]))
        self.broker = Broker(self.kind, directory / "broker", users, broker_port)
        self.controller = Process(
            "controller",
            [sys.executable, "-m", "einlass_cli", "controller", "run", "--dir", str(prepared.directory)],
            directory=directory,
            env=self._bytecode() | self.wall_clock.env(),
        )
        await self._make_lanes(port, firmware)
        self.truth = Truth(self.lanes.values())
        await self.start("broker", "controller", *NODES)
        await self.settled()

    async def _make_lanes(self, port: int, firmware: Path) -> None:
        directory, enter = self.directory, self._stack.enter_async_context
        profile = json.loads(board_text(parts.ESP32_BOARD))
        numbers, active_low = wiring(profile)
        boards: list[Board] = []
        ost = await enter(
            esp32_lane(
                ESP32_NODE,
                numbers,
                directory,
                active_low=active_low,
                on_bite=lambda: boards[0].bite(),
                rng=random.Random(1),
            )
        )
        readers = {
            reader.uart: str(directory / f"{ESP32_NODE}-{reader.side}") for reader in read_board(profile).readers
        }
        board = parts.esp32_board(directory, firmware, ost.address, readers, port, self.passwords[ESP32_NODE])
        boards.append(board)
        board.deploy()
        config = json.loads(board.read_file("config.json"))
        board.write_file("config.json", json.dumps({**config, "lane": {**LANE_MS, "cut_off": self.cut_off}}).encode())
        west = await enter(pi_lane(PI_NODE, directory, rng=random.Random(2)))
        parts.pi_part(directory, west, directory / "no-camera", port, self.passwords[PI_NODE])
        self.node_toml = directory / "node-west.toml"
        _set_lane(self.node_toml, self.cut_off)
        self._pi = [sys.executable, "-m", "einlass_cli", "node", "--config", str(self.node_toml)]
        pi = Process("node-west", self._pi, directory=directory, env=self._bytecode())
        self.lanes = {ESP32_NODE: ost, PI_NODE: west}
        self.nodes = {ESP32_NODE: board, PI_NODE: pi}
        for lane in self.lanes.values():
            for reader in lane.readers.values():
                # The same ticket is shown again at once here; a real module takes a second before it reads it again.
                reader.module.registers[GM65_SAME_CODE] = 0

    def _bytecode(self) -> dict[str, str]:
        """Kept from one start to the next, as on an installed machine, also where the tests' own is not."""
        return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self.directory / "bytecode")}

    async def _end(self) -> None:
        for name in (*self.nodes, "controller", "broker"):
            if hasattr(self, name) or name in self.nodes:
                await self.kill(name)
        await self._stack.aclose()
        if hasattr(self, "tap"):
            await self.tap.stop()

    # -- the parts

    def _part(self, name: str) -> "Process | Board | Broker":
        part: Process | Board | Broker = self.nodes[name] if name in self.nodes else getattr(self, name)
        return part

    async def wipe_broker(self) -> None:
        """kill -9, and its store is lost: sessions, queues, retained messages."""
        await self.kill("broker")
        shutil.rmtree(self.broker.directory / "store")
        (self.broker.directory / "store").mkdir(mode=0o700)

    async def kill(self, *names: str) -> None:
        """kill -9; returns when they are gone. Not while one is stopped by pause()."""
        await asyncio.gather(*[asyncio.to_thread(self._part(name).kill) for name in names])

    async def start(self, *names: str) -> None:
        """Start them, one after the other."""
        for name in names:
            self._since[name] = len(self.tap.said)
            await asyncio.to_thread(self._part(name).start)

    async def reboot_pi(self, since_start_s: int) -> None:
        """The Pi's power goes, and comes back: its counting clock begins anew. Only where can_begin_clocks()."""
        await self.kill(PI_NODE)
        pi = self.nodes[PI_NODE]
        assert isinstance(pi, Process)
        pi.command = begun_anew(since_start_s, self._pi)
        await self.start(PI_NODE)

    async def restart_broker(self) -> None:
        """As an update of it does: it says goodbye, saves its store, and starts again."""
        await asyncio.to_thread(self.broker.stop)
        await self.start("broker")

    async def mend(self) -> None:
        """Start whatever is dead or stands still, so that a scene that failed half way does not fail the next ones."""
        for name in ("broker", "controller", *self.nodes):
            part = self._part(name)
            if (part.process if isinstance(part, Broker) else part).alive:
                self.resume(name)
            else:
                await self.kill(name)
                await self.start(name)

    def pid(self, name: str) -> int:
        """Of the process that is this part now."""
        part = self._part(name)
        return program_of(part.process.pid if isinstance(part, Broker) else part.pid)

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        os.killpg(self._group(name), signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        os.killpg(self._group(name), signal.SIGCONT)

    def _group(self, name: str) -> int:
        part = self._part(name)
        return part.process.pid if isinstance(part, Broker) else part.pid

    def log(self, name: str) -> str:
        """All that a part has said."""
        path = {"broker": self.broker.process.log_path, "controller": self.controller.log_path}.get(name)
        return (path or self.nodes[name].log_path).read_text(errors="replace")

    # -- waiting and looking

    async def until(self, what: str, look: Callable[[], Awaitable[Any]], timeout_s: float = WAIT_S_MAX) -> Any:
        """Look again and again until there is something; while the controller is down there is nothing."""
        end = time.monotonic() + timeout_s
        seen: Any = None
        while time.monotonic() < end:
            try:
                seen = await look()
            except OfficeError:
                seen = None
            if seen:
                return seen
            await asyncio.sleep(LOOK_S)
        raise AssertionError(f"not within {timeout_s:g} s: {what}; {await self._state()}")

    async def _state(self) -> str:
        try:
            zone, nodes = await self.zone(), await self.office.nodes()
        except OfficeError as error:
            zone, nodes = {"controller": str(error)}, []
        kept = {node["id"]: (node["online"], node["events_kept"], node["alarm"]) for node in nodes}
        return f"inside {self.truth.inside} (+{self.excess}), zone {zone}, nodes {kept}, told {self._told()}"

    async def zone(self) -> dict[str, Any]:
        """The four figures."""
        return (await self.office.zones())[0]

    async def ledger(self) -> list[dict[str, Any]]:
        """All entries so far."""
        async with self._reading:
            while more := await self.office.ledger(self.entries[-1]["number"] if self.entries else 0):
                if not self.entries and more[0]["number"] > 1:
                    more = await self.office.ledger(1)  # without a number the newest come; entry 1 is told by nobody
                self.entries += more
        return self.entries

    async def entry(self, kind: str, after: int = 0, **body: Any) -> dict[str, Any]:
        """Wait for a ledger entry later than number `after` with these values."""

        async def look() -> dict[str, Any] | None:
            for entry in await self.ledger():
                if entry["number"] > after and entry["kind"] == kind and body.items() <= entry["body"].items():
                    return entry
            return None

        found: dict[str, Any] = await self.until(f"{kind} {body} in the ledger", look)
        return found

    async def last(self) -> int:
        """Number of the newest entry."""
        number: int = (await self.ledger())[-1]["number"]
        return number

    def _told(self) -> dict[str, int]:
        """The highest record number that each node has put on the wire."""
        numbers = dict.fromkeys(NODES, 0)
        for said in self.tap.said:
            if said.to_broker and said.client in numbers:
                numbers[said.client] = max(numbers[said.client], said.fields.get("seq", 0))
        return numbers

    async def at_work(self, name: str) -> None:
        """Wait until a node has said hello since it was started, and its lane's hardware obeys it."""

        async def look() -> bool:
            return self._here(name) and bool(self.lanes[name].view()["powered"])

        await self.until(f"{name} is at work", look)

    def _here(self, name: str) -> bool:
        """Whether a node has said hello since it, and the broker, were started."""
        since = max(self._since[name], self._since["broker"])
        return any(said.client == name and said.kind == "hello" for said in self.tap.said[since:])

    async def settled(self) -> None:
        """Wait until everybody is connected, every record is told, no place is held, and the count is the truth."""

        async def look() -> bool:
            return await self.counts_agree() and (await self.zone())["leased"] == 0

        await self.until("the controller's count is the truth, and nothing is open", look)

    async def counts_agree(self) -> bool:
        """Everybody is connected, every record is told, no place is reserved, and the count is the truth."""
        if not await self.office.ready():
            return False
        zone, nodes = await self.zone(), {node["id"]: node for node in await self.office.nodes()}
        told = self._told()
        return (
            all(self._here(name) and nodes[name]["online"] for name in NODES)
            and all(nodes[name]["events_kept"] == told[name] > 0 for name in NODES)
            and zone["present"] == self.truth.inside + self.excess
            and zone["reserved"] == 0
        )

    async def audited(self) -> None:
        """settled(), and the ledger is what the nodes wrote down: nothing lost, nobody in twice, no two answers."""
        await self.settled()
        assert self.truth.inside_max <= self.cap
        entries = await self.ledger()
        assert double_admissions(entries) == []
        assert journals(entries, self.sent("event")) == []
        assert self.answered_twice() == []

    def answered_twice(self) -> list[str]:
        """Scans with two different answers."""
        answers: dict[tuple[str, str], set[bytes]] = {}
        for said in self.tap.said:
            if said.kind == "answer" and said.fields.get("code") != "error":
                answers.setdefault((said.topic, said.fields["nonce"]), set()).add(said.payload)
        return [f"{key}: one scan, two answers" for key, payloads in answers.items() if len(payloads) > 1]

    def sent(self, kind: str, node: str = "") -> list[dict[str, Any]]:
        """The fields of what nodes (or one node) have published, repeats included."""
        said = [said for said in self.tap.said if said.to_broker and said.kind == kind and said.client in NODES]
        return [{**one.fields, "node": one.client} for one in said if node in ("", one.client)]

    # -- people

    async def ticket(self, persons: int = 1) -> dict[str, str]:
        """{"id", "code"} of a new one."""
        return await self.office.ticket(persons)

    async def at_rest(self, lane: str, side: str = ENTRY) -> None:
        """Wait until the lamp is dark and the last one is through."""
        there = self.lanes[lane]
        await there.wait_lamp(False, WAIT_S_MAX)
        if side == ENTRY:
            await self.until("the entry is locked", lambda: _now(not there.plant.bolt_free(ENTRY)))

    async def scan(self, lane: str, code: str | bytes, side: str = ENTRY) -> Scan:
        """Hold a code before a reader, once the lane is at rest; when it has been typed."""
        await self.at_rest(lane, side)
        return await self.lanes[lane].hold(side, code)

    async def refused(self, lane: str, code: str | bytes) -> str | None:
        """Hold a code that must not open; the lamp."""
        await self.at_rest(lane)
        # Whoever looks only after the hold may come too late on a busy machine: the lamp is lit for a moment.
        shown = asyncio.create_task(self.lanes[lane].wait_lamp(True, WAIT_S_MAX))
        scan = await self.lanes[lane].hold(ENTRY, code)
        lamp = await shown
        assert scan.bolt_at_s is None, "the bolt was released"
        return lamp

    async def released(self, lane: str, code: str) -> Scan:
        """Hold a code that must open."""
        scan = await self.scan(lane, code)
        assert await scan.released(WAIT_S_MAX), f"{lane}: the bolt stayed locked; {await self._state()}"
        return scan

    async def walks_in(self, lane: str, behaviour: Behaviour = Behaviour.WALK) -> Fate:
        """One body goes to the arm, and through it."""
        fate = await self.lanes[lane].person_goes(ENTRY, behaviour)
        assert isinstance(fate, BodyWentIn), fate
        return fate

    async def enters(self, lane: str, code: str) -> None:
        """Scan and walk in."""
        await self.released(lane, code)
        await self.walks_in(lane)

    async def leaves(self, lane: str, code: str = "") -> None:
        """Walk out, with a scan if there is a code."""
        if code:
            after = await self.last()
            await self.scan(lane, code, EXIT)
            await self.entry("exit", after, node=lane)
        fate = await self.lanes[lane].person_goes(EXIT)
        assert isinstance(fate, BodyWentOut), fate

    async def all_leave(self) -> None:
        """Everybody goes home through both lanes."""
        while self.truth.inside:
            both = NODES if self.truth.inside > 1 else NODES[:1]
            await asyncio.gather(*[self.leaves(lane) for lane in both])

    async def decided(self, ticket: str, after: int) -> str:
        """The code of the decision on a ticket after that ledger entry."""
        entry = await self.entry("decision", after, ticket=ticket)
        code: str = entry["body"]["code"]
        return code

    async def letters(self) -> list[dict[str, Any]]:
        """The newest dead letters."""
        found: list[dict[str, Any]] = await self.office._call("GET", "/api/v1/dead-letters?limit=500")
        return found


async def _now(value: T) -> T:
    return value


def _set_lane(path: Path, cut_off: str) -> None:
    before, _, rest = path.read_text().partition("[lane]\n")
    entry = rest[rest.index("[entry]") :]
    times = "".join(f"{name} = {value}\n" for name, value in LANE_MS.items())
    text = f"{before}[lane]\nbolt_sensed = true\ncut_off = {json.dumps(cut_off)}\n{times}\n{entry}"
    # There is no camera here: one that does not answer is another test's subject.
    path.write_text("".join(row for row in text.splitlines(True) if not row.startswith("camera")))


@contextmanager
def brisk_people() -> Iterator[None]:
    """People as quick as real ones can be, so that a scene takes seconds."""
    before = plant.REACTION_MS, plant.WALK_MS
    plant.REACTION_MS, plant.WALK_MS = (50, 100), (400, 450)
    try:
        yield
    finally:
        plant.REACTION_MS, plant.WALK_MS = before
