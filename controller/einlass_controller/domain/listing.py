"""Which tickets stand on the lists of lanes that may be cut off, and for how many persons each."""

from collections.abc import Sequence

from einlass_controller.domain import decision as codes
from einlass_controller.domain.catalogue import REPORT, Product
from einlass_controller.domain.tickets import VALID, Ticket
from einlass_controller.domain.visits import Visit
from einlass_core.signed_alone import WHY

# A ticket that becomes valid within this time is listed already: a lane may be cut off until then.
AHEAD_MS = 12 * 3_600_000
NOT_HERE = 1


# Why a signed ticket is not on the list, as a lane is told it (einlass_core.signed_alone.WHY).
_WHY = {name: number for number, name in enumerate(WHY) if number}


def said_of_signed(
    ticket: Ticket, product: Product | None, visits: Sequence[Visit], now_ms: int, is_revoked: bool
) -> int:
    """As persons_listed() of a ticket that carries a signature; below 0: minus why (WHY) it is not let in alone.

    0: nothing is said of it, since its own window or its signature are enough.
    """
    ends_ms = ticket.valid_until_ms
    if ends_ms is not None and ends_ms < now_ms:
        return 0
    if is_revoked:
        return -_WHY[codes.REVOKED]
    persons = persons_listed(ticket, product, visits, now_ms)
    if persons:
        return persons
    if ticket.status != VALID:
        return -_WHY.get(ticket.status, NOT_HERE)
    if any(visit.is_open for visit in visits):
        return -_WHY[codes.ALREADY_INSIDE]
    if product is None:
        return -_WHY[codes.WRONG_PRODUCT]
    left, needed = ticket.entries_left, ticket.persons if product.group else 1
    if left is not None and left < needed:
        return -_WHY[codes.USED_UP]
    begins_ms = ticket.valid_from_ms
    is_ahead = begins_ms is not None and begins_ms > now_ms + AHEAD_MS and not ticket.entries_used
    return 0 if is_ahead and product.while_cut_off == REPORT else -NOT_HERE


def said_of_held(status: str) -> int:
    """The same of a ticket that was held back before anybody showed it."""
    return -_WHY.get(status, NOT_HERE) if status else 0


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
