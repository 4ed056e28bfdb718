"""One seed's world: a heap of (time, what happens), a network that loses and repeats, and every fault in its time."""

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from einlass_controller import fastwire
from einlass_controller.domain.shares import Leasing
from einlass_core import codes, wire
from einlass_core.events import PassageBusy
from einlass_core.gate import RELEASED
from einlass_sim.world.drawn import MINUTE_MS, Drawn, Episode
from einlass_sim.world.lane import KEEPALIVE_MS, Lane
from einlass_sim.world.mint import Mint
from einlass_sim.world.office import TICK_MS, Office
from einlass_sim.world.people import People
from einlass_sim.world.staff import Staff
from einlass_sim.world.truth import Truth, Violation
from einlass_sim.world.watch import Watch

if TYPE_CHECKING:
    from einlass_controller.domain.tickets import Ticket

HEAL_MS = 200_000
SETTLE_MS = 240_000
LOOK_MS = 5_000
SHORT_MS = 10_000
ON_TIME_MS = 40  # a message that nothing holds back takes less
PROMPT_MS = 100
PASSAGE_WAIT_MS = 10 * MINUTE_MS
PASSAGE_LOOK_MS = 500
WAITS_MAX = 60
EVENTS_MAX = 3_000_000
STORY_MAX = 400
STEPS_AT_ONCE = 1_000


@dataclass
class Found:
    """What came of a seed."""

    seed: int
    gate_hours: float
    admissions: int
    faults: Counter[str]
    sometimes: Counter[str]
    seen: Counter[str]
    violation: str = ""
    at_ms: int = 0
    history: str = ""
    story: list[str] = field(default_factory=list)


