"""Sales that a till priced by itself while it was cut off, and what each should have come to."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("parking_sale", sa.Column("is_alone", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("parking_sale", sa.Column("should_cents", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("parking_sale", "should_cents")
    op.drop_column("parking_sale", "is_alone")
