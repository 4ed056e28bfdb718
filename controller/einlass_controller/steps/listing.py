"""The lists at the lanes: which tickets changed on them, and each lane told piece by piece, revocations first."""

from operator import itemgetter
from typing import Any, Protocol

from einlass_controller.domain.listing import AHEAD_MS, persons_listed, why_not_listed
from einlass_controller.domain.tickets import Ticket
from einlass_controller.live import LIST_RANGE, Lane, Node
from einlass_controller.messages import Status
from einlass_controller.steps.batch import Batch
from einlass_core.signed import TICKET_ID_BITS, ticket_of
from einlass_core.signed_alone import SEEN, WHY, entry_of

ENTRIES_MAX = 40
LOOK_AT_ONCE = 500
SWEEP_MS = 30_000
RESEND_MS = 3_000
# A lane that was not told anything for so long is told that nothing is new, so that its list does not look old.
ASSURE_MS = 60_000
_NOT_HERE = 1
_WHY = {code: number for number, code in enumerate(WHY) if number > _NOT_HERE}


class Source(Protocol):
    """What a list is made of. number: of the newest change."""

    number: int

    def changes(self, removed: bool, after: int, count_max: int) -> list[Any]:
        """(digest, byte, number) of what came on, or went off (most often 0), after a change; oldest first."""

    def whole(self, after: str, count_max: int) -> list[Any]:
        """(digest, byte) of all that is on it, in order, from behind a digest on."""


class SignedToo:
    """As TicketsOf, for a lane that judges signatures: what is known of signed tickets stands there by their number."""

    def __init__(self, batch: Batch, lane: Lane) -> None:
        self.number = batch.list_number
        self._rows, self._zones = batch.rows, lane.zones

    def changes(self, removed: bool, after: int, count_max: int) -> list[Any]:
        """See Source. A signed ticket is two entries."""
        tickets = count_max // 2
        found: list[tuple[int, list[tuple[str, int, int]]]] = []
        for digest, listed, number, name, key in self._rows.seen_changes(self._zones, removed, after, tickets):
            entries = [(digest, max(0, listed), number)]
            if key:
                entries.append((entry_of(name), _seen(listed), number))
            found.append((number, entries))
        for name, status, number in self._rows.held_changes(removed, after, tickets):
            found.append((number, [(entry_of(name), _seen(-_number_of(status)), number)]))
        found.sort(key=itemgetter(0))
        return [entry for _, entries in found[:tickets] for entry in entries]

    def whole(self, after: str, count_max: int) -> list[Any]:
        """See Source."""
        found = [(str(digest), int(byte)) for digest, byte in self._rows.whole_list(self._zones, after, count_max)]
        number = int(after or "0", 16)
        if number < 1 << TICKET_ID_BITS:
            name = ticket_of(number) if after else ""
            seen = self._rows.seen_whole(self._zones, name, count_max)
            held = self._rows.held_whole(name, count_max)
            found += [(entry_of(name), _seen(listed)) for name, listed in seen]
            found += [(entry_of(name), _seen(-_number_of(status))) for name, status in held]
        return sorted(found)[:count_max]


def _number_of(why: str) -> int:
    """A decision code as it fits into an entry; 0: nothing is said."""
    return _WHY.get(why, _NOT_HERE) if why else 0


def _seen(listed: int) -> int:
    return SEEN - min(0, listed) if listed else 0


class TicketsOf:
    """The tickets that a lane may let in alone."""

    def __init__(self, batch: Batch, lane: Lane) -> None:
        self.number = batch.list_number
        self._rows, self._zones = batch.rows, lane.zones

    def changes(self, removed: bool, after: int, count_max: int) -> list[Any]:
        """See Source."""
        found = self._rows.list_changes(self._zones, removed, after, count_max)
        return [(digest, max(0, listed), number) for digest, listed, number in found]

    def whole(self, after: str, count_max: int) -> list[Any]:
        """See Source."""
        return self._rows.whole_list(self._zones, after, count_max)


def tell(batch: Batch, message: Status) -> None:
    """A status says which list the lane has: it gets the next piece."""
    node = batch.live.nodes[message.node]
    lane = batch.live.lane_of_node.get(node.id)
    if message.listed is None or lane is None:
        return
    follow(batch, message, node, TicketsOf(batch, lane) if message.trust is None else SignedToo(batch, lane))


