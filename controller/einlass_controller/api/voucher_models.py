"""What goes over HTTP about vouchers, partners and public codes."""

from typing import Annotated, Any, Literal

from pydantic import Field

from einlass_controller.api.models import CENTS_MAX, CodeIn, Instant, Model, Name, Reason, Reasoned
from einlass_controller.domain.public_codes import LENGTH_MAX as PUBLIC_LENGTH_MAX
from einlass_controller.domain.voucher_account import MONTH_PATTERN
from einlass_controller.steps.voucher_payments import VOUCHERS_A_PAYMENT_MAX
from einlass_controller.steps.vouchers import SERIAL_MAX

# A sheet of so many cards is drawn in some seconds.
CARDS_AT_ONCE_MAX = 500
LOT_SIZE_MAX = 100_000
LIMIT_MAX = 1_000
PLATE_LENGTH_MAX = 16
NUMBER_MAX = (1 << 53) - 1
TOKEN_PATTERN = r"^[A-Za-z0-9._:-]{1,48}$"

PartnerId = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")]
PartnerName = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")]
LotName = Annotated[str, Field(max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")]
Serial = Annotated[int, Field(ge=1, le=SERIAL_MAX)]
Number = Annotated[int, Field(ge=1, le=NUMBER_MAX)]
Cents = Annotated[int, Field(ge=0, le=CENTS_MAX)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Month = Annotated[str, Field(pattern=MONTH_PATTERN)]
Count = Annotated[int, Field(ge=0, le=LIMIT_MAX)]


class PartnerOrder(Model):
    """A new partner, for instance a shop."""

    id: PartnerId
    name: PartnerName


class PartnerChange(Model):
    """What is to be otherwise. is_active false: nothing new is sold to it; what it has counts on."""

    name: PartnerName | None = None
    is_active: bool | None = None
    reason: Reason


class PartnerOut(Model):
    """A partner."""

    id: str
    name: str
    is_active: bool


class LimitsIO(Model):
    """0: no limit. areas (zones of the site), weekdays: empty means all. A limit for a stay needs the stay."""

    per_stay: Count = 0
    per_plate_day: Count = 0
    partner_per_stay: Count = 0
    areas: list[Name] = Field(default=[], max_length=50)
    weekdays: list[Weekday] = Field(default=[], max_length=7)


class LotOrder(Model):
    """A new lot. value: minutes, cents or percent. medium card: printed on sheets; digital: handed out one by one.

    partner "": for whoever buys some of it. terms on_use: the partner pays for what was used (price_cents 0: what it
    took off the fee); prepaid: for what it was given. while_cut_off: own, refuse or report (docs/vouchers.md).
    """

    kind: Literal["minutes", "cents", "percent"]
    value: int = Field(ge=1, le=100_000)
    size: int = Field(ge=1, le=LOT_SIZE_MAX)
    partner: PartnerId | Literal[""] = ""
    medium: Literal["card", "digital"] = "card"
    name: LotName = ""
    terms: Literal["on_use", "prepaid"] = "on_use"
    price_cents: Cents = 0
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    limits: LimitsIO = LimitsIO()
    while_cut_off: Literal["own", "refuse", "report"] = "own"


class LotOut(Model):
    """A lot. left: codes that can still be made. counts: its vouchers by state."""

    id: int
    partner: str
    kind: str
    value: int
    medium: str
    name: str
    first: int
    last: int
    made: int
    left: int
    terms: str
    price_cents: int
    valid_from_ms: int | None
    valid_until_ms: int | None
    limits: LimitsIO
    while_cut_off: str
    counts: dict[str, int]


class PrintOrder(Model):
    """The next n vouchers of a lot, as a sheet. activate: the lot's partner has them at once."""

    n: int = Field(ge=1, le=CARDS_AT_ONCE_MAX)
    activate: bool = False
    language: Literal["de", "en", "both"] = "both"


class HandedOut(Model):
    """A digital voucher. The only time that its code is told. link: shows it on a telephone."""

    serial: int
    code: str
    typed: str
    link: str
    png: str = Field(description="the picture, in base64")


class VoucherOut(Model):
    """A voucher without its code."""

    serial: int
    lot: int
    partner: str
    kind: str
    value: int
    state: str
    state_de: str
    state_en: str
    reason: str
    made_ms: int
    activated_ms: int | None
    held_ms: int | None
    used_ms: int | None
    area: str
    payment: str
    used_value: int
    saved_cents: int | None
    settled: str
    valid_from_ms: int | None
    valid_until_ms: int | None


class VoucherPage(Model):
    """Vouchers by serial number; next: pass it as `after` for those that follow."""

    vouchers: list[VoucherOut]
    next: int | None


class RangeOrder(Model):
    """Do it to every voucher from first to last. partner: to whom they are sold (activate)."""

    do: Literal["activate", "block", "unblock", "return", "void"]
    first: Serial
    last: Serial
    partner: PartnerId | Literal[""] = ""
    reason: Reason


class HandOverOrder(Reasoned):
    """To which till they go; without one they come back. lost: without its word, since it is gone and has used none."""

    first: Serial
    last: Serial
    till: Annotated[str, Field(max_length=32)] = ""
    lost: bool = False


class RangeOut(Model):
    """done: it is so now; already: it was. waiting: held by a payment, and so when that is over without them.

    refused: how many could not be changed, by the state that they are in. missing: numbers without a voucher.
    """

    done: int
    already: int
    waiting: list[int]
    refused: dict[str, int]
    missing: int


class HoldOrder(CodeIn):
    """A code is held to a till. inc: random, new whenever the till's memory is empty; number: counts its questions.

    payment: number of the payment it is for. area: a zone of the site. stay: the entry ticket or the like. The same
    inc and number with the same content is the same question, and gets the same answer.
    """

    inc: str = Field(pattern=TOKEN_PATTERN)
    number: Number
    payment: Number
    area: Name
    stay: str = Field(default="", pattern=r"^[A-Za-z0-9._:-]{0,48}$")
    plate: str = Field(default="", max_length=PLATE_LENGTH_MAX, pattern=r"^[^\x00-\x1f\x7f]*$")


class Held(Model):
    """code ok: it is this payment's for 60 seconds. Else why not. serial 0: a public code, or nothing known."""

    code: str
    text_de: str
    text_en: str
    number: int
    payment: int
    serial: int
    kind: str
    value: int
    partner: str
    lot: int = 0
    public: str = ""
    from_ms: int | None = None
    until_ms: int | None = None
    values: dict[str, Any]


class UseIn(Model):
    """serial, or the public code. value: what was used of it; 0: all. saved_cents: what it took off, if known."""

    serial: int = Field(default=0, ge=0, le=SERIAL_MAX)
    code: str = Field(default="", max_length=PUBLIC_LENGTH_MAX)
    value: int = Field(default=0, ge=0, le=100_000)
    saved_cents: Cents | None = None


class CommitOrder(Model):
    """The payment was made with these. What else it held is handed back."""

    inc: str = Field(pattern=TOKEN_PATTERN)
    payment: Number
    uses: list[UseIn] = Field(max_length=VOUCHERS_A_PAYMENT_MAX)
    fee_cents: Cents | None = None
    paid_cents: Cents | None = None


class Committed(Model):
    """The same on every retry."""

    state: str
    payment: int
    used: list[int]
    released: list[int]
    codes: list[str]
    fee_cents: int | None
    paid_cents: int | None


class ReleaseOrder(Model):
    """The payment was broken off."""

    inc: str = Field(pattern=TOKEN_PATTERN)
    payment: Number


class Released(Model):
    """What is free again. by: the till, the clock, or who decided it."""

    state: str
    released: list[int]
    by: str


class PaymentOut(Model):
    """A payment that holds vouchers. until_ms null: it ends by its till's word, or by staff."""

    key: str
    node: str
    area: str
    opened_ms: int
    until_ms: int | None
    held: list[int]


class EndOrder(Reasoned):
    """key: of the payment. Its till will not come back and has used nothing."""

    key: str = Field(min_length=1, max_length=160)


class PublicCodeOrder(Model):
    """4 to 8 letters or digits. kind free: the stay inside the window costs nothing. total_max 0: no limit."""

    code: str = Field(pattern=r"^[A-Za-z0-9]{4,8}$")
    name: LotName = ""
    kind: Literal["free", "minutes", "cents", "percent"]
    value: int = Field(default=0, ge=0, le=100_000)
    valid_from: Instant
    valid_until: Instant
    limits: LimitsIO = LimitsIO()
    total_max: int = Field(default=0, ge=0, le=1_000_000)


class PublicCodeOut(Model):
    """used: payments that hold it or have used it."""

    code: str
    name: str
    kind: str
    value: int
    from_ms: int
    until_ms: int
    limits: LimitsIO
    total_max: int
    used: int
    is_blocked: bool


class PublicCodeChange(Model):
    """Whether it counts."""

    blocked: bool
    reason: Reason


class MonthOrder(Model):
    """Close a month: what was used until its end stands in this account and no other."""

    month: Month


class LotAccountOut(Model):
    """A lot in a month (docs/vouchers.md, "Settlement")."""

    lot: int
    name: str
    kind: str
    value: int
    terms: str
    price_cents: int
    given: int
    used: int
    settled: int
    minutes: int
    saved_cents: int
    unreported: int
    unused: int
    expired: int
    void: int
    returned: int
    due_cents: int
    owed_cents: int


class AccountOut(Model):
    """A partner's month."""

    partner: str
    month: str
    as_of_ms: int
    lots: list[LotAccountOut]
    due_cents: int
    owed_cents: int


class StatisticsOut(Model):
    """Vouchers used in a time. by_hour has 24 figures, by_weekday 7 (Monday first); delays: from handing out to use."""

    from_ms: int
    until_ms: int
    used: int
    minutes: int
    saved_cents: int
    given: int
    used_of_given: int
    used_percent: int | None
    delay_median_minutes: int | None
    delay_most_minutes: int | None
    by_area: dict[str, int]
    by_hour: list[int]
    by_weekday: list[int]
    by_lot: dict[str, int]


class MonthClosed(Model):
    """vouchers: that were settled now."""

    partner: str
    month: str
    vouchers: int
