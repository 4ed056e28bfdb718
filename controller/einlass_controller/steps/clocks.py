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
# The wall clock is slewed a little all the time; more at once is a jump.
JUMP_MS = 500


def look(batch: Batch) -> None:
    """Once a batch: whether the wall clock has jumped, which the steady one does not."""
    live, offset_ms = batch.live, batch.now_ms - batch.steady_ms
    known_ms, live.wall_offset_ms = live.wall_offset_ms, offset_ms
    if known_ms is not None and abs(offset_ms - known_ms) > JUMP_MS:
        for node in live.nodes.values():
            node.clock_off_ms += abs(offset_ms - known_ms)


def heard(batch: Batch, node: Node, told_ms: int) -> None:
    """What it tells at once with the right time shows that it was told the time."""
    if told_ms and abs(batch.now_ms - told_ms) <= MARGIN_MS:
        node.clock_right_ms, node.clock_off_ms = batch.steady_ms, 0


def margin_ms(batch: Batch, node: Node) -> int:
    """So much may be between the time that this node says and the time that it was."""
    if not node.clock_right_ms:
        return AWAY_MARGIN_MS + node.clock_off_ms
    return MARGIN_MS + node.clock_off_ms + int((batch.steady_ms - node.clock_right_ms) * RATE_ERROR)
