"""What screens and the API show: a picture of the state between two batches, as plain JSON values."""

from typing import Any

from einlass_controller.domain.catalogue import in_force
from einlass_controller.live import ONLINE_LAPSE_MS, Area, Live, Node

SHOWN = frozenset(
    (
        "decision",
        "passed",
        "forced",
        "unused",
        "uncertain",
        "emergency",
        "rearmed",
        "fault",
        "fault_over",
        "alarm",
        "conflict",
    )
)
RECENT_SHOWN = 12

Picture = dict[str, Any]


def look(live: Live, now_ms: int) -> Picture:
    """site, zones, nodes and the last passages and decisions, as of now_ms."""
    return {
        "as_of_ms": now_ms,
        "recount": live.recount,
        "site": {
            "id": live.site.id,
            "name": live.site.name,
            "name_en": live.site.name_en,
            "time_zone": live.site.time_zone,
            "mode": live.site.mode,
            "mode_by": live.site.mode_by,
            "rules_version": in_force(live.catalogues, now_ms).version,
        },
        "zones": [_zone(live, area, now_ms) for area in live.areas.values()],
        "nodes": [_node(live, node, now_ms) for node in live.nodes.values()],
        "recent": _recent(live),
    }


def reachable(node: Node, now_ms: int) -> bool:
    """Connected, and heard of within the last half minute."""
    return node.online and now_ms - node.seen_ms < ONLINE_LAPSE_MS


def _zone(live: Live, area: Area, now_ms: int) -> Picture:
    zone = live.books.zones[area.id]
    figures = zone.figures()
    opening, shut = live.opening(area.id, now_ms), area.shut_at(now_ms)
    cut_off = [
        lane.id
        for lane in live.lanes.values()
        if area.id in (*lane.zones, *lane.leaves) and lane.node and not reachable(live.nodes[lane.node], now_ms)
    ]
    return {
        "id": area.id,
        "parent": area.parent,
        "name": area.name,
        "name_en": area.name_en,
        "is_open": live.takes_in(area.id, now_ms),
        "opens_ms": opening.opens_ms,
        "closes_ms": opening.closes_ms,
        "last_entry_ms": opening.last_entry_ms,
        "shut_until_ms": area.shut_until_ms if shut else None,
        "counted_ms": area.counted_ms or None,
        "guarded": live.guarded(area.id, now_ms),
        "cap": zone.cap,
        "present": figures.present,
        "reserved": figures.reserved,
        "leased": figures.leased,
        "free": max(0, figures.free),
        # For whoever comes now: what lanes hold is for visitors too, what bookings keep is not.
        "to_come": max(0, zone.cap - figures.present - figures.reserved - live.guarded(area.id, now_ms)),
        "over": figures.over,
        "ghosts": zone.ghosts,
        "lanes_cut_off": cut_off,
    }


def _node(live: Live, node: Node, now_ms: int) -> Picture:
    lane = live.lane_of_node.get(node.id)
    place = lane or live.parking.tills.get(node.id) or live.areas.get(live.parking.signs.get(node.id, ""))
    return {
        "id": node.id,
        "board": node.board,
        "lane": place.name if place is not None else "",
        "lane_en": place.name_en if place is not None else "",
        "lane_id": lane.id if lane is not None else "",
        "online": reachable(node, now_ms),
        "last_seen_ms": node.seen_ms or None,
        "state": node.lane_state,
        "queue": node.waiting,
        "emergency": node.emergency,
        "fault": node.fault,
        "alarm": node.alarm,
        "frozen": lane is not None and live.books.accounts[lane.id].frozen,
        "software": node.software,
        "incarnation": node.inc,
        "boot": node.boot,
        "events_kept": node.applied,
        "cut_off": node.cut_off,
        "lent": live.books.accounts[lane.id].spare if lane is not None else 0,
        "list_version": list(node.listed) if node.listed is not None else None,
        "list_current_ms": node.listed_ms or None,
        "signed_by": None if node.trust is None else list(node.trust),
        "signed_current": None if node.trust is None else node.is_trust_current,
    }


def _recent(live: Live) -> list[Picture]:
    shown = [entry for entry in live.recent if entry["kind"] in SHOWN][-RECENT_SHOWN:]
    found = []
    for entry in reversed(shown):
        body = entry["body"]
        name = str(body.get("node", ""))
        lane = live.lanes.get(str(body.get("lane", ""))) or live.parking.tills.get(name)
        found.append(
            {
                "number": entry["number"],
                "at_ms": entry["at_ms"],
                "kind": entry["kind"],
                "lane": lane.name if lane is not None else name,
                "lane_en": lane.name_en if lane is not None else name,
                "side": body.get("side", ""),
                "code": body.get("code", ""),
                "persons": body.get("persons", 0),
                "reason": body.get("reason", ""),
            }
        )
    return found
