"""What people who run the house do: count, close, change the cap, evacuate, put an old copy back and count again."""

import random
from typing import TYPE_CHECKING, Any

from einlass_controller.domain.admission import EVACUATION, LOCKDOWN
from einlass_controller.messages import Correct, SetMode
from einlass_controller.orders import ConfirmRecount
from einlass_sim.world.drawn import CAP_MAX, CAP_MIN
from einlass_sim.world.seeded import MINUTE_MS

if TYPE_CHECKING:
    from einlass_sim.world.lane import Lane
    from einlass_sim.world.world import World

SECOND_MS = 1_000
COUNT_AGAIN_MS = 20_000
CLOCK_ERROR_MS = 1_500
# Of a lane that is out of reach: the controller allows for a part in a hundred since it last heard the right time from
# it, and for a minute when it was started anew since.
CLOCK_ERROR_AWAY_MS = 30_000
# So long they wait for a lease to end; then somebody goes there and switches the node off.
PATIENCE_MS = 15 * MINUTE_MS
SWITCHED_OFF_MS = 5 * MINUTE_MS


class Staff:
    """Episodes call these; whatever is not answered (the controller is down) is done again or left."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._chance = random.Random(f"{world.drawn.seed}/staff")
        self._waiting_since: int | None = None
        self._counting = False

    # -- as every day

    def count(self) -> None:
        """They count who is in the water, and the figure becomes that."""
        inside = self.world.truth.inside
        away = [lane for lane in self.world.lanes if not lane.reachable or self._has_more_to_tell(lane)]
        here = [lane for lane in self.world.lanes if lane.reachable]
        if any(map(self._is_off, here)) or any(self._is_off(lane, CLOCK_ERROR_AWAY_MS) for lane in away):
            self.world.sometimes["not_counted_for_a_clock_is_wrong"] += 1
            return
        if self._stands_still():
            return
        if self.world.office.engine.live.recount or self.order(Correct("bath", inside, None, "Ann", "")) is None:
            return
        self.world.truth.counted()
        self.world.truth.counted_without(away)
        self.world.sometimes["counted_by_staff"] += 1
        if any(not lane.reachable or not lane.linked for lane in self.world.lanes):
            self.world.sometimes["counted_while_a_lane_is_cut_off"] += 1

    def _is_off(self, lane: "Lane", most_ms: int = CLOCK_ERROR_MS) -> bool:
        """A count cannot be told from what a lane tells later by a clock that is wrong (docs/world.md)."""
        told_ms = lane.unix_ms() if lane.powered else 0
        return bool(told_ms) and abs(told_ms - self.world.office.now_ms()) > most_ms

    def _has_more_to_tell(self, lane: "Lane") -> bool:
        """A controller that was started anew since knows nothing of its clock before it has told the newest record."""
        node = self.world.office.engine.live.nodes[lane.name]
        return (node.inc, node.applied) != (lane.journal.incarnation, lane.journal.seq)

    def _stands_still(self) -> bool:
        """Whom a process that stands still saw go it tells with the time at which it goes on (docs/world.md)."""
        found = any(lane.powered and lane.paused_until_ms > self.world.now_ms for lane in self.world.lanes)
        self.world.sometimes["not_counted_for_a_lane_stands_still"] += found
        return found

    def change_cap(self) -> None:
        """The set-up is run again with another cap, while the controller stands still."""
        office, truth = self.world.office, self.world.truth
        if not office.running:
            return
        cap = self._chance.randint(CAP_MIN, CAP_MAX)
        self.world.sometimes["cap_raised" if cap > truth.cap else "cap_lowered"] += 1
        self.world.note(None, f"the cap is {cap} from now on")
        office.stop()
        office.set_up_again(cap)
        truth.cap_changes(cap)

    def set_mode(self, mode: str, lasts_ms: int) -> None:
        """Lockdown or evacuation, and its end."""
        if self.order(SetMode(mode, "Ann", ("Ann", "Bob"), "")) is not None:
            self.world.sometimes[mode] += 1
            self.world.after(lasts_ms, self.end_mode)

    def end_mode(self) -> None:
        """As usual again; two people re-arm every lane."""
        was = self.world.office.engine.live.site.mode
        if self.order(SetMode("", "Ann", ("Ann", "Bob"), "")) is None:
            self.world.after(MINUTE_MS, self.end_mode)
        elif was == EVACUATION:
            for lane in self.world.lanes:
                self.world.after(MINUTE_MS, lane.rearm)

    def lockdown(self, lasts_ms: int) -> None:
        """Nobody in."""
        self.set_mode(LOCKDOWN, lasts_ms)

    def evacuate(self, lasts_ms: int) -> None:
        """Everybody out, every exit open."""
        self.set_mode(EVACUATION, lasts_ms)

    # -- after a restore

    def put_back(self, image: bytes, lane: "Lane", dead_ms: int) -> None:
        """A copy of the database takes the place of the real one; now and then while a lane is out of reach."""
        office = self.world.office
        if self.world.healing or not office.running:
            return
        if dead_ms:
            self.world.cut_off(lane, dead_ms)
        self.world.note(None, "an older database is put back")
        office.stop()
        is_older = office.put_back(image)
        self.world.truth.put_back()
        self.world.truth.cap_changes(office.cap())
        self.world.sometimes["controller_restored"] += 1
        if is_older and not self._counting:
            self._counting = True
            self.world.after(COUNT_AGAIN_MS, self._recount)

    def _recount(self) -> None:
        """Again and again until the controller takes the count, with what it says is missing."""
        done = self._try()
        if done:
            self._counting, self._waiting_since = False, None
        else:
            self.world.after(COUNT_AGAIN_MS, self._recount)

    def _try(self) -> bool:
        world = self.world
        live = world.office.engine.live
        if not world.office.running or self._stands_still():
            return False
        if not live.recount:
            world.truth.violation("not_noticed: the controller runs on older books and does not ask for a count")
        if not self._clocks_are_right():
            return False
        without: tuple[str, ...] = ()
        off = tuple(f"lane-{lane.number}" for lane in world.lanes if not lane.powered)
        for _ in range(2):
            found: Any = self.order(ConfirmRecount({"bath": world.truth.inside}, without, "Ann", off))
            if found is None or found.what == "waiting":
                return False
            if found.what == "leased":
                self._wait(found.names)
                return False
            if found.what == "done":
                world.note(None, f"{world.truth.inside} were counted, without {found.names}")
                world.truth.recounted(found.names)
                world.sometimes["recount"] += 1
                world.sometimes["recount_with_a_dead_lane"] += bool(found.names)
                return True
            without = found.names
        return False

    def _clocks_are_right(self) -> bool:
        """A lane in reach is told the time soon; one that is not and has a wrong clock is switched off."""
        world = self.world
        epoch, right = world.office.engine.live.epoch, True
        for lane in world.lanes:
            left_out = lane.powered and not lane.reachable and lane.journal.account.epoch != epoch
            if self._is_off(lane, CLOCK_ERROR_AWAY_MS if left_out else CLOCK_ERROR_MS):
                right = False
                if not lane.reachable:
                    lane.lose_power(SWITCHED_OFF_MS)
        return right

    def _wait(self, names: tuple[str, ...]) -> None:
        """A lane out of reach may still let people in."""
        world = self.world
        world.sometimes["recount_waits_for_a_lease"] += 1
        since = self._waiting_since = world.now_ms if self._waiting_since is None else self._waiting_since
        if world.now_ms - since >= PATIENCE_MS:
            for lane in world.lanes:
                if f"lane-{lane.number}" in names:
                    lane.lose_power(SWITCHED_OFF_MS)

    # -- in general

    def order(self, message: Any) -> Any:
        """What came of it; None: nobody answers."""
        return self.world.office.order(message)

    def heal(self) -> None:
        """Everything as usual."""
        if not self.world.office.running:
            self.world.after(SECOND_MS, self.heal)
        elif self.world.office.engine.live.site.mode:
            self.end_mode()
