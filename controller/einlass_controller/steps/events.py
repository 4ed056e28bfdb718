"""What happened at a lane, in the order of its journal: each record is applied once, acknowledged, and kept."""

from collections.abc import Callable
from typing import Any

from einlass_controller.domain import decision as codes
from einlass_controller.domain import visits
from einlass_controller.domain.decision import Decision
from einlass_controller.domain.tickets import Ticket
from einlass_controller.domain.visits import Visit
from einlass_controller.intake import UNUSABLE
from einlass_controller.live import Lane, Node
from einlass_controller.messages import ENTRY, EXIT, SIDES, NodeEvent
from einlass_controller.steps import alone, clocks, leasing, parking_exits, parking_sales, sale_ends
from einlass_controller.steps.asks import answer_fields, judge_exit
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.moving import arrived, departed, recount
from einlass_controller.steps.old_images import is_proved
from einlass_controller.steps.sessions import recognise
from einlass_controller.store.work import Stored
from einlass_core import wire, wire_till

CLOCK_AHEAD_MS = 60_000
GAP_ALARM_MS = 10_000
PERSONS_DEFAULT = 1


def event(batch: Batch, message: NodeEvent) -> None:
    """The next record is applied; an older one only acknowledged again; after a gap the node sends again."""
    node = recognise(batch, message.node, message.inc, message.boot, "event", message.report)
    if node is None:
        return
    batch.acks[node.id] = node
    if message.seq <= node.applied:
        report = message.report
        if report is not None and not is_proved(batch, node, report, message.boot) and message.seq == node.applied:
            batch.take(node, report)
        return
    if message.seq != node.applied + 1 and not _gap(batch, node, message.seq):
        return
    node.applied = message.seq
    node.boot = max(node.boot, message.boot)
    node.gap_since_ms = 0
    batch.nodes.add(node.id)
    if message.report is not None:
        is_proved(batch, node, message.report, message.boot)  # then its account is frozen, and what it tells is past it
    clocks.heard(batch, node, int(message.fields.get("unix_ms", 0)))
    # A count that has this in it already is corrected first where places come back: never below who is inside.
    lowers = message.report is not None and batch.lowers(node, message.report)
    if message.report is not None and not lowers:
        batch.take(node, message.report)
    _apply(batch, node, message)
    if message.report is not None and lowers:
        batch.take(node, message.report)


def _apply(batch: Batch, node: Node, message: NodeEvent) -> None:
    step = STEPS.get(message.kind)
    side = message.fields.get("side") or ENTRY
    if step is None or side not in SIDES:
        why = message.fields.get("reason", "") if message.kind == UNUSABLE else f"kind {message.kind!r}, side {side!r}"
        batch.letter(f"{node.id}/event", f"record {message.seq} cannot be used: {why}", str(message.fields).encode())
        batch.record("unusable", node=node.id, seq=message.seq, reason=str(why)[:200])
        if node.id in batch.live.parking.tills:
            batch.alarm(node, f"record {message.seq} cannot be used, its money may be missing from the takings: {why}")
        return
    step(batch, node, message)


def may_apply(seq: int, applied: int, epoch: int) -> bool:
    """Whether a record may be the next to apply, after so many; every other one is only acknowledged."""
    return seq == applied + 1 or (seq > applied and epoch > 0)


def _gap(batch: Batch, node: Node, seq: int) -> bool:
    """Whether to go on all the same: records that a restored database has lost were acknowledged, and do not come.

    Only the node knows which these are, and says so. However long one does not come, it may only be late.
    """
    if batch.live.epoch and seq <= node.sent[1] + 1:
        batch.record("events_missing", node=node.id, first=node.applied + 1, last=seq - 1)
        return True
    if node.gap_since_ms == 0:
        node.gap_since_ms = batch.steady_ms
    elif batch.steady_ms - node.gap_since_ms > GAP_ALARM_MS:
        node.gap_since_ms = batch.steady_ms
        batch.alarm(node, f"journal_gap: record {node.applied + 1} does not come, {seq} does")
    return False


