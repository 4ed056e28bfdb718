"""What people order over the API: tickets, commands; and what time orders: limits sent again."""

from einlass_controller.domain.snapshot import row_of
from einlass_controller.messages import Declined, Issue, Order, Tick
from einlass_controller.steps import house, leasing, listing, parking_sales, parking_signs, voucher_payments
from einlass_controller.steps.batch import Batch

LIMIT_RESEND_MS = 2_000


def tick(batch: Batch, message: Tick) -> None:
    """Send limits again that nobody acknowledged, and the time when it is due."""
    for lane in batch.live.lanes.values():
        account = batch.live.books.accounts[lane.id]
        sent_ms = batch.live.limit_sent_ms.get(lane.id, 0)
        if lane.node and account.spare > live_share(batch, lane.id) and not account.is_lowering:
            batch.touch(lane)
        elif lane.node and account.unacknowledged and not account.frozen and batch.now_ms - sent_ms >= LIMIT_RESEND_MS:
            batch.send_limit(lane, account.newest)
    house.all_told(batch)
    leasing.share(batch)
    listing.sweep(batch)
    house.night(batch)
    house.bookings(batch)
    voucher_payments.sweep(batch)
    parking_sales.sweep(batch)
    if message.announce:
        batch.send_time()
        house.send_emergency(batch)
        parking_signs.again(batch)


def live_share(batch: Batch, lane: str) -> int:
    """Spare places that this lane may keep."""
    places = batch.live.shares.get(lane, 0)
    return places + places // leasing.SLACK_PART


def issue(batch: Batch, message: Issue) -> Declined | None:
    """Store tickets; their codes are only known to whoever ordered them."""
    declined = house.slots_left(batch, message.tickets, message.walk_in)
    if declined is not None:
        return declined
    for ticket in message.tickets:
        batch.rows.add_ticket(ticket)
    first = message.tickets[0]
    batch.record(
        "issued",
        by=message.by,
        tickets=[ticket.id for ticket in message.tickets],
        product=first.product,
        persons=first.persons,
        zone=first.zone,
        rows=[row_of(ticket) for ticket in message.tickets],
    )
    return None


def order(batch: Batch, message: Order) -> bool:
    """Send a command, bound to the node's incarnation and for a short time only."""
    node = batch.live.nodes.get(message.node)
    if node is None or not node.inc:
        return False
    command = {
        "id": message.id,
        "inc": node.inc,
        "do": message.do,
        "issued_ms": batch.now_ms,
        "expires_ms": batch.now_ms + message.lifetime_ms,
        "by": message.by,
    }
    batch.rows.add_command(command | {"node": node.id})
    batch.record("command", node=node.id, command=message.id, do=message.do, by=message.by)
    batch.send(node.id, "command", command)
    return True
