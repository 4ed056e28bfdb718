"""Both lanes cut off for real: the Pi goes on to its last lent place, exits are free, afterwards the counts agree."""

from collections.abc import Iterator
from typing import Any

import pytest

from einlass_sim.demo.parts import ESP32_NODE, PI_NODE
from whole_line import NODES, Line, open_line

CAP = 6
LENT = 5  # 90 % of six
TICKETS = 8

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def line(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(Line, "cut_off", "leased")
    monkeypatch.setattr(Line, "settled", _arrived)
    with open_line("nats", tmp_path, CAP) as line:
        yield line


async def _arrived(line: Line) -> None:
    """As Line.settled, but places may be lent."""

    async def look() -> bool:
        if not await line.office.ready():
            return False
        zone, nodes = await line.zone(), {node["id"]: node for node in await line.office.nodes()}
        told = line._told()
        return (
            all(line._here(name) and nodes[name]["online"] for name in NODES)
            and all(nodes[name]["events_kept"] == told[name] > 0 for name in NODES)
            and zone["present"] == line.truth.inside + line.excess
            and zone["reserved"] == 0
        )

    await line.until("the controller's count is the truth", look)


def test_cut_off_to_the_last_place_and_back(line: Line) -> None:
    async def scene() -> None:
        tickets = [(await line.ticket())["code"] for _ in range(TICKETS)]

        async def prepared() -> bool:
            nodes = {node["id"]: node for node in await line.office.nodes()}
            version = nodes[PI_NODE]["list_version"]
            return nodes[PI_NODE]["lent"] == LENT and bool(version) and version[0] >= TICKETS

        await line.until("places are lent and the list is there", prepared)
        assert (await line.zone())["leased"] == LENT
        await line.kill("broker")
        for code in tickets[:LENT]:
            await line.enters(PI_NODE, code)
        assert await line.refused(PI_NODE, tickets[LENT]) == "yellow"
        assert await line.refused(ESP32_NODE, tickets[LENT]) == "yellow"
        await line.leaves(ESP32_NODE)
        assert await line.refused(PI_NODE, tickets[LENT]) == "yellow", "a place that is free elsewhere"
        await line.leaves(PI_NODE)
        await line.enters(PI_NODE, tickets[LENT])
        assert await line.refused(PI_NODE, tickets[0]) == "yellow", "let in once already"
        await line.kill(PI_NODE)
        await line.start(PI_NODE)
        await line.until("the Pi is back", lambda: _says(line, "node_starts", 2))
        await line.leaves(PI_NODE)
        assert await line.refused(PI_NODE, tickets[LENT + 1]) == "yellow", "a restart has ended the lease"
        assert line.truth.inside == LENT - 2
        await line.start("broker")
        await line.settled()
        assert line.truth.inside_max == LENT
        assert (await line.zone())["present"] == LENT - 2
        alone = [entry["body"] for entry in await line.ledger() if entry["body"].get("offline")]
        assert len(alone) == LENT + 1
        assert not [entry for entry in await line.ledger() if entry["kind"] in ("conflict", "alarm")]
        await line.enters(ESP32_NODE, tickets[LENT + 2])
        await line.settled()

    line.run(scene(), 100)


async def _says(line: Line, what: str, times: int) -> bool:
    return line.log(PI_NODE).count(what) >= times
