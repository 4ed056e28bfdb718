"""Reading vouchers, lots, partners and public codes out of their tables."""

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, select

from einlass_controller.domain.public_codes import PublicCode
from einlass_controller.domain.vouchers import Limits, Lot, Partner, Voucher
from einlass_controller.store.schema import LOT, PARTNER, PUBLIC_CODE, VOUCHER

VOUCHER_COLUMNS = [VOUCHER.c[item.name] for item in fields(Voucher)]
_LOT_COLUMNS = [LOT.c[item.name] for item in fields(Lot)]
_CODE_COLUMNS = [PUBLIC_CODE.c[item.name] for item in fields(PublicCode)]
_LOTS = select(*_LOT_COLUMNS).order_by(LOT.c.id)
_PARTNERS = select(PARTNER.c.id, PARTNER.c.name, PARTNER.c.is_active).order_by(PARTNER.c.id)
_CODES = select(*_CODE_COLUMNS).order_by(PUBLIC_CODE.c.code)


def vouchers_of(rows: Iterable[Any]) -> list[Voucher]:
    """Vouchers from rows of VOUCHER_COLUMNS."""
    return [Voucher(*row) for row in rows]


def lots(connection: Connection) -> dict[int, Lot]:
    """Every lot."""
    found = {}
    for row in connection.execute(_LOTS).mappings():
        found[int(row["id"])] = Lot(**{**row, "limits": read_limits(row["limits"])})
    return found


def partners(connection: Connection) -> dict[str, Partner]:
    """Every partner."""
    return {row.id: Partner(row.id, row.name, bool(row.is_active)) for row in connection.execute(_PARTNERS)}


def public_codes(connection: Connection) -> dict[str, PublicCode]:
    """Every public code."""
    rows = connection.execute(_CODES).mappings()
    return {row["code"]: PublicCode(**{**row, "limits": read_limits(row["limits"])}) for row in rows}


def lot_row(lot: Lot) -> dict[str, Any]:
    """A lot as its row has it, but for when it was made."""
    return {item.name: getattr(lot, item.name) for item in fields(Lot)} | {"limits": limits_text(lot.limits)}


def code_row(code: PublicCode) -> dict[str, Any]:
    """A public code as its row has it, but for when it was made."""
    return {item.name: getattr(code, item.name) for item in fields(PublicCode)} | {"limits": limits_text(code.limits)}


def limits_text(limits: Limits) -> str:
    """As they are stored."""
    return json.dumps(asdict(limits), sort_keys=True)


def read_limits(text: str) -> Limits:
    """What limits_text() was given."""
    found = json.loads(text)
    return (
        Limits(**{**found, "areas": tuple(found["areas"]), "weekdays": tuple(found["weekdays"])}) if found else Limits()
    )
