"""The tables of a car park, as migration 0006 makes them. No code is ever stored, and a plate only as a keyed hash."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel


def _big(nullable: bool = False) -> Column[int]:
    return Column(BigInteger, nullable=nullable)


def _text() -> Column[str]:
    return Column(Text, nullable=False)


class TariffRow(SQLModel, table=True):
    """One version of a tariff, as its text says. Of two with the same valid_from (local) the later number counts."""

    __tablename__ = "tariff"
    __table_args__ = (Index("ix_tariff_name", "name", "valid_from"),)
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    name: str
    valid_from: str
    digest: str
    is_json: bool = False
    body: str = Field(sa_column=_text())
    created_ms: int = Field(sa_column=_big())
    by: str
    reason: str = ""


class TillRow(SQLModel, table=True):
    """A machine that takes money. account: what its last record said (JSON), of which incarnation."""

    __tablename__ = "till"
    id: str = Field(primary_key=True, max_length=32)
    node: str = Field(index=True)
    zone: str
    name: str
    name_en: str
    inc: str = ""
    account: str = Field(default="{}", sa_column=_text())


class SignRow(SQLModel, table=True):
    """A sign with the free places of a zone."""

    __tablename__ = "sign"
    node: str = Field(primary_key=True, max_length=32)
    zone: str


class StayRow(SQLModel, table=True):
    """One parking stay (domain.parking.ParkingStay). plate: a keyed hash, until the stay is over."""

    __tablename__ = "stay"
    __table_args__ = (
        Index("ix_stay_zone", "zone", "state"),
        Index("ix_stay_ticket", "ticket"),
        Index("ix_stay_plate", "plate"),
    )
    id: str = Field(primary_key=True, max_length=32)
    zone: str
    kind: str
    state: str
    ticket: str = ""
    entered_ms: int = Field(sa_column=_big())
    left_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    paid_cents: int = 0
    credit_cents: int = 0
    card_minutes: int = 0
    cards: int = 0
    spans: str = Field(default="", sa_column=_text())
    paid_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    until_ms: int = Field(default=0, sa_column=_big())
    cleared_ms: int = Field(default=0, sa_column=_big())
    unpaid_cents: int = 0
    reason: str = ""
    plate: str = ""
    pass_name: str = Field(default="", sa_column_kwargs={"server_default": ""})
    pass_until_ms: int | None = Field(default=None, sa_column=_big(nullable=True))


class SaleRow(SQLModel, table=True):
    """A sale of a till, under "till/incarnation/number": what was asked last, and what the machine told of it.

    uses: JSON, the prices that were told and what it uses of each voucher. state: open, paid, ended. is_alone: the
    machine was cut off and priced it; should_cents: what it should have come to (None: not asked, or nobody can say).
    """

    __tablename__ = "parking_sale"
    __table_args__ = (Index("ix_parking_sale_node", "node", "state"), Index("ix_parking_sale_paid", "paid_ms"))
    key: str = Field(primary_key=True, max_length=160)
    node: str
    inc: str
    boot: int
    number: int
    what: str
    zone: str
    stay: str = ""
    subject: str = ""
    state: str
    opened_ms: int = Field(sa_column=_big())
    ended_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    paid_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    until_ms: int = Field(default=0, sa_column=_big())
    due_cents: int = 0
    fee_cents: int = 0
    saved_cents: int = 0
    coins_cents: int = 0
    card_cents: int = 0
    ref: str = ""
    tariff: str = ""
    uses: str = Field(default="[]", sa_column=_text())
    is_alone: bool = False
    should_cents: int | None = None


class PriceRow(SQLModel, table=True):
    """A till's question, under "till/nonce": looked up first, answered so again."""

    __tablename__ = "parking_price"
    __table_args__ = (Index("ix_parking_price_at", "at_ms"),)
    key: str = Field(primary_key=True, max_length=160)
    content: str = Field(sa_column=_text())
    at_ms: int = Field(sa_column=_big())
    answer: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class ClaimRow(SQLModel, table=True):
    """What a till could not bring to an end, for staff: kind owed (a paper says so) or card (a payment in doubt).
    Or of a sale that it priced alone: due (too little was asked for), refund (too much).

    state: open, settled, or replaced by a later paper that has its cents, too.
    """

    __tablename__ = "till_claim"
    __table_args__ = (Index("ix_till_claim_state", "state"),)
    key: str = Field(primary_key=True, max_length=160)
    name: str = Field(index=True)
    node: str
    kind: str
    cents: int
    state: str
    at_ms: int = Field(sa_column=_big())
    settled_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    by: str = ""
    reason: str = ""


class VisitUseRow(SQLModel, table=True):
    """A visit that pays for parking, once. state: held, redeemed or released."""

    __tablename__ = "visit_use"
    __table_args__ = (Index("ix_visit_use_sale", "sale"),)
    visit: str = Field(primary_key=True, max_length=160)
    sale: str
    stay: str
    state: str
    at_ms: int = Field(sa_column=_big())
    saved_cents: int | None = None
