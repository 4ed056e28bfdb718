"""What one field of a CSV line says, what may be wrong with it, and how it is written."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from einlass_controller.domain.decision import Text
from einlass_core import codes
from einlass_core.signed import TICKET_ID_LENGTH

REASON_LENGTH_MAX = 200
NUMBER_DIGITS_MAX = 9

# What a spreadsheet would take for a formula.
_FORMULA = tuple("=+-@\t\r")
_SHA256 = re.compile(r"[0-9a-f]{64}")

SECRET = "code"
COLUMNS = (
    "id",
    "code_sha256",
    "product",
    "zone",
    "persons",
    "status",
    "reason",
    "valid_from",
    "valid_until",
    "entries_max",
    "entries_used",
    "issued",
    "first_use",
    "last_use",
    "last_lane",
    "last_exit",
    "day",
    "entries_today",
    "slot",
    "company_of",
    "proof_until",
    "due_cents",
    "status_before",
    "replaces",
    "replaced_by",
    "signing_key",
)

FAULTS = {
    "no_utf8": Text("kein UTF-8", "not UTF-8"),
    "no_csv": Text("kein CSV: {detail}", "no CSV: {detail}"),
    "header": Text(
        "Spalte {detail} ist unbekannt oder doppelt; bekannt sind: code, " + ", ".join(COLUMNS),
        "column {detail} is unknown or there twice; known are: code, " + ", ".join(COLUMNS),
    ),
    "no_code": Text("weder code noch code_sha256 (genau eines)", "neither code nor code_sha256 (exactly one)"),
    "code": Text("code ist keiner: {detail}", "code is none: {detail}"),
    "sha256": Text("code_sha256 ist nicht 64 Hex-Ziffern", "code_sha256 is not 64 hex digits"),
    "id": Text("eine Kartennummer hat 12 Zeichen aus {detail}", "a ticket's id has 12 characters of {detail}"),
    "product": Text("product ist unbekannt; bekannt: {detail}", "product is not known; known are: {detail}"),
    "zone": Text("zone ist unbekannt; bekannt: {detail}", "zone is not known; known are: {detail}"),
    "status": Text("status ist unbekannt; bekannt: {detail}", "status is not known; known are: {detail}"),
    "number": Text("{detail} ist keine passende ganze Zahl", "{detail} is no whole number in its range"),
    "instant": Text(
        "{detail} ist kein Zeitpunkt mit Zeitzone wie 2026-05-01T09:00:00+02:00",
        "{detail} is no instant with an offset such as 2026-05-01T09:00:00+02:00",
    ),
    "window": Text("valid_from liegt nach valid_until", "valid_from is after valid_until"),
    "long": Text("{detail} ist zu lang oder hat Steuerzeichen", "{detail} is too long or has control characters"),
    "twice": Text("schon in Zeile {detail}", "already in line {detail}"),
    "slot": Text("slot: {detail} wird nur mit Zeitfenster verkauft", "slot: {detail} is sold for a time slot only"),
    "no_slots": Text("slot: {detail} hat keine Zeitfenster", "slot: {detail} has no time slots"),
    "company": Text("company_of: diese Karte gibt es nicht", "company_of: there is no such ticket"),
    "before": Text("status_before gehört nur zu blocked", "status_before belongs to blocked only"),
    "known": Text("diese Karte gibt es schon", "this ticket exists already"),
    "too_many": Text("mehr als {detail} Zeilen", "more than {detail} lines"),
    "empty": Text("keine Karten in der Datei", "no tickets in the file"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a line (1: the header)."""

    line: int
    reason: str
    detail: str = ""

    def words(self) -> Text:
        """In both languages."""
        text = FAULTS[self.reason]
        return Text(text.de.format(detail=self.detail), text.en.format(detail=self.detail))


class LineError(ValueError):
    """A field is not as it should be; reason: of FAULTS."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def proof_of(code: str, sha256: str) -> str:
    """The SHA-256 of the code, from whichever of the two is given. Raises LineError."""
    if bool(code) == bool(sha256):
        raise LineError("no_code")
    if sha256:
        if not _SHA256.fullmatch(sha256):
            raise LineError("sha256")
        return sha256
    try:
        plain = codes.read(code.encode())
    except codes.CodeError as error:
        raise LineError("code", error.reason) from error
    if plain.startswith(codes.SIGNED_PREFIX):
        raise LineError("code", "signed codes need no import")
    return hashlib.sha256(plain.encode()).hexdigest()


def one_of(name: str, values: dict[str, str], known: Iterable[str], default: str) -> str:
    """A known word; `default`, which must be one too, where there is none. Raises LineError."""
    value = values.get(name, "").strip()
    if (value or default) not in known:
        raise LineError(name, ", ".join(item for item in known if item))
    return value or default


def number_of(name: str, values: dict[str, str], least: int, most: int, default: int | None) -> int | None:
    """A whole number within bounds. Raises LineError."""
    value = values.get(name, "").strip()
    if value == "":
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= NUMBER_DIGITS_MAX and least <= int(value) <= most):
        raise LineError("number", name)
    return int(value)


def instant_of(name: str, values: dict[str, str]) -> int | None:
    """Unix milliseconds of an instant with an offset; None: nothing is said. Raises LineError."""
    value = values.get(name, "").strip()
    if value == "":
        return None
    try:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise LineError("instant", name)
        return round(instant.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise LineError("instant", name) from error


def words_of(name: str, values: dict[str, str]) -> str:
    """A short text. Raises LineError."""
    value = values.get(name, "").strip()
    if len(value) > REASON_LENGTH_MAX or not all(character.isprintable() for character in value):
        raise LineError("long", name)
    return value


def id_of(name: str, values: dict[str, str]) -> str:
    """A ticket's id; "": nothing is said. Raises LineError."""
    value = values.get(name, "").strip().upper()
    if value and (len(value) != TICKET_ID_LENGTH or not set(value) <= set(codes.ALPHABET)):
        raise LineError("id", codes.ALPHABET)
    return value


def guarded(value: str) -> str:
    """A spreadsheet must not compute what somebody wrote into a text."""
    return "'" + value if value.lstrip("'").startswith(_FORMULA) else value


def unguarded(value: str) -> str:
    """What guarded() was given."""
    return value[1:] if value.startswith("'") and value.lstrip("'").startswith(_FORMULA) else value


def iso(instant_ms: int | None) -> str:
    """An instant as it is written; None: nothing."""
    return (
        "" if instant_ms is None else datetime.fromtimestamp(instant_ms / 1000, UTC).isoformat(timespec="milliseconds")
    )
