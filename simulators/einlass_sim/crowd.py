"""The visitors of one site: who comes when, with what, how they answer the lamps, and the truth about who is inside.

The core, for any clock (a world with virtual time, or Visitors below):

    crowd = Crowd(random.Random(7), {"west": (ENTRY, EXIT), "east": (ENTRY,)}, CrowdSettings())
    for action in crowd.advance(now_ms): ...    # WantsTicket, Holds, Goes; again at crowd.next_ms
    crowd.ticket(now_ms, visitor, code)         # the answer to WantsTicket (None: none to be had)
    crowd.saw(now_ms, visitor, "green")         # the answer to Holds: the lamp; None: no lamp in time
    crowd.fate(now_ms, output)                  # the answer to Goes: the plant's BodyWentIn, TurnedBack, ...
    crowd.inside, crowd.inside_max, crowd.seen  # the truth; (kind, lamp) -> how often

In real time, on SimulatedLanes:

    visitors = Visitors(crowd, {"west": lane, ...}, issue)      # issue: async () -> code
    await visitors.run(600.0)                                   # seconds; or cancel it
"""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from einlass_core.events import ENTRY, EXIT
from einlass_sim.people import Behaviour, Mix
from einlass_sim.plant import BodyWentIn, BodyWentOut, GaveUp, TurnedBack
from einlass_sim.timeline import Timeline

MINUTE_MS = 60_000
VISITORS_MAX = 100_000
USED_CODES_KEPT = 200
GARBAGE_LENGTH = (1, 120)
TRIES_MAX = 4
ANY_CODE = b"4006381333931"
GREEN, YELLOW, RED = "green", "yellow", "red"

Fate = BodyWentIn | BodyWentOut | TurnedBack | GaveUp


class Kind(StrEnum):
    """What a visitor comes with."""

    VALID = "valid"
    NONE = "none"
    USED = "used"
    GARBAGE = "garbage"


@dataclass(frozen=True)
class CrowdSettings:
    """How many come and how they are; shares are 0 to 1, times in ms."""

    arrivals_a_minute: float = 6.0
    stay_ms: tuple[int, int] = (20_000, 120_000)
    without_ticket: float = 0.03
    used_ticket: float = 0.04
    garbage: float = 0.02
    step_ms: tuple[int, int] = (1000, 4000)  # from one place to another, from the lamp to the arm and back
    exit_scan: float = 0.8
    go_home_when_full: float = 0.2
    wait_when_full_ms: int = 10 * MINUTE_MS
    arm_patience_ms: int = 8_000
    entry_mix: Mix = field(default_factory=Mix)
    exit_mix: Mix = field(default_factory=lambda: Mix(tailgate=0))
    without_ticket_mix: Mix = field(default_factory=lambda: Mix(walk=1, hesitate=0, step_back=0, tailgate=0, stuck=0))

    def __post_init__(self) -> None:
        shares = (self.without_ticket, self.used_ticket, self.garbage)
        if self.arrivals_a_minute < 0 or min(shares) < 0 or sum(shares) > 1:
            raise ValueError("arrivals_a_minute must be at least 0, the shares of kinds 0 to 1 together")
        for name in ("stay_ms", "step_ms"):
            shortest, longest = getattr(self, name)
            if not 0 < shortest <= longest:
                raise ValueError(f"{name} must be (shortest, longest), above 0")
        if self.exit_mix.tailgate or self.exit_mix.squeeze:
            raise ValueError("exit_mix takes nobody along: a second body would come from nowhere")


@dataclass(frozen=True)
class WantsTicket:
    """A visitor is at the till; answer with Crowd.ticket()."""

    visitor: str


@dataclass(frozen=True)
class Holds:
    """A visitor holds a code before a reader and watches the lamp; answer with Crowd.saw()."""

    visitor: str
    lane: str
    side: str
    code: bytes


@dataclass(frozen=True)
class Goes:
    """A visitor goes to the arm; answer with Crowd.fate() for them, and for the follower when one goes along."""

    visitor: str
    lane: str
    side: str
    behaviour: Behaviour
    patience_ms: int
    follower: str


Action = WantsTicket | Holds | Goes


@dataclass(eq=False)
class _Visitor:
    name: str
    kind: Kind
    code: bytes = b""
    lane: str = ""
    side: str = ENTRY
    tries: int = 0
    turned_away_ms: int | None = None


