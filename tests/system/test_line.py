"""The main job, end to end: a ticket before a reader, a real node, broker and controller, a turnstile that turns.

Cap 3, both nodes, both brokers. Every test begins and ends with an empty pool.
"""

import asyncio
from collections.abc import Iterator

import pytest

from einlass_core.events import ENTRY
from einlass_sim.demo.parts import ESP32_NODE, PI_NODE
from einlass_sim.people import Behaviour
from einlass_sim.plant import GaveUp, TurnedBack
from whole_line import BROKERS, NODES, Line, open_line

CAP = 3

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module", params=BROKERS)
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with open_line(request.param, tmp_path_factory.mktemp("line"), CAP) as line:
        yield line


@pytest.fixture(autouse=True)
def empty(line: Line) -> Iterator[None]:
    assert line.truth.inside == 0
    yield
    line.run(line.all_leave())
    line.run(line.audited())


def test_a_ticket_opens_the_bolt_and_the_passage_counts_once(line: Line) -> None:
    async def scene(lane: str) -> None:
        ticket = await line.ticket()
        after = await line.last()
        scan = await line.released(lane, ticket["code"])
        assert await line.lanes[lane].wait_lamp(True, 5.0) == "green"
        await line.walks_in(lane)
        await line.entry("passed", after, node=lane, ticket=ticket["id"], side=ENTRY)
        await line.settled()
        assert line.truth.inside == 1
        assert scan.latency_ms is not None
        assert scan.latency_ms < 1000

        after = await line.last()
        assert await line.refused(lane, ticket["code"]) == "yellow"
        assert await line.decided(ticket["id"], after) == "already_inside"

        await line.leaves(lane, ticket["code"])
        await line.settled()
        assert line.truth.inside == 0
        after = await line.last()
        assert await line.refused(lane, ticket["code"]) == "red"
        assert await line.decided(ticket["id"], after) == "used_up"

    for lane in NODES:
        line.run(scene(lane))


def test_an_unknown_code_is_red_and_opens_nothing(line: Line) -> None:
    async def scene(lane: str) -> None:
        after = await line.last()
        assert await line.refused(lane, "E1:0000000000000000") == "red"  # its check character is missing
        await line.entry("refused", after, node=lane, code="invalid")
        assert await line.refused(lane, "4006381333931") == "red"
        entry = await line.entry("decision", after, node=lane, code="invalid")
        assert "4006381333931" not in str(entry), "a stranger's text does not stand in the ledger"

    async def scenes() -> None:
        await asyncio.gather(*[scene(lane) for lane in NODES])

    line.run(scenes())


@pytest.mark.parametrize("lane", NODES)
def test_a_family_ticket_lets_three_bodies_through_under_one_release(line: Line, lane: str) -> None:
    async def scene() -> None:
        ticket = await line.ticket(persons=3)
        await line.released(lane, ticket["code"])
        for _ in range(3):
            await line.walks_in(lane)
        await line.until("locked again", lambda: _is(not line.lanes[lane].plant.bolt_free(ENTRY)))
        await line.settled()
        assert line.truth.inside == 3
        assert (await line.zone())["free"] == 0
        fourth = await line.lanes[lane].person_goes(ENTRY, patience_ms=300)
        assert isinstance(fourth, GaveUp), "a fourth body found the entry locked"

    line.run(scene())


def test_whoever_steps_back_has_not_used_the_ticket(line: Line) -> None:
    async def scene(lane: str) -> None:
        ticket = await line.ticket()
        after = await line.last()
        await line.released(lane, ticket["code"])
        fate = await line.lanes[lane].person_goes(ENTRY, Behaviour.STEP_BACK)
        assert isinstance(fate, TurnedBack)
        await line.entry("unused", after, node=lane, ticket=ticket["id"])
        await line.enters(lane, ticket["code"])

    async def scenes() -> None:
        await asyncio.gather(*[scene(lane) for lane in NODES])
        await line.settled()
        assert line.truth.inside == 2

    line.run(scenes())


@pytest.mark.parametrize(("full_lane", "other_lane"), [(ESP32_NODE, PI_NODE), (PI_NODE, ESP32_NODE)])
def test_the_fourth_is_kept_out_until_somebody_leaves_through_the_other_lane(
    line: Line, full_lane: str, other_lane: str
) -> None:
    async def scene() -> None:
        for lane in (full_lane, other_lane, full_lane):
            await line.enters(lane, (await line.ticket())["code"])
        await line.settled()
        fourth = await line.ticket()
        after = await line.last()
        assert await line.refused(full_lane, fourth["code"]) == "yellow"
        assert await line.decided(fourth["id"], after) == "zone_full"
        await line.leaves(other_lane)
        await line.settled()
        await line.enters(full_lane, fourth["code"])
        await line.settled()
        assert (line.truth.inside, line.truth.inside_max) == (3, 3)

    line.run(scene())


def test_two_lanes_at_the_same_moment_do_not_share_the_last_place(line: Line) -> None:
    async def scene() -> None:
        for lane in NODES:
            await line.enters(lane, (await line.ticket())["code"])
        tickets = {lane: await line.ticket() for lane in NODES}
        await line.settled()
        after = await line.last()
        scans = await asyncio.gather(*[line.scan(lane, tickets[lane]["code"]) for lane in NODES])
        codes = [await line.decided(tickets[lane]["id"], after) for lane in NODES]
        assert sorted(codes) == ["ok", "zone_full"]
        lucky = NODES[codes.index("ok")]
        assert await scans[NODES.index(lucky)].released(5.0)
        await line.walks_in(lucky)
        await line.settled()
        assert line.truth.inside == 3

    line.run(scene())


async def _is(value: bool) -> bool:
    return value
