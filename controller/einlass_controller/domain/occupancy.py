"""The cap, as exact books: net-flow ceilings of every lane, and what they add up to in every zone.

The controller tells a lane "your own entries minus exits may rise to A"; the lane reports "I am at b, under version
v". Nothing is a delta, so lost, late, repeated and reordered messages do no harm. Exposure x of a lane = max(b, every A
that may still be in force). Held at every change: books >= reality, b <= x; at every admission: base + ghosts + sum(x)
<= cap. A lane between two zones also takes people out of the zone it starts in: those who surely went through, and no
earlier (`gone`); those who come back through it are a fact there, as every exit is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_NOTHING: Mapping[str, int] = {}


class InvariantError(RuntimeError):
    """The books contradict themselves: an alarm, never a state to go on from. `name` says which rule broke."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name


class Limit(NamedTuple):
    """A ceiling as it is sent; newer is by (epoch, version), never by arrival."""

    epoch: int
    version: int
    ceiling: int


class Report(NamedTuple):
    """What a lane says of itself. seq: movements so far; balance: entries minus exits; pending: of those, under way."""

    inc: str
    seq: int
    epoch: int
    version: int
    ceiling: int
    balance: int
    pending: int


class Taken(NamedTuple):
    """What became of a report. raised: places taken without a ceiling that allowed it (forced, or a foreign limit)."""

    accepted: bool
    raised: int = 0


class Figures(NamedTuple):
    """The four figures of a zone; present + reserved + leased + free = cap, always.

    All are at least 0, except free when more people are inside than the cap allows (forced, or the cap was lowered).
    """

    present: int
    reserved: int
    leased: int
    free: int

    @property
    def over(self) -> int:
        """Persons over the cap."""
        return max(0, -self.free)


@dataclass(slots=True)
class Account:
    """The controller's books of one lane. sent: (version, ceiling) not superseded, versions up, ceilings down.

    zones: whose count an entry raises; leaves: whose count it lowers.
    """

    lane: str
    zones: tuple[str, ...]
    inc: str = ""
    epoch: int = 0
    seq: int = 0
    version: int = 0
    balance: int = 0
    pending: int = 0
    version_sent: int = 0
    lowering: int = 0
    frozen: bool = False
    sent: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    granted: int = 0  # persons let in whose release the lane has not reported yet
    leaves: tuple[str, ...] = ()
    leased_until_ms: int = 0  # by then, on the steady clock, every lease it was sent has surely ended

    @property
    def gone(self) -> int:
        """Persons who surely left the zones that this lane starts in; negative: more came back."""
        return self.balance - self.pending

    @property
    def exposure(self) -> int:
        """x: the most that balance can be, whatever is still on the way."""
        return max(self.balance, self.sent[0][1])

    @property
    def held(self) -> int:
        """Persons granted and not yet in the balance; never more than the exposure leaves room for."""
        return max(0, min(self.granted, self.exposure - self.balance))

    @property
    def spare(self) -> int:
        """Places that it holds beyond those in use and those granted: what it may use alone."""
        return 0 if self.frozen else max(0, self.exposure - self.balance - self.granted)

    @property
    def is_lowering(self) -> bool:
        """Whether it has yet to say that it took the last lowering."""
        return self.lowering > self.version

    @property
    def newest(self) -> Limit:
        """The limit last sent."""
        return Limit(self.epoch, *self.sent[-1])

    @property
    def unacknowledged(self) -> bool:
        """Whether the lane has yet to say that it took the limit last sent."""
        return self.version_sent > self.version


