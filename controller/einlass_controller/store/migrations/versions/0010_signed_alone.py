"""Signed tickets at lanes that are cut off: which were held back since when, and which are not listed any more."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("held_back", sa.Column("listed_number", sa.BigInteger(), nullable=False, server_default="0"))
    # Whoever is held back already is told as the first change that there is.
    op.execute("UPDATE held_back SET listed_number = 1")
    op.create_index(
        "ix_ticket_seen_until",
        "ticket",
        ["valid_until_ms"],
        sqlite_where=sa.text("listed < 0"),
        postgresql_where=sa.text("listed < 0"),
    )
    # Signed tickets are looked at once more: why they are not on the list is told, too.
    op.execute("UPDATE ticket SET listed_number = 0 WHERE key_id > 0")


def downgrade() -> None:
    op.drop_index("ix_ticket_seen_until", "ticket")
    op.execute("UPDATE ticket SET listed = 0 WHERE listed < 0")
    op.execute("DELETE FROM held_back WHERE status = ''")
    op.drop_column("held_back", "listed_number")
