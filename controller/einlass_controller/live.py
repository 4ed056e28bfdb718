"""What the engine keeps in memory: site, zones, lanes, nodes and their books. All of it is in the store as well."""

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from einlass_controller.domain import ledger, visits
from einlass_controller.domain.catalogue import BUILT_IN, Catalogue, in_force, read_catalogue
from einlass_controller.domain.hours import Opening
from einlass_controller.domain.occupancy import Account, Books, Report, Zone
from einlass_controller.domain.shares import Demand, Leasing
from einlass_controller.domain.snapshot import CHANGES
from einlass_controller.messages import Ask
from einlass_controller.parking_book import ParkingBook, load_parking, with_products
from einlass_controller.store.schema import (
    ACCOUNT,
    DEAD_LETTER,
    DECISION,
    EPOCH,
    HELD_BACK,
    LANE,
    LEDGER,
    NODE,
    RULES,
    SIGNING_KEY,
    SITE,
    TICKET,
    TICKET_IMPORT,
    VISIT,
    ZONE,
)
from einlass_controller.voucher_book import VoucherBook, load_book
from einlass_core import wire
from einlass_core.signed import PublicKey

RECENT_MAX = 50
PAST_INCARNATIONS_MAX = 50
ONLINE_LAPSE_MS = 30_000
# What load() asks: written down once, for a question that SQLAlchemy knows already costs a third.
_SITE = select(SITE.c.id, SITE.c.name, SITE.c.name_en, SITE.c.time_zone, SITE.c.mode, SITE.c.mode_by, SITE.c.closed_ms)
_ZONES = select(ZONE).order_by(ZONE.c.id)
_LANES = select(LANE).order_by(LANE.c.id)
_NODES = select(NODE).order_by(NODE.c.id)
_ACCOUNTS = select(ACCOUNT)
_RULES = select(RULES).order_by(RULES.c.version)
_KEYS = select(SIGNING_KEY)
_UNFINISHED = select(TICKET_IMPORT.c.id).where(TICKET_IMPORT.c.done.is_(False))
_EPOCH = select(EPOCH.c.epoch, EPOCH.c.recount)
_LAST_ENTRY = select(LEDGER.c.number, LEDGER.c.hash).order_by(LEDGER.c.number.desc()).limit(1)
_RECENT = select(LEDGER).where(LEDGER.c.kind != CHANGES).order_by(LEDGER.c.number.desc()).limit(RECENT_MAX)
_LAST_DECISION = select(func.max(DECISION.c.number))
_LAST_LETTER = select(func.max(DEAD_LETTER.c.number))
# Below 0: a ticket that is to be looked at once more, and the number that it had.
_LAST_LISTED = [
    *(select(func.max(table.c.listed_number)) for table in (TICKET, HELD_BACK)),
    select(-func.min(TICKET.c.listed_number)),
]
_GRANTED = (
    select(VISIT.c.lane, func.sum(VISIT.c.persons)).where(VISIT.c.state == visits.RESERVED).group_by(VISIT.c.lane)
)
# Lists are numbered in ranges: after a restore the next but one begins, which no lost change can have reached.
LIST_RANGE = 1_000_000
# Epochs beyond this begin where the last of them did: a number has to fit into a message.
LISTED_EPOCHS_MAX = 400


