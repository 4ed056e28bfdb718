"""The crowd on virtual time: real plants, and a doorman who is simpler than any node."""

import heapq
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einlass_core.events import ENTRY, EXIT
from einlass_sim.crowd import Crowd, CrowdSettings, Goes, Holds, Kind, WantsTicket
from einlass_sim.people import Mix
from einlass_sim.plant import BarrierEdge, BodyWentIn, BodyWentOut, BoltMoved, Output, Turnstile

RELEASE_MS, REST_MS = 6000, 3000
LIVELY = CrowdSettings(
    arrivals_a_minute=30,
    entry_mix=Mix(walk=6, hesitate=1, step_back=1, tailgate=1, squeeze=1, stuck=1),
    without_ticket_mix=Mix(walk=1, force=1),
    without_ticket=0.1,
    used_ticket=0.1,
    garbage=0.1,
)


class Doorman:
    """Lets in whoever has a ticket while there is room, by what he truly sees; the exit is always free."""

    def __init__(self, seed: int, cap: int, behave: CrowdSettings, lanes: int = 3) -> None:
        readers = {f"lane{number}": (ENTRY, EXIT) for number in range(lanes)}
        self.crowd = Crowd(random.Random(seed), readers, behave)
        self.plants = {name: Turnstile(random.Random(f"{seed}/{name}")) for name in readers}
        for plant in self.plants.values():
            plant.set_bolt(EXIT, True)
        self.cap = cap
        self.valid: set[bytes] = set()
        self.released: set[int] = set()
        self.history: list[Any] = []
        self.now_ms = 0
        self._later: list[tuple[int, int, str]] = []  # when, which release, the lane to lock or nothing
        self._serial = 0

    def run(self, until_ms: int) -> None:
        while True:
            times_ms = [t for t in (self.crowd.next_ms, *(p.next_ms for p in self.plants.values())) if t is not None]
            if self._later:
                times_ms.append(self._later[0][0])
            if not times_ms or min(times_ms) > until_ms:
                break
            self.now_ms = max(self.now_ms, min(times_ms))
            self._step()
        self.now_ms = until_ms

    def inside(self) -> int:
        return sum(plant.bodies_in - plant.bodies_out for plant in self.plants.values())

    def _step(self) -> None:
        for name, plant in self.plants.items():
            for output in plant.advance(self.now_ms):
                self._happened(name, output)
        while self._later and self._later[0][0] <= self.now_ms:
            _, release, name = heapq.heappop(self._later)
            if name:
                self.plants[name].set_bolt(ENTRY, False)
            else:
                self.released.discard(release)
        for action in self.crowd.advance(self.now_ms):
            self.history.append((self.now_ms, action))
            if isinstance(action, WantsTicket):
                code = f"T{len(self.valid)}"
                self.valid.add(code.encode())
                self.crowd.ticket(self.now_ms, action.visitor, code)
            elif isinstance(action, Holds):
                self.crowd.saw(self.now_ms, action.visitor, self._judge(action))
            else:
                self._goes(action)

    def _judge(self, action: Holds) -> str:
        if action.side == EXIT:
            return "green"
        if action.code not in self.valid:
            return "red"
        if self.inside() + len(self.released) >= self.cap:
            return "yellow"
        self.plants[action.lane].set_bolt(ENTRY, True)
        self._serial += 1
        self.released.add(self._serial)
        heapq.heappush(self._later, (self.now_ms + RELEASE_MS, self._serial, action.lane))
        # Somebody may be past half of the arm when it locks: the place is kept until they are surely through.
        heapq.heappush(self._later, (self.now_ms + RELEASE_MS + REST_MS, self._serial, ""))
        return "green"

    def _goes(self, action: Goes) -> None:
        plant = self.plants[action.lane]
        plant.advance(self.now_ms)
        plant.arrive(action.visitor, action.side, action.behaviour, action.patience_ms, action.follower)

    def _happened(self, name: str, output: Output) -> None:
        self.history.append((name, output))
        if isinstance(output, BodyWentIn):
            self.plants[name].set_bolt(ENTRY, False)
        if not isinstance(output, BarrierEdge | BoltMoved):
            self.crowd.fate(self.now_ms, output)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_the_crowds_truth_is_the_plants_truth_and_everybody_gets_out(seed: int) -> None:
    doorman = Doorman(seed, cap=6, behave=LIVELY)
    for minute in range(1, 11):
        doorman.run(minute * 60_000)
        assert len(doorman.crowd.inside) == doorman.inside(), seed
    doorman.crowd.everybody_out()
    doorman.run(40 * 60_000)
    assert (doorman.inside(), doorman.crowd.inside) == (0, set()), seed
    assert doorman.crowd.came > 50


def test_interesting_things_happen() -> None:
    seen: Counter[tuple[str, str]] = Counter()
    forced = home = most = 0
    for seed in range(8):
        doorman = Doorman(seed, cap=4, behave=LIVELY)
        doorman.run(20 * 60_000)
        seen += doorman.crowd.seen
        forced += doorman.crowd.forced
        home += doorman.crowd.went_home
        most = max(most, doorman.crowd.inside_max)
    for kind, lamp in (
        (Kind.VALID, "green"),
        (Kind.VALID, "yellow"),
        (Kind.USED, "green"),
        (Kind.GARBAGE, "red"),
        (EXIT, "green"),
    ):
        assert seen[str(kind), lamp] >= 20, (kind, lamp, seen)
    assert forced > 20
    assert home > 20
    assert most > 4, "tailgaters and the like make it more than the doorman wanted"


def test_well_behaved_people_never_make_it_too_full() -> None:
    tame = CrowdSettings(arrivals_a_minute=40, entry_mix=Mix(tailgate=0, stuck=0), without_ticket=0, used_ticket=0)
    for seed in range(8):
        doorman = Doorman(seed, cap=5, behave=tame)
        doorman.run(15 * 60_000)
        assert doorman.crowd.inside_max == 5, seed


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_the_same_seed_is_the_same_day(seed: int) -> None:
    days = []
    for _ in range(2):
        doorman = Doorman(seed, cap=6, behave=LIVELY)
        doorman.run(5 * 60_000)
        days.append(doorman.history)
    assert days[0] == days[1]


def test_those_turned_away_come_again_when_somebody_left() -> None:
    patient = CrowdSettings(
        arrivals_a_minute=60, stay_ms=(60_000, 90_000), go_home_when_full=0, exit_mix=Mix(tailgate=0)
    )
    doorman = Doorman(3, cap=2, behave=patient)
    doorman.run(60_000)
    doorman.crowd.close()
    doorman.run(30 * 60_000)
    holds = Counter(
        action.visitor for _, action in doorman.history if isinstance(action, Holds) and action.side == ENTRY
    )
    went_in = {o.person for _, o in doorman.history if isinstance(o, BodyWentIn)}
    went_out = {o.person for _, o in doorman.history if isinstance(o, BodyWentOut)}
    assert any(holds[person] > 1 for person in went_in)
    assert went_in == went_out


def test_settings_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        CrowdSettings(exit_mix=Mix(tailgate=1))
    with pytest.raises(ValueError, match="shares"):
        CrowdSettings(garbage=0.9, used_ticket=0.2)
    with pytest.raises(ValueError, match="stay_ms"):
        CrowdSettings(stay_ms=(5, 1))
    with pytest.raises(ValueError, match="at least one lane"):
        Crowd(random.Random(1), {}, CrowdSettings())
