"""A scan is answered: idempotency first, then the rules, then the cap; the answer is stored before it is sent."""

import json
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

from msgspec import Struct

from einlass_controller.compact import compact
from einlass_controller.domain import admission, visits
from einlass_controller.domain import decision as codes
from einlass_controller.domain.admission import Use
from einlass_controller.domain.catalogue import Product
from einlass_controller.domain.decision import Decision, Text
from einlass_controller.domain.occupancy import Limit
from einlass_controller.domain.rules import Fact, Verdict
from einlass_controller.domain.tickets import Ticket
from einlass_controller.domain.visits import Standing, Visit
from einlass_controller.live import Lane, Node, WaitingAsk
from einlass_controller.messages import ENTRY, EXIT, Ask, Redeem, Redeemed
from einlass_controller.steps import leasing, parking_exits
from einlass_controller.steps.batch import Batch, log
from einlass_controller.steps.moving import arrived, departed
from einlass_controller.steps.old_images import suspicious
from einlass_controller.steps.presenting import Shown, keep, present
from einlass_controller.steps.sessions import recognise
from einlass_controller.store.work import Stored
from einlass_core import wire

# So long a question waits until lanes have given lent places back: two of their answers, and far less than a node's
# own patience (ask_ms).
PLACES_WAIT_MS = 600
WAITING_MAX = 64
NO_USE = Use(0, 0)
_SAID = [item.name for item in fields(Decision)]
_said = attrgetter(*_SAID)
COUNTING = Text("Es wird nachgezählt: bitte warten", "People are being counted: please wait")


def ask(batch: Batch, message: Ask) -> None:
    """A node's question. Unknown nodes and past incarnations get no answer, only a dead letter."""
    node = recognise(batch, message.node, message.report.inc, message.boot, "ask", message.report)
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
    _settle(batch, message, node, lane)


def ask_again(batch: Batch, waiting: WaitingAsk) -> None:
    """A question that waits for lent places; its node may have given up, or be another one by now."""
    message = waiting.message
    node, lane = batch.live.nodes[message.node], batch.live.lane_of_node.get(message.node)
    stored = batch.rows.decisions.get(message.key)
    if stored is not None or lane is None or (node.inc, node.boot) != (message.report.inc, message.boot):
        batch.live.waiting_asks.pop(message.key, None)
        return
    _settle(batch, message, node, lane)


def _settle(batch: Batch, message: Ask, node: Node, lane: Lane) -> None:
    """Decide and answer, or let the question wait a moment for places that other lanes hold and may give back."""
    waiting = batch.live.waiting_asks
    shown = present(batch, message.proof, lane if message.side == ENTRY else None)
    ticket = shown.ticket
    found = decide(batch, Question(lane, message.side, shown, emergency=node.emergency))
    if found.decision.code == codes.ZONE_FULL and ticket is not None:
        until_ms = waiting[message.key].until_ms if message.key in waiting else batch.now_ms + PLACES_WAIT_MS
        room = message.key in waiting or len(waiting) < WAITING_MAX
        if room and batch.now_ms < until_ms and leasing.may_come_back(batch, lane, ticket.persons):
            waiting[message.key] = WaitingAsk(message, until_ms)
            return
    waiting.pop(message.key, None)
    if shown.fresh and not found.decision.admits and ticket is not None and not ticket.key_id:
        ticket = None  # full, or closed: this ticket was never given out
    if message.side == ENTRY and (found.decision.admits or found.decision.code == codes.ZONE_FULL):
        leasing.noted(batch, lane, came=max(1, found.decision.persons))
    number = number_of(batch)
    payload = _answer(batch, message, f"d{number}", found.decision, found.limit)
    _store(batch, message, number, lane, found, payload, ticket)
    if found.decision.admits and ticket is not None:
        reserve(batch, message.key, message.node, message.nonce, lane, ticket, found)


