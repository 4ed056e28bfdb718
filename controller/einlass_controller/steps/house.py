"""What the people who run the house order: rules, corrections, closing, lockdown; what the clock orders at night."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from einlass_controller.domain import visits
from einlass_controller.domain.admission import EVACUATION
from einlass_controller.domain.catalogue import in_force, read_catalogue
from einlass_controller.domain.hours import last_close
from einlass_controller.domain.tickets import Ticket
from einlass_controller.live import Area, Lane
from einlass_controller.messages import EXIT, Correct, Declined, Done, SetMode, SetRules, Shut, Vouch
from einlass_controller.parking_book import with_products
from einlass_controller.steps import night_clock
from einlass_controller.steps.batch import Batch
from einlass_controller.store.schema import RULES, SITE, ZONE
from einlass_core import wire

BOOKINGS_EVERY_MS = 5_000
# A close that comes later than this (the controller was down) asks the ledger who came since.
LATE_MS = 60_000
VERSIONS_MAX = 1_000
# Beside the lanes in what a zone remembers of its last count, if that was given as a difference: see came_before.
CAME = ""
_NOBODY: Mapping[str, int] = {}


def set_rules(batch: Batch, message: SetRules) -> Done | Declined:
    """Keep a new version. It holds from its instant on; what was decided before stays as it was decided."""
    live = batch.live
    version, valid_from_ms = live.catalogues[-1].version + 1, message.valid_from_ms or batch.now_ms
    catalogue = with_products(read_catalogue(message.body, version, valid_from_ms), live.parking.products)
    if version > VERSIONS_MAX:
        return Declined(f"there are {VERSIONS_MAX} versions already")
    if valid_from_ms < batch.now_ms:
        return Declined("valid_from is in the past: what was decided then was decided by other rules")
    missing = sorted(set(batch.rows.products_in_use()) - catalogue.products.keys())
    if missing:
        return Declined(f"there are valid tickets of {', '.join(missing)}: keep a product until they are gone")
    unknown = sorted(catalogue.zones.keys() - live.areas.keys())
    if unknown:
        return Declined(f"zone {unknown[0]!r} is not known; known are: {', '.join(live.areas)}")
    if no_pass := live.parking.no_pass(catalogue):
        return Declined(no_pass)
    who = {"valid_from_ms": valid_from_ms, "by": message.by, "reason": message.reason}
    body = json.dumps(message.body, sort_keys=True, default=str)
    batch.rows.insert(RULES, {"version": version, "created_ms": batch.now_ms, "body": body, **who})
    live.catalogues.append(catalogue)
    batch.rules_changed()
    batch.record("rules", version=version, rules=json.loads(body), **who)
    return Done({"version": version, "valid_from_ms": valid_from_ms})


def correct(batch: Batch, message: Correct) -> Done | Declined:
    """The count of a zone is what staff counted. An entry in the ledger; no account and no older entry changes."""
    if message.zone not in batch.live.areas:
        return Declined(f"zone {message.zone!r} is not known", missing=True)
    zone = batch.live.books.zones[message.zone]
    before = zone.figures().present
    if message.seen is None:
        _count(batch, message.zone, message.count)
    else:  # people went in and out since the figure was read: only the difference is wrong
        # Nobody says when it was read. A lane that is cut off may have let people out before that, who are missing in
        # the difference already, or in after it: such exits told late are in this count, such entries are not.
        area = batch.live.areas[message.zone]
        _count(batch, message.zone, before + message.count - message.seen, came_ms=came_before(area))
    after = zone.figures()
    body = {"before": before, "after": after.present, "count": message.count, "seen": message.seen, "base": zone.base}
    batch.record("corrected", zone=message.zone, **body, by=message.by, reason=message.reason)
    return Done({"zone": message.zone, "before": before, "present": after.present, "over": after.over})


def shut(batch: Batch, message: Shut) -> Done | Declined:
    """Close early, or open again what a person closed. Who is inside stays; the exits are as they were."""
    area = batch.live.areas.get(message.zone)
    if area is None:
        return Declined(f"zone {message.zone!r} is not known", missing=True)
    opened = message.from_ms == 0 and message.until_ms == 0
    span = (None, None) if opened else (message.from_ms, message.until_ms)
    _keep(batch, replace(area, is_open=area.is_open or opened, shut_from_ms=span[0], shut_until_ms=span[1]))
    kind = "opened" if opened else "closed"
    batch.record(kind, zone=area.id, from_ms=span[0], until_ms=span[1], by=message.by, reason=message.reason)
    return Done({"zone": area.id, "shut_from_ms": span[0], "shut_until_ms": span[1]})


def set_mode(batch: Batch, message: SetMode) -> Done | Declined:
    """Lockdown and evacuation for the whole site, and their end.

    Lanes that were told of an emergency stay in it until two people re-arm each of them.
    """
    live = batch.live
    before = live.site.mode
    if before == EVACUATION != message.mode and len({name.strip().casefold() for name in message.people}) < 2:
        return Declined("the end of an evacuation needs the names of two different people in `by`")
    live.site = replace(live.site, mode=message.mode, mode_by=message.by)
    batch.rows.update(SITE, "id", {"id": live.site.id, "mode": message.mode, "mode_by": message.by})
    batch.record(
        "mode", before=before, mode=message.mode, by=message.by, people=list(message.people), reason=message.reason
    )
    if EVACUATION in (before, message.mode):
        send_emergency(batch)
    return Done({"before": before, "mode": message.mode})


def send_emergency(batch: Batch) -> None:
    """Tell every node whether the site is being evacuated; said again and again, since the broker keeps nothing."""
    site = batch.live.site
    by = site.mode_by[: wire.TEXT_LENGTH_MAX]
    batch.tell_all("emergency", {"on": site.mode == EVACUATION, "by": by})


def vouch(batch: Batch, message: Vouch) -> Done | Declined:
    """Staff saw the proof: a lane that cannot look need not ask again until then."""
    ticket = batch.rows.ticket(message.ticket)
    if ticket is None:
        return Declined("no such ticket", missing=True)
    ticket.proof_until_ms = message.until_ms
    batch.rows.ticket_changed(ticket)
    batch.record("vouched", ticket=ticket.id, until_ms=message.until_ms, by=message.by)
    return Done({"ticket": ticket.id, "proof_until_ms": message.until_ms})


def slots_left(batch: Batch, tickets: tuple[Ticket, ...], walk_in: bool) -> Declined | None:
    """Whether the time slots that these tickets are for have room for them."""
    wanted: dict[tuple[str, int], int] = {}
    for ticket in tickets:
        if ticket.slot_ms is not None:
            key = (ticket.product, ticket.slot_ms)
            wanted[key] = wanted.get(key, 0) + ticket.persons
    for (name, slot_ms), persons in wanted.items():
        product = in_force(batch.live.catalogues, max(slot_ms, batch.now_ms)).products.get(name)
        if product is None or product.slots is None:
            return Declined(f"product {name!r} has no time slots then")
        limit = product.slots.quota if walk_in else product.slots.presale
        sold = batch.rows.sold(name, slot_ms)
        if sold + persons > limit:
            return Declined(f"the slot has {max(0, limit - sold)} places left, {persons} were asked for")
    return None


def _closed(batch: Batch, due_ms: int) -> None:
    live = batch.live
    live.site = replace(live.site, closed_ms=due_ms)
    batch.rows.update(SITE, "id", {"id": live.site.id, "closed_ms": due_ms})


def night(batch: Batch) -> None:
    """The nightly close, once for each night, also when it is noticed late; not when only a jump has brought it."""
    live = batch.live
    if batch.catalogue.nightly_close_ms is None:
        return
    due_ms = last_close(batch.now_ms, batch.catalogue.nightly_close_ms, live.clocks)
    if live.site.closed_ms > batch.now_ms:  # of a night that was not: the clock was ahead, and has been put right
        _closed(batch, due_ms)
    if due_ms <= live.site.closed_ms or not night_clock.has_come(batch, due_ms):
        return
    _closed(batch, due_ms)
    if due_ms < batch.catalogue.valid_from_ms:
        return  # before there was a rule that says so
    ended = 0
    for visit in batch.rows.visits_to_end(live.nodes):
        if visit.since_ms < due_ms and visit.zone not in live.parking.zones:  # cars stay overnight
            gone = visits.go_home(visit, due_ms)
            ticket = batch.rows.ticket(visit.ticket) if visit.ticket else None
            if ticket is not None and gone:
                ticket.last_exit_ms = max(due_ms, ticket.last_exit_ms or 0)
            batch.rows.changed(visit, ticket)
            ended += 1
    since = _came_since(batch, due_ms)
    zones = {}
    for name in live.areas.keys() - live.parking.zones.keys():
        before = live.books.zones[name].figures().present
        _count(batch, name, max(0, since.get(name, 0)), due_ms)
        zones[name] = {"before": before, "after": live.books.zones[name].figures().present}
    batch.record("nightly_close", due_ms, visits=ended, zones=zones)


def _came_since(batch: Batch, due_ms: int) -> dict[str, int]:
    """Who is inside by passages after an instant: from the visits, or when that was long ago from the ledger."""
    found: dict[str, int] = {}
    if batch.now_ms - due_ms <= LATE_MS:
        for visit in batch.rows.visits_inside():
            found[visit.zone] = found.get(visit.zone, 0) + visit.inside
        return found
    for body in batch.rows.passages_since(due_ms):
        lane = batch.live.lanes.get(str(body.get("lane", "")))
        if lane is None:
            continue
        persons = int(body.get("persons") or 1) * (-1 if body.get("side") == EXIT else 1)
        for zones, sign in ((lane.zones, 1), (lane.leaves, -1)):
            for zone in zones:
                found[zone] = found.get(zone, 0) + sign * persons
    return found


def bookings(batch: Batch) -> None:
    """Who is booked and has not come, read again every few seconds."""
    live = batch.live
    guards = [rules.guard for rules in batch.catalogue.zones.values() if rules.guard is not None]
    if guards and batch.now_ms - live.bookings_read_ms >= BOOKINGS_EVERY_MS:
        live.bookings_read_ms = batch.now_ms
        before_ms, release_ms = max(item.before_ms for item in guards), max(item.release_ms for item in guards)
        live.bookings = batch.rows.bookings(batch.now_ms - release_ms, batch.now_ms + before_ms)


def _count(batch: Batch, zone: str, persons: int, at_ms: int | None = None, came_ms: int | None = None) -> None:
    asked = _ask(batch, zone)
    batch.live.books.correct(zone, persons, bool(asked))
    batch.zones.add(zone)
    mark_counted(batch, zone, batch.now_ms if at_ms is None else at_ms, asked, came_ms)


def _ask(batch: Batch, zone: str) -> dict[str, int]:
    """Lanes that may let people in alone are sent their ceiling again: whoever takes it has told all that was before.

    By lane, its version. Who left by such a lane and is not told yet has made room there for somebody to come.
    """
    asked = {}
    for lane in batch.live.lanes.values():
        account = batch.live.books.accounts[lane.id]
        if lane.node and zone in lane.zones and account.inc and account.leased_until_ms > batch.steady_ms:
            limit = batch.live.books.again(lane.id)
            asked[lane.id] = limit.version
            batch.touch(lane)
            batch.send_limit(lane, limit)
    return asked


def ask_late(batch: Batch, zone: str, lane: Lane, inc: str) -> None:
    """A lane is there again that nobody had asked for what was before the zone's last count: its lease was over.

    Whom it let in is taken off the count then, and stands in its account, in places that it was granted anew meanwhile.
    Before it has told all it has no lease.
    """
    area, account = batch.live.areas[zone], batch.live.books.accounts[lane.id]
    known, seq, version = area.counted.get(lane.id, ("", 0, 0))
    if version or zone not in lane.zones or account.inc != inc or account.frozen:
        return
    limit = batch.live.books.again(lane.id)
    batch.touch(lane)
    batch.send_limit(lane, limit)
    mark = (inc, seq if known == inc else 0, limit.version)
    _keep(batch, replace(area, counted={**area.counted, lane.id: mark}))


def is_asked(batch: Batch, zone: str) -> bool:
    """Whether a lane has yet to tell what was before the zone's last count; one that lost its journal never will."""
    return any(version for _, _, version in batch.live.areas[zone].counted.values())


