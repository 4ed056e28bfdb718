"""How much of its heap the firmware needs, measured on the simulated board: python -m einlass_sim.bench_firmware"""

import asyncio
import json
import tempfile
from pathlib import Path

from einlass_sim.bench_node import bench_node
from einlass_sim.devices.board import HEAP

VISITORS = 100
STATUS_EVERY = 5  # visitors
UNITS = {"K": 1024, "M": 1024 * 1024}


def measure_heap(visitors: int = VISITORS, heap: str = HEAP) -> dict[str, int]:
    """Bytes free after collecting: at the start, the least and the last seen while visitors pass in and out.

    AssertionError, BuildError, BrokerMissingError or ProcessError when the node does not run.
    """
    with tempfile.TemporaryDirectory(prefix="einlass-bench-") as directory:
        free = asyncio.run(_run(Path(directory), visitors, heap))
    size = int(heap[:-1]) * UNITS[heap[-1]] if heap[-1] in UNITS else int(heap)
    return {
        "heap_bytes": size,
        "free_after_boot": free[0],
        "free_min": min(free),
        "free_end": free[-1],
        "visitors": visitors,
    }


async def _run(directory: Path, visitors: int, heap: str) -> list[int]:
    async with bench_node(directory, heap=heap) as bench:
        await bench.start()
        free = [bench.controller.last("status")["heap_free_bytes"]]
        for visitor in range(visitors):
            await bench.visit(f"ticket-{visitor}")
            if visitor % 2:
                await bench.leave(f"ticket-{visitor}")
            if (visitor + 1) % STATUS_EVERY == 0:
                free.append((await bench.status())["heap_free_bytes"])
        await bench.until("all is acknowledged", lambda: len(bench.events) == bench.controller.last("status")["seq"])
        free.append((await bench.status())["heap_free_bytes"])
        return free


if __name__ == "__main__":
    print(json.dumps(measure_heap()))
