"""The engine's own connection: kept open from batch to batch, a transaction only where a batch asks for one.

A pool and SQLAlchemy's bookkeeping cost more than all statements of a small batch together. So what every scan does
goes to the driver through `sets`; what is rare goes through `connection`, in the same transaction.
"""

import time
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection
from sqlalchemy import Engine as Database

from einlass_controller.store.sets import Sets, sets_on
from einlass_controller.store.sqlite import BEGUN

# A connection to a server that nobody used for so long is asked whether it still lives, before a batch relies on it.
PING_AFTER_S = 1.0


class Session:
    """One transaction at a time, by one caller at a time. It begins with the first use of sets or connection."""

    def __init__(self, database: Database) -> None:
        self._database = database.execution_options(**{BEGUN: True})
        self._is_sqlite = database.dialect.name == "sqlite"
        self._connection: Connection | None = None
        self._raw: Any = None
        self._sets: Sets | None = None
        self._used_s = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether a transaction is open."""
        return self._sets is not None

    @property
    def sets(self) -> Sets:
        """Sets of rows, in the transaction."""
        return self._sets or self._begin()

    @property
    def connection(self) -> Connection:
        """For statements that are rare, in the same transaction."""
        if self._sets is None:
            self._begin()
        assert self._connection is not None
        return self._connection

    def commit(self) -> None:
        """Durable when it returns; then the next transaction may begin."""
        if self._connection is not None and self._connection.in_transaction():
            self._connection.commit()
        elif self._sets is not None:
            self._database.dialect.do_commit(self._raw)
        self._ended()

    def rollback(self) -> None:
        """As if nothing had been asked or written."""
        if self._connection is not None and self._connection.in_transaction():
            self._connection.rollback()
        elif self._sets is not None:
            self._database.dialect.do_rollback(self._raw)
        self._ended()

    def invalidate(self) -> None:
        """The connection may be broken: it is not used again, the next transaction gets a new one."""
        connection, self._connection, self._raw, self._sets = self._connection, None, None, None
        if connection is not None:
            with suppress(Exception):
                connection.invalidate()
            with suppress(Exception):
                connection.close()

    def close(self) -> None:
        """Give the connection back; what was not committed never was."""
        connection, self._connection, self._raw, self._sets = self._connection, None, None, None
        if connection is not None:
            connection.close()

    def _begin(self) -> Sets:
        if self._connection is not None and not self._is_sqlite and time.monotonic() - self._used_s > PING_AFTER_S:
            self._ping()
        if self._connection is None:
            self._connection = self._database.connect()
            self._raw = self._connection.connection.driver_connection
        if self._is_sqlite:  # a server's driver begins by itself
            self._raw.execute("BEGIN IMMEDIATE")
        self._sets = sets_on(self._connection)
        return self._sets

    def _ping(self) -> None:
        try:
            self._raw.execute("SELECT 1")
        except self._database.dialect.loaded_dbapi.Error:
            self.invalidate()

    def _ended(self) -> None:
        self._sets = None
        self._used_s = time.monotonic()
