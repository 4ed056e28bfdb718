"""Visits are indexed only while they are not over."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('reserved', 'released', 'present')")
UNDER_WAY = sa.text("state IN ('reserved', 'released')")


def upgrade() -> None:
    op.drop_index("ix_visit_ticket_state", table_name="visit")
    op.drop_index("ix_visit_node_state", table_name="visit")
    op.create_index("ix_visit_open_ticket", "visit", ["ticket"], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("ix_visit_under_way_node", "visit", ["node"], sqlite_where=UNDER_WAY, postgresql_where=UNDER_WAY)


def downgrade() -> None:
    op.drop_index("ix_visit_under_way_node", table_name="visit")
    op.drop_index("ix_visit_open_ticket", table_name="visit")
    op.create_index("ix_visit_node_state", "visit", ["node", "state"], unique=False)
    op.create_index("ix_visit_ticket_state", "visit", ["ticket", "state"], unique=False)
