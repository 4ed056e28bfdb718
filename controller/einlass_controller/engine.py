"""The single writer: a batch of messages in, one transaction, and only after its commit anything out.

Synchronous and without a clock: the caller says what time it is, so a simulator drives it as the real shell does.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from msgspec.structs import replace
from sqlalchemy import Engine as Database
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from einlass_controller.domain.shares import Leasing
from einlass_controller.intake import UNUSABLE
from einlass_controller.live import Live, load
from einlass_controller.messages import (
    ENTRY,
    EXIT,
    Alarm,
    Ask,
    Correct,
    Hello,
    Issue,
    Message,
    NodeEvent,
    Order,
    Outcome,
    Price,
    Redeem,
    Rejected,
    Reply,
    SetMode,
    SetRules,
    Shut,
    State,
    Status,
    Tick,
    Vouch,
)
from einlass_controller.steps import (
    asks,
    clocks,
    events,
    house,
    leasing,
    listing,
    night_clock,
    office,
    office_orders,
    parking_prices,
    parking_signs,
    parking_stays,
    sessions,
)
from einlass_controller.steps.batch import Batch
from einlass_controller.store.session import Session
from einlass_controller.store.work import Rows

# Up to so many lanes all books are added up after every batch, above that every quarter of a second.
AUDIT_ALWAYS_LANES_MAX = 16
AUDIT_MS = 250

log = structlog.get_logger("einlass.engine")


class StoreError(RuntimeError):
    """Nothing of the batch was stored, nothing of it is answered: ask again."""


@dataclass(slots=True)
class Spent:
    """What the engine has done so far. Seconds of processor, but waiting_s: until commits were on disk."""

    batches: int = 0
    commits: int = 0
    messages: int = 0
    reading_s: float = 0.0
    deciding_s: float = 0.0
    writing_s: float = 0.0
    committing_s: float = 0.0
    waiting_s: float = 0.0


class Engine:
    """Not thread-safe: one caller at a time. `live` is its state between batches.

    steady: milliseconds that surely went by (steady.py); without it, what the caller says of the time counts.
    """

    def __init__(
        self, database: Database, leasing: Leasing | None = None, steady: Callable[[], int] | None = None
    ) -> None:
        self._database = database
        self._session = Session(database)
        self._steady = steady
        self._stale = False
        self._audited_ms = 0
        self._error: Exception | None = None
        self.spent = Spent()
        self.waits_for_a_server = database.dialect.name != "sqlite"
        driver = database.dialect.loaded_dbapi
        self._unavailable = (
            OperationalError,
            InterfaceError,
            PoolTimeout,
            driver.OperationalError,
            driver.InterfaceError,
        )
        self._database_errors = (SQLAlchemyError, driver.Error)
        with database.connect() as connection:
            self.live: Live = load(connection)
        self.live.leasing = leasing or Leasing()

    def run(self, batch: Sequence[Message], now_ms: int) -> Outcome:
        """Decide a batch in order of arrival. Raises StoreError when the database cannot be written.

        A message that breaks a rule of ours becomes a dead letter; the others of its batch are decided one by one.
        """
        begun = self.begin(batch, now_ms)
        if begun is not None:
            return begun()
        if len(batch) == 1:
            # What waited is forgotten by now, so it is this message's own fault if it fails once more.
            begun = self.begin(batch, now_ms)
            return begun() if begun is not None else self._put_aside(batch[0], now_ms)
        outcomes = [self.run([message], now_ms) for message in batch]
        return Outcome(
            [item for outcome in outcomes for item in outcome.outbound],
            [result for outcome in outcomes for result in outcome.results],
        )

    def begin(self, batch: Sequence[Message], now_ms: int) -> Callable[[], Outcome] | None:
        """All of run() but the commit; what it returns commits, and only then says what to send.

        The commit may be called in another thread, before anything else is asked of this engine. None: a message broke
        a rule, nothing is stored; run() finds out which. Both raise StoreError.
        """
        try:
            return self._attempt(batch, now_ms)
        except self._unavailable as error:
            raise self._failed(error, batch) from error
        except Exception as error:
            self._stale, self._error = True, error
            return None

    def _put_aside(self, message: Message, now_ms: int) -> Outcome:
        kind, error = type(message).__name__, self._error
        log.error("message_failed", kind=kind, exc_info=error)
        # The text of a database's error holds the row that it did not like.
        named = type(error).__name__
        reason = named if isinstance(error, self._database_errors) else f"{named}: {error}"
        instead: list[Message] = [Rejected(kind, reason, b"")]
        if isinstance(message, NodeEvent):  # one bad record must not block all that follow
            instead.append(replace(message, kind=UNUSABLE, fields={"reason": f"{message.kind}: {reason}"[:200]}))
        try:
            outcome = self._attempt(instead, now_ms)()
            return Outcome(outcome.outbound, outcome.results[:1])
        except Exception as again:
            raise self._failed(again, [message]) from again

    def _failed(self, error: Exception, batch: Sequence[Message]) -> StoreError:
        self._stale = True
        log.error("store_failed", reason=type(error).__name__, messages=len(batch))
        return StoreError("the database cannot be written: see the log, then try again")

    def _attempt(self, messages: Sequence[Message], now_ms: int) -> Callable[[], Outcome]:
        if self._stale:
            self._rebuild()
        session = self._session
        try:
            batch, results, decided_s = self._decide(messages, now_ms)
            wrote = self._write(batch)
            self.spent.writing_s += time.thread_time() - decided_s
            if not wrote and session.has_begun:
                session.rollback()
        except BaseException as error:
            self._give_up(error)
            raise

        def commit() -> Outcome:
            began_s, cpu_s = time.perf_counter(), time.thread_time()
            try:
                session.commit()
            except Exception as error:
                self._give_up(error)
                raise self._failed(error, messages) from error
            self.spent.commits += 1
            self.spent.waiting_s += time.perf_counter() - began_s
            self.spent.committing_s += time.thread_time() - cpu_s
            return done()

        def done() -> Outcome:
            self.live.recent.extend(batch.recent)
            return Outcome(batch.outbound, results)

        return commit if wrote else done

    def _decide(self, messages: Sequence[Message], now_ms: int) -> tuple[Batch, list[Any], float]:
        """The batch, its results, and the thread's clock when they were there."""
        spent, began_s = self.spent, time.thread_time()
        rows = Rows(self._session)
        waiting = list(self.live.waiting_asks.values())
        asked = [*messages, *(one.message for one in waiting)] if waiting else messages
        rows.load(*_needs(asked, self.live, now_ms))
        read_s = time.thread_time()
        batch = Batch(self.live, rows, now_ms, now_ms if self._steady is None else self._steady())
        clocks.look(batch)
        night_clock.look(batch)
        results = [_STEPS[type(message)](batch, message) for message in messages]
        for one in waiting:
            asks.ask_again(batch, one)
        self._close(batch)
        spent.batches += 1
        spent.messages += len(messages)
        spent.reading_s += read_s - began_s
        decided_s = time.thread_time()
        spent.deciding_s += decided_s - read_s
        return batch, results, decided_s

    def _give_up(self, error: BaseException) -> None:
        """The transaction never was. A connection that may be broken is not used again."""
        if not isinstance(error, self._unavailable):
            with suppress(Exception):
                self._session.rollback()
                return
        self._session.invalidate()

    def close(self) -> None:
        """Give the database's connection back; the next batch takes a new one."""
        self._session.close()

    def _close(self, batch: Batch) -> None:
        """What follows from a batch as a whole: places taken back, events acknowledged, the books checked."""
        leasing.call_back(batch)
        for name in sorted(batch.lanes):
            if self.live.lanes[name].node:
                leasing.take_back(batch, self.live.lanes[name])
        self.live.to_look_at |= batch.rows.has_new_tickets
        touched = batch.rows.touched()
        for ticket in touched[0]:
            listing.look(batch, ticket)
        for node in batch.acks.values():
            batch.send(node.id, "ack", {"inc": node.inc, "seq": node.applied})
        # Every change is checked where it is made; the sum over all lanes is what takes time on a large site.
        if len(self.live.lanes) <= AUDIT_ALWAYS_LANES_MAX or batch.now_ms - self._audited_ms >= AUDIT_MS:
            self._audited_ms = batch.now_ms
            self.live.books.audit()
        if self.live.parking.zones:
            parking_stays.follow(batch)
        if self.live.parking.signs:
            parking_signs.tell(batch)
        batch.record_changes(*touched)

    def _write(self, batch: Batch) -> bool:
        books, stored = self.live.books, self.live.zones_stored
        # Of most batches only the accounts change. A batch that fails throws away all of `live`, and this with it.
        zones = [books.zones[name] for name in sorted(batch.zones) if books.zones[name].stored != stored[name]]
        stored.update((zone.id, zone.stored) for zone in zones)
        return batch.rows.write(
            [books.accounts[name] for name in sorted(batch.lanes)],
            [self.live.nodes[name] for name in sorted(batch.nodes)],
            zones,
        )

    def _rebuild(self) -> None:
        with self._database.connect() as connection:
            fresh = load(connection)
        fresh.keep_unstored(self.live)
        self.live, self._stale = fresh, False