def next_range(number: int, epoch: int) -> int:
    """Where lists go on after a restore: no list that was told before has come so far."""
    return max((number // LIST_RANGE + 2) * LIST_RANGE, lists_begin(epoch))


def lists_begin(epoch: int) -> int:
    """The least number of a change in an epoch: also when the controller starts anew before anything has changed."""
    return max(1, 2 * min(epoch, LISTED_EPOCHS_MAX) * LIST_RANGE)


class NotSetUpError(RuntimeError):
    """The database has no site."""


@dataclass(frozen=True, slots=True)
class Site:
    """The site this controller runs. mode: domain.admission; closed_ms: the last nightly close that was done."""

    id: str
    name: str
    name_en: str
    time_zone: str
    mode: str = ""
    mode_by: str = ""
    closed_ms: int = 0


@dataclass(frozen=True, slots=True)
class Area:
    """A zone's names and whether it takes people in; its numbers are in the books.

    shut_from_ms, shut_until_ms: no entries by order of a person. counted_ms: the last correction or nightly close;
    counted: up to which record of each lane's node (incarnation, number) that count has all movements, and the version
    of the ceiling by which the lane has told all that was before (0: it has, or need not). See also house.CAME.
    """

    id: str
    parent: str
    name: str
    name_en: str
    is_open: bool
    shut_from_ms: int | None = None
    shut_until_ms: int | None = None
    counted_ms: int = 0
    counted: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)

    def shut_at(self, now_ms: int) -> bool:
        """Whether a person closed it for now."""
        from_ms, until_ms = self.shut_from_ms, self.shut_until_ms
        by_hand = from_ms is not None and from_ms <= now_ms and (until_ms is None or now_ms < until_ms)
        return not self.is_open or by_hand


@dataclass(frozen=True, slots=True)
class Lane:
    """zones: every zone it leads into, the innermost first. node "": kept by the controller itself.

    outer: where it starts ("": outside); leaves: the zones that somebody is no longer in who goes through.
    issues: the product of the parking tickets that it gives out; "": none.
    """

    id: str
    zone: str
    node: str
    name: str
    name_en: str
    zones: tuple[str, ...]
    outer: str = ""
    leaves: tuple[str, ...] = ()
    issues: str = ""


@dataclass(slots=True)
class Booking:
    """Persons booked for a slot of a zone ("": every zone) who have not come yet."""

    zone: str
    slot_ms: int
    persons: int


class Asked(NamedTuple):
    """A ceiling sent to find out whether a journal is an old image's, and what it was known to have before that."""

    inc: str
    epoch: int
    version: int
    records: int
    boot: int

    def proves(self, report: Report, boot: int) -> bool:
        """Whether that journal took it and has no more all the same. Its own node takes it by a record beyond those."""
        if report.inc != self.inc or not self.is_taken(report.epoch, report.version):
            return False
        return report.seq <= self.records or boot < self.boot

    def is_taken(self, epoch: int, version: int) -> bool:
        """Whether who says that it has this ceiling has taken the one that was sent."""
        return (epoch, version) >= (self.epoch, self.version)


@dataclass(slots=True)
class Node:
    """A node as known now. What stands after `alarm` is not stored."""

    id: str
    board: str
    inc: str
    past: list[str]
    boot: int
    applied: int
    software: str
    hardware: str
    emergency: bool
    fault: str
    alarm: str
    online: bool = False
    seen_ms: int = 0
    waiting: int = 0
    lane_state: str = ""
    gap_since_ms: int = 0  # or since the last alarm about it, on the steady clock; 0: there is none
    sent: tuple[int, int] = (0, 0)  # boot, and up to which record it was acknowledged: these do not come again
    strikes: int = 0  # words that may be of an old image, since the last one that cannot
    struck_ms: int = 0
    clock_right_ms: int = 0  # when it last told something at once with the right time, on the steady clock; 0: not yet
    wall_offsets: tuple[int, int] | None = None  # least and most that ours was beyond the steady one since
    heard: int = 0  # the most records that it has said to have, acknowledged or not
    asked: Asked | None = None  # whether it has an old image
    cut_off: str = ""  # what its lane does alone
    wish: tuple[int, int] = (0, 0)  # its last request for a lease: boot, and its own clock then
    leased: tuple[int, int] = (0, 0)  # the request that was answered last
    listed: tuple[int, int] | None = None  # the version of its list (added, removed)
    listed_ms: int = 0  # when it last was as new as ours
    list_sent_ms: int = 0
    list_to: tuple[int, int] = (0, 0)  # the version that it has when it has taken what was sent last
    list_number: int = 0  # of the change up to which nothing was found that it lacks
    list_piece: tuple[int, str, int, int] = (0, "", 0, 0)  # of a whole list: pieces sent, last digest, version to reach
    trust: tuple[int, str] | None = None  # which keys and products it judges signed tickets by; None: it does not
    trust_sent_ms: int = 0
    is_trust_current: bool = False

    def keep_unstored(self, old: "Node") -> None:
        """Take over what only memory knows from the state that this one replaces."""
        self.online, self.seen_ms = old.online, old.seen_ms
        self.waiting, self.lane_state = old.waiting, old.lane_state
        self.cut_off, self.wish, self.listed = old.cut_off, old.wish, old.listed
        self.listed_ms = old.listed_ms
        self.trust, self.is_trust_current = old.trust, old.is_trust_current
        self.clock_right_ms, self.wall_offsets = old.clock_right_ms, old.wall_offsets
        if self.inc == old.inc:  # of another journal it says nothing
            self.gap_since_ms, self.sent, self.heard = old.gap_since_ms, old.sent, old.heard
            self.strikes, self.struck_ms = old.strikes, old.struck_ms
            self.asked = old.asked


class WaitingAsk(NamedTuple):
    """A question that is answered when lent places have come back, or at until_ms. Only memory knows it."""

    message: Ask
    until_ms: int


@dataclass(slots=True)
class NightClock:
    """What is known of the wall clock for the nightly close; only memory knows it (steps/night_clock.py).

    offset_ms: between the wall clock as it is believed and the steady one. jumped_ms: when the former was set ahead of
    that, on the steady one; None: it was not. skipped_ms: the last close that was left out; None: not looked up yet.
    """

    offset_ms: int | None = None
    jumped_ms: int | None = None
    skipped_ms: int | None = None


@dataclass(slots=True)
class Live:
    """The state between two batches; a batch that fails throws it away."""

    site: Site
    areas: dict[str, Area]
    lanes: dict[str, Lane]
    nodes: dict[str, Node]
    books: Books
    ledger_number: int
    ledger_hash: str
    decision_number: int
    letter_number: int
    lane_of_node: dict[str, Lane] = field(default_factory=dict)
    limit_sent_ms: dict[str, int] = field(default_factory=dict)
    ring: dict[int, PublicKey] = field(default_factory=dict)
    imports_open: set[str] = field(default_factory=set)
    epoch: int = 0
    recount: str = ""  # why nobody is let in before people are counted; "": they are
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))
    catalogues: list[Catalogue] = field(default_factory=list)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    bookings: list[Booking] = field(default_factory=list)
    bookings_read_ms: int = 0
    openings: dict[str, tuple[Catalogue, int, Opening]] = field(default_factory=dict)
    leasing: Leasing = field(default_factory=Leasing)
    demand: dict[str, Demand] = field(default_factory=dict)
    shares: dict[str, int] = field(default_factory=dict)  # spare places that each lane is to hold
    shared_ms: int = 0
    list_number: int = 1  # 1: nothing was ever listed; a lane that has that much has a list, though nobody is on it
    to_look_at: bool = True  # whether there may be tickets of which nobody has said whether they are to be listed
    listed_at_ms: int = 0
    waiting_asks: dict[str, WaitingAsk] = field(default_factory=dict)
    wall_offset_ms: int | None = None  # between the wall clock and the steady one; changes when the former is set
    night_clock: NightClock = field(default_factory=NightClock)
    zones_stored: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # what the table says of each zone
    vouchers: VoucherBook = field(default_factory=VoucherBook)
    parking: ParkingBook = field(default_factory=ParkingBook)
    stamp_secret: bytes = field(default=b"", repr=False)  # keys on parking tickets are made of it; b"": there are none

    @property
    def clocks(self) -> ZoneInfo:
        """The site's time zone."""
        return ZoneInfo(self.site.time_zone)

    def chain_of(self, zone: str) -> tuple[str, ...]:
        """A zone and all it lies in, the innermost first; nothing for outside."""
        return self.chains.get(zone, ())

    def is_for_cars(self, zone: str) -> bool:
        """Whether it is a car park, or lies in one: whoever is in there is a car, and its driver may be anywhere."""
        parks = self.parking.zones
        return bool(parks) and any(name in parks for name in self.chain_of(zone))

    def takes_in(self, zone: str, now_ms: int) -> bool:
        """Whether people are let in there now: by its hours, and nobody closed it or the whole site."""
        return not (self.site.mode or self.areas[zone].shut_at(now_ms)) and self.opening(zone, now_ms).is_open

    def lets_in_until(self, zone: str, now_ms: int) -> int | None:
        """When people are let in there no more, as far as it is known now; now_ms: nobody is let in. None: no end."""
        if not self.takes_in(zone, now_ms) or not self.opening(zone, now_ms).entries:
            return now_ms
        opening, shut_ms = self.opening(zone, now_ms), self.areas[zone].shut_from_ms
        until_ms = self.areas[zone].shut_until_ms
        ahead = shut_ms is not None and shut_ms > now_ms and (until_ms is None or until_ms > shut_ms)
        ends = [opening.last_entry_ms or opening.closes_ms, shut_ms if ahead else None]
        return min((end for end in ends if end is not None), default=None)

    def opening(self, zone: str, now_ms: int) -> Opening:
        """A zone's hours now; worked out again only when they change."""
        catalogue = in_force(self.catalogues, now_ms)
        known = self.openings.get(zone)
        if known is not None and known[0] is catalogue and known[1] <= now_ms < (known[2].next_ms or now_ms + 1):
            return known[2]
        found = catalogue.zone(zone).hours.at(now_ms, self.clocks)
        self.openings[zone] = (catalogue, now_ms, found)
        return found

    def has_told(self, lane: Lane) -> bool:
        """Whether a lane has told all that was before people were last counted in the zones that it leads into."""
        account = self.books.accounts[lane.id]
        for zone in lane.zones:
            inc, seq, version = self.areas[zone].counted.get(lane.id, ("", 0, 0))
            if inc and inc == account.inc and seq < wire.COUNT_MAX and not 0 < version <= account.version:
                return False
        return True

    def guarded(self, zone: str, now_ms: int) -> int:
        """Places that bookings keep free in a zone now."""
        guard = in_force(self.catalogues, now_ms).zone(zone).guard
        if guard is None:
            return 0
        expected = sum(
            booking.persons
            for booking in self.bookings
            if (not booking.zone or zone in self.chain_of(booking.zone))
            and booking.slot_ms - guard.before_ms <= now_ms < booking.slot_ms + guard.release_ms
        )
        return guard.places(expected, self.books.zones[zone].cap)

    def keep_unstored(self, old: "Live") -> None:
        """Take over what only memory knows from the state that this one replaces."""
        self.recent = old.recent
        self.vouchers.guesses = old.vouchers.guesses
        self.parking.shown = old.parking.shown
        self.stamp_secret = old.stamp_secret
        # Of what a failed batch noted there only the jump is true, and that is noted again.
        self.night_clock = replace(old.night_clock, skipped_ms=None)
        self.leasing, self.demand, self.shares, self.shared_ms = old.leasing, old.demand, old.shares, old.shared_ms
        self.wall_offset_ms = old.wall_offset_ms
        for node in self.nodes.values():
            before = old.nodes.get(node.id)
            if before is not None:
                node.keep_unstored(before)


