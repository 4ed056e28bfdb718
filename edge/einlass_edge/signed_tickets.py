"""Signed tickets at a lane that nobody answers: the keys it was told, and what it has let in on a signature alone."""

import hashlib
import json
from typing import Any

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from einlass_core.allowlist import AllowList
from einlass_core.events import EXIT
from einlass_core.journal import frame, unframe
from einlass_core.signed import Claim, SignedError, checker, number_of, parse
from einlass_core.signed_alone import NOT_HERE, PIECES_MAX, SEEN, USED_HERE, Trust, entry_of, judge, trust_of
from einlass_edge.database import Database

SUM_LENGTH = 16
# Whether this public key signed the message: (public key, signature, message) -> bool.
check = checker(Ed25519PublicKey.from_public_bytes, (InvalidSignature, ValueError))

log = structlog.get_logger(__name__)


class SignedTickets:
    """judge() says who may be let in on a signature; what is let in is written down by recorded(), before the bolt.

    The keys are in the journal's file, so that they come and go with it. A row that is damaged counts as none: the
    controller tells it again.
    """

    def __init__(self, database: Database, listed: AllowList) -> None:
        self._database = database
        self._list = listed
        self._trust = Trust()
        self._number, self._sum = 0, ""
        self._pieces: dict[int, str] = {}
        self._coming: tuple[int, str, int] = (0, "", 0)
        self._judged: tuple[str, Claim] | None = None
        self._used: Claim | None = None
        database.write("CREATE TABLE IF NOT EXISTS trust (id INTEGER PRIMARY KEY CHECK (id = 1), line BLOB NOT NULL)")
        database.write("CREATE TABLE IF NOT EXISTS used (ticket INTEGER PRIMARY KEY)")
        for (line,) in database.rows("SELECT line FROM trust"):
            self._read(unframe(line))

    def status(self) -> dict[str, Any]:
        """What a status says: which keys and products are known here."""
        return {"number": self._number, "sum": self._sum}

    def judge(self, code: str, digest: str, unix_ms: int) -> int | str:
        """How many persons are let in on the signature, or the code of why nobody is. unix_ms 0: not known."""
        self._judged = None
        if not self._list.added:
            return NOT_HERE  # What was blocked or used comes with the list.
        try:
            found = judge(code, self._trust, unix_ms, self._seen(code), check)
        except OSError as error:
            log.error("signed_ticket_not_judged", error=str(error))
            return NOT_HERE
        if isinstance(found, str):
            return found
        self._judged = (digest, found)
        return found.persons

    def revoked(self, code: str) -> bool:
        """Whether the key of a signed code that is on the list was revoked since."""
        return bool(self._trust.ring) and judge(code, self._trust, 0, 0, check) == "revoked"

    def take(self, fields: dict[str, Any]) -> bool:
        """A `trust` message; True when it was the last piece, and all is on the disk. OSError when that fails."""
        number, mark, pieces = fields["number"], fields["sum"], fields["pieces"]
        if number < self._number or mark == self._sum or not 0 < pieces <= PIECES_MAX:
            return False
        if self._coming != (number, mark, pieces):
            self._coming, self._pieces = (number, mark, pieces), {}
        self._pieces[fields["piece"]] = fields["text"]
        if any(piece not in self._pieces for piece in range(pieces)):
            return False
        text = "".join(self._pieces[piece] for piece in range(pieces))
        self._coming, self._pieces = (0, "", 0), {}
        if sum_of(text) != mark:
            log.warning("trust_not_taken", hint="its pieces do not belong together; it is told again")
            return False
        try:
            told = trust_of(text)
        except ValueError as error:
            log.error("trust_not_taken", error=str(error))
            return False
        told.keep_revoked(self._trust)
        line = json.dumps({"number": number, "sum": mark, "text": told.as_text()})
        self._database.write("INSERT OR REPLACE INTO trust VALUES (1, ?)", (frame(line),))
        self._trust, self._number, self._sum = told, number, mark
        log.info("keys_taken", number=number, keys=len(told.ring), products=len(told.alone))
        return True

    def recorded(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Call it before each record: the fields with what the controller needs to know of a ticket it never saw.

        Who is let in on a signature is not let in here again, also after a restart; unless nobody went through.
        OSError: it cannot be kept, so the record must not be either.
        """
        if fields.get("side") == EXIT:
            return fields
        if kind == "released":
            self._used = None
            if self._judged is None or fields.get("digest") != self._judged[0]:
                return fields
            claim = self._judged[1]
            self._database.write("INSERT OR REPLACE INTO used VALUES (?)", (number_of(claim.ticket),))
            self._used = claim
            return {**fields, "signed": said_of(claim)}
        if kind in ("unused", "given_up", "passed") and self._used is not None:
            if kind != "passed":
                self._database.write("DELETE FROM used WHERE ticket = ?", (number_of(self._used.ticket),))
            self._used = None
        return fields

    def tidy(self) -> None:
        """Forget what the controller knows by now: the list says it. OSError when the disk does not take it."""
        for (ticket,) in list(self._database.rows("SELECT ticket FROM used")):
            if self._list.persons(f"{ticket:016x}") >= SEEN:
                self._database.write("DELETE FROM used WHERE ticket = ?", (ticket,))

    def _seen(self, code: str) -> int:
        try:
            ticket = parse(code).claim.ticket
        except SignedError:
            return 0
        if list(self._database.rows("SELECT ticket FROM used WHERE ticket = ?", (number_of(ticket),))):
            return SEEN + USED_HERE
        return self._list.persons(entry_of(ticket))

    def _read(self, text: str | None) -> None:
        try:
            kept = json.loads(text or "")
            self._trust, self._number, self._sum = trust_of(kept["text"]), int(kept["number"]), str(kept["sum"])
        except (ValueError, KeyError, TypeError) as error:
            log.error("trust_damaged", error=str(error), hint="the controller tells it again")


def said_of(claim: Claim) -> dict[str, Any]:
    """A claim as a record has it: all but the signature, since a code that opens something is kept nowhere."""
    return {
        "key": claim.key,
        "ticket": claim.ticket,
        "product": claim.product,
        "zone": claim.zone,
        "persons": claim.persons,
        "from": claim.valid_from_ms or 0,
        "until": claim.valid_until_ms or 0,
    }


def sum_of(text: str) -> str:
    """What tells one text from another."""
    return hashlib.sha256(text.encode()).hexdigest()[:SUM_LENGTH]