class World:
    """run() once."""

    def __init__(self, drawn: Drawn, tell: bool = False) -> None:
        self.drawn = drawn
        self.now_ms = 0
        self.faults: Counter[str] = Counter()
        self.sometimes: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.story: list[str] = []
        self._tell = tell
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._serial = 0
        self._history = hashlib.blake2b(digest_size=16)
        self._steps: list[str] = []  # of the history, not hashed yet
        self._net = random.Random(f"{drawn.seed}/net")
        self._names = random.Random(f"{drawn.seed}/names")
        self._chance = random.Random(f"{drawn.seed}/chance")
        self._moments = random.Random(f"{drawn.seed}/moments")
        self.broker_epoch = 0
        self.healing = False
        self.images: dict[int, Any] = {}
        self.tickets_by_digest: dict[str, Ticket] = {}
        self.truth = Truth(self)
        self.watch = Watch(self)
        self.office = Office(self, Leasing(drawn.lease_ms, drawn.percent), drawn.clock_rates[-1])
        self.lanes = [
            Lane(self, number, policy, drawn.clock_rates[number]) for number, policy in enumerate(drawn.policies)
        ]
        self.mint = Mint(self)
        self.people = People(self)
        self.staff = Staff(self)

    # -- time

    def at(self, at_ms: int, what: Callable[[], None]) -> None:
        """Do this then."""
        self._serial += 1
        heappush(self._queue, (at_ms, self._serial, what))

    def after(self, delay_ms: int, what: Callable[[], None]) -> None:
        """Do this so much later."""
        self._serial += 1
        heappush(self._queue, (self.now_ms + delay_ms, self._serial, what))

    def run(self) -> Found:
        """All of it: faults and visitors, then healing, then the last look."""
        violation = ""
        try:
            self._play()
        except Violation as broken:
            violation = broken.what
            self.note(None, f"VIOLATION {violation}")
        self._hash_steps()
        return Found(
            self.drawn.seed,
            self.drawn.hours * self.drawn.lanes,
            self.truth.admissions,
            self.faults,
            self.sometimes,
            self.seen,
            violation,
            self.now_ms,
            self._history.hexdigest(),
            self.story,
        )

    def _play(self) -> None:
        self.mint.new_key()
        self.after(TICK_MS, self.office.tick)
        for lane in self.lanes:
            self.after(1000 + 10 * lane.number, lane.boot)
        self.after(2 * MINUTE_MS, self.people.start)
        for episode in self.drawn.episodes:
            self.at(3 * MINUTE_MS + episode.at_ms, lambda item=episode: self._begin(item))  # type: ignore[misc]
        self.after(LOOK_MS, self._look)
        self._until(3 * MINUTE_MS + self.drawn.ends_ms)
        self._heal()
        # A process that stands still is not mended before it goes on: the time runs from there.
        self._until(max(self.now_ms, *(lane.paused_until_ms for lane in self.lanes)) + HEAL_MS)
        self._replace_old_images()
        self._until(self.now_ms + SETTLE_MS)
        for _ in range(WAITS_MAX):  # the last of those who queued may be in the arm just now
            under_way = any(lane.gate.account.pending or lane.journal.waiting for lane in self.lanes)
            lists_agree = not under_way and not self.truth.lists_differ()
            if lists_agree:
                break
            self._until(self.now_ms + SHORT_MS)
        self.truth.healed(lists_agree)

    def _until(self, end_ms: int) -> None:
        queue = self._queue
        while queue and queue[0][0] <= end_ms:
            self.now_ms, _, what = heappop(queue)
            what()
            if self._serial > EVENTS_MAX:
                self.truth.violation(f"endless: more than {EVENTS_MAX} events")
        self.now_ms = end_ms

    def _look(self) -> None:
        for lane in self.lanes:
            lane.look_at_link()
        self.after(LOOK_MS, self._look)

    # -- the network

    def send_up(self, lane: Lane, kind: str, payload: bytes) -> None:
        """A message from a lane, as far as the network lets it."""
        self.hash(lane, kind)
        topic = lane.topics[kind]
        if kind == "ask":
            self._remember_ask(lane, payload)
        if lane.cut_up:
            self.faults["lost_in_a_cut"] += 1
            return
        epoch = self.broker_epoch
        for delay_ms in self._copies():
            at_ms = self.now_ms + delay_ms
            if delay_ms < ON_TIME_MS:  # one connection keeps its order; what a fault holds back or repeats does not
                at_ms = lane.arrives_ms = max(at_ms, lane.arrives_ms)
            self.at(at_ms, lambda: self._arrive_up(epoch, topic, payload))

    def _remember_ask(self, lane: Lane, payload: bytes) -> None:
        fields = fastwire.decode("ask", payload)
        self.truth.asked[f"{lane.name}/{fields['nonce']}"] = codes.digest(fields["code"])

    def _arrive_up(self, epoch: int, topic: str, payload: bytes) -> None:
        if epoch == self.broker_epoch:
            self.office.heard(topic, payload)

    def send_down(self, lane: Lane, kind: str, payload: bytes) -> None:
        """A message to a lane, as far as the network lets it."""
        if lane.cut_down:
            self.faults["lost_in_a_cut"] += 1
            return
        epoch = self.broker_epoch
        copies = self._copies()
        if kind in ("time", "emergency"):  # it holds for the moment, and no connection keeps it
            copies = [] if not copies else [min(copies[0], PROMPT_MS)]
        for delay_ms in copies:
            self.after(delay_ms, lambda: self._arrive_down(epoch, lane, kind, payload))

    def _arrive_down(self, epoch: int, lane: Lane, kind: str, payload: bytes) -> None:
        if epoch != self.broker_epoch or not lane.powered or not lane.linked or lane.cut_down:
            return
        self.hash(lane, f"< {kind}")
        if (
            kind == "answer"
            and lane.gate.entry == "locked"
            and fastwire.decode(kind, payload)["nonce"] == lane.gate._nonce
        ):
            self.sometimes["a_late_answer_met_a_locked_lane"] += 1
        lane.receive(kind, payload)

    def _copies(self) -> list[int]:
        """When each copy of a message arrives; none: it is lost."""
        rng, noise = self._net, {} if self.healing else self.drawn.noise
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
            found.append(rng.randrange(MINUTE_MS, 600 * MINUTE_MS))
        return found

    def _delay(self, noise: dict[str, float]) -> int:
        if self.healing:
            return 20  # in order, as one connection delivers
        if self._net.random() < noise.get("delay", 0):
            self.faults["delay"] += 1
            return self._net.choice((200, 1_500, 2_500, 30_000))
        return self._net.randrange(10, ON_TIME_MS)

    def lane_lost_power(self, lane: Lane) -> None:
        """The broker notices after a while and says so."""
        self.after(KEEPALIVE_MS, lambda: self._will(lane))

    def _will(self, lane: Lane) -> None:
        if not lane.powered or not lane.linked:
            self.office.heard(wire.topic_state("pool", lane.name), fastwire.encode("state", {"online": False}))

    # -- faults

    def _begin(self, episode: Episode) -> None:
        lane = self.lanes[episode.lane]
        kind = episode.kind
        self.note(lane, f"{kind} for {episode.lasts_ms // 1000} s")
        if kind not in ("lane_crash_soon", "pause"):
            self.faults[kind] += 1
        getattr(self, f"_fault_{kind}")(lane, episode.lasts_ms)

    def _cut(self, lane: Lane, up: int, down: int) -> None:
        if self.healing:
            return  # mended already
        was = lane.reachable
        lane.cut_up += up
        lane.cut_down += down
        if was and not lane.reachable:
            lane.cut_since_ms = self.now_ms
            self.after(KEEPALIVE_MS + 1, lambda: self._will_if_cut(lane))
            account = self.office.engine.live.books.accounts[f"lane-{lane.number}"]
            if account.is_lowering:
                self.sometimes["a_ceiling_lowered_while_cut_off"] += 1
        elif lane.reachable:
            lane.cut_since_ms = None

    def _will_if_cut(self, lane: Lane) -> None:
        if not lane.reachable:
            self._will(lane)

    def _fault_cut(self, lane: Lane, lasts_ms: int) -> None:
        self._cut(lane, 1, 1)
        self.after(lasts_ms, lambda: self._cut(lane, -1, -1))

    def _fault_half_open_up(self, lane: Lane, lasts_ms: int) -> None:
        self._cut(lane, 1, 0)
        self.after(lasts_ms, lambda: self._cut(lane, -1, 0))

    def _fault_half_open_down(self, lane: Lane, lasts_ms: int) -> None:
        self._cut(lane, 0, 1)
        self.after(lasts_ms, lambda: self._cut(lane, 0, -1))

    def _fault_all_cut(self, lane: Lane, lasts_ms: int) -> None:
        for each in self.lanes:
            self._fault_cut(each, lasts_ms)

    def _fault_broker_forgets(self, lane: Lane, lasts_ms: int) -> None:
        self.broker_epoch += 1
        for each in self.lanes:
            if each.powered and each.linked:
                each.drop_link()

    def _fault_lane_crash(self, lane: Lane, lasts_ms: int) -> None:
        lane.lose_power(min(lasts_ms, 10 * MINUTE_MS))

    def _fault_lane_crash_soon(self, lane: Lane, lasts_ms: int) -> None:
        lane.crash_in = self._chance.randrange(40)

    def _fault_controller_crash(self, lane: Lane, lasts_ms: int) -> None:
        if self.office.running:
            self.office.stop()

    def _fault_controller_crash_soon(self, lane: Lane, lasts_ms: int) -> None:
        self.office.crash_in = self._chance.randrange(20)
        self.office.crash_after_commit = self._chance.random() < 0.5

    def _fault_wipe(self, lane: Lane, lasts_ms: int) -> None:
        lane.lose_power(MINUTE_MS)
        self.truth.wiped(lane)
        lane.disk.wipe()
        self.sometimes["wiped_node_back"] += 1

    def _fault_old_image(self, lane: Lane, lasts_ms: int) -> None:
        """Taken now, put back later."""
        image = lane.disk.image()
        self.after(lasts_ms, lambda: self._put_back(lane, image))

    def _put_back(self, lane: Lane, image: Any) -> None:
        if self.healing or not lane.powered or not image[0]:
            return
        lane.lose_power(MINUTE_MS)
        lane.disk.restore(image)
        self.truth.image_put_back(lane)
        self.images[lane.number] = image

    def _fault_disk_full(self, lane: Lane, lasts_ms: int) -> None:
        lane.disk.full = True
        self.after(min(lasts_ms, 10 * MINUTE_MS), lambda: setattr(lane.disk, "full", False))

    def _fault_pause(self, lane: Lane, lasts_ms: int) -> None:
        lane.pause_in = self._chance.randrange(30)
        lane.pause_ms = min(lasts_ms, 10 * MINUTE_MS)

    def _fault_wall_jump(self, lane: Lane, lasts_ms: int) -> None:
        self.office.jumped_ms += lasts_ms

    def _fault_sensor_stuck(self, lane: Lane, lasts_ms: int) -> None:
        lane.step(PassageBusy(True))
        lane.blind = True
        self.after(min(lasts_ms, 5 * MINUTE_MS), lambda: self._unblock(lane))

    def _unblock(self, lane: Lane) -> None:
        lane.blind = False
        lane.step(PassageBusy(False))

    def _fault_emergency(self, lane: Lane, lasts_ms: int) -> None:
        lane.press(True)
        self.after(min(lasts_ms, 10 * MINUTE_MS), lambda: self._rearm(lane))

    def _rearm(self, lane: Lane) -> None:
        lane.press(False)
        lane.rearm()

    def _fault_count(self, lane: Lane, lasts_ms: int) -> None:
        self.staff.count()

    def _fault_cap(self, lane: Lane, lasts_ms: int) -> None:
        self.staff.change_cap()

    def _fault_lockdown(self, lane: Lane, lasts_ms: int) -> None:
        self.staff.lockdown(min(lasts_ms, 20 * MINUTE_MS))

    def _fault_evacuation(self, lane: Lane, lasts_ms: int) -> None:
        self.staff.evacuate(min(lasts_ms, 20 * MINUTE_MS))

    def _fault_new_key(self, lane: Lane, lasts_ms: int) -> None:
        self.mint.new_key()

    def _fault_key_revoked(self, lane: Lane, lasts_ms: int) -> None:
        self.mint.revoke()

    def _fault_restore(self, lane: Lane, lasts_ms: int) -> None:
        """Copied now, put back later."""
        image = self.office.image()
        dead_ms = self._chance.choice((0, 0, 40, 200)) * MINUTE_MS
        last_ms = self.now_ms + lasts_ms + self._moments.choice((0, PASSAGE_WAIT_MS))
        self.after(lasts_ms, lambda: self._put_database_back(image, lane, dead_ms, last_ms))

    def _put_database_back(self, image: bytes, lane: Lane, dead_ms: int, last_ms: int) -> None:
        """Now, or by last_ms at the moment when somebody has just been let in: lanes are told of it meanwhile."""
        under_way = any(each.powered and each.gate.entry == RELEASED for each in self.lanes)
        if self.now_ms < last_ms and not under_way:
            self.after(PASSAGE_LOOK_MS, lambda: self._put_database_back(image, lane, dead_ms, last_ms))
        else:
            self.staff.put_back(image, lane, dead_ms)

    def cut_off(self, lane: Lane, lasts_ms: int) -> None:
        """A lane out of reach, for its own reasons."""
        self._fault_cut(lane, lasts_ms)

    # -- the end

    def _heal(self) -> None:
        """No new faults, no new visitors; everything that is broken is mended."""
        self.note(None, "everything is mended")
        self.healing = True
        self.people.coming = False
        self.office.crash_in = -1
        self.staff.heal()
        for lane in self.lanes:
            lane.cut_up = lane.cut_down = 0
            lane.crash_in = lane.pause_in = -1
            lane.disk.full = False
            lane.boot()
            lane.told_emergency = False
            self._rearm(lane)
            self._unblock(lane)

    def _replace_old_images(self) -> None:
        """A technician does what the alarm says: a lane with an old image gets an empty journal."""
        for lane in self.lanes:
            if self.office.engine.live.books.accounts[f"lane-{lane.number}"].frozen:
                self.sometimes["old_image_found"] += 1
                lane.lose_power()
                self.truth.wiped(lane)
                lane.disk.wipe()

    # -- what is told

    def count(self, fault: str) -> None:
        """A fault took effect."""
        self.faults[fault] += 1

    def hash(self, lane: Lane | None, what: str) -> None:
        """One more step of this history."""
        self._steps.append(f"{self.now_ms} {lane.number if lane else '-'} {what}\n")
        if len(self._steps) >= STEPS_AT_ONCE:
            self._hash_steps()

    def _hash_steps(self) -> None:
        self._history.update("".join(self._steps).encode())
        self._steps.clear()

    def note(self, lane: Lane | None, what: str) -> None:
        """One more line of the story."""
        if self._tell:
            who = lane.name if lane is not None else "controller"
            inside = f"{self.truth.inside:3} inside"
            self.story.append(f"{self.now_ms / 1000:10.1f} s  {inside}  {who:10}  {what}")

    def new_incarnation(self) -> str:
        """For a lane that finds no journal."""
        return f"i{self._names.getrandbits(48):012x}"
