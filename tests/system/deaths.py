"""Scenes of an admission on both lanes in which the controller or the broker is killed, one a stage.

Each ends with two bodies more inside than before, and the controller's count says so.
"""

from stages import (
    HELD_S_MAX,
    counted,
    enter,
    given_up,
    hold,
    let_go,
    of_kind,
    passage_stored,
    reached,
    scan,
    tickets,
    walk_in,
)
from whole_line import NODES, Line

CONTROLLER, BROKER, WIPED_BROKER = "controller", "broker", "broker and its store"


async def kill(line: Line, victim: str) -> None:
    """kill -9; the broker's store may go with it."""
    if victim == WIPED_BROKER:
        await line.wipe_broker()
    else:
        await line.kill(victim)


async def revive(line: Line, victim: str) -> None:
    """Start it again."""
    await line.start("broker" if victim == WIPED_BROKER else victim)


async def while_the_question_is_on_its_way(line: Line, victim: str) -> None:
    """After the scan: the lanes ask, and nobody hears it in time."""
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


async def while_the_answer_is_on_its_way(line: Line, victim: str) -> None:
    """After the decision."""
    given, before = await tickets(line), line.truth.inside
    answers = hold(line, "answer")
    await scan(line, given)
    await reached(answers)
    await kill(line, victim)
    let_go(answers)
    await walk_in(line)
    await revive(line, victim)
    await counted(line, before, 2)


async def before_the_passage(line: Line, victim: str) -> None:
    """After the release."""
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


async def while_the_passage_is_on_its_way(line: Line, victim: str) -> None:
    """After the passage."""
    given, before = await tickets(line), line.truth.inside
    records = hold(line, "event", of_kind("passed"), to_broker=True)
    await enter(line, given)
    await reached(records)
    await kill(line, victim)
    await revive(line, victim)
    let_go(records)
    await counted(line, before, 2)


async def before_the_acknowledgement(line: Line, victim: str) -> None:
    """When the passage is stored."""
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
