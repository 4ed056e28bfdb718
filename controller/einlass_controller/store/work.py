"""One batch's sets of rows: read in a handful of statements, changed in memory, written in a handful of statements."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

from einlass_controller.domain import visits
from einlass_controller.domain.ledger import Entry
from einlass_controller.domain.occupancy import Account, Zone
from einlass_controller.domain.tickets import Ticket
from einlass_controller.domain.visits import Visit
from einlass_controller.live import Node
from einlass_controller.store.schema import (
    ACCOUNT,
    COMMAND,
    DEAD_LETTER,
    DECISION,
    LEDGER,
    NODE,
    TICKET,
    VISIT,
    ZONE,
)

# SQLite allows 32,766 variables a statement, PostgreSQL 65,535; longer lists are not faster.
CHUNK = 500
DEAD_LETTERS_MAX = 10_000

_TICKET_COLUMNS = [TICKET.c[item.name] for item in fields(Ticket)]
_VISIT_COLUMNS = [VISIT.c[item.name] for item in fields(Visit)]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored:
    """A decision as it was answered; number 0 is never used. ticket "": none."""

    key: str
    number: int
    content: str
    code: str
    persons: int
    ticket: str
    node: str
    lane: str
    side: str
    at_ms: int
    answer: bytes


_DECISION_COLUMNS = [DECISION.c[item.name] for item in fields(Stored)]


class Rows:
    """Tickets, visits and decisions that a batch touches; each is in memory once, whoever asks for it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.tickets: dict[str, Ticket] = {}
        self.by_digest: dict[str, Ticket] = {}
        self.visits: dict[str, Visit] = {}
        self.decisions: dict[str, Stored] = {}
        self._visits_of: dict[str, list[str]] = {}
        self._new_tickets: list[Ticket] = []
        self._new_visits: list[Visit] = []
        self._new_decisions: list[Stored] = []
        self._entries: list[Entry] = []
        self._letters: list[dict[str, Any]] = []
        self._commands: list[dict[str, Any]] = []
        self._changed_tickets: set[str] = set()
        self._changed_visits: set[str] = set()
        self._replies: list[dict[str, Any]] = []

    def load(self, decision_keys: set[str], visit_keys: set[str], digests: set[str]) -> None:
        """Read what a batch needs: at most five statements for every 500 of each."""
        for row in self._select(_DECISION_COLUMNS, DECISION.c.key, decision_keys):
            self.decisions[row[0]] = Stored(*row)
        self._add_visits(self._select(_VISIT_COLUMNS, VISIT.c.key, visit_keys))
        self._add_tickets(self._select(_TICKET_COLUMNS, TICKET.c.digest, digests))
        wanted = {visit.ticket for visit in self.visits.values()} | {item.ticket for item in self.decisions.values()}
        self._add_tickets(self._select(_TICKET_COLUMNS, TICKET.c.id, wanted - self.tickets.keys() - {""}))
        for some in _chunks(list(self.tickets)):
            statement = select(*_VISIT_COLUMNS).where(VISIT.c.ticket.in_(some), VISIT.c.state.in_(visits.OPEN))
            self._add_visits(self._connection.execute(statement))

    def visits_of_ticket(self, ticket: str) -> list[Visit]:
        """Visits of this ticket that are open, or were when the batch began."""
        return [self.visits[key] for key in self._visits_of.get(ticket, ())]

    def visits_of_node(self, node: str) -> list[Visit]:
        """Visits of this node on which something may still happen; reads them (a reboot is rare)."""
        states = (visits.RESERVED, visits.RELEASED)
        statement = select(*_VISIT_COLUMNS).where(VISIT.c.node == node, VISIT.c.state.in_(states))
        self._add_visits(self._connection.execute(statement))
        found = [visit for visit in self.visits.values() if visit.node == node]
        wanted = {visit.ticket for visit in found} - self.tickets.keys() - {""}
        self._add_tickets(self._select(_TICKET_COLUMNS, TICKET.c.id, wanted))
        return found

    def add_ticket(self, ticket: Ticket) -> None:
        """A new ticket."""
        self.tickets[ticket.id] = self.by_digest[ticket.digest] = ticket
        self._new_tickets.append(ticket)

    def add_visit(self, visit: Visit) -> None:
        """A new visit."""
        self._keep_visit(visit)
        self._new_visits.append(visit)

    def add_decision(self, decision: Stored) -> None:
        """A new decision."""
        self.decisions[decision.key] = decision
        self._new_decisions.append(decision)

    def add_entry(self, entry: Entry) -> None:
        """A new line of the ledger."""
        self._entries.append(entry)

    def add_letter(self, letter: dict[str, Any]) -> None:
        """A new dead letter."""
        self._letters.append(letter)

    def add_command(self, command: dict[str, Any]) -> None:
        """A new command."""
        self._commands.append(command)

    def reply(self, command: str, node: str, code: str, detail: str) -> None:
        """A node's word on a command."""
        self._replies.append({"b_id": command, "b_node": node, "reply": code, "detail": detail})

    def changed(self, visit: Visit, ticket: Ticket | None) -> None:
        """This visit (and its ticket) must be written."""
        self._changed_visits.add(visit.key)
        if ticket is not None:
            self._changed_tickets.add(ticket.id)

    def ticket_changed(self, ticket: Ticket) -> None:
        """This ticket must be written."""
        self._changed_tickets.add(ticket.id)

    def write(self, accounts: Sequence[Account], nodes: Sequence[Node], zones: Sequence[Zone]) -> bool:
        """Write every change; False when there was none, so that nothing need be committed."""
        old_tickets = self._changed_tickets - {ticket.id for ticket in self._new_tickets}
        old_visits = self._changed_visits - {visit.key for visit in self._new_visits}
        wrote = [
            self._insert(TICKET, [asdict(ticket) for ticket in self._new_tickets]),
            self._insert(VISIT, [asdict(visit) for visit in self._new_visits]),
            self._insert(DECISION, [asdict(item) for item in self._new_decisions]),
            self._insert(LEDGER, [asdict(entry) for entry in self._entries]),
            self._insert(COMMAND, self._commands),
            self._insert(DEAD_LETTER, self._letters),
            self._update(TICKET, "id", [asdict(self.tickets[key]) for key in sorted(old_tickets)]),
            self._update(VISIT, "key", [asdict(self.visits[key]) for key in sorted(old_visits)]),
            self._update(ACCOUNT, "lane", [_account_row(account) for account in accounts]),
            self._update(NODE, "id", [_node_row(node) for node in nodes]),
            self._update(ZONE, "id", [{"id": zone.id, "base": zone.base, "ghosts": zone.ghosts} for zone in zones]),
            self._write_replies(),
        ]
        if self._letters:
            oldest = self._letters[-1]["number"] - DEAD_LETTERS_MAX
            self._connection.execute(delete(DEAD_LETTER).where(DEAD_LETTER.c.number <= oldest))
        return any(wrote)

    def _write_replies(self) -> bool:
        if not self._replies:
            return False
        statement = update(COMMAND).where(COMMAND.c.id == bindparam("b_id"), COMMAND.c.node == bindparam("b_node"))
        self._connection.execute(statement, self._replies)
        return True

    def _insert(self, table: Table, rows: list[dict[str, Any]]) -> bool:
        if rows:
            self._connection.execute(insert(table), rows)
        return bool(rows)

    def _update(self, table: Table, key: str, rows: list[dict[str, Any]]) -> bool:
        if rows:
            statement = update(table).where(table.c[key] == bindparam("b_key"))
            self._connection.execute(statement, [{"b_key": row.pop(key), **row} for row in rows])
        return bool(rows)

    def _select(self, columns: list[Any], key: Any, wanted: set[str]) -> Iterator[Any]:
        for some in _chunks(sorted(wanted)):
            yield from self._connection.execute(select(*columns).where(key.in_(some)))

    def _add_tickets(self, rows: Iterable[Any]) -> None:
        for row in rows:
            ticket = Ticket(*row)
            if ticket.id not in self.tickets:
                self.tickets[ticket.id] = self.by_digest[ticket.digest] = ticket

    def _add_visits(self, rows: Iterable[Any]) -> None:
        for row in rows:
            visit = Visit(*row)
            if visit.key not in self.visits:
                self._keep_visit(visit)

    def _keep_visit(self, visit: Visit) -> None:
        self.visits[visit.key] = visit
        self._visits_of.setdefault(visit.ticket, []).append(visit.key)


def _chunks(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def _account_row(account: Account) -> dict[str, Any]:
    return {
        "lane": account.lane,
        "inc": account.inc,
        "epoch": account.epoch,
        "seq": account.seq,
        "version": account.version,
        "balance": account.balance,
        "pending": account.pending,
        "version_sent": account.version_sent,
        "lowering": account.lowering,
        "frozen": account.frozen,
        "sent": json.dumps(account.sent),
    }


def _node_row(node: Node) -> dict[str, Any]:
    return {
        "id": node.id,
        "inc": node.inc,
        "past": json.dumps(node.past),
        "boot": node.boot,
        "applied_seq": node.applied,
        "software": node.software,
        "hardware": node.hardware,
        "emergency": node.emergency,
        "fault": node.fault,
        "alarm": node.alarm,
    }
