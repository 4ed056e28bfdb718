"""kill -9 of both nodes in mid-decision, and nodes stopped between two steps: what they knew is in their journals.

As test_line_kills.py, but with one broker, which has no part in this. A node that comes back annuls what it was granted
and had not released; what it had released and not seen pass counts as inside.
"""

import asyncio
from collections.abc import Iterator

import pytest

from einlass_core.wire import topic_up
from einlass_sim import plant
from einlass_sim.brokers import best_broker
from einlass_sim.demo.parts import PI_NODE, SITE
from einlass_sim.people import Behaviour
from stages import (
    HELD_S_MAX,
    all_locked,
    counted,
    enter,
    given_up,
    hold,
    lose,
    now,
    of_kind,
    passage_stored,
    past_half,
    reached,
    scan,
    tickets,
)
from whole_line import LANE_MS, NODES, Line, open_line

CAP = 100
# A little more than the nodes' ask_ms (whole_line.py): its passing is what is tested.
ANSWER_TOO_LATE_S = LANE_MS["ask_ms"] / 1000 + 0.3

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module", params=[best_broker()])
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with open_line(request.param, tmp_path_factory.mktemp("line"), CAP) as line:
        yield line


@pytest.fixture(autouse=True)
def sound(line: Line) -> Iterator[None]:
    yield
    line.tap.release_all()
    line.run(line.mend())
    line.run(line.audited())


def test_killed_after_the_scan_while_the_question_is_on_its_way(line: Line) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        asks = hold(line, "ask", to_broker=True)
        await scan(line, given)
        await reached(asks)
        await line.kill(*NODES)
        lose(asks)
        await line.start(*NODES)
        await line.settled()
        await enter(line, given)
        await counted(line, before, 2)

    line.run(scene())


def test_killed_after_the_decision_while_the_answer_is_on_its_way(line: Line) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        after = await line.last()
        answers = hold(line, "answer")
        await scan(line, given)
        await reached(answers)
        await line.kill(*NODES)
        lose(answers)
        await line.start(*NODES)
        for lane in NODES:
            await line.entry("boot", after, node=lane, annulled=[given[lane]["id"]])
        await line.settled()
        await enter(line, given)
        await counted(line, before, 2)

    line.run(scene())


@pytest.mark.parametrize("stored", [False, True])
def test_killed_after_the_passage_before_its_acknowledgement(line: Line, stored: bool) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        after = await line.last()
        if stored:
            holds = hold(line, "ack", passage_stored(line))
        else:
            holds = hold(line, "event", of_kind("passed"), to_broker=True)
        await enter(line, given)
        await reached(holds)
        await line.kill(*NODES)
        lose(holds)
        await line.start(*NODES)
        await counted(line, before, 2)
        passages = [e["body"] for e in await line.ledger() if e["number"] > after and e["kind"] == "passed"]
        assert sorted(body["ticket"] for body in passages) == sorted(ticket["id"] for ticket in given.values())

    line.run(scene())


@pytest.mark.parametrize("ending", ["killed", "continued too late"])
def test_node_stopped_between_the_answer_and_the_release(line: Line, ending: str) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        answers = hold(line, "answer")
        scans = await scan(line, given)
        await reached(answers)
        for lane in NODES:
            line.pause(lane)
        for answer in answers:
            answer.release()
            await answer.arrived(HELD_S_MAX)
        if ending == "killed":
            await line.kill(*NODES)
            await line.start(*NODES)
        else:
            await asyncio.sleep(ANSWER_TOO_LATE_S)
            for lane in NODES:
                line.resume(lane)
            await given_up(line)
        await line.settled()
        assert [one.bolt_at_s for one in scans] == [None, None], "released for somebody who has gone"
        await enter(line, given)
        await counted(line, before, 2)

    line.run(scene())


def test_node_killed_after_the_release_before_the_passage_counts_who_may_be_inside(line: Line) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        records = hold(line, "event", of_kind("released"), to_broker=True)
        scans = await scan(line, given)
        await reached(records)
        assert all([await one.released(HELD_S_MAX) for one in scans])
        await line.kill(*NODES)
        lose(records)
        await line.until("the bolts have fallen", lambda: now(all_locked(line)))
        await line.start(*NODES)
        line.excess += 2  # nobody walked, but the nodes cannot know it
        await counted(line, before, 0)
        after = await line.last()
        for lane in NODES:
            assert await line.refused(lane, given[lane]["code"]) == "yellow"
            assert await line.decided(given[lane]["id"], after) == "already_inside"

    line.run(scene())