def all_told(batch: Batch) -> None:
    """Places kept since a count are free when every lane has told what was before it."""
    books = batch.live.books
    for zone, area in list(batch.live.areas.items()):
        told = {}
        for lane, (inc, _, version) in area.counted.items():
            account = books.accounts.get(lane)
            if version and (account is None or (account.inc == inc and account.version >= version)):
                told[lane] = (inc, wire.COUNT_MAX, 0)  # from here on it tells what was after the count
        if told:
            _keep(batch, replace(area, counted={**area.counted, **told}))
        if books.zones[zone].untold and not is_asked(batch, zone):
            books.told(zone)
            batch.zones.add(zone)


def came_before(area: Area) -> int:
    """Who came in before this instant is in the zone's last count."""
    return area.counted.get(CAME, ("", area.counted_ms, 0))[1]


def mark_counted(
    batch: Batch, zone: str, at_ms: int, asked: Mapping[str, int] = _NOBODY, came_ms: int | None = None
) -> None:
    """Remember that people were counted then: what lanes tell late of the time before is in that count already.

    asked: by lane, the version of the ceiling by which it has told that. came_ms: of entries only what was before this.
    """
    live = batch.live
    counted = {
        lane.id: (live.books.accounts[lane.id].inc, live.books.accounts[lane.id].seq, asked.get(lane.id, 0))
        for lane in live.lanes.values()
        if lane.node and zone in (*lane.zones, *lane.leaves)
    }
    if came_ms is not None:
        counted[CAME] = ("", came_ms, 0)
    _keep(batch, replace(live.areas[zone], counted_ms=at_ms, counted=counted))


