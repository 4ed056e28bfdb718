"""What a lane decided without the controller and tells afterwards: an entry like any other, or one to report."""

from typing import Any

from einlass_controller.domain import admission, visits
from einlass_controller.domain import decision as codes
from einlass_controller.domain.admission import Use
from einlass_controller.domain.decision import Decision
from einlass_controller.domain.visits import Visit
from einlass_controller.live import Lane, Node
from einlass_controller.messages import ENTRY, NodeEvent
from einlass_controller.steps import leasing
from einlass_controller.steps.asks import Found, Judged, Question, answer_fields, judge, let_in, number_of, reserve
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.presenting import Shown, as_signed, claimed, given_out, keep
from einlass_controller.store.work import Stored
from einlass_core import wire


def released(
    batch: Batch, node: Node, message: NodeEvent, at_ms: int, visit: Visit | None
) -> tuple[Visit | None, bool]:
    """The visit that began, and that it is known: the lane says by which ticket (its digest) it let somebody in.

    If the question had reached the controller as well, its answer came too late but is the same visit.
    """
    persons = int(message.fields.get("persons") or 1)
    if visit is not None and visit.state == visits.RESERVED:
        batch.settle(visit)
        visits.release(visit)
        batch.rows.changed(visit, None)
        return visit, True
    nonce = str(message.fields.get("nonce") or "")
    key = f"{node.id}/{ENTRY}/{nonce}"
    lane = batch.live.lane_of_node.get(node.id)
    if lane is None or visit is not None or not nonce:
        return visit, visit is not None
    ticket = batch.rows.by_digest.get(str(message.fields["digest"]))
    if ticket is not None:  # the lane has struck it off its list: whatever holds now is told it anew
        ticket.listed_number = 0
        batch.rows.ticket_changed(ticket)
    shown = Shown(ticket)
    if ticket is None and lane.issues:  # a parking ticket that the lane gave out by itself
        shown = Shown(given_out(batch, lane, str(message.fields["digest"])), fresh=True)
        ticket = shown.ticket
    if ticket is None and message.fields.get("signed"):
        with batch.as_of(at_ms):
            shown = claimed(batch, message.fields["signed"], str(message.fields["digest"]))
        ticket = shown.ticket
        if ticket is not None and not shown.fresh:  # it has another code: signed anew, and used by both
            ticket.listed_number = 0
            batch.rows.ticket_changed(ticket)
    asked = Question(lane, ENTRY, as_signed(batch, shown), persons)
    answered = batch.rows.decisions.get(key)
    leasing.noted(batch, lane, came=persons)
    refused = answered is not None and answered.code not in (codes.OK, codes.OK_REENTRY)
    with batch.as_of(at_ms):
        judged = judge(batch, asked)
        why = None
        if refused or isinstance(judged, Found) or judged.persons < persons:
            why = _why(judged, answered)
            found = _let_in_all_the_same(batch, shown, persons)
        else:
            found = let_in(batch, asked, judged, persons, None)
    if why is not None:
        _report(batch, node, lane, message, at_ms, why, ticket.id if ticket is not None else "")
    if answered is None:
        number = number_of(batch)
        answer = wire.encode("answer", answer_fields(message.inc, nonce, f"d{number}", found.decision, None))
        name = ticket.id if ticket is not None else ""
        stored = Stored(key, number, "", found.decision.code, persons, name, node.id, lane.id, ENTRY, at_ms, answer)
        batch.rows.add_decision(stored)
        body: dict[str, Any] = {"id": f"d{number}", "node": node.id, "lane": lane.id, "side": ENTRY, "nonce": nonce}
        batch.record("decision", at_ms, **body, code=found.decision.code, persons=persons, ticket=name, offline=True)
    if ticket is None:
        return None, True
    fresh = reserve(batch, key, node.id, nonce, lane, ticket, found)
    fresh.granted_ms = at_ms
    visits.release(fresh)
    return fresh, True


def _let_in_all_the_same(batch: Batch, shown: Shown, persons: int) -> Found:
    """By nobody's leave: it uses of the ticket what any entry does."""
    keep(batch, shown)
    ticket, use = shown.ticket, Use(1, 1)
    if ticket is not None:
        use = Use(admission.entries_for(persons, batch.catalogue.products.get(ticket.product)), 1)
        admission.take(ticket, use, batch.moment, batch.is_late)
        batch.rows.ticket_changed(ticket)
    return Found(Decision(codes.OK, persons), use=use)


def _why(judged: Found | Judged, answered: Stored | None) -> Decision:
    """What the controller would have said, or had said: of a family so many, if others of it are in already."""
    if isinstance(judged, Found):
        return judged.decision
    if answered is not None:
        return Decision(answered.code)
    return Decision(codes.OK, judged.persons)


def _report(batch: Batch, node: Node, lane: Lane, message: NodeEvent, at_ms: int, why: Decision, ticket: str) -> None:
    """Let in by the list, and would not have been here: with all that is known of both uses."""
    first = [visit for visit in batch.rows.visits_of_ticket(ticket) if visit.is_open] if ticket else []
    body: dict[str, Any] = {
        "node": node.id,
        "lane": lane.id,
        "nonce": message.fields.get("nonce"),
        "seq": message.seq,
        "ticket": ticket,
        "digest": message.fields["digest"],
        "persons": message.fields.get("persons"),
        "policy": message.fields.get("reason") or "",
        "would_have_been": why.code,
    }
    if why.code == codes.OK:
        body["would_have_been_persons"] = why.persons
    if first:
        body["other"] = [{"lane": visit.lane, "since_ms": visit.since_ms, "nonce": visit.nonce} for visit in first]
    batch.record("conflict", at_ms, **body)
