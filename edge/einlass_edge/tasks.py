"""Ending what would not end: asyncio.wait_for in Python 3.11 loses a cancellation that comes together with its result.

The core's pump and pymodbus sleep in it, so a node that must stop now and then would not.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

AGAIN_S = 0.01


async def insisting(work: Coroutine[Any, Any, None]) -> None:
    """Run it; cancelled, cancel it until it has ended."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,))
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=AGAIN_S)
    task.result()
