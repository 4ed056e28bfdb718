"""New codes and the tickets behind them."""

import hashlib
import secrets
import time

from einlass_controller.domain.tickets import SINGLE, VALID, Ticket
from einlass_core import codes

ID_CHARACTERS = 12


def new_code() -> str:
    """An opaque code nobody can guess (80 random bits)."""
    return codes.opaque(secrets.randbits(codes.OPAQUE_BITS))


def make_ticket(code: str, *, persons: int, zone: str, valid_from_ms: int | None, valid_until_ms: int | None) -> Ticket:
    """A single-entry ticket for this code."""
    return Ticket(
        id="".join(secrets.choice(codes.ALPHABET) for _ in range(ID_CHARACTERS)),
        digest=codes.digest(code),
        code_sha256=hashlib.sha256(code.encode()).hexdigest(),
        product=SINGLE,
        zone=zone,
        persons=persons,
        status=VALID,
        valid_from_ms=valid_from_ms,
        valid_until_ms=valid_until_ms,
        entries_max=1,
        entries_used=0,
        issued_ms=time.time_ns() // 1_000_000,
    )
