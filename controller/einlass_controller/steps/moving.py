"""Where people are after a passage: visits follow bodies, through nested zones and from one zone into the next."""

from einlass_controller.domain import visits
from einlass_controller.domain.tickets import Ticket
from einlass_controller.domain.visits import Visit
from einlass_controller.live import Lane
from einlass_controller.messages import ENTRY, NodeEvent
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.clocks import AWAY_MARGIN_MS, MARGIN_MS, margin_ms
from einlass_controller.steps.house import ask_late, came_before, is_asked, mark_later
from einlass_core import wire


def arrived(batch: Batch, visit: Visit, persons: int, at_ms: int, doubtful: bool = False) -> None:
    """So many of a visit went in: they are in every zone the lane leads into, and in none that does not lie around."""
    ticket, lane = batch.ticket_of(visit), batch.live.lanes.get(visit.lane)
    from_start = _at_the_start(batch, ticket, lane) if lane is not None else 0
    before = visit.inside
    visits.enter(visit, ticket, persons, at_ms, doubtful)
    batch.rows.changed(visit, ticket)
    entered = [visit]
    persons = visit.inside - before  # the others have left already
    if lane is not None and persons:
        for zone in lane.zones:
            if zone != visit.zone:
                entered.append(_beside(batch, visit, zone, persons, at_ms))
        strays = max(0, persons - from_start)
        _leave_behind(batch, visit, lane, persons, strays, at_ms)
        for zone in batch.live.chain_of(lane.zone):  # how they came into the zones around it is not told yet
            if strays and zone not in lane.zones:
                entered.append(_beside(batch, visit, zone, strays, at_ms))
    closed_ms = batch.live.site.closed_ms
    for item in entered:
        overnight = item.zone in batch.live.parking.zones
        if item.began_ms is not None and item.began_ms < closed_ms and not overnight:  # told late, by a cut-off lane
            visits.go_home(item, closed_ms)


def departed(batch: Batch, key: str, ticket: Ticket, lane: Lane, persons: int, at_ms: int) -> int:
    """So many of a ticket's bearers went out by this lane; returns how many of them were known to be in there.

    They are then where the lane starts: in none of the zones that do not lie around that. Told late by a lane that was
    cut off, it ends nothing that began after it.
    """
    chain_of = batch.live.chain_of
    around = chain_of(lane.outer)
    cars = batch.live.is_for_cars(lane.zone)
    there = _inside(batch, ticket.id, cars, at_ms + MARGIN_MS)
    known = early = 0
    for zone in lane.zones:
        gone = _leave(batch, there.get(zone, []), persons, at_ms)
        known = max(known, gone)
        early = max(early, gone + _leave_early(batch, ticket, lane, zone, persons - gone, at_ms))
    for zone in sorted(there.keys() - {*around, *lane.zones}, key=lambda name: len(chain_of(name))):
        chain, count = chain_of(zone), sum(item.inside for item in there[zone])
        if lane.zone in chain:  # deeper inside: only those who are in no zone around it any more
            _leave(batch, there[zone], count - sum(item.inside for item in there.get(chain[1], ())), at_ms, deeper=True)
        else:  # by the records somewhere else altogether: those who were not known to be here
            known += _leave(batch, there[zone], persons - known, at_ms)
    for zone in lane.leaves:  # the lane starts in another zone: there they are again
        # Whose way in is not told yet may by the records still be where the lane starts.
        count = known + max(0, early - known - sum(item.inside for item in there.get(zone, ())))
        back = Visit(f"{key}+{zone}", lane.node, "", ticket.id, lane.id, zone, count, visits.PRESENT, at_ms)
        if count and back.key not in batch.rows.visits:
            back.entries = back.turns = 0
            back.passed, back.began_ms = count, at_ms
            batch.rows.add_visit(back)
    if max(known, early) and not lane.outer:
        ticket.last_exit_ms = max(at_ms, ticket.last_exit_ms or 0)
    batch.rows.ticket_changed(ticket)
    return max(known, early)


