"""The barrier's physics, and the rule that keeps the boom off cars: over drawn lives, in virtual time."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einlass_core.events import ENTRY, EXIT, BodyPassed, Event
from einlass_edge.drivers.boom import Boom, CarPassage
from einlass_sim import barrier
from einlass_sim.barrier import (
    DOWN,
    LOOP_A,
    LOOP_B,
    UP,
    Barrier,
    Contact,
    DroveIn,
    LimitEdge,
    LoopEdge,
    Manner,
    Output,
    WentBack,
)

POLL_MS = 20
OVER_MS = 600_000
FEW = settings(max_examples=30, deadline=None)


class Careless:
    """Lowers the boom when it is told to, whatever stands there."""

    def see(self, now_ms: int, occupied: bool, up: bool, down: bool) -> None:
        self.up, self.down = up, down

    def drive(self, now_ms: int, wanted_open: bool) -> tuple[bool, bool]:
        return (wanted_open and not self.up, not wanted_open and not self.down)


class Life:
    """One lane with its controller, polled: every car at the stop line gets a release after a while."""

    def __init__(self, seed: int, manners: list[Manner], boom: Boom | Careless, latency_ms: int = 0) -> None:
        self.rng = random.Random(seed)
        self.plant = Barrier(random.Random(seed + 1))
        self.boom = boom
        self.outputs: list[Output] = []
        self.events: list[Event] = []
        self.passage = CarPassage(15)
        self.manners = {f"car{number}": manner for number, manner in enumerate(manners)}
        self.latency_ms = latency_ms
        self.open_until_ms = -1

    def run(self) -> "Life":
        for car, manner in self.manners.items():
            self.plant.arrive(car, manner, patience_ms=60_000)
        pending: list[tuple[int, bool, bool]] = []
        asked: dict[str, int] = {}
        now_ms = 0
        while now_ms < OVER_MS and sum(isinstance(o, DroveIn | WentBack) for o in self.outputs) < len(self.manners):
            now_ms += POLL_MS
            self.outputs += self.plant.advance(now_ms)
            waiting = self.plant.waiting_car()
            if waiting is not None and now_ms - asked.setdefault(waiting, now_ms) == 2000:
                self.open_until_ms = now_ms + self.rng.choice((2000, 6000))
            a, b = self.plant.loop_occupied(LOOP_A), self.plant.loop_occupied(LOOP_B)
            passed = self.passage.step(now_ms, a, b)
            self.events += passed
            if any(isinstance(event, BodyPassed) for event in passed):
                self.open_until_ms = -1
            self.boom.see(now_ms, b, self.plant.limit(UP), self.plant.limit(DOWN))
            pending.append((now_ms + self.latency_ms, *self.boom.drive(now_ms, now_ms < self.open_until_ms)))
            while pending and pending[0][0] <= now_ms:
                _, up, down = pending.pop(0)
                self.plant.drive(up, down)
        self.outputs += self.plant.advance(now_ms + 30_000)
        return self

    @property
    def fates(self) -> Counter[type]:
        return Counter(type(output) for output in self.outputs)

    def counted(self, side: str) -> int:
        return sum(isinstance(event, BodyPassed) and event.side == side for event in self.events)


MANNERS = st.lists(st.sampled_from(Manner), min_size=1, max_size=8)


@FEW
@given(st.integers(0, 2**32), MANNERS, st.sampled_from([0, 40, 200]))
def test_a_controller_that_obeys_the_loop_never_lowers_the_boom_on_a_car(
    seed: int, manners: list[Manner], latency_ms: int
) -> None:
    life = Life(seed, manners, Boom(), latency_ms).run()
    assert not life.fates[Contact], f"seed {seed}: {life.outputs}"
    assert life.fates[DroveIn] + life.fates[WentBack] == len(manners), "nobody vanishes and nobody stays for ever"
    assert life.plant.cars_in == life.fates[DroveIn]
    check_edges(life.outputs)


def test_a_careless_controller_hits_cars_so_the_rule_is_what_protects_them() -> None:
    manners = [Manner.STALL, Manner.DRIVE, Manner.TAILGATE, Manner.STALL]
    assert sum(Life(seed, manners, Careless()).run().fates[Contact] for seed in range(10)) >= 5
    assert not sum(Life(seed, manners, Boom()).run().fates[Contact] for seed in range(10))


@FEW
@given(st.integers(0, 2**32), st.lists(st.sampled_from(Manner), min_size=1, max_size=8))
def test_cars_are_counted_and_those_that_back_out_are_not(seed: int, manners: list[Manner]) -> None:
    life = Life(seed, manners, Boom()).run()
    # One that backs out after its rear has left loop A looks like one in with the next on A: in doubt it is inside.
    doubtful = manners.count(Manner.BACK_OUT)
    assert 0 <= life.counted(ENTRY) - life.fates[DroveIn] <= doubtful, f"seed {seed}: {life.outputs}"
    assert life.counted(EXIT) == 0


def test_everything_interesting_happens() -> None:
    seen: Counter[str] = Counter()
    for seed in range(25):
        rng = random.Random(seed)
        life = Life(seed, rng.choices(list(Manner), k=6), Boom()).run()
        went_in = {output.car for output in life.outputs if isinstance(output, DroveIn)}
        for car, manner in life.manners.items():
            seen[f"{manner.value} {'in' if car in went_in else 'back'}"] += 1
    for seed in range(20):
        life = Life(seed, [Manner.DRIVE, Manner.TAILGATE], Boom()).run()
        rises = sum(isinstance(output, LimitEdge) and output.limit == UP and output.on for output in life.outputs)
        seen["two under one rise"] += rises == 1 and life.plant.cars_in == 2
    for what in ("drive in", "stall in", "back_out back", "leave back", "tailgate in", "two under one rise"):
        assert seen[what] >= 5, seen


def test_the_same_seed_is_the_same_story() -> None:
    manners = list(Manner)
    assert Life(3, manners, Boom()).run().outputs == Life(3, manners, Boom()).run().outputs
    assert Life(3, manners, Boom()).run().outputs != Life(4, manners, Boom()).run().outputs


def check_edges(outputs: list[Output]) -> None:
    """Every edge is one, in order, and the boom is never up and down."""
    lines = {LOOP_A: False, LOOP_B: False, UP: False, DOWN: True}
    last_ms = 0
    for output in outputs:
        assert output.at_ms >= last_ms
        last_ms = output.at_ms
        if isinstance(output, LoopEdge):
            assert lines[output.loop] != output.occupied
            lines[output.loop] = output.occupied
        elif isinstance(output, LimitEdge):
            assert lines[output.limit] != output.on
            lines[output.limit] = output.on
            assert not (lines[UP] and lines[DOWN])


def test_raising_and_lowering_take_their_time() -> None:
    plant = Barrier(random.Random(1))
    plant.drive(up=True, down=False)
    outputs = plant.advance(barrier.MOTOR_MS + barrier.RAISE_MS // 2)
    assert plant.boom_per_mille() == pytest.approx(500, abs=2)
    assert outputs + plant.advance(10_000) == [
        LimitEdge(barrier.MOTOR_MS + 2, DOWN, False),
        LimitEdge(barrier.MOTOR_MS + barrier.RAISE_MS, UP, True),
    ]
    plant.drive(up=False, down=True)
    plant.jam_boom(True)
    plant.advance(20_000)
    assert plant.boom_per_mille() == 1000
    plant.jam_boom(False)
    plant.advance(20_000 + barrier.LOWER_MS)
    assert plant.limit(DOWN)


def test_a_boom_that_does_not_arrive_is_stuck_and_the_motor_is_spared() -> None:
    boom = Boom()
    for now_ms in range(0, 11_000, 20):
        boom.see(now_ms, occupied=False, up=False, down=True)
        assert boom.drive(now_ms, wanted_open=True) == (True, False)
    for now_ms in range(11_000, 14_000, 20):
        boom.see(now_ms, occupied=False, up=False, down=False)
        driven = boom.drive(now_ms, wanted_open=True)
    assert boom.stuck
    assert driven == (False, False)
    boom.see(14_000, occupied=False, up=True, down=False)
    boom.drive(14_000, wanted_open=True)
    assert not boom.stuck


def test_a_blind_boom_is_not_moved() -> None:
    boom = Boom()
    assert boom.drive(0, wanted_open=False) == (False, False)
    assert boom.drive(0, wanted_open=True) == (False, False)
    boom.see(0, occupied=False, up=True, down=False)
    assert boom.drive(5000, wanted_open=False) == (False, True)
    boom.blind()
    assert boom.drive(6000, wanted_open=False) == (False, False)
    boom.see(7000, occupied=False, up=True, down=False)
    assert boom.drive(7000, wanted_open=False) == (False, False), "free only since now"


def test_what_cannot_be_is_refused() -> None:
    plant = Barrier(random.Random(1))
    with pytest.raises(ValueError, match="mm long"):
        plant.arrive("bus", length_mm=12_000)
    plant.advance(10)
    with pytest.raises(ValueError, match="ran back"):
        plant.advance(9)


def test_at_an_exits_barrier_ahead_is_out() -> None:
    for ahead, back in ((ENTRY, EXIT), (EXIT, ENTRY)):
        passage = CarPassage(0, ahead)
        way = [(True, False), (True, True), (False, True), (False, False)]
        through = [passage.step(at, *loops) for at, loops in enumerate(way)]
        assert [event for step in through for event in step if isinstance(event, BodyPassed)] == [BodyPassed(ahead)]
        other = [passage.step(9 + at, *loops) for at, loops in enumerate([*way[2::-1], way[3]])]
        assert [event for step in other for event in step if isinstance(event, BodyPassed)] == [BodyPassed(back)]


def test_who_waits_behind_the_lane_can_turn_round() -> None:
    plant = Barrier(random.Random(1))
    for car in ("first", "second", "third"):
        plant.arrive(car)
    assert plant.queue() == ["second", "third"]
    assert plant.withdraw("second")
    assert not plant.withdraw("first"), "it is in the lane"
    assert not plant.withdraw("nobody")
    outputs = plant.advance(10)
    assert [output.car for output in outputs if isinstance(output, WentBack)] == ["second"]
    assert plant.queue() == ["third"]
