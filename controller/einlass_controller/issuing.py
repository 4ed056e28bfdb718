"""New codes and the tickets behind them."""

import hashlib
import secrets
import time
from typing import NotRequired, TypedDict, Unpack

from einlass_controller.domain.catalogue import Product
from einlass_controller.domain.tickets import SINGLE, VALID, Ticket
from einlass_controller.signing import Signer
from einlass_core import codes, signed

ID_CHARACTERS = signed.TICKET_ID_LENGTH


class Terms(TypedDict):
    """What is ordered. Instants are Unix milliseconds; None: no bound. Without a product: a single entry."""

    persons: int
    zone: str
    valid_from_ms: int | None
    valid_until_ms: int | None
    product: NotRequired[Product]
    slot_ms: NotRequired[int | None]
    company_of: NotRequired[str]


def new_code() -> str:
    """An opaque code nobody can guess (80 random bits)."""
    return codes.opaque(secrets.randbits(codes.OPAQUE_BITS))


def new_id() -> str:
    """An id for a ticket: 60 random bits that a person can read out."""
    return "".join(secrets.choice(codes.ALPHABET) for _ in range(ID_CHARACTERS))


def make_ticket(code: str, ticket_id: str = "", key_id: int = 0, **terms: Unpack[Terms]) -> Ticket:
    """A ticket for this code; without a product a single-entry one."""
    product = terms.get("product")
    return Ticket(
        id=ticket_id or new_id(),
        digest=codes.digest(code),
        code_sha256=hashlib.sha256(code.encode()).hexdigest(),
        product=SINGLE if product is None else product.id,
        zone=terms["zone"],
        persons=terms["persons"],
        status=VALID,
        valid_from_ms=terms["valid_from_ms"],
        valid_until_ms=terms["valid_until_ms"],
        entries_max=1 if product is None else product.entries,
        entries_used=0,
        issued_ms=time.time_ns() // 1_000_000,
        key_id=key_id,
        slot_ms=terms.get("slot_ms"),
        company_of=terms.get("company_of", ""),
    )


def sign_ticket(
    signer: Signer, key: signed.PublicKey, product_id: str = "", **terms: Unpack[Terms]
) -> tuple[str, Ticket]:
    """A signed code and its ticket. Raises ValueError for what no code can carry.

    product_id: what the code says, where that is not terms' product.
    """
    product = terms.get("product")
    named = product_id or (SINGLE if product is None else product.id)
    first_ms, last_ms = signed.whole_seconds(terms["valid_from_ms"], terms["valid_until_ms"])
    claim = signed.Claim(key.id, new_id(), named, terms["zone"], terms["persons"], first_ms, last_ms)
    message = signed.message_of(claim)
    code = signed.code_of(message, signer.sign(key.public, message))
    seconds: Terms = {**terms, "valid_from_ms": first_ms, "valid_until_ms": last_ms}
    return code, make_ticket(code, claim.ticket, key.id, **seconds)
