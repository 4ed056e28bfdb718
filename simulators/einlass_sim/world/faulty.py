"""A site under faults, each in its time, until everything is mended.

A kind of fault is a method `_fault_KIND`; those that lanes and tills have in common are here.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from einlass_sim.world.network import N, Network
from einlass_sim.world.node import KEEPALIVE_MS
from einlass_sim.world.office import TICK_MS
from einlass_sim.world.seeded import MINUTE_MS, Episode, Seeded
from einlass_sim.world.tally import Found
from einlass_sim.world.truth import Violation

BOOT_FIRST_MS, BOOT_NEXT_MS = 1_000, 10
COME_MS = 2 * MINUTE_MS
FAULTS_FROM_MS = 3 * MINUTE_MS
LOOK_MS = 5_000
CONTROLLER_CRASH_BATCHES = 20


class FaultySite(Network[N], ABC):
    """drawn: what the seed drew. chance: for whatever a fault leaves open."""

    counted_later: ClassVar[tuple[str, ...]]  # kinds that count when they take effect

    def __init__(self, drawn: Seeded, tell: bool) -> None:
        super().__init__(drawn.seed, drawn.noise, tell)
        self.drawn = drawn
        self.chance = random.Random(f"{drawn.seed}/chance")

    # -- time

    def run(self) -> Found:
        """All of it, once: faults and people, then healing, then the last look."""
        violation = ""
        try:
            self._play()
        except Violation as broken:
            violation = broken.what
            self.note(None, f"VIOLATION {violation}")
        return Found(
            self.drawn.seed,
            self.drawn.hours * len(self.nodes),
            self._served(),
            self.faults,
            self.sometimes,
            violation,
            self.now_ms,
            self.history(),
            self.story,
        )

    @abstractmethod
    def _served(self) -> int:
        """Persons let in, or sales."""

    @abstractmethod
    def _play(self) -> None:
        """Faults and people, then healing, then the last look. Raises Violation."""

    def _play_faults(self, come: Callable[[], None]) -> None:
        """Until everything is mended. come: people begin to."""
        self.after(TICK_MS, self.office.tick)
        for node in self.nodes:
            self.after(BOOT_FIRST_MS + BOOT_NEXT_MS * node.number, node.boot)
        self.after(COME_MS, come)
        for episode in self.drawn.episodes:
            self.at(FAULTS_FROM_MS + episode.at_ms, lambda item=episode: self._begin(item))  # type: ignore[misc]
        self.after(LOOK_MS, self._look)
        self.advance(FAULTS_FROM_MS + self.drawn.ends_ms)
        self.note(None, "everything is mended")
        self.healing = True
        self.office.crash_in = -1
        self._go_home()
        for node in self.nodes:
            self._mend(node)

    def _look(self) -> None:
        for node in self.nodes:
            node.look_at_link()
        self.after(LOOK_MS, self._look)

    @abstractmethod
    def _go_home(self) -> None:
        """Nobody comes any more; whoever runs the place does everything as usual."""

    def _mend(self, node: N) -> None:
        """No fault lasts at this node."""
        node.cut_up = node.cut_down = 0
        node.crash_in = -1
        node.disk.full = False

    # -- faults

    def _begin(self, episode: Episode) -> None:
        node, kind = self.nodes[episode.lane], episode.kind
        self.note(node, f"{kind} for {episode.lasts_ms // 1000} s")
        if kind not in self.counted_later:
            self.faults[kind] += 1
        getattr(self, f"_fault_{kind}")(node, episode.lasts_ms)

    def _cut(self, node: N, up: int, down: int) -> None:
        if self.healing:
            return  # mended already
        was = node.reachable
        node.cut_up += up
        node.cut_down += down
        if was and not node.reachable:
            node.cut_since_ms = self.now_ms
            self.after(KEEPALIVE_MS + 1, lambda: self._will_if_cut(node))
        elif node.reachable:
            node.cut_since_ms = None

    def _will_if_cut(self, node: N) -> None:
        if not node.reachable:
            self._will(node)

    def _fault_cut(self, node: N, lasts_ms: int) -> None:
        self._cut(node, 1, 1)
        self.after(lasts_ms, lambda: self._cut(node, -1, -1))

    def _fault_half_open_up(self, node: N, lasts_ms: int) -> None:
        self._cut(node, 1, 0)
        self.after(lasts_ms, lambda: self._cut(node, -1, 0))

    def _fault_half_open_down(self, node: N, lasts_ms: int) -> None:
        self._cut(node, 0, 1)
        self.after(lasts_ms, lambda: self._cut(node, 0, -1))

    def _fault_all_cut(self, node: N, lasts_ms: int) -> None:
        for each in self.nodes:
            self._fault_cut(each, lasts_ms)

    def _fault_broker_forgets(self, node: N, lasts_ms: int) -> None:
        self.broker_epoch += 1
        for each in self.nodes:
            if each.powered and each.linked:
                each.drop_link()

    def _fault_controller_crash(self, node: N, lasts_ms: int) -> None:
        if self.office.running:
            self.office.stop()

    def _fault_controller_crash_soon(self, node: N, lasts_ms: int) -> None:
        self.office.crash_in = self.chance.randrange(CONTROLLER_CRASH_BATCHES)
        self.office.crash_after_commit = self.chance.random() < 0.5