def _note(batch: Batch, node: Node, message: NodeEvent, **more: Any) -> None:
    """The ledger's line. A clock ahead of ours is flagged and never lets anything take effect in the future."""
    told = message.fields.get("unix_ms", 0)
    lane = batch.live.lane_of_node.get(node.id)
    body: dict[str, Any] = {"node": node.id, "seq": message.seq, "lane": lane.id if lane is not None else ""}
    for name in ("nonce", "side", "persons", "reason", "by", "doubtful"):
        if message.fields.get(name) is not None:
            body[name] = message.fields[name]
    if told > batch.now_ms + CLOCK_AHEAD_MS:
        body["clock_ahead_ms"] = told - batch.now_ms
    batch.record(message.kind, _when(batch, message), **body, **more)


def _when(batch: Batch, message: NodeEvent) -> int:
    told = int(message.fields.get("unix_ms", 0))
    return min(told, batch.now_ms) if told else batch.now_ms


def _persons(message: NodeEvent) -> int:
    told = message.fields.get("persons")
    return PERSONS_DEFAULT if told is None else int(told)


def _visit(batch: Batch, node: Node, message: NodeEvent) -> Visit | None:
    return batch.rows.visits.get(f"{node.id}/{ENTRY}/{message.fields.get('nonce') or ''}")


def _boot(batch: Batch, node: Node, message: NodeEvent) -> None:
    late = [visit for visit in _of_earlier_boots(batch, node, message) if visit.state == visits.RESERVED]
    for visit in late:
        batch.annul(visit)
    sale_ends.started(batch, node, message.boot)
    _note(batch, node, message, boot=message.boot, annulled=[visit.ticket for visit in late])


def _of_earlier_boots(batch: Batch, node: Node, message: NodeEvent) -> list[Visit]:
    return visits.of_earlier_boots(batch.rows.visits_of_node(node.id), node.id, message.inc, message.boot)


def _released(batch: Batch, node: Node, message: NodeEvent) -> None:
    visit = _visit(batch, node, message)
    known = False
    if message.fields.get("digest"):
        visit, known = alone.released(batch, node, message, _when(batch, message), visit)
    elif visit is not None:
        batch.settle(visit)
        known = visits.release(visit)
        batch.rows.changed(visit, None)
    _note(batch, node, message, ticket=visit.ticket if visit is not None else "")
    if not known:
        batch.alarm(node, f"released without a grant: nonce {message.fields.get('nonce', '')}")


def _passed(batch: Batch, node: Node, message: NodeEvent) -> None:
    if message.fields.get("side") == EXIT:
        _went_out(batch, node, message)
        return
    _went_in(batch, node, message, bool(message.fields.get("doubtful")))


def _uncertain(batch: Batch, node: Node, message: NodeEvent) -> None:
    """The power went between release and passage: whoever was released then counts as inside.

    When they went through nobody knows, but it was right after they were let in. Of whom the night has sent home only
    the body is counted.
    """
    if message.fields.get("nonce"):
        _went_in(batch, node, message, doubtful=True)
        return
    under_way = [
        visit
        for visit in _of_earlier_boots(batch, node, message)
        if visit.untold and visit.state in (visits.RELEASED, visits.PRESENT)
    ]
    for visit in under_way:
        arrived(batch, visit, visit.untold, visit.granted_ms, doubtful=True)
    recount(batch, message, ENTRY, _persons(message))
    _note(batch, node, message, tickets=[visit.ticket for visit in under_way])


def _went_in(batch: Batch, node: Node, message: NodeEvent, doubtful: bool) -> None:
    visit = _visit(batch, node, message)
    if visit is not None:
        batch.settle(visit)
        arrived(batch, visit, _persons(message), _when(batch, message), doubtful)
    recount(batch, message, ENTRY, _persons(message))
    _note(batch, node, message, ticket=visit.ticket if visit is not None else "")


