"""What people order at a desk or over the API beside scans: each becomes a step of steps/office_orders.py."""

from collections.abc import Mapping
from dataclasses import dataclass

from einlass_controller.domain.tickets import Ticket


class OfficeOrder:
    """An order of this kind."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class AddSigningKey(OfficeOrder):
    """A new key signs from now on; result: its id. old_until_ms: how long the others still count; None: no end."""

    public: bytes
    old_until_ms: int | None
    by: str


@dataclass(frozen=True, slots=True)
class RevokeSigningKey(OfficeOrder):
    """What this key signed counts no more; result: False when there is no such key."""

    id: int
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class ChangeTicket(OfficeOrder):
    """One of domain.life.DOINGS; result: Done, a LifeError, or None for a ticket that does not exist."""

    ticket: str
    do: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class ReplaceTicket(OfficeOrder):
    """A new code for an old ticket; result as for ChangeTicket."""

    ticket: str
    new_id: str
    digest: str
    code_sha256: str
    key_id: int
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class AnnulEntry(OfficeOrder):
    """Take an entry back (visit "": the newest); result as for ChangeTicket."""

    ticket: str
    visit: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Done:
    """what: a key of domain.life.DONE. changed False: it was so before. counted: bodies that a gate still counts."""

    what: str
    changed: bool = True
    counted: int = 0


@dataclass(frozen=True, slots=True)
class AddApiKey(OfficeOrder):
    """Somebody may use the API; result: False when the name is taken. rate_per_s 0: no limit. partner: only its own."""

    name: str
    key_sha256: str
    scopes: tuple[str, ...]
    rate_per_s: int
    by: str
    partner: str = ""


@dataclass(frozen=True, slots=True)
class RevokeApiKey(OfficeOrder):
    """A key opens nothing any more; result: False when there is no such key."""

    name: str
    by: str


@dataclass(frozen=True, slots=True)
class BeginImport(OfficeOrder):
    """Tickets of a file follow; result: True."""

    id: str
    tickets: int
    by: str


@dataclass(frozen=True, slots=True)
class ImportTickets(OfficeOrder):
    """Some tickets of an import; they count when all are there. result: True."""

    id: str
    tickets: tuple[Ticket, ...]


@dataclass(frozen=True, slots=True)
class UndoImport(OfficeOrder):
    """Take tickets of an import that did not come to its end away again; result: True."""

    id: str
    tickets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EndImport(OfficeOrder):
    """All tickets are there and count from now on, or (not done) all are gone again; result: True."""

    id: str
    by: str
    done: bool = True


@dataclass(frozen=True, slots=True)
class Restored(OfficeOrder):
    """The books are not what is true: the database is not the one that was used last, or lanes lead elsewhere now.

    epoch: above any that was used. result: True.
    """

    reason: str
    epoch: int


@dataclass(frozen=True, slots=True)
class PutTogether(OfficeOrder):
    """The set-up may have given lanes other nodes: the accounts go with them. result: the lanes that have another."""


@dataclass(frozen=True, slots=True)
class ConfirmRecount(OfficeOrder):
    """So many people are in each zone; result: Recounted.

    without: lanes out of reach, which are left out once what they were lent has ended. switched_off: such lanes whose
    node has no power, by the word of whoever stands before it: that ends what it was lent.
    """

    people: Mapping[str, int]
    without: tuple[str, ...]
    by: str
    switched_off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeasesUnknown(OfficeOrder):
    """How much time went by since leases were sent is not known: they count from now. result: how many lanes."""


@dataclass(frozen=True, slots=True)
class Recounted:
    """what: done, not_needed, zones (missing or unknown), waiting (for these lanes), unreached (these lanes).

    Or leased: these lanes may still let people in alone, for so long (waits_ms).
    """

    what: str
    names: tuple[str, ...] = ()
    waits_ms: tuple[int, ...] = ()
