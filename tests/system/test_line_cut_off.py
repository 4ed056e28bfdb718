"""Pi and ESP32 cut off for real: both go on to their last lent place, exits are free, afterwards the counts agree."""

from collections.abc import Iterator
from typing import Any

import pytest

from einlass_sim.demo.parts import ESP32_NODE, PI_NODE
from whole_line import NODES, Line, open_line

CAP = 6
LENT = 5  # 90 % of six
TICKETS = 8

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def line(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(Line, "cut_off", "leased")
    monkeypatch.setattr(Line, "settled", _arrived)
    with open_line("nats", tmp_path, CAP) as line:
        yield line


async def _arrived(line: Line) -> None:
    """As Line.settled, but places may be lent."""
    await line.until("the controller's count is the truth", line.counts_agree)


def test_cut_off_to_the_last_place_and_back(line: Line) -> None:
    async def scene() -> None:
        tickets = [(await line.ticket())["code"] for _ in range(TICKETS)]
        lent: dict[str, int] = {}

        async def prepared() -> bool:
            nodes = {node["id"]: node for node in await line.office.nodes()}
            lent.update({name: nodes[name]["lent"] for name in NODES})
            versions = [nodes[name]["list_version"] for name in NODES]
            shared = sum(lent.values()) == LENT and min(lent.values()) > 0  # a lane that is up first has them all
            return shared and all(version and version[0] >= TICKETS for version in versions)

        await line.until("places are lent and the lists are there", prepared)
        assert (await line.zone())["leased"] == LENT
        await line.kill("broker")
        given = iter(tickets)
        used: dict[str, list[str]] = {name: [] for name in NODES}
        for name in NODES:
            for _ in range(lent[name]):
                used[name].append(next(given))
                await line.enters(name, used[name][-1])
        one_more = next(given)
        for name in NODES:
            assert await line.refused(name, one_more) == "yellow", "no place left here"
            assert await line.refused(name, "nobody-has-sold-this") == "yellow"
        # Who leaves frees a place at that lane, and only there.
        for name, other in ((PI_NODE, ESP32_NODE), (ESP32_NODE, PI_NODE)):
            await line.leaves(name)
            assert await line.refused(other, one_more) == "yellow", "a place that is free elsewhere"
            assert await line.refused(name, used[name][0]) == "yellow", "let in once already"
            used[name].append(one_more)
            await line.enters(name, one_more)
            one_more = next(given)
        for name in NODES:
            await line.kill(name)
            await line.start(name)
        await line.until("the Pi is back", lambda: _says(line, "node_starts", 2))
        for name in NODES:
            await line.leaves(name)
            assert await line.refused(name, one_more) == "yellow", "a restart has ended the lease"
        assert line.truth.inside == LENT - 2
        await line.start("broker")
        await line.settled()
        assert line.truth.inside_max == LENT
        assert (await line.zone())["present"] == LENT - 2
        alone = [entry["body"] for entry in await line.ledger() if entry["body"].get("offline")]
        assert len(alone) == LENT + 2
        assert {body["node"] for body in alone} == set(NODES)
        assert not [entry for entry in await line.ledger() if entry["kind"] in ("conflict", "alarm")]
        await line.enters(ESP32_NODE, one_more)
        await line.settled()

    line.run(scene(), 150)


async def _says(line: Line, what: str, times: int) -> bool:
    return line.log(PI_NODE).count(what) >= times
