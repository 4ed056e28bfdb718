"""kill -9 of the broker in mid-decision, of each kind, with and without its store; else as test_line_kills.py."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import deaths
from deaths import BROKER, CONTROLLER, WIPED_BROKER
from stages import all_quiet, counted, enter, now, tickets
from whole_line import BROKERS, NODES, Line, open_line

CAP = 100

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module", params=BROKERS)
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with open_line(request.param, tmp_path_factory.mktemp("line"), CAP) as line:
        yield line


@pytest.fixture(autouse=True)
def sound(line: Line) -> Iterator[None]:
    yield
    line.tap.release_all()
    line.run(line.mend())
    line.run(line.audited())


@pytest.mark.parametrize(
    ("scene", "victim"),
    [
        (deaths.while_the_question_is_on_its_way, BROKER),
        (deaths.while_the_answer_is_on_its_way, WIPED_BROKER),
        (deaths.before_the_passage, BROKER),
        (deaths.while_the_passage_is_on_its_way, BROKER),
        (deaths.before_the_acknowledgement, WIPED_BROKER),
    ],
)
def test_broker_killed(line: Line, scene: Callable[[Line, str], Coroutine[Any, Any, None]], victim: str) -> None:
    line.run(scene(line, victim))


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
