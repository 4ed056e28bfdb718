"""Nodes, a controller and the network between them, which loses, repeats and delays; a hash of all that happens."""

import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from einlass_controller import fastwire
from einlass_sim.timeline import Timeline
from einlass_sim.world.node import Node
from einlass_sim.world.seeded import HOUR_MS, MINUTE_MS
from einlass_sim.world.truth import Violation

if TYPE_CHECKING:
    from einlass_sim.world.office import Office

N = TypeVar("N", bound=Node)

ON_TIME_MS = 40  # a message that nothing holds back takes less
MENDED_MS = 20
LATE_MS = (200, 1_500, 2_500, 30_000)
OLD_COPY_MS_MAX = 600 * MINUTE_MS
# More events than these, and these for every hour so far: time does not go on any more.
EVENTS_MAX = 3_000_000
EVENTS_AN_HOUR_MAX = 200_000
STEPS_AT_ONCE = 1_000


class Network(Timeline[None], Generic[N]):
    """noise: how likely each fault of a message is. tell: keep a story of what happens."""

    office: "Office"
    nodes: list[N]

    def __init__(self, seed: int, noise: dict[str, float], tell: bool) -> None:
        super().__init__()
        self.faults: Counter[str] = Counter()
        self.sometimes: Counter[str] = Counter()
        self.story: list[str] = []
        self.broker_epoch = 0
        self.healing = False
        self._tell = tell
        self._noise = noise
        self._net = random.Random(f"{seed}/net")
        self._names = random.Random(f"{seed}/names")
        self._history = hashlib.blake2b(digest_size=16)
        self._steps: list[str] = []  # of the history, not hashed yet

    # -- time

    def after(self, delay_ms: int, what: Callable[[], None]) -> None:
        """Do this so much later."""
        self.at(self.now_ms + delay_ms, what)

    def at(self, at_ms: int, what: Callable[[], None]) -> None:
        """Do this then: now or later."""
        self._serial += 1
        if self._serial > EVENTS_MAX and self._serial > EVENTS_MAX + self.now_ms // HOUR_MS * EVENTS_AN_HOUR_MAX:
            raise Violation(f"endless: {self._serial} events")
        heapq.heappush(self._heap, (at_ms, self._serial, what))

    # -- messages

    def send_up(self, node: N, kind: str, payload: bytes) -> None:
        """A message from a node, as far as the network lets it."""
        self.hash(node, kind)
        if node.cut_up:
            self.faults["lost_in_a_cut"] += 1
            return
        epoch, topic = self.broker_epoch, node.topics[kind]
        for delay_ms in self._copies():
            at_ms = self.now_ms + delay_ms
            if delay_ms < ON_TIME_MS:  # one connection keeps its order; what a fault holds back or repeats does not
                at_ms = node.arrives_ms = max(at_ms, node.arrives_ms)
            self.at(at_ms, lambda: self._arrive_up(epoch, topic, payload))

    def _arrive_up(self, epoch: int, topic: str, payload: bytes) -> None:
        if epoch == self.broker_epoch:
            self.office.heard(topic, payload)

    def send_down(self, node: N, kind: str, payload: bytes) -> None:
        """A message to a node, as far as the network lets it."""
        if node.cut_down:
            self.faults["lost_in_a_cut"] += 1
            return
        epoch = self.broker_epoch
        for delay_ms in self._copies_down(kind):
            self.after(delay_ms, lambda: self._arrive_down(epoch, node, kind, payload))

    def _copies_down(self, kind: str) -> list[int]:
        return self._copies()

    def _arrive_down(self, epoch: int, node: N, kind: str, payload: bytes) -> None:
        if epoch == self.broker_epoch and node.powered and node.linked and not node.cut_down:
            self.hash(node, f"< {kind}")
            self._arrives(node, kind, payload)

    def _arrives(self, node: N, kind: str, payload: bytes) -> None:
        node.receive(kind, payload)

    def _copies(self) -> list[int]:
        """When each copy of a message arrives; none: it is lost."""
        rng, noise = self._net, {} if self.healing else self._noise
        found: list[int] = []
        if rng.random() < noise.get("loss", 0):
            self.faults["loss"] += 1
        else:
            found.append(self._delay(noise))
        if rng.random() < noise.get("repeat", 0):
            self.faults["repeat"] += 1
            found.append(self._delay(noise))
        if rng.random() < noise.get("old_copy", 0):
            self.faults["old_copy"] += 1
            found.append(rng.randrange(MINUTE_MS, OLD_COPY_MS_MAX))
        return found

    def _delay(self, noise: dict[str, float]) -> int:
        if self.healing:
            return MENDED_MS  # in order, as one connection delivers
        if self._net.random() < noise.get("delay", 0):
            self.faults["delay"] += 1
            return self._net.choice(LATE_MS)
        return self._net.randrange(10, ON_TIME_MS)

    def _will(self, node: N) -> None:
        """The broker has noticed that the node is gone, and says so."""
        self.office.heard(node.topics["state"], fastwire.encode("state", {"online": False}))

    # -- what is told

    def count(self, fault: str) -> None:
        """A fault took effect."""
        self.faults[fault] += 1

    def hash(self, node: N | None, what: str) -> None:
        """One more step of this history."""
        self._steps.append(f"{self.now_ms} {node.number if node else '-'} {what}\n")
        if len(self._steps) >= STEPS_AT_ONCE:
            self._hash_steps()

    def _hash_steps(self) -> None:
        self._history.update("".join(self._steps).encode())
        self._steps.clear()

    def history(self) -> str:
        """What all steps so far hash to."""
        self._hash_steps()
        return self._history.hexdigest()

    def note(self, node: N | None, what: str) -> None:
        """One more line of the story."""
        if self._tell:
            who = node.name if node is not None else "controller"
            self.story.append(f"{self.now_ms / 1000:10.1f} s  {self._aside()}{who:10}  {what}")

    def _aside(self) -> str:
        """What every line of the story says beside its own."""
        return ""

    def new_incarnation(self) -> str:
        """For a node that finds no journal."""
        return f"i{self._names.getrandbits(48):012x}"
