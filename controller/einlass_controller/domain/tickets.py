"""A ticket: a right to enter. Products differ only in its numbers."""

from dataclasses import dataclass

VALID = "valid"
STATUSES = (VALID, "revoked", "blocked", "cancelled", "unpaid")
SINGLE = "single"
PRODUCTS = (SINGLE,)


@dataclass(slots=True)
class Ticket:
    """Instants are Unix milliseconds, None: no bound. zone "": every zone. entries_max None: no limit.

    The code itself is never here: `digest` finds it, `code_sha256` proves it.
    """

    id: str
    digest: str
    code_sha256: str
    product: str
    zone: str
    persons: int
    status: str
    valid_from_ms: int | None
    valid_until_ms: int | None
    entries_max: int | None
    entries_used: int
    issued_ms: int
    first_use_ms: int | None = None
    last_use_ms: int | None = None
    last_lane: str = ""

    @property
    def entries_left(self) -> int | None:
        """None: without limit."""
        return None if self.entries_max is None else max(0, self.entries_max - self.entries_used)
