"""kill -9 of controller, broker and nodes in mid-decision: at every stage of an admission, on both lanes at once.

The tap stops the line at the stage (what is on its way stays on its way), so a case is the same in every run. At the
end of every test the controller's count is the truth (never below it where a passage could not be seen), the ledger is
what the nodes' journals say without a gap, no ticket was let in twice, and no scan got two answers (Line.audited).
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from einlass_core.events import ENTRY
from einlass_core.wire import topic_up
from einlass_sim.demo.parts import PI_NODE, SITE
from einlass_sim.plant import HALF_MM, BodyWentIn
from einlass_sim.tap import Hold, Said
from whole_line import BROKERS, NODES, Line, open_line

CAP = 100
HELD_S_MAX = 10.0
# A little more than the nodes' ask_ms (whole_line.py): its passing is what is tested.
ANSWER_TOO_LATE_S = 2.3

CONTROLLER, BROKER, WIPED_BROKER, NODE = "controller", "broker", "broker and its store", "nodes"

pytestmark = pytest.mark.timeout(90)

Tickets = dict[str, dict[str, str]]


@pytest.fixture(scope="module", params=BROKERS)
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with open_line(request.param, tmp_path_factory.mktemp("line"), CAP) as line:
        yield line


@pytest.fixture(autouse=True)
def sound(line: Line) -> Iterator[None]:
    yield
    line.tap.release_all()
    line.run(line.audited())


async def kill(line: Line, victim: str) -> None:
    if victim == WIPED_BROKER:
        await line.wipe_broker()
    else:
        await line.kill(*(NODES if victim == NODE else (victim,)))


async def revive(line: Line, victim: str) -> None:
    await line.start(*(NODES if victim == NODE else ("broker",) if victim == WIPED_BROKER else (victim,)))


async def tickets(line: Line) -> Tickets:
    await line.settled()
    return {lane: await line.ticket() for lane in NODES}


def hold(line: Line, kind: str, fits: Callable[[Said], bool] = lambda said: True, **how: bool) -> list[Hold]:
    return [line.tap.hold(lane, kind, fits=fits, **how) for lane in NODES]


async def reached(holds: list[Hold]) -> None:
    await asyncio.gather(*[one.wait(HELD_S_MAX) for one in holds])


def let_go(holds: list[Hold], victim: str) -> None:
    """What was on its way arrives; with a dead node, it has nowhere to arrive."""
    for one in holds:
        if victim == NODE:
            one.drop()
        else:
            one.release()


async def scan(line: Line, given: Tickets) -> list[Any]:
    return await asyncio.gather(*[line.scan(lane, given[lane]["code"]) for lane in NODES])


async def walk_in(line: Line) -> None:
    await asyncio.gather(*[line.walks_in(lane) for lane in NODES])


async def given_up(line: Line) -> None:
    for lane in line.lanes.values():
        assert await lane.wait_lamp(True, HELD_S_MAX) == "yellow"


async def enter(line: Line, given: Tickets) -> None:
    await asyncio.gather(*[line.enters(lane, given[lane]["code"]) for lane in NODES])


async def counted(line: Line, before: int, more: int) -> None:
    assert line.truth.inside == before + more
    await line.settled()


@pytest.mark.parametrize("victim", [CONTROLLER, BROKER, NODE])
def test_killed_after_the_scan_while_the_question_is_on_its_way(line: Line, victim: str) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        asks = hold(line, "ask", to_broker=True)
        await scan(line, given)
        await reached(asks)
        await kill(line, victim)
        if victim == NODE:
            let_go(asks, victim)
            await revive(line, victim)
        else:
            await given_up(line)
            await revive(line, victim)
            # Now the question comes, long after its visitor was sent away: it must not keep a place or an entry.
            let_go(asks, victim)
        await line.settled()
        await enter(line, given)
        await counted(line, before, 2)

    line.run(scene())


@pytest.mark.parametrize("ending", ["killed", "continued"])
def test_a_controller_that_stood_still_over_the_question(line: Line, ending: str) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        asked = len(line.sent("ask"))
        line.pause(CONTROLLER)
        await scan(line, given)
        await given_up(line)
        assert len(line.sent("ask")) == asked + 2
        if ending == "killed":
            await line.kill(CONTROLLER)
            await line.start(CONTROLLER)
        else:
            line.resume(CONTROLLER)
        await line.settled()
        await enter(line, given)
        await counted(line, before, 2)

    line.run(scene())


def test_controller_killed_when_the_answer_is_stored_but_not_sent(line: Line) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        after = await line.last()
        answer = line.tap.hold(CONTROLLER, "answer", to_broker=True)
        await scan(line, given)
        await answer.wait(HELD_S_MAX)
        for lane in NODES:
            assert await line.decided(given[lane]["id"], after) == "ok"
        await line.kill(CONTROLLER)
        answer.drop()
        await given_up(line)
        await line.start(CONTROLLER)
        # The broker asks it again, as nothing was acknowledged: it gives the stored answer, to nobody's benefit.
        await line.settled()
        await enter(line, given)
        await counted(line, before, 2)

    line.run(scene())


@pytest.mark.parametrize("victim", [CONTROLLER, BROKER, WIPED_BROKER, NODE])
def test_killed_after_the_decision_while_the_answer_is_on_its_way(line: Line, victim: str) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        after = await line.last()
        answers = hold(line, "answer")
        await scan(line, given)
        await reached(answers)
        await kill(line, victim)
        let_go(answers, victim)
        if victim == NODE:
            await revive(line, victim)
            for lane in NODES:
                await line.entry("boot", after, node=lane, annulled=[given[lane]["id"]])
            await enter(line, given)
        else:
            await walk_in(line)
            await revive(line, victim)
        await counted(line, before, 2)

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


@pytest.mark.parametrize("victim", [CONTROLLER, BROKER, WIPED_BROKER])
def test_killed_after_the_release_before_the_passage(line: Line, victim: str) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        records = hold(line, "event", lambda said: said.fields["kind"] == "released", to_broker=True)
        scans = await scan(line, given)
        await reached(records)
        assert all([await one.released(HELD_S_MAX) for one in scans])
        await kill(line, victim)
        await walk_in(line)
        await revive(line, victim)
        let_go(records, victim)
        await counted(line, before, 2)

    line.run(scene())


def test_node_killed_after_the_release_before_the_passage_counts_who_may_be_inside(line: Line) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        records = hold(line, "event", lambda said: said.fields["kind"] == "released", to_broker=True)
        scans = await scan(line, given)
        await reached(records)
        assert all([await one.released(HELD_S_MAX) for one in scans])
        await line.kill(*NODES)
        let_go(records, NODE)
        await line.until("the bolts have fallen", lambda: _now(_all_locked(line)))
        await line.start(*NODES)
        line.excess += 2  # nobody walked, but the nodes cannot know it
        await counted(line, before, 0)
        after = await line.last()
        for lane in NODES:
            assert await line.refused(lane, given[lane]["code"]) == "yellow"
            assert await line.decided(given[lane]["id"], after) == "already_inside"

    line.run(scene())


def test_node_killed_while_somebody_is_in_the_arm_counts_the_body(line: Line) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        after = await line.last()
        await scan(line, given)
        for lane in NODES:
            await line.entry("released", after, node=lane, ticket=given[lane]["id"])
        fates = await asyncio.gather(*[_dies_under_the_visitor(line, lane) for lane in NODES])
        assert all(isinstance(fate, BodyWentIn) for fate in fates), fates
        await line.start(*NODES)
        for lane in NODES:
            await line.entry("uncertain", after, node=lane, tickets=[given[lane]["id"]])
        await counted(line, before, 2)

    line.run(scene())


async def _dies_under_the_visitor(line: Line, lane: str) -> Any:
    """The arm has turned past half when the power goes: it turns on, and nobody sees the body arrive."""
    walking = asyncio.create_task(line.lanes[lane].person_goes(ENTRY))
    await line.until("past half", lambda: _now(_past_half(line, lane)))
    line.pause(lane)  # at once; ending it takes a moment
    assert not walking.done()
    await line.kill(lane)
    return await walking


@pytest.mark.parametrize("victim", [CONTROLLER, BROKER, NODE])
def test_killed_after_the_passage_while_its_record_is_on_its_way(line: Line, victim: str) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        records = hold(line, "event", lambda said: said.fields["kind"] == "passed", to_broker=True)
        await enter(line, given)
        await reached(records)
        await kill(line, victim)
        await revive(line, victim)
        let_go(records, victim)
        await counted(line, before, 2)

    line.run(scene())


@pytest.mark.parametrize("victim", [CONTROLLER, BROKER, WIPED_BROKER, NODE])
def test_killed_when_the_passage_is_stored_before_its_acknowledgement(line: Line, victim: str) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        after = await line.last()

        def of_a_passage(ack: Said) -> bool:
            node = ack.topic.split("/")[3]
            new = [event["seq"] for event in line.sent("event", node) if event["kind"] == "passed"]
            return max(new, default=0) > told[node] and bool(ack.fields["seq"] >= max(new))

        told = {node: max(event["seq"] for event in line.sent("event", node)) for node in NODES}
        acks = hold(line, "ack", of_a_passage)
        await enter(line, given)
        await reached(acks)
        for lane in NODES:
            await line.entry("passed", after, node=lane, ticket=given[lane]["id"])
        await kill(line, victim)
        await revive(line, victim)
        let_go(acks, victim)
        await counted(line, before, 2)
        for lane in NODES:
            passages = [e for e in await line.ledger() if e["number"] > after and e["kind"] == "passed"]
            assert [e["body"]["ticket"] for e in passages if e["body"]["node"] == lane] == [given[lane]["id"]]

    line.run(scene())


def test_what_happened_while_everything_was_dead_is_told_later(line: Line) -> None:
    """People leave a pool whose controller and broker are gone; then the nodes lose their power, too."""

    async def scene() -> None:
        for _ in range(2):
            await enter(line, await tickets(line))
        await line.settled()
        before, after = line.truth.inside, await line.last()
        await line.kill(CONTROLLER)
        await line.wipe_broker()
        for _ in range(2):
            await asyncio.gather(*[line.leaves(lane) for lane in NODES])
        refused = await asyncio.gather(*[line.refused(lane, "E1:000000000000000000") for lane in NODES])
        assert refused == ["red", "red"]
        await line.until("the arms are free", lambda: _now(_all_quiet(line)))
        await line.kill(*NODES)
        await line.start("broker", CONTROLLER, *NODES)
        await counted(line, before, -4)
        for lane in NODES:
            found = [e for e in await line.ledger() if e["number"] > after and e["body"].get("node") == lane]
            assert [e["kind"] for e in found if e["kind"] in ("passed", "refused")] == ["passed", "passed", "refused"]

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
            await line.kill(CONTROLLER)
            await line.start(CONTROLLER)
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


def _all_locked(line: Line) -> bool:
    return not any(lane.plant.bolt_free(ENTRY) for lane in line.lanes.values())


def _all_quiet(line: Line) -> bool:
    return not any(lane.view()["passage_mm"] or lane.lamp for lane in line.lanes.values())


def _past_half(line: Line, lane: str) -> bool:
    passage_mm: dict[str, int] = line.lanes[lane].view()["passage_mm"]
    return any(mm > HALF_MM for mm in passage_mm.values())


async def _now(value: bool) -> bool:
    return value
