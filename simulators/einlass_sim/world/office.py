"""The controller in the world: the shipped engine, intake and store, on a database in memory that outlives crashes."""

import hashlib
import logging
import sqlite3
from datetime import datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Engine as Database
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from einlass_controller import fastwire
from einlass_controller.domain.shares import Leasing
from einlass_controller.domain.tickets import Ticket
from einlass_controller.engine import Engine
from einlass_controller.guard import Known, older, position
from einlass_controller.intake import Intake
from einlass_controller.messages import Issue, Message, Outcome, SetRules, Tick
from einlass_controller.orders import Restored
from einlass_controller.plan import Plan, plan_of
from einlass_controller.setup import seed_site
from einlass_controller.store import sqlite
from einlass_controller.store.database import migrate
from einlass_core import codes
from einlass_sim.world.seeded import MINUTE_MS

if TYPE_CHECKING:
    from einlass_sim.world.lane import Lane
    from einlass_sim.world.world import World

START_MS = 1_790_000_000_000
TIME_ZONE = "Europe/Berlin"
TICK_MS = 10_000
IDLE_TICK_MS = 30_000  # while nobody comes or goes
BATCH_MS = 30
RESTART_MS = 4_000
ANNOUNCE_MS = 60_000
SITES_KEPT = 64
PRODUCTS = [
    {"id": "single", "name": "Einzel", "entries": 1},
    {"id": "family", "name": "Familie", "entries": 1},
    {"id": "season", "name": "Saison", "reentry": {"policy": "always"}},
    {"id": "strict", "name": "Streng", "entries": 1, "while_cut_off": "refuse"},
]


