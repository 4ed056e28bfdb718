"""A ticket: a right to enter. What its product allows is in the catalogue; what it has used is here."""

from dataclasses import dataclass

VALID = "valid"
STATUSES = (VALID, "revoked", "blocked", "cancelled", "unpaid")
SINGLE = "single"


@dataclass(slots=True)
class Ticket:
    """Instants are Unix milliseconds, None: no bound. zone "": every zone. entries_max None: no limit.

    The code itself is never here: `digest` finds it, `code_sha256` proves it. key_id: who signed the code; 0: opaque.
    import_id: the file it came in. status_before: what a blocked ticket was, and will be again.
    slot_ms: start of the time slot it was sold for. company_of: the ticket that this one may only come along with.
    proof_until_ms: staff saw the proof and it counts until then. due_cents: owed for a stay that was too long.
    listed: persons it lets in at lanes that are cut off; below 0: of a signed one, minus why it lets in nobody
    (einlass_core.signed_alone.WHY). listed_number: of that change, 0 and below: to be looked at.
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
    key_id: int = 0
    import_id: str = ""
    reason: str = ""
    status_before: str = ""
    replaces: str = ""
    replaced_by: str = ""
    last_exit_ms: int | None = None
    day_ms: int = 0  # the midnight that began the day which entries_today counts
    entries_today: int = 0
    slot_ms: int | None = None
    company_of: str = ""
    proof_until_ms: int = 0
    due_cents: int = 0
    listed: int = 0
    listed_number: int = 0

    @property
    def entries_left(self) -> int | None:
        """None: without limit."""
        return None if self.entries_max is None else max(0, self.entries_max - self.entries_used)
