"""Partners, lots, vouchers, the payments that hold them, public codes; and API keys of partners."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _text(name: str, length: int | None = None) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=length), nullable=False)


def _big(name: str, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _int(name: str, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _flag(name: str) -> "sa.Column[bool]":
    return sa.Column(name, sa.Boolean(), nullable=False)


def _number(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _long(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=False)


def _bytes(name: str) -> "sa.Column[bytes]":
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    op.add_column("api_key", sa.Column("partner", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "partner",
        _text("id", 32),
        _text("name"),
        _flag("is_active"),
        _big("created_ms"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "voucher_lot",
        _number("id"),
        *(_text("partner"), _text("kind"), _int("value"), _text("medium"), _big("first"), _big("last"), _int("made")),
        *(_text("terms"), _int("price_cents"), _big("valid_from_ms", True), _big("valid_until_ms", True)),
        *(_long("limits"), _text("while_cut_off"), _text("name"), _big("created_ms")),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "voucher",
        *(_number("serial"), _big("lot"), _text("digest", 16), _text("code_sha256", 64), _big("made_ms")),
        *(_text("partner"), _text("state"), _text("before"), _text("reason"), _big("activated_ms", True)),
        *(_text("payment"), _big("held_ms", True), _big("used_ms", True), _text("area"), _int("used_value")),
        *(_int("saved_cents", True), _text("owner"), _text("owner_inc"), _int("owner_version"), _text("settled")),
        sa.PrimaryKeyConstraint("serial"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("ix_voucher_lot", "voucher", ["lot", "serial"])
    op.create_index("ix_voucher_partner", "voucher", ["partner", "state"])
    op.create_index("ix_voucher_payment", "voucher", ["payment"])
    op.create_index("ix_voucher_used", "voucher", ["used_ms"])
    op.create_table(
        "voucher_payment",
        *(_text("key", 160), _text("node"), _text("inc"), _text("state"), _text("area"), _text("stay"), _text("plate")),
        *(_big("opened_ms"), _big("until_ms", True), _big("ended_ms", True)),
        *(_int("fee_cents", True), _int("paid_cents", True), _text("content"), _bytes("answer")),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_voucher_payment_stay", "voucher_payment", ["stay"])
    op.create_index("ix_voucher_payment_plate", "voucher_payment", ["plate", "opened_ms"])
    op.create_index("ix_voucher_payment_state", "voucher_payment", ["state"])
    op.create_table(
        "voucher_op",
        *(_text("key", 160), _text("payment"), _text("content"), _big("at_ms"), _bytes("answer")),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_voucher_op_payment", "voucher_op", ["payment"])
    op.create_table(
        "public_code",
        *(_text("code", 8), _text("name"), _text("kind"), _int("value"), _big("from_ms"), _big("until_ms")),
        *(_long("limits"), _int("total_max"), _int("used"), _flag("is_blocked"), _big("created_ms")),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_table(
        "public_use",
        *(_text("key", 176), _text("code"), _text("payment"), _text("state"), _text("area"), _big("at_ms")),
        _int("saved_cents", True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_public_use_code", "public_use", ["code"])
    op.create_index("ix_public_use_payment", "public_use", ["payment"])


def downgrade() -> None:
    for table in ("public_use", "public_code", "voucher_op", "voucher_payment", "voucher", "voucher_lot", "partner"):
        op.drop_table(table)
    op.drop_column("api_key", "partner")
