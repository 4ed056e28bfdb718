"""A crowd on a simulated lane in real time, with the simplest node that is one: it lets every code in."""

import asyncio
import os
import random
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient

from einlass_core.events import ENTRY, EXIT
from einlass_sim.crowd import Crowd, CrowdSettings, Visitors
from einlass_sim.devices.lane import SimulatedLane, pi_lane
from einlass_sim.people import Mix

OPEN = [True, False, True, False, False, False]
SHUT = [False, False, False, False, False, False]
RELEASE_S = 2.0
DEADLINE_S = 25.0

HASTY = CrowdSettings(
    arrivals_a_minute=60,
    stay_ms=(200, 600),
    step_ms=(10, 50),
    without_ticket=0,
    used_ticket=0,
    garbage=0,
    entry_mix=Mix(walk=1, hesitate=0, step_back=0, tailgate=0, stuck=0),
    exit_mix=Mix(walk=1, hesitate=0, step_back=0, tailgate=0, stuck=0),
)


async def let_everybody_in(lane: SimulatedLane) -> None:
    """Reads the entry's tty, opens for each code, until cancelled."""
    assert lane.board
    client = AsyncModbusTcpClient(lane.board.host, port=lane.board.port)
    assert await client.connect()
    await client.write_coils(0, SHUT, device_id=1)
    tty = os.open(lane.readers[ENTRY].path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    arrived = asyncio.Event()
    asyncio.get_running_loop().add_reader(tty, arrived.set)
    try:
        while True:
            await arrived.wait()
            arrived.clear()
            try:
                typed = os.read(tty, 4096)
            except BlockingIOError:
                continue
            if typed.endswith(b"\r"):
                await client.write_coils(0, OPEN, device_id=1)
                await asyncio.sleep(RELEASE_S)
                await client.write_coils(0, SHUT, device_id=1)
    finally:
        asyncio.get_running_loop().remove_reader(tty)
        os.close(tty)
        client.close()


def test_visitors_come_and_go_and_the_truth_adds_up(tmp_path: Path) -> None:
    async def run() -> None:
        issued: list[str] = []

        async def issue() -> str:
            issued.append(f"TICKET{len(issued)}")
            return issued[-1]

        crowd = Crowd(random.Random(4), {"west": (ENTRY,)}, HASTY)
        async with pi_lane("west", tmp_path, rng=random.Random(4)) as lane:
            node = asyncio.create_task(let_everybody_in(lane))
            run = asyncio.create_task(Visitors(crowd, {"west": lane}, issue).run(DEADLINE_S))
            while not run.done() and not node.done() and lane.plant.bodies_out < 2:
                await asyncio.sleep(0.02)
                assert len(crowd.inside) == lane.plant.bodies_in - lane.plant.bodies_out
            run.cancel()
            node.cancel()
            ends = await asyncio.gather(run, node, return_exceptions=True)
            assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends), ends
            assert lane.plant.bodies_out >= 2
            assert crowd.seen["valid", "green"] >= 2
            assert crowd.inside_max >= 1
            assert all(scan.latency_ms is None or scan.latency_ms < 1000 for scan in lane.scans)
            assert not lane.on_output

    asyncio.run(asyncio.wait_for(run(), 40))


def test_a_crowd_that_was_told_of_a_reader_that_is_not_there_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        async def issue() -> str:
            return "TICKET"

        crowd = Crowd(random.Random(4), {"west": (ENTRY, EXIT)}, HASTY)
        async with pi_lane("west", tmp_path, sides=(EXIT,)) as lane:
            with pytest.raises(KeyError, match=ENTRY):
                await Visitors(crowd, {"west": lane}, issue).run(DEADLINE_S)

    asyncio.run(asyncio.wait_for(run(), 40))