class Crowd(Timeline[Action]):
    """Decides who does what next. One visitor at a time is at a lane, from the reader until they are through."""

    def __init__(self, rng: random.Random, lanes: Mapping[str, tuple[str, ...]], settings: CrowdSettings) -> None:
        """lanes: the sides of each lane that have a reader. ValueError when there is no lane."""
        if not lanes:
            raise ValueError("a crowd needs at least one lane")
        super().__init__()
        self.inside: set[str] = set()
        self.inside_max = 0
        self.seen: Counter[tuple[str, str]] = Counter()
        self.went_home = 0
        self.came = 0
        self.forced = 0
        self.open = True
        self._rng = rng
        self._readers = dict(lanes)
        self._lanes = sorted(lanes)
        self._settings = settings
        self._visitors: dict[str, _Visitor] = {}
        self._queues = {(lane, side): deque[_Visitor]() for lane in self._lanes for side in (ENTRY, EXIT)}
        self._served = dict.fromkeys(self._lanes, ENTRY)
        self._at_lane: dict[str, _Visitor | None] = dict.fromkeys(self._lanes)
        self._turned_away: deque[_Visitor] = deque()
        self._used: deque[bytes] = deque(maxlen=USED_CODES_KEPT)
        self._next_arrival()

    # -- the driver's side

    @property
    def waiting(self) -> int:
        """Outside and wanting in: in the queues, and turned away for now."""
        queued = sum(len(queue) for (_, side), queue in self._queues.items() if side == ENTRY)
        return queued + len(self._turned_away)

    def set_arrivals(self, a_minute: float) -> None:
        """Another rate, from the next arrival on. ValueError unless above 0."""
        if a_minute <= 0:
            raise ValueError("arrivals a minute must be above 0; close() ends them")
        self._settings = replace(self._settings, arrivals_a_minute=a_minute)

    def close(self) -> None:
        """Nobody new comes from now on."""
        self.open = False

    def everybody_out(self) -> None:
        """Closing time: those inside leave now instead of when they meant to; those outside are sent home."""
        self.close()
        for visitor in list(self._turned_away):
            self._turned_away.remove(visitor)
            self._go_home(visitor)
        for name in sorted(self.inside):
            self._leave(self._visitors[name])

    def ticket(self, now_ms: int, visitor: str, code: str | None) -> None:
        """What the till gave; None: nothing, and the visitor goes home."""
        self._catch_up(now_ms)
        someone = self._visitors[visitor]
        if code is None:
            self._go_home(someone)
            return
        someone.code = code.encode()
        self._to_lane(someone, ENTRY)

    def saw(self, now_ms: int, visitor: str, lamp: str | None) -> None:
        """Which lamp answered the code that this visitor held."""
        self._catch_up(now_ms)
        someone = self._visitors[visitor]
        if someone.side == ENTRY:
            self.seen[someone.kind.value, lamp or "dark"] += 1
        else:
            self.seen[EXIT, lamp or "dark"] += 1
        someone.tries += 1
        if someone.side == EXIT or lamp == GREEN:
            self._later(lambda: self._go(someone))
            return
        self._step_aside(someone)
        if lamp == YELLOW and someone.kind is Kind.VALID and self._rng.random() >= self._settings.go_home_when_full:
            if someone.turned_away_ms is None:
                someone.turned_away_ms = self.now_ms
                self._at(self._settings.wait_when_full_ms, lambda: self._tired_of_waiting(someone))
            self._turned_away.append(someone)
        elif lamp is None and someone.tries < TRIES_MAX:
            self._to_lane(someone, ENTRY)
        else:
            self._go_home(someone)

    def fate(self, now_ms: int, fate: Fate) -> None:
        """What really became of somebody who went to the arm, or of the follower they took along."""
        self._catch_up(now_ms)
        someone = self._visitors.get(fate.person)
        if isinstance(fate, BodyWentIn):
            someone = someone or self._follower(fate.person)
            self._came_in(someone, fate)
        elif someone is None:
            return  # A follower who did not follow: nobody we know yet, and outside as before.
        elif isinstance(fate, BodyWentOut):
            self._went_out(someone, fate)
        else:
            self._not_through(someone)

    # -- coming

    def _next_arrival(self) -> None:
        if not self._settings.arrivals_a_minute or not self.open:
            return
        gap_ms = self._rng.expovariate(self._settings.arrivals_a_minute / MINUTE_MS)
        self._at(max(1, round(gap_ms)), self._arrive)

    def _arrive(self) -> None:
        if not self.open or self.came >= VISITORS_MAX:
            return
        self._next_arrival()
        self.came += 1
        visitor = _Visitor(f"v{self.came}", self._draw_kind())
        self._visitors[visitor.name] = visitor
        if visitor.kind is Kind.VALID:
            self._out.append(WantsTicket(visitor.name))
            return
        if visitor.kind is Kind.USED:
            visitor.code = self._rng.choice(self._used)
        elif visitor.kind is Kind.GARBAGE:
            visitor.code = self._rng.randbytes(self._rng.randint(*GARBAGE_LENGTH))
        self._to_lane(visitor, ENTRY)

    def _draw_kind(self) -> Kind:
        settings = self._settings
        drawn = self._rng.random()
        for share, kind in (
            (settings.without_ticket, Kind.NONE),
            (settings.used_ticket, Kind.USED),
            (settings.garbage, Kind.GARBAGE),
        ):
            if drawn < share:
                return kind if kind is not Kind.USED or self._used else Kind.VALID
            drawn -= share
        return Kind.VALID

    def _to_lane(self, visitor: _Visitor, side: str) -> None:
        visitor.lane, visitor.side = self._rng.choice(self._lanes), side
        self._later(lambda: self._queue_up(visitor))

    def _queue_up(self, visitor: _Visitor) -> None:
        self._queues[visitor.lane, visitor.side].append(visitor)
        self._next_at(visitor.lane)

    def _next_at(self, lane: str) -> None:
        if self._at_lane[lane] is not None:
            return
        # The two sides take turns, or a rush of arrivals would keep everybody inside.
        sides = (EXIT, ENTRY) if self._served[lane] == ENTRY else (ENTRY, EXIT)
        queue = next((self._queues[lane, side] for side in sides if self._queues[lane, side]), None)
        if queue is None:
            return
        visitor = self._at_lane[lane] = queue.popleft()
        self._served[lane] = visitor.side
        scans = visitor.kind is not Kind.NONE
        if visitor.side == EXIT:
            # Who was not let through once shows something the next time, if only a shop's receipt.
            scans = visitor.tries > 0 or (bool(visitor.code) and self._rng.random() < self._settings.exit_scan)
        if scans and visitor.side in self._readers[lane]:
            self._out.append(Holds(visitor.name, lane, visitor.side, visitor.code or ANY_CODE))
        else:
            self._go(visitor)

    def _go(self, visitor: _Visitor) -> None:
        settings = self._settings
        mix = settings.entry_mix if visitor.side == ENTRY else settings.exit_mix
        if visitor.side == ENTRY and visitor.kind is Kind.NONE:
            mix = settings.without_ticket_mix
        self._out.append(
            Goes(
                visitor.name,
                visitor.lane,
                visitor.side,
                mix.draw(self._rng),
                settings.arm_patience_ms,
                f"{visitor.name}+1",
            )
        )

    def _step_aside(self, visitor: _Visitor) -> None:
        if self._at_lane.get(visitor.lane) is visitor:
            self._at_lane[visitor.lane] = None
            self._next_at(visitor.lane)

    def _tired_of_waiting(self, visitor: _Visitor) -> None:
        if visitor in self._turned_away:
            self._turned_away.remove(visitor)
            self._go_home(visitor)

    def _go_home(self, visitor: _Visitor) -> None:
        self.went_home += 1
        self._visitors.pop(visitor.name, None)

    # -- through the arm, or not

    def _came_in(self, visitor: _Visitor, fate: BodyWentIn) -> None:
        self.inside.add(visitor.name)
        self.inside_max = max(self.inside_max, len(self.inside))
        self.forced += fate.forced
        if visitor.kind is Kind.VALID:
            self._used.append(visitor.code)
        visitor.tries = 0
        self._step_aside(visitor)
        self._at(self._rng.randint(*self._settings.stay_ms), lambda: self._leave(visitor))

    def _follower(self, name: str) -> _Visitor:
        """Somebody came in behind somebody else: one body more, with the same ticket to show at the exit."""
        leader = self._visitors.get(name.removesuffix("+1"))
        follower = _Visitor(name, Kind.NONE, leader.code if leader else b"")
        self._visitors[name] = follower
        return follower

    def _leave(self, visitor: _Visitor) -> None:
        if visitor.name in self.inside and visitor.side == ENTRY:
            visitor.tries = 0
            self._to_lane(visitor, EXIT)

    def _went_out(self, visitor: _Visitor, fate: BodyWentOut) -> None:
        self.inside.discard(visitor.name)
        self.forced += fate.forced
        self._step_aside(visitor)
        self._visitors.pop(visitor.name, None)
        if self._turned_away:
            self._to_lane(self._turned_away.popleft(), ENTRY)

    def _not_through(self, visitor: _Visitor) -> None:
        self._step_aside(visitor)
        visitor.tries += 1
        if visitor.side == EXIT:
            self._to_lane(visitor, EXIT)  # There is no giving up on the way out.
        elif visitor.kind is Kind.VALID and visitor.tries < TRIES_MAX:
            self._to_lane(visitor, ENTRY)
        else:
            self._go_home(visitor)

    # -- time

    def _catch_up(self, now_ms: int) -> None:
        self.now_ms = max(self.now_ms, now_ms)

    def _later(self, happen: Callable[[], None]) -> None:
        """After the few steps that everything takes."""
        self._at(self._rng.randint(*self._settings.step_ms), happen)