@dataclass(slots=True)
class Zone:
    """One cap. base: persons counted when the epoch began; ghosts (signed): owed to nodes that lost their journal."""

    id: str
    cap: int
    base: int = 0
    ghosts: int = 0
    exposure: int = 0  # running sums over the accounts whose lanes lead into this zone
    balance: int = 0
    pending: int = 0
    held: int = 0
    gone: int = 0  # over the accounts whose lanes start in this zone
    excused: int = 0  # how far over the cap facts (not decisions) have brought it
    floored: int = 0  # how far below nobody what was told late would have brought it since the last count
    doubt: int = 0  # so many may be counted too many since then: more left than were known to be inside
    untold: int = 0  # places kept for what lanes have yet to tell of the time before the last count

    @property
    def stored(self) -> tuple[int, int, int]:
        """What of it is stored: all else follows from the accounts."""
        return self.base, self.ghosts, self.untold

    @property
    def committed(self) -> int:
        """Places that are, or may at any moment be, taken."""
        return self.base + self.ghosts + self.exposure - self.gone + self.untold

    @property
    def taken(self) -> int:
        """Persons inside by all that is known, under way, or granted a place."""
        return self.counted + self.pending + self.held

    @property
    def counted(self) -> int:
        """Persons inside by all that is known; below nobody when entries of a cut-off lane are not reported yet."""
        return self.base + self.ghosts + self.balance - self.pending - self.gone

    def figures(self) -> Figures:
        """The screen figures; a count below zero (people left whom nobody saw enter) is shown as zero."""
        present = self.counted
        reserved = self.pending + self.held
        leased = self.exposure - self.balance - self.held + self.untold
        if present < 0:  # entries of a cut-off lane are not reported yet, the exits elsewhere are
            present, leased = 0, leased + present
        if leased < 0:
            leased, reserved = 0, reserved + leased
        return Figures(present, reserved, leased, self.cap - present - reserved - leased)


