"""The physics of one car lane: a boom, two loops in the ground and cars that have a length. No clock, no I/O.

    lane = Barrier(random.Random(7))
    lane.arrive("ABC", Manner.DRIVE)
    lane.drive(up=True, down=False)
    outputs = lane.advance(20_000)      # LoopEdge, LimitEdge ..., DroveIn, and Contact if the boom met a car
    lane.next_ms                        # when to call advance() again; None: nothing will happen by itself

A driver calls advance(now) before it changes anything, and again soon after. The lane in mm, the boom at 0:

      queue ...      stop line                               a loop is occupied while any part of a car is over it;
    ───────────┤ loop A ├──┤──┤        loop B        ├──►    the boom meets a car when it is lower than HIT_PER_MILLE
            -2000    -1000 -600 -400   0          2000       and some part of the car is under it

Drivers stand at the stop line until the boom has risen for them, or is up and the lamp is green; one who tailgates goes
while it is up for another.
"""

import enum
import random
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from einlass_sim.timeline import Timeline

LOOP_A, LOOP_B = "a", "b"
LOOPS_MM = {LOOP_A: (-2000, -1000), LOOP_B: (-400, 2000)}
STOP_MM = -600
END_MM = 3000
START_MM = -3000
UP, DOWN = "up", "down"
FULL = 1000
GO_PER_MILLE = 900
HIT_PER_MILLE = 600

RAISE_MS, LOWER_MS, MOTOR_MS = 1800, 2500, 100
LENGTH_MM = (2500, 6000)
SPEED_MM_S = (1200, 2200)
REACTION_MS = (300, 1200)
STALL_MS = (1000, 12_000)
TAIL_GAP_MM = (1200, 3500)
QUEUE_MAX = 200


class Manner(enum.Enum):
    """How somebody drives."""

    DRIVE = "drive"
    STALL = "stall"  # stops under the boom for a while
    BACK_OUT = "back_out"  # goes half under the boom and back again
    LEAVE = "leave"  # stands at the stop line for a while and goes backward
    TAILGATE = "tailgate"  # follows the car before, close behind, while the boom is up for that one


@dataclass(frozen=True)
class LoopEdge:
    """A loop's line changed."""

    at_ms: int
    loop: str
    occupied: bool


@dataclass(frozen=True)
class LimitEdge:
    """A limit switch of the boom changed: up (vertical) or down (closed)."""

    at_ms: int
    limit: str
    on: bool


@dataclass(frozen=True)
class DroveIn:
    """Truth: a car is through, whole; by_contact: the boom met it on the way."""

    at_ms: int
    car: str
    by_contact: bool


@dataclass(frozen=True)
class WentBack:
    """Truth: a car has left the lane backward."""

    at_ms: int
    car: str


@dataclass(frozen=True)
class Contact:
    """Truth: boom and car met. lowered: the boom came down on it; else it drove into the boom."""

    at_ms: int
    car: str
    lowered: bool


Output = LoopEdge | LimitEdge | DroveIn | WentBack | Contact


@dataclass(eq=False)
class _Car:
    name: str
    manner: Manner
    length_mm: int
    speed_mm_s: int
    patience_ms: int | None
    front_mm: float = START_MM
    to_mm: float = START_MM
    from_ms: int = 0
    leg: int = 0
    waiting: bool = False  # at the stop line
    rises_seen: int = 0
    going: bool = False
    touched: bool = False

    def front(self, now_ms: int) -> float:
        """Where its front is."""
        way_mm = self.speed_mm_s * max(0, now_ms - self.from_ms) / 1000
        if self.to_mm >= self.front_mm:
            return min(self.to_mm, self.front_mm + way_mm)
        return max(self.to_mm, self.front_mm - way_mm)

    def over(self, now_ms: int, low_mm: float, high_mm: float) -> bool:
        """Whether any part of it is between these."""
        front = self.front(now_ms)
        return front > low_mm and front - self.length_mm < high_mm


