"""The turnstile's physics: bodies are conserved, locked means locked, and the barriers tell the truth."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einlass_core.events import ENTRY, EXIT, BodyPassed, Event
from einlass_core.passage import Passage
from einlass_sim.people import Behaviour, Mix
from einlass_sim.plant import (
    BOLT_MS,
    HALF_MM,
    STUCK_MS,
    BarrierEdge,
    BodyWentIn,
    BodyWentOut,
    BoltMoved,
    GaveUp,
    Output,
    TurnedBack,
    Turnstile,
)

EVERYTHING = Mix(walk=4, hesitate=1, step_back=2, tailgate=2, squeeze=1, stuck=1, force=1)
NOTHING_HIDDEN = Mix(walk=4, hesitate=1, step_back=2, tailgate=2, squeeze=0, stuck=1, force=1)
OVER_MS = 200_000


class Barriers:
    """The least that a node can do with two lines: who came in first and went out last."""

    def __init__(self) -> None:
        self.blocked: dict[str, bool] = {"a": False, "b": False}
        self.first = self.last = ""
        self.counts: Counter[str] = Counter()

    def edge(self, edge: BarrierEdge) -> None:
        assert self.blocked[edge.barrier] != edge.blocked, "an edge that is none"
        if not any(self.blocked.values()):
            self.first = edge.barrier
        self.blocked[edge.barrier] = edge.blocked
        if not any(self.blocked.values()):
            self.last = edge.barrier
            if self.first != self.last:
                self.counts[ENTRY if self.last == "b" else EXIT] += 1


def run(
    seed: int, mix: Mix, actions: int = 60, bounce_share: float = 0.0
) -> tuple[Turnstile, list[Output], dict[str, Behaviour]]:
    """A drawn life of one turnstile, brought to rest."""
    rng = random.Random(seed)
    plant = Turnstile(random.Random(seed + 1), bounce_ms=10, bounce_share=bounce_share)
    outputs: list[Output] = []
    people: dict[str, Behaviour] = {}
    now_ms = 0
    for number in range(actions):
        now_ms += rng.randrange(1500)
        outputs += plant.advance(now_ms)
        if rng.random() < 0.5:
            behaviour = people[f"p{number}"] = mix.draw(rng)
            plant.arrive(f"p{number}", rng.choice((ENTRY, EXIT)), behaviour, patience_ms=rng.choice((None, 20_000)))
        else:
            plant.set_bolt(rng.choice((ENTRY, EXIT)), rng.random() < 0.6)
    plant.set_bolt(ENTRY, True)
    plant.set_bolt(EXIT, True)
    while (next_ms := plant.next_ms) is not None:
        assert next_ms < now_ms + actions * OVER_MS, "it never comes to rest"
        outputs += plant.advance(next_ms)
    return plant, outputs, people


def ends(outputs: list[Output]) -> Counter[str]:
    return Counter(o.person for o in outputs if isinstance(o, BodyWentIn | BodyWentOut | TurnedBack | GaveUp))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_every_body_ends_somewhere_exactly_once(seed: int) -> None:
    plant, outputs, people = run(seed, EVERYTHING)
    ended = ends(outputs)
    assert set(people) <= set(ended), seed
    assert set(ended.values()) <= {1}, (seed, ended)
    assert all(name in people or name.removesuffix("+1") in people for name in ended)
    assert plant.bodies_in == sum(isinstance(o, BodyWentIn) for o in outputs)
    assert plant.bodies_out == sum(isinstance(o, BodyWentOut) for o in outputs)
    assert not plant.in_passage(plant.now_ms)
    assert not any(plant.barrier_blocked(barrier) for barrier in "ab")
    forced = {o.person for o in outputs if isinstance(o, BodyWentIn | BodyWentOut) and o.forced}
    assert all(people[name] is Behaviour.FORCE for name in forced), "through a locked arm without forcing it"
    times_ms = [o.at_ms for o in outputs]
    assert times_ms == sorted(times_ms)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_the_barriers_decode_to_the_truth_when_nobody_squeezes(seed: int) -> None:
    plant, outputs, _ = run(seed, NOTHING_HIDDEN)
    barriers = Barriers()
    for output in outputs:
        if isinstance(output, BarrierEdge):
            barriers.edge(output)
    assert (barriers.counts[ENTRY], barriers.counts[EXIT]) == (plant.bodies_in, plant.bodies_out), seed


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_the_core_decodes_the_barriers_to_the_truth_also_when_they_bounce(seed: int, bouncing: bool) -> None:
    plant, outputs, _ = run(seed, NOTHING_HIDDEN, bounce_share=0.5 if bouncing else 0.0)
    passage, levels = Passage(debounce_ms=15), {"a": False, "b": False}
    events: list[Event] = []
    for edge in (o for o in outputs if isinstance(o, BarrierEdge)):
        if passage.deadline_ms is not None and passage.deadline_ms < edge.at_ms:
            events += passage.step(passage.deadline_ms, levels["a"], levels["b"])
        levels[edge.barrier] = edge.blocked
        events += passage.step(edge.at_ms, levels["a"], levels["b"])
    events += passage.step(plant.now_ms + 1000, levels["a"], levels["b"])
    passed = Counter(event.side for event in events if isinstance(event, BodyPassed))
    assert (passed[ENTRY], passed[EXIT]) == (plant.bodies_in, plant.bodies_out), seed


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_the_same_seed_is_the_same_history(seed: int) -> None:
    assert run(seed, EVERYTHING)[1] == run(seed, EVERYTHING)[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([b for b in Behaviour if b is not Behaviour.FORCE]))
def test_a_locked_bolt_holds_everybody_who_does_not_force_it(seed: int, behaviour: Behaviour) -> None:
    plant = Turnstile(random.Random(seed))
    plant.set_bolt(EXIT, True)
    for number in range(5):
        plant.arrive(f"p{number}", ENTRY, behaviour)
    outputs = plant.advance(OVER_MS)
    assert [o for o in outputs if not isinstance(o, BoltMoved)] == []
    assert plant.queue(ENTRY) == [f"p{number}" for number in range(5)]


def test_force_goes_through_a_locked_arm_and_says_so() -> None:
    plant = Turnstile(random.Random(1))
    plant.arrive("rowdy", ENTRY, Behaviour.FORCE)
    entered = [o for o in plant.advance(OVER_MS) if isinstance(o, BodyWentIn)]
    assert [(o.person, o.forced) for o in entered] == [("rowdy", True)]


def test_force_at_a_free_arm_is_just_walking() -> None:
    plant = Turnstile(random.Random(1))
    plant.set_bolt(ENTRY, True)
    plant.advance(BOLT_MS)
    plant.arrive("rowdy", ENTRY, Behaviour.FORCE)
    assert [o.forced for o in plant.advance(OVER_MS) if isinstance(o, BodyWentIn)] == [False]


@pytest.mark.parametrize(
    ("behaviour", "edges", "inside"),
    [
        (Behaviour.WALK, "A B a b", 1),
        (Behaviour.TAILGATE, "A B a b A B a b", 2),
        (Behaviour.SQUEEZE, "A B a b", 2),
        (Behaviour.STUCK, "A B a b", 1),
        (Behaviour.HESITATE, "", 0),
    ],
)
def test_barrier_sequences(behaviour: Behaviour, edges: str, inside: int) -> None:
    for seed in range(30):
        plant = Turnstile(random.Random(seed))
        plant.set_bolt(ENTRY, True)
        plant.arrive("anna", ENTRY, behaviour)
        outputs = plant.advance(OVER_MS)
        seen = [o.barrier.upper() if o.blocked else o.barrier for o in outputs if isinstance(o, BarrierEdge)]
        assert (" ".join(seen), plant.bodies_in) == (edges, inside), seed


def test_stepping_back_is_seen_by_the_outer_barrier_and_counts_nobody() -> None:
    shapes = set()
    for seed in range(60):
        plant = Turnstile(random.Random(seed))
        plant.set_bolt(EXIT, True)
        plant.arrive("ben", EXIT, Behaviour.STEP_BACK)
        outputs = plant.advance(OVER_MS)
        assert [o.by_bolt for o in outputs if isinstance(o, TurnedBack)] == [False]
        assert plant.bodies_out == 0
        shapes.add(
            "".join(o.barrier.upper() if o.blocked else o.barrier for o in outputs if isinstance(o, BarrierEdge))
        )
    assert shapes == {"", "Bb", "BAab"}


def test_the_arm_ratchets_at_half() -> None:
    sent_back = completed = 0
    for lock_after_ms in range(0, 1300, 20):
        plant = Turnstile(random.Random(5))
        plant.set_bolt(ENTRY, True)
        plant.arrive("carl", ENTRY)
        while not plant.in_passage(plant.now_ms):
            plant.advance(plant.next_ms or 0)
        plant.advance(plant.now_ms + lock_after_ms)
        plant.set_bolt(ENTRY, False)
        plant.advance(plant.now_ms + BOLT_MS - 1)
        where_mm = plant.in_passage(plant.now_ms + 1).get("carl", HALF_MM)
        outputs = plant.advance(OVER_MS)
        if where_mm < HALF_MM - 1:
            sent_back += 1
            assert [o.by_bolt for o in outputs if isinstance(o, TurnedBack)] == [True]
        elif where_mm > HALF_MM:
            completed += 1
        assert plant.bodies_in == (0 if any(isinstance(o, TurnedBack) for o in outputs) else 1)
        assert plant.bodies_in == (1 if where_mm >= HALF_MM else 0) or abs(where_mm - HALF_MM) <= 1
    assert sent_back > 3
    assert completed > 3


def test_a_bolt_needs_time_and_a_jammed_one_does_not_move() -> None:
    plant = Turnstile(random.Random(1))
    plant.set_bolt(ENTRY, True)
    assert plant.advance(BOLT_MS - 1) == []
    assert plant.advance(BOLT_MS) == [BoltMoved(BOLT_MS, ENTRY, True)]
    plant.jam_bolt(ENTRY, True)
    plant.set_bolt(ENTRY, False)
    assert plant.advance(1000) == []
    assert plant.bolt_free(ENTRY)
    plant.jam_bolt(ENTRY, False)
    assert plant.advance(2000) == [BoltMoved(1000 + BOLT_MS, ENTRY, False)]


def test_a_stuck_barrier_shows_its_own_truth_until_it_is_cleaned() -> None:
    plant = Turnstile(random.Random(1))
    plant.stick_barrier("a", True)
    assert plant.advance(0) == [BarrierEdge(0, "a", True)]
    plant.set_bolt(ENTRY, True)
    plant.arrive("dora", ENTRY)
    edges = [o for o in plant.advance(OVER_MS) if isinstance(o, BarrierEdge)]
    assert {edge.barrier for edge in edges} == {"b"}
    assert plant.bodies_in == 1
    plant.stick_barrier("a", None)
    assert plant.advance(OVER_MS) == [BarrierEdge(OVER_MS, "a", False)]


def test_a_bouncing_barrier_ends_up_right() -> None:
    plant = Turnstile(random.Random(3), bounce_ms=12, bounce_share=1.0)
    plant.set_bolt(ENTRY, True)
    plant.arrive("emil", ENTRY)
    edges = [o for o in plant.advance(OVER_MS) if isinstance(o, BarrierEdge)]
    assert len(edges) > 4
    assert not plant.barrier_blocked("a")
    assert not plant.barrier_blocked("b")
    first_a_ms = edges[0].at_ms
    assert all(edge.blocked or edge.at_ms - first_a_ms <= 12 for edge in edges[:2])


def test_bouncing_longer_than_a_barrier_is_blocked_ends_up_right_too() -> None:
    for seed in range(40):
        plant = Turnstile(random.Random(seed), bounce_ms=1200, bounce_share=1.0)
        plant.set_bolt(ENTRY, True)
        plant.arrive("emil", ENTRY, Behaviour.STEP_BACK)
        plant.advance(OVER_MS)
        assert (plant.barrier_blocked("a"), plant.barrier_blocked("b")) == (False, False), seed


def test_patience_and_withdrawing() -> None:
    plant = Turnstile(random.Random(1))
    plant.arrive("finn", ENTRY, patience_ms=500)
    plant.arrive("gabi", ENTRY)
    assert plant.withdraw("gabi")
    assert not plant.withdraw("gabi")
    assert plant.advance(1000) == [GaveUp(0, "gabi", ENTRY), GaveUp(500, "finn", ENTRY)]


def test_somebody_stuck_before_half_is_sent_back_when_the_bolt_engaged_meanwhile() -> None:
    outcomes = set()
    for seed in range(40):
        plant = Turnstile(random.Random(seed))
        plant.set_bolt(ENTRY, True)
        plant.arrive("hans", ENTRY, Behaviour.STUCK)
        plant.advance(STUCK_MS[0])
        where_mm = plant.in_passage(plant.now_ms)["hans"]
        plant.set_bolt(ENTRY, False)
        plant.advance(OVER_MS)
        outcomes.add((where_mm >= HALF_MM, plant.bodies_in))
    assert outcomes == {(True, 1), (False, 0)}


def test_time_never_runs_back() -> None:
    plant = Turnstile(random.Random(1))
    plant.advance(10)
    with pytest.raises(ValueError, match="ran back"):
        plant.advance(9)


def test_a_mix_is_weights() -> None:
    assert Mix(walk=0, force=1).draw(random.Random(1)) is Behaviour.FORCE
    with pytest.raises(ValueError, match="weights"):
        Mix(walk=-1)
