"""Leases of places, and which tickets stand on the lists of lanes that may be cut off."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LISTED = sa.text("listed > 0")
FROM = sa.text("valid_from_ms IS NOT NULL")


def upgrade() -> None:
    op.add_column("account", sa.Column("leased_until_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("ticket", sa.Column("listed", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("ticket", sa.Column("listed_number", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ix_ticket_listed_number", "ticket", ["listed_number"])
    op.create_index(
        "ix_ticket_listed_until", "ticket", ["valid_until_ms"], sqlite_where=LISTED, postgresql_where=LISTED
    )
    op.create_index("ix_ticket_valid_from", "ticket", ["valid_from_ms"], sqlite_where=FROM, postgresql_where=FROM)


def downgrade() -> None:
    for name in ("ix_ticket_valid_from", "ix_ticket_listed_until", "ix_ticket_listed_number"):
        op.drop_index(name, "ticket")
    op.drop_column("ticket", "listed_number")
    op.drop_column("ticket", "listed")
    op.drop_column("account", "leased_until_ms")
