"""Which tickets stand on the lists of lanes that may be cut off, and for how many persons each."""

from collections.abc import Sequence

from einlass_controller.domain import decision as codes
from einlass_controller.domain.catalogue import REPORT, Product
from einlass_controller.domain.tickets import VALID, Ticket
from einlass_controller.domain.visits import Visit

# A ticket that becomes valid within this time is listed already: a lane may be cut off until then.
AHEAD_MS = 12 * 3_600_000


def why_not_listed(
    ticket: Ticket, product: Product | None, visits: Sequence[Visit], now_ms: int, is_revoked: bool
) -> str:
    """Of a signed ticket that is not listed: what a lane is to answer; "": its signature and its window say enough."""
    ends_ms, begins_ms = ticket.valid_until_ms, ticket.valid_from_ms
    if ends_ms is not None and ends_ms < now_ms:
        return ""
    if is_revoked:
        return codes.REVOKED
    if ticket.status != VALID:
        return ticket.status
    if any(visit.is_open for visit in visits):
        return codes.ALREADY_INSIDE
    if product is None:
        return codes.WRONG_PRODUCT
    left, needed = ticket.entries_left, ticket.persons if product.group else 1
    if left is not None and left < needed:
        return codes.USED_UP
    is_ahead = begins_ms is not None and begins_ms > now_ms + AHEAD_MS and not ticket.entries_used
    return "" if is_ahead and product.while_cut_off == REPORT else codes.OFFLINE_NOT_HERE


def persons_listed(ticket: Ticket, product: Product | None, visits: Sequence[Visit], now_ms: int) -> int:
    """How many persons a lane may let in on this ticket without asking; 0: it is not listed.

    What is decided by time, money or a slot needs the controller, and who is inside already does not come in again.
    """
    if product is None or product.while_cut_off != REPORT or ticket.status != VALID:
        return 0
    if ticket.slot_ms is not None or ticket.due_cents or ticket.company_of:
        return 0
    if ticket.valid_from_ms is not None and ticket.valid_from_ms > now_ms + AHEAD_MS:
        return 0
    if ticket.valid_until_ms is not None and ticket.valid_until_ms < now_ms:
        return 0
    if any(visit.is_open for visit in visits):
        return 0
    left, needed = ticket.entries_left, ticket.persons if product.group else 1
    return 0 if left is not None and left < needed else ticket.persons
