"""One stay of one ticket, driven by what nodes report: release and passage are separate facts.

    reserved --released--> released --passed--> present --left--> ended
       |                      |
       +--given up, rebooted--+--unused by all--> annulled    (place and entry count come back)

A family's visit goes on while one of it is inside or under way. The nightly close ends it in any case.
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

    left is more than passed when a way out is told before the way in, which a lane that was cut off still has to tell.
    entries: how many of the ticket's it uses; turns: 1 when it counts as a use of the day. Both come back with an
    annulment. A way in that leads into several zones at once makes one visit in each, for those who really passed.
    entry_of: the visit on whose entry these come in, who stayed behind when it began; "": on their own.
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
    entry_of: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the ticket's bearer is under way or inside."""
        return self.state in OPEN

    @property
    def is_entry(self) -> bool:
        """Whether they came in by it; else they walked over within the house, or it is of a zone around another's."""
        return bool(self.turns or self.entry_of)

    @property
    def inside(self) -> int:
        """Persons of this visit who are inside now."""
        return max(0, self.passed - self.left)

    @property
    def walking(self) -> int:
        """Persons of this visit who were let in and may still go through."""
        return max(0, self.persons - max(self.passed, self.left) - self.unused) if self.is_open else 0

    @property
    def untold(self) -> int:
        """Persons of this visit who were let in, and of whom the lane has yet to tell whether they went through."""
        return max(0, self.persons - self.passed - self.unused) if self.is_open else 0

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
    _end(visit, at_ms)  # they may have left already
    if ticket is not None:
        _used(ticket, visit, at_ms)


def _used(ticket: Ticket, visit: Visit, at_ms: int) -> None:
    """What happened last counts, not what was told last."""
    ticket.first_use_ms = at_ms if ticket.first_use_ms is None else ticket.first_use_ms
    if at_ms >= (ticket.last_use_ms or 0):
        ticket.last_use_ms, ticket.last_lane = at_ms, visit.lane


def turn_back(visit: Visit, ticket: Ticket | None, persons: int, at_ms: int) -> bool:
    """So many surely did not go through; True when nobody of the group did, so that the visit is annulled."""
    visit.unused += persons
    if visit.unused >= visit.persons and annul(visit, ticket, at_ms):
        return True
    _end(visit, at_ms)  # he was the last of them who might still have come
    return False


def annul(visit: Visit, ticket: Ticket | None, at_ms: int) -> bool:
    """The reservation never happened: the entry count comes back. False: somebody went through or it was undone.

    Also when the night has ended it meanwhile.
    """
    if visit.passed or visit.state == ANNULLED:
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
    _end(visit, at_ms)
    return gone


def go_home(visit: Visit, at_ms: int) -> int:
    """At night nobody of it is inside or under way any more; returns how many were known to be inside.

    What its lane has to tell of it comes late then: a passage makes it go on, and if nobody went through it never was.
    """
    gone = visit.inside
    visit.left += gone
    if visit.state in (RELEASED, PRESENT):
        visit.state, visit.ended_ms = ENDED, at_ms
    return gone


def _end(visit: Visit, at_ms: int) -> None:
    """It is over when all who came have left, and nobody of it is under way."""
    if visit.state == PRESENT and visit.inside == 0 and not visit.walking:
        visit.state, visit.ended_ms = ENDED, at_ms


def leave_early(visit: Visit, ticket: Ticket, persons: int) -> int:
    """So many went out of whom nobody has told yet that they went in; returns of how many this can be true."""
    gone = min(persons, visit.walking)
    if gone:
        visit.left = max(visit.passed, visit.left) + gone
        _used(ticket, visit, visit.granted_ms)
    return gone


def of_earlier_boots(visits: Iterable[Visit], node: str, inc: str, boot: int) -> list[Visit]:
    """Visits that an earlier boot of the node asked for: it forgot them, and what it did with them."""
    return [visit for visit in visits if visit.node == node and _earlier_boot(visit.nonce, inc, boot)]


def _earlier_boot(nonce: str, inc: str, boot: int) -> bool:
    parts = nonce.split(".")  # incarnation.boot-salt.number; nodes before the salt said incarnation.boot.number
    if len(parts) != 3 or parts[0] != inc:
        return False
    number = parts[1].partition("-")[0]
    return number.isdigit() and int(number) < boot


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the bearers of a ticket are, as a lane into some zone sees it.

    outside: so many of them are in no zone and do not come into one. movable: so many are elsewhere in the house
    and may walk over. missed: so many were let in on an entry that still runs, and did not go through. entry: the visit
    that began with it. first: the visit to tell them about.
    """

    outside: int
    movable: int
    missed: int
    entry: str
    first: Visit | None

    @property
    def inside(self) -> bool:
        """Nobody of them can come in here."""
        return self.outside == 0 and self.movable == 0


ANY_NUMBER = 1_000_000


def stand(
    visits: Sequence[Visit], persons: int, zone: str, outer: str, chain_of: Callable[[str], Sequence[str]]
) -> Standing:
    """A ticket for so many persons at a lane from `outer` into `zone`. chain_of: a zone and all it lies in.

    visits: the open ones, and those that are over of who came in later on the entry of an open one.
    """
    start = chain_of(outer)
    bodies: dict[str, int] = {}
    first: Visit | None = None
    on_the_way = coming = here = 0
    for visit in visits:
        if not visit.is_open:
            continue
        if first is None or (visit.zone == zone and first.zone != zone):
            first = visit
        walking = visit.walking
        on_the_way += walking
        coming += walking if visit.is_entry else 0  # the others are known to be in the zone that they walk over from
        bodies[visit.zone] = bodies.get(visit.zone, 0) + visit.inside
        if visit.zone == zone or zone in chain_of(visit.zone):
            here += walking + (visit.inside if visit.zone == zone else 0)
    known = sum(count for name, count in bodies.items() if len(chain_of(name)) == 1)
    outside = max(0, persons - known - coming)

    # Who stands where the lane starts walks over. Who is anywhere else may only be meant if nobody is outside.
    def may_walk(name: str) -> int:
        """Of those in a zone; who is in a zone within it is in it as well."""
        if name == zone or zone in chain_of(name):
            return 0
        return max(0, bodies[name] - (here if name in chain_of(zone) else on_the_way))

    movable = max((may_walk(name) for name in bodies if name in start), default=0)
    if not movable and not outside and not on_the_way:
        movable = max((may_walk(name) for name in bodies), default=0)
    entry, missing = _incomplete(visits)
    return Standing(outside, movable, min(outside, missing), entry, first)


def _incomplete(visits: Sequence[Visit]) -> tuple[str, int]:
    """The visit that began an entry which still runs and on which not all have come, also later, and how many not."""
    came: dict[str, int] = {}
    for visit in visits:
        if visit.is_entry and visit.state != ANNULLED:
            entry = visit.entry_of or visit.key
            came[entry] = came.get(entry, 0) + max(visit.passed, visit.left) + visit.walking
    for visit in visits:
        if visit.is_open and visit.turns and visit.persons > came[visit.key]:
            return visit.key, visit.persons - came[visit.key]
    return "", 0
