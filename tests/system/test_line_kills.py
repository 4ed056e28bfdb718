"""kill -9 of the controller in mid-decision: at every stage of an admission, on both lanes at once.

The tap stops the line at the stage (what is on its way stays on its way), so a case is the same in every run. At the
end of every test the controller's count is the truth (never below it where a passage could not be seen), the ledger is
what the nodes' journals say without a gap, no ticket was let in twice, and no scan got two answers (Line.audited).
With one broker: test_line_broker_kills.py kills it, of each kind. The nodes' deaths are in test_line_node_kills.py.
"""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import deaths
from deaths import CONTROLLER
from einlass_sim.brokers import best_broker
from stages import HELD_S_MAX, counted, enter, given_up, scan, tickets
from whole_line import NODES, Line, open_line

CAP = 100

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


@pytest.mark.parametrize(
    "scene",
    [
        deaths.while_the_question_is_on_its_way,
        deaths.while_the_answer_is_on_its_way,
        deaths.before_the_passage,
        deaths.while_the_passage_is_on_its_way,
        deaths.before_the_acknowledgement,
    ],
)
def test_controller_killed(line: Line, scene: Callable[[Line, str], Coroutine[Any, Any, None]]) -> None:
    line.run(scene(line, CONTROLLER))


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
