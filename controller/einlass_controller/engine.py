"""The single writer: a batch of messages in, one transaction, and only after its commit anything out.

Synchronous and without a clock: the caller says what time it is, so a simulator drives it as the real shell does.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Engine as Database
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from einlass_controller.live import Live, load
from einlass_controller.messages import (
    ENTRY,
    EXIT,
    Alarm,
    Ask,
    Hello,
    Issue,
    Message,
    NodeEvent,
    Order,
    Outcome,
    Redeem,
    Rejected,
    Reply,
    State,
    Status,
    Tick,
)
from einlass_controller.steps import asks, events, office, sessions
from einlass_controller.steps.batch import Batch
from einlass_controller.store.sqlite import WRITES
from einlass_controller.store.work import Rows

log = structlog.get_logger("einlass.engine")


class StoreError(RuntimeError):
    """Nothing of the batch was stored, nothing of it is answered: ask again."""


class Engine:
    """Not thread-safe: one caller at a time. `live` is its state between batches."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer = database.execution_options(**{WRITES: True})
        self._stale = False
        with database.connect() as connection:
            self.live: Live = load(connection)

    def run(self, batch: Sequence[Message], now_ms: int) -> Outcome:
        """Decide a batch in order of arrival. Raises StoreError when the database cannot be written.

        A message that breaks a rule of ours becomes a dead letter; the others of its batch are decided one by one.
        """
        try:
            return self._attempt(batch, now_ms)
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise self._failed(error, batch) from error
        except Exception as error:
            self._stale = True
            if len(batch) == 1:
                return self._put_aside(batch[0], error, now_ms)
        outcomes = [self.run([message], now_ms) for message in batch]
        return Outcome(
            [item for outcome in outcomes for item in outcome.outbound],
            [result for outcome in outcomes for result in outcome.results],
        )

    def _put_aside(self, message: Message, error: Exception, now_ms: int) -> Outcome:
        kind = type(message).__name__
        log.error("message_failed", kind=kind, exc_info=error)
        # The text of a database's error holds the row that it did not like.
        reason = type(error).__name__ if isinstance(error, SQLAlchemyError) else f"{type(error).__name__}: {error}"
        try:
            return self._attempt([Rejected(kind, reason, b"")], now_ms)
        except Exception as again:
            raise self._failed(again, [message]) from again

    def _failed(self, error: Exception, batch: Sequence[Message]) -> StoreError:
        self._stale = True
        log.error("store_failed", reason=type(error).__name__, messages=len(batch))
        return StoreError("the database cannot be written: see the log, then try again")

    def _attempt(self, messages: Sequence[Message], now_ms: int) -> Outcome:
        if self._stale:
            self._rebuild()
        with self._writer.connect() as connection, connection.begin() as transaction:
            rows = Rows(connection)
            rows.load(*_needs(messages))
            batch = Batch(self.live, rows, now_ms)
            results = [_step(batch, message) for message in messages]
            self._close(batch)
            if not self._write(batch):
                transaction.rollback()
        self.live.recent.extend(batch.recent)
        return Outcome(batch.outbound, results)

    def _close(self, batch: Batch) -> None:
        """What follows from a batch as a whole: places taken back, events acknowledged, the books checked."""
        for name in sorted(batch.lanes):
            lane = self.live.lanes[name]
            limit = self.live.books.lower(name) if lane.node else None
            if limit is not None:
                batch.send_limit(lane, limit)
        for node in batch.acks.values():
            batch.send(node.id, "ack", {"inc": node.inc, "seq": node.applied})
        self.live.books.audit()

    def _write(self, batch: Batch) -> bool:
        books = self.live.books
        return batch.rows.write(
            [books.accounts[name] for name in sorted(batch.lanes)],
            [self.live.nodes[name] for name in sorted(batch.nodes)],
            [books.zones[name] for name in sorted(batch.zones)],
        )

    def _rebuild(self) -> None:
        with self._database.connect() as connection:
            fresh = load(connection)
        fresh.keep_unstored(self.live)
        self.live, self._stale = fresh, False


def _step(batch: Batch, message: Message) -> Any:
    match message:
        case Ask():
            return asks.ask(batch, message)
        case NodeEvent():
            return events.event(batch, message)
        case Status():
            return sessions.status(batch, message)
        case Hello():
            return sessions.hello(batch, message)
        case State():
            return sessions.state(batch, message)
        case Alarm():
            return sessions.alarm(batch, message)
        case Reply():
            return sessions.reply(batch, message)
        case Rejected():
            return batch.letter(message.origin, message.reason, message.payload)
        case Tick():
            return office.tick(batch, message)
        case Issue():
            return office.issue(batch, message)
        case Redeem():
            return asks.redeem(batch, message)
        case Order():
            return office.order(batch, message)


def _needs(messages: Sequence[Message]) -> tuple[set[str], set[str], set[str]]:
    """Keys of the decisions and visits, and digests of the tickets, that these messages are about."""
    decisions: set[str] = set()
    visits: set[str] = set()
    digests: set[str] = set()
    for message in messages:
        if isinstance(message, Ask | Redeem):
            decisions.add(message.key)
            digests.add(message.proof.digest)
        elif isinstance(message, NodeEvent) and message.fields.get("nonce"):
            for side in (ENTRY, EXIT):
                decisions.add(f"{message.node}/{side}/{message.fields['nonce']}")
            visits.add(f"{message.node}/{ENTRY}/{message.fields['nonce']}")
            digests.add(message.fields.get("digest") or "")
    return decisions, visits, digests - {""}