def test_node_killed_while_somebody_is_in_the_arm_counts_the_body(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arm has turned past half when the power goes: it turns on, and nobody sees the body arrive."""
    monkeypatch.setattr(plant, "STUCK_MM", (plant.HALF_MM + 50, plant.HALF_MM + 100))
    monkeypatch.setattr(plant, "STUCK_MS", (4000, 4000))

    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        after = await line.last()
        await scan(line, given)
        for lane in NODES:
            await line.entry("released", after, node=lane, ticket=given[lane]["id"])
        walks = [asyncio.create_task(line.walks_in(lane, Behaviour.STUCK)) for lane in NODES]
        await line.until("both are past half", lambda: now(all(past_half(line, lane) for lane in NODES)))
        await line.kill(*NODES)
        assert not any(walk.done() for walk in walks), "the nodes may have seen it"
        await asyncio.gather(*walks)
        await line.start(*NODES)
        for lane in NODES:
            await line.entry("uncertain", after, node=lane, tickets=[given[lane]["id"]])
        await counted(line, before, 2)

    line.run(scene())


def test_the_same_nonce_gets_the_same_answer_for_ever(line: Line) -> None:
    """Asked again by whoever has the node's credentials, and of a controller that was killed in between."""

    async def scene() -> None:
        given = await tickets(line)
        await enter(line, given)
        await line.settled()
        ask = next(said for said in reversed(line.tap.said) if said.client == PI_NODE and said.kind == "ask")
        nonce = ask.fields["nonce"]
        first = next(s for s in line.tap.said if s.kind == "answer" and s.fields["nonce"] == nonce)
        assert (first.fields["code"], first.fields["persons"]) == ("ok", 1)
        after = await line.last()
        await line.kill(PI_NODE)
        double = line.impostor(PI_NODE)
        try:
            await double.says(topic_up(SITE, PI_NODE, "ask"), ask.payload)
            assert (await double.answer(nonce)).payload == first.payload
            await line.kill("controller")
            await line.start("controller")
            heard = len(double.got)
            await double.says(topic_up(SITE, PI_NODE, "ask"), ask.payload)
            assert (await double.answer(nonce, heard)).payload == first.payload
            # Another ticket under a nonce that was used: a conflict, never a decision.
            other = await line.ticket()
            text = ask.payload.replace(given[PI_NODE]["code"].encode(), other["code"].encode())
            heard = len(double.got)
            await double.says(topic_up(SITE, PI_NODE, "ask"), text)
            assert (await double.answer(nonce, heard)).fields["code"] == "error"
        finally:
            double.leave()
        assert not [e for e in await line.ledger() if e["number"] > after and e["kind"] == "decision"]
        await line.start(PI_NODE)
        await line.settled()
        await line.enters(PI_NODE, other["code"])

    line.run(scene())


def test_a_question_that_comes_after_its_node_gave_up_is_too_late(line: Line) -> None:
    """It was lost on its way, the node gave up and said so; then the lost one comes after all."""

    async def scene() -> None:
        given = await tickets(line)
        after = await line.last()
        ask = line.tap.hold(PI_NODE, "ask", to_broker=True)
        await line.scan(PI_NODE, given[PI_NODE]["code"])
        late = await ask.wait(HELD_S_MAX)
        ask.drop()
        await line.entry("given_up", after, node=PI_NODE, nonce=late.fields["nonce"])
        await line.kill(PI_NODE)
        double = line.impostor(PI_NODE)
        try:
            await double.says(topic_up(SITE, PI_NODE, "ask"), late.payload)
            answer = (await double.answer(late.fields["nonce"])).fields
            assert (answer["code"], answer["values"]) == ("error", {"reason": "given_up"})
        finally:
            double.leave()
        assert (await line.zone())["reserved"] == 0
        await line.start(PI_NODE)
        await line.settled()
        await line.enters(PI_NODE, given[PI_NODE]["code"])

    line.run(scene())
