"""Steps of an admission on both lanes at once, for the tests that kill something between two of them."""

import asyncio
from collections.abc import Callable
from typing import Any

from einlass_core.events import ENTRY
from einlass_sim.plant import HALF_MM
from einlass_sim.tap import Hold, Said
from whole_line import NODES, Line

HELD_S_MAX = 30.0

Tickets = dict[str, dict[str, str]]


async def tickets(line: Line) -> Tickets:
    """One a lane, once nothing is open any more."""
    await line.settled()
    return {lane: await line.ticket() for lane in NODES}


def hold(line: Line, kind: str, fits: Callable[[Said], bool] = lambda said: True, **how: bool) -> list[Hold]:
    """One a lane: see Tap.hold."""
    return [line.tap.hold(lane, kind, fits=fits, **how) for lane in NODES]


def let_go(holds: list[Hold]) -> None:
    """What was on its way arrives."""
    for one in holds:
        one.release()


def lose(holds: list[Hold]) -> None:
    """It has nowhere to arrive any more."""
    for one in holds:
        one.drop()


async def reached(holds: list[Hold]) -> None:
    """Until every lane stands at its hold."""
    await asyncio.gather(*[one.wait(HELD_S_MAX) for one in holds])


async def scan(line: Line, given: Tickets) -> list[Any]:
    """Each lane's reader is shown its ticket; both at the same moment, so neither asks while the other is not ready."""
    await asyncio.gather(*[line.at_rest(lane) for lane in NODES])
    return await asyncio.gather(*[line.scan(lane, given[lane]["code"]) for lane in NODES])


async def walk_in(line: Line) -> None:
    """One body on each lane."""
    await asyncio.gather(*[line.walks_in(lane) for lane in NODES])


async def given_up(line: Line) -> None:
    """Every lane has told its visitor that no answer came."""
    lamps = await asyncio.gather(*[lane.wait_lamp(True, HELD_S_MAX) for lane in line.lanes.values()])
    assert lamps == ["yellow", "yellow"]


def passage_stored(line: Line) -> Callable[[Said], bool]:
    """For hold(): the acknowledgement of the next passage of a node, counted from now."""
    told = {node: max(event["seq"] for event in line.sent("event", node)) for node in NODES}

    def fits(ack: Said) -> bool:
        node = ack.topic.split("/")[3]
        new = [event["seq"] for event in line.sent("event", node) if event["kind"] == "passed"]
        return max(new, default=0) > told[node] and bool(ack.fields["seq"] >= max(new))

    return fits


def of_kind(kind: str) -> Callable[[Said], bool]:
    """For hold(): a node's record of that kind."""
    return lambda said: bool(said.fields["kind"] == kind)


async def enter(line: Line, given: Tickets) -> None:
    """Scan and walk in, on each lane."""
    await asyncio.gather(*[line.enters(lane, given[lane]["code"]) for lane in NODES])


async def counted(line: Line, before: int, more: int) -> None:
    """So many bodies more are inside, and the controller says so."""
    assert line.truth.inside == before + more
    await line.settled()


def all_locked(line: Line) -> bool:
    """No entry is free."""
    return not any(lane.plant.bolt_free(ENTRY) for lane in line.lanes.values())


def all_quiet(line: Line) -> bool:
    """Nobody is in an arm, and no lamp is lit."""
    return not any(lane.view()["passage_mm"] or lane.lamp for lane in line.lanes.values())


def past_half(line: Line, lane: str) -> bool:
    """Whether the arm has turned so far that it turns on by itself."""
    passage_mm: dict[str, int] = line.lanes[lane].view()["passage_mm"]
    return any(mm > HALF_MM for mm in passage_mm.values())


async def now(value: bool) -> bool:
    """For Line.until, which awaits what it looks at."""
    return value
