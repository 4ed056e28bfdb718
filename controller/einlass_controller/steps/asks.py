"""A scan is answered: idempotency first, then the rules, then the cap; the answer is stored before it is sent."""

import json
from dataclasses import asdict
from typing import Any

from einlass_controller.domain import admission, visits
from einlass_controller.domain import decision as codes
from einlass_controller.domain.decision import Decision
from einlass_controller.domain.occupancy import Limit
from einlass_controller.domain.tickets import Ticket
from einlass_controller.domain.visits import Visit
from einlass_controller.live import Lane
from einlass_controller.messages import ENTRY, EXIT, Ask, Proof, Redeem, Redeemed
from einlass_controller.steps.batch import Batch, log
from einlass_controller.steps.sessions import recognise, suspicious
from einlass_controller.store.work import Stored
from einlass_core import wire


def ask(batch: Batch, message: Ask) -> None:
    """A node's question. Unknown nodes and past incarnations get no answer, only a dead letter."""
    node = recognise(batch, message.node, message.report.inc, message.boot, "ask")
    if node is None:
        return
    stored = batch.rows.decisions.get(message.key)
    lane = batch.live.lane_of_node.get(node.id)
    if stored is not None and stored.content in ("", message.proof.content):
        batch.take(node, message.report)
        batch.resend(node.id, "answer", stored.answer)
        return
    if stored is not None:
        log.warning("nonce_conflict", node=node.id, nonce=message.nonce)
        batch.letter(f"{node.id}/ask", f"nonce {message.nonce} was used for another code before")
        _answer(batch, message, f"x{stored.number}", Decision(codes.ERROR, values={"reason": "conflict"}), None)
        return
    if lane is None or suspicious(batch, node, message.report, message.boot):
        reason = "no_lane" if lane is None else "old_image"
        _answer(batch, message, "x0", Decision(codes.ERROR, values={"reason": reason}), None)
        return
    batch.take(node, message.report)
    ticket = batch.rows.by_digest.get(message.proof.digest)
    decision, limit = _decide(batch, lane, message.side, message.proof, ticket, node.emergency)
    number = _number(batch)
    payload = _answer(batch, message, f"d{number}", decision, limit)
    _store(batch, message, number, lane, decision, payload, ticket)
    if decision.admits and ticket is not None:
        _reserve(batch, message.key, message.node, message.nonce, lane, ticket, decision)


def redeem(batch: Batch, message: Redeem) -> Redeemed:
    """A scan over HTTP, where scan, release and passage are one: somebody stands there and lets people through."""
    stored = batch.rows.decisions.get(message.key)
    if stored is not None:
        return Redeemed(stored.answer, conflict=(stored.content, stored.lane) != (message.proof.content, message.lane))
    lane = batch.live.lanes[message.lane]
    ticket = batch.rows.by_digest.get(message.proof.digest)
    decision, _ = _decide(batch, lane, message.side, message.proof, ticket, emergency=False)
    number = _number(batch)
    answer = _as_json(f"d{number}", decision)
    _store(batch, message, number, lane, decision, answer, ticket)
    ticket = _genuine(ticket, message.proof)
    if decision.admits and ticket is not None:
        visit = _reserve(batch, message.key, message.client, message.nonce, lane, ticket, decision)
        visits.enter(visit, ticket, decision.persons, batch.now_ms)
        batch.record(
            "passed", node=message.client, lane=lane.id, side=ENTRY, persons=decision.persons, ticket=ticket.id
        )
    elif message.side == EXIT and ticket is not None:
        _walk_out(batch, message, lane, ticket)
    return Redeemed(answer)


def _walk_out(batch: Batch, message: Redeem, lane: Lane, ticket: Ticket) -> None:
    gone = 0
    for visit in batch.rows.visits_of_ticket(ticket.id):
        if visit.is_open and visit.inside:
            gone += visits.leave(visit, visit.inside, batch.now_ms)
            batch.rows.changed(visit, ticket)
    if gone:
        batch.live.books.walk(lane.id, -gone)
        batch.touch(lane)
        batch.record("passed", node=message.client, lane=lane.id, side=EXIT, persons=gone, ticket=ticket.id)
    else:
        batch.record("exit_without_entry", node=message.client, lane=lane.id, ticket=ticket.id)