class Lane(Protocol):
    """What Visitors needs of a SimulatedLane."""

    on_output: list[Callable[..., None]]

    async def hold(self, side: str, code: str | bytes, hold_s: float = 0.0) -> object:
        """Hold a code before this side's reader."""

    async def person_goes(
        self, side: str, behaviour: Behaviour, *, person: str | None, patience_ms: int, follower: str | None
    ) -> Fate:
        """Somebody goes to the arm; what became of them."""

    async def wait_lamp(self, lit: bool, timeout_s: float) -> str | None:
        """Wait for a lamp, or for dark."""


class Visitors:
    """Runs a Crowd on lanes in real time. issue: a till that returns a fresh ticket's code, or None."""

    DARK_S_MAX = 6.0  # A lamp of the visitor before is given so long to go out.
    LAMP_S_MAX = 6.0
    POLL_S_MAX = 0.25

    def __init__(self, crowd: Crowd, lanes: Mapping[str, Lane], issue: Callable[[], Awaitable[str | None]]) -> None:
        self.crowd = crowd
        self.tills_failed = 0
        self._lanes = dict(lanes)
        self._issue = issue
        self._start_s = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._failure: BaseException | None = None
        for lane in self._lanes.values():
            lane.on_output.append(self._truth)

    async def run(self, duration_s: float) -> None:
        """Let visitors come and go for so long; those who are under way then are left where they are.

        Raises what a lane raised, such as a KeyError for a reader that is not there.
        """
        until_s = time.monotonic() + duration_s
        try:
            while (left_s := until_s - time.monotonic()) > 0:
                if self._failure:
                    raise self._failure
                for action in self.crowd.advance(max(self.crowd.now_ms, self._now_ms())):
                    task = asyncio.create_task(self._do(action))
                    self._tasks.add(task)
                    task.add_done_callback(self._done)
                next_ms = self.crowd.next_ms
                wait_s = self.POLL_S_MAX if next_ms is None else (next_ms - self._now_ms()) / 1000
                self._wake.clear()
                try:
                    # Not wait_for(): on Python 3.11 it can swallow a cancellation that comes with the wake-up.
                    async with asyncio.timeout(max(0.0, min(wait_s, left_s, self.POLL_S_MAX))):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for lane in self._lanes.values():
                lane.on_output.remove(self._truth)

    async def _do(self, action: Action) -> None:
        if isinstance(action, WantsTicket):
            try:
                code = await self._issue()
            except Exception:  # Whatever ails the till, a visitor only sees that it sells nothing.
                self.tills_failed += 1
                code = None
            self.crowd.ticket(self._now_ms(), action.visitor, code)
        elif isinstance(action, Holds):
            lane = self._lanes[action.lane]
            await lane.wait_lamp(False, self.DARK_S_MAX)
            await lane.hold(action.side, action.code)
            lamp = await lane.wait_lamp(True, self.LAMP_S_MAX)
            self.crowd.saw(self._now_ms(), action.visitor, lamp)
        else:
            # Their fates come through on_output, in the order in which they happened.
            await self._lanes[action.lane].person_goes(
                action.side,
                action.behaviour,
                person=action.visitor,
                patience_ms=action.patience_ms,
                follower=action.follower,
            )

    def _truth(self, output: object) -> None:
        if isinstance(output, BodyWentIn | BodyWentOut | TurnedBack | GaveUp):
            self.crowd.fate(self._now_ms(), output)
            self._wake.set()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()
        if not task.cancelled() and self._failure is None:
            self._failure = task.exception()

    def _now_ms(self) -> int:
        return int(1000 * (time.monotonic() - self._start_s))
