"""Signed tickets, the life of a ticket, imports, the epoch, and what an API key may do."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TICKET_TEXTS = ("import_id", "reason", "status_before", "replaces", "replaced_by")


def upgrade() -> None:
    op.add_column("ticket", sa.Column("key_id", sa.Integer(), nullable=False, server_default="0"))
    for name in TICKET_TEXTS:
        kind = sa.String(length=32) if name == "import_id" else sa.String()
        op.add_column("ticket", sa.Column(name, kind, nullable=False, server_default=""))
    op.add_column("api_key", sa.Column("scopes", sa.String(), nullable=False, server_default="admin"))
    op.add_column("api_key", sa.Column("rate_per_s", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("api_key", sa.Column("revoked_ms", sa.BigInteger(), nullable=True))
    op.create_table(
        "signing_key",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("public", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("verify_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "held_back",
        sa.Column("ticket", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ticket"),
    )
    op.create_table(
        "ticket_import",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("begun_ms", sa.BigInteger(), nullable=False),
        sa.Column("tickets", sa.Integer(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "epoch",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("recount", sa.String(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    for table in ("epoch", "ticket_import", "held_back", "signing_key"):
        op.drop_table(table)
    for name in ("revoked_ms", "rate_per_s", "scopes"):
        op.drop_column("api_key", name)
    for name in reversed(TICKET_TEXTS):
        op.drop_column("ticket", name)
    op.drop_column("ticket", "key_id")