def quiet() -> None:
    """The engine's log says what a world does on purpose: only what nobody expects is shown."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@cache
def tables() -> bytes:
    """A database with all tables and nothing in them, made once."""
    raw = memory()
    migrate(database_on(raw))
    return raw.serialize()


def _plan(lanes: int, cap: int) -> Plan:
    numbers = range(lanes)
    return plan_of(
        {
            "site": {"id": "pool", "name": "Bad", "time_zone": TIME_ZONE},
            "zone": [{"id": "bath", "name": "Becken", "cap": cap}],
            "node": [{"id": f"gate-{number}"} for number in numbers],
            "lane": [
                {"id": f"lane-{number}", "zone": "bath", "node": f"gate-{number}", "name": f"Tor {number}"}
                for number in numbers
            ],
        }
    )


@cache
def _site(lanes: int, cap: int) -> bytes:
    """A database with the site, made once for all worlds that are as large."""
    raw = memory()
    raw.deserialize(tables())
    with database_on(raw).begin() as connection:
        seed_site(connection, _plan(lanes, cap))
    return raw.serialize()


@lru_cache(maxsize=SITES_KEPT)
def _template(lanes: int, cap: int, closing: tuple[int, int]) -> bytes:
    """A database with the site and its rules."""
    raw = memory()
    raw.deserialize(_site(lanes, cap))
    database = database_on(raw)
    rules: dict[str, Any] = {"product": PRODUCTS}
    if closing[0]:
        closes, opens = (_clock(minutes) for minutes in closing)
        hours = [{"from": "00:00", "until": closes}, {"from": opens, "until": "00:00"}]
        rules["zone"] = [{"id": "bath", "hours": hours}]
    Engine(database).run([SetRules(rules, 0, "world", "")], START_MS)
    return raw.serialize()


def closing_ms(minutes: int) -> int:
    """That many minutes after the start, on the controller's clock: a whole minute, as rules have it."""
    return (START_MS // MINUTE_MS + minutes) * MINUTE_MS


def _clock(minutes: int) -> str:
    return f"{datetime.fromtimestamp(closing_ms(minutes) / 1000, ZoneInfo(TIME_ZONE)):%H:%M}"


def memory() -> sqlite3.Connection:
    """An empty database."""
    return sqlite3.connect(":memory:", check_same_thread=False)


@cache
def _first() -> Database:
    """What all databases of this process have in common: statements are compiled once, not in every world anew."""
    engine = create_engine("sqlite://")
    engine.connect().close()
    return engine


_COMPILED: dict[Any, Any] = {}


def database_on(raw: sqlite3.Connection) -> Database:
    """As the controller opens one."""
    url, dialect = _first().url, _first().dialect
    pool = StaticPool(cast("Any", lambda: raw), dialect=dialect)
    engine = Database(pool, dialect, url, execution_options={"compiled_cache": _COMPILED})
    sqlite.prepare(engine)
    return engine


class Office:
    """The controller: messages gather for BATCH_MS, are decided, stored, and then answered."""

    def __init__(self, world: "World", leasing: Leasing, rate: float) -> None:
        self.world = world
        self.rate = rate
        self.jumped_ms = 0
        self.raw = memory()
        self.raw.deserialize(self._begins_with())
        self.database = database_on(self.raw)
        self.intake = Intake("pool", b"world")
        self.leasing = leasing
        self.inbox: list[Message] = []
        self.batch_at: int | None = None
        self.crash_in = -1  # batches until it crashes, between commit and publishing or before the commit
        self.crash_after_commit = False
        self.running = True
        self.last_ms = 0
        self.moving = True
        self.announced_ms = 0
        self.sold = 0
        self.unsold: list[Ticket] = []
        self.engine = self._engine()
        self._answered: set[bytes] = set()
        self._ways: dict[str, tuple[str, list[Lane]]] = {}
        self.known = Known()  # what is noted beside the database

    def _begins_with(self) -> bytes:
        return _template(self.world.drawn.lanes, self.world.drawn.cap, self.world.drawn.closing)

    def _engine(self) -> Engine:
        return Engine(self.database, self.leasing, self.steady_ms)

    def steady_ms(self) -> int:
        """The clock that leases are counted by: no jump moves it."""
        return START_MS + int(self.world.now_ms * self.rate)

    def now_ms(self) -> int:
        """The controller's clock: it never runs back, but may jump ahead."""
        self.last_ms = max(self.last_ms, START_MS + int(self.world.now_ms * self.rate) + self.jumped_ms)
        return self.last_ms

    def tick(self) -> None:
        """Every ten seconds at most; less often than the shipped bus, for speed."""
        if self.running:
            announce = self.world.now_ms - self.announced_ms >= ANNOUNCE_MS
            if announce:
                self.announced_ms = self.world.now_ms
                self._remember()
            self.post(Tick(announce))
        self.world.after(TICK_MS if self.moving else IDLE_TICK_MS, self.tick)
        self.moving = False

    def heard(self, topic: str, payload: bytes) -> None:
        """A message from a node."""
        self.moving = self.moving or not topic.endswith(("status", "state"))
        if self.running:
            self.post(self.intake.read(topic, payload))

    def post(self, message: Message) -> None:
        """Take a message into the next batch."""
        self.inbox.append(message)
        if self.batch_at is None:
            self.batch_at = self.world.now_ms + BATCH_MS
            self.world.after(BATCH_MS, self.work)

    def work(self) -> None:
        """One batch: decided, stored, and only then answered."""
        self.batch_at = None
        batch, self.inbox = self.inbox, []
        if not self.running or not batch:
            return
        if self.crash_in >= 0:
            self.crash_in -= 1
            if self.crash_in < 0:
                self.crash(batch, self.crash_after_commit)
                return
        self.send(self.run(batch))

    def run(self, batch: list[Message]) -> Outcome:
        """Decide and store. Whatever the engine puts aside as a fault of its own is a finding."""
        self.world.hash(None, f"batch {len(batch)}")
        self.engine._error = None
        live = self.engine.live
        shut, decided = live.recount or live.site.mode, live.decision_number
        outcome = self.engine.run(batch, self.now_ms())
        if self.engine._error is not None:
            error = self.engine._error
            self.world.truth.violation(f"controller_fault: {type(error).__name__}: {error}")
        if shut and (self.engine.live.recount or self.engine.live.site.mode):
            self._check_shut(outcome, shut, decided)
        self.world.truth.after_batch()
        return outcome

    def _check_shut(self, outcome: Outcome, why: str, decided: int) -> None:
        """Who is let in now was let in before (the answer is given again), or should not be."""
        for topic, payload in outcome.outbound:
            if topic.endswith("/answer"):
                answer = fastwire.decode("answer", payload)
                if answer["code"] in ("ok", "ok_reentry") and int(answer["id"][1:]) > decided:
                    self.world.truth.violation(f"let_in_while_shut: {answer['id']}, {why}")

    def send(self, outcome: Outcome) -> None:
        """What the batch led to, on its way."""
        for topic, payload in outcome.outbound:
            kind, lanes = self._ways.get(topic) or self._way(topic)
            if kind == "answer":
                self.world.sometimes["repeated_operation_answered"] += payload in self._answered
                self._answered.add(payload)
            for lane in lanes:
                self.world.send_down(lane, kind, payload)

    def _way(self, topic: str) -> "tuple[str, list[Lane]]":
        """What a topic carries, and which lanes hear it."""
        *_, node, kind = [part for part in topic.split("/") if part != "down"]
        found = self._ways[topic] = kind, [lane for lane in self.world.nodes if node in (lane.name, "all")]
        return found

    def crash(self, batch: list[Message], after_commit: bool) -> None:
        """kill -9 before the commit (nothing happened) or between it and publishing (nobody hears of it)."""
        self.world.note(None, f"controller crashes {'after' if after_commit else 'before'} its commit")
        begun = self.engine.begin(batch, self.now_ms())
        if begun is not None and after_commit:
            begun()
        elif self.raw.in_transaction:
            self.raw.rollback()
        self.stop()

    def stop(self) -> None:
        """The process is gone; it is started again soon."""
        self.running = False
        self.inbox = []
        self.world.after(RESTART_MS, self.start)

    def start(self) -> None:
        """With nothing but the database."""
        self.database = database_on(self.raw)
        self.engine = self._engine()
        self.running = True
        self._look_back()
        self.world.sometimes["controller_restarted"] += 1
        self.world.note(None, "controller is back")

    def _look_back(self) -> None:
        """As runtime.open_controller does: is this the database that was used last?"""
        epoch = self.engine.live.epoch
        reason = older(self.database, self.known, epoch)
        if reason:
            self.world.note(None, f"notices: {reason}")
            self.send(self.run([Restored(reason, max(self.known.epoch, epoch) + 1)]))
        self._remember()

    def _remember(self) -> None:
        self.known = Known(self.engine.live.epoch, *position(self.database))

    def order(self, message: Message) -> Any:
        """What a person orders; None: there is no answer."""
        if not self.running:
            return None
        outcome = self.run([message])
        self.send(outcome)
        return outcome.results[0]

    def set_up_again(self, cap: int) -> None:
        """With another cap; nothing runs meanwhile."""
        with database_on(self.raw).begin() as connection:
            seed_site(connection, _plan(self.world.drawn.lanes, cap))

    def image(self) -> bytes:
        """A copy of the database; nothing of what is beside it."""
        return self.raw.serialize()

    def put_back(self, image: bytes) -> bool:
        """An older database takes the place of this one; the note beside it stays. False: nothing happened since."""
        self._remember()
        self.raw = memory()
        self.raw.deserialize(image)
        return position(database_on(self.raw)) != (self.known.number, self.known.hash)

    def cap(self) -> int:
        """As the database has it."""
        return int(self.rows("SELECT cap FROM zone")[0][0])

    # -- the desk

    def sell(self, product: str, persons: int, number: int) -> str:
        """A new ticket's code; bought long enough before to be stored."""
        self.sold += 1
        code = codes.opaque(number)
        self.unsold.append(self.made(code, f"T{self.sold}", product, persons))
        return code

    def made(
        self, code: str, name: str, product: str, persons: int, until_ms: int | None = None, key: int = 0
    ) -> Ticket:
        """A ticket as whoever sells it knows it, which the world remembers. key: 0 for an opaque code."""
        ticket = Ticket(
            id=name,
            digest=codes.digest(code),
            code_sha256=hashlib.sha256(code.encode()).hexdigest(),
            product=product,
            zone="",
            persons=persons,
            status="valid",
            valid_from_ms=None,
            valid_until_ms=until_ms,
            entries_max=None if product == "season" else 1,
            entries_used=0,
            issued_ms=self.now_ms(),
            key_id=key,
        )
        self.world.tickets_by_digest[ticket.digest] = ticket
        return ticket

    def deliver_sales(self) -> None:
        """What a person orders waits for its answer and is ordered again when there is none: no crash loses it."""
        self.engine.run([Issue(tuple(self.unsold), "desk")], self.now_ms())
        self.unsold = []

    def rows(self, statement: str) -> list[Any]:
        """For the truth, when all is quiet."""
        return self.raw.execute(statement).fetchall()