def redeem(batch: Batch, message: Redeem) -> Redeemed:
    """A scan over HTTP, where scan, release and passage are one: somebody stands there and lets people through."""
    stored = batch.rows.decisions.get(message.key)
    if stored is not None:
        return Redeemed(stored.answer, conflict=(stored.content, stored.lane) != (message.content, message.lane))
    lane = batch.live.lanes[message.lane]
    shown = present(batch, message.proof)
    ticket = shown.ticket
    found = decide(
        batch,
        Question(lane, message.side, shown, message.persons, message.proof_seen, message.paid_cents),
    )
    number = number_of(batch)
    answer = _as_json(f"d{number}", found.decision)
    _store(batch, message, number, lane, found, answer, ticket)
    if ticket is None:
        return Redeemed(answer)
    if message.paid_cents and found.decision.code in (codes.OK, codes.OK_REENTRY, codes.OK_EXIT):
        batch.record("paid", by=message.client, ticket=ticket.id, cents=message.paid_cents, decision=f"d{number}")
        ticket.due_cents = 0
        batch.rows.ticket_changed(ticket)
        parking_exits.paid_at_desk(batch, message, ticket)
    if found.decision.admits:
        persons = found.decision.persons
        visit = reserve(batch, message.key, message.client, message.nonce, lane, ticket, found)
        arrived(batch, visit, persons, batch.now_ms)
        batch.record("passed", node=message.client, lane=lane.id, side=ENTRY, persons=persons, ticket=ticket.id)
    elif found.decision.code == codes.OK_EXIT:
        _walk_out(batch, message, lane, ticket)
    return Redeemed(answer)


def _walk_out(batch: Batch, message: Redeem, lane: Lane, ticket: Ticket) -> None:
    persons = message.persons or _known_in(batch, lane, ticket) or wire.PERSONS_MAX
    gone = departed(batch, message.key, ticket, lane, persons, batch.now_ms)
    parking_exits.went_out(batch, lane, ticket, batch.now_ms)
    if gone:
        batch.live.books.walk(lane.id, -gone)
        batch.touch(lane)
        batch.record("passed", node=message.client, lane=lane.id, side=EXIT, persons=gone, ticket=ticket.id)
    else:
        batch.record("exit_without_entry", node=message.client, lane=lane.id, ticket=ticket.id)


def _known_in(batch: Batch, lane: Lane, ticket: Ticket) -> int:
    """Of all who leave together nobody is meant who is under way, or somewhere else; unless nobody is known here."""
    return sum(visit.inside for visit in batch.rows.visits_of_ticket(ticket.id) if visit.zone == lane.zone)


class Question(Struct, frozen=True):
    """A scan that is to be decided. persons 0: as many as the ticket is for."""

    lane: Lane
    side: str
    shown: Shown
    persons: int = 0
    proof_seen: bool = False
    paid_cents: int = 0
    emergency: bool = False

    @property
    def ticket(self) -> Ticket | None:
        """None: the code is not known."""
        return self.shown.ticket


class Found(Struct, frozen=True):
    """A decision, the ceiling that makes room for it, what the rules were asked with, and what the ticket gives."""

    decision: Decision
    limit: Limit | None = None
    facts: str = ""
    use: Use = NO_USE


def decide(batch: Batch, asked: Question) -> Found:
    """The fixed checks, then the house's rules, then the cap."""
    if asked.side == EXIT:
        return _decide_exit(batch, asked)
    judged = judge(batch, asked)
    if isinstance(judged, Found):
        return judged
    live, lane = batch.live, asked.lane
    ticket, persons, version = judged.ticket, judged.persons, str(batch.catalogue.version)
    booked = ticket.slot_ms is not None
    places = {} if booked else {name: live.guarded(name, batch.now_ms) for name in lane.zones}
    limit = live.books.grant(lane.id, persons, places) if lane.node else None
    if limit is None and (lane.node or not live.books.walk(lane.id, persons, places)):
        for name in lane.zones:
            batch.short[name] = batch.short.get(name, 0) + persons
        free = min(live.books.zones[name].figures().free - places.get(name, 0) for name in lane.zones)
        return Found(admission.full(ticket, free, version), facts=judged.kept)
    batch.touch(lane)
    return let_in(batch, asked, judged, persons, limit)


def let_in(batch: Batch, asked: Question, judged: "Judged", persons: int, limit: Limit | None) -> Found:
    """The ticket is used for so many, who have their places."""
    ticket = judged.ticket
    keep(batch, asked.shown)
    batch.rows.ticket_changed(ticket)
    if ticket.slot_ms is not None and not ticket.entries_used:
        _came(batch, ticket)
    use = admission.use_of(judged.verdict, judged.facts, judged.product, persons, judged.running)
    admission.take(ticket, use, batch.moment, batch.is_late)
    verdict, version = judged.verdict, str(batch.catalogue.version)
    decision = admission.about(ticket, verdict.code, verdict.values, persons, verdict, version)
    return Found(decision, limit, judged.kept, use)


