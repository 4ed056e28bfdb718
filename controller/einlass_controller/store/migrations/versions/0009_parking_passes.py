"""Stays that are priced by a pass of the tariff."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("stay", sa.Column("pass_name", sa.String(), nullable=False, server_default=""))
    op.add_column("stay", sa.Column("pass_until_ms", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("stay", "pass_until_ms")
    op.drop_column("stay", "pass_name")