class Books:
    """All accounts and zones of a site. Every method leaves the invariants true or raises InvariantError."""

    def __init__(self, zones: Iterable[Zone], accounts: Iterable[Account]) -> None:
        self.zones = {zone.id: zone for zone in zones}
        self.accounts = {account.lane: account for account in accounts}
        self._of_lanes = {  # the zones that each leads into, and those that it leaves
            lane: tuple(tuple(self.zones[name] for name in names) for names in (account.zones, account.leaves))
            for lane, account in self.accounts.items()
        }
        for account in self.accounts.values():
            self._add(account, 1)
        for zone in self.zones.values():
            zone.excused = max(0, zone.committed - zone.cap)
        self.audit()

    def grant(self, lane: str, persons: int, keep: Mapping[str, int] = _NOTHING) -> Limit | None:
        """Room for so many at this lane, as the limit to send; None when a zone it leads into has none.

        What the lane holds already is used first, but never beyond the cap: facts may have filled the zone since.
        keep: places by zone that must stay free afterwards.
        """
        account = self.accounts[lane]
        ceiling = account.balance + account.held + persons
        if any(zone.taken + persons > zone.cap for zone in self._zones(account)):
            return None
        if ceiling > account.newest.ceiling and not self._has_room(account, ceiling, keep):
            return None
        before = _sums(account)
        account.granted += persons
        if ceiling > account.newest.ceiling:
            self._send(account, ceiling)
        self._moved(account, before)
        return account.newest

    def lend(self, lane: str, places: int, keep: Mapping[str, int] = _NOTHING) -> Limit | None:
        """So many places for this lane to use alone, as the limit to send; None when it has them or there is no room.

        keep: places by zone that must stay free afterwards.
        """
        account = self.accounts[lane]
        ceiling = account.balance + account.granted + places
        if account.frozen or ceiling <= account.newest.ceiling or not self._has_room(account, ceiling, keep):
            return None
        before = _sums(account)
        self._send(account, ceiling)
        self._moved(account, before)
        return account.newest

    def again(self, lane: str) -> Limit:
        """The same ceiling under a new version: whoever acknowledges it has told all that came before."""
        account = self.accounts[lane]
        before = _sums(account)
        self._send(account, account.newest.ceiling)
        self._moved(account, before)
        return account.newest

    def settle(self, lane: str, persons: int) -> None:
        """A grant of so many has an end: it was released (and is in the balance) or never will be."""
        account = self.accounts[lane]
        before = _sums(account)
        account.granted = max(0, account.granted - persons)
        self._moved(account, before)

    def report(self, lane: str, report: Report) -> Taken:
        """Take what the lane says of itself, unless it is older than what is known: newest wins, not last received."""
        account = self.accounts[lane]
        if report.inc != account.inc or report.epoch != account.epoch or account.frozen:
            return Taken(False)
        if report.seq < account.seq or report.version < account.version or self.contradicts(lane, report):
            return Taken(False)
        known = (account.seq, account.version, account.balance, account.pending)
        if known == (report.seq, report.version, report.balance, report.pending):
            return Taken(True)  # said again
        before, exposure = _sums(account), account.exposure
        account.seq, account.version = report.seq, report.version
        account.balance, account.pending = report.balance, report.pending
        if report.version > account.version_sent:  # from a controller that is no more: what it allowed still counts
            account.version_sent = report.version
            account.sent = [(report.version, report.ceiling)]
        account.sent = [item for item in account.sent if item[0] >= report.version]
        self._moved(account, before, fact=True)
        return Taken(True, max(0, account.exposure - exposure))

    def contradicts(self, lane: str, report: Report) -> bool:
        """Whether no journal can say both this and what is known: one of the two is not to go on.

        Each record has the account as it stood then, and nothing is told that is in none. So the same record says the
        same of who is inside, a later one has no older ceiling, and an earlier one no newer.
        """
        account = self.accounts[lane]
        if report.inc != account.inc:
            return False
        limit, known = (report.epoch, report.version), (account.epoch, account.version)
        if report.seq > account.seq:  # version 0: in this epoch it has told nothing yet
            return account.version > 0 and limit < known
        if report.seq < account.seq:
            return limit > known
        said, knew = (report.balance, report.pending), (account.balance, account.pending)
        return report.epoch == account.epoch and said != knew

    def lower(self, lane: str, places: int = 0) -> Limit | None:
        """Take back what a lane holds beyond so many spare places, as the limit to send.

        Frees nothing before it is acknowledged. None when there is nothing to take back or a lowering is on its way.
        """
        account = self.accounts[lane]
        if account.is_lowering or account.spare <= places:
            return None
        before = _sums(account)
        self._send(account, account.balance + account.granted + places)
        account.lowering = account.version_sent
        self._moved(account, before)
        return account.newest

    def renew(self, lane: str, inc: str) -> int:
        """A node came without its journal: what it may have used is owed for ever. Returns the ghosts it left."""
        account = self.accounts[lane]
        ghosts = account.exposure
        self._add(account, -1)
        for zone in self._zones(account):
            zone.ghosts += ghosts
        for zone in self._left(account):
            zone.ghosts -= account.gone
        fresh = Account(lane, account.zones, inc, account.epoch, leaves=account.leaves)
        self.accounts[lane] = fresh
        self._add(fresh, 1)
        for zone in (*self._zones(fresh), *self._left(fresh)):
            self._level(zone, fact=True)
        self.check(fresh)
        return ghosts

    def correct(self, zone: str, persons: int, asked: bool = False) -> int:
        """Staff counted: so many are inside. Returns the difference. The books' base moves, never an account.

        What lanes may still use stays counted beside it, and what nodes without a journal owed is settled.
        asked: lanes that may let people in alone have yet to tell what was before. Whom such a lane let out
        is not in the count, and still in its balance as known here: under its ceiling that many more may come than
        these books would say. So no place that the count frees is given away before all is told (`told`).
        """
        change = persons - self.zones[zone].counted
        self.zones[zone].base += self.zones[zone].ghosts
        self.zones[zone].ghosts = 0
        self.zones[zone].untold = max(0, self.zones[zone].untold - change) if asked else 0
        self.shift(zone, change)
        self.zones[zone].floored = self.zones[zone].doubt = 0
        return change

    def shift(self, zone: str, persons: int) -> None:
        """The count of a zone changes by so many for a reason that no lane reports."""
        self.zones[zone].base += persons
        self._level(self.zones[zone], fact=True)
        check_zone(self.zones[zone])

    def told(self, zone: str) -> None:
        """Every lane has told what was before the last count: it stands for itself now."""
        self.zones[zone].untold = 0
        self._level(self.zones[zone], fact=True)
        check_zone(self.zones[zone])

    def excuse(self, zone: str, persons: int, asked: bool = False) -> None:
        """A lane told late of so many (in: above 0) whom the last count had in it already.

        It comes bit by bit: somebody who came before the count and left before it is nobody, also when the first half
        alone would bring the count below nobody. asked: more of that kind may come.
        """
        found = self.zones[zone]
        if asked:  # base and what is kept beside it are together what they were: never below who is inside
            found.untold = max(0, found.untold + persons)
        settled = min(max(0, -persons), found.floored)
        found.floored += max(0, persons - found.committed) - settled
        self.shift(zone, -persons - settled)

    def freeze(self, lane: str) -> None:
        """An old image was put in: nothing it says is taken until it has a new incarnation."""
        self.accounts[lane].frozen = True

    def walk(self, lane: str, persons: int, keep: Mapping[str, int] = _NOTHING) -> bool:
        """Entry (or, negative, exit) at a lane that the controller keeps itself. False: no room; exits always go."""
        account = self.accounts[lane]
        room = all(zone.committed + persons <= zone.cap - keep.get(zone.id, 0) for zone in self._zones(account))
        if persons > 0 and not room:
            return False
        before = _sums(account)
        account.balance += persons
        account.seq += 1
        account.sent = [(account.version, account.balance)]
        self._moved(account, before, fact=persons < 0)
        return True

    def check(self, account: Account) -> None:
        """The invariants around one account, in constant time: called after every change, in production too."""
        versions = [version for version, _ in account.sent]
        if account.balance > account.exposure:
            raise InvariantError("balance_over_exposure", f"lane {account.lane}: {account.balance}")
        if account.pending < 0 or account.granted < 0:
            raise InvariantError("under_way_below_zero", f"lane {account.lane}: {account.pending}, {account.granted}")
        if versions[-1] != account.version_sent or versions[0] < min(account.version, account.version_sent):
            raise InvariantError("versions_out_of_order", f"lane {account.lane}: {versions}, {account.version}")
        for zone in (*self._zones(account), *self._left(account)):
            check_zone(zone)

    def audit(self) -> None:
        """The invariants from scratch, over every account; called after every batch."""
        sums = {name: [0, 0, 0, 0, 0] for name in self.zones}
        for account in self.accounts.values():
            exposure, balance, pending, held = _sums(account)
            for name in account.zones:
                found = sums[name]
                found[0] += exposure
                found[1] += balance
                found[2] += pending
                found[3] += held
            for name in account.leaves:
                sums[name][4] += balance - pending
        for zone in self.zones.values():
            if sums[zone.id] != [zone.exposure, zone.balance, zone.pending, zone.held, zone.gone]:
                raise InvariantError("sums_drifted", f"zone {zone.id}: {sums[zone.id]}")
            check_zone(zone)

    def _has_room(self, account: Account, ceiling: int, keep: Mapping[str, int]) -> bool:
        raised = max(account.exposure, ceiling) - account.exposure
        return all(zone.committed + raised <= zone.cap - keep.get(zone.id, 0) for zone in self._zones(account))

    def _zones(self, account: Account) -> tuple[Zone, ...]:
        return self._of_lanes[account.lane][0]

    def _left(self, account: Account) -> tuple[Zone, ...]:
        return self._of_lanes[account.lane][1]

    def _add(self, account: Account, sign: int) -> None:
        exposure, balance, pending, held = _sums(account)
        for zone in self._zones(account):
            zone.exposure += sign * exposure
            zone.balance += sign * balance
            zone.pending += sign * pending
            zone.held += sign * held
        for zone in self._left(account):
            zone.gone += sign * account.gone

    def _send(self, account: Account, ceiling: int) -> None:
        account.version_sent += 1
        # An older and not higher ceiling adds nothing to the exposure, now or later: the list stays short.
        while account.sent and account.sent[-1][1] <= ceiling:
            account.sent.pop()
        account.sent.append((account.version_sent, ceiling))

    def _moved(self, account: Account, before: tuple[int, int, int, int], fact: bool = False) -> None:
        after = _sums(account)
        for zone in self._zones(account):
            zone.exposure += after[0] - before[0]
            zone.balance += after[1] - before[1]
            zone.pending += after[2] - before[2]
            zone.held += after[3] - before[3]
            self._level(zone, fact)
        gone = after[1] - after[2] - before[1] + before[2]
        for zone in self._left(account):
            zone.gone += gone
            self._level(zone, fact)
        self.check(account)

    def _level(self, zone: Zone, fact: bool) -> None:
        if zone.committed < 0:  # surely more left than were counted in: the count was too low, never below nobody
            zone.doubt -= zone.committed
            zone.base -= zone.committed
        over = max(0, zone.committed - zone.cap)
        # What happened (a forced gate, a lost journal) may bring a zone over its cap; what is decided never may.
        zone.excused = over if fact else min(zone.excused, over)


def check_zone(zone: Zone) -> None:
    """present + reserved + leased + free = cap, none negative but free, and over the cap only by facts."""
    figures = zone.figures()
    if sum(figures) != zone.cap:
        raise InvariantError("figures_do_not_add_up", f"zone {zone.id}: {figures} is not {zone.cap}")
    if min(figures[:3]) < 0:
        raise InvariantError("figure_below_zero", f"zone {zone.id}: {figures}")
    if zone.committed - zone.cap > zone.excused:
        raise InvariantError("over_cap", f"zone {zone.id}: {zone.committed} of {zone.cap}")


def _sums(account: Account) -> tuple[int, int, int, int]:
    exposure, balance = account.exposure, account.balance
    return exposure, balance, account.pending, max(0, min(account.granted, exposure - balance))
