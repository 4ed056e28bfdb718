"""What people order at a desk or over the API beside scans: each becomes a step of steps/office_orders.py."""

from dataclasses import dataclass


class OfficeOrder:
    """An order of this kind."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class AddSigningKey(OfficeOrder):
    """A new key signs from now on; result: its id. old_until_ms: how long the others still count; None: no end."""

    public: bytes
    old_until_ms: int | None
    by: str


@dataclass(frozen=True, slots=True)
class RevokeSigningKey(OfficeOrder):
    """What this key signed counts no more; result: False when there is no such key."""

    id: int
    reason: str
    by: str
