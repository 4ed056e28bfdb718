"""The visit on whose entry somebody came in who had stayed behind when it began."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("visit", sa.Column("entry_of", sa.String(length=128), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("visit", "entry_of")
