"""Rules of the house as versions; what products, hours, corrections and the nightly close need to remember."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Column, type, and what the rows that are there get; None: nothing is known.
ADDED: dict[str, list[tuple[str, sa.types.TypeEngine[Any], str | None]]] = {
    "site": [("mode", sa.String(), ""), ("mode_by", sa.String(), ""), ("closed_ms", sa.BigInteger(), "0")],
    "zone": [
        ("shut_from_ms", sa.BigInteger(), None),
        ("shut_until_ms", sa.BigInteger(), None),
        ("counted_ms", sa.BigInteger(), "0"),
        ("counted", sa.Text(), "{}"),
    ],
    "ticket": [
        ("last_exit_ms", sa.BigInteger(), None),
        ("day_ms", sa.BigInteger(), "0"),
        ("entries_today", sa.Integer(), "0"),
        ("slot_ms", sa.BigInteger(), None),
        ("company_of", sa.String(), ""),
        ("proof_until_ms", sa.BigInteger(), "0"),
        ("due_cents", sa.Integer(), "0"),
    ],
    "visit": [("entries", sa.Integer(), "1"), ("turns", sa.Integer(), "1")],
    "decision": [("facts", sa.Text(), "")],
}
PRESENT_ONLY = sa.text("state = 'present'")
BOOKED_ONLY = sa.text("slot_ms IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "rules",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("valid_from_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    for table, columns in ADDED.items():
        for name, kind, default in columns:
            op.add_column(table, sa.Column(name, kind, nullable=default is None, server_default=default))
    op.create_index("ix_visit_present", "visit", ["zone"], sqlite_where=PRESENT_ONLY, postgresql_where=PRESENT_ONLY)
    op.create_index("ix_ticket_slot", "ticket", ["slot_ms"], sqlite_where=BOOKED_ONLY, postgresql_where=BOOKED_ONLY)


def downgrade() -> None:
    op.drop_index("ix_ticket_slot", table_name="ticket")
    op.drop_index("ix_visit_present", table_name="visit")
    for table, columns in ADDED.items():
        for name, _, _ in reversed(columns):
            op.drop_column(table, name)
    op.drop_table("rules")
