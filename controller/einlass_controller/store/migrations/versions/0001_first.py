"""The first schema: one site, its zones, lanes, nodes and tickets, and the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("lane", sa.String(length=32), nullable=False),
        sa.Column("inc", sa.String(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("balance", sa.Integer(), nullable=False),
        sa.Column("pending", sa.Integer(), nullable=False),
        sa.Column("version_sent", sa.Integer(), nullable=False),
        sa.Column("lowering", sa.Integer(), nullable=False),
        sa.Column("frozen", sa.Boolean(), nullable=False),
        sa.Column("sent", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("lane"),
    )
    op.create_table(
        "api_key",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("key_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sa.UniqueConstraint("key_sha256"),
    )
    op.create_table(
        "command",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("inc", sa.String(), nullable=False),
        sa.Column("do", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("issued_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("reply", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_command_node", "command", ["node"], unique=False)
    op.create_table(
        "dead_letter",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "decision",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("persons", sa.Integer(), nullable=False),
        sa.Column("ticket", sa.String(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_decision_number", "decision", ["number"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "node",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("board", sa.String(), nullable=False),
        sa.Column("inc", sa.String(), nullable=False),
        sa.Column("past", sa.Text(), nullable=False),
        sa.Column("boot", sa.Integer(), nullable=False),
        sa.Column("applied_seq", sa.BigInteger(), nullable=False),
        sa.Column("software", sa.String(), nullable=False),
        sa.Column("hardware", sa.String(), nullable=False),
        sa.Column("emergency", sa.Boolean(), nullable=False),
        sa.Column("fault", sa.String(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "site",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "ticket",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=16), nullable=False),
        sa.Column("code_sha256", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("persons", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("valid_from_ms", sa.BigInteger(), nullable=True),
        sa.Column("valid_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("entries_max", sa.Integer(), nullable=True),
        sa.Column("entries_used", sa.Integer(), nullable=False),
        sa.Column("issued_ms", sa.BigInteger(), nullable=False),
        sa.Column("first_use_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_use_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_lane", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "visit",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("ticket", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("persons", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("granted_ms", sa.BigInteger(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("unused", sa.Integer(), nullable=False),
        sa.Column("left", sa.Integer(), nullable=False),
        sa.Column("began_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("doubtful", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_visit_node_state", "visit", ["node", "state"], unique=False)
    op.create_index("ix_visit_ticket_state", "visit", ["ticket", "state"], unique=False)
    op.create_table(
        "zone",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("cap", sa.Integer(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("ghosts", sa.Integer(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site"],
            ["site.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "lane",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("outer", sa.String(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["zone"],
            ["zone.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_lane_node", "lane", ["node"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_lane_node", table_name="lane")
    op.drop_table("lane")
    op.drop_table("zone")
    op.drop_index("ix_visit_ticket_state", table_name="visit")
    op.drop_index("ix_visit_node_state", table_name="visit")
    op.drop_table("visit")
    op.drop_table("ticket")
    op.drop_table("site")
    op.drop_table("node")
    op.drop_table("ledger")
    op.drop_index("ix_decision_number", table_name="decision")
    op.drop_table("decision")
    op.drop_table("dead_letter")
    op.drop_index("ix_command_node", table_name="command")
    op.drop_table("command")
    op.drop_table("api_key")
    op.drop_table("account")
