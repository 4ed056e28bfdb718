"""Whether a ticket may enter here and now: small rules in a fixed order, the first that speaks decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from einlass_controller.domain import decision as codes
from einlass_controller.domain.decision import Decision
from einlass_controller.domain.tickets import VALID, Ticket
from einlass_controller.domain.visits import Visit


@dataclass(frozen=True, slots=True)
class Scan:
    """Everything a rule may look at. zones: those that the lane leads into, the innermost first."""

    now_ms: int
    lane: str
    zones: tuple[str, ...]
    zone_names: tuple[str, ...]
    open: bool
    emergency: bool
    ticket: Ticket | None
    visits: Sequence[Visit] = ()
    ticket_zone_name: str = ""
    visit_lane_name: str = ""


Rule = Callable[[Scan], Decision | None]


def emergency(scan: Scan) -> Decision | None:
    """Nobody is let in, whoever asks."""
    return Decision(codes.EMERGENCY) if scan.emergency else None


def known(scan: Scan) -> Decision | None:
    """A code that was issued here."""
    return Decision(codes.INVALID) if scan.ticket is None else None


def status(scan: Scan) -> Decision | None:
    """Revoked, blocked, cancelled, unpaid: the ticket's status is the code."""
    ticket = _ticket(scan)
    return None if ticket.status == VALID else _about(ticket, ticket.status)


def window(scan: Scan) -> Decision | None:
    """valid_from and valid_until are both still valid instants."""
    ticket = _ticket(scan)
    if ticket.valid_from_ms is not None and scan.now_ms < ticket.valid_from_ms:
        return _about(ticket, codes.TOO_EARLY, valid_from_ms=ticket.valid_from_ms)
    if ticket.valid_until_ms is not None and scan.now_ms > ticket.valid_until_ms:
        return _about(ticket, codes.EXPIRED, valid_until_ms=ticket.valid_until_ms)
    return None


def zone(scan: Scan) -> Decision | None:
    """A ticket for a zone opens the lanes that lead into it."""
    ticket = _ticket(scan)
    if ticket.zone and ticket.zone not in scan.zones:
        return _about(ticket, codes.WRONG_ZONE, zone=scan.ticket_zone_name or ticket.zone)
    return None


def outside(scan: Scan) -> Decision | None:
    """Who is inside, or just walking through, does not enter again."""
    for visit in scan.visits:
        if visit.is_open:
            lane = scan.visit_lane_name or visit.lane
            return _about(_ticket(scan), codes.ALREADY_INSIDE, since_ms=visit.since_ms, lane=lane)
    return None


def entries(scan: Scan) -> Decision | None:
    """A single ticket has one entry."""
    ticket = _ticket(scan)
    return _about(ticket, codes.USED_UP) if ticket.entries_left == 0 else None


def opened(scan: Scan) -> Decision | None:
    """The zone takes people in at this time."""
    return None if scan.open else _about(_ticket(scan), codes.CLOSED)


RULES: tuple[Rule, ...] = (emergency, known, status, window, zone, outside, entries, opened)


def refuse(scan: Scan) -> Decision | None:
    """Why this scan is refused, before places are looked at; None: only the cap can still say no."""
    for rule in RULES:
        verdict = rule(scan)
        if verdict is not None:
            return verdict
    return None


def full(ticket: Ticket, free: int) -> Decision:
    """No place (or not enough for the whole group): the ticket is not used."""
    return _about(ticket, codes.ZONE_FULL, free=max(0, free))


def admit(ticket: Ticket) -> Decision:
    """Let in: the entry counts from now, and comes back if nobody goes through."""
    ticket.entries_used += 1
    return _about(ticket, codes.OK, persons=ticket.persons)


def _ticket(scan: Scan) -> Ticket:
    if scan.ticket is None:
        raise ValueError("the rule `known` stands before every rule that looks at the ticket")
    return scan.ticket


def _about(ticket: Ticket, code: str, persons: int = 0, **values: int | str) -> Decision:
    return Decision(
        code,
        persons,
        values,
        entries_left=ticket.entries_left,
        first_use_ms=ticket.first_use_ms,
        last_use_ms=ticket.last_use_ms,
        valid_from_ms=ticket.valid_from_ms,
        valid_until_ms=ticket.valid_until_ms,
    )
