"""The tables against the ledger that they came from."""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection

from einlass_controller.domain import replay
from einlass_controller.domain.ledger import GENESIS, Entry, seal
from einlass_controller.domain.snapshot import Row
from einlass_controller.live import Live
from einlass_controller.store.reading import state_rows


def compare(connection: Connection, entries: Iterable[Entry], live: Live) -> dict[str, Any]:
    """What a replay says and where the tables say otherwise (at most replay.DIFFERENCES_MAX of them, in words)."""
    broken: list[int] = []
    replayed = replay.replay(_checked(entries, broken))
    wrong: list[str] = []
    found = 0
    tables: dict[str, dict[str, Row]] = {replay.ACCOUNTS: {}, replay.ZONES: {}}
    for part, rows in state_rows(connection).items():
        new = {replay.ACCOUNTS: replay.NEW_ACCOUNT, replay.ZONES: replay.NEW_ZONE}.get(part, {})
        for words in replay.differences(part, replayed.parts[part], _remembered(rows, tables.get(part)), new):
            found += 1
            if len(wrong) < replay.DIFFERENCES_MAX:
                wrong.append(words)
    led_into = {lane.id: lane.zones for lane in live.lanes.values()}
    left_from = {lane.id: lane.leaves for lane in live.lanes.values()}
    accounts = dict.fromkeys(live.lanes, replay.NEW_ACCOUNT) | replayed.parts[replay.ACCOUNTS]
    zones = dict.fromkeys(live.areas, replay.NEW_ZONE) | replayed.parts[replay.ZONES]
    counts = replay.count(accounts, zones, led_into, left_from)
    in_tables = replay.count(tables[replay.ACCOUNTS], tables[replay.ZONES], led_into, left_from)
    return {
        "ok": not found and not broken and counts == in_tables,
        "entries": replayed.entries,
        "broken_at": broken[0] if broken else None,
        "zones": counts,
        "zones_in_tables": in_tables,
        "tickets": len(replayed.parts[replay.TICKETS]),
        "visits": len(replayed.parts[replay.VISITS]),
        "vouchers": len(replayed.parts[replay.VOUCHERS]),
        "differences": found,
        "examples": wrong,
    }


def _remembered(rows: Iterable[tuple[str, Row]], keep: dict[str, Row] | None) -> Iterator[tuple[str, Row]]:
    for name, row in rows:
        if keep is not None:
            keep[name] = row
        yield name, row


def _checked(entries: Iterable[Entry], broken: list[int]) -> Iterator[Entry]:
    """All entries; the number of the first that does not hold goes into `broken`."""
    previous = GENESIS
    for number, entry in enumerate(entries, 1):
        holds = entry.number == number and seal(previous, number, entry.at_ms, entry.kind, entry.body) == entry.hash
        if not holds and not broken:
            broken.append(number)
        previous = entry.hash
        yield entry
