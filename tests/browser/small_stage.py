"""A stage for the demonstration's page that shows what a test says and keeps what was asked of it."""

import copy
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import segno

from einlass_sim.demo.stage import StageError

START_S_MAX = 40.0
CODE = "E1:7K3MQ2XW9RTB4H6N"


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S_MAX
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def lane(name: str, kind: str, camera: bool) -> dict[str, Any]:
    return {
        "name": name,
        "node": f"{name}-node",
        "kind": kind,
        "node_up": True,
        "camera": camera,
        "shown": "ready",
        "latency_ms": {"p50": 11.24, "p99": 31.0},
        "powered": True,
        "emergency": False,
        "bolts": {"entry": False, "exit": True},
        "arm_per_mille": 0,
        "barriers": {"a": False, "b": False},
        "lamp": None,
        "lamps": {"green": False, "yellow": False, "red": False},
        "buzzer": False,
        "passage_mm": {},
        "queues": {"entry": [], "exit": []},
        "bodies_in": 0,
        "bodies_out": 0,
    }


def car_lane() -> dict[str, Any]:
    return {"boom": 0, "cars": [], "lamp": None, "lines": ["Willkommen          ", "Bitte Taste drücken "], "up": True}


def car_park() -> dict[str, Any]:
    return {
        "name": "Parkplatz",
        "cap": 12,
        "running": True,
        "inside": 2,
        "parked": ["K-7", "K-8"],
        "entry": car_lane(),
        "exit": car_lane(),
        "sign": {"lines": ["Parkplatz", "Frei 10"], "up": True},
        "till": {"lines": ["Zu zahlen   1,50 EUR", "Bezahlt     0,50 EUR"], "up": True},
        "money": {"coins": 350, "card": 200, "booked": {"coins": 350, "card": 150}},
        "shops": [{"name": "Bäckerei", "handed_out": 4, "used": 3}, {"name": "Radladen", "handed_out": 1, "used": 0}],
        "came": 9,
        "left": 6,
        "lost": 1,
    }


def empty_view() -> dict[str, Any]:
    zone = {"zone": "pool", "name": "Freibad", "cap": 60, "present": 0, "reserved": 0, "leased": 0, "free": 60}
    return {
        "pool": {"name": "Freibad", "cap": 60, "inside": 0, "inside_max": 0},
        "controller": {"url": "http://127.0.0.1:9/", "up": True, "zones": [zone]},
        "lanes": [lane("ost", "esp32", False), lane("west", "pi", True)],
        "crowd": {"came": 0, "went_home": 0, "waiting": 0, "running": False, "arrivals_a_minute": 12},
        "park": None,
        "parts": [
            {"name": name, "up": True, "starts": 1} for name in ("broker", "controller", "ost-node", "west-node")
        ],
        "admitted": 0,
        "refused": {},
        "log": [],
    }


@dataclass
class SmallStage:
    """Keeps what was asked of it, and shows what it is told to."""

    shows: dict[str, Any] = field(default_factory=empty_view)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    trouble: str = ""

    def view(self) -> dict[str, Any]:
        return copy.deepcopy(self.shows)

    async def new_ticket(self, persons: int) -> dict[str, str]:
        self._ask("new_ticket", persons)
        svg = io.BytesIO()
        segno.make_qr(CODE).save(svg, kind="svg", border=4)
        return {"id": "t-1", "code": CODE, "typed": "7K3M Q2XW 9RTB 4H6N", "svg": svg.getvalue().decode()}

    async def hold(self, lane: str, side: str, code: bytes) -> dict[str, Any]:
        self._ask("hold", lane, side, code)
        colour = "green" if code == CODE.encode() else "red"
        self._lane(lane).update(lamp=colour, shown="ok" if colour == "green" else "invalid")
        return {"lamp": colour, "latency_ms": 12.4 if colour == "green" else None}

    async def go(self, lane: str, side: str, behaviour: str) -> dict[str, str]:
        self._ask("go", lane, side, behaviour)
        return {"fate": "BodyWentIn" if side == "entry" else "BodyWentOut"}

    def push_frame(self, lane: str, jpeg: bytes) -> None:
        if not self._lane(lane)["camera"]:
            raise StageError(f"lane {lane} has no camera")
        self.frames.append(jpeg)

    def press_emergency(self, lane: str, pressed: bool) -> None:
        self._ask("press_emergency", lane, pressed)
        self._lane(lane)["emergency"] = pressed

    async def rearm(self, lane: str, first: str, second: str) -> None:
        self._ask("rearm", lane, first, second)

    async def pull_the_plug(self, part: str) -> None:
        self._ask("pull_the_plug", part)
        next(row for row in self.shows["parts"] if row["name"] == part).update(up=False)

    def set_crowd(self, running: bool, arrivals_a_minute: float) -> None:
        self._ask("set_crowd", running, arrivals_a_minute)
        self.shows["crowd"].update(running=running, arrivals_a_minute=arrivals_a_minute)

    def wait_for(self, verbs: int) -> None:
        until(lambda: len(self.asked) >= verbs)

    def _ask(self, *verb: Any) -> None:
        if self.trouble:
            raise StageError(self.trouble)
        self.asked.append(verb)

    def _lane(self, name: str) -> dict[str, Any]:
        for row in self.shows["lanes"]:
            if row["name"] == name:
                found: dict[str, Any] = row
                return found
        raise StageError(f"there is no lane {name}")
