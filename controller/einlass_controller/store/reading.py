"""Long reads that do not fit into memory at once."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, literal, select
from sqlalchemy import Engine as Database

from einlass_controller.domain import replay, visits
from einlass_controller.domain.catalogue import BUILT_IN, Catalogue, read_catalogue
from einlass_controller.domain.ledger import Entry
from einlass_controller.domain.parking import said_of_stay
from einlass_controller.domain.preview import Past
from einlass_controller.domain.snapshot import Row, said_of_ticket, said_of_visit
from einlass_controller.domain.voucher_snapshot import said_of_row as said_of_voucher
from einlass_controller.store.schema import ACCOUNT, DECISION, LEDGER, RULES, STAY, TICKET, VISIT, VOUCHER, ZONE

ROWS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Inside:
    """A visit of which somebody is inside."""

    zone: str
    ticket: str
    persons: int
    lane: str
    since_ms: int
    doubtful: bool


def inside(connection: Connection) -> list[Inside]:
    """Everybody who is inside by a ticket, zone by zone; who is in a nested zone is in the one around it as well."""
    # The literal lets the database see that its index on these few visits will do.
    present = VISIT.c.state == literal(visits.PRESENT, literal_execute=True)
    columns = (VISIT.c.zone, VISIT.c.ticket, VISIT.c.passed - VISIT.c.left, VISIT.c.lane, VISIT.c.began_ms)
    rows = connection.execute(
        select(*columns, VISIT.c.doubtful).where(present).order_by(VISIT.c.zone, VISIT.c.began_ms)
    )
    return [Inside(*row) for row in rows if row[2] > 0]


def rules_in_force(connection: Connection, now_ms: int) -> Catalogue:
    """The house's rules that hold at an instant."""
    order = (RULES.c.valid_from_ms.desc(), RULES.c.version.desc())
    row = connection.execute(select(RULES).where(RULES.c.valid_from_ms <= now_ms).order_by(*order).limit(1)).first()
    if row is None:
        return read_catalogue(BUILT_IN)
    return read_catalogue(json.loads(row.body), row.version, row.valid_from_ms)


def past_scans(connection: Connection, zones_of: Mapping[str, tuple[str, ...]], last: int) -> list[Past]:
    """The last entry scans that the rules were asked about, oldest first. zones_of: what each lane leads into."""
    columns = (DECISION.c.number, DECISION.c.at_ms, DECISION.c.lane, DECISION.c.ticket, DECISION.c.code)
    statement = (
        select(*columns, DECISION.c.facts, TICKET.c.product)
        .join(TICKET, TICKET.c.id == DECISION.c.ticket)
        .where(DECISION.c.facts != "")
        .order_by(DECISION.c.number.desc())
        .limit(last)
    )
    found = []
    for row in connection.execute(statement):
        facts = json.loads(row.facts)
        shut = bool(facts.pop("shut", False))
        zones = zones_of.get(row.lane, ())
        found.append(Past(row.number, row.at_ms, row.lane, zones, row.ticket, row.product, row.code, facts, shut))
    return found[::-1]


def ledger_entries(connection: Connection, after: int = 0) -> Iterator[Entry]:
    """The ledger in order (only what follows `after`), a few rows in memory at a time."""
    columns = (LEDGER.c.number, LEDGER.c.at_ms, LEDGER.c.kind, LEDGER.c.body, LEDGER.c.hash)
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
        replay.VOUCHERS: ((str(row["serial"]), said_of_voucher(row)) for row in _stream(connection, VOUCHER)),
        replay.STAYS: ((row["id"], said_of_stay(row)) for row in _stream(connection, STAY)),
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
