"""What a till's devices cannot remember by themselves, beside the journal in the same file, so that it comes and goes
with it: totals of coins in and out, a payout under way, a card payment under way, what is to be printed.

Each row is durable when write() returns, and carries its own checksum.
"""

import json
from typing import Any

from einlass_core.journal import frame, unframe
from einlass_edge.database import Database

COINS, PAYOUT, CARD, SLIP = "coins", "payout", "card", "slip"
# For selling while it is cut off: what time it is, the tariff, lots of vouchers, keys of stamps.
CLOCK, TARIFF, LOTS, KEYS = "clock", "tariff", "lots", "keys"


class TillBook:
    """OSError from write() when the disk does not take it; the damaged-journal error when a row is not sound."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.write("CREATE TABLE IF NOT EXISTS device (name TEXT PRIMARY KEY, line BLOB NOT NULL)")

    def read(self, name: str) -> dict[str, Any]:
        """What was written last; empty when nothing was."""
        for (line,) in self._database.rows("SELECT line FROM device WHERE name = ?", (name,)):
            text = unframe(line)
            if text is None:
                raise self._database.damaged(f"the till's row {name} does not match its checksum")
            found: dict[str, Any] = json.loads(text)
            return found
        return {}

    def write(self, name: str, state: dict[str, Any]) -> None:
        """Replace a row."""
        self._database.write("INSERT OR REPLACE INTO device VALUES (?, ?)", (name, frame(json.dumps(state))))
