"""What the engine knows of vouchers between two batches: all but the vouchers themselves, of which there are many."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from einlass_controller.domain.public_codes import PublicCode
from einlass_controller.domain.rate import Bucket
from einlass_controller.domain.vouchers import Lot, Partner
from einlass_controller.store import vouchers
from einlass_controller.store.schema import PAYMENT, VOUCHER

OPEN = "open"
_TIMED = select(PAYMENT.c.key, PAYMENT.c.until_ms).where(PAYMENT.c.state == OPEN, PAYMENT.c.until_ms.is_not(None))
_NEWEST_LISTED = select(func.max(VOUCHER.c.listed_number))


@dataclass(slots=True)
class VoucherBook:
    """timed: payments that end by the clock, and when. guesses: what is left of each till's wrong codes.

    list_number: of the last change of what tills may use alone. told: when each till was told of which line.
    """

    partners: dict[str, Partner] = field(default_factory=dict)
    lots: dict[int, Lot] = field(default_factory=dict)
    codes: dict[str, PublicCode] = field(default_factory=dict)
    timed: dict[str, int] = field(default_factory=dict)
    guesses: dict[str, Bucket] = field(default_factory=dict)
    plates_swept_ms: int = 0
    list_number: int = 1  # 1: nothing was ever listed
    told: dict[str, dict[int, int]] = field(default_factory=dict)

    @property
    def last_serial(self) -> int:
        """The highest serial number that any lot has."""
        return max((lot.last for lot in self.lots.values()), default=0)


def load_book(connection: Connection) -> VoucherBook:
    """Read it."""
    return VoucherBook(
        vouchers.partners(connection),
        vouchers.lots(connection),
        vouchers.public_codes(connection),
        {row.key: int(row.until_ms) for row in connection.execute(_TIMED)},
        list_number=max(1, connection.execute(_NEWEST_LISTED).scalar() or 0),
    )
