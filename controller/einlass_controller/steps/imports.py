"""An import of tickets, piece by piece; none of them counts before the last one is there."""

from sqlalchemy import delete, insert, update

from einlass_controller.domain.snapshot import row_of
from einlass_controller.orders import BeginImport, EndImport, ImportTickets, UndoImport
from einlass_controller.steps.batch import Batch
from einlass_controller.store.schema import TICKET, TICKET_IMPORT


def begin(batch: Batch, order: BeginImport) -> bool:
    """From now on tickets of this import are stored and do not count."""
    row = {"id": order.id, "by": order.by, "begun_ms": batch.now_ms, "tickets": order.tickets, "done": False}
    batch.rows.execute(insert(TICKET_IMPORT), [row])
    batch.live.imports_open.add(order.id)
    batch.record("import_begun", **{"import": order.id, "tickets": order.tickets, "by": order.by})
    return True


def take(batch: Batch, order: ImportTickets) -> bool:
    """Some of them."""
    if order.id not in batch.live.imports_open:
        return False
    for ticket in order.tickets:
        batch.rows.add_ticket(ticket)
    batch.record("imported", **{"import": order.id, "rows": [row_of(ticket) for ticket in order.tickets]})
    return True


def undo(batch: Batch, order: UndoImport) -> bool:
    """Only tickets of an import that is not done can be taken away: nobody can have used them."""
    if order.id not in batch.live.imports_open:
        return False
    mine = TICKET.c.id.in_(order.tickets), TICKET.c.import_id == order.id
    batch.rows.execute(delete(TICKET).where(*mine))
    batch.record("import_undone", **{"import": order.id, "tickets": list(order.tickets)})
    return True


def end(batch: Batch, order: EndImport) -> bool:
    """They count, all at once; or they are gone and so is the import."""
    if order.id not in batch.live.imports_open:
        return False
    batch.live.imports_open.discard(order.id)
    batch.live.to_look_at = True
    mine = TICKET_IMPORT.c.id == order.id
    batch.rows.execute(
        update(TICKET_IMPORT).where(mine).values(done=True) if order.done else delete(TICKET_IMPORT).where(mine)
    )
    batch.record("import_done" if order.done else "import_dropped", **{"import": order.id, "by": order.by})
    return True