class Barrier(Timeline[Output]):
    """One lane. All times are ms on the caller's own clock; they never run back."""

    def __init__(
        self,
        rng: random.Random,
        now_ms: int = 0,
        raise_ms: int = RAISE_MS,
        lower_ms: int = LOWER_MS,
        motor_ms: int = MOTOR_MS,
        speed_mm_s: tuple[int, int] = SPEED_MM_S,
        stall_ms: tuple[int, int] = STALL_MS,
    ) -> None:
        super().__init__(now_ms)
        self.cars_in = 0
        self.contacts = 0
        self._rng = rng
        self._raise_ms = raise_ms
        self._lower_ms = lower_ms
        self._motor_ms = motor_ms
        self._speed_mm_s = speed_mm_s
        self._stall_ms = stall_ms
        self._queue: list[_Car] = []
        self._cars: list[_Car] = []
        self._wanted = self._moving = 0
        self._motion = 0
        self._boom = 0.0
        self._boom_ms = now_ms
        self._jammed = False
        self._rises = 0
        self._went_up = False
        self._green = False
        self._loops = dict.fromkeys(LOOPS_MM, False)
        self._lines = dict.fromkeys(LOOPS_MM, False)
        self._stuck: dict[str, bool | None] = dict.fromkeys(LOOPS_MM, None)
        self._limits = {UP: False, DOWN: True}

    # -- what a driver does

    def drive(self, up: bool, down: bool) -> None:
        """Drive the motor; both or neither: it stands still. It needs motor_ms to turn."""
        wanted = int(up) - int(down)
        if wanted != self._wanted:
            self._wanted = wanted
            self._at(self._motor_ms, lambda: self._motor(wanted))

    def set_green(self, on: bool) -> None:
        """The lamp that says go."""
        self._green = on
        self._invite()

    def jam_boom(self, jammed: bool) -> None:
        """A jammed boom stays where it is, whatever drives it."""
        self._settle_boom()
        self._jammed = jammed
        self._move(self._wanted)

    def stick_loop(self, loop: str, occupied: bool | None) -> None:
        """Hold this loop's line (a cut cable, a lost screw); None lets it tell the truth again."""
        self._stuck[loop] = occupied
        self._line(loop)

    def arrive(
        self, car: str, manner: Manner = Manner.DRIVE, length_mm: int | None = None, patience_ms: int | None = None
    ) -> None:
        """A car joins the queue; leaves backward after patience_ms at the stop line (None: never).

        ValueError when the queue is too long or the length is no car's.
        """
        if len(self._queue) >= QUEUE_MAX:
            raise ValueError(f"more than {QUEUE_MAX} cars before one barrier")
        length = self._draw(LENGTH_MM) if length_mm is None else length_mm
        if not LENGTH_MM[0] <= length <= LENGTH_MM[1]:
            raise ValueError(f"a car here is {LENGTH_MM[0]} to {LENGTH_MM[1]} mm long, not {length}")
        self._queue.append(_Car(car, manner, length, self._draw(self._speed_mm_s), patience_ms))
        self._next_car()

    def withdraw(self, car: str) -> bool:
        """Let somebody who is still behind the lane turn round; False when they are in it, or not here."""
        for waiting in self._queue:
            if waiting.name == car:
                self._queue.remove(waiting)
                self._out.append(WentBack(self.now_ms, car))
                return True
        return False

    # -- what a page or a test looks at

    def boom_per_mille(self) -> int:
        """How far it is up."""
        return round(self._boom_now())

    def loop_occupied(self, loop: str) -> bool:
        """What this loop's line says."""
        return self._lines[loop]

    def limit(self, limit: str) -> bool:
        """What this limit switch says."""
        return self._limits[limit]

    def queue(self) -> list[str]:
        """Who waits behind the lane, first come first."""
        return [car.name for car in self._queue]

    def waiting_car(self) -> str | None:
        """Who stands at the stop line."""
        return next((car.name for car in self._cars if car.waiting), None)

    def in_lane(self) -> dict[str, tuple[int, int]]:
        """Where the rear and the front of each car in the lane are."""
        now = self.now_ms
        return {car.name: (round(car.front(now)) - car.length_mm, round(car.front(now))) for car in self._cars}

    # -- the boom

    def _boom_now(self) -> float:
        passed_ms = self.now_ms - self._boom_ms
        if self._moving > 0:
            return min(float(FULL), self._boom + FULL * passed_ms / self._raise_ms)
        if self._moving < 0:
            return max(0.0, self._boom - FULL * passed_ms / self._lower_ms)
        return self._boom

    def _settle_boom(self) -> None:
        self._boom, self._boom_ms = self._boom_now(), self.now_ms

    def _motor(self, wanted: int) -> None:
        if wanted == self._wanted:
            self._move(wanted)

    def _move(self, direction: int) -> None:
        self._settle_boom()
        self._moving = 0 if self._jammed else direction
        self._motion += 1
        motion = self._motion
        if self._moving > 0:
            self._rise_seen()
            for place in (1, GO_PER_MILLE, FULL):
                if place > self._boom:
                    delay_ms = ceil((place - self._boom) * self._raise_ms / FULL)
                    self._at(delay_ms, lambda: self._boom_passes(motion))
        elif self._moving < 0:
            for place in (FULL - 1, HIT_PER_MILLE - 1, 0):
                if place < self._boom:
                    delay_ms = ceil((self._boom - place) * self._lower_ms / FULL)
                    self._at(delay_ms, lambda: self._boom_passes(motion))
        self._limit_edges()

    def _rise_seen(self) -> None:
        if self._boom < GO_PER_MILLE:
            self._went_up = False

    def _boom_passes(self, motion: int) -> None:
        if motion != self._motion:
            return
        self._settle_boom()
        self._limit_edges()
        if self._moving < 0 and self._boom < HIT_PER_MILLE:
            under = [car for car in self._cars if self._is_under(car)]
            for car in under:
                self._touch(car, lowered=True)
            if under:
                self._move(0)  # It lies on the roof.
        if self._boom >= GO_PER_MILLE and not self._went_up:
            self._went_up = True
            self._rises += 1
            self._invite()

    def _limit_edges(self) -> None:
        for limit, on in ((UP, self._boom >= FULL), (DOWN, self._boom <= 0)):
            if self._limits[limit] != on:
                self._limits[limit] = on
                self._out.append(LimitEdge(self.now_ms, limit, on))

    def _touch(self, car: _Car, *, lowered: bool) -> None:
        if not car.touched:
            car.touched = True
            self.contacts += 1
            self._out.append(Contact(self.now_ms, car.name, lowered))

    def _is_under(self, car: _Car) -> bool:
        return car.over(self.now_ms, 0, 0)

    # -- cars

    def _next_car(self) -> None:
        """The first of the queue comes to the stop line when there is room behind whoever is in the lane."""
        if not self._queue or any(car.front(self.now_ms) < END_MM and not car.going for car in self._cars):
            return
        ahead = self._cars[-1] if self._cars else None
        follows = self._queue[0].manner is Manner.TAILGATE and ahead is not None and ahead.manner is Manner.DRIVE
        if ahead is not None and (len(self._cars) > 1 or not follows):
            return
        car = self._queue.pop(0)
        self._cars.append(car)
        now_ms = self.now_ms
        car.from_ms = now_ms
        if ahead is not None:
            car.speed_mm_s = ahead.speed_mm_s
            car.front_mm = ahead.front(now_ms) - ahead.length_mm - self._draw(TAIL_GAP_MM)
        else:
            car.front_mm = START_MM
        car.to_mm = car.front_mm
        self._leg(car, STOP_MM, self._arrived)

    def _arrived(self, car: _Car) -> None:
        """At the stop line."""
        car.waiting = True
        car.rises_seen = self._rises
        if car.patience_ms is not None:
            self._at(car.patience_ms, lambda: self._give_up(car))
        if car.manner is Manner.LEAVE:
            self._at(self._draw(self._stall_ms), lambda: self._give_up(car))
        self._invite()

    def _give_up(self, car: _Car) -> None:
        if car.waiting:
            car.waiting = False
            self._back(car)

    def _invite(self) -> None:
        for car in self._cars:
            if not car.waiting or car.manner is Manner.LEAVE or self._boom_now() < GO_PER_MILLE:
                continue
            if car.manner is Manner.TAILGATE:
                self._go(car)
            elif self._rises > car.rises_seen or self._green:
                car.rises_seen = self._rises
                self._at(self._draw(REACTION_MS), lambda car=car: self._go(car))  # type: ignore[misc]

    def _go(self, car: _Car) -> None:
        """Off, if the boom is (still) up."""
        if not car.waiting:
            return
        if self._boom_now() < GO_PER_MILLE:
            return  # Waits for its next rise.
        car.waiting = False
        car.going = True
        if car.manner in (Manner.STALL, Manner.BACK_OUT):
            # So far that it is under the boom, and not through.
            self._leg(car, min(car.length_mm - 500, self._draw((300, 1800))), self._stand)
        else:
            self._leg(car, END_MM + car.length_mm, self._through)
        self._next_car()

    def _stand(self, car: _Car) -> None:
        after = self._back if car.manner is Manner.BACK_OUT else self._go_on
        self._at(self._draw(self._stall_ms), lambda: after(car))

    def _go_on(self, car: _Car) -> None:
        self._leg(car, END_MM + car.length_mm, self._through)

    def _back(self, car: _Car) -> None:
        self._leg(car, START_MM, self._away)

    def _through(self, car: _Car) -> None:
        self.cars_in += 1
        self._out.append(DroveIn(self.now_ms, car.name, car.touched))
        self._vanish(car)

    def _away(self, car: _Car) -> None:
        self._out.append(WentBack(self.now_ms, car.name))
        self._vanish(car)

    def _vanish(self, car: _Car) -> None:
        self._cars.remove(car)
        self._sense()
        self._next_car()

    def _leg(self, car: _Car, to_mm: float, then: Callable[[_Car], None]) -> None:
        """Drive there, feeling every edge of a loop and the boom on the way."""
        now_ms = self.now_ms
        car.front_mm = car.front(now_ms)
        car.to_mm, car.from_ms = to_mm, now_ms
        car.leg += 1
        leg = car.leg
        way_mm = abs(to_mm - car.front_mm)
        edges = [edge for loop in LOOPS_MM.values() for edge in loop] + [0]
        for edge in [*edges, *(edge + car.length_mm for edge in edges)]:
            if min(car.front_mm, to_mm) <= edge <= max(car.front_mm, to_mm):
                # One past the edge, so that "over it" is true when it is felt.
                delay_ms = ceil(1000 * abs(edge - car.front_mm) / car.speed_mm_s) + 1
                self._at(delay_ms, lambda: self._felt(car, leg))
        self._at(ceil(1000 * way_mm / car.speed_mm_s), lambda: self._ends(car, leg, then))

    def _felt(self, car: _Car, leg: int) -> None:
        if car.leg == leg and car in self._cars:
            self._sense()
            if self._is_under(car) and self._boom_now() < HIT_PER_MILLE:
                self._touch(car, lowered=False)

    def _ends(self, car: _Car, leg: int, then: Callable[[_Car], None]) -> None:
        if car.leg == leg and car in self._cars:
            self._sense()
            then(car)

    def _sense(self) -> None:
        for loop, (low_mm, high_mm) in LOOPS_MM.items():
            self._loops[loop] = any(car.over(self.now_ms, low_mm, high_mm) for car in self._cars)
            self._line(loop)

    def _line(self, loop: str) -> None:
        stuck = self._stuck[loop]
        says = self._loops[loop] if stuck is None else stuck
        if self._lines[loop] != says:
            self._lines[loop] = says
            self._out.append(LoopEdge(self.now_ms, loop, says))

    # -- chance

    def _draw(self, bounds: tuple[int, int]) -> int:
        return self._rng.randint(*bounds)