def _leave_early(batch: Batch, ticket: Ticket, lane: Lane, zone: str, persons: int, at_ms: int) -> int:
    """Those whose way in is not told yet: when it is, they are in the zones around at most, if it led there."""
    left = persons
    for visit in batch.rows.visits_of_ticket(ticket.id):
        if left and visit.granted_ms <= at_ms + MARGIN_MS and _leads_into(batch, visit, lane, zone):
            gone = visits.leave_early(visit, ticket, left)
            left -= gone
            batch.rows.changed(visit, None)
            if gone:
                _stay_around(batch, visit, lane, gone, at_ms)
    return persons - left


def _stay_around(batch: Batch, visit: Visit, lane: Lane, persons: int, at_ms: int) -> None:
    """Whose way in led into several zones is still in those that this lane does not lead out of."""
    for zone in _zones_of(batch, visit):
        if zone not in (*lane.zones, *lane.leaves) and zone in batch.live.chain_of(lane.outer):
            _beside(batch, visit, zone, persons, at_ms)


def _leads_into(batch: Batch, visit: Visit, lane: Lane, zone: str) -> bool:
    """Whether its bearers come into this zone, which they leave by the lane; of its zones one, if it is further in."""
    within = visit.zone not in lane.zones and zone == lane.zone
    return visit.zone == zone or (within and zone in _zones_of(batch, visit))


def _zones_of(batch: Batch, visit: Visit) -> tuple[str, ...]:
    lane = batch.live.lanes.get(visit.lane)
    return (visit.zone,) if lane is None else lane.zones


def recount(batch: Batch, message: NodeEvent, side: str, persons: int) -> None:
    """A passage that was before the zone's last count, and is only told now, is in that count already.

    Not when the account that the count was made from had it in it. Where the time is not known (told_ms 0: after a
    start that nobody told it to), or nearer to the count than clocks are right, nobody comes to be too few: who came in
    counts, who went out does not.
    """
    lane, told_ms = batch.live.lane_of_node.get(message.node), int(message.fields.get("unix_ms", 0))
    if lane is None:
        return
    sign = 1 if side == ENTRY else -1
    margin = margin_ms(batch, batch.live.nodes[message.node])
    account = batch.live.books.accounts[lane.id]
    if account.frozen or (message.report is not None and message.report.epoch != account.epoch):
        _past_account(batch, message, lane, sign * persons, max(margin, AWAY_MARGIN_MS))
        return
    for zones, effect in ((lane.zones, sign), (lane.leaves, -sign)):
        for zone in zones:
            area = batch.live.areas[zone]
            inc, seq, _ = area.counted.get(lane.id, ("", 0, 0))
            if not area.counted_ms or (inc == message.inc and message.seq <= seq):
                continue
            if told_ms >= area.counted_ms + margin:  # nor is anything that this journal says from here on
                mark_later(batch, zone, lane.id, message.inc)
            elif effect < 0 or 0 < told_ms < came_before(area) - margin:
                ask_late(batch, zone, lane, message.inc)
                batch.live.books.excuse(zone, effect * persons, is_asked(batch, zone))
                batch.zones.add(zone)
                at_ms = told_ms or batch.now_ms
                batch.record("counted_before", at_ms, lane=lane.id, zone=zone, change=-effect * persons)


def _past_account(batch: Batch, message: NodeEvent, lane: Lane, persons: int, margin: int) -> None:
    """A passage of an account that is in no book: from before a restore, or an old image's (persons above 0: in).

    Before people were counted it is in that count. Such a lane goes on with that account afterwards: who leaves by it
    is not inside any more, and who came in where the lane asks nobody is.
    """
    if batch.live.recount:
        return
    told_ms = int(message.fields.get("unix_ms", 0))
    for zones, change in ((lane.zones, persons), (lane.leaves, -persons)):
        for zone in zones:
            area = batch.live.areas[zone]
            inc, seq, _ = area.counted.get(lane.id, ("", 0, 0))
            later = told_ms >= area.counted_ms + margin
            if inc == message.inc and seq == wire.COUNT_MAX:
                later = True
            elif not area.counted_ms or (inc == message.inc and message.seq <= seq):
                continue
            elif later:
                mark_later(batch, zone, lane.id, message.inc)
            elif change < 0 or 0 < told_ms < came_before(area) - margin:
                continue
            batch.live.books.shift(zone, change)
            batch.zones.add(zone)
            batch.record("counted_after", told_ms or batch.now_ms, lane=lane.id, zone=zone, change=change)