def _went_out(batch: Batch, node: Node, message: NodeEvent) -> None:
    """Who left is known when a ticket was scanned before; the body left in any case (the account says so)."""
    scan = batch.rows.decisions.get(f"{node.id}/{EXIT}/{message.fields.get('nonce') or ''}")
    lane = batch.live.lane_of_node.get(node.id)
    left = _persons(message)
    if lane is not None:
        leasing.noted(batch, lane, left=left)
    ticket = _bearer(batch, lane, batch.rows.tickets.get(scan.ticket)) if scan is not None else None
    if scan is not None and ticket is not None and lane is not None:
        key = f"{scan.key}/{message.seq}"  # one scan may be followed by the passages of a whole family
        left -= departed(batch, key, ticket, lane, left, _when(batch, message))
        parking_exits.went_out(batch, lane, ticket, _when(batch, message))
    recount(batch, message, EXIT, _persons(message))
    _note(batch, node, message, ticket=ticket.id if ticket is not None else "", anonymous=left)


def _unused(batch: Batch, node: Node, message: NodeEvent) -> None:
    visit = _visit(batch, node, message) if message.fields.get("side") != EXIT else None
    if visit is not None:
        batch.settle(visit)
        ticket = batch.ticket_of(visit)
        visits.turn_back(visit, ticket, _persons(message), _when(batch, message))
        batch.rows.changed(visit, ticket)
        _tell_anew(batch, ticket)
    _note(batch, node, message, ticket=visit.ticket if visit is not None else "")


def _tell_anew(batch: Batch, ticket: Ticket | None) -> None:
    """A lane that let somebody in alone puts the ticket back on its list, whatever it was told meanwhile."""
    if ticket is not None:
        ticket.listed_number = 0
        batch.rows.ticket_changed(ticket)


def _given_up(batch: Batch, node: Node, message: NodeEvent) -> None:
    """The node never releases on this nonce: undo it, and let a question still on its way reserve nothing."""
    nonce = str(message.fields.get("nonce") or "")
    visit = _visit(batch, node, message)
    if message.fields.get("code") == codes.LEASE_EXHAUSTED:
        _wanted(batch, node)
    if visit is not None:
        batch.annul(visit)
        _tell_anew(batch, batch.ticket_of(visit))
    else:
        _bury(batch, node, message, str(message.fields.get("side") or ENTRY), nonce)
    _note(batch, node, message, ticket=visit.ticket if visit is not None else "")


def _bury(batch: Batch, node: Node, message: NodeEvent, side: str, nonce: str) -> None:
    key = f"{node.id}/{side}/{nonce}"
    if not nonce or key in batch.rows.decisions:
        return
    batch.live.decision_number += 1
    number = batch.live.decision_number
    refused = Decision(codes.ERROR, values={"reason": "given_up"})
    answer = wire.encode("answer", answer_fields(message.inc, nonce, f"d{number}", refused, None))
    lane = batch.live.lane_of_node.get(node.id)
    where = lane.id if lane is not None else ""
    batch.rows.add_decision(Stored(key, number, "", codes.ERROR, 0, "", node.id, where, side, batch.now_ms, answer))


def _exit(batch: Batch, node: Node, message: NodeEvent) -> None:
    """An exit scan: remembered under its nonce until the body goes out. Egress is never refused."""
    digest, nonce = str(message.fields.get("digest") or ""), str(message.fields.get("nonce") or "")
    lane = batch.live.lane_of_node.get(node.id)
    ticket = _bearer(batch, lane, batch.rows.by_digest.get(digest))
    if ticket is None and lane is not None:
        ticket = parking_exits.unknown(batch, lane, digest)
    inside = ticket is not None and any(visit.inside for visit in batch.rows.visits_of_ticket(ticket.id))
    key = f"{node.id}/{EXIT}/{nonce}"
    if nonce and ticket is not None and key not in batch.rows.decisions:
        batch.live.decision_number += 1
        number = batch.live.decision_number
        where = lane.id if lane is not None else ""
        answer = wire.encode("answer", answer_fields(message.inc, nonce, f"d{number}", Decision(codes.OK_EXIT), None))
        batch.rows.add_decision(
            Stored(key, number, "", codes.OK_EXIT, 0, ticket.id, node.id, where, EXIT, batch.now_ms, answer)
        )
    _note(batch, node, message, ticket=ticket.id if ticket is not None else "")
    if ticket is not None and inside and not batch.live.site.mode:
        _charge(batch, node, ticket)
    if not inside:
        batch.record("exit_without_entry", node=node.id, ticket=ticket.id if ticket is not None else "")


