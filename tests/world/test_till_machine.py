"""A till among people who do anything at any time, devices that fail, and power that goes: every cent has a name."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from einlass_core.till import IDLE, OUT
from einlass_core.till_words import (
    DISPLAY,
    EXIT,
    Aborted,
    Begun,
    CardDone,
    CardWanted,
    CoinsIn,
    Confirmed,
    PaidOut,
    Priced,
    VoucherShown,
)
from till_world import PowerCut, World

SUBJECTS = st.sampled_from(("stay-1", "stay-2", "x" * 41, ""))
CARDS = st.sampled_from(("CARD-1", "CARD-2", "CARD-BAD"))


class Street(RuleBasedStateMachine):
    """The world's devices keep their totals; the power may go before any action."""

    @initialize(due=st.integers(0, 30).map(lambda tens: tens * 10), gives_change=st.booleans())
    def begin(self, due: int, gives_change: bool) -> None:
        self.world = World(due=due, gives_change=gives_change, asks_partly=True)
        self.world.bad_cards = ("CARD-BAD",)

    def _do(self, act: object, *args: object) -> None:
        try:
            act(*args)  # type: ignore[operator]
        except PowerCut:
            self._power_on()

    def _power_on(self) -> None:
        try:
            self.world.power_on()
        except PowerCut:  # once more, while it recovers
            self._power_on()

    @rule(what=st.sampled_from((EXIT, DISPLAY)), subject=SUBJECTS)
    def somebody_comes(self, what: str, subject: str) -> None:
        self._do(self.world.do, Begun(what, subject))

    @rule(cents=st.sampled_from((10, 20, 50, 100, 200)))
    def a_coin(self, cents: int) -> None:
        self._do(self.world.insert, cents)

    @rule(code=CARDS)
    def a_shops_card(self, code: str) -> None:
        self._do(self.world.do, VoucherShown(code))

    @rule(event=st.sampled_from((CardWanted(), Confirmed(), Aborted())))
    def a_key(self, event: object) -> None:
        self._do(self.world.do, event)

    @rule(ms=st.sampled_from((100, 2000, 20_000, 70_000, 200_000)))
    def time_passes(self, ms: int) -> None:
        self._do(self.world.wait, ms)

    @rule(kind=st.sampled_from(("in", "out", "card", "price")), late=st.integers(0, 300))
    def something_old_comes_late(self, kind: str, late: int) -> None:
        old = {
            "in": CoinsIn(self.world.in_total - late),
            "out": PaidOut(self.world.out_total - late),
            "card": CardDone(f"TILL.0-{late}", late % 2 == 0),
            "price": Priced(f"TILL.0.{late}", "ok", 0),
        }
        self._do(self.world.do, old[kind])

    @rule(how=st.sampled_from(("takes", "declines", "silent")))
    def the_terminal(self, how: str) -> None:
        self.world.terminal = how

    @rule(cards=st.sampled_from(((), ("CARD-1",), ("CARD-1", "CARD-2"))))
    def cards_worth_more(self, cards: tuple[str, ...]) -> None:
        self.world.partly = cards

    @rule(on=st.booleans())
    def the_line(self, on: bool) -> None:
        self.world.is_linked = on

    @rule(paper=st.booleans())
    def the_paper(self, paper: bool) -> None:
        self.world.paper = paper

    @rule(full=st.booleans())
    def the_journal(self, full: bool) -> None:
        self.world.store.full = full

    @rule(cents=st.sampled_from((0, 30, 100_000)))
    def the_hopper(self, cents: int) -> None:
        self.world.hopper_holds = cents

    @precondition(lambda self: self.world.cut_at is None)
    @rule(after=st.integers(0, 25))
    def the_power_will_go(self, after: int) -> None:
        self.world.cut_after(after)

    @invariant()
    def every_cent_has_a_name(self) -> None:
        till = self.world.till
        assert till.account.adds_up, till.account.as_dict()
        assert not (self.world.coins_on and till.state in (IDLE, OUT)), "coins are let in and nobody is served"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.cut_at = None
        world.store.full = False
        world.terminal = "takes"
        world.wait(400_000)
        assert world.unaccounted() == 0


Street.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestStreet = Street.TestCase