def load(connection: Connection) -> Live:
    """Read everything. Raises NotSetUpError when there is no site yet, InvariantError when the books contradict."""
    site = connection.execute(_SITE).first()
    if site is None:
        raise NotSetUpError("this database has no site: run `einlass controller setup` first")
    areas = {
        row.id: Area(
            row.id,
            row.parent,
            row.name,
            row.name_en,
            row.is_open,
            row.shut_from_ms,
            row.shut_until_ms,
            row.counted_ms,
            {lane: (*mark, 0)[:3] for lane, mark in json.loads(row.counted).items()},  # of two before there were leases
        )
        for row in connection.execute(_ZONES)
    }
    lanes = {
        row.id: Lane(
            row.id,
            row.zone,
            row.node,
            row.name,
            row.name_en,
            led_into(areas, row.zone, row.outer),
            row.outer,
            led_into(areas, row.outer, row.zone),
            row.issues,
        )
        for row in connection.execute(_LANES)
    }
    last = connection.execute(_LAST_ENTRY).first()
    newest = connection.execute(_RECENT).all()
    live = Live(
        Site(*site),
        areas,
        lanes,
        _nodes(connection),
        _books(connection, lanes),
        last.number if last else 0,
        last.hash if last else ledger.GENESIS,
        connection.execute(_LAST_DECISION).scalar() or 0,
        connection.execute(_LAST_LETTER).scalar() or 0,
    )
    live.zones_stored = {name: zone.stored for name, zone in live.books.zones.items()}
    live.parking = load_parking(connection)
    live.catalogues = [with_products(item, live.parking.products) for item in load_catalogues(connection)]
    live.chains = {name: tuple(_chain(areas, name)) for name in areas}
    live.lane_of_node = {lane.node: lane for lane in lanes.values() if lane.node}
    live.ring = {
        row.id: PublicKey(row.id, bytes.fromhex(row.public), row.verify_until_ms, row.revoked_ms)
        for row in connection.execute(_KEYS)
    }
    live.imports_open = set(connection.execute(_UNFINISHED).scalars())
    count = connection.execute(_EPOCH).first()
    live.epoch, live.recount = (count.epoch, count.recount) if count is not None else (0, "")
    newest_listed = [connection.execute(statement).scalar() or 0 for statement in _LAST_LISTED]
    live.list_number = max(lists_begin(live.epoch), *newest_listed)
    live.vouchers = load_book(connection)
    live.vouchers.list_number = max(lists_begin(live.epoch), live.vouchers.list_number)
    for row in reversed(newest):
        live.recent.append({"number": row.number, "at_ms": row.at_ms, "kind": row.kind, "body": json.loads(row.body)})
    return live


