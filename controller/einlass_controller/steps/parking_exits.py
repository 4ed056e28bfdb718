"""Who may drive out of a car park: paid, within the free minutes or the grace, or with a ticket of another kind."""

from sqlalchemy import insert

from einlass_controller.domain import decision as codes
from einlass_controller.domain.decision import Decision, Value
from einlass_controller.domain.parking import EXIT, LEFT, ParkingStay
from einlass_controller.domain.tickets import VALID, Ticket
from einlass_controller.live import ONLINE_LAPSE_MS, Lane
from einlass_controller.messages import Redeem
from einlass_controller.steps import parking_stays
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.presenting import Shown, given_out, keep
from einlass_controller.steps.sale_rows import PAID, new_sale
from einlass_controller.store.schema import SALE
from einlass_tariff.problems import StayError


def is_car_park(batch: Batch, lane: Lane) -> bool:
    """Whether who leaves by this lane has to have paid."""
    return _zone(batch, lane) != ""


def decide(batch: Batch, lane: Lane, ticket: Ticket | None, emergency: bool = False, paid_cents: int = 0) -> Decision:
    """The answer to a code at the exit. paid_cents: what staff there was just paid."""
    zone = _zone(batch, lane)
    if emergency or batch.live.site.mode:
        return Decision(codes.OK_EXIT)
    if ticket is None:
        # An entry that is cut off gives out tickets that it will tell later.
        return _staff("entry_cut_off") if an_entry_is_away(batch, zone) else Decision(codes.INVALID)
    stay = parking_stays.stay_of(batch, ticket.id)
    if stay is not None:
        return _of_stay(batch, stay, paid_cents)
    inside = any(visit.zone == zone and visit.is_open for visit in batch.rows.visits_of_ticket(ticket.id))
    if ticket.status != VALID:
        return _staff(ticket.status) if inside else Decision(codes.INVALID)
    if inside:
        stay = parking_stays.stay_of_ticket(batch, ticket, zone)
        return Decision(codes.OK_EXIT) if stay is None else _of_stay(batch, stay, paid_cents)
    return _staff("not_inside") if zone == ticket.zone else Decision(codes.INVALID)


def _of_stay(batch: Batch, stay: ParkingStay, paid_cents: int) -> Decision:
    if stay.state == LEFT:
        return _staff("left_already")
    try:
        due = parking_stays.bill_of(batch, stay, batch.now_ms).due_cents
    except StayError as error:
        batch.record("alarm", node="", reason=f"stay {stay.id} has no price: {error}"[:200])
        return _staff("no_price")
    if due > paid_cents:
        values: dict[str, Value] = {"amount_cents": due, "entered_ms": stay.entered_ms}
        return Decision(codes.PAYMENT_DUE, values=values)
    stay.cleared_ms = batch.now_ms
    parking_stays.changed(batch, stay)
    return Decision(codes.OK_EXIT)


def went_out(batch: Batch, lane: Lane, ticket: Ticket, at_ms: int) -> None:
    """Its car passed the exit, whether or not it was known to be in there."""
    if is_car_park(batch, lane):
        stay = parking_stays.stay_of(batch, ticket.id)
        if stay is not None:
            parking_stays.leave(batch, stay, at_ms)
        elif ticket.product in batch.live.parking.products and not ticket.entries_used:
            parking_stays.seen_at_exit(batch, ticket, at_ms)


def unknown(batch: Batch, lane: Lane, digest: str) -> Ticket | None:
    """The ticket of a car that an exit let out alone, and that no entry has told of yet."""
    zone = _zone(batch, lane)
    giver = next((item for item in batch.live.lanes.values() if item.issues and zone in item.zones), None)
    if not zone or not digest or giver is None:
        return None
    ticket = given_out(batch, giver, digest)
    keep(batch, Shown(ticket, fresh=True))
    return ticket


def paid_at_desk(batch: Batch, message: Redeem, ticket: Ticket) -> None:
    """Staff took the money for a stay: it stands among the takings under the name of who took it."""
    stay = parking_stays.stay_of_ticket(batch, ticket, _zone(batch, batch.live.lanes[message.lane]))
    if stay is None:
        return
    stay.paid_cents += message.paid_cents
    stay.paid_ms = batch.now_ms
    parking_stays.changed(batch, stay)
    row = new_sale(message.key, message.client, "", 0, 0, EXIT, stay.zone, batch.now_ms)
    row |= {"stay": stay.id, "state": PAID, "paid_ms": batch.now_ms, "ended_ms": batch.now_ms}
    row |= {"due_cents": message.paid_cents, "fee_cents": message.paid_cents, "coins_cents": message.paid_cents}
    batch.rows.execute(insert(SALE), [row])


def _zone(batch: Batch, lane: Lane) -> str:
    return next((name for name in lane.zones if name in batch.live.parking.zones), "")


def _staff(reason: str) -> Decision:
    return Decision(codes.STAFF, values={"reason": reason})


def an_entry_is_away(batch: Batch, zone: str) -> bool:
    """Whether a lane may have given out tickets that it has not told of."""
    live = batch.live
    for lane in live.lanes.values():
        node = live.nodes.get(lane.node)
        if lane.issues and zone in lane.zones and node is not None:
            away = not node.online or batch.now_ms - node.seen_ms >= ONLINE_LAPSE_MS
            if away:
                return True
    return False
