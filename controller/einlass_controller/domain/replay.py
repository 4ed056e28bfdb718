"""All state again from the lines of a ledger alone, and how it differs from what the tables say.

Lines of the kind `changes` say in absolute terms what a batch has changed; a ticket begins with a line that has it
whole.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from einlass_controller.domain.ledger import Entry
from einlass_controller.domain.snapshot import CHANGES, TICKET_FIXED, VISIT_FIXED, Row
from einlass_controller.domain.voucher_snapshot import VOUCHER_FIXED

DIFFERENCES_MAX = 20
TICKETS, VISITS, ACCOUNTS, ZONES, VOUCHERS, STAYS = PARTS = (
    "tickets",
    "visits",
    "accounts",
    "zones",
    "vouchers",
    "stays",
)
# The kind of the entry that has new vouchers whole.
VOUCHERS_MADE = "vouchers_made"
# What a lane's and a zone's row is before anything has happened.
NEW_ACCOUNT: Row = {
    "inc": "",
    "epoch": 0,
    "seq": 0,
    "version": 0,
    "balance": 0,
    "pending": 0,
    "sent": [[0, 0]],
    "frozen": False,
}
NEW_ZONE: Row = {"base": 0, "ghosts": 0}


@dataclass(slots=True)
class Replayed:
    """State by part and id."""

    entries: int = 0
    parts: dict[str, dict[str, Row]] = field(default_factory=lambda: {name: {} for name in PARTS})

    def take(self, entry: Entry) -> None:
        """The next line."""
        self.entries += 1
        if entry.kind == CHANGES:
            self._change(json.loads(entry.body))
        elif entry.kind == VOUCHERS_MADE:
            for row in json.loads(entry.body)["cards"]:
                self.parts[VOUCHERS][str(row["serial"])] = row
        elif '"row' in entry.body:
            body = json.loads(entry.body)
            for row in [*body.get("rows", ()), *([body["row"]] if "row" in body else ())]:
                self.parts[TICKETS][row["id"]] = row
        elif entry.kind == "import_undone":
            body = json.loads(entry.body)
            for name in body["tickets"]:
                if self.parts[TICKETS].get(name, {}).get("import_id") == body["import"]:
                    del self.parts[TICKETS][name]

    def _change(self, body: Mapping[str, Mapping[str, Row]]) -> None:
        for part, fixed in ((TICKETS, TICKET_FIXED), (VISITS, VISIT_FIXED), (VOUCHERS, VOUCHER_FIXED)):
            kept = self.parts[part]
            for name, state in body.get(part, {}).items():
                before = kept.get(name, {})
                kept[name] = {key: value for key, value in before.items() if key in fixed} | state
        for part in (ACCOUNTS, ZONES, STAYS):
            self.parts[part].update(body.get(part, {}))


def replay(entries: Iterable[Entry]) -> Replayed:
    """Read a ledger once, in order."""
    found = Replayed()
    for entry in entries:
        found.take(entry)
    return found


def count(
    accounts: Mapping[str, Row],
    zones: Mapping[str, Row],
    led_into: Mapping[str, Iterable[str]],
    left_from: Mapping[str, Iterable[str]],
) -> dict[str, Any]:
    """Per zone, from books alone: who is present, under way, and what lanes may still use.

    led_into, left_from: the zones whose count an entry at each lane raises, and those whose count it lowers.
    """
    found = {}
    for zone, row in zones.items():
        lanes = [accounts[lane] for lane, names in led_into.items() if zone in names and lane in accounts]
        balance, pending = sum(lane["balance"] for lane in lanes), sum(lane["pending"] for lane in lanes)
        exposure = sum(max(lane["balance"], lane["sent"][0][1]) for lane in lanes)
        starts = [accounts[lane] for lane, names in left_from.items() if zone in names and lane in accounts]
        gone = sum(lane["balance"] - lane["pending"] for lane in starts)
        present = row["base"] + row["ghosts"] + balance - pending - gone
        found[zone] = {"present": present, "under_way": pending, "held_at_lanes": exposure - balance}
    return found


def differences(part: str, replayed: Mapping[str, Row], table: Iterable[tuple[str, Row]], new: Row) -> Iterator[str]:
    """What the table says otherwise, in words. new: what an id that the ledger never names must be."""
    seen = set()
    for name, row in table:
        seen.add(name)
        said = replayed.get(name, new)
        if said != row:
            keys = sorted(key for key in said.keys() | row.keys() if said.get(key) != row.get(key))
            pairs = ", ".join(f"{key}: ledger {said.get(key)!r}, table {row.get(key)!r}" for key in keys)
            yield f"{part} {name}: {pairs}"
    for name in replayed.keys() - seen:
        yield f"{part} {name}: in the ledger, not in the table"
