"""Car parks: tariffs, tills, signs, stays, sales and what tills owe."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _text(name: str, length: int | None = None) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=length), nullable=False)


def _big(name: str, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _int(*names: str) -> "list[sa.Column[int]]":
    return [sa.Column(name, sa.Integer(), nullable=False) for name in names]


def _long(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=False)


def upgrade() -> None:
    op.add_column("zone", sa.Column("tariff", sa.String(), nullable=False, server_default=""))
    op.add_column("zone", sa.Column("lost_ticket_cents", sa.Integer(), nullable=True))
    op.add_column("zone", sa.Column("free_with", sa.String(), nullable=False, server_default=""))
    op.add_column("zone", sa.Column("free_minutes", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("lane", sa.Column("issues", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "tariff",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        *(_text("name"), _text("valid_from"), _text("digest"), sa.Column("is_json", sa.Boolean(), nullable=False)),
        *(_long("body"), _big("created_ms"), _text("by"), _text("reason")),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_tariff_name", "tariff", ["name", "valid_from"])
    op.create_table(
        "till",
        *(_text("id", 32), _text("node"), _text("zone"), _text("name"), _text("name_en"), _text("inc")),
        _long("account"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_till_node", "till", ["node"])
    op.create_table("sign", _text("node", 32), _text("zone"), sa.PrimaryKeyConstraint("node"))
    op.create_table(
        "stay",
        *(_text("id", 32), _text("zone"), _text("kind"), _text("state"), _text("ticket")),
        *(_big("entered_ms"), _big("left_ms", True)),
        *_int("paid_cents", "credit_cents", "card_minutes", "cards"),
        *(_long("spans"), _big("paid_ms", True), _big("until_ms"), _big("cleared_ms")),
        *_int("unpaid_cents"),
        *(_text("reason"), _text("plate")),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_stay_zone", "stay", ["zone", "state"])
    op.create_index("ix_stay_ticket", "stay", ["ticket"])
    op.create_index("ix_stay_plate", "stay", ["plate"])
    op.create_table(
        "parking_sale",
        *(_text("key", 160), _text("node"), _text("inc")),
        *_int("boot", "number"),
        *(_text("what"), _text("zone"), _text("stay"), _text("subject"), _text("state")),
        *(_big("opened_ms"), _big("ended_ms", True), _big("paid_ms", True), _big("until_ms")),
        *_int("due_cents", "fee_cents", "saved_cents", "coins_cents", "card_cents"),
        *(_text("ref"), _text("tariff"), _long("uses")),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_parking_sale_node", "parking_sale", ["node", "state"])
    op.create_index("ix_parking_sale_paid", "parking_sale", ["paid_ms"])
    op.create_table(
        "parking_price",
        *(_text("key", 160), _long("content"), _big("at_ms"), sa.Column("answer", sa.LargeBinary(), nullable=False)),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_parking_price_at", "parking_price", ["at_ms"])
    op.create_table(
        "till_claim",
        *(_text("key", 160), _text("name"), _text("node"), _text("kind")),
        *_int("cents"),
        _text("state"),
        *(_big("at_ms"), _big("settled_ms", True), _text("by"), _text("reason")),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_till_claim_name", "till_claim", ["name"])
    op.create_index("ix_till_claim_state", "till_claim", ["state"])
    op.create_table(
        "visit_use",
        *(_text("visit", 160), _text("sale"), _text("stay"), _text("state"), _big("at_ms")),
        sa.Column("saved_cents", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("visit"),
    )
    op.create_index("ix_visit_use_sale", "visit_use", ["sale"])


def downgrade() -> None:
    for table in ("visit_use", "till_claim", "parking_price", "parking_sale", "stay", "sign", "till", "tariff"):
        op.drop_table(table)
    op.drop_column("lane", "issues")
    for column in ("free_minutes", "free_with", "lost_ticket_cents", "tariff"):
        op.drop_column("zone", column)
