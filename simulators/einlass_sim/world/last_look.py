"""When all is mended: what lies in files and in the ledger, compared with what happened."""

import json
from collections import Counter
from typing import TYPE_CHECKING

from einlass_core.signed_alone import SEEN, entry_of

if TYPE_CHECKING:
    from einlass_sim.world.truth import Truth
    from einlass_sim.world.world import World

CONSUMED = ("single", "family", "strict")


def lists_differ(world: "World") -> str:
    """What the lanes have in their files is what the controller wants there; "": it is."""
    wanted = world.office.rows("SELECT digest, listed, id, key_id FROM ticket WHERE listed_number > 0")
    for lane in world.lanes:
        for digest, listed, name, key in wanted:
            found, persons = lane.listed.persons(digest), max(0, listed)
            if found != persons and not (found == 0 and digest in lane.struck_in_vain):
                return f"list_differs: {lane.name} has {found} for {digest}, wanted are {persons}"
            if lane.signed is None or not key:
                continue
            seen, byte = lane.listed.persons(entry_of(name)), SEEN - min(0, listed) if listed else 0
            if seen != byte:
                return f"list_differs: {lane.name} has {seen} for {name}, wanted are {byte}"
    return ""


def check_keys(truth: "Truth") -> None:
    """A key that was revoked counts nowhere any more; what another one signed is known to be genuine."""
    mint, ring = truth.world.mint, truth.world.office.engine.live.ring
    for lane in truth.world.lanes:
        for key, code in mint.sold.items() if lane.signed is not None else ():
            assert lane.signed is not None
            said = lane.signed.judge(code, "", 0)
            if key in ring and ring[key].revoked_ms is not None and said != "revoked":
                truth.violation(f"revoked_key: {lane.name} says {said} to what key {key} signed")
            if key in ring and ring[key].revoked_ms is None and key not in mint.revoked and said == "invalid":
                truth.violation(f"key_not_told: {lane.name} does not know key {key}")


def check_missing(truth: "Truth") -> None:
    """Only what a database that is gone knew may be missing in this one: all else a lane still had."""
    incs: dict[str, str] = {}
    rows = truth.world.office.rows(
        "SELECT kind, body FROM ledger WHERE kind IN ('incarnation', 'events_missing') ORDER BY number"
    )
    for kind, text in rows:
        body = json.loads(text)
        if kind == "incarnation":
            incs[body["node"]] = body["inc"]
            continue
        own = next(truth.lanes[lane.number] for lane in truth.world.lanes if lane.name == body["node"])
        told = own.told.get(incs.get(body["node"], ""))
        if told is not None and told < body["last"] and not own.lost_unknown:
            truth.violation(f"taken_for_lost: {body}, but {told} were told when the database was put back")


def check_ledger(truth: "Truth") -> None:
    """Every record arrived, every second use of a ticket is reported, no scan has another's name."""
    rows = truth.world.office.rows("SELECT kind, body FROM ledger WHERE kind IN ('passed', 'released', 'conflict')")
    told: Counter[tuple[str, str]] = Counter()
    conflicts: Counter[str] = Counter()
    for kind, text in rows:
        body = json.loads(text)
        told[body["node"], kind] += 1
        if kind == "conflict":
            conflicts[body["digest"]] += 1
    for lane in truth.world.lanes:
        own = truth.lanes[lane.number]
        if own.lost_unknown:  # an old image was put in: what it did not know it lost
            continue
        for kind in ("passed", "released"):
            if told[lane.name, kind] < own.kinds[kind]:
                truth.violation(
                    f"records_lost: {lane.name} wrote {own.kinds[kind]} {kind}, {told[lane.name, kind]} arrived"
                )
    truth.world.sometimes["conflict_reported"] += sum(conflicts.values())
    reused = truth.world.office.rows("SELECT count(*) FROM dead_letter WHERE reason LIKE 'nonce%'")[0][0]
    if reused:
        truth.violation(f"nonce_reused: {reused} times")
    if any(own.wiped for own in truth.lanes):
        return
    for digest in sorted({*truth.alone, *truth.online}):
        ticket = truth.world.tickets_by_digest.get(digest)
        if ticket is None or ticket.product not in CONSUMED:
            continue
        online = -(-truth.online[digest] // ticket.persons)
        uses = online + sum(truth.alone[digest].values())
        if online > 1:
            truth.violation(f"used_twice_online: {ticket.id} by {truth.online[digest]} of {ticket.persons} persons")
        if uses - 1 > conflicts[digest]:
            truth.violation(f"conflict_not_reported: {ticket.id} used {uses} times, {conflicts[digest]} reports")
