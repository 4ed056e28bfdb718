"""One batch's sets of rows: read in a handful of statements, changed in memory, written in a handful of statements."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields
from typing import Any

from msgspec import Struct
from sqlalchemy import Column, Table, bindparam, delete, func, insert, select, text, update

from einlass_controller.compact import compact
from einlass_controller.domain import visits
from einlass_controller.domain.ledger import Entry
from einlass_controller.domain.occupancy import Account, Zone
from einlass_controller.domain.tickets import VALID, Ticket
from einlass_controller.domain.visits import Visit
from einlass_controller.live import Booking, Node
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
from einlass_controller.store.session import Session
from einlass_controller.store.sets import Columns, Row, marks
from einlass_controller.store.tables import PRESENT_ONLY

# SQLite allows 32,766 variables a statement; longer lists are not faster.
CHUNK = 512
DEAD_LETTERS_MAX = 10_000
# So often may a ticket be replaced, one after the other, and whoever comes along with it still does.
REPLACED_MAX = 10


class Stored(Struct, frozen=True):
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
    facts: str = ""


_TICKET_COLUMNS = Columns(TICKET, [item.name for item in fields(Ticket)])
_LISTED_COLUMNS = Columns(TICKET, ("id", "listed", "listed_number"))
_VISIT_COLUMNS = Columns(VISIT, [item.name for item in fields(Visit)])
_DECISION_COLUMNS = Columns(DECISION, Stored.__struct_fields__)
_ENTRY_COLUMNS = Columns(LEDGER, [item.name for item in fields(Entry)])
_ACCOUNT_COLUMNS = Columns(
    ACCOUNT,
    (
        *("lane", "inc", "epoch", "seq", "version", "balance", "pending", "version_sent", "lowering", "frozen", "sent"),
        "leased_until_ms",
    ),
)
_NODE_COLUMNS = Columns(
    NODE,
    ("id", "inc", "past", "boot", "applied_seq", "software", "hardware", "emergency", "fault", "alarm"),
)
_ZONE_COLUMNS = Columns(ZONE, ("id", "base", "ghosts", "untold"))
_OPEN = "state IN ('" + "', '".join(visits.OPEN) + "')"
_RELEASED = f"state = '{visits.RELEASED}'"
# Also the rest of a family of which others went through. That it is open is said for the index on the state.
_UNDER_WAY = (
    f"{_OPEN} AND "
    f"(state IN ('{visits.RESERVED}', '{visits.RELEASED}') OR state = '{visits.PRESENT}' AND passed + unused < persons)"
)


# The lists of the lanes, asked at every status; {} stands for the zones.
_GONE = (
    "SELECT digest, listed, listed_number FROM ticket "
    "WHERE listed_number > ? AND zone IN ({}) AND listed <= 0 ORDER BY listed_number LIMIT ?"
)
_NEW = _GONE.replace("listed <= 0", "listed > 0")
_WHOLE = "SELECT digest, listed FROM ticket WHERE digest > ? AND listed > 0 AND zone IN ({}) ORDER BY digest LIMIT ?"
# For lanes that judge signatures: also what is said of signed tickets by their number, whose order is the id's.
_SEEN = _GONE.replace("listed_number FROM", "listed_number, id, key_id FROM")
_SEEN_NEW = _SEEN.replace("listed <= 0", "listed > 0")
_SEEN_WHOLE = (
    "SELECT id, listed FROM ticket WHERE id > ? AND key_id > 0 AND listed <> 0 AND zone IN ({}) ORDER BY id LIMIT ?"
)
_UNSEEN = "NOT EXISTS (SELECT 1 FROM ticket WHERE id = held_back.ticket)"
_HELD = (
    "SELECT ticket, status, listed_number FROM held_back "
    f"WHERE listed_number > ? AND status {{}} '' AND {_UNSEEN} ORDER BY listed_number LIMIT ?"
)
_HELD_WHOLE = (
    f"SELECT ticket, status FROM held_back WHERE ticket > ? AND status <> '' AND {_UNSEEN} ORDER BY ticket LIMIT ?"
)
_TO_LOOK_AT = (
    "SELECT id FROM ticket WHERE listed_number <= 0 "
    "AND import_id NOT IN (SELECT id FROM ticket_import WHERE NOT done) LIMIT ?"
)
_LATE = "SELECT id FROM ticket WHERE listed > 0 AND valid_until_ms < ? LIMIT ?"
_LATE_SEEN = _LATE.replace("listed > 0", "listed < 0")
_NEAR = "SELECT id FROM ticket WHERE listed = 0 AND valid_from_ms > ? AND valid_from_ms <= ?"


class Rows:
    """Tickets, visits and decisions that a batch touches; each is in memory once, whoever asks for it."""

    def __init__(self, session: Session) -> None:
        self._session = session
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
        self._relisted: set[str] = set()
        self._executed = False
        self._others: list[tuple[Any, dict[str, Any]]] = []

    def load(self, decision_keys: set[str], visit_keys: set[str], digests: set[str]) -> None:
        """Read what a batch needs: at most five statements for every 500 of each, none for nothing."""
        if not (decision_keys or visit_keys or digests):
            return
        decisions, stays, tickets = self._session.sets.select_all(
            [
                (_DECISION_COLUMNS, "key", list(decision_keys)),
                (_VISIT_COLUMNS, "key", list(visit_keys)),
                (_TICKET_COLUMNS, "digest", list(digests)),
            ]
        )
        self.decisions = {row[0]: Stored(*row) for row in decisions}
        self._add_visits(stays)
        self._add_tickets(tickets)
        wanted = {visit.ticket for visit in self.visits.values()} | {item.ticket for item in self.decisions.values()}
        self._add_tickets(self._select(_TICKET_COLUMNS, TICKET.c.id, wanted - self.tickets.keys() - {""}))
        company = {ticket.company_of for ticket in self.tickets.values() if ticket.company_of}
        for _ in range(REPLACED_MAX):
            if not company:
                break
            self._add_tickets(self._select(_TICKET_COLUMNS, TICKET.c.id, company - self.tickets.keys()))
            company = {self.tickets[name].replaced_by for name in company if name in self.tickets} - {""}
        self._add_visits(self._select(_VISIT_COLUMNS, VISIT.c.ticket, self.tickets, _OPEN))

    def visits_of_ticket(self, ticket: str) -> list[Visit]:
        """Visits of this ticket that are open, or were when the batch began."""
        return [self.visits[key] for key in self._visits_of.get(ticket, ())]

    def company_of(self, ticket: Ticket) -> list[Visit]:
        """Open visits of the ticket that this one comes along with, under whatever code that is now."""
        host = self.tickets.get(ticket.company_of)
        for _ in range(REPLACED_MAX):
            if host is not None and host.replaced_by:
                host = self.tickets.get(host.replaced_by)
        return [] if host is None else self.visits_of_ticket(host.id)

    def visits_of_node(self, node: str) -> list[Visit]:
        """Visits of this node on which something may still happen; reads them (a reboot is rare).

        Also its tickets' other open visits: where somebody else of them is, or he himself was before.
        """
        self._add_visits(self._select(_VISIT_COLUMNS, VISIT.c.node, [node], _UNDER_WAY))
        found = [visit for visit in self.visits.values() if visit.node == node]
        wanted = {visit.ticket for visit in found} - self.tickets.keys() - {""}
        self._add_tickets(self._select(_TICKET_COLUMNS, TICKET.c.id, wanted))
        self._add_visits(self._select(_VISIT_COLUMNS, VISIT.c.ticket, {visit.ticket for visit in found} - {""}, _OPEN))
        return found

    def ticket(self, name: str) -> Ticket | None:
        """A ticket by its id, with its open visits; reads it (what people order is rare)."""
        if name not in self.tickets:
            self._add_tickets(self._select(_TICKET_COLUMNS, TICKET.c.id, [name]))
        self._add_visits(self._select(_VISIT_COLUMNS, VISIT.c.ticket, [name], _OPEN))
        return self.tickets.get(name)

    def heir(self, ticket: Ticket) -> Ticket:
        """The ticket under which the bearer of this one goes on, if it was replaced; reads it (that is rare)."""
        for _ in range(REPLACED_MAX):
            ticket = (self.ticket(ticket.replaced_by) if ticket.replaced_by else None) or ticket
        return ticket

    def tickets_with(self, digest: str) -> bool:
        """Whether a ticket has this digest; reads it (what a machine sells is rare)."""
        self._add_tickets(self._select(_TICKET_COLUMNS, TICKET.c.digest, [digest]))
        return digest in self.by_digest

    def visits_ever(self, ticket: str) -> list[Visit]:
        """All visits of this ticket, those that are over too; reads them."""
        self._add_visits(self._select(_VISIT_COLUMNS, VISIT.c.ticket, [ticket]))
        return self.visits_of_ticket(ticket)

    def came_later(self, ticket: str) -> None:
        """Reads its visits of who came in later on an entry that others had begun, those that are over too."""
        self._add_visits(self._select(_VISIT_COLUMNS, VISIT.c.ticket, [ticket], "entry_of != ''"))

    def move_visit(self, visit: Visit, ticket: Ticket) -> None:
        """A visit goes on under another ticket."""
        self._visits_of[visit.ticket].remove(visit.key)
        self._visits_of.setdefault(ticket.id, []).append(visit.key)
        visit.ticket = ticket.id
        self._changed_visits.add(visit.key)

    def touched(self) -> tuple[list[Ticket], list[Visit], list[Visit]]:
        """What write() will write: tickets that changed, new visits, visits that changed."""
        fresh = {visit.key for visit in self._new_visits}
        changed = [self.visits[key] for key in sorted(self._changed_visits - fresh)]
        return [self.tickets[key] for key in sorted(self._changed_tickets)], self._new_visits, changed

    @property
    def has_new_tickets(self) -> bool:
        """Whether this batch brings any."""
        return bool(self._new_tickets)

    def scalar(self, statement: Any) -> Any:
        """The first value that a rare question finds, or None."""
        return self._session.connection.execute(statement).scalar()

    def fetch(self, statement: Any) -> list[Any]:
        """All that a rare question finds."""
        return list(self._session.connection.execute(statement).all())

    def execute(self, statement: Any, rows: list[dict[str, Any]] | None = None) -> int:
        """A rare change of a table that no scan touches, in the same transaction; how many rows it changed."""
        self._executed = True
        done = (
            self._session.connection.execute(statement, rows) if rows else self._session.connection.execute(statement)
        )
        return int(done.rowcount)

    def visits_inside(self) -> list[Visit]:
        """Every visit of which somebody is inside now, with what this batch has changed; reads them."""
        self._add_visits(self._session.connection.execute(select(*_VISIT_COLUMNS).where(text(PRESENT_ONLY))))
        return [visit for visit in self.visits.values() if visit.state == visits.PRESENT and visit.inside]

    def visits_to_end(self, nodes: Collection[str]) -> list[Visit]:
        """Every visit of which somebody is inside, or was let in by one of these nodes and is under way; reads them."""
        self.visits_inside()
        self._add_visits(self._select(_VISIT_COLUMNS, VISIT.c.node, nodes, _RELEASED))
        return [visit for visit in self.visits.values() if visit.state in (visits.RELEASED, visits.PRESENT)]

    def passages_since(self, since_ms: int) -> list[dict[str, Any]]:
        """The ledger's passages after an instant, oldest first. Reads the whole ledger: once a night at most."""
        kinds = ("passed", "forced", "uncertain")
        statement = select(LEDGER.c.body).where(LEDGER.c.at_ms >= since_ms, LEDGER.c.kind.in_(kinds))
        stored = self._session.connection.execute(statement.order_by(LEDGER.c.number)).scalars()
        new = [entry.body for entry in self._entries if entry.at_ms >= since_ms and entry.kind in kinds]
        return [json.loads(body) for body in (*stored, *new)]

    def last_skipped(self, kind: str, now_ms: int) -> int:
        """Which nightly close the ledger's last entry of this kind is about; 0: there is none.

        One from after now is void: the clock that it was made by has been set back.
        """
        statement = select(LEDGER.c.body).where(LEDGER.c.kind == kind, LEDGER.c.at_ms <= now_ms)
        body = self._session.connection.execute(statement.order_by(LEDGER.c.number.desc()).limit(1)).scalar()
        return int(json.loads(body)["due_ms"]) if body is not None else 0

    def products_in_use(self) -> list[str]:
        """Products of which there are valid tickets."""
        statement = select(TICKET.c.product).where(TICKET.c.status == VALID).distinct()
        return [str(name) for name in self._session.connection.execute(statement).scalars()]

    def sold(self, product: str, slot_ms: int) -> int:
        """Persons for whom tickets of a time slot were sold, those of this batch included."""
        statement = select(func.coalesce(func.sum(TICKET.c.persons), 0)).where(
            TICKET.c.slot_ms == slot_ms, TICKET.c.product == product, TICKET.c.status.in_((VALID, "unpaid"))
        )
        new = [item for item in self._new_tickets if (item.product, item.slot_ms) == (product, slot_ms)]
        return int(self._session.connection.execute(statement).scalar_one()) + sum(item.persons for item in new)

    def bookings(self, from_ms: int, until_ms: int) -> list[Booking]:
        """Persons booked for slots that begin in this time, whose tickets were not used yet."""
        columns = (TICKET.c.zone, TICKET.c.slot_ms)
        statement = select(*columns, func.sum(TICKET.c.persons)).where(
            TICKET.c.slot_ms >= from_ms,
            TICKET.c.slot_ms <= until_ms,
            TICKET.c.status == VALID,
            TICKET.c.entries_used == 0,
        )
        rows = self._session.connection.execute(statement.group_by(*columns))
        return [Booking(zone, int(slot_ms), int(persons)) for zone, slot_ms, persons in rows]

    def listed(self, ticket: Ticket) -> None:
        """What the lists say of this ticket must be written, and nothing else of it has changed."""
        self._relisted.add(ticket.id)

    def ask(self, question: str, *values: Any) -> list[Row]:
        """What a statement finds that is asked often; see Sets.ask()."""
        return self._session.sets.ask(question, values)

    def to_look_at(self, count_max: int) -> list[str]:
        """Tickets of which nobody has said whether they are to be listed."""
        return [name for (name,) in self.ask(_TO_LOOK_AT, count_max)]

    def out_of_time(self, since_ms: int, now_ms: int, ahead_ms: int, count_max: int) -> list[str]:
        """Listed tickets that are not valid any more, and others that have come near their first instant meanwhile."""
        late = [*self.ask(_LATE, now_ms, count_max), *self.ask(_LATE_SEEN, now_ms, count_max)]
        return [name for (name,) in (*late, *self.ask(_NEAR, since_ms + ahead_ms, now_ms + ahead_ms))]

    def read_tickets(self, names: Collection[str]) -> None:
        """Have these tickets and their open visits in memory."""
        self._add_tickets(self._select(_TICKET_COLUMNS, TICKET.c.id, set(names) - self.tickets.keys()))
        self._add_visits(self._select(_VISIT_COLUMNS, VISIT.c.ticket, names, _OPEN))

    def list_changes(self, zones: Collection[str], removed: bool, after: int, count_max: int) -> list[Row]:
        """(digest, listed, number) of what came onto the lists, or went off them, after a change; oldest first."""
        return self.ask(_of_zones(_GONE if removed else _NEW, zones), after, "", *zones, count_max)

    def whole_list(self, zones: Collection[str], after: str, count_max: int) -> list[Row]:
        """(digest, listed) of all that is listed for these zones, in order, from behind a digest on."""
        return self.ask(_of_zones(_WHOLE, zones), after, "", *zones, count_max)

    def seen_changes(self, zones: Collection[str], removed: bool, after: int, count_max: int) -> list[Row]:
        """As list_changes(), with (..., id, key) behind: more is said of signed tickets."""
        return self.ask(_of_zones(_SEEN if removed else _SEEN_NEW, zones), after, "", *zones, count_max)

    def seen_whole(self, zones: Collection[str], after: str, count_max: int) -> list[Row]:
        """(id, listed) of all signed tickets of these zones of which the list says something, by id."""
        return self.ask(_of_zones(_SEEN_WHOLE, zones), after, "", *zones, count_max)

    def held_changes(self, held: bool, after: int, count_max: int) -> list[Row]:
        """(ticket id, status, number) of signed tickets held back before anybody showed them, or not any more."""
        return self.ask(_HELD.format("<>" if held else "="), after, count_max)

    def held_whole(self, after: str, count_max: int) -> list[Row]:
        """(ticket id, status) of those that are held back, by id."""
        return self.ask(_HELD_WHOLE, after, count_max)

    def insert(self, table: Table, row: dict[str, Any]) -> None:
        """A new row of a table that is seldom written."""
        self._others.append((insert(table), row))

    def update(self, table: Table, key: str, row: dict[str, Any]) -> None:
        """A change in a table that is seldom written."""
        named = {"b_key": row.pop(key), **row}
        self._others.append((update(table).where(table.c[key] == bindparam("b_key")), named))

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
        wrote = self._write_sets(accounts, nodes, zones)
        if self._relisted or self._executed or self._others or self._commands or self._letters or self._replies:
            wrote = self._write_rare() or wrote
        return wrote

    def _write_sets(self, accounts: Sequence[Account], nodes: Sequence[Node], zones: Sequence[Zone]) -> bool:
        tickets, stays = self.tickets, self.visits
        old_tickets = sorted(self._changed_tickets - {ticket.id for ticket in self._new_tickets})
        old_visits = sorted(self._changed_visits - {visit.key for visit in self._new_visits})
        new: list[tuple[Columns, Sequence[Any]]] = [
            (columns, things)
            for columns, things in (
                (_TICKET_COLUMNS, self._new_tickets),
                (_VISIT_COLUMNS, self._new_visits),
                (_DECISION_COLUMNS, self._new_decisions),
                (_ENTRY_COLUMNS, self._entries),
            )
            if things
        ]
        changed: list[tuple[Columns, Sequence[Any], Callable[[Any], Row]]] = []
        if old_tickets:
            changed.append((_TICKET_COLUMNS, [tickets[key] for key in old_tickets], _TICKET_COLUMNS.row_of))
        if old_visits:
            changed.append((_VISIT_COLUMNS, [stays[key] for key in old_visits], _VISIT_COLUMNS.row_of))
        if accounts:
            changed.append((_ACCOUNT_COLUMNS, accounts, _account_row))
        if nodes:
            changed.append((_NODE_COLUMNS, nodes, _node_row))
        if zones:
            changed.append((_ZONE_COLUMNS, zones, _ZONE_COLUMNS.row_of))
        if not (new or changed):
            return False
        sets = self._session.sets
        with sets.together():
            for columns, things in new:
                sets.insert(columns, list(map(columns.row_of, things)))
            for columns, found, row_of in changed:
                sets.update(columns, list(map(row_of, found)))
        return True

    def _write_rare(self) -> bool:
        wrote = [self._add(COMMAND, self._commands), self._add(DEAD_LETTER, self._letters), self._write_replies()]
        wrote += [self._executed, bool(self._others), self._write_listed()]
        for statement, row in self._others:
            self._session.connection.execute(statement, [row])
        if self._letters:
            oldest = self._letters[-1]["number"] - DEAD_LETTERS_MAX
            self._session.connection.execute(delete(DEAD_LETTER).where(DEAD_LETTER.c.number <= oldest))
        return any(wrote)

    def _write_listed(self) -> bool:
        names = self._relisted - self._changed_tickets - {ticket.id for ticket in self._new_tickets}
        if not names:
            return False
        self._session.sets.update(
            _LISTED_COLUMNS, [_LISTED_COLUMNS.row_of(self.tickets[name]) for name in sorted(names)]
        )
        return True

    def _write_replies(self) -> bool:
        if not self._replies:
            return False
        statement = update(COMMAND).where(COMMAND.c.id == bindparam("b_id"), COMMAND.c.node == bindparam("b_node"))
        self._session.connection.execute(statement, self._replies)
        return True

    def _add(self, table: Table, rows: list[dict[str, Any]]) -> bool:
        """Rows that are rare: no statement of their own."""
        if rows:
            self._session.connection.execute(insert(table), rows)
        return bool(rows)

    def _select(self, columns: Columns, key: Column[str], wanted: Collection[str], also: str = "") -> list[Row]:
        found: list[Row] = []
        names = list(wanted)
        for start in range(0, len(names), CHUNK):
            found += self._session.sets.select(columns, key.name, names[start : start + CHUNK], also)
        return found

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


def _of_zones(question: str, zones: Collection[str]) -> str:
    return question.format(marks(1 + len(zones)))


def _account_row(account: Account) -> Row:
    return (
        account.lane,
        account.inc,
        account.epoch,
        account.seq,
        account.version,
        account.balance,
        account.pending,
        account.version_sent,
        account.lowering,
        account.frozen,
        compact(account.sent),
        account.leased_until_ms,
    )


def _node_row(node: Node) -> Row:
    return (
        node.id,
        node.inc,
        compact(node.past),
        node.boot,
        node.applied,
        node.software,
        node.hardware,
        node.emergency,
        node.fault,
        node.alarm,
    )
