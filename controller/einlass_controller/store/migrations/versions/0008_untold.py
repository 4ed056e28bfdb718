"""Places of a zone kept until lanes have told what was before the last count."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("zone", sa.Column("untold", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("zone", "untold")
