"""One ESP32 node on a bench: the real firmware on a simulated board and lane, a real broker, and a small controller.

    async with bench_node(directory) as bench:
        await bench.start()                # its hello and first status have come
        await bench.visit("ticket-1")

The controller is as small as the contract allows: it acknowledges what comes in order and admits all codes
but those that begin with BAD.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from einlass_controller.broker import CONTROLLER_NAME, BrokerTls, controller_user, new_password, node_user
from einlass_core import wire
from einlass_core.events import ENTRY, EXIT
from einlass_core.profile import board as read_board
from einlass_hardware import board_text
from einlass_hardware.firmware import build
from einlass_sim.brokers import BrokerKind, start_broker
from einlass_sim.devices.board import HEAP, Board
from einlass_sim.devices.lane import SimulatedLane, esp32_lane, wiring

SITE, NODE = "bench", "gate"
BOARD = "esp32-turnstile"
REFUSED = "BAD"  # codes that begin so are refused
WAIT_S_MAX = 40.0
TRIES_MAX = 5
SEEN_S_MAX = 3.0
ENDED = {"passed", "unused"}
CA_FILE = "ca.pem"
LOOK_S = 0.005
STEP_S = 0.022  # of a quick passage: just longer than the firmware's debouncing
GM65_SAME_CODE = 0x0013


class Controller:
    """What it has heard is in `said`, in order; `events` are those taken, by incarnation, without a gap."""

    def __init__(self, port: int, password: str, ca: Path | None = None) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.faults: list[str] = []
        self.silent = False  # answers no scan
        self.deaf = False  # hears, but neither takes nor acknowledges events
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, CONTROLLER_NAME)
        self._client.username_pw_set(CONTROLLER_NAME, password)
        self._client.on_connect = lambda client, *_: client.subscribe("einlass/1/#", 1)
        self._client.on_message = self._received
        if ca is not None:
            self._client.tls_set(str(ca))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, kind: str, fields: Mapping[str, Any]) -> None:
        """A message down as the contract wants it."""
        self.send_raw(kind, wire.encode(kind, dict(fields)))

    def send_raw(self, kind: str, payload: bytes) -> None:
        """Any bytes on a topic of the node."""
        self._client.publish(wire.topic_down(SITE, NODE, kind), payload, 1)

    def send_to_all(self, kind: str, fields: Mapping[str, Any]) -> None:
        """A message to every node of the site."""
        self._client.publish(wire.topic_all(SITE, kind), wire.encode(kind, dict(fields)), 1)

    def command(self, do: str, by: str) -> None:
        """A command to the node as it runs now."""
        now_ms = int(time.time() * 1000)
        fields = {"do": do, "by": by, "inc": self.last("hello")["inc"], "id": f"{do}-{now_ms}"}
        self.send("command", {**fields, "issued_ms": now_ms, "expires_ms": now_ms + 10_000})

    def ask_status(self) -> None:
        """A ceiling that is older than the node's: it obeys none, and says how it stands."""
        self.send("limit", {"inc": self.last("hello")["inc"], "limit": {"epoch": 0, "version": 0, "ceiling": 0}})

    def lend(self, places: int, lease_ms: int = 60_000) -> None:
        """A lease, from the last status on, for so many more than are inside."""
        status = self.last("status")
        account = status["account"]
        limit = {"epoch": account["epoch"], "version": account["version"] + 1}
        limit["ceiling"] = account["balance"] + places
        lease = {"boot": status["boot"], "from_ms": status["ms"], "lease_ms": lease_ms}
        self.send("limit", {"inc": status["inc"], "limit": limit, **lease})

    def last(self, kind: str) -> dict[str, Any]:
        """The newest message of a kind; LookupError when there was none."""
        return [fields for said, fields in self.said if said == kind][-1]

    def count(self, kind: str) -> int:
        """How many of a kind were heard."""
        return sum(said == kind for said, _ in self.said)

    def _received(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        kind = wire.kind_of(message.topic)
        if kind not in (*wire.UP, "state"):
            return
        try:
            fields = wire.decode(kind, bytes(message.payload))
        except wire.WireError as error:
            self.faults.append(str(error))
            return
        if kind == "event":
            self._take(fields)
        self.said.append((kind, fields))
        if kind == "hello":
            now = {"unix_ms": int(time.time() * 1000)}
            self._client.publish(wire.topic_all(SITE, "time"), wire.encode("time", now), 1)
        elif kind == "ask" and not self.silent:
            self.send("answer", _answer(fields))

    def _take(self, fields: dict[str, Any]) -> None:
        events = self.events.setdefault(fields["inc"], [])
        if self.deaf:
            return
        if fields["seq"] == len(events) + 1:
            events.append(fields)
        self.send("ack", {"inc": fields["inc"], "seq": len(events)})


def _answer(ask: dict[str, Any]) -> dict[str, Any]:
    answer = {"inc": ask["inc"], "nonce": ask["nonce"], "id": "bench", "values": {}}
    if ask["code"].startswith(REFUSED):
        return {**answer, "code": "invalid", "persons": 0}
    account = ask["account"]
    limit = {"epoch": account["epoch"], "version": account["version"] + 1, "ceiling": account["balance"] + 1}
    return {**answer, "code": "ok", "persons": 1, "limit": limit}


class BenchNode:
    """The parts, put together."""

    def __init__(
        self, lane: SimulatedLane, board: Board, controller: Controller, lines: dict[str, int], active_low: set[str]
    ) -> None:
        self.lane = lane
        self.board = board
        self.controller = controller
        self._pins = {name: lines[name] for name in ("barrier_a", "barrier_b")}
        self._active_low = active_low

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of the node's present journal."""
        return self.controller.events.get(self.controller.last("hello")["inc"], [])

    def kinds(self, after: int = 0) -> list[str]:
        """What kinds of event came after number `after`."""
        return [event["kind"] for event in self.events[after:]]

    async def until(self, what: str, look: Callable[[], Any], timeout_s: float = WAIT_S_MAX) -> None:
        """Wait for it; AssertionError with the board's last words when it does not come."""
        end = time.monotonic() + timeout_s
        while not look():
            if time.monotonic() > end:
                said = self.controller.said[-5:]
                raise AssertionError(f"not within {timeout_s:g} s: {what}; heard {said}\n{self.board.log_tail()}")
            await asyncio.sleep(LOOK_S)

    async def start(self) -> dict[str, Any]:
        """Switch the board on; its hello."""
        hellos, statuses = self.controller.count("hello"), self.controller.count("status")
        self.board.start()
        await self.until("hello", lambda: self.controller.count("hello") > hellos)
        await self.until("status", lambda: self.controller.count("status") > statuses)
        return self.controller.last("hello")

    async def status(self) -> dict[str, Any]:
        """How it stands now."""
        before = self.controller.count("status")
        self.controller.ask_status()
        await self.until("status", lambda: self.controller.count("status") > before)
        return self.controller.last("status")

    async def visit(self, code: str) -> None:
        """Somebody is let in and walks through, as quickly as the firmware's debouncing allows; until that is counted.

        On a busy machine the node may look too late: it takes the code for one too many, or sees nobody in the arm.
        Then whoever stands there does it again, as people do.
        """
        for _ in range(TRIES_MAX):
            scan = await self.lane.hold(ENTRY, code)
            if not await scan.released(WAIT_S_MAX / TRIES_MAX):
                continue
            before = len(self.events)
            await self.passes(ENTRY)
            await self.until("the bolt is locked again", lambda: not self.lane.signals["bolt_entry"])
            await self.until("the end of it", lambda since=before: ENDED & set(self.kinds(since)))  # type: ignore[misc]
            if "passed" in self.kinds(before):
                return
        raise AssertionError(f"{code} was not let in\n{self.board.log_tail()}")

    async def leave(self, code: str) -> None:
        """Somebody shows the ticket at the exit and walks out; until that is counted."""
        exits = self.kinds().count("exit")
        await self.lane.hold(EXIT, code)
        await self.until("the exit scan", lambda: self.kinds().count("exit") > exits)
        before = len(self.events)
        for _ in range(TRIES_MAX):
            await self.passes(EXIT)
            with contextlib.suppress(AssertionError):
                return await self.until("a passage", lambda: "passed" in self.kinds(before), SEEN_S_MAX)
        raise AssertionError(f"{code} was not seen to leave\n{self.board.log_tail()}")

    async def passes(self, side: str) -> None:
        """The light barriers see one body, with no arm in its way."""
        a, b = "barrier_a", "barrier_b"
        first, second = (a, b) if side == ENTRY else (b, a)
        for name, blocked in ((first, True), (second, True), (first, False), (second, False)):
            assert self.lane.pins is not None
            self.lane.pins.set_pin(self._pins[name], int(blocked != (name in self._active_low)))
            await asyncio.sleep(STEP_S)


@asynccontextmanager
async def bench_node(
    directory: Path,
    *,
    heap: str = HEAP,
    broker: BrokerKind | None = None,
    lane_settings: Mapping[str, Any] | None = None,
    real_pacing: bool = False,
    seed: int = 1,
    tls: BrokerTls | None = None,
    ca: Path | None = None,
) -> AsyncIterator[BenchNode]:
    """Everything but the board's power is on; with tls, and the authority ca, no word goes in clear.

    BuildError, BrokerMissingError, ProcessError when a part is missing.
    """
    passwords = {NODE: new_password(), CONTROLLER_NAME: new_password()}
    profile = json.loads(board_text(BOARD))
    lines, active_low = wiring(profile)
    firmware = await asyncio.to_thread(build, directory / "firmware")
    boards: list[Board] = []
    async with AsyncExitStack() as stack:
        users = [node_user(SITE, NODE, passwords[NODE]), controller_user(passwords[CONTROLLER_NAME])]
        server = await asyncio.to_thread(start_broker, broker, directory / "broker", users, None, tls)
        stack.callback(server.kill)
        controller = Controller(server.port, passwords[CONTROLLER_NAME], ca)
        stack.callback(controller.close)
        lane = await stack.enter_async_context(
            esp32_lane(
                NODE,
                lines,
                directory,
                active_low=active_low,
                on_bite=lambda: boards[0].bite(),
                rng=random.Random(seed),
                real_pacing=real_pacing,
            )
        )
        for reader in lane.readers.values():
            reader.module.registers[GM65_SAME_CODE] = 0  # it reads the same code again at once
        config: dict[str, Any] = {
            "site": SITE,
            "node": NODE,
            "broker": {"host": server.host, "port": server.port, "password": passwords[NODE]},
            "lane": {"exit_free": True, **(lane_settings or {})},
        }
        readers = {reader.uart: str(directory / f"{NODE}-{reader.side}") for reader in read_board(profile).readers}
        files = {"profile.json": board_text(BOARD).encode()}
        if ca is not None:
            config["broker"]["ca_file"] = CA_FILE
            files[CA_FILE] = await asyncio.to_thread(ca.read_bytes)
        files["config.json"] = json.dumps(config).encode()
        board = Board(NODE, directory, pins=lane.address, uarts=readers, files=files, firmware=firmware, heap=heap)
        boards.append(board)
        stack.callback(board.kill)
        yield BenchNode(lane, board, controller, lines, active_low)