def mark_later(batch: Batch, zone: str, lane: str, inc: str) -> None:
    """Whatever this journal still has to say was after the zone's last count."""
    area = batch.live.areas[zone]
    before, _, version = area.counted.get(lane, ("", 0, 0))
    never = wire.COUNT_MAX if version and before != inc else 0  # what a lost journal had to tell nobody tells
    _keep(batch, replace(area, counted={**area.counted, lane: (inc, wire.COUNT_MAX, never)}))


def move_marks(batch: Batch, journals: Mapping[str, str]) -> None:
    """Lanes have another journal now (by lane, its incarnation): what it said before the last count goes with it."""
    for area in list(batch.live.areas.values()):
        of_journal = {mark[0]: mark for mark in area.counted.values()}
        counted = {lane: mark for lane, mark in area.counted.items() if lane not in journals}
        counted |= {lane: of_journal[inc] for lane, inc in journals.items() if inc and inc in of_journal}
        if counted != area.counted:
            _keep(batch, replace(area, counted=counted))


def _keep(batch: Batch, area: Area) -> None:
    batch.live.areas[area.id] = area
    row: Mapping[str, Any] = {
        "id": area.id,
        "is_open": area.is_open,
        "shut_from_ms": area.shut_from_ms,
        "shut_until_ms": area.shut_until_ms,
        "counted_ms": area.counted_ms,
        "counted": json.dumps(area.counted),
    }
    batch.rows.update(ZONE, "id", dict(row))
