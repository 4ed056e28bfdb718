"""A car park's lanes as processes on a real broker, and a controller that answers by a table, through wire.py."""

import asyncio
import json
import random
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt

from einlass_controller.broker import controller_user, new_password, node_user
from einlass_core import wire, wire_till
from einlass_sim.barrier import Barrier
from einlass_sim.brokers import Broker, start_broker
from einlass_sim.devices.barrier_lane import BarrierLane
from einlass_sim.devices.customer_display import CustomerDisplay
from einlass_sim.devices.receipt_printer import ReceiptPrinter
from einlass_sim.devices.scanner import Scanner
from einlass_sim.devices.ticket_mouth import TicketMouth
from einlass_sim.processes import Process
from scripted import ScriptedController

SITE, NODE = "parken", "schranke"
DEADLINE_S = 40.0
PRESS_S = 0.2  # a finger on a button: longer than contacts bounce
AGAIN_S = 0.5  # how soon somebody tries again who saw nothing happen
CONTROLLER = controller_user(new_password())
USER = node_user(SITE, NODE, new_password())
ROOM = 5
LEASE_MS = 3_600_000
HEAD = """
site = "parken"
node = "schranke"
journal = "journal.db"
[broker]
host = "127.0.0.1"
port = {broker}
password = {password}
"""
LANE = """
[turnstile]
kind = "barrier"
host = "127.0.0.1"
port = {board}
[display]
serial = "display"
[lane]
show_ms = 1500
settle_ms = 1000
same_code_ms = 100
"""

wire_till.join()


class Peer(ScriptedController):
    """Answers asks by `answers` (side and code, else `otherwise` by side), acknowledges events, lends places."""

    def __init__(self, broker: Broker) -> None:
        self.answers: dict[str, tuple[str, dict[str, Any]]] = {}
        self.otherwise = {"entry": "ok", "exit": "invalid"}
        self.answering = True
        self.asks: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.alarms: list[str] = []
        self.hellos: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        super().__init__(broker, CONTROLLER, SITE)

    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.events]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    def send(self, kind: str, **fields: Any) -> None:
        """To the node, in its present incarnation."""
        payload = wire.encode(kind, {"inc": self.hellos[-1]["inc"], **fields})
        self.publish(wire.topic_down(SITE, NODE, kind), payload)

    def lend(self) -> None:
        """Places and a lease, as the answer to the last status."""
        status = self.statuses[-1]
        account = status["account"]
        limit = {"epoch": account["epoch"], "version": account["version"] + 1, "ceiling": account["balance"] + ROOM}
        self.send("limit", limit=limit, boot=status["boot"], from_ms=status["ms"], lease_ms=LEASE_MS)

    def ask_for_a_status(self) -> None:
        """A ceiling that is no news is answered by a status."""
        self.send("limit", limit={"epoch": 0, "version": 0, "ceiling": 0})

    def heard(self, message: mqtt.MQTTMessage) -> None:
        kind = wire.kind_of(message.topic)
        if "/up/" not in message.topic:
            return
        fields = wire.decode(kind, bytes(message.payload))
        with self._lock:
            if kind == "hello":
                self.hellos.append(fields)
                self.tell_time()
            elif kind == "ask":
                self.asks.append(fields)
                if self.answering:
                    self._answer(fields)
            elif kind == "event":
                if fields["seq"] == len(self.events) + 1:
                    self.events.append(fields)
                self.send("ack", seq=len(self.events))
            elif kind == "alarm":
                self.alarms.append(fields["reason"])
            elif kind == "status":
                self.statuses.append(fields)

    def _answer(self, ask: dict[str, Any]) -> None:
        code, values = self.answers.get(f"{ask['side']} {ask['code']}", (self.otherwise[ask["side"]], {}))
        account = ask["account"]
        fields: dict[str, Any] = {"nonce": ask["nonce"], "id": ask["nonce"], "code": code, "values": values}
        if code == "ok":
            version, ceiling = account["version"] + 1, max(account["ceiling"], account["balance"] + 1)
            fields["limit"] = {"epoch": account["epoch"], "version": version, "ceiling": ceiling}
        self.send("answer", persons=int(code == "ok"), **fields)


class CarBench:
    """One node with a barrier and all that hangs on it."""

    def __init__(self, broker: Broker, directory: Path, sim: BarrierLane, config: str) -> None:
        self.broker = broker
        self.sim = sim
        self.plant = sim.plant
        self.peer = Peer(broker)
        self.printer: ReceiptPrinter
        self.mouth: TicketMouth
        self.display: CustomerDisplay
        self.scanner: Scanner
        self._has_lane = "[turnstile]" in config
        path = directory / "node.toml"
        head = HEAD.format(broker=broker.port, password=json.dumps(USER.password))
        path.write_text(head + config.format(board=sim.board.port))
        self.node = Process(
            "node", [sys.executable, "-m", "einlass_edge.cli", "--config", str(path)], directory=directory
        )

    async def until(self, true: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not true():
            told = f"{self.peer.kinds()} {self.peer.alarms} {self.display.lines}"
            assert time.monotonic() < end_s, f"never: {what}\n{told}\n{self.node.log_tail()}"
            await asyncio.sleep(0.01)

    async def says(self, text: str) -> None:
        await self.until(lambda: any(text in line for line in self.display.lines), f"the display says {text}")

    async def start(self) -> None:
        await self.until(self.peer.listening.is_set, "the peer listens")
        requests = self.sim.board.requests
        self.node.start()
        await self.until(lambda: bool(self.peer.hellos), "hello")
        if self._has_lane:
            await self.until(lambda: self.sim.board.requests > requests + 5, "the board is polled")

    async def press(self) -> None:
        """As long as a hand does."""
        self.sim.press_button(True)
        await asyncio.sleep(PRESS_S)
        self.sim.press_button(False)

    async def at_the_line(self, car: str) -> None:
        await self.until(lambda: self.plant.waiting_car() == car, f"{car} at the stop line")

    async def issue(self, asks: int) -> None:
        """The button, as often as a driver presses it, until the lane has asked so many times."""
        end_s = time.monotonic() + DEADLINE_S
        while len(self.peer.asks) < asks:
            assert time.monotonic() < end_s, f"never asked\n{self.node.log_tail()}"
            await self.press()
            await asyncio.sleep(AGAIN_S)


@asynccontextmanager
async def car_bench(directory: Path, config: str) -> AsyncIterator[CarBench]:
    """A broker, devices and the node's process with this configuration; cars are quick, and never touched."""
    plant = Barrier(
        random.Random(4), raise_ms=400, lower_ms=800, motor_ms=20, speed_mm_s=(4000, 4000), stall_ms=(500, 700)
    )
    broker = start_broker("mosquitto", directory / "broker", [CONTROLLER, USER])
    async with AsyncExitStack() as stack:
        stack.callback(broker.stop)
        sim = await stack.enter_async_context(BarrierLane(plant=plant))
        bench = CarBench(broker, directory, sim, config)
        stack.callback(bench.peer.stop)
        bench.printer = await stack.enter_async_context(ReceiptPrinter(directory / "printer"))
        bench.mouth = TicketMouth(bench.printer, sim.board)
        bench.display = await stack.enter_async_context(CustomerDisplay(directory / "display"))
        bench.scanner = Scanner(directory / "scanner", real_pacing=False)
        await bench.scanner.open()
        stack.push_async_callback(bench.scanner.close)
        stack.callback(bench.node.kill)
        await bench.start()
        yield bench
        assert plant.contacts == 0, "the boom met a car"
