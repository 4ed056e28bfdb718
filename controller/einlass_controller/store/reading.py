"""Long reads that do not fit into memory at once."""

from collections.abc import Iterator

from sqlalchemy import Connection, select

from einlass_controller.domain.ledger import Entry
from einlass_controller.store.schema import LEDGER

ROWS_AT_ONCE = 2_000


def ledger_entries(connection: Connection) -> Iterator[Entry]:
    """The whole ledger in order, a few rows in memory at a time."""
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
