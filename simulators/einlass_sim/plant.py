"""The physics of one turnstile: bolts, an arm, two light barriers and people with bodies. No clock, no I/O.

    plant = Turnstile(random.Random(7))
    plant.arrive("anna", ENTRY, Behaviour.WALK)
    plant.set_bolt(ENTRY, True)
    outputs = plant.advance(5_000)      # BoltMoved, BarrierEdge ..., BodyWentIn
    plant.next_ms                       # when to call advance() again; None: nothing will happen by itself

A driver calls advance(now) before it changes anything (arrive, set_bolt, ...), and again soon after.

A body is a thing `BODY_MM` deep whose centre moves through a passage `PASSAGE_MM` long; a barrier is blocked while a
body covers it. So every barrier sequence, also of somebody who turns round, follows from where the bodies are.
The arm ratchets: before HALF_MM an engaging bolt sends the person back, after it the turn completes whatever the
bolt does, for everybody in it.
"""

import random
from collections import deque
from dataclasses import dataclass
from math import floor

from einlass_core.events import ENTRY, EXIT
from einlass_sim.people import Behaviour
from einlass_sim.timeline import Timeline

BARRIER_A = "a"
BARRIER_B = "b"
SIDES = (ENTRY, EXIT)

PASSAGE_MM = 1200
HALF_MM = 600
BARRIER_MM = {BARRIER_A: 450, BARRIER_B: 750}
BODY_MM = 380
SQUEEZED_MM = 150  # how far behind the first the second of a squeezed pair is

BOLT_MS = 30
WALK_MS = (400, 1200)
REACTION_MS = (100, 700)
PUSH_MS = (500, 2000)
HESITATE_MS = (3000, 15000)
STUCK_MS = (2000, 15000)
GAP_MS = (80, 300)
STEP_BACK_MM = (150, 590)
STUCK_MM = (300, 900)
FORCE_FACTOR = 2
BOUNCES_MAX = 3
QUEUE_MAX = 1000


@dataclass(frozen=True)
class BarrierEdge:
    """A light barrier's line changed."""

    at_ms: int
    barrier: str
    blocked: bool


@dataclass(frozen=True)
class BoltMoved:
    """A bolt's own contact changed: this side is mechanically free or locked."""

    at_ms: int
    side: str
    free: bool


@dataclass(frozen=True)
class BodyWentIn:
    """Truth, not a sensor: one body is now inside."""

    at_ms: int
    person: str
    forced: bool


@dataclass(frozen=True)
class BodyWentOut:
    """Truth, not a sensor: one body is now outside."""

    at_ms: int
    person: str
    forced: bool


@dataclass(frozen=True)
class TurnedBack:
    """Truth: somebody was in the passage and left it on the side they came from; by_bolt: the arm sent them back."""

    at_ms: int
    person: str
    side: str
    by_bolt: bool


@dataclass(frozen=True)
class GaveUp:
    """Truth: somebody stood before the arm and went away without having moved it."""

    at_ms: int
    person: str
    side: str


Output = BarrierEdge | BoltMoved | BodyWentIn | BodyWentOut | TurnedBack | GaveUp


@dataclass(eq=False)
class _Waiting:
    person: str
    side: str
    behaviour: Behaviour
    follower: str
    invited: bool = False


@dataclass(eq=False)
class _Body:
    person: str
    side: str
    walk_ms: int
    legs: deque[tuple[int, int]]
    from_mm: float = 0.0
    to_mm: float = 0.0
    from_ms: int = 0
    to_ms: int = 0
    leg: int = 0
    by_bolt: bool = False

    def progress_mm(self, now_ms: int) -> float:
        """How far from its own side's mouth."""
        if now_ms >= self.to_ms:
            return self.to_mm
        share = (now_ms - self.from_ms) / (self.to_ms - self.from_ms)
        return self.from_mm + share * (self.to_mm - self.from_mm)

    def centre_mm(self, now_ms: int) -> float:
        """How far from the outer mouth."""
        progress_mm = self.progress_mm(now_ms)
        return progress_mm if self.side == ENTRY else PASSAGE_MM - progress_mm

    @property
    def going_back(self) -> bool:
        return self.to_mm < self.from_mm


@dataclass(eq=False)
class _Turn:
    side: str
    forced: bool
    leader: _Body
    bodies: list[_Body]
    followers_due: int = 0
    past_half: bool = False