def key_beside(visit: Visit, zone: str) -> str:
    """Of the visit of another zone into which the same passage led."""
    return f"{visit.key}+{zone}"


def _beside(batch: Batch, visit: Visit, zone: str, persons: int, at_ms: int) -> Visit:
    key = key_beside(visit, zone)
    found = batch.rows.visits.get(key)
    if found is None:
        found = Visit(key, visit.node, visit.nonce, visit.ticket, visit.lane, zone, 0, visits.PRESENT, visit.granted_ms)
        found.entries = found.turns = 0
        batch.rows.add_visit(found)
    visits.enter(found, None, persons, at_ms)
    found.persons += persons
    batch.rows.changed(found, None)
    return found


def _at_the_start(batch: Batch, ticket: Ticket | None, lane: Lane) -> int:
    """Bearers of a ticket who are known to be where the lane starts: they come first, and were nowhere else."""
    if ticket is None:
        return 0
    found = _inside(batch, ticket.id, batch.live.is_for_cars(lane.zone))
    there = {zone: sum(item.inside for item in items) for zone, items in found.items()}
    chain_of = batch.live.chain_of
    if lane.outer:
        already = there.get(lane.zone, 0) if lane.outer in chain_of(lane.zone) else 0
        return max(0, there.get(lane.outer, 0) - already)
    product = batch.catalogue.products.get(ticket.product)
    if product is not None and product.group:
        return visits.ANY_NUMBER
    return max(0, ticket.persons - sum(count for zone, count in there.items() if len(chain_of(zone)) == 1))


def _leave_behind(batch: Batch, visit: Visit, lane: Lane, persons: int, strays: int, at_ms: int) -> None:
    """Who comes into a zone leaves all those that it does not lie in. What sensors count there is theirs to say.

    strays: so many were by the records neither where the lane starts nor outside.
    """
    if not visit.ticket:
        return
    chain_of = batch.live.chain_of
    around, start = chain_of(lane.zone), chain_of(lane.outer)
    there = _inside(batch, visit.ticket, batch.live.is_for_cars(lane.zone))
    for zone in sorted(there.keys() - {*around}, key=lambda name: len(chain_of(name))):
        chain = chain_of(zone)
        left = persons if zone in start else strays
        if len(chain) > 1 and chain[1] not in around and zone not in start:  # only those who are not around it any more
            left = sum(item.inside for item in there[zone]) - sum(item.inside for item in there.get(chain[1], ()))
        for item in there[zone]:
            gone = visits.leave(item, max(0, left), at_ms)
            left -= gone
            batch.rows.changed(item, None)
            if not lane.node and zone not in lane.leaves:
                _count_out(batch, item, gone)


def _count_out(batch: Batch, visit: Visit, persons: int) -> None:
    """In a zone that only desks count people are counted out where they were counted in.

    Where sensors count as well, one of them may have seen them leave: then the count stays until staff corrects it.
    """
    desk = batch.live.lanes.get(visit.lane)
    sensed = any(lane.node and visit.zone in (*lane.zones, *lane.leaves) for lane in batch.live.lanes.values())
    if persons and desk is not None and not sensed and desk.zone == visit.zone:
        batch.live.books.walk(desk.id, -persons)
        batch.touch(desk)


def _inside(batch: Batch, ticket: str, cars: bool, begun_ms: int | None = None) -> dict[str, list[Visit]]:
    """Where its bearers are, or where their cars are: a car stays parked while its driver walks about."""
    found: dict[str, list[Visit]] = {}
    for visit in batch.rows.visits_of_ticket(ticket):
        late = begun_ms is not None and visit.since_ms > begun_ms
        if batch.live.is_for_cars(visit.zone) != cars:
            continue
        if visit.state == visits.PRESENT and visit.inside and not late:
            found.setdefault(visit.zone, []).append(visit)
    return found


def _leave(batch: Batch, there: list[Visit], persons: int, at_ms: int, deeper: bool = False) -> int:
    """The last who came go first: then exits that are told out of order find whom they can only have meant."""
    left = max(0, persons)
    for visit in sorted(there, key=lambda item: item.since_ms, reverse=True):
        if left:
            gone = visits.leave(visit, left, at_ms)
            left -= gone
            batch.rows.changed(visit, None)
            if deeper:
                _count_out(batch, visit, gone)
    return max(0, persons) - left
