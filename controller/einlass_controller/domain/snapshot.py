"""How tickets, visits and accounts stand in the ledger: what a field says, without those that say nothing.

Written in absolute terms, so that a ledger can be replayed years later without the rules of its day.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any

from einlass_controller.domain.occupancy import Account, Zone
from einlass_controller.domain.tickets import Ticket
from einlass_controller.domain.visits import Visit

Row = dict[str, Any]

# The kind of the entry that holds all of these.
CHANGES = "changes"

# Set when a ticket or a visit is made and never again: written down once.
TICKET_FIXED = frozenset(
    (
        *("id", "digest", "code_sha256", "product", "zone", "persons", "valid_from_ms", "valid_until_ms"),
        *("entries_max", "issued_ms", "key_id", "import_id", "replaces"),
    )
)
VISIT_FIXED = frozenset(("key", "node", "nonce", "lane", "zone", "granted_ms", "entry_of"))  # persons grow (moving.py)

# Follows from all the others and is made again from them: not in the ledger.
TICKET_DERIVED = frozenset(("listed", "listed_number"))
_TICKET = [item.name for item in fields(Ticket) if item.name not in TICKET_DERIVED]
_TICKET_STATE = [name for name in _TICKET if name not in TICKET_FIXED]
_VISIT = [item.name for item in fields(Visit)]
_VISIT_STATE = [name for name in _VISIT if name not in VISIT_FIXED]
# Several attributes in one call: this runs for every scan.
_ticket, _ticket_state = attrgetter(*_TICKET), attrgetter(*_TICKET_STATE)
_visit, _visit_state = attrgetter(*_VISIT), attrgetter(*_VISIT_STATE)


def row_of(ticket: Ticket) -> Row:
    """A new ticket, whole."""
    return _said(_TICKET, _ticket(ticket))


def state_of(ticket: Ticket) -> Row:
    """What may change of a ticket."""
    return _said(_TICKET_STATE, _ticket_state(ticket))


def visit_row_of(visit: Visit) -> Row:
    """A new visit, whole."""
    return _said(_VISIT, _visit(visit))


def visit_state_of(visit: Visit) -> Row:
    """What may change of a visit."""
    return _said(_VISIT_STATE, _visit_state(visit))


def said_of_ticket(columns: Mapping[str, Any]) -> Row:
    """A row of the table, as a ledger that says the same would have it."""
    return _said(_TICKET, [columns[name] for name in _TICKET])


def said_of_visit(columns: Mapping[str, Any]) -> Row:
    """A row of the table, as a ledger that says the same would have it."""
    return _said(_VISIT, [columns[name] for name in _VISIT])


def account_row_of(account: Account) -> Row:
    """The books of a lane: which journal speaks, and how far it may rise and has risen."""
    return {
        "inc": account.inc,
        "epoch": account.epoch,
        "seq": account.seq,
        "version": account.version,
        "balance": account.balance,
        "pending": account.pending,
        "sent": [list(item) for item in account.sent],
        "frozen": account.frozen,
    }


def zone_row_of(zone: Zone) -> Row:
    """What a zone's count stands on."""
    return {"base": zone.base, "ghosts": zone.ghosts}


def _said(names: list[str], values: Iterable[Any]) -> Row:
    return {
        name: value
        for name, value in zip(names, values, strict=True)
        if value is not None and value is not False and value != ""
    }
