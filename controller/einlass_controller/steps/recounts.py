"""A count by people, after a restore: until it is confirmed nobody is let in, and nobody is kept in."""

from einlass_controller.domain import recount
from einlass_controller.live import ONLINE_LAPSE_MS
from einlass_controller.orders import ConfirmRecount, Recounted, Restored
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.house import mark_counted


def restored(batch: Batch, order: Restored) -> bool:
    """The database is older than what was known of it."""
    batch.need_recount(order.reason, order.epoch)
    return True


def confirm(batch: Batch, order: ConfirmRecount) -> Recounted:
    """People were counted. Not while a lane that can be reached has yet to begin anew or has somebody under way."""
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
    if set(away) - set(order.without):
        return Recounted("unreached", tuple(sorted(set(away) - set(order.without))))
    live.books = recount.counted(live.books, order.people)
    reason, live.recount = live.recount, ""
    batch.keep_epoch()
    batch.touch_all()
    for zone in live.areas:
        mark_counted(batch, zone, batch.now_ms)
    batch.record("recount", people=dict(order.people), by=order.by, reason=reason, without=away, epoch=live.epoch)
    return Recounted("done", tuple(away))
