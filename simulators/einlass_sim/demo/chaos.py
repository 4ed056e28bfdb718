"""Kills controller, broker and nodes at random while the pool is open."""

import asyncio
import random
from collections import Counter

from einlass_sim.demo.demo import Demo, Say

PAUSE_S = (1.5, 5.0)
OFF_S = (0.1, 2.0)


class Chaos:
    """run() until cancelled; `kills` counts them by part. What was killed last is up again when run() is cancelled."""

    def __init__(self, demo: Demo, rng: random.Random, say: Say) -> None:
        self.kills: Counter[str] = Counter()
        self._demo = demo
        self._rng = rng
        self._say = say

    async def run(self, duration_s: float) -> None:
        """Kill for so long, then leave everything running."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + duration_s
        while loop.time() < until_s:
            await asyncio.sleep(self._rng.uniform(*PAUSE_S))
            part = self._rng.choice(sorted(self._demo.parts))
            self.kills[part] += 1
            self._say(f"kill -9 {part}")
            await self._demo.kill_and_restart(part, self._rng.uniform(*OFF_S))