def _bearer(batch: Batch, lane: Lane | None, ticket: Ticket | None) -> Ticket | None:
    """Whose visit a way out ends: a ticket that was replaced meanwhile is another one now.

    Not a car's: who has lost his parking ticket pays with the new one, and the old one, found again, ends no stay.
    """
    if ticket is None or lane is None or parking_exits.is_car_park(batch, lane):
        return ticket
    return batch.rows.heir(ticket)


def _charge(batch: Batch, node: Node, ticket: Ticket) -> None:
    """A stay that was too long: the exit is free all the same, the money is asked for before the next entry."""
    lane = batch.live.lane_of_node.get(node.id)
    verdict = judge_exit(batch, lane, ticket) if lane is not None else None
    due = int(verdict.values.get("amount_cents", 0)) if verdict is not None else 0
    if due > ticket.due_cents:  # what is owed for an earlier stay no later one makes less
        ticket.due_cents = due
        batch.rows.ticket_changed(ticket)
        batch.record("overstay", node=node.id, ticket=ticket.id, cents=due)


def _emergency(batch: Batch, node: Node, message: NodeEvent) -> None:
    """Pressed, or healthy again: in both cases only two people end it."""
    node.emergency = True
    _note(batch, node, message)


def _rearmed(batch: Batch, node: Node, message: NodeEvent) -> None:
    node.emergency = False
    _note(batch, node, message)


def _fault(batch: Batch, node: Node, message: NodeEvent) -> None:
    node.fault = str(message.fields.get("reason") or "fault")
    _note(batch, node, message)


def _fault_over(batch: Batch, node: Node, message: NodeEvent) -> None:
    node.fault = ""
    _note(batch, node, message)


def _forced(batch: Batch, node: Node, message: NodeEvent) -> None:
    recount(batch, message, str(message.fields.get("side") or ENTRY), _persons(message))
    _note(batch, node, message)


def _wanted(batch: Batch, node: Node) -> None:
    lane = batch.live.lane_of_node.get(node.id)
    if lane is not None:
        leasing.noted(batch, lane, came=1)


def _refused(batch: Batch, node: Node, message: NodeEvent) -> None:
    if message.fields.get("code") == codes.LEASE_EXHAUSTED:
        _wanted(batch, node)
    _note(batch, node, message, code=message.fields.get("code") or "", digest=message.fields.get("digest") or "")


def _lost(batch: Batch, node: Node, message: NodeEvent) -> None:
    _note(batch, node, message)
    batch.alarm(node, f"records_lost: {message.fields.get('reason') or 'its journal is damaged'}")


def _nothing(batch: Batch, node: Node, message: NodeEvent) -> None:
    """The account it carried was all it had to say."""


def _till(batch: Batch, node: Node, message: NodeEvent) -> None:
    parking_sales.told(batch, node, message, _when(batch, message))


STEPS: dict[str, Callable[[Batch, Node, NodeEvent], None]] = {
    "boot": _boot,
    "limit": _nothing,
    "released": _released,
    "passed": _passed,
    "unused": _unused,
    "given_up": _given_up,
    "uncertain": _uncertain,
    "forced": _forced,
    "exit": _exit,
    "refused": _refused,
    "emergency": _emergency,
    "rearmed": _rearmed,
    "fault": _fault,
    "fault_over": _fault_over,
    "lost": _lost,
    **dict.fromkeys(wire_till.TILL_EVENTS, _till),
}
