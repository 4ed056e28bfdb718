"""What a plan changes about lanes that were in use: whether the books can go on, or people must be counted."""

from typing import NamedTuple

from einlass_controller.domain.recount import is_used
from einlass_controller.live import Area, Live, led_into
from einlass_controller.plan import Plan

DESK_PREFIX = "desk-"


class Way(NamedTuple):
    """Which zones a passage raises and lowers, as Lane has them."""

    zones: tuple[str, ...]
    leaves: tuple[str, ...]

    def __str__(self) -> str:
        return f"into {'+'.join(self.zones)}" + (f" out of {'+'.join(self.leaves)}" if self.leaves else "")


def nodes_taken(plan: Plan) -> list[str]:
    """Nodes that have a place in the plan; a lane that is no longer in it cannot keep one of them."""
    machines = (*(till.node for till in plan.till), *(sign.node for sign in plan.sign))
    return [*(lane.node for lane in plan.lane), *machines]


def moves_lanes(live: Live, plan: Plan) -> bool:
    """Whether a lane that is there gets another node or another place; then no controller may run meanwhile."""
    taken, planned = nodes_taken(plan), {lane.id: (lane.node, lane.zone, lane.outer) for lane in plan.lane}
    return any(
        planned.get(lane.id, ("" if lane.node in taken else lane.node, lane.zone, lane.outer))
        != (lane.node, lane.zone, lane.outer)
        for lane in live.lanes.values()
        if lane.node
    )


def why_count(live: Live, plan: Plan) -> str:
    """Why people must be counted once this plan holds; "": the books go on.

    An account goes with its node. Where that leads into other zones now than what it says of those who are inside,
    nobody knows who is where; nor does it help to work that out, for a lane out of reach has yet to tell some of it.
    """
    at_lane, at_node = _ways(live, plan)
    said = []
    for lane in live.lanes.values():
        before, after = Way(lane.zones, lane.leaves), at_node.get(lane.node, at_lane[lane.id])
        if before != after and is_used(live.books.accounts[lane.id]):
            said.append(f"{lane.node or lane.id} counted {before}, now {after}")
    return f"the plan was changed: {'; '.join(said)}" if said else ""


def _ways(live: Live, plan: Plan) -> tuple[dict[str, Way], dict[str, Way]]:
    """By lane, and by node, where it will lead."""
    areas = live.areas | {zone.id: Area(zone.id, zone.parent, zone.name, zone.name_en, True) for zone in plan.zone}
    taken = nodes_taken(plan)
    lanes = {lane.id: (lane.zone, lane.outer, "" if lane.node in taken else lane.node) for lane in live.lanes.values()}
    lanes |= {DESK_PREFIX + zone.id: (zone.id, zone.parent, "") for zone in plan.zone}
    lanes |= {lane.id: (lane.zone, lane.outer, lane.node) for lane in plan.lane}
    ways = {
        name: Way(led_into(areas, zone, outer), led_into(areas, outer, zone))
        for name, (zone, outer, _) in lanes.items()
    }
    return ways, {node: ways[name] for name, (_, _, node) in lanes.items() if node}
