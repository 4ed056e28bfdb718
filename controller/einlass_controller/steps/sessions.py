"""Who a node is: its incarnation, whether its memory is whole, whether it is there."""

from einlass_controller.domain.admission import EVACUATION
from einlass_controller.domain.occupancy import Report
from einlass_controller.domain.recount import SHUT_CEILING
from einlass_controller.live import PAST_INCARNATIONS_MAX, Lane, Node
from einlass_controller.messages import Alarm, Hello, Reply, State, Status
from einlass_controller.steps import (
    leasing,
    listing,
    parking_signs,
    sale_ends,
    till_books,
    trusting,
    voucher_lists,
)
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.house import send_emergency
from einlass_controller.steps.moving import arrived
from einlass_controller.steps.old_images import speaks_from_the_past, suspicious


def recognise(batch: Batch, name: str, inc: str, boot: int, kind: str, report: Report | None) -> Node | None:
    """The node that speaks; None (and a dead letter) for strangers and for messages of a past incarnation.

    An incarnation never heard of is taken up whatever message brings it: its hello may have been lost.
    """
    node = batch.live.nodes.get(name)
    if node is None:
        batch.letter(f"{name}/{kind}", f"no node is called {name!r}: add it to the site and run the set-up again")
        return None
    node.seen_ms, node.online = batch.now_ms, True
    if inc == node.inc:
        return node
    if inc in node.past:
        batch.letter(f"{name}/{kind}", "a message of an incarnation that is past")
        speaks_from_the_past(batch, node, inc, report)
        return None
    _take_up(batch, node, inc, boot)
    return node


def hello(batch: Batch, message: Hello) -> None:
    """A node connected: it is told up to where its events are kept, its newest limit, and the time."""
    node = recognise(batch, message.node, message.report.inc, message.boot, "hello", message.report)
    if node is None:
        return
    if (node.software, node.hardware) != (message.software, message.hardware):
        node.software, node.hardware = message.software, message.hardware
        batch.nodes.add(node.id)
    if not suspicious(batch, node, message.report, message.boot):
        batch.take(node, message.report)
        if message.boot > node.boot:
            node.boot = message.boot
            batch.nodes.add(node.id)
        _tell_limit(batch, node)
    parking_signs.forget(batch, node)
    batch.live.vouchers.told.pop(node.id, None)
    batch.live.parking.told.pop(node.id, None)
    node.gap_since_ms = 0  # it starts again with the first record that nobody has acknowledged
    node.sent = max(node.sent, (message.boot, 0))
    batch.acks[node.id] = node
    batch.send_time()
    if batch.live.site.mode == EVACUATION:
        send_emergency(batch)


def status(batch: Batch, message: Status) -> None:
    """A node's regular word; it also acknowledges limits."""
    node = recognise(batch, message.node, message.report.inc, message.boot, "status", message.report)
    if node is None:
        return
    node.waiting, node.lane_state = message.waiting, message.lane
    node.sent = max(node.sent, (message.boot, message.report.seq - message.waiting))
    if node.emergency != message.emergency:
        node.emergency = message.emergency
        batch.nodes.add(node.id)
    if not suspicious(batch, node, message.report, message.boot):
        batch.take(node, message.report)
        _look_for_lost_records(batch, node, message)
        leasing.wished(batch, message)
        listing.tell(batch, message)
        trusting.tell(batch, message)
        voucher_lists.tell(batch, message)
        till_books.tell(batch, message)


def state(batch: Batch, message: State) -> None:
    """The broker's word on the connection: retained, or the last will."""
    node = batch.live.nodes.get(message.node)
    if node is None:
        batch.letter(f"{message.node}/state", f"no node is called {message.node!r}")
        return
    node.online = message.online
    if message.online:
        node.seen_ms = batch.now_ms


def alarm(batch: Batch, message: Alarm) -> None:
    """A node asks for a person."""
    node = batch.live.nodes.get(message.node)
    if node is None:
        batch.letter(f"{message.node}/alarm", f"no node is called {message.node!r}")
    else:
        batch.alarm(node, message.reason)