def follow(batch: Batch, message: Status, node: Node, source: Source) -> None:
    """The next piece of what the node lacks."""
    assert message.listed is not None
    came_on = node.listed != message.listed
    if came_on:
        node.list_number = 0
    node.listed = message.listed
    # At once only what follows the piece sent last. Whatever else it says (twice, late, or because it took nothing of
    # what came twice or late) is answered as if nothing had been sent: else each answer would lead to one more word.
    follows = came_on and message.listed == node.list_to
    if not follows and batch.now_ms - node.list_sent_ms < RESEND_MS:
        return
    # A list from after the backup that this database was restored from tells nothing of what it has been told since.
    # Also when our numbers have come as far as its own: after a restore they go on in another range (need_recount).
    outdated = message.listed[0] < source.number // LIST_RANGE * LIST_RANGE
    if not message.listed[0] or max(message.listed) > source.number or outdated:
        _whole(batch, node, source)
    elif node.list_number == source.number or not _changes(batch, node, source):
        node.listed_ms, node.list_number = batch.now_ms, source.number
        if message.listed_age_ms >= ASSURE_MS:
            _send(batch, node, message.listed, message.listed, [])


def _changes(batch: Batch, node: Node, source: Source) -> bool:
    added, removed = node.listed or (0, 0)
    gone = source.changes(True, removed, ENTRIES_MAX)
    if gone:
        entries = [(digest, int(byte)) for digest, byte, _ in gone]
        return _send(batch, node, (added, removed), (added, int(gone[-1][2])), entries)
    new = source.changes(False, added, ENTRIES_MAX)
    if new:
        entries = [(digest, int(persons)) for digest, persons, _ in new]
        return _send(batch, node, (added, removed), (int(new[-1][2]), removed), entries)
    return False


def _whole(batch: Batch, node: Node, source: Source) -> None:
    """From the beginning, in the order of the digests; what changes meanwhile follows as changes.

    No number of a piece is used twice: begun anew the pieces are others, and a lane that still holds one of those
    before would be taken to have what it never got.
    """
    pieces, last, added, removed = node.list_piece
    has = node.listed or (0, 0)
    begins = has != (0, pieces) or not pieces
    if begins:
        pieces = max(pieces, 0 if has[0] else has[1])
        last, added, removed = "", source.number, source.number
    found = source.whole(last, ENTRIES_MAX)
    ends = len(found) < ENTRIES_MAX
    to = (added, removed) if ends else (0, pieces + 1)
    # Kept for the piece that follows; sent again from the start when this one does not arrive.
    node.list_piece = (pieces + 1, str(found[-1][0]) if found else last, added, removed)
    marks = {name: True for name, is_so in (("start", begins), ("end", ends)) if is_so}
    since = (0, 0 if begins else pieces)
    _send(batch, node, since, to, [(digest, int(persons)) for digest, persons in found], **marks)


def _send(
    batch: Batch,
    node: Node,
    since: tuple[int, int],
    to: tuple[int, int],
    entries: list[tuple[str, int]],
    **marks: bool,
) -> bool:
    fields = {
        "inc": node.inc,
        "since": {"added": since[0], "removed": since[1]},
        "to": {"added": to[0], "removed": to[1]},
        "entries": "".join(f"{digest}{persons:02x}" for digest, persons in entries),
        **marks,
    }
    batch.send(node.id, "list", fields)
    node.list_sent_ms, node.list_to = batch.now_ms, to
    return True


def sweep(batch: Batch) -> None:
    """Tickets that are new, or whose time has come or gone."""
    live, rows = batch.live, batch.rows
    names = rows.to_look_at(LOOK_AT_ONCE) if live.to_look_at else []
    live.to_look_at = len(names) == LOOK_AT_ONCE
    if batch.now_ms - live.listed_at_ms >= SWEEP_MS:
        since_ms = live.listed_at_ms or batch.now_ms - AHEAD_MS
        names += rows.out_of_time(since_ms, batch.now_ms, AHEAD_MS, LOOK_AT_ONCE)
        live.listed_at_ms = batch.now_ms
    if names:
        rows.read_tickets(names)
        for name in names:
            look(batch, rows.tickets[name])


def look(batch: Batch, ticket: Ticket) -> None:
    """Whether this ticket is listed now; if that has changed it gets the next number."""
    if ticket.import_id in batch.live.imports_open:
        return
    visits = batch.rows.visits_of_ticket(ticket.id)
    if ticket.listed_number > 0 and ticket.listed <= 0 and any(visit.is_open for visit in visits):
        return  # of most scans: who is inside is not on the lists, and was not before
    product = batch.catalogue.products.get(ticket.product)
    key = batch.live.ring.get(ticket.key_id)
    is_revoked = key is not None and key.revoked_ms is not None
    persons = 0 if is_revoked else persons_listed(ticket, product, visits, batch.now_ms)
    if ticket.key_id and not persons:  # below 0: minus why it is not listed
        persons = -_number_of(why_not_listed(ticket, product, visits, batch.now_ms, is_revoked))
    if persons != ticket.listed or ticket.listed_number <= 0:
        batch.live.list_number += 1
        ticket.listed, ticket.listed_number = persons, batch.live.list_number
        batch.rows.listed(ticket)
