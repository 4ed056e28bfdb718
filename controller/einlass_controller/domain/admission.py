"""Whether a ticket may enter here and now: first what no rule of the house can change, then the house's own rules."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache

from einlass_controller.domain import decision as codes
from einlass_controller.domain.catalogue import Product
from einlass_controller.domain.decision import Decision, Value
from einlass_controller.domain.hours import DAY_MS, local_instant
from einlass_controller.domain.rules import MINUTE_MS, WEEKDAYS, Fact, Verdict
from einlass_controller.domain.tickets import VALID, Ticket
from einlass_controller.domain.visits import Standing, Visit

LOCKDOWN = "lockdown"
EVACUATION = "evacuation"
DAYS_KEPT = 16


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as the site's clocks on the wall show it."""

    now_ms: int
    midnight_ms: int
    next_midnight_ms: int
    time_ms: int
    weekday: str
    date: str


def moment(now_ms: int, zone: tzinfo) -> Moment:
    """Local time of an instant; time_ms is what the clock shows, also on the days of a clock change."""
    local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
    shown_ms = (local.hour * 60 + local.minute) * MINUTE_MS + local.second * 1000 + now_ms % 1000
    midnight, following, weekday, day = _day(local.date(), zone)
    return Moment(now_ms, midnight, following, shown_ms, weekday, day)


@lru_cache(maxsize=DAYS_KEPT)
def _day(day: date, zone: tzinfo) -> tuple[int, int, str, str]:
    """A day's two midnights, and its names: the same for every scan of the day."""
    midnight, following = (local_instant(day, time_ms, zone) for time_ms in (0, DAY_MS))
    return midnight, following, WEEKDAYS[day.weekday()], day.isoformat()


@dataclass(frozen=True, slots=True)
class Scan:
    """Everything that is looked at before the house's rules. zones: those that the lane leads into, innermost first."""

    now_ms: int
    zones: tuple[str, ...]
    ticket: Ticket | None
    emergency: bool = False
    ticket_zone_name: str = ""
    paid_cents: int = 0


Check = Callable[[Scan], Decision | None]


def emergency(scan: Scan) -> Decision | None:
    """Nobody is let in, whoever asks."""
    return Decision(codes.EMERGENCY) if scan.emergency else None


def known(scan: Scan) -> Decision | None:
    """A code that was issued here."""
    return Decision(codes.INVALID) if scan.ticket is None else None


def status(scan: Scan) -> Decision | None:
    """Revoked, blocked, cancelled, unpaid: the ticket's status is the code."""
    ticket = _ticket(scan)
    return None if ticket.status == VALID else about(ticket, ticket.status)


def window(scan: Scan) -> Decision | None:
    """valid_from and valid_until are both still valid instants."""
    ticket = _ticket(scan)
    if ticket.valid_from_ms is not None and scan.now_ms < ticket.valid_from_ms:
        return about(ticket, codes.TOO_EARLY, {"valid_from_ms": ticket.valid_from_ms})
    if ticket.valid_until_ms is not None and scan.now_ms > ticket.valid_until_ms:
        return about(ticket, codes.EXPIRED, {"valid_until_ms": ticket.valid_until_ms})
    return None


def zone(scan: Scan) -> Decision | None:
    """A ticket for a zone opens the lanes that lead into it."""
    ticket = _ticket(scan)
    if ticket.zone and ticket.zone not in scan.zones:
        return about(ticket, codes.WRONG_ZONE, {"zone": scan.ticket_zone_name or ticket.zone})
    return None


def debt(scan: Scan) -> Decision | None:
    """Who left through a free exit after too long a stay pays before the next one."""
    ticket = _ticket(scan)
    if ticket.due_cents > scan.paid_cents:
        return about(ticket, codes.OVERSTAY_DUE, {"amount_cents": ticket.due_cents})
    return None


CHECKS: tuple[Check, ...] = (emergency, known, status, window, zone, debt)


def refuse(scan: Scan) -> Decision | None:
    """Why this scan is refused whatever the house's rules say; None: they are asked next."""
    for check in CHECKS:
        found = check(scan)
        if found is not None:
            return found
    return None