def reply(batch: Batch, message: Reply) -> None:
    """What became of a command."""
    if message.node in batch.live.nodes:
        batch.rows.reply(message.id, message.node, message.code, message.detail)
        batch.record("reply", node=message.node, command=message.id, code=message.code)


def _look_for_lost_records(batch: Batch, node: Node, message: Status) -> None:
    """What is acknowledged was stored before. Where more was than is known here, these books are older than that.

    So they say also when the note beside the database was put back with it, and no lane was sent a ceiling since.
    """
    acknowledged = message.report.seq - message.waiting
    if acknowledged > node.applied and not _is_explained(batch, node):
        known = f"{acknowledged} records of {node.id} were acknowledged, and {node.applied} are known"
        batch.need_recount(known, message.report.epoch + 1)


def _is_explained(batch: Batch, node: Node) -> bool:
    """Whether what a node was acknowledged for may be missing though these books are as good as any.

    It may be lost with what people were counted anew for already; not when a lane has told of its ceiling since, and
    that record is known, for what was lost came before it. Of a node without a lane whose journal nobody here knows
    the people need not be counted: it may have come from another site.
    """
    lane, live = batch.live.lane_of_node.get(node.id), batch.live
    if lane is None:
        return live.epoch > 0 or node.applied == 0
    account = live.books.accounts[lane.id]
    return live.epoch > 0 and (live.recount != "" or account.version == 0 or account.seq > node.applied)


def _take_up(batch: Batch, node: Node, inc: str, boot: int) -> None:
    lane = batch.live.lane_of_node.get(node.id)
    lost = node.inc
    ghosts = 0
    if lost:
        node.past = [*node.past, lost][-PAST_INCARNATIONS_MAX:]
        end_under_way(batch, node.id)
    node.inc, node.boot, node.applied, node.heard, node.strikes, node.asked = inc, boot, 0, 0, 0, None
    node.wish = node.leased = node.sent = (0, 0)
    node.emergency, node.fault = False, ""
    batch.nodes.add(node.id)
    if lane is not None:
        ghosts = begin_account(batch, lane, inc)
    sale_ends.forgotten(batch, node)
    batch.record("incarnation", node=node.id, inc=inc, lost=lost, ghosts=ghosts)
    if lost:
        batch.alarm(node, f"journal_lost: {ghosts} places stay taken until a recount")
    elif ghosts:
        batch.alarm(node, f"its lane had another node: {ghosts} places stay taken until a recount")


def end_under_way(batch: Batch, node: str) -> None:
    """Nobody will tell what became of those whom this node let in: they count as inside."""
    for visit in batch.rows.visits_of_node(node):
        if visit.untold:
            batch.settle(visit)
            arrived(batch, visit, visit.untold, visit.granted_ms, doubtful=True)


def begin_account(batch: Batch, lane: Lane, inc: str) -> int:
    """A lane with another journal ("": with no node any more); returns the places that the one before stays owed."""
    books = batch.live.books
    lent_ms = books.accounts[lane.id].leased_until_ms
    ghosts = books.renew(lane.id, inc)
    account = books.accounts[lane.id]
    # Books that were put back may never have heard of a journal that was lent something all the same.
    account.leased_until_ms = lent_ms
    if inc and batch.live.epoch:  # its journal begins at epoch 0: it has to take ours before what it says counts
        account.version_sent, account.sent = 1, [(1, SHUT_CEILING if batch.live.recount else 0)]
        batch.send_limit(lane, account.newest)
    batch.touch(lane)
    return ghosts


def _tell_limit(batch: Batch, node: Node) -> None:
    lane = batch.live.lane_of_node.get(node.id)
    if lane is not None and batch.live.books.accounts[lane.id].unacknowledged:
        batch.send_limit(lane, batch.live.books.accounts[lane.id].newest)
