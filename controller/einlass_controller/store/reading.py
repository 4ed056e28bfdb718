"""Long reads that do not fit into memory at once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table, select
from sqlalchemy import Engine as Database

from einlass_controller.domain import replay
from einlass_controller.domain.ledger import Entry
from einlass_controller.domain.snapshot import Row, said_of_ticket, said_of_visit
from einlass_controller.store.schema import ACCOUNT, LEDGER, TICKET, VISIT, ZONE

ROWS_AT_ONCE = 2_000


def ledger_entries(connection: Connection, after: int = 0) -> Iterator[Entry]:
    """The ledger in order (only what follows `after`), a few rows in memory at a time."""
    columns = (LEDGER.c.number, LEDGER.c.at_ms, LEDGER.c.kind, LEDGER.c.body, LEDGER.c.hash)
    after = 0
    while True:
        statement = select(*columns).where(LEDGER.c.number > after).order_by(LEDGER.c.number).limit(ROWS_AT_ONCE)
        rows = connection.execute(statement).all()
        if not rows:
            return
        for row in rows:
            yield Entry(*row)
        after = rows[-1].number


@contextmanager
def one_moment(database: Database) -> Iterator[Connection]:
    """A connection on which everything is as at its first question, while others go on writing."""
    with database.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


def state_rows(connection: Connection) -> dict[str, Iterator[tuple[str, Row]]]:
    """What the tables say of each part of replay.PARTS, as (id, row)."""
    return {
        replay.TICKETS: ((row["id"], said_of_ticket(row)) for row in _stream(connection, TICKET)),
        replay.VISITS: ((row["key"], said_of_visit(row)) for row in _stream(connection, VISIT)),
        replay.ACCOUNTS: ((row["lane"], _account(row)) for row in _stream(connection, ACCOUNT)),
        replay.ZONES: (
            (row["id"], {"base": row["base"], "ghosts": row["ghosts"]}) for row in _stream(connection, ZONE)
        ),
    }


def _account(row: Any) -> Row:
    return {name: row[name] for name in replay.NEW_ACCOUNT if name != "sent"} | {"sent": json.loads(row["sent"])}


def _stream(connection: Connection, table: Table) -> Iterator[Any]:
    (key,) = table.primary_key.columns
    last = None
    while True:
        statement = select(table).order_by(key).limit(ROWS_AT_ONCE)
        if last is not None:
            statement = statement.where(key > last)
        rows = connection.execute(statement).mappings().all()
        if not rows:
            return
        yield from rows
        last = rows[-1][key.name]
