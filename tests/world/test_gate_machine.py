"""The lane as a state machine under any order of events, journal failures and restarts (hypothesis, stateful)."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from any_order import CODES_GOOD, SIDES, AnyOrder
from einlass_core.events import Answered, BodyPassed, BoltSensed, Limited, Linked
from einlass_core.gate import ASKING, RELEASED, SETTLING
from einlass_core.lease import Limit
from lane import Lane


class LaneMachine(AnyOrder):
    """A naive model beside the real lane: bodies that the sensors saw, and what the controller ever allowed."""

    @initialize(exit_free=st.booleans(), bolt_sensed=st.booleans())
    def start(self, exit_free: bool, bolt_sensed: bool) -> None:
        self.options = {"exit_free": exit_free, "bolt_sensed": bolt_sensed}
        self.ceiling_max = 0
        self.version = 0
        self.bodies = 0
        self.doubtful = 0
        self.forced = 0
        self.lane = Lane(self.store, **self.options)
        self.step(Linked(True))

    def step(self, event: object) -> None:
        seen = len(self.lane.recorded)
        self.lane.step(self.now_ms, event)
        for kind, fields in self.lane.recorded[seen:]:
            if fields.get("doubtful") or kind == "uncertain":
                self.doubtful += int(str(fields["persons"]))

    @rule(code=st.sampled_from(["ok", "zone_full", "invalid"]), persons=st.integers(0, 4), back=st.integers(1, 3))
    def answer(self, code: str, persons: int, back: int) -> None:
        if not self.lane.asked:
            return
        ask = self.lane.asked[-min(back, len(self.lane.asked))]
        limit = self.new_limit(persons) if code == "ok" else None
        self.step(Answered(ask.nonce, code, persons, {}, limit))

    @rule(persons=st.integers(1, 3), short=st.integers(0, 1), passing=st.integers(0, 3), then_ms=st.integers(0, 7000))
    def visit(self, persons: int, short: int, passing: int, then_ms: int) -> None:
        """What mostly happens: a scan, an admission (now and then without room for all), some of them go through."""
        self.step(Linked(True))
        self.now_ms += 2000
        self.scan("entry", CODES_GOOD[self.now_ms % 2])
        if self.lane.gate.entry == ASKING:
            limit = self.new_limit(persons - short)
            fits = self.lane.account.balance + persons <= limit.ceiling
            self.step(Answered(self.lane.asked[-1].nonce, "ok", persons, {}, limit))
            assert fits or not self.lane.bolt["entry"]
        for _ in range(passing):
            self.body("entry")
        self.time_passes(then_ms)

    @rule(spare=st.integers(-2, 3))
    def limit(self, spare: int) -> None:
        self.step(Limited(self.new_limit(spare)))

    def new_limit(self, room: int) -> Limit:
        self.version += 1
        ceiling = self.lane.account.balance + room
        self.ceiling_max = max(self.ceiling_max, ceiling)
        return Limit(0, self.version, ceiling)

    @rule(side=SIDES)
    def body(self, side: str) -> None:
        expected = side == "entry" and self.lane.gate.entry in (RELEASED, SETTLING)
        due = self.lane.gate.deadline_ms
        if side == "entry" and (not expected or (due is not None and due <= self.now_ms)):
            self.forced += 1
        self.bodies += 1 if side == "entry" else -1
        self.step(BodyPassed(side))

    @rule(released=st.booleans())
    def bolt(self, released: bool) -> None:
        self.step(BoltSensed("entry", released))

    @rule()
    def power_cut(self) -> None:
        if self.store.full:
            return  # What is not written cannot be known again: the journal's own limit, not the lane's.
        self.time_passes(2000)
        if self.lane.gate._owed:
            return
        self.lane = Lane(self.store, **self.options)
        self.doubtful += sum(int(str(f["persons"])) for kind, f in self.lane.recorded if kind == "uncertain")

    @invariant()
    def books_are_never_below_the_bodies(self) -> None:
        account = self.lane.account
        assert account.pending >= 0
        assert account.balance - account.pending >= self.bodies
        not_yet_written = sum(int(str(f["persons"])) for _, f in self.lane.gate._owed if f.get("doubtful"))
        assert account.balance - account.pending <= self.bodies + self.doubtful + not_yet_written

    @invariant()
    def who_is_under_way_is_who_the_lane_waits_for(self) -> None:
        waited_for = self.lane.gate._left if self.lane.gate.entry in (RELEASED, SETTLING) else 0
        assert self.lane.account.pending == waited_for

    @invariant()
    def nobody_is_let_in_beyond_what_was_ever_allowed(self) -> None:
        assert self.lane.account.balance <= self.ceiling_max + self.forced

    @invariant()
    def the_entry_is_open_only_for_somebody_whose_release_is_durable(self) -> None:
        gate = self.lane.gate
        if self.lane.bolt["entry"]:
            assert gate.entry == RELEASED
            assert self.lane.account.pending > 0
            assert "released" in self.lane.kinds()

    @invariant()
    def the_exit_is_never_locked_in_an_emergency_or_when_it_is_free(self) -> None:
        if self.lane.gate.emergency or self.options["exit_free"]:
            assert self.lane.bolt["exit"]
        assert not (self.lane.gate.emergency and self.lane.gate.entry in (ASKING, RELEASED))

    @invariant()
    def numbers_have_no_gap(self) -> None:
        numbers = [seq for seq, _ in self.store.records]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True


TestLaneMachine = LaneMachine.TestCase
# The same examples in every run; look for new ones with derandomize=False and more of them.
TestLaneMachine.settings = settings(max_examples=400, stateful_step_count=40, deadline=None, derandomize=True)
