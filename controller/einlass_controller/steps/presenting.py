"""Which ticket a code is: one that the database has, or a signed one that nobody has shown here before."""

from dataclasses import dataclass, replace

from sqlalchemy import select

from einlass_controller.domain import decision as codes
from einlass_controller.domain import signed
from einlass_controller.domain.snapshot import row_of
from einlass_controller.domain.tickets import VALID, Ticket
from einlass_controller.issuing import new_id
from einlass_controller.live import Lane
from einlass_controller.messages import Proof
from einlass_controller.signing import check
from einlass_controller.steps.batch import Batch, log
from einlass_controller.store.schema import HELD_BACK


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
        # A ticket that a lane gave out while it was cut off: only the digest of its code was ever told.
        if ticket.code_sha256 not in ("", proof.sha256) or ticket.import_id in batch.live.imports_open:
            return Shown(None)
        key = batch.live.ring.get(ticket.key_id)
        return Shown(ticket if key is None or key.revoked_ms is None else replace(ticket, status=codes.REVOKED))
    if lane is not None and lane.issues and proof.is_opaque:
        return Shown(given_out(batch, lane, proof.digest, proof.sha256), fresh=True)
    return Shown(None) if proof.signed is None else _first_time(batch, proof, proof.signed)


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
    held = batch.rows.scalar(select(HELD_BACK.c.status).where(HELD_BACK.c.ticket == claim.ticket))
    product = batch.catalogue.products.get(claim.product)
    if product is None:
        status = codes.WRONG_PRODUCT  # not a status, but what the rules say to a ticket that has it
    ticket = Ticket(
        claim.ticket,
        proof.digest,
        proof.sha256,
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
