"""Tickets as CSV, in and out (docs/api.md, "CSV"). All lines are read and checked before anything is stored."""

import csv
import hashlib
import io
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime
from typing import Any

from einlass_controller.domain.decision import Text
from einlass_controller.domain.signed import TICKET_ID_LENGTH
from einlass_controller.domain.tickets import ENTRIES, SINGLE, STATUSES, VALID, Ticket
from einlass_controller.issuing import new_id
from einlass_core import codes, wire

ROWS_MAX = 100_000
BYTES_MAX = 32 * 1024 * 1024
FAULTS_TOLD_MAX = 100
REASON_LENGTH_MAX = 200
ENTRIES_MAX = 1_000_000
ROWS_AT_ONCE = 250
# While this many lines are read the engine may have to wait; then it goes first.
_BREATH_ROWS = 25
_BREATH_S = 0.0002

# What a spreadsheet would take for a formula.
_FORMULA = tuple("=+-@\t\r")
_SHA256 = re.compile(r"[0-9a-f]{64}")

SECRET = "code"
UNLIMITED = "unlimited"
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
    "id": Text("id ist nicht 12 Zeichen aus {detail}", "id is not 12 characters of {detail}"),
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


@dataclass(slots=True)
class Batch:
    """What was read: tickets with their lines, or what is wrong (count: also of faults that are not kept).

    Kept as tuples of plain values, which the garbage collector need not look at: a hundred thousand objects more would
    stop every scan for a tenth of a second at each of its rounds.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    count: int = 0

    @property
    def tickets(self) -> list[Ticket]:
        """All of them."""
        return self.some(0, len(self.rows))

    def some(self, start: int, size: int) -> list[Ticket]:
        """At most `size` tickets from the one at `start` on."""
        return [Ticket(*row) for row in self.rows[start : start + size]]

    def blame(self, fault: Fault) -> None:
        """One more fault."""
        self.count += 1
        if len(self.faults) < FAULTS_TOLD_MAX:
            self.faults.append(fault)


class _LineError(ValueError):
    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def read(raw: bytes, import_id: str, zones: Iterable[str], now_ms: int) -> Batch:
    """All tickets of a file, or all that is wrong with it."""
    found = Batch()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found.blame(Fault(raw.count(b"\n", 0, error.start) + 1, "no_utf8"))
        return found
    head = text.partition("\n")[0]
    # Spreadsheets of German offices separate with semicolons.
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",")
    line = 1
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        wrong = [name for name in names if name not in (SECRET, *COLUMNS) or names.count(name) > 1]
        if wrong or not names:
            found.blame(Fault(1, "header", repr(wrong[0][:40]) if wrong else "''"))
            return found
        reader = _Reader(found, import_id, sorted(zones), now_ms)
        line = rows.line_num + 1
        for number, values in enumerate(rows):
            if number % _BREATH_ROWS == 0:
                time.sleep(_BREATH_S)
            if number >= ROWS_MAX:
                found.blame(Fault(line, "too_many", str(ROWS_MAX)))
                break
            if any(value.strip() for value in values):
                reader.take(line, dict(zip(names, map(_unguarded, values), strict=False)), len(values) > len(names))
            line = rows.line_num + 1
    except csv.Error as error:
        found.blame(Fault(line, "no_csv", str(error)))
    if not found.rows and not found.count:
        found.blame(Fault(1, "empty"))
    return found


class _Reader:
    def __init__(self, found: Batch, import_id: str, zones: list[str], now_ms: int) -> None:
        self._found = found
        self._import_id = import_id
        self._zones = zones
        self._now_ms = now_ms
        self._seen: dict[str, int] = {}

    def take(self, line: int, values: dict[str, str], too_wide: bool) -> None:
        try:
            if too_wide:
                raise _LineError("no_csv", "more fields than the header has names")
            ticket = self._ticket(values)
            for name in (ticket.id, ticket.digest):
                before = self._seen.setdefault(name, line)
                if before != line:
                    raise _LineError("twice", str(before))
        except _LineError as error:
            self._found.blame(Fault(line, error.reason, error.detail))
            return
        self._found.rows.append(astuple(ticket))
        self._found.lines.append(line)

    def _ticket(self, values: dict[str, str]) -> Ticket:
        sha256 = _proof(values.get(SECRET, "").strip(), values.get("code_sha256", "").strip().lower())
        name = values.get("id", "").strip().upper()
        if name and (len(name) != TICKET_ID_LENGTH or not set(name) <= set(codes.ALPHABET)):
            raise _LineError("id", codes.ALPHABET)
        product = _one_of("product", values, ENTRIES, SINGLE)
        unlimited = values.get("entries_max", "").strip() == UNLIMITED
        first_ms, last_ms = _instant("valid_from", values), _instant("valid_until", values)
        if first_ms is not None and last_ms is not None and first_ms > last_ms:
            raise _LineError("window")
        issued_ms = _instant("issued", values)
        return Ticket(
            id=name or new_id(),
            digest=sha256[: 2 * codes.DIGEST_BYTES],
            code_sha256=sha256,
            product=product,
            zone=_one_of("zone", values, ("", *self._zones), ""),
            persons=_number("persons", values, 1, wire.PERSONS_MAX, 1) or 1,
            status=_one_of("status", values, STATUSES, VALID),
            valid_from_ms=first_ms,
            valid_until_ms=last_ms,
            entries_max=None if unlimited else _number("entries_max", values, 0, ENTRIES_MAX, ENTRIES[product]),
            entries_used=_number("entries_used", values, 0, ENTRIES_MAX, 0) or 0,
            issued_ms=self._now_ms if issued_ms is None else issued_ms,
            first_use_ms=_instant("first_use", values),
            last_use_ms=_instant("last_use", values),
            last_lane=_words("last_lane", values),
            import_id=self._import_id,
            reason=_words("reason", values),
        )


def _proof(code: str, sha256: str) -> str:
    if bool(code) == bool(sha256):
        raise _LineError("no_code")
    if sha256:
        if not _SHA256.fullmatch(sha256):
            raise _LineError("sha256")
        return sha256
    try:
        plain = codes.read(code.encode())
    except codes.CodeError as error:
        raise _LineError("code", error.reason) from error
    if plain.startswith(codes.SIGNED_PREFIX):
        raise _LineError("code", "signed codes need no import")
    return hashlib.sha256(plain.encode()).hexdigest()


def _one_of(name: str, values: dict[str, str], known: Iterable[str], default: str) -> str:
    value = values.get(name, "").strip()
    if value == "":
        return default
    if value not in known:
        raise _LineError(name, ", ".join(item for item in known if item))
    return value


def _number(name: str, values: dict[str, str], least: int, most: int, default: int | None) -> int | None:
    value = values.get(name, "").strip()
    if value == "":
        return default
    if not (value.isascii() and value.isdigit() and len(value) < 10 and least <= int(value) <= most):
        raise _LineError("number", name)
    return int(value)


def _instant(name: str, values: dict[str, str]) -> int | None:
    value = values.get(name, "").strip()
    if value == "":
        return None
    try:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise _LineError("instant", name)
        return round(instant.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise _LineError("instant", name) from error


def _words(name: str, values: dict[str, str]) -> str:
    value = values.get(name, "").strip()
    if len(value) > REASON_LENGTH_MAX or not all(character.isprintable() for character in value):
        raise _LineError("long", name)
    return value


def write(tickets: Iterable[Ticket]) -> Iterator[str]:
    """CSV in pieces, the header first. Codes are not in it: nobody has them."""
    yield _line(COLUMNS)
    for ticket in tickets:
        yield _line(
            (
                ticket.id,
                ticket.code_sha256,
                ticket.product,
                ticket.zone,
                str(ticket.persons),
                ticket.status,
                ticket.reason,
                _iso(ticket.valid_from_ms),
                _iso(ticket.valid_until_ms),
                UNLIMITED if ticket.entries_max is None else str(ticket.entries_max),
                str(ticket.entries_used),
                _iso(ticket.issued_ms),
                _iso(ticket.first_use_ms),
                _iso(ticket.last_use_ms),
                ticket.last_lane,
            )
        )


def _line(values: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([_guarded(value) for value in values])
    return out.getvalue()


def _guarded(value: str) -> str:
    """A spreadsheet must not compute what somebody wrote into a text."""
    return "'" + value if value.lstrip("'").startswith(_FORMULA) else value


def _unguarded(value: str) -> str:
    return value[1:] if value.startswith("'") and value.lstrip("'").startswith(_FORMULA) else value


def _iso(instant_ms: int | None) -> str:
    return (
        "" if instant_ms is None else datetime.fromtimestamp(instant_ms / 1000, UTC).isoformat(timespec="milliseconds")
    )
