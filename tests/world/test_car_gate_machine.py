"""A car park's exit under any order of events, journal failures and restarts (hypothesis, stateful)."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from any_order import CODES_GOOD, SIDES, AnyOrder
from car_lane import EXIT, CarLane
from einlass_core.events import BodyPassed, Linked
from einlass_core.gate import ASKING, LOCKED, RELEASED, SETTLING


class ExitMachine(AnyOrder):
    """CarLane itself looks at every raising of the boom; here is what must hold between events."""

    lane: CarLane

    @initialize(policy=st.sampled_from(["open", "secure"]))
    def start(self, policy: str) -> None:
        self.policy = policy
        self.out = 0
        self.inward = 0
        self.allowed: set[str] = set()
        self.lane = CarLane(self.store, exit_cut_off=policy)
        self.step(Linked(True))

    @rule(code=st.sampled_from(["ok_exit", "ok_exit", "payment_due", "ok"]), back=st.integers(1, 3))
    def answer(self, code: str, back: int) -> None:
        asked = [ask for ask in self.lane.asked if ask.side == EXIT]
        if asked:
            nonce = asked[-min(back, len(asked))].nonce
            if code == "ok_exit":
                self.allowed.add(nonce)
            self.lane.decide(self.now_ms, code, nonce)

    @rule(code=st.sampled_from(CODES_GOOD), drives=st.booleans(), then_ms=st.integers(0, 7000))
    def leave(self, code: bytes, drives: bool, then_ms: int) -> None:
        """What mostly happens: shown, answered, out."""
        self.lane.step(self.now_ms, Linked(True))
        self.now_ms += 2000
        self.lane.scan(self.now_ms, EXIT, code)
        self.answer("ok_exit", 1)
        if drives:
            self.busy(True)
            self.body(EXIT)
            self.busy(False)
        self.time_passes(then_ms)

    @rule(side=SIDES)
    def body(self, side: str) -> None:
        if side == EXIT:
            self.out += 1
        else:
            self.inward += 1
        self.step(BodyPassed(side))

    @rule()
    def power_cut(self) -> None:
        if self.store.full or self.lane.gate._owed:
            return  # What is not written cannot be known again.
        self.lane = CarLane(self.store, exit_cut_off=self.policy)
        self.allowed.clear()

    @invariant()
    def every_car_is_counted(self) -> None:
        balance = self.lane.account.balance - self.lane.account.pending
        assert balance == self.inward - self.out

    @invariant()
    def the_boom_stands_as_the_gate_thinks(self) -> None:
        gate = self.lane.gate
        assert self.lane.bolt[EXIT] == gate.exit_open == (gate.emergency or gate.exit == RELEASED)
        assert gate.exit == LOCKED or not gate.emergency
        assert (gate._exit_deadline is not None) == (gate.exit in (ASKING, RELEASED, SETTLING))

    @invariant()
    def secure_lets_out_only_whom_the_controller_let_out(self) -> None:
        if self.policy == "secure" and self.lane.gate.exit in (RELEASED, SETTLING):
            assert self.lane.gate._exit_nonce in self.allowed

    @invariant()
    def no_nonce_is_let_out_twice_and_each_release_ends_once(self) -> None:
        for kind in ("exit", "unused", "given_up"):
            nonces = [fields["nonce"] for fields in self.lane.facts(kind) if fields["side"] == EXIT]
            assert len(nonces) == len(set(nonces))
        released = {fields["nonce"] for fields in self.lane.facts("exit")}
        for fields in self.lane.facts("unused") + self.lane.facts("passed"):
            if fields["side"] == EXIT and "nonce" in fields:
                assert fields["nonce"] in released or self.lane.gate._owed


TestExitMachine = ExitMachine.TestCase
# The same examples in every run; look for new ones with derandomize=False and more of them.
TestExitMachine.settings = settings(max_examples=300, stateful_step_count=40, deadline=None, derandomize=True)
