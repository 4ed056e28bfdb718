"""How a voucher stands in the ledger: as domain.snapshot does it for tickets."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from einlass_controller.domain.vouchers import Voucher

# Set when it is made and never again.
VOUCHER_FIXED = frozenset(("serial", "lot", "digest", "code_sha256", "made_ms"))
# Follows from all the others and is made again from them: not in the ledger.
_DERIVED = frozenset(("listed", "listed_number"))
_ALL = [item.name for item in fields(Voucher) if item.name not in _DERIVED]
_STATE = [name for name in _ALL if name not in VOUCHER_FIXED]


def row_of(voucher: Voucher) -> dict[str, Any]:
    """A new voucher, whole."""
    return said(_ALL, voucher)


def state_of(voucher: Voucher) -> dict[str, Any]:
    """What may change of a voucher."""
    return said(_STATE, voucher)


def said_of_row(columns: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table, as a ledger that says the same would have it."""
    return _speaking({name: columns[name] for name in _ALL})


def said(names: Iterable[str], voucher: Voucher) -> dict[str, Any]:
    """These fields, without those that say nothing."""
    return _speaking({name: getattr(voucher, name) for name in names})


def _speaking(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value is not False and value != ""}