def _decide(
    batch: Batch, lane: Lane, side: str, proof: Proof, ticket: Ticket | None, emergency: bool
) -> tuple[Decision, Limit | None]:
    ticket = _genuine(ticket, proof)
    if side == EXIT:
        return Decision(codes.OK_EXIT), None
    refused = admission.refuse(_scan(batch, lane, ticket, emergency))
    if refused is not None:
        return refused, None
    if ticket is None:
        return Decision(codes.INVALID), None
    books = batch.live.books
    if lane.node:
        limit = books.grant(lane.id, ticket.persons)
        room = limit is not None
    else:
        limit, room = None, books.walk(lane.id, ticket.persons)
    if not room:
        return admission.full(ticket, min(books.zones[name].figures().free for name in lane.zones)), None
    batch.touch(lane)
    batch.rows.ticket_changed(ticket)
    return admission.admit(ticket), limit


def _scan(batch: Batch, lane: Lane, ticket: Ticket | None, emergency: bool) -> admission.Scan:
    live = batch.live
    stays = batch.rows.visits_of_ticket(ticket.id) if ticket is not None else []
    first = next((visit for visit in stays if visit.is_open), None)
    first_lane = live.lanes.get(first.lane) if first is not None else None
    area = live.areas.get(ticket.zone) if ticket is not None else None
    return admission.Scan(
        batch.now_ms,
        lane.id,
        lane.zones,
        tuple(live.areas[name].name for name in lane.zones),
        all(live.areas[name].is_open for name in lane.zones),
        emergency,
        ticket,
        stays,
        area.name if area is not None else "",
        first_lane.name if first_lane is not None else "",
    )


def _genuine(ticket: Ticket | None, proof: Proof) -> Ticket | None:
    """The digest finds a ticket, the whole hash proves it."""
    return ticket if ticket is not None and ticket.code_sha256 == proof.sha256 else None


def _reserve(batch: Batch, key: str, node: str, nonce: str, lane: Lane, ticket: Ticket, decision: Decision) -> Visit:
    visit = Visit(
        key, node, nonce, ticket.id, lane.id, lane.zone, decision.persons, visits.RESERVED, granted_ms=batch.now_ms
    )
    batch.rows.add_visit(visit)
    return visit


def _store(
    batch: Batch,
    message: Ask | Redeem,
    number: int,
    lane: Lane,
    decision: Decision,
    answer: bytes,
    ticket: Ticket | None,
) -> None:
    ticket = _genuine(ticket, message.proof)
    node = message.node if isinstance(message, Ask) else message.client
    name = ticket.id if ticket is not None else ""
    batch.rows.add_decision(
        Stored(
            message.key,
            number,
            message.proof.content,
            decision.code,
            decision.persons,
            name,
            node,
            lane.id,
            message.side,
            batch.now_ms,
            answer,
        )
    )
    # An unknown code is written down so that it can be recognised again, but not read.
    who = {"ticket": name} if name else {"code_hash": message.proof.content, "fault": message.proof.fault}
    batch.record(
        "decision",
        id=f"d{number}",
        node=node,
        lane=lane.id,
        side=message.side,
        nonce=message.nonce,
        code=decision.code,
        persons=decision.persons,
        **who,
    )


def _number(batch: Batch) -> int:
    batch.live.decision_number += 1
    return batch.live.decision_number


def _answer(batch: Batch, message: Ask, name: str, decision: Decision, limit: Limit | None) -> bytes:
    return batch.send(message.node, "answer", answer_fields(message.report.inc, message.nonce, name, decision, limit))


def answer_fields(inc: str, nonce: str, name: str, decision: Decision, limit: Limit | None) -> dict[str, Any]:
    """A decision as the node gets it (wire.py, `answer`)."""
    values = dict(decision.values)
    if decision.entries_left is not None:
        values["entries_left"] = decision.entries_left
    fields: dict[str, Any] = {
        "inc": inc,
        "nonce": nonce,
        "id": name,
        "code": decision.code,
        "persons": min(decision.persons, wire.PERSONS_MAX),
        "values": values,
    }
    if limit is not None:
        fields["limit"] = limit._asdict()
    return fields


def _as_json(name: str, decision: Decision) -> bytes:
    fields = asdict(decision) | {"id": name, "values": dict(decision.values), "text_key": decision.text_key}
    return json.dumps(fields, sort_keys=True).encode()
