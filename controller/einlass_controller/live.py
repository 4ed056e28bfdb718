"""What the engine keeps in memory: site, zones, lanes, nodes and their books. All of it is in the store as well."""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select

from einlass_controller.domain import ledger, visits
from einlass_controller.domain.occupancy import Account, Books, Zone
from einlass_controller.store.schema import (
    ACCOUNT,
    DEAD_LETTER,
    DECISION,
    LANE,
    LEDGER,
    NODE,
    SITE,
    VISIT,
    ZONE,
)

RECENT_MAX = 50
PAST_INCARNATIONS_MAX = 50
ONLINE_LAPSE_MS = 30_000


class NotSetUpError(RuntimeError):
    """The database has no site."""


@dataclass(frozen=True, slots=True)
class Site:
    """The site this controller runs."""

    id: str
    name: str
    name_en: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Area:
    """A zone's names and whether it takes people in; its numbers are in the books."""

    id: str
    parent: str
    name: str
    name_en: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class Lane:
    """zones: every zone it leads into, the innermost first. node "": kept by the controller itself."""

    id: str
    zone: str
    node: str
    name: str
    name_en: str
    zones: tuple[str, ...]


@dataclass(slots=True)
class Node:
    """A node as known now. What stands after `alarm` is not stored."""

    id: str
    board: str
    inc: str
    past: list[str]
    boot: int
    applied: int
    software: str
    hardware: str
    emergency: bool
    fault: str
    alarm: str
    online: bool = False
    seen_ms: int = 0
    waiting: int = 0
    lane_state: str = ""
    gap_since_ms: int = 0
    strikes: int = 0
    struck_ms: int = 0


@dataclass(slots=True)
class Live:
    """The state between two batches; a batch that fails throws it away."""

    site: Site
    areas: dict[str, Area]
    lanes: dict[str, Lane]
    nodes: dict[str, Node]
    books: Books
    ledger_number: int
    ledger_hash: str
    decision_number: int
    letter_number: int
    lane_of_node: dict[str, Lane] = field(default_factory=dict)
    limit_sent_ms: dict[str, int] = field(default_factory=dict)
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))

    def keep_unstored(self, old: "Live") -> None:
        """Take over what only memory knows from the state that this one replaces."""
        self.recent = old.recent
        for node in self.nodes.values():
            before = old.nodes.get(node.id)
            if before is not None:
                node.online, node.seen_ms = before.online, before.seen_ms
                node.waiting, node.lane_state = before.waiting, before.lane_state


def load(connection: Connection) -> Live:
    """Read everything. Raises NotSetUpError when there is no site yet, InvariantError when the books contradict."""
    site = connection.execute(select(SITE.c.id, SITE.c.name, SITE.c.name_en, SITE.c.time_zone)).first()
    if site is None:
        raise NotSetUpError("this database has no site: run `einlass controller setup` first")
    areas = {
        row.id: Area(row.id, row.parent, row.name, row.name_en, row.is_open)
        for row in connection.execute(select(ZONE).order_by(ZONE.c.id))
    }
    lanes = {
        row.id: Lane(row.id, row.zone, row.node, row.name, row.name_en, led_into(areas, row.zone, row.outer))
        for row in connection.execute(select(LANE).order_by(LANE.c.id))
    }
    newest = connection.execute(select(LEDGER).order_by(LEDGER.c.number.desc()).limit(RECENT_MAX)).all()
    live = Live(
        Site(*site),
        areas,
        lanes,
        _nodes(connection),
        _books(connection, lanes),
        newest[0].number if newest else 0,
        newest[0].hash if newest else ledger.GENESIS,
        connection.execute(select(func.max(DECISION.c.number))).scalar() or 0,
        connection.execute(select(func.max(DEAD_LETTER.c.number))).scalar() or 0,
    )
    live.lane_of_node = {lane.node: lane for lane in lanes.values() if lane.node}
    for row in reversed(newest):
        live.recent.append({"number": row.number, "at_ms": row.at_ms, "kind": row.kind, "body": json.loads(row.body)})
    return live


def led_into(areas: dict[str, Area], zone: str, outer: str) -> tuple[str, ...]:
    """The zones whose count an entry raises: `zone` and what it lies in, as far as `outer` does not lie in it too."""
    around = set(_chain(areas, outer))
    return tuple(name for name in _chain(areas, zone) if name not in around)


def _chain(areas: dict[str, Area], zone: str) -> Iterable[str]:
    seen: list[str] = []
    while zone and zone in areas and zone not in seen:
        seen.append(zone)
        zone = areas[zone].parent
    return seen


def _nodes(connection: Connection) -> dict[str, Node]:
    return {
        row.id: Node(
            row.id,
            row.board,
            row.inc,
            json.loads(row.past),
            row.boot,
            row.applied_seq,
            row.software,
            row.hardware,
            row.emergency,
            row.fault,
            row.alarm,
        )
        for row in connection.execute(select(NODE).order_by(NODE.c.id))
    }


def _books(connection: Connection, lanes: dict[str, Lane]) -> Books:
    zones = [Zone(row.id, row.cap, row.base, row.ghosts) for row in connection.execute(select(ZONE))]
    granted = dict(
        connection.execute(
            select(VISIT.c.lane, func.sum(VISIT.c.persons))
            .where(VISIT.c.state == visits.RESERVED)
            .group_by(VISIT.c.lane)
        ).all()
    )
    accounts = []
    for row in connection.execute(select(ACCOUNT)):
        account = Account(row.lane, lanes[row.lane].zones, row.inc, row.epoch, row.seq, row.version, row.balance)
        account.pending, account.version_sent, account.lowering = row.pending, row.version_sent, row.lowering
        account.frozen = row.frozen
        account.sent = [(version, ceiling) for version, ceiling in json.loads(row.sent)]
        account.granted = int(granted.get(row.lane, 0))
        accounts.append(account)
    return Books(zones, accounts)
