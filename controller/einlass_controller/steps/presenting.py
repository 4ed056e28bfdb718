"""Which ticket a code is: one that the database has, or a signed one that nobody has shown here before."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from einlass_controller.domain import decision as codes
from einlass_controller.domain.snapshot import row_of
from einlass_controller.domain.tickets import VALID, Ticket
from einlass_controller.issuing import new_id
from einlass_controller.live import Lane
from einlass_controller.messages import Proof
from einlass_controller.signing import check
from einlass_controller.steps.batch import Batch, log
from einlass_controller.store.schema import HELD_BACK
from einlass_core import signed


@dataclass(frozen=True, slots=True)
class Shown:
    """ticket None: not known here. fresh: it becomes a row when it is let in."""

    ticket: Ticket | None
    fresh: bool = False


def present(batch: Batch, proof: Proof, lane: Lane | None = None) -> Shown:
    """The ticket of a code. The digest finds it, the whole hash (or the signature) proves it.

    lane: an entry that gives out tickets: a code of its form that is new is one that it has just made.
    """
    ticket = batch.rows.by_digest.get(proof.digest)
    if ticket is not None:
        if not _proved(batch, ticket, proof) or ticket.import_id in batch.live.imports_open:
            return Shown(None)
        return as_signed(batch, Shown(ticket))
    if lane is not None and lane.issues and proof.is_opaque:
        return Shown(given_out(batch, lane, proof.digest, proof.sha256), fresh=True)
    return Shown(None) if proof.signed is None else _first_time(batch, proof, proof.signed)


def as_signed(batch: Batch, shown: Shown) -> Shown:
    """What a key has signed that is revoked by now counts as revoked: to judge by, not to be kept."""
    key = batch.live.ring.get(shown.ticket.key_id) if shown.ticket is not None else None
    if shown.ticket is None or key is None or key.revoked_ms is None:
        return shown
    return Shown(replace(shown.ticket, status=codes.REVOKED), shown.fresh)


def claimed(batch: Batch, fields: dict[str, Any], digest: str) -> Shown:
    """A signed ticket as a lane told of it that let it in on the signature: without the signature.

    Whoever shows the code later has to prove it; until then the row only says that the ticket was used.
    """
    claim = signed.Claim(
        fields["key"],
        fields["ticket"],
        fields["product"],
        fields["zone"],
        max(1, fields["persons"]),
        fields["from"] or None,
        fields["until"] or None,
    )
    try:
        signed.message_of(claim)
    except ValueError as error:
        log.warning("claim_unusable", error=str(error))
        return Shown(None)
    known = batch.rows.ticket(claim.ticket)
    if known is not None:
        return Shown(known)
    key = batch.live.ring.get(claim.key)
    is_past = key is None or (key.verify_until_ms is not None and batch.now_ms > key.verify_until_ms)
    if key is None or is_past or claim.product not in batch.catalogue.products:
        return Shown(None)
    return _from_claim(batch, claim, digest, "", VALID if key.revoked_ms is None else codes.REVOKED)


def _proved(batch: Batch, ticket: Ticket, proof: Proof) -> bool:
    """Whether this is the ticket's code: the whole of it, or the signature of one whose code nobody has seen here."""
    if ticket.code_sha256:
        return ticket.code_sha256 == proof.sha256
    if not ticket.key_id:
        return True  # given out by a lane while it was cut off: only the digest of its code was ever told
    shown, key = proof.signed, batch.live.ring.get(ticket.key_id)
    is_it = shown is not None and (shown.claim.key, shown.claim.ticket) == (ticket.key_id, ticket.id)
    return is_it and shown is not None and key is not None and check(key.public, shown.signature, shown.message)


def given_out(batch: Batch, lane: Lane, digest: str, sha256: str = "") -> Ticket:
    """The ticket that a lane with `issues` gives out. sha256 "": only the digest is known."""
    product = batch.catalogue.products.get(lane.issues)
    return Ticket(
        new_id(),
        digest,
        sha256,
        lane.issues,
        lane.zone,
        1,
        VALID,
        None,
        None,
        1 if product is None else product.entries,
        entries_used=0,
        issued_ms=batch.now_ms,
    )


def keep(batch: Batch, shown: Shown) -> None:
    """A signed ticket is used for the first time: from now on it is one that the database has."""
    if shown.fresh and shown.ticket is not None:
        batch.rows.add_ticket(shown.ticket)
        batch.record("first_seen", ticket=shown.ticket.id, row=row_of(shown.ticket))


def _first_time(batch: Batch, proof: Proof, shown: signed.Signed) -> Shown:
    status = VALID
    try:
        claim = signed.verify(shown, batch.live.ring, batch.now_ms, check)
    except signed.SignedError as error:
        log.info("signed_code_refused", reason=error.reason, key=shown.claim.key)
        if error.reason != "key_revoked":
            return Shown(None)
        claim, status = shown.claim, codes.REVOKED
    if batch.rows.ticket(claim.ticket) is not None:  # this ticket has another code: it was signed anew
        return Shown(None)
    return _from_claim(batch, claim, proof.digest, proof.sha256, status)


def _from_claim(batch: Batch, claim: signed.Claim, digest: str, sha256: str, status: str) -> Shown:
    held = batch.rows.scalar(select(HELD_BACK.c.status).where(HELD_BACK.c.ticket == claim.ticket))
    product = batch.catalogue.products.get(claim.product)
    if product is None:
        status = codes.WRONG_PRODUCT  # not a status, but what the rules say to a ticket that has it
    ticket = Ticket(
        claim.ticket,
        digest,
        sha256,
        claim.product,
        claim.zone,
        claim.persons,
        held or status,
        claim.valid_from_ms,
        claim.valid_until_ms,
        None if product is None else product.entries,
        entries_used=0,
        issued_ms=batch.now_ms,
        key_id=claim.key,
    )
    return Shown(ticket, fresh=True)