class Judged(Struct, frozen=True):
    """A ticket that all rules admit, for so many persons; whether there is room is another question.

    running: the visit of it whose entry still runs, if there is one.
    """

    ticket: Ticket
    product: Product | None
    persons: int
    verdict: Verdict
    facts: dict[str, Fact]
    kept: str
    running: str


def judge(batch: Batch, asked: Question) -> Found | Judged:
    """An entry scan by the fixed checks and the house's rules; Found when they refuse it."""
    live, lane, ticket = batch.live, asked.lane, asked.ticket
    area = live.areas.get(ticket.zone) if ticket is not None else None
    fixed = admission.Scan(
        batch.now_ms,
        lane.zones,
        ticket,
        asked.emergency or live.site.mode == admission.EVACUATION,
        area.name if area is not None else "",
        asked.paid_cents,
    )
    version = str(batch.catalogue.version)
    refused = admission.refuse(fixed)
    if refused is not None:
        return Found(replace(refused, rules_version=version))
    if ticket is None:
        return Found(Decision(codes.INVALID, rules_version=version))
    if live.recount:  # nobody knows how many are inside, so nobody can say that there is a place
        return Found(Decision(codes.STAFF, values={"reason": "recount"}, rules_version=version, text=COUNTING))
    product = batch.catalogue.products.get(ticket.product)
    standing = _stand(batch, lane, ticket, product)
    persons = _persons(asked, ticket, product, standing)
    facts = _facts(batch, asked, ticket, product, standing, persons)
    shut = live.site.mode == admission.LOCKDOWN or any(live.areas[name].shut_at(batch.now_ms) for name in lane.zones)
    openings = [live.opening(name, batch.now_ms) for name in lane.zones]
    verdict = batch.catalogue.judge(ticket.product, facts, openings, shut)
    kept = compact(facts | {"shut": shut})
    if not verdict.admits:
        first = standing.first
        where = live.lanes.get(first.lane) if first is not None else None
        name = where.name if where is not None else ""
        return Found(admission.refusal(ticket, verdict, version, first, name), facts=kept)
    return Judged(ticket, product, persons, verdict, facts, kept, standing.entry)


def _decide_exit(batch: Batch, asked: Question) -> Found:
    """Nobody is kept in; where staff stands, money that is due is asked for first, but not in an emergency."""
    ticket = asked.ticket
    if parking_exits.is_car_park(batch, asked.lane):
        found = parking_exits.decide(batch, asked.lane, ticket, asked.emergency, asked.paid_cents)
        return Found(replace(found, rules_version=str(batch.catalogue.version)))
    if ticket is None or batch.live.site.mode:
        return Found(Decision(codes.OK_EXIT))
    verdict = judge_exit(batch, asked.lane, ticket)
    if verdict.code != codes.OVERSTAY_DUE or asked.paid_cents >= int(verdict.values.get("amount_cents", 0)):
        return Found(Decision(codes.OK_EXIT))
    version = str(batch.catalogue.version)
    return Found(admission.about(ticket, verdict.code, verdict.values, verdict=verdict, version=version))


def judge_exit(batch: Batch, lane: Lane, ticket: Ticket) -> Verdict:
    """What the house's rules say of somebody who leaves."""
    product = batch.catalogue.products.get(ticket.product)
    standing = _stand(batch, lane, ticket, product)
    facts = _facts(batch, Question(lane, EXIT, Shown(ticket)), ticket, product, standing, ticket.persons)
    return batch.catalogue.judge_exit(ticket.product, facts)


def _persons(asked: Question, ticket: Ticket, product: Product | None, standing: Standing) -> int:
    if standing.movable:
        return min(asked.persons or standing.movable, standing.movable, wire.PERSONS_MAX)
    if product is not None and product.group:
        return asked.persons or ticket.persons
    possible = standing.missed or standing.outside or ticket.persons
    return min(asked.persons or possible, possible)


def _stand(batch: Batch, lane: Lane, ticket: Ticket, product: Product | None) -> Standing:
    """A card for several stands for any number of people: some of them are always outside."""
    persons = visits.ANY_NUMBER if product is not None and product.group else ticket.persons
    chain_of = batch.live.chain_of
    standing = visits.stand(_visits(batch, lane, ticket), persons, lane.zone, lane.outer, chain_of)
    if not standing.missed:
        return standing
    batch.rows.came_later(ticket.id)  # and may be gone again; few are let in without going through, so this is rare
    return visits.stand(_visits(batch, lane, ticket), persons, lane.zone, lane.outer, chain_of)


