"""A parking stay, from the entry ticket to the exit; what it owes is worked out by einlass_tariff.due.

issued --passed--> inside --left--> left        issued --nobody drove in--> unused
A stay of pay and display begins with its payment, as inside, and ends with the time that was paid for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

ISSUED, INSIDE, LEFT, UNUSED = STATES = ("issued", "inside", "left", "unused")
OPEN = (ISSUED, INSIDE)
# A ticket from the entry; staff's replacement for a lost one; a number plate that was paid for.
TICKET, LOST, DISPLAY = KINDS = ("ticket", "lost", "display")
# What a till sells: the way out, time on a place, the way out without a ticket, a pool ticket.
EXIT, POOL = "exit", "pool"
SOLD = (EXIT, DISPLAY, LOST, POOL)


@dataclass(slots=True)
class ParkingStay:
    """Instants are Unix milliseconds. id: of its ticket, where it has one.

    paid_cents: money; credit_cents: what vouchers in money and percent took off; card_minutes, cards: vouchers in
    minutes that were used, and how many of all kinds. spans: what public codes make free, as "from-to" in ms, joined by
    blanks. until_ms: the grace after a payment (or the time bought) ends. cleared_ms: an exit said yes then.
    unpaid_cents: left without paying them. plate: a keyed hash. pass_name: of the tariff, it is priced by that until
    pass_until_ms (None: without end), and by the plain tariff from then on.
    """

    id: str
    zone: str
    kind: str
    state: str
    ticket: str
    entered_ms: int
    left_ms: int | None = None
    paid_cents: int = 0
    credit_cents: int = 0
    card_minutes: int = 0
    cards: int = 0
    spans: str = ""
    paid_ms: int | None = None
    until_ms: int = 0
    cleared_ms: int = 0
    unpaid_cents: int = 0
    reason: str = ""
    plate: str = ""
    pass_name: str = ""
    pass_until_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether its car may still come to a till or an exit."""
        return self.state in OPEN

    @property
    def is_of_visit(self) -> bool:
        """Of a pass or a season ticket, which has a stay for every visit; a ticket from the entry has one for good."""
        return self.kind == TICKET and self.ticket != self.id


# A plate is a person's: never in the ledger.
STAY_FIELDS = tuple(item.name for item in fields(ParkingStay) if item.name != "plate")


def said_of_stay(row: Mapping[str, Any]) -> dict[str, Any]:
    """How it stands in the ledger, from its table's columns: what says something."""
    return {name: row[name] for name in STAY_FIELDS if row[name] is not None and row[name] != ""}