class Turnstile(Timeline[Output]):
    """One lane's mechanics. All times are ms on the caller's own clock; they never run back."""

    def __init__(
        self, rng: random.Random, now_ms: int = 0, bolt_ms: int = BOLT_MS, bounce_ms: int = 0, bounce_share: float = 0.0
    ) -> None:
        """bounce_share of the barrier edges flicker for up to bounce_ms each time."""
        super().__init__(now_ms)
        self.bodies_in = 0
        self.bodies_out = 0
        self._rng = rng
        self._bolt_ms = bolt_ms
        self._bounce_ms = bounce_ms
        self._bounce_share = bounce_share
        self._bolt_wanted = dict.fromkeys(SIDES, False)
        self._bolt_free = dict.fromkeys(SIDES, False)
        self._bolt_jammed = dict.fromkeys(SIDES, False)
        self._blocked = dict.fromkeys(BARRIER_MM, False)
        self._line = dict.fromkeys(BARRIER_MM, False)
        self._edges = dict.fromkeys(BARRIER_MM, 0)
        self._stuck: dict[str, bool | None] = dict.fromkeys(BARRIER_MM, None)
        self._queues: dict[str, list[_Waiting]] = {side: [] for side in SIDES}
        self._turn: _Turn | None = None

    # -- what a driver does

    def set_bolt(self, side: str, free: bool) -> None:
        """Drive this side's bolt; it moves, and its contact tells, bolt_ms later."""
        if self._bolt_wanted[side] != free:
            self._bolt_wanted[side] = free
            self._at(self._bolt_ms, lambda: self._bolt_follows(side))

    def jam_bolt(self, side: str, jammed: bool) -> None:
        """A jammed bolt stays where it is, whatever drives it, until it is freed again."""
        self._bolt_jammed[side] = jammed
        if not jammed:
            self._at(self._bolt_ms, lambda: self._bolt_follows(side))

    def stick_barrier(self, barrier: str, blocked: bool | None) -> None:
        """Hold this barrier's line (dirt, a cut cable); None lets it tell the truth again."""
        self._stuck[barrier] = blocked
        self._drive_line(barrier, self._blocked[barrier])

    def arrive(
        self,
        person: str,
        side: str,
        behaviour: Behaviour = Behaviour.WALK,
        patience_ms: int | None = None,
        follower: str | None = None,
    ) -> None:
        """Somebody stands before the arm and goes when it gives way; gives up after patience_ms (None: never).

        follower names the second body of a tailgating or squeezing person. ValueError when the queue is too long.
        """
        if len(self._queues[side]) >= QUEUE_MAX:
            raise ValueError(f"more than {QUEUE_MAX} people before one arm")
        waiting = _Waiting(person, side, behaviour, follower or f"{person}+1")
        self._queues[side].append(waiting)
        if patience_ms is not None:
            self._at(patience_ms, lambda: self._give_up(waiting))
        self._invite()

    def withdraw(self, person: str) -> bool:
        """Let somebody who stands before the arm go away; False when they are in the passage or not here."""
        for queue in self._queues.values():
            for waiting in queue:
                if waiting.person == person:
                    self._give_up(waiting)
                    return True
        return False

    # -- what a page or a test looks at

    def bolt_free(self, side: str) -> bool:
        """What this bolt's contact says."""
        return self._bolt_free[side]

    def barrier_blocked(self, barrier: str) -> bool:
        """What this barrier's line says."""
        return self._line[barrier]

    def queue(self, side: str) -> list[str]:
        """Who stands before the arm on this side, first come first."""
        return [waiting.person for waiting in self._queues[side]]

    def in_passage(self, now_ms: int) -> dict[str, int]:
        """Who is between the two mouths, in mm from the outer one."""
        return {body.person: round(body.centre_mm(now_ms)) for body in self._turn.bodies} if self._turn else {}

    def arm_per_mille(self, now_ms: int) -> int:
        """How far the arm is turned through one passage, 0 to 1000; negative: outward."""
        if not self._turn:
            return 0
        last_mm = min((body.progress_mm(now_ms) for body in self._turn.bodies), default=0.0)
        first_mm = self._turn.leader.progress_mm(now_ms)
        # The arm leans on the first body; past half it is held there until the last one is through.
        turned_mm = max(HALF_MM, last_mm) if self._turn.past_half else first_mm
        turned = round(1000 * turned_mm / PASSAGE_MM)
        return turned if self._turn.side == ENTRY else -turned

    # -- bolts

    def _bolt_follows(self, side: str) -> None:
        free = self._bolt_wanted[side]
        if self._bolt_jammed[side] or self._bolt_free[side] == free:
            return
        self._bolt_free[side] = free
        self._out.append(BoltMoved(self.now_ms, side, free))
        if free:
            self._invite()
        elif self._turn and self._turn.side == side:
            for body in self._turn.bodies:
                if self._is_stopped(self._turn) and body.to_mm > body.from_mm:
                    self._send_back(body)

    def _is_stopped(self, turn: _Turn) -> bool:
        turn.past_half = turn.past_half or turn.leader.progress_mm(self.now_ms) >= HALF_MM
        return not (turn.past_half or turn.forced or self._bolt_free[turn.side])

    def _send_back(self, body: _Body) -> None:
        here_mm = body.progress_mm(self.now_ms)
        body.by_bolt = True
        body.legs = deque([(0, max(1, round(here_mm / PASSAGE_MM * body.walk_ms)))])
        self._next_leg(body)

    # -- people before the arm

    def _invite(self) -> None:
        if self._turn:
            return
        for side in SIDES:
            if not self._queues[side]:
                continue
            first = self._queues[side][0]
            forcing = first.behaviour is Behaviour.FORCE
            if first.invited or not (self._bolt_free[side] or forcing):
                continue
            first.invited = True
            if first.behaviour is Behaviour.HESITATE:
                self._at(self._draw(HESITATE_MS), lambda first=first: self._give_up(first))  # type: ignore[misc]
            else:
                after = PUSH_MS if forcing and not self._bolt_free[side] else REACTION_MS
                self._at(self._draw(after), lambda first=first: self._begin(first))  # type: ignore[misc]

    def _give_up(self, waiting: _Waiting) -> None:
        if waiting in self._queues[waiting.side]:
            self._queues[waiting.side].remove(waiting)
            self._out.append(GaveUp(self.now_ms, waiting.person, waiting.side))
            self._invite()

    def _begin(self, waiting: _Waiting) -> None:
        if waiting not in self._queues[waiting.side]:
            return
        waiting.invited = False
        free = self._bolt_free[waiting.side]
        if self._turn or not (free or waiting.behaviour is Behaviour.FORCE):
            return
        self._queues[waiting.side].remove(waiting)
        walk_ms = self._draw(WALK_MS) * (1 if free else FORCE_FACTOR)
        leader = _Body(waiting.person, waiting.side, walk_ms, self._legs(waiting.behaviour, walk_ms))
        turn = self._turn = _Turn(waiting.side, not free, leader, [leader])
        if waiting.behaviour in (Behaviour.TAILGATE, Behaviour.SQUEEZE):
            turn.followers_due = 1
            self._at(self._follow_ms(waiting.behaviour, walk_ms), lambda: self._follow(turn, waiting.follower))
        self._next_leg(leader)

    def _legs(self, behaviour: Behaviour, walk_ms: int) -> deque[tuple[int, int]]:
        if behaviour is Behaviour.STEP_BACK:
            turn_mm = self._draw(STEP_BACK_MM)
            part_ms = max(1, walk_ms * turn_mm // PASSAGE_MM)
            return deque([(turn_mm, part_ms), (0, part_ms)])
        if behaviour is Behaviour.STUCK:
            stuck_mm = self._draw(STUCK_MM)
            part_ms = max(1, walk_ms * stuck_mm // PASSAGE_MM)
            rest_ms = max(1, walk_ms - part_ms)
            return deque([(stuck_mm, part_ms), (stuck_mm, self._draw(STUCK_MS)), (PASSAGE_MM, rest_ms)])
        return deque([(PASSAGE_MM, walk_ms)])

    def _follow_ms(self, behaviour: Behaviour, walk_ms: int) -> int:
        if behaviour is Behaviour.SQUEEZE:
            return round(SQUEEZED_MM / PASSAGE_MM * walk_ms)
        # The second reaches the first barrier when the first has been clear of the last one for the gap.
        apart_mm = BARRIER_MM[BARRIER_B] - BARRIER_MM[BARRIER_A] + BODY_MM
        return round(apart_mm / PASSAGE_MM * walk_ms) + self._draw(GAP_MS)

    def _follow(self, turn: _Turn, person: str) -> None:
        turn.followers_due -= 1
        if turn.leader.going_back or not (turn.leader in turn.bodies or turn.past_half):
            self._out.append(GaveUp(self.now_ms, person, turn.side))
            self._end_turn(turn)
            return
        body = _Body(person, turn.side, turn.leader.walk_ms, deque([(PASSAGE_MM, turn.leader.walk_ms)]))
        turn.bodies.append(body)
        self._next_leg(body)

    # -- bodies in the passage

    def _next_leg(self, body: _Body) -> None:
        turn = self._turn
        assert turn is not None
        here_mm = body.progress_mm(self.now_ms)
        to_mm, leg_ms = body.legs.popleft()
        if to_mm > here_mm and self._is_stopped(turn):
            self._send_back(body)
            return
        body.from_mm, body.to_mm = here_mm, to_mm
        body.from_ms, body.to_ms = self.now_ms, self.now_ms + leg_ms
        body.leg += 1
        low_mm, high_mm = sorted((here_mm, float(to_mm)))
        leg_moves = to_mm != here_mm
        for place_mm in self._places_mm(body):
            if low_mm <= place_mm <= high_mm and leg_moves:
                # One past the crossing, so that "at the place or beyond" is true both ways.
                exact_ms = leg_ms * (place_mm - here_mm) / (to_mm - here_mm)
                self._wake(body, min(leg_ms, floor(exact_ms) + 1))
        self._wake(body, leg_ms)
        self._sense()

    @staticmethod
    def _places_mm(body: _Body) -> list[float]:
        edges_mm = [HALF_MM]
        for barrier_mm in BARRIER_MM.values():
            own_mm = barrier_mm if body.side == ENTRY else PASSAGE_MM - barrier_mm
            edges_mm += [own_mm - BODY_MM // 2, own_mm + BODY_MM // 2]
        return [float(edge_mm) for edge_mm in edges_mm]

    def _wake(self, body: _Body, after_ms: int) -> None:
        leg = body.leg
        self._at(after_ms, lambda: self._moved(body, leg))

    def _moved(self, body: _Body, leg: int) -> None:
        turn = self._turn
        if turn is None or body not in turn.bodies or body.leg != leg:
            return
        self._is_stopped(turn)
        self._sense()
        if self.now_ms < body.to_ms:
            return
        if body.legs:
            self._next_leg(body)
            return
        turn.bodies.remove(body)
        if body.to_mm == 0:
            self._out.append(TurnedBack(self.now_ms, body.person, body.side, body.by_bolt))
        elif body.side == ENTRY:
            self.bodies_in += 1
            self._out.append(BodyWentIn(self.now_ms, body.person, turn.forced))
        else:
            self.bodies_out += 1
            self._out.append(BodyWentOut(self.now_ms, body.person, turn.forced))
        self._end_turn(turn)

    def _end_turn(self, turn: _Turn) -> None:
        if turn is self._turn and not turn.bodies and not turn.followers_due:
            self._turn = None
            self._invite()

    # -- light barriers

    def _sense(self) -> None:
        bodies = self._turn.bodies if self._turn else []
        for barrier, barrier_mm in BARRIER_MM.items():
            blocked = any(abs(body.centre_mm(self.now_ms) - barrier_mm) < BODY_MM / 2 for body in bodies)
            if blocked == self._blocked[barrier]:
                continue
            self._blocked[barrier] = blocked
            self._edges[barrier] += 1
            self._drive_line(barrier, blocked)
            if self._bounce_share and self._rng.random() < self._bounce_share:
                self._bounce(barrier, blocked)

    def _bounce(self, barrier: str, blocked: bool) -> None:
        edge, after_ms = self._edges[barrier], 0
        for _ in range(self._rng.randint(1, BOUNCES_MAX)):
            for line in (not blocked, blocked):
                after_ms += self._rng.randint(1, max(1, self._bounce_ms // (2 * BOUNCES_MAX)))
                self._at(after_ms, lambda line=line: self._flicker(barrier, edge, line))  # type: ignore[misc]

    def _flicker(self, barrier: str, edge: int, line: bool) -> None:
        if self._edges[barrier] == edge:
            self._drive_line(barrier, line)

    def _drive_line(self, barrier: str, blocked: bool) -> None:
        stuck = self._stuck[barrier]
        line = blocked if stuck is None else stuck
        if line != self._line[barrier]:
            self._line[barrier] = line
            self._out.append(BarrierEdge(self.now_ms, barrier, line))

    # -- chance

    def _draw(self, bounds: tuple[int, int]) -> int:
        return self._rng.randint(*bounds)