def _visits(batch: Batch, lane: Lane, ticket: Ticket) -> list[Visit]:
    """A car that stands in the car park is not its driver, who walks through a turnstile, and the other way round."""
    cars = batch.live.is_for_cars(lane.zone)
    return [visit for visit in batch.rows.visits_of_ticket(ticket.id) if batch.live.is_for_cars(visit.zone) == cars]


def _facts(
    batch: Batch, asked: Question, ticket: Ticket, product: Product | None, standing: Standing, persons: int
) -> dict[str, Fact]:
    return admission.facts(
        ticket,
        product,
        batch.moment,
        standing,
        lane=asked.lane.id,
        zone=asked.lane.zone,
        persons=persons,
        proof=asked.proof_seen,
        company_inside=any(visit.is_open for visit in batch.rows.company_of(ticket)),
        stays=_visits(batch, asked.lane, ticket),
    )


def _came(batch: Batch, ticket: Ticket) -> None:
    """A booked place is used now and no longer guarded; what is stored is read again every few seconds."""
    for booking in batch.live.bookings:
        if (booking.zone, booking.slot_ms) == (ticket.zone, ticket.slot_ms):
            booking.persons = max(0, booking.persons - ticket.persons)


def reserve(batch: Batch, key: str, node: str, nonce: str, lane: Lane, ticket: Ticket, found: Found) -> Visit:
    """The visit that this decision begins."""
    persons, use = found.decision.persons, found.use
    visit = Visit(key, node, nonce, ticket.id, lane.id, lane.zone, persons, visits.RESERVED, granted_ms=batch.now_ms)
    visit.entries, visit.turns, visit.entry_of = use.entries, use.turns, use.entry_of
    batch.rows.add_visit(visit)
    return visit


def _store(
    batch: Batch,
    message: Ask | Redeem,
    number: int,
    lane: Lane,
    found: Found,
    answer: bytes,
    ticket: Ticket | None,
) -> None:
    decision = found.decision
    content = message.content if isinstance(message, Redeem) else message.proof.content
    node = message.node if isinstance(message, Ask) else message.client
    name = ticket.id if ticket is not None else ""
    batch.rows.add_decision(
        Stored(
            message.key,
            number,
            content,
            decision.code,
            decision.persons,
            name,
            node,
            lane.id,
            message.side,
            batch.now_ms,
            answer,
            found.facts,
        )
    )
    # An unknown code is written down so that it can be recognised again, but not read.
    who = {"ticket": name} if name else {"code_hash": message.proof.content, "fault": message.proof.fault}
    why = {"rule": decision.rule, "rules_version": decision.rules_version} if decision.rule else {}
    if isinstance(message, Redeem) and message.proof_seen:
        why["proof_seen"] = message.client
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
        **why,
    )


def number_of(batch: Batch) -> int:
    """The next decision's number."""
    batch.live.decision_number += 1
    return batch.live.decision_number


def _answer(batch: Batch, message: Ask, name: str, decision: Decision, limit: Limit | None) -> bytes:
    return batch.send(message.node, "answer", answer_fields(message.report.inc, message.nonce, name, decision, limit))


def answer_fields(inc: str, nonce: str, name: str, decision: Decision, limit: Limit | None) -> dict[str, Any]:
    """A decision as the node gets it (wire.py, `answer`)."""
    values = dict(decision.values)
    if decision.entries_left is not None:
        values["entries_left"] = decision.entries_left
    found: dict[str, Any] = {
        "inc": inc,
        "nonce": nonce,
        "id": name,
        "code": decision.code,
        "persons": min(decision.persons, wire.PERSONS_MAX),
        "values": values,
    }
    if limit is not None:
        found["limit"] = limit._asdict()
    return found


def _as_json(name: str, decision: Decision) -> bytes:
    text = decision.text
    said: dict[str, Any] = dict(zip(_SAID, _said(decision), strict=True))
    said |= {"id": name, "values": dict(decision.values), "text_key": decision.text_key}
    said["text"] = None if text is None else {"de": text.de, "en": text.en}
    return json.dumps(said, sort_keys=True).encode()
