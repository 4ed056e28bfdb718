"""Lanes that judge signed tickets by themselves are told by what: which keys count, which products, where they lead."""

import hashlib
from typing import Any

from einlass_controller.domain.catalogue import REPORT
from einlass_controller.live import Lane, Node, lists_begin
from einlass_controller.messages import Status
from einlass_controller.steps.batch import Batch, log
from einlass_core.signed_alone import PIECE_LENGTH_MAX, PIECES_MAX, Trust

RESEND_MS = 3_000
SUM_LENGTH = 16


def tell(batch: Batch, message: Status) -> None:
    """A status says what the lane goes by: it is told until that is what holds."""
    node = batch.live.nodes[message.node]
    if message.trust is None or node.id not in batch.live.lane_of_node:
        return
    came_on, node.trust = node.trust != message.trust, message.trust
    if came_on or batch.now_ms - node.trust_sent_ms >= RESEND_MS:
        _send(batch, node)


def tell_all(batch: Batch) -> None:
    """A key came or was revoked: every lane that judges signatures is told at once."""
    for node in batch.live.nodes.values():
        if node.trust is not None and node.id in batch.live.lane_of_node:
            _send(batch, node)


def number_of(batch: Batch) -> int:
    """Grows with every key, every revocation, every version of the rules, and beyond any of before with a restore."""
    live = batch.live
    revoked = sum(key.revoked_ms is not None for key in live.ring.values())
    return lists_begin(live.epoch) + len(live.ring) + revoked + batch.catalogue.version


def text_for(batch: Batch, lane: Lane) -> str:
    """What this lane is to go by. What needs the controller (time slots) or is to be refused is not let in alone."""
    products = [product for product in batch.catalogue.products.values() if product.id.isascii()]
    alone = [product.id for product in products if product.while_cut_off == REPORT and product.slots is None]
    ring = {
        key.id: key
        for key in batch.live.ring.values()
        if key.revoked_ms is not None or key.verify_until_ms is None or key.verify_until_ms >= batch.now_ms
    }
    return Trust(lane.zones, ring, frozenset(alone), frozenset(product.id for product in products)).as_text()


def sum_of(text: str) -> str:
    """What tells one text from another."""
    return hashlib.sha256(text.encode()).hexdigest()[:SUM_LENGTH]


def _send(batch: Batch, node: Node) -> None:
    text = text_for(batch, batch.live.lane_of_node[node.id])
    number, mark = number_of(batch), sum_of(text)
    node.is_trust_current = node.trust == (number, mark)
    if node.is_trust_current:
        return
    parts = [text[at : at + PIECE_LENGTH_MAX] for at in range(0, len(text), PIECE_LENGTH_MAX)]
    if len(parts) > PIECES_MAX:
        log.error("too_much_to_tell", node=node.id, pieces=len(parts), hint="revoked keys and products are too many")
        return
    node.trust_sent_ms = batch.now_ms
    whole: dict[str, Any] = {"inc": node.inc, "number": number, "sum": mark, "pieces": len(parts)}
    for piece, part in enumerate(parts):
        batch.send(node.id, "trust", {**whole, "piece": piece, "text": part})