def facts(
    ticket: Ticket,
    product: Product | None,
    now: Moment,
    standing: Standing,
    *,
    lane: str = "",
    zone: str = "",
    persons: int = 1,
    proof: bool = False,
    company_inside: bool = False,
    stays: Sequence[Visit] = (),
) -> dict[str, Fact]:
    """What the rules may ask about, as of this scan; what does not apply is left out."""
    needed = entries_for(persons, product)
    left = ticket.entries_left
    today = ticket.day_ms == now.midnight_ms
    began = min((visit.since_ms for visit in stays if visit.inside), default=None)
    slot_day = None if ticket.slot_ms is None else now.midnight_ms <= ticket.slot_ms < now.next_midnight_ms
    found: dict[str, Fact] = {
        "time": now.time_ms,
        "weekday": now.weekday,
        "date": now.date,
        "lane": lane,
        "zone": zone,
        "persons": persons,
        "entries_used": ticket.entries_used,
        "entries_left": left,
        "entries_missing": 0 if left is None else max(0, needed - left),
        "entries_today": ticket.entries_today if today else 0,
        "used_today": today and ticket.entries_today > 0,
        "since_entry": _since(ticket.last_use_ms, now),
        "since_exit": _since(ticket.last_exit_ms, now),
        "since_first": _since(ticket.first_use_ms, now),
        "inside": standing.inside,
        "moving": standing.movable > 0,
        "missed": standing.missed,
        "stay": _since(began, now),
        "proof": proof or ticket.proof_until_ms > now.now_ms,
        "company_inside": company_inside,
        "booked": ticket.slot_ms is not None,
        "until_slot": None if ticket.slot_ms is None else ticket.slot_ms - now.now_ms,
        "slot_today": slot_day,
    }
    return {name: value for name, value in found.items() if value is not None}


def _since(then_ms: int | None, now: Moment) -> int | None:
    return None if then_ms is None else max(0, now.now_ms - then_ms)


def refusal(ticket: Ticket, verdict: Verdict, version: str, first: Visit | None, lane_name: str) -> Decision:
    """A refusal by the rules, with when and where the ticket was used if that is the reason."""
    values = dict(verdict.values)
    if verdict.code == codes.ALREADY_INSIDE and first is not None:
        values |= {"since_ms": first.since_ms, "lane": lane_name or first.lane}
    return about(ticket, verdict.code, values, verdict=verdict, version=version)


def full(ticket: Ticket, free: int, version: str = codes.RULES_VERSION) -> Decision:
    """No place (or not enough for the whole group): the ticket is not used."""
    return about(ticket, codes.ZONE_FULL, {"free": max(0, free)}, version=version)


@dataclass(frozen=True, slots=True)
class Use:
    """What an admission takes from a ticket: entries, and turns of the day. Both 0 for what belongs to a use so far.

    entry_of: the visit on whose entry somebody comes later; "": on his own.
    """

    entries: int
    turns: int
    entry_of: str = ""


def take(ticket: Ticket, use: Use, now: Moment, is_late: bool = False) -> None:
    """What an admission uses of the ticket counts from now, and comes back if nobody goes through.

    is_late: it is only told now. Of a day that is over nothing is kept any more once the ticket is used on a later one.
    """
    ticket.entries_used += use.entries
    if not use.turns or (is_late and ticket.day_ms > now.midnight_ms):
        return
    if ticket.day_ms != now.midnight_ms:
        ticket.day_ms, ticket.entries_today = now.midnight_ms, 0
    ticket.entries_today += use.turns


def entries_for(persons: int, product: Product | None) -> int:
    """A group's card gives an entry for each person, every other ticket one for all of them."""
    return persons if product is not None and product.group else 1


def use_of(
    verdict: Verdict, known: Mapping[str, Fact], product: Product | None, persons: int, running: str = ""
) -> Use:
    """What a verdict that admits so many takes from the ticket. running: the visit whose entry still runs, if any.

    Who is let in for a re-entry comes on his own, also on a card of which somebody is missed.
    """
    later = verdict.free and known.get("missed") and not known.get("moving") and verdict.code != codes.OK_REENTRY
    same_use = later or (verdict.free and known.get("moving"))
    return Use(0 if verdict.free else entries_for(persons, product), 0 if same_use else 1, running if later else "")


def about(
    ticket: Ticket,
    code: str,
    values: Mapping[str, Value] | None = None,
    persons: int = 0,
    verdict: Verdict | None = None,
    version: str = codes.RULES_VERSION,
) -> Decision:
    """A decision on a known ticket, with what is left of it."""
    return Decision(
        code,
        persons,
        values or {},
        entries_left=ticket.entries_left,
        first_use_ms=ticket.first_use_ms,
        last_use_ms=ticket.last_use_ms,
        valid_from_ms=ticket.valid_from_ms,
        valid_until_ms=ticket.valid_until_ms,
        rules_version=version,
        rule="" if verdict is None else f"{ticket.product}.{verdict.rule}" if verdict.rule else "",
        text=None if verdict is None else verdict.text,
    )


def _ticket(scan: Scan) -> Ticket:
    if scan.ticket is None:
        raise ValueError("the check `known` stands before every check that looks at the ticket")
    return scan.ticket
