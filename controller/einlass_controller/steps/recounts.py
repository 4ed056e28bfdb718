"""A count by people, after a restore: until it is confirmed nobody is let in, and nobody is kept in."""

from einlass_controller.domain import recount
from einlass_controller.live import ONLINE_LAPSE_MS
from einlass_controller.orders import ConfirmRecount, LeasesUnknown, Recounted, Restored
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.house import mark_counted


def restored(batch: Batch, order: Restored) -> bool:
    """The database is older than what was known of it."""
    batch.need_recount(order.reason, order.epoch)
    return True


def leases_unknown(batch: Batch, order: LeasesUnknown) -> int:
    """The steady clock begins anew: what was lent before ends a whole lease from now at the latest."""
    lent = [lane for lane in batch.live.lanes.values() if batch.live.books.accounts[lane.id].leased_until_ms]
    for lane in lent:
        account = batch.live.books.accounts[lane.id]
        account.leased_until_ms = 0  # on a clock that is no more
        batch.may_hold_a_lease(lane)
    return len(lent)


def confirm(batch: Batch, order: ConfirmRecount) -> Recounted:
    """People were counted. Not while a lane that can be reached has yet to begin anew or has somebody under way.

    Nor while one that cannot be reached may still let people in with what it was lent.
    """
    live = batch.live
    if not live.recount:
        return Recounted("not_needed")
    unknown = sorted(live.areas.keys() ^ order.people.keys())
    if unknown:
        return Recounted("zones", tuple(unknown))
    nodes = {lane.id: live.nodes[lane.node] for lane in live.lanes.values() if lane.node}
    late = recount.waiting(live.books)
    away = [lane for lane in late if not nodes[lane].online or batch.now_ms - nodes[lane].seen_ms >= ONLINE_LAPSE_MS]
    if set(late) - set(away):
        return Recounted("waiting", tuple(sorted(set(late) - set(away))))
    off = set(order.switched_off)
    unnamed = sorted(set(away) - set(order.without) - off)
    if unnamed:
        return Recounted("unreached", tuple(unnamed))
    waits = recount.leased(live.books, set(away) - off, batch.steady_ms)
    if waits:
        return Recounted("leased", tuple(waits), tuple(waits.values()))
    live.books = recount.counted(live.books, order.people)
    reason, live.recount = live.recount, ""
    batch.keep_epoch()
    batch.touch_all()
    for zone in live.areas:
        mark_counted(batch, zone, batch.now_ms)
    said = {"switched_off": sorted(off & set(away))} if off & set(away) else {}
    batch.record(
        "recount", people=dict(order.people), by=order.by, reason=reason, without=away, epoch=live.epoch, **said
    )
    for lane in live.lanes.values():
        limit = live.books.lend(lane.id, 0) if lane.node else None
        if limit is not None:
            batch.send_limit(lane, limit)
    return Recounted("done", tuple(away))
