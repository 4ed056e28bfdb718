"""The demonstration's car park without its broker: the entry goes on from its lease, and the books are right later.

Everything is real but the hardware: controller, broker, and the nodes of entry, exit, pay station and sign.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from einlass_sim.demo.car_park import CarPark
from einlass_sim.demo.car_parts import ENTRY_NODE, PARK
from einlass_sim.demo.demo import Demo, DemoSettings

pytestmark = pytest.mark.timeout(300)
DEADLINE_S = 120.0
LOOK_S = 0.1


async def until(true: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end_s, f"never: {what}"
        await asyncio.sleep(LOOK_S)


def test_an_entry_without_its_broker_gives_out_tickets_that_are_stays_later(tmp_path: Path) -> None:
    async def work() -> None:
        async with Demo(DemoSettings(tmp_path, arrivals_a_minute=1), lambda text: None) as demo:
            park = demo.park
            assert isinstance(park, CarPark)
            await until(lambda: park.inside >= 1, "a car drives in")
            await asyncio.to_thread(demo.parts["broker"].kill)
            log = tmp_path / f"node-{ENTRY_NODE}.log"
            await until(lambda: '"reason": "leased"' in log.read_text(), "one is let in while nobody can be asked")
            released = park.inside
            await until(lambda: park.inside > released or park.inside >= 2, "it drives in")
            await asyncio.to_thread(demo.parts["broker"].start)
            demo.freeze_crowd()
            await until(lambda: demo.park_at_rest() and demo.park_agrees(), "cars and money agree with the books")
            result = park.result(demo.zone(PARK))
            assert result["consistent"]
            assert result["contacts"] == 0
            inside = await demo.office.stays_inside()
            assert len(inside) >= result["inside"], "who drove in alone has a stay, too"

    asyncio.run(asyncio.wait_for(work(), 280))
