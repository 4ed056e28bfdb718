"""How far a node's clock may be from ours: what it tells late was before or after a count only by more than that.

A node has the time from us, and goes on by its own clock while it is cut off. When ours is put right meanwhile,
the node's is wrong by as much until it has been told.
"""

from einlass_controller.domain.shares import RATE_ERROR
from einlass_controller.live import Node
from einlass_controller.steps.batch import Batch

# Of a node that was told the time a minute ago: messages take their time, too.
MARGIN_MS = 2_000
# Of a node that this process has not heard say the right time: wrong by a part in a thousand it is a minute off after
# seventeen hours.
AWAY_MARGIN_MS = 60_000
# The wall clock is slewed a little all the time; more than this, in however many steps, is one that was set.
SLEWED_MS = 500


def look(batch: Batch) -> None:
    """Once a batch: how far the wall clock is from the steady one, which nobody sets.

    A clock that was set back is followed bit by bit (writer.Clock), so single steps say nothing. Nor does the sum of
    them: whoever is cut off may have been told the time at any moment since, and people be counted at any other.
    """
    live, offset_ms = batch.live, batch.now_ms - batch.steady_ms
    if offset_ms == live.wall_offset_ms:
        return
    live.wall_offset_ms = offset_ms
    for node in live.nodes.values():
        low_ms, high_ms = node.wall_offsets or (offset_ms, offset_ms)
        node.wall_offsets = min(low_ms, offset_ms), max(high_ms, offset_ms)


def heard(batch: Batch, node: Node, told_ms: int) -> None:
    """What it tells at once with the right time shows that it was told the time."""
    if told_ms and abs(batch.now_ms - told_ms) <= MARGIN_MS:
        offset_ms = batch.now_ms - batch.steady_ms
        node.clock_right_ms, node.wall_offsets = batch.steady_ms, (offset_ms, offset_ms)


def margin_ms(batch: Batch, node: Node) -> int:
    """So much may be between the time that this node says and the time that it was."""
    if not node.clock_right_ms:
        return AWAY_MARGIN_MS + _set_by(node)
    return MARGIN_MS + _set_by(node) + int((batch.steady_ms - node.clock_right_ms) * RATE_ERROR)


def _set_by(node: Node) -> int:
    """As far as our wall clock was from itself since this node's clock was right."""
    low_ms, high_ms = node.wall_offsets or (0, 0)
    return high_ms - low_ms if high_ms - low_ms > SLEWED_MS else 0
