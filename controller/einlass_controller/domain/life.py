"""What becomes of a ticket beside scans: blocked, cancelled, unpaid, withdrawn, replaced; an entry taken back.

valid <-> unpaid; either -> blocked -> what it was; any of these -> cancelled or revoked, for good
"""

from collections.abc import Mapping
from dataclasses import replace

from einlass_controller.domain import visits
from einlass_controller.domain.decision import Text
from einlass_controller.domain.tickets import VALID, Ticket
from einlass_controller.domain.visits import Visit

BLOCKED, CANCELLED, UNPAID, REVOKED = "blocked", "cancelled", "unpaid", "revoked"
BLOCK, UNBLOCK, CANCEL, MARK_UNPAID, MARK_PAID, REVOKE = DOINGS = (
    "block",
    "unblock",
    "cancel",
    "unpaid",
    "paid",
    "revoke",
)
_ALIVE = (VALID, UNPAID, BLOCKED)
# From which states it may be done, and what it leads to ("": what it was before it was blocked).
_WAYS: Mapping[str, tuple[tuple[str, ...], str]] = {
    BLOCK: ((VALID, UNPAID), BLOCKED),
    UNBLOCK: ((BLOCKED,), ""),
    CANCEL: (_ALIVE, CANCELLED),
    MARK_UNPAID: ((VALID,), UNPAID),
    MARK_PAID: ((UNPAID,), VALID),
    REVOKE: (_ALIVE, REVOKED),
}

STATUS_WORDS: Mapping[str, Text] = {
    VALID: Text("gültig", "valid"),
    BLOCKED: Text("gesperrt", "blocked"),
    CANCELLED: Text("storniert", "cancelled"),
    UNPAID: Text("nicht bezahlt", "not paid"),
    REVOKED: Text("zurückgezogen", "withdrawn"),
}
DONE: Mapping[str, Text] = {
    BLOCK: Text("Die Karte ist gesperrt.", "The ticket is blocked."),
    UNBLOCK: Text("Die Sperre ist aufgehoben.", "The ticket is no longer blocked."),
    CANCEL: Text("Die Karte ist storniert.", "The ticket is cancelled."),
    MARK_UNPAID: Text("Die Karte gilt als nicht bezahlt.", "The ticket counts as not paid."),
    MARK_PAID: Text("Die Karte gilt als bezahlt.", "The ticket counts as paid."),
    REVOKE: Text("Die Karte ist zurückgezogen.", "The ticket is withdrawn."),
    "replace": Text("Ersatz ausgestellt; die alte Karte gilt nicht mehr.", "Replaced; the old ticket is dead."),
    "annul": Text("Der Eintritt ist zurückgenommen.", "The entry is taken back."),
    "held_back": Text(
        "Hier noch nie gezeigt: wird abgewiesen, sobald sie jemand zeigt.",
        "Never shown here yet: it will be refused when somebody does.",
    ),
}
REFUSED: Mapping[str, Text] = {
    "state": Text("Das geht nicht: die Karte ist {status_de}.", "That cannot be done: the ticket is {status_en}."),
    "no_entry": Text(
        "Es gibt keinen Eintritt, der zurückgenommen werden könnte.", "There is no entry that could be taken back."
    ),
}


class LifeError(ValueError):
    """It contradicts the state the ticket is in. `text`: why, in both languages."""

    def __init__(self, reason: str, status: str = VALID) -> None:
        words, state = REFUSED[reason], STATUS_WORDS.get(status, Text(status, status))
        self.reason = reason
        self.text = Text(words.de.format(status_de=state.de), words.en.format(status_en=state.en))
        super().__init__(self.text.en)


def change(ticket: Ticket, do: str, reason: str) -> bool:
    """Do one of DOINGS; False when the ticket is already so. Raises LifeError."""
    states, to = _WAYS[do]
    if do == MARK_PAID and (ticket.status, ticket.status_before) == (BLOCKED, UNPAID):
        ticket.status_before = VALID  # paid, and still blocked
        return True
    if ticket.status not in states:
        if ticket.status == to or (do == UNBLOCK and ticket.status in (VALID, UNPAID)):
            return False
        raise LifeError("state", ticket.status)
    before = ticket.status
    ticket.status = to or ticket.status_before or VALID
    ticket.status_before = before if to == BLOCKED else ""
    ticket.reason = "" if ticket.status == VALID else reason
    return True


def supersede(old: Ticket, new_id: str, digest: str, code_sha256: str, key_id: int, reason: str, now_ms: int) -> Ticket:
    """A new ticket with all that the old one has left; the old one is dead. Raises LifeError."""
    if old.status not in _ALIVE:
        raise LifeError("state", old.status)
    status = UNPAID if UNPAID in (old.status, old.status_before) else VALID
    new = replace(
        old,
        id=new_id,
        digest=digest,
        code_sha256=code_sha256,
        key_id=key_id,
        status=status,
        status_before="",
        reason="",
        issued_ms=now_ms,
        import_id="",
        listed=0,
        listed_number=0,
        replaces=old.id,
    )
    old.status, old.status_before, old.reason, old.replaced_by = REVOKED, "", reason, new_id
    return new


def last_entry(stays: list[Visit], key: str = "") -> Visit:
    """The visit whose entry is taken back: this one, or that of the newest entry. Raises LifeError."""
    wanted = [visit for visit in stays if (visit.key == key if key else visit.is_entry)]
    found = [visit for visit in wanted if visit.state != visits.ANNULLED]
    if not found:
        raise LifeError("no_entry")
    return max(found, key=lambda visit: visit.granted_ms)


def take_back(visit: Visit, ticket: Ticket, now_ms: int) -> int:
    """An entry that was used never happened: returns how many of it are counted as inside."""
    inside = visit.inside
    visit.left = visit.passed
    visit.state = visits.ANNULLED
    visit.ended_ms = now_ms if visit.ended_ms is None else visit.ended_ms
    visits.give_back(visit, ticket)
    return inside
