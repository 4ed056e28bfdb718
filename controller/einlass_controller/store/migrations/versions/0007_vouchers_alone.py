"""What tills may do with vouchers while they are cut off: lines of lots, what is listed, what is wanted back."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _zero(name: str, kind: "sa.types.TypeEngine[int] | None" = None) -> "sa.Column[int]":
    return sa.Column(name, kind or sa.Integer(), nullable=False, server_default="0")


def upgrade() -> None:
    op.add_column("voucher_lot", _zero("line"))
    op.add_column("voucher", _zero("listed"))
    op.add_column("voucher", _zero("listed_number", sa.BigInteger()))
    op.add_column("voucher", sa.Column("wanted_back", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_voucher_listed_number", "voucher", ["listed_number"])
    op.create_index("ix_voucher_owner", "voucher", ["owner"])


def downgrade() -> None:
    op.drop_index("ix_voucher_owner", "voucher")
    op.drop_index("ix_voucher_listed_number", "voucher")
    for column in ("wanted_back", "listed_number", "listed"):
        op.drop_column("voucher", column)
    op.drop_column("voucher_lot", "line")
