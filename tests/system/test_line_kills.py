"""kill -9 of controller and broker in mid-decision: at every stage of an admission, on both lanes at once.

The tap stops the line at the stage (what is on its way stays on its way), so a case is the same in every run. At the
end of every test the controller's count is the truth (never below it where a passage could not be seen), the ledger is
what the nodes' journals say without a gap, no ticket was let in twice, and no scan got two answers (Line.audited).
The nodes' own deaths are in test_line_node_kills.py.
"""

import asyncio
from collections.abc import Iterator

import pytest

from stages import (
    HELD_S_MAX,
    all_quiet,
    counted,
    enter,
    given_up,
    hold,
    let_go,
    now,
    of_kind,
    passage_stored,
    reached,
    scan,
    tickets,
    walk_in,
)
from whole_line import BROKERS, NODES, Line, open_line

CAP = 100
CONTROLLER, BROKER, WIPED_BROKER = "controller", "broker", "broker and its store"

pytestmark = pytest.mark.timeout(90)


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
        await line.kill(victim)


async def revive(line: Line, victim: str) -> None:
    await line.start("broker" if victim == WIPED_BROKER else victim)


@pytest.mark.parametrize("victim", [CONTROLLER, BROKER])
def test_killed_after_the_scan_while_the_question_is_on_its_way(line: Line, victim: str) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        asks = hold(line, "ask", to_broker=True)
        await scan(line, given)
        await reached(asks)
        await kill(line, victim)
        await given_up(line)
        await revive(line, victim)
        # Now the question comes, long after its visitor was sent away: it must not keep a place or an entry.
        let_go(asks)
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


@pytest.mark.parametrize("victim", [CONTROLLER, WIPED_BROKER])
def test_killed_after_the_decision_while_the_answer_is_on_its_way(line: Line, victim: str) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        answers = hold(line, "answer")
        await scan(line, given)
        await reached(answers)
        await kill(line, victim)
        let_go(answers)
        await walk_in(line)
        await revive(line, victim)
        await counted(line, before, 2)

    line.run(scene())


@pytest.mark.parametrize("victim", [CONTROLLER, BROKER])
def test_killed_after_the_release_before_the_passage(line: Line, victim: str) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        records = hold(line, "event", of_kind("released"), to_broker=True)
        scans = await scan(line, given)
        await reached(records)
        assert all([await one.released(HELD_S_MAX) for one in scans])
        await kill(line, victim)
        await walk_in(line)
        await revive(line, victim)
        let_go(records)
        await counted(line, before, 2)

    line.run(scene())


@pytest.mark.parametrize("victim", [CONTROLLER, BROKER])
def test_killed_after_the_passage_while_its_record_is_on_its_way(line: Line, victim: str) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        records = hold(line, "event", of_kind("passed"), to_broker=True)
        await enter(line, given)
        await reached(records)
        await kill(line, victim)
        await revive(line, victim)
        let_go(records)
        await counted(line, before, 2)

    line.run(scene())


@pytest.mark.parametrize("victim", [CONTROLLER, WIPED_BROKER])
def test_killed_when_the_passage_is_stored_before_its_acknowledgement(line: Line, victim: str) -> None:
    async def scene() -> None:
        given, before = await tickets(line), line.truth.inside
        after = await line.last()
        acks = hold(line, "ack", passage_stored(line))
        await enter(line, given)
        await reached(acks)
        for lane in NODES:
            await line.entry("passed", after, node=lane, ticket=given[lane]["id"])
        await kill(line, victim)
        await revive(line, victim)
        let_go(acks)
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
        await line.until("the arms are free", lambda: now(all_quiet(line)))
        await line.kill(*NODES)
        await line.start("broker", CONTROLLER, *NODES)
        await counted(line, before, -4)
        for lane in NODES:
            found = [e for e in await line.ledger() if e["number"] > after and e["body"].get("node") == lane]
            assert [e["kind"] for e in found if e["kind"] in ("passed", "refused")] == ["passed", "passed", "refused"]

    line.run(scene())