def load_catalogues(connection: Connection) -> list[Catalogue]:
    """Every version of the house's rules, oldest first; before the first there are those that are built in."""
    rows = connection.execute(_RULES).all()
    built_in = read_catalogue(BUILT_IN)
    return [built_in, *[read_catalogue(json.loads(row.body), row.version, row.valid_from_ms) for row in rows]]


def led_into(areas: dict[str, Area], zone: str, outer: str) -> tuple[str, ...]:
    """The zones whose count an entry raises: `zone` and what it lies in, as far as `outer` does not lie in it too."""
    around = set(_chain(areas, outer))
    return tuple(name for name in _chain(areas, zone) if name not in around)


def _chain(areas: dict[str, Area], zone: str) -> Iterable[str]:
    seen: list[str] = []
    while zone and zone in areas and zone not in seen:
        seen.append(zone)
        zone = areas[zone].parent
    return seen


def _nodes(connection: Connection) -> dict[str, Node]:
    return {
        row.id: Node(
            row.id,
            row.board,
            row.inc,
            json.loads(row.past),
            row.boot,
            row.applied_seq,
            row.software,
            row.hardware,
            row.emergency,
            row.fault,
            row.alarm,
        )
        for row in connection.execute(_NODES)
    }


def _books(connection: Connection, lanes: dict[str, Lane]) -> Books:
    zones = [Zone(row.id, row.cap, row.base, row.ghosts, untold=row.untold) for row in connection.execute(_ZONES)]
    granted = dict(connection.execute(_GRANTED).all())
    accounts = []
    for row in connection.execute(_ACCOUNTS):
        account = Account(row.lane, lanes[row.lane].zones, row.inc, row.epoch, row.seq, row.version, row.balance)
        account.pending, account.version_sent, account.lowering = row.pending, row.version_sent, row.lowering
        account.frozen, account.leaves = row.frozen, lanes[row.lane].leaves
        account.sent = [(version, ceiling) for version, ceiling in json.loads(row.sent)]
        account.granted = int(granted.get(row.lane, 0))
        account.leased_until_ms = row.leased_until_ms
        accounts.append(account)
    return Books(zones, accounts)
