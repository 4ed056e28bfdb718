"""Free places for signs: told when a sign comes, when the figure changes, and every minute."""

from typing import Any

from einlass_controller.live import Node
from einlass_controller.steps.batch import Batch
from einlass_controller.view import reachable

AGAIN_MS = 60_000


def tell(batch: Batch) -> None:
    """What has changed since each sign was told last."""
    for name, zone in batch.live.parking.signs.items():
        node = batch.live.nodes.get(name)
        if node is None or not node.inc or not node.online:
            continue
        shown, said = batch.live.parking.shown.get(name), _places(batch, node, zone)
        if shown is None or {**shown, "at_ms": 0} != {**said, "at_ms": 0}:
            batch.live.parking.shown[name] = said | {"at_ms": batch.now_ms}
            batch.send(name, "places", said)


def again(batch: Batch) -> None:
    """With the minute all are told again: no message is certain to have arrived."""
    shown = batch.live.parking.shown
    for name in [name for name, said in shown.items() if batch.now_ms - said["at_ms"] >= AGAIN_MS]:
        del shown[name]


def forget(batch: Batch, node: Node) -> None:
    """A sign has come back, and may show anything."""
    batch.live.parking.shown.pop(node.id, None)


def _places(batch: Batch, node: Node, zone: str) -> dict[str, Any]:
    live = batch.live
    books = live.books.zones[zone]
    figures = books.figures()
    away = [
        lane
        for lane in live.lanes.values()
        if zone in (*lane.zones, *lane.leaves) and lane.node and not reachable(live.nodes[lane.node], batch.now_ms)
    ]
    free = max(0, books.cap - figures.present - figures.reserved - live.guarded(zone, batch.now_ms))
    is_open = live.takes_in(zone, batch.now_ms)
    return {"inc": node.inc, "zone": zone, "free": free, "open": is_open, "about": bool(away)}
