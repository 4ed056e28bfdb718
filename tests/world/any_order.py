"""What may happen to any lane, in any order: time, codes, sensors, buttons, the line and the journal's disk."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from einlass_core.events import EmergencyInput, Linked, PassageBusy, Rearmed, Ticked
from einlass_core.gate import OWED_MAX
from lane import CODE, OTHER, Lane, MemoryStore

SIDES = st.sampled_from(["entry", "exit"])
CODES_GOOD = (CODE, OTHER)
CODES = st.sampled_from([*CODES_GOOD, b"\xff\x00", b"A" * 300])


class AnyOrder(RuleBasedStateMachine):
    """Subclasses make `lane` and `store` as they begin, and say what holds."""

    lane: Lane

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.now_ms = 0

    def step(self, event: object) -> None:
        self.lane.step(self.now_ms, event)

    @rule(wait_ms=st.sampled_from([1, 50, 400, 1500, 2000, 6000, 21_000]))
    def time_passes(self, wait_ms: int) -> None:
        until = self.now_ms + wait_ms
        ticks = 0  # of the same instant: facts that were owed to the journal are paid one by one
        while (due := self.lane.gate.deadline_ms) is not None and due <= until:
            ticks = ticks + 1 if due <= self.now_ms else 0
            assert ticks <= OWED_MAX + 1, "a deadline in the past would spin the pump"
            self.now_ms = max(due, self.now_ms)
            self.step(Ticked())
        self.now_ms = until

    @rule(side=SIDES, code=CODES)
    def scan(self, side: str, code: bytes) -> None:
        self.lane.scan(self.now_ms, side, code)

    @rule(busy=st.booleans())
    def busy(self, busy: bool) -> None:
        self.step(PassageBusy(busy))

    @rule(pressed=st.booleans())
    def emergency(self, pressed: bool) -> None:
        self.step(EmergencyInput(pressed))

    @rule(names=st.sampled_from([("Ada", "Bea"), ("Ada", "Ada")]))
    def rearm(self, names: tuple[str, str]) -> None:
        before = self.lane.gate.emergency
        self.step(Rearmed(*names))
        assert not (before and not self.lane.gate.emergency and names[0] == names[1])

    @rule(up=st.booleans())
    def link(self, up: bool) -> None:
        self.step(Linked(up))

    @rule(full=st.booleans())
    def journal(self, full: bool) -> None:
        self.store.full = full
