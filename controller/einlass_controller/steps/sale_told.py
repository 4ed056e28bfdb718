"""A `paid` record as its machine wrote it: never refused, only not believed beyond reason."""

from dataclasses import dataclass
from typing import Any

from einlass_controller.messages import NodeEvent
from einlass_controller.parking_book import Machine
from einlass_core import wire

DIGESTS_MAX = 6
SAVED_MAX = 6
NAME_LENGTH_MAX = 64


@dataclass(frozen=True, slots=True)
class Alone:
    """What the machine says of its price: when, begin of the stay, fee, tariff (digest), what each card took off."""

    at_ms: int
    entered_ms: int
    fee_cents: int
    text: str
    saved: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A `paid` record as the machine wrote it. subject: a digest; used: digests of vouchers; code: of a ticket sold.

    alone: how it priced it by itself; None: it was told the price here.
    """

    number: int
    what: str
    subject: str
    due: int
    coins: int
    by_card: int
    ref: str
    used: tuple[str, ...]
    until_ms: int
    code: str
    alone: Alone | None = None

    @property
    def cents(self) -> int:
        """The money that is in."""
        return self.coins + self.by_card


def read(body: dict[str, Any], number: int) -> Told:
    """The fields of the record; number: the sale's, if the record does not say it."""
    used = body.get("used")
    digests = [str(item) for item in used if isinstance(item, str)] if isinstance(used, list) else []
    return Told(
        count(body.get("sale")) or number,
        _word(body.get("what")),
        _word(body.get("subject")),
        count(body.get("due")),
        count(body.get("coins")),
        count(body.get("by_card")),
        _word(body.get("ref")),
        tuple(digests[:DIGESTS_MAX]),
        count(body.get("until"), wire.MILLISECONDS_MAX),
        _word(body.get("code")),
        _alone(body.get("alone")),
    )


def _alone(value: Any) -> Alone | None:
    """`alone` of the record; None: it was priced here."""
    if not isinstance(value, dict):
        return None
    saved = value.get("saved")
    return Alone(
        count(value.get("at"), wire.MILLISECONDS_MAX),
        count(value.get("entered"), wire.MILLISECONDS_MAX),
        count(value.get("fee"), wire.COUNT_MAX),
        str(value.get("text") or "")[: wire.NAME_LENGTH_MAX],
        tuple(count(item, wire.COUNT_MAX) for item in saved[:SAVED_MAX]) if isinstance(saved, list) else (),
    )


def _word(value: Any) -> str:
    return value[:NAME_LENGTH_MAX] if isinstance(value, str) else ""


def count(value: Any, most: int = wire.COUNT_MAX) -> int:
    """A machine's number, if it is one; 0: it is none."""
    return min(value, most) if type(value) is int and value >= 0 else 0


def slip_of(message: NodeEvent, machine: Machine) -> str:
    """What the receipt is called."""
    slip = (message.fields.get("till") or {}).get("slip")
    name = slip.get("slip") if isinstance(slip, dict) else ""
    return str(name or f"{machine.id}-{message.seq}")[:NAME_LENGTH_MAX]
