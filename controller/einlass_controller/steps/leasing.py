"""Places lent to lanes that may be cut off: how many each is to hold, sent, taken back, and for how long they count."""

from einlass_controller.domain import shares
from einlass_controller.domain.shares import Demand
from einlass_controller.live import ONLINE_LAPSE_MS, Lane
from einlass_controller.messages import Status
from einlass_controller.steps.batch import LEASED, Batch
from einlass_controller.steps.house import ask_late

SHARE_EVERY_MS = 2_000
RENEW_MS = 60_000
# A share may be off by this part of it before anything is sent: every change is a record in a journal on flash.
SLACK_PART = 4


def wished(batch: Batch, message: Status) -> None:
    """A status is the request for a lease: it runs from what the lane's clock said then."""
    node = batch.live.nodes[message.node]
    node.cut_off = message.cut_off
    node.wish = (message.boot, message.ms)
    lane = batch.live.lane_of_node.get(node.id)
    if lane is None or node.cut_off != LEASED:
        return
    if not batch.live.has_told(lane):
        for zone in lane.zones:
            ask_late(batch, zone, lane, node.inc)
    boot, from_ms = node.leased
    if (boot != message.boot or message.ms - from_ms >= RENEW_MS) and batch.lease_ms(lane):
        batch.touch(lane)
        batch.send_limit(lane, batch.live.books.accounts[lane.id].newest)


def noted(batch: Batch, lane: Lane, came: int = 0, left: int = 0) -> None:
    """So many came to a lane (let in or not), or left by it."""
    batch.live.demand.setdefault(lane.id, Demand()).note(batch.now_ms, came, left)


def share(batch: Batch) -> None:
    """Every few seconds: what each lane that can be reached is to hold, and more to those that hold less."""
    live = batch.live
    if batch.now_ms - live.shared_ms < SHARE_EVERY_MS:
        return
    live.shared_ms = batch.now_ms
    reached = [lane for lane in live.lanes.values() if _reached(batch, lane)]
    wanted: dict[str, int] = {}
    for name in live.areas:
        here = [lane for lane in reached if name in lane.zones]
        if here:
            for holder, places in _spread(batch, name, here).items():
                wanted[holder] = min(wanted.get(holder, places), places)
    live.shares = wanted
    for lane in reached:
        places, spare = wanted[lane.id], live.books.accounts[lane.id].spare
        if spare > places + places // SLACK_PART:
            batch.touch(lane)  # taken back when the batch closes
        elif spare < places - places // SLACK_PART and not live.books.accounts[lane.id].is_lowering:
            keep = {zone: live.guarded(zone, batch.now_ms) for zone in lane.zones}
            limit = live.books.lend(lane.id, places, keep)
            if limit is not None:
                batch.touch(lane)
                batch.send_limit(lane, limit)


def take_back(batch: Batch, lane: Lane) -> None:
    """What a lane holds beyond its share."""
    places = batch.live.shares.get(lane.id, 0)
    limit = batch.live.books.lower(lane.id, places + places // SLACK_PART)
    if limit is not None:
        batch.send_limit(lane, limit)


def call_back(batch: Batch) -> None:
    """Somebody was refused for want of a place while other lanes hold some: they are asked to give them back."""
    live = batch.live
    for zone, persons in sorted(batch.short.items()):
        holders = [lane for lane in live.lanes.values() if zone in lane.zones and _reached(batch, lane)]
        holders.sort(key=lambda lane: -live.books.accounts[lane.id].spare)
        missing = persons - sum(live.books.accounts[lane.id].spare for lane in holders if _comes_back(batch, lane))
        for lane in holders:
            spare = live.books.accounts[lane.id].spare
            limit = live.books.lower(lane.id, max(0, spare - missing)) if missing > 0 else None
            if limit is not None:
                missing -= spare
                batch.touch(lane)
                batch.send_limit(lane, limit)


def may_come_back(batch: Batch, lane: Lane, persons: int) -> bool:
    """Whether so many would find a place at this lane if the others that can be reached gave theirs back."""
    live = batch.live
    own = live.books.accounts[lane.id].spare
    others = [other for other in live.lanes.values() if other is not lane and _reached(batch, other)]
    for name in lane.zones:
        zone = live.books.zones[name]
        lent = sum(live.books.accounts[other.id].spare for other in others if name in other.zones)
        free = zone.cap - zone.committed - live.guarded(name, batch.now_ms)
        if not lent or own + max(0, free) + lent < persons:
            return False
    return True


def _comes_back(batch: Batch, lane: Lane) -> bool:
    return batch.live.books.accounts[lane.id].is_lowering


def _spread(batch: Batch, zone: str, lanes: list[Lane]) -> dict[str, int]:
    """The free places of a zone and what these lanes hold of it, spread anew."""
    live = batch.live
    books = live.books.zones[zone]
    held = sum(live.books.accounts[lane.id].spare for lane in lanes)
    free = books.cap - live.guarded(zone, batch.now_ms) - books.committed + held
    weights = {
        lane.id: 1.0 if live.leasing.equal else live.demand.setdefault(lane.id, Demand()).weight(batch.now_ms)
        for lane in lanes
    }
    return shares.spread(shares.lent(free, live.leasing.percent), weights)


def _reached(batch: Batch, lane: Lane) -> bool:
    """Whether it may hold lent places: not where nobody is to be let in now, cut off or not."""
    live = batch.live
    if live.recount or not all(live.takes_in(name, batch.now_ms) for name in lane.zones):
        return False
    node = live.nodes.get(lane.node)
    if node is None or node.cut_off != LEASED or node.emergency or not node.online:
        return False
    if node.listed is None or not node.listed[0]:  # without a list it could let nobody in alone
        return False
    account = batch.live.books.accounts[lane.id]
    return batch.now_ms - node.seen_ms < ONLINE_LAPSE_MS and account.inc == node.inc and not account.frozen
