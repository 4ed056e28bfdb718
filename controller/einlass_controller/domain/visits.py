"""One stay of one ticket, driven by what nodes report: release and passage are separate facts.

    reserved --released--> released --passed--> present --left--> ended
       |                      |
       +--given up, rebooted--+--unused by all--> annulled    (place and entry count come back)

Only passages make somebody present. `doubtful`: a node could not tell whether the person went through; he counts.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from einlass_controller.domain.tickets import Ticket

RESERVED = "reserved"
RELEASED = "released"
PRESENT = "present"
ENDED = "ended"
ANNULLED = "annulled"
OPEN = (RESERVED, RELEASED, PRESENT)


@dataclass(slots=True)
class Visit:
    """key: the decision that admitted it, "node/side/nonce". persons: granted; passed, unused, left: of those.

    entries: how many of the ticket's it uses; turns: 1 when it counts as a use of the day. Both come back with an
    annulment. A way in that leads into several zones at once makes one visit in each, for those who really passed.
    """

    key: str
    node: str
    nonce: str
    ticket: str
    lane: str
    zone: str
    persons: int
    state: str
    granted_ms: int
    passed: int = 0
    unused: int = 0
    left: int = 0
    began_ms: int | None = None
    ended_ms: int | None = None
    doubtful: bool = False
    entries: int = 1
    turns: int = 1

    @property
    def is_open(self) -> bool:
        """Whether the ticket's bearer is under way or inside."""
        return self.state in OPEN

    @property
    def inside(self) -> int:
        """Persons of this visit who are inside now."""
        return max(0, self.passed - self.left)

    @property
    def since_ms(self) -> int:
        """When the first of them went through, or was let in."""
        return self.granted_ms if self.began_ms is None else self.began_ms


def release(visit: Visit) -> bool:
    """The lane unlocked. False: this visit was not waiting for a release (a contradiction worth an alarm)."""
    if visit.state == RESERVED:
        visit.state = RELEASED
        return True
    return visit.state in (RELEASED, PRESENT)


def enter(visit: Visit, ticket: Ticket | None, persons: int, at_ms: int, doubtful: bool = False) -> None:
    """So many went through. Also after an annulment: a body that passed is a body inside."""
    if visit.state == ANNULLED and ticket is not None:
        _use(visit, ticket, 1)
    if visit.began_ms is None:
        visit.began_ms = at_ms
    visit.state = PRESENT
    visit.passed += persons
    visit.doubtful = visit.doubtful or doubtful
    if ticket is not None:
        ticket.first_use_ms = at_ms if ticket.first_use_ms is None else ticket.first_use_ms
        ticket.last_use_ms = at_ms
        ticket.last_lane = visit.lane


def turn_back(visit: Visit, ticket: Ticket | None, persons: int, at_ms: int) -> bool:
    """So many surely did not go through; True when nobody of the group did, so that the visit is annulled."""
    visit.unused += persons
    if visit.passed == 0 and visit.unused >= visit.persons and visit.is_open:
        annul(visit, ticket, at_ms)
        return True
    return False


def annul(visit: Visit, ticket: Ticket | None, at_ms: int) -> bool:
    """The reservation never happened: the entry count comes back. False: somebody is inside or it was over already."""
    if visit.state not in (RESERVED, RELEASED):
        return False
    visit.state = ANNULLED
    visit.ended_ms = at_ms
    if ticket is not None:
        give_back(visit, ticket)
    return True


def give_back(visit: Visit, ticket: Ticket) -> None:
    """What the visit used of the ticket is there again."""
    _use(visit, ticket, -1)


def _use(visit: Visit, ticket: Ticket, sign: int) -> None:
    ticket.entries_used = max(0, ticket.entries_used + sign * visit.entries)
    if visit.granted_ms >= ticket.day_ms:  # another day's count is not touched by a late annulment
        ticket.entries_today = max(0, ticket.entries_today + sign * visit.turns)


def leave(visit: Visit, persons: int, at_ms: int) -> int:
    """So many of this visit went out; returns how many of them it could account for."""
    gone = min(persons, visit.inside)
    visit.left += gone
    if visit.state == PRESENT and visit.inside == 0:
        visit.state = ENDED
        visit.ended_ms = at_ms
    return gone


def of_earlier_boots(visits: Iterable[Visit], state: str, node: str, inc: str, boot: int) -> list[Visit]:
    """Visits in this state that an earlier boot of the node asked for: it forgot them, and what it did with them."""
    return [
        visit
        for visit in visits
        if visit.node == node and visit.state == state and _earlier_boot(visit.nonce, inc, boot)
    ]


def _earlier_boot(nonce: str, inc: str, boot: int) -> bool:
    parts = nonce.split(".")
    return len(parts) == 3 and parts[0] == inc and parts[1].isdigit() and int(parts[1]) < boot


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the bearers of a ticket are, as a lane into some zone sees it.

    inside: nobody of them can come in here: they are, or just walk in, or are under way elsewhere. movable: so many
    are elsewhere in the house and may walk over. first: the visit to tell them about.
    """

    inside: bool
    movable: int
    first: Visit | None


def stand(visits: Iterable[Visit], zone: str, chain_of: Callable[[str], Sequence[str]]) -> Standing:
    """chain_of: a zone and all it lies in. People in a zone are also in those around it."""
    here, under_way = 0, False
    elsewhere: dict[str, int] = {}
    first: Visit | None = None
    for visit in visits:
        if not visit.is_open:
            continue
        under = visit.state in (RESERVED, RELEASED)
        covers = zone in chain_of(visit.zone)
        if first is None or (covers and zone not in chain_of(first.zone)):
            first = visit
        if covers and (under or visit.zone == zone):
            here += visit.persons - visit.unused if under else visit.inside
        elif under:
            under_way = True
        elif not covers:
            elsewhere[visit.zone] = elsewhere.get(visit.zone, 0) + visit.inside
    movable = 0 if under_way else max(0, max(elsewhere.values(), default=0) - here)
    return Standing(movable == 0 and (here > 0 or under_way), movable, first)
