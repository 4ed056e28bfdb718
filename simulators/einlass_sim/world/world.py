"""One seed's world: lanes, a pool's people and staff, every fault that lanes and their controller may meet."""

import random
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from einlass_controller import fastwire
from einlass_controller.domain.shares import Leasing
from einlass_core.events import PassageBusy
from einlass_core.gate import RELEASED
from einlass_sim.world.drawn import Drawn
from einlass_sim.world.faulty import FaultySite
from einlass_sim.world.lane import Lane
from einlass_sim.world.last_look import lists_differ
from einlass_sim.world.mint import Mint
from einlass_sim.world.node import KEEPALIVE_MS
from einlass_sim.world.office import Office
from einlass_sim.world.people import People
from einlass_sim.world.seeded import MINUTE_MS
from einlass_sim.world.staff import Staff
from einlass_sim.world.truth import Truth
from einlass_sim.world.watch import Watch

if TYPE_CHECKING:
    from einlass_controller.domain.tickets import Ticket

HEAL_MS = 200_000
SETTLE_MS = 240_000
SHORT_MS = 10_000
PROMPT_MS = 100
PASSAGE_WAIT_MS = 10 * MINUTE_MS
PASSAGE_LOOK_MS = 500
WAITS_MAX = 60


class World(FaultySite[Lane]):
    """run() once."""

    counted_later: ClassVar[tuple[str, ...]] = ("lane_crash_soon", "pause")
    drawn: Drawn

    def __init__(self, drawn: Drawn, tell: bool = False) -> None:
        super().__init__(drawn, tell)
        self.seen: Counter[str] = Counter()
        self._moments = random.Random(f"{drawn.seed}/moments")
        self.images: dict[int, Any] = {}
        self.tickets_by_digest: dict[str, Ticket] = {}
        self.truth = Truth(self)
        self.watch = Watch(self)
        self.office = Office(self, Leasing(drawn.lease_ms, drawn.percent), drawn.clock_rates[-1])
        self.lanes = self.nodes = [
            Lane(self, number, policy, drawn.clock_rates[number]) for number, policy in enumerate(drawn.policies)
        ]
        self.mint = Mint(self)
        self.people = People(self)
        self.staff = Staff(self)

    def _served(self) -> int:
        return self.truth.admissions

    def _play(self) -> None:
        self.mint.new_key()
        self._play_faults(self.people.start)
        # A process that stands still is not mended before it goes on: the time runs from there.
        self.advance(max(self.now_ms, *(lane.paused_until_ms for lane in self.lanes)) + HEAL_MS)
        self._replace_old_images()
        self.advance(self.now_ms + SETTLE_MS)
        for _ in range(WAITS_MAX):  # the last of those who queued may be in the arm just now
            under_way = any(lane.gate.account.pending or lane.journal.waiting for lane in self.lanes)
            lists_agree = not under_way and not lists_differ(self)
            if lists_agree:
                break
            self.advance(self.now_ms + SHORT_MS)
        self.truth.healed(lists_agree)

    # -- the network

    def _copies_down(self, kind: str) -> list[int]:
        copies = self._copies()
        if kind in ("time", "emergency"):  # it holds for the moment, and no connection keeps it
            return [min(copies[0], PROMPT_MS)] if copies else []
        return copies

    def _arrives(self, node: Lane, kind: str, payload: bytes) -> None:
        if (
            kind == "answer"
            and node.gate.entry == "locked"
            and fastwire.decode(kind, payload)["nonce"] == node.gate._nonce
        ):
            self.sometimes["a_late_answer_met_a_locked_lane"] += 1
        node.receive(kind, payload)

    def lane_lost_power(self, lane: Lane) -> None:
        """The broker notices after a while and says so."""
        self.after(KEEPALIVE_MS, lambda: self._will(lane))

    def _will(self, node: Lane) -> None:
        if not node.powered or not node.linked:
            super()._will(node)

    # -- faults

    def _cut(self, node: Lane, up: int, down: int) -> None:
        was = node.reachable
        super()._cut(node, up, down)
        if was and not node.reachable and self.office.engine.live.books.accounts[node.id].is_lowering:
            self.sometimes["a_ceiling_lowered_while_cut_off"] += 1

    def _fault_lane_crash(self, lane: Lane, lasts_ms: int) -> None:
        lane.lose_power(min(lasts_ms, 10 * MINUTE_MS))

    def _fault_lane_crash_soon(self, lane: Lane, lasts_ms: int) -> None:
        lane.crash_in = self.chance.randrange(40)

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
        lane.pause_in = self.chance.randrange(30)
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
        dead_ms = self.chance.choice((0, 0, 40, 200)) * MINUTE_MS
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

    def _go_home(self) -> None:
        self.people.coming = False
        self.staff.heal()

    def _mend(self, node: Lane) -> None:
        super()._mend(node)
        node.pause_in = -1
        node.boot()
        node.told_emergency = False
        self._rearm(node)
        self._unblock(node)

    def _replace_old_images(self) -> None:
        """A technician does what the alarm says: a lane with an old image gets an empty journal."""
        for lane in self.lanes:
            if self.office.engine.live.books.accounts[f"lane-{lane.number}"].frozen:
                self.sometimes["old_image_found"] += 1
                self.truth.called_an_image(lane)
                lane.lose_power()
                self.truth.wiped(lane)
                lane.disk.wipe()

    def _aside(self) -> str:
        return f"{self.truth.inside:3} inside  "
