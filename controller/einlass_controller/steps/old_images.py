"""Whether a node has an old copy of its memory in it. Then nothing it says is taken, and nobody is let in by it.

Words come late, twice, and out of order, so only what no journal could say proves it. A node that seems to have fewer
records or starts than it had, or a journal that a newer one has followed, is asked: it is sent a ceiling with a version
that nobody had before. Who has taken that and still says so has an old image; a word that took its time has not.
"""

from einlass_controller.domain.occupancy import Limit, Report
from einlass_controller.domain.recount import SHUT_CEILING
from einlass_controller.live import Asked, Lane, Node
from einlass_controller.steps.batch import Batch
from einlass_core import wire

STRIKES_MAX = 3
STRIKE_APART_MS = 2_000
# Who has no lane takes no ceiling, so it cannot be asked; nor has it anything that could be frozen.
LOOK = "or its words come late: look before you wipe its journal"


def suspicious(batch: Batch, node: Node, report: Report, boot: int) -> bool:
    """Whether what this node says is not to be taken. The most records it has said to have, and starts, are kept.

    Fewer records than were acknowledged in a start that is new prove an old image. Fewer than it has said and nobody
    has acknowledged yet, or an earlier start, are taken until it is proved.
    """
    lane = batch.live.lane_of_node.get(node.id)
    if is_proved(batch, node, report, boot):
        return True
    if report.seq < node.applied and boot > node.boot:
        is_an_old_image(batch, node, f"it is at {report.seq}, {node.applied} was acknowledged")
        return True
    if report.seq >= max(node.applied, node.heard) and boot >= node.boot:
        node.heard, node.strikes = report.seq, 0
        return False
    if _strikes(batch, node):
        _ask(batch, node, lane, report)
    return report.seq < node.applied


def is_proved(batch: Batch, node: Node, report: Report, boot: int) -> bool:
    """Whether it says, or one of its records does, what its own journal could not: told once, late or not."""
    if _is_frozen(batch, batch.live.lane_of_node.get(node.id)):
        return True
    if node.asked is not None and node.asked.proves(report, boot):
        had = f"{node.asked.records} records in start {node.asked.boot}"
        is_an_old_image(batch, node, f"it had {had}, and has gone on from {report.seq} in start {boot}")
        return True
    return _is_forked(batch, node, report)


def _is_forked(batch: Batch, node: Node, report: Report) -> bool:
    """Whether an image wrote records of its own under numbers that were told before (Books.contradicts)."""
    lane = batch.live.lane_of_node.get(node.id)
    if lane is None or not batch.live.books.contradicts(lane.id, report):
        return False
    account = batch.live.books.accounts[lane.id]
    said = f"limit {report.epoch}.{report.version}, balance {report.balance}, under way {report.pending}"
    known = f"limit {account.epoch}.{account.version}, balance {account.balance}, under way {account.pending}"
    is_an_old_image(batch, node, f"its record {report.seq} says {said}, and record {account.seq} said {known}")
    return True


def speaks_from_the_past(batch: Batch, node: Node, inc: str, report: Report | None) -> None:
    """A journal that a newer one has followed speaks: if it still does, nobody would ever hear of what it says."""
    lane = batch.live.lane_of_node.get(node.id)
    if _is_frozen(batch, lane):
        return
    if report is not None and node.asked is not None and node.asked.proves(report, 0):
        is_an_old_image(batch, node, "a newer journal has followed its own")
    elif _strikes(batch, node):
        _ask_the_past(batch, node, lane, inc)


def is_an_old_image(batch: Batch, node: Node, why: str, do: str = "wipe its journal") -> None:
    """From now on nothing that it says of its account is taken, and it gets no places, until its journal is new."""
    lane = batch.live.lane_of_node.get(node.id)
    if lane is not None:
        batch.live.books.freeze(lane.id)
        batch.touch(lane)
    elif node.alarm.startswith("old_image"):  # no account to freeze: told once is enough
        return
    batch.alarm(node, f"old_image: {why}; {do}")


def _is_frozen(batch: Batch, lane: Lane | None) -> bool:
    return lane is not None and batch.live.books.accounts[lane.id].frozen


def _strikes(batch: Batch, node: Node) -> bool:
    """One more word that may be of an old image, if the last is a while ago. True with each third."""
    node.wish = (0, 0)  # no ceiling is sent with a lease before it asks for one again
    if batch.now_ms - node.struck_ms < STRIKE_APART_MS:
        return False
    node.strikes, node.struck_ms = node.strikes + 1, batch.now_ms
    return node.strikes % STRIKES_MAX == 0


def _ask(batch: Batch, node: Node, lane: Lane | None, report: Report) -> None:
    if lane is None:
        is_an_old_image(batch, node, f"it is at {report.seq}, and was at {max(node.heard, node.applied)}", LOOK)
        return
    if batch.live.recount:
        return  # nobody is let in, and people are counted when every lane has taken its last ceiling
    account = batch.live.books.accounts[lane.id]
    asked = node.asked
    if asked is None or asked.inc != node.inc or asked.is_taken(account.epoch, account.version):
        limit = batch.live.books.again(lane.id)
        node.asked = Asked(node.inc, limit.epoch, limit.version, max(node.heard, node.applied), node.boot)
        batch.touch(lane)
    batch.send_limit(lane, account.newest)  # a question that has no answer yet is asked once more


def _ask_the_past(batch: Batch, node: Node, lane: Lane | None, inc: str) -> None:
    """By a version that rises with the ledger, as with each journal: whoever was asked before must answer anew.

    Any answer is proof, however many records it has.
    """
    if lane is None:
        is_an_old_image(batch, node, "a newer journal has followed its own", LOOK)
        return
    if node.asked is None or node.asked.inc != inc:
        version = wire.COUNT_MAX // 2 + batch.live.ledger_number % (wire.COUNT_MAX // 2)
        node.asked = Asked(inc, batch.live.books.accounts[lane.id].epoch, version, wire.COUNT_MAX, 0)
    last = Limit(node.asked.epoch, node.asked.version, SHUT_CEILING)
    batch.send(node.id, "limit", {"inc": inc, "limit": last._asdict()})
