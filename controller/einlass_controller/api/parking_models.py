"""What goes over HTTP about car parks."""

from typing import Annotated, Literal

from pydantic import Field

from einlass_controller.api.models import Instant, Model, Reasoned

TARIFF_LENGTH_MAX = 60_000

StayName = Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,32}$")]


class StayOut(Model):
    """A parking stay. kind: ticket, lost or display; state: issued, inside, left or unused.

    until_ms: what was paid for lasts until then, or the grace after it. unpaid_cents: left without paying them.
    pass_name: the pass of the tariff that it is priced by.
    """

    id: str
    zone: str
    kind: str
    state: str
    ticket: str
    entered_ms: int
    left_ms: int | None
    paid_cents: int
    vouchers: int
    paid_ms: int | None
    until_ms: int
    unpaid_cents: int
    reason: str
    pass_name: str


class LineOut(Model):
    """One line of an account."""

    de: str
    en: str
    cents: int


class SaleOut(Model):
    """A payment for a stay."""

    key: str
    till: str
    what: str
    at_ms: int
    coins_cents: int
    card_cents: int
    saved_cents: int
    tariff: str


class StayExplained(StayOut):
    """With its fee now (or when it left), line by line; the lines add up to due_cents."""

    fee_cents: int
    due_cents: int
    tariff: str
    lines: list[LineOut]
    payments: list[SaleOut]


class LostOrder(Reasoned):
    """A ticket for somebody who lost his. stay: the lost one's, if it was found; else it costs the lost ticket."""

    zone: Annotated[str, Field(max_length=32)]
    stay: Annotated[str, Field(max_length=32, pattern=r"^[0-9A-Za-z]*$")] = ""


class LostMade(Model):
    """The new ticket. Its code is in this answer and nowhere else."""

    stay: str
    code: str
    typed: str


class StayCorrection(Reasoned):
    """entered: it began then. free_minutes: its car may leave unpaid within so many minutes from now."""

    entered: Instant | None = None
    free_minutes: Annotated[int, Field(ge=0, le=7 * 24 * 60)] = 0


class PlateIn(Model):
    """A number plate, for looking whether its time is paid for. It is in the body so that it is in no log."""

    plate: Annotated[str, Field(min_length=1, max_length=40)]


class TakingsOut(Model):
    """What one till took on one local day for one thing: exit, display, lost or pool.

    alone: how many of the sales it priced by itself while it was cut off; missing_cents, refund_cents: by how much
    these came to too little, and to too much (see claims).
    """

    day: str
    till: str
    what: str
    sales: int
    coins_cents: int
    card_cents: int
    total_cents: int
    saved_cents: int
    alone: int = 0
    missing_cents: int = 0
    refund_cents: int = 0


class ClaimOut(Model):
    """What a till could not bring to an end. kind owed: a paper says so; card: a payment in doubt.

    Of a sale while it was cut off (name: as on the receipt), due: too little was asked for; refund: too much.
    """

    name: str
    till: str
    kind: str
    cents: int
    state: str
    at_ms: int
    settled_ms: int | None
    by: str
    reason: str


class SettleOrder(Reasoned):
    """name: what stands on the paper, or the reference of the card payment."""

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Settled(Model):
    """So many cents were paid out, or cleared."""

    name: str
    cents: int


class TillOut(Model):
    """A till, and its own account as its last record says it (cents)."""

    id: str
    node: str
    zone: str
    name: str
    online: bool
    fault: str
    account: dict[str, int]


class TariffOrder(Reasoned):
    """A new version of a tariff, as text (docs/tariffs.md). Its valid_from is in the future."""

    text: Annotated[str, Field(min_length=1, max_length=TARIFF_LENGTH_MAX, pattern=r"^[^\x00]*$")]
    format: Literal["toml", "json"] = "toml"


class TariffOut(Model):
    """A version of a tariff. Of two with the same valid_from the later number counts."""

    number: int
    name: str
    valid_from: str
    digest: str
    created_ms: int
    by: str
    reason: str


class TariffText(TariffOut):
    """With its text."""

    text: str
