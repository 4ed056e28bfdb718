"""A new count: after a restore no book can be trusted, so nobody is let in until people have been counted.

needed: every lane is told a ceiling in a new epoch that shuts it, and begins at 0; what the old books held stays taken
counted: the zones stand on what people counted; from then on the books are as good as any
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from einlass_controller.domain.occupancy import Account, Books, Zone

# Nobody gets in under this ceiling, not even in the place of somebody who leaves by the same lane.
SHUT_CEILING = -1_000_000


def restart(books: Books, epoch: int) -> Books:
    """Books of a new epoch. What lanes had, or might have used, is in the base now: never below what it was.

    Who came back through a lane that starts in a zone is in it; who left it there may have come back since.
    """
    accounts = [fresh(account, epoch) for account in books.accounts.values()]
    zones = [
        _bare(zone, zone.base + zone.untold + zone.exposure - min(0, zone.gone), zone.ghosts)
        for zone in books.zones.values()
    ]
    return Books(zones, accounts)


def fresh(account: Account, epoch: int) -> Account:
    """The account of a lane that has to take a ceiling that shuts it before anything it says counts."""
    lane = replace(account, epoch=epoch, version=0, balance=0, pending=0, lowering=0, granted=0)
    # A lane that the controller keeps itself has no incarnation and nothing to acknowledge.
    lane.version_sent, lane.sent = (1, [(1, SHUT_CEILING)]) if account.inc else (0, [(0, 0)])
    return lane


def counted(books: Books, people: Mapping[str, int]) -> Books:
    """The zones hold so many people now, whatever the books said; ghosts are gone."""
    zones = []
    for zone in books.zones.values():
        present = zone.balance - zone.pending - zone.gone
        zones.append(_bare(zone, people[zone.id] - present, 0))
    return Books(zones, list(books.accounts.values()))


def waiting(books: Books) -> list[str]:
    """Lanes that have not begun the new epoch, or where somebody is under way: a count now would be wrong."""
    return sorted(
        account.lane
        for account in books.accounts.values()
        if account.inc and (account.unacknowledged or account.pending or account.spare)
    )


def leased(books: Books, lanes: Iterable[str], steady_ms: int) -> dict[str, int]:
    """Those of these lanes that may still let people in alone, and for how many milliseconds more."""
    left = {lane: books.accounts[lane].leased_until_ms - steady_ms for lane in lanes}
    return {lane: wait_ms for lane, wait_ms in sorted(left.items()) if wait_ms > 0}


def knows_more(account: Account, inc: str, epoch: int, version: int) -> bool:
    """Whether a lane has a ceiling that this controller never sent: then its books are older than the lane's."""
    if inc != account.inc or account.frozen:
        return False
    return (epoch, version) > (account.epoch, account.version_sent)


def moved(books: Books, moves: Mapping[str, Account]) -> Books:
    """Accounts that go with their nodes to other lanes (by lane); a lane whose own one went begins with an empty one.

    What was granted stays with the lane: the visits that it was granted to name that.
    """
    accounts = []
    left = {account.lane for account in moves.values()}
    for own in books.accounts.values():
        found = moves.get(own.lane, Account(own.lane, own.zones) if own.lane in left else own)
        accounts.append(replace(found, lane=own.lane, zones=own.zones, leaves=own.leaves, granted=own.granted))
    zones = [Zone(zone.id, zone.cap, *zone.stored[:2], untold=zone.untold) for zone in books.zones.values()]
    return Books(zones, accounts)


def is_used(account: Account) -> bool:
    """Whether a zone's count, or what a lane has yet to tell, hangs on which zones this account leads into."""
    return bool(account.seq or account.exposure or account.balance or account.pending or account.granted)


def _bare(zone: Zone, base: int, ghosts: int) -> Zone:
    """Without the running sums, which new books add up again."""
    return Zone(zone.id, zone.cap, base, ghosts)
