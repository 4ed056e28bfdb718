"""The tables of vouchers, as migration 0005 makes them. No code is ever stored, and a plate only as a keyed hash."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel


def _big(nullable: bool = False) -> Column[int]:
    return Column(BigInteger, nullable=nullable)


def _number() -> Column[int]:
    return Column(BigInteger, primary_key=True, autoincrement=False)


class PartnerRow(SQLModel, table=True):
    """Who buys vouchers (domain.vouchers.Partner)."""

    __tablename__ = "partner"
    id: str = Field(primary_key=True, max_length=32)
    name: str
    is_active: bool = True
    created_ms: int = Field(sa_column=_big())


class LotRow(SQLModel, table=True):
    """Vouchers of one kind (domain.vouchers.Lot). limits: JSON."""

    __tablename__ = "voucher_lot"
    id: int = Field(sa_column=_number())
    partner: str = ""
    kind: str
    value: int
    medium: str
    first: int = Field(sa_column=_big())
    last: int = Field(sa_column=_big())
    made: int = 0
    terms: str
    price_cents: int = 0
    valid_from_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    valid_until_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    limits: str = Field(default="{}", sa_column=Column(Text, nullable=False))
    while_cut_off: str = "own"
    name: str = ""
    line: int = 0
    created_ms: int = Field(sa_column=_big())


class VoucherRow(SQLModel, table=True):
    """One voucher (domain.vouchers.Voucher); found by `digest`, proved by `code_sha256`."""

    __tablename__ = "voucher"
    __table_args__ = (
        Index("ix_voucher_lot", "lot", "serial"),
        Index("ix_voucher_partner", "partner", "state"),
        Index("ix_voucher_payment", "payment"),
        Index("ix_voucher_used", "used_ms"),
        Index("ix_voucher_listed_number", "listed_number"),
        Index("ix_voucher_owner", "owner"),
    )
    serial: int = Field(sa_column=_number())
    lot: int = Field(sa_column=_big())
    digest: str = Field(unique=True, max_length=16)
    code_sha256: str = Field(max_length=64)
    made_ms: int = Field(sa_column=_big())
    partner: str = ""
    state: str
    before: str = ""
    reason: str = ""
    activated_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    payment: str = ""
    held_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    used_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    area: str = ""
    used_value: int = 0
    saved_cents: int | None = None
    owner: str = ""
    owner_inc: str = ""
    owner_version: int = 0
    settled: str = ""
    wanted_back: bool = False
    listed: int = 0
    listed_number: int = Field(default=0, sa_column=_big())


class PaymentRow(SQLModel, table=True):
    """A payment that holds vouchers, under "till/incarnation/number". until_ms None: it ends by its till's word only.

    answer: what its end was answered with, the same bytes on every repeat; content: what was asked then.
    """

    __tablename__ = "voucher_payment"
    __table_args__ = (
        Index("ix_voucher_payment_stay", "stay"),
        Index("ix_voucher_payment_plate", "plate", "opened_ms"),
        Index("ix_voucher_payment_state", "state"),
    )
    key: str = Field(primary_key=True, max_length=160)
    node: str
    inc: str
    state: str
    area: str
    stay: str = ""
    plate: str = ""
    opened_ms: int = Field(sa_column=_big())
    until_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    ended_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    fee_cents: int | None = None
    paid_cents: int | None = None
    content: str = ""
    answer: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))


class VoucherOpRow(SQLModel, table=True):
    """A till's question about a code, under "till/incarnation/number": looked up first, answered so again."""

    __tablename__ = "voucher_op"
    key: str = Field(primary_key=True, max_length=160)
    payment: str = Field(index=True)
    content: str
    at_ms: int = Field(sa_column=_big())
    answer: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class PublicCodeRow(SQLModel, table=True):
    """A code for everybody (domain.public_codes.PublicCode). used: held ones too."""

    __tablename__ = "public_code"
    code: str = Field(primary_key=True, max_length=8)
    name: str
    kind: str
    value: int
    from_ms: int = Field(sa_column=_big())
    until_ms: int = Field(sa_column=_big())
    limits: str = Field(default="{}", sa_column=Column(Text, nullable=False))
    total_max: int = 0
    used: int = 0
    is_blocked: bool = False
    created_ms: int = Field(sa_column=_big())


class PublicUseRow(SQLModel, table=True):
    """A public code in a payment, once a payment. state: held, redeemed or released."""

    __tablename__ = "public_use"
    __table_args__ = (Index("ix_public_use_payment", "payment"),)
    key: str = Field(primary_key=True, max_length=176)
    code: str = Field(index=True)
    payment: str
    state: str
    area: str
    at_ms: int = Field(sa_column=_big())
    saved_cents: int | None = None