def _reject(batch: Batch, message: Rejected) -> None:
    batch.letter(message.origin, message.reason, message.payload)


_STEPS: dict[type[Any], Callable[[Batch, Any], Any]] = {
    Ask: asks.ask,
    Price: parking_prices.price,
    NodeEvent: events.event,
    Status: sessions.status,
    Hello: sessions.hello,
    State: sessions.state,
    Alarm: sessions.alarm,
    Reply: sessions.reply,
    Rejected: _reject,
    Tick: office.tick,
    Issue: office.issue,
    Redeem: asks.redeem,
    Order: office.order,
    SetRules: house.set_rules,
    Correct: house.correct,
    Shut: house.shut,
    SetMode: house.set_mode,
    Vouch: house.vouch,
    **office_orders.STEPS,
}


def _needs(messages: Sequence[Message], live: Live, now_ms: int) -> tuple[set[str], set[str], set[str]]:
    """Keys of the decisions and visits, and digests of the tickets, that these messages are about.

    A record that was applied already, or comes before its turn, only leads to an acknowledgement.
    """
    decisions: set[str] = set()
    visits: set[str] = set()
    digests: set[str] = set()
    applied: dict[str, int] = {}
    for message in messages:
        if isinstance(message, Ask | Redeem):
            decisions.add(message.key)
            digests.add(message.proof.digest)
        elif isinstance(message, Price):
            digests.update(proof.digest for proof in (message.proof, *message.cards))
        elif isinstance(message, NodeEvent):
            node = live.nodes.get(message.node)
            if node is not None and node.inc == message.inc:
                last = applied.get(node.id, node.applied)
                if not events.may_apply(message.seq, last, live.epoch):
                    continue
                if message.seq == last + 1:
                    applied[node.id] = message.seq
            nonce = message.fields.get("nonce")
            if message.fields.get("sale"):
                digests.add(str(message.fields["sale"].get("subject") or ""))
            elif nonce:
                for side in (ENTRY, EXIT):
                    decisions.add(f"{message.node}/{side}/{nonce}")
                visits.add(f"{message.node}/{ENTRY}/{nonce}")
                digests.add(message.fields.get("digest") or "")
    return decisions, visits, digests - {""}
