"""Visitors with bodies: they come, hold codes, go through, step back, bring somebody along, leave by any lane."""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from einlass_core.events import ENTRY, EXIT, BodyPassed, PassageBusy, Scanned
from einlass_sim.world.seeded import HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    from einlass_sim.world.lane import Lane
    from einlass_sim.world.world import World

TRIES_MAX = 4
PATIENCE_MS = 9_000
ARM_MS = 600
SOLD_AHEAD = 40
DECIDED = ("ok", "ok_reentry")
HOPELESS = ("invalid", "used_up", "revoked", "blocked", "already_inside", "wrong_zone")
PRODUCTS = {"single": 12, "family": 3, "season": 3, "strict": 2}


@dataclass
class Visitor:
    """A person or a family with one code."""

    code: str
    product: str
    bodies: int
    outside: int
    tries: int = 0
    inside: int = 0
    waits_since: int = 0


@dataclass
class Place:
    """The people before one lane. current: who stands at the reader."""

    queue: deque[Visitor] = field(default_factory=deque)
    current: Visitor | None = None
    going: bool = False
    turn: int = 0  # grows with everybody who steps up, so that an old timer does not send a new visitor away


class People:
    """start() lets them come until the world heals; after that whoever is inside may still leave."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.rng = random.Random(f"{world.drawn.seed}/people")
        self.lingering = random.Random(f"{world.drawn.seed}/lingering")
        self.places = [Place() for _ in range(world.drawn.lanes)]
        self.shelf: list[Visitor] = []
        self.used: list[Visitor] = []
        self.weights = [1.0] * world.drawn.lanes
        self.coming = True

    def start(self) -> None:
        """They begin to come."""
        self._stock()
        self._wander()
        for number in range(self.world.drawn.lanes):
            self._next(number)

    def _stock(self) -> None:
        for _ in range(SOLD_AHEAD):
            product = self.rng.choices(list(PRODUCTS), list(PRODUCTS.values()))[0]
            persons = self.rng.randint(2, 4) if product == "family" else 1
            number = self.rng.getrandbits(80)
            mint, office = self.world.mint, self.world.office
            code = mint.sell(product, persons) if mint.wants() else office.sell(product, persons, number)
            self.shelf.append(Visitor(code, product, persons, persons))
        self.world.office.deliver_sales()

    def _wander(self) -> None:
        """Where people come changes from hour to hour."""
        self.weights = [self.rng.choice((0.1, 0.5, 1.0, 2.5)) for _ in self.weights]
        if self.coming:
            self.world.after(HOUR_MS, self._wander)

    def _next(self, number: int) -> None:
        rate = self.world.drawn.arrivals_an_hour * self.weights[number] / HOUR_MS
        self.world.after(int(self.rng.expovariate(rate)) + 1, lambda: self._arrive(number))

    def _arrive(self, number: int) -> None:
        if not self.coming:
            return
        self._next(number)
        if self.used and self.rng.random() < self.world.drawn.habits.get("shared_ticket", 0):
            other = self.rng.choice(self.used[-20:])
            visitor = Visitor(other.code, other.product, other.bodies, other.bodies)
            self.world.count("shared_ticket")
        else:
            if not self.shelf:
                self._stock()
            visitor = self.shelf.pop()
            self.used.append(visitor)
        self.line_up(visitor, number)

    def line_up(self, visitor: Visitor, number: int) -> None:
        """Stand behind the others."""
        self.places[number].queue.append(visitor)
        self._serve(number)

    def _serve(self, number: int) -> None:
        place = self.places[number]
        if place.current is not None or not place.queue:
            return
        visitor = place.current = place.queue.popleft()
        place.turn += 1
        place.going = False
        turn, lane = place.turn, self.world.lanes[number]
        self.world.after(PATIENCE_MS, lambda: self._impatient(number, turn))
        if self.rng.random() < self.world.drawn.habits.get("garbage", 0):
            self.world.count("garbage")
            lane.step(Scanned(ENTRY, b"\xff\x00noise"))
        raw = visitor.code.encode()
        lane.step(Scanned(ENTRY, raw))
        if self.rng.random() < self.world.drawn.habits.get("double_read", 0):
            self.world.count("double_read")
            self.world.after(300, lambda: lane.step(Scanned(ENTRY, raw)))

    def _impatient(self, number: int, turn: int) -> None:
        place = self.places[number]
        if place.turn == turn and place.current is not None and not place.going:
            self._turned_away(number, "no answer")

    def lamp(self, lane: "Lane", code: str) -> None:
        """What the lane shows to whoever stands there."""
        place = self.places[lane.number]
        if place.current is None or place.going:
            return
        if code in DECIDED:
            place.going = True
            turn = place.turn
            self.world.after(self.rng.randint(500, 2500), lambda: self._go(lane.number, turn))
        elif code not in ("ready", "checking", "forced", "ok_exit"):
            self.world.after(1, lambda: self._turned_away(lane.number, code))

    def _turned_away(self, number: int, code: str) -> None:
        place = self.places[number]
        visitor = place.current
        if visitor is None or place.going:
            return
        place.current = None
        visitor.tries += 1
        self.world.seen[code] += 1
        if code not in HOPELESS and visitor.tries < TRIES_MAX and self.coming:
            other = self.rng.randrange(len(self.places)) if self.rng.random() < 0.5 else number
            self.world.after(self.rng.randint(5, 180) * 1000, lambda: self.line_up(visitor, other))
        self.world.after(1500, lambda: self._serve(number))

    def _go(self, number: int, turn: int) -> None:
        """One body after the other, while the bolt is free."""
        place, lane = self.places[number], self.world.lanes[number]
        visitor = place.current
        if visitor is None or place.turn != turn:
            return
        if not visitor.outside or not lane.bolt[ENTRY]:
            self._done(number, visitor)
            return
        lane.sees(PassageBusy(True))
        stands_ms = self._lingers()
        if self.rng.random() < self.world.drawn.habits.get("step_back", 0):
            self.world.count("step_back")
            self.world.after(stands_ms, lambda: lane.sees(PassageBusy(False)))
            self._done(number, visitor)
            return
        self.world.after(stands_ms, lambda: self._through(number, turn, visitor))

    def _lingers(self) -> int:
        """How long they stand in the arm: now and then so long that the release is over, or that nobody can tell."""
        if self.lingering.random() < self.world.drawn.habits.get("linger", 0):
            self.world.count("linger")
            return self.lingering.choice((4_000, 9_000, 40_000))
        return ARM_MS

    def _through(self, number: int, turn: int, visitor: Visitor) -> None:
        lane = self.world.lanes[number]
        visitor.outside -= 1
        visitor.inside += 1
        self.world.truth.body_in(lane, visitor.code)
        lane.sees(BodyPassed(ENTRY))
        if self.rng.random() < self.world.drawn.habits.get("tailgate", 0):
            self.world.count("tailgate")
            visitor.inside += 1
            self.world.truth.body_in(lane, "")
            lane.sees(BodyPassed(ENTRY))
        lane.sees(PassageBusy(False))
        if visitor.inside == 1:
            stay = max(60_000, int(self.rng.expovariate(1 / self.world.drawn.stay_ms)))
            self.world.after(stay, lambda: self._leave(visitor))
        self.world.after(self.rng.randint(400, 2000), lambda: self._go(number, turn))

    def _done(self, number: int, visitor: Visitor) -> None:
        place = self.places[number]
        place.current = None
        if visitor.outside and not visitor.inside and visitor.tries < TRIES_MAX and self.coming:
            visitor.tries += 1
            self.world.after(self.rng.randint(10, 120) * 1000, lambda: self.line_up(visitor, number))
        self.world.after(1000, lambda: self._serve(number))

    def _leave(self, visitor: Visitor) -> None:
        """All of them, by one lane; some show their code."""
        lane = self.world.lanes[self.rng.randrange(len(self.places))]
        if self.rng.random() < 0.7:
            lane.step(Scanned(EXIT, visitor.code.encode()))
        for number in range(visitor.inside):
            self.world.after(1500 * (number + 1), lambda: self._out(lane, visitor))

    def _out(self, lane: "Lane", visitor: Visitor) -> None:
        visitor.inside -= 1
        self.world.truth.body_out(lane)
        lane.sees(BodyPassed(EXIT))
        if visitor.inside:
            return
        if visitor.product == "season" and self.coming:
            visitor.outside, visitor.tries = visitor.bodies, 0
            number = self.rng.randrange(len(self.places))
            self.world.after(self.rng.randint(1, 40) * MINUTE_MS, lambda: self.line_up(visitor, number))
