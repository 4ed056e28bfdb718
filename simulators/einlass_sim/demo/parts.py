"""The processes of the demonstration: broker, controller, a Raspberry Pi node and an ESP32 node."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from einlass_controller.broker import CONTROLLER_NAME, controller_user, node_user
from einlass_controller.plan import read_plan
from einlass_controller.setup import Prepared, set_up
from einlass_hardware import board_text
from einlass_sim.brokers import Broker, BrokerKind, best_broker
from einlass_sim.devices.board import Board
from einlass_sim.devices.lane import SimulatedLane
from einlass_sim.processes import Process

SITE = "freibad"
ZONE = "becken"
ESP32_NODE, PI_NODE = "ost", "west"
ESP32_BOARD = "esp32-turnstile"
LOOPBACK = "127.0.0.1"
# Quicker than at a real pool, where people read: the demonstration is to fill within two minutes.
RELEASE_MS = 4000
SHOW_MS = 1200
PLAN = """\
[site]
id = "{site}"
name = "Freibad"
name_en = "Open-air pool"

[[zone]]
id = "{zone}"
name = "Becken"
name_en = "Pool"
cap = {cap}

[[node]]
id = "{esp32}"
board = "esp32"

[[node]]
id = "{pi}"
board = "raspberry-pi"

[[lane]]
id = "{esp32}"
name = "Eingang Ost"
name_en = "East entrance"
zone = "{zone}"
node = "{esp32}"

[[lane]]
id = "{pi}"
name = "Eingang West"
name_en = "West entrance"
zone = "{zone}"
node = "{pi}"
"""
NODE_TOML = """\
site = "{site}"
node = "{node}"
journal = {journal}

[broker]
host = "127.0.0.1"
port = {port}
password = {password}

[lane]
bolt_sensed = true
release_ms = {release_ms}
show_ms = {show_ms}

[entry]
serial = {entry}
camera = {camera}

[exit]
serial = {exit}

[turnstile]
kind = "modbus"
host = "127.0.0.1"
port = {modbus_port}
"""


class Part:
    """One process that can be killed and started again."""

    def __init__(self, name: str, start: Callable[[], object], kill: Callable[[], None], alive: Callable[[], bool]):
        self.name = name
        self.starts = 0
        self._start = start
        self._kill = kill
        self._alive = alive

    @property
    def up(self) -> bool:
        """Whether its process runs."""
        return self._alive()

    def start(self) -> None:
        """Start it; ProcessError when it cannot be."""
        self._start()
        self.starts += 1

    def kill(self) -> None:
        """kill -9."""
        self._kill()


def prepare_site(directory: Path, cap: int, mqtt_port: int, http_port: int, more: str = "") -> Prepared:
    """Database, secrets and settings of the demonstration's pool, and of what `more` adds to its plan."""
    plan = directory / "site.toml"
    pool = PLAN.format(site=SITE, zone=ZONE, cap=cap, esp32=ESP32_NODE, pi=PI_NODE)
    plan.write_text(pool + more, encoding="utf-8")
    return set_up(read_plan(plan), directory / "controller", mqtt_port=mqtt_port, http_port=http_port)


def broker_part(directory: Path, kind: BrokerKind | None, port: int, passwords: dict[str, str]) -> tuple[Part, str]:
    """The broker with a user for every node, and its kind."""
    users = [
        controller_user(password) if name == CONTROLLER_NAME else node_user(SITE, name, password)
        for name, password in passwords.items()
    ]
    broker = Broker(kind or best_broker(), directory / "broker", users, port)
    return Part("broker", broker.start, broker.kill, lambda: broker.process.alive), broker.kind


def controller_part(directory: Path, prepared: Prepared) -> Part:
    """The controller as it is run anywhere."""
    command = [sys.executable, "-m", "einlass_cli", "controller", "run", "--dir", str(prepared.directory)]
    process = Process("controller", command, directory=directory)
    return Part("controller", process.start, process.kill, lambda: process.alive)


def pi_part(directory: Path, lane: SimulatedLane, camera: Path, mqtt_port: int, password: str) -> Part:
    """`einlass node` with readers on ptys, a camera on a socket and a turnstile behind a Modbus board."""
    assert lane.board is not None
    config = directory / "node-west.toml"
    config.touch(mode=0o600)
    config.write_text(
        NODE_TOML.format(
            site=SITE,
            node=PI_NODE,
            release_ms=RELEASE_MS,
            show_ms=SHOW_MS,
            journal=json.dumps(str(directory / "journal-west.db")),
            port=mqtt_port,
            password=json.dumps(password),
            entry=json.dumps(str(directory / f"{lane.name}-entry")),
            exit=json.dumps(str(directory / f"{lane.name}-exit")),
            camera=json.dumps(f"socket:{camera}"),
            modbus_port=lane.board.port,
        )
    )
    command = [sys.executable, "-m", "einlass_cli", "node", "--config", str(config)]
    process = Process("node-west", command, directory=directory)
    return Part(PI_NODE, process.start, process.kill, lambda: process.alive)


def esp32_board(
    directory: Path, firmware: Path, pins: str, readers: dict[int, str], mqtt_port: int, password: str
) -> Board:
    """A simulated board with our firmware, and the configuration a technician would copy to it."""
    broker = {"host": LOOPBACK, "port": mqtt_port, "password": password}
    lane = {"release_ms": RELEASE_MS, "show_ms": SHOW_MS}
    config = {"site": SITE, "node": ESP32_NODE, "broker": broker, "lane": lane}
    files = {"profile.json": board_text(ESP32_BOARD).encode(), "config.json": json.dumps(config).encode()}
    return Board("node-ost", directory, pins=pins, uarts=readers, files=files, firmware=firmware)


def esp32_part(board: Board) -> Part:
    """The board's power switch."""
    return Part(ESP32_NODE, board.start, board.kill, lambda: board.alive)
