"""Tickets as CSV, in and out (docs/api.md, "CSV"). All lines are read and checked before anything is stored."""

import csv
import io
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

from einlass_controller.cells import (
    COLUMNS,
    SECRET,
    Fault,
    LineError,
    guarded,
    id_of,
    instant_of,
    iso,
    number_of,
    one_of,
    proof_of,
    unguarded,
    words_of,
)
from einlass_controller.domain.catalogue import Product
from einlass_controller.domain.life import BLOCKED, UNPAID
from einlass_controller.domain.tickets import SINGLE, STATUSES, VALID, Ticket
from einlass_controller.issuing import new_id
from einlass_core import codes, wire

ROWS_MAX = 100_000
BYTES_MAX = 32 * 1024 * 1024
FAULTS_TOLD_MAX = 100
ENTRIES_MAX = 1_000_000
CENTS_MAX = 10_000_000
KEY_NUMBER_MAX = 1_000_000
ROWS_AT_ONCE = 250
# While this many lines are read the engine may have to wait; then it goes first.
_BREATH_ROWS = 25
_BREATH_S = 0.0002

UNLIMITED = "unlimited"


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


def read(raw: bytes, import_id: str, zones: Iterable[str], products: Mapping[str, Product], now_ms: int) -> Batch:
    """All tickets of a file, or all that is wrong with it. products: of the rules that hold now."""
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
        reader = _Reader(found, import_id, sorted(zones), products, now_ms)
        line = rows.line_num + 1
        for number, values in enumerate(rows):
            if number % _BREATH_ROWS == 0:
                time.sleep(_BREATH_S)
            if number >= ROWS_MAX:
                found.blame(Fault(line, "too_many", str(ROWS_MAX)))
                break
            if any(value.strip() for value in values):
                reader.take(line, dict(zip(names, map(unguarded, values), strict=False)), len(values) > len(names))
            line = rows.line_num + 1
    except csv.Error as error:
        found.blame(Fault(line, "no_csv", str(error)))
    if not found.rows and not found.count:
        found.blame(Fault(1, "empty"))
    return found


class _Reader:
    def __init__(
        self, found: Batch, import_id: str, zones: list[str], products: Mapping[str, Product], now_ms: int
    ) -> None:
        self._found = found
        self._import_id = import_id
        self._zones = zones
        self._products = products
        self._now_ms = now_ms
        self._seen: dict[str, int] = {}

    def take(self, line: int, values: dict[str, str], too_wide: bool) -> None:
        try:
            if too_wide:
                raise LineError("no_csv", "more fields than the header has names")
            ticket = self._ticket(values)
            for name in (ticket.id, ticket.digest):
                before = self._seen.setdefault(name, line)
                if before != line:
                    raise LineError("twice", str(before))
        except LineError as error:
            self._found.blame(Fault(line, error.reason, error.detail))
            return
        self._found.rows.append(astuple(ticket))
        self._found.lines.append(line)

    def _ticket(self, values: dict[str, str]) -> Ticket:
        sha256 = proof_of(values.get(SECRET, "").strip(), values.get("code_sha256", "").strip().lower())
        name = id_of("id", values) or new_id()
        product = self._products[one_of("product", values, self._products, SINGLE)]
        unlimited = values.get("entries_max", "").strip() == UNLIMITED
        first_ms, last_ms = instant_of("valid_from", values), instant_of("valid_until", values)
        if first_ms is not None and last_ms is not None and first_ms > last_ms:
            raise LineError("window")
        slot_ms, issued_ms = instant_of("slot", values), instant_of("issued", values)
        if (slot_ms is None) != (product.slots is None):
            raise LineError("slot" if slot_ms is None else "no_slots", product.id)
        status = one_of("status", values, STATUSES, VALID)
        before = values.get("status_before", "").strip()
        if before and (status != BLOCKED or before not in (VALID, UNPAID)):
            raise LineError("before")
        return Ticket(
            id=name,
            digest=sha256[: 2 * codes.DIGEST_BYTES],
            code_sha256=sha256,
            product=product.id,
            zone=one_of("zone", values, ("", *self._zones), ""),
            persons=number_of("persons", values, 1, wire.PERSONS_MAX, None) or product.persons,
            status=status,
            valid_from_ms=first_ms,
            valid_until_ms=last_ms,
            entries_max=None if unlimited else number_of("entries_max", values, 0, ENTRIES_MAX, product.entries),
            entries_used=number_of("entries_used", values, 0, ENTRIES_MAX, 0) or 0,
            issued_ms=self._now_ms if issued_ms is None else issued_ms,
            first_use_ms=instant_of("first_use", values),
            last_use_ms=instant_of("last_use", values),
            last_lane=words_of("last_lane", values),
            key_id=number_of("signing_key", values, 0, KEY_NUMBER_MAX, 0) or 0,
            import_id=self._import_id,
            reason=words_of("reason", values),
            status_before=before,
            replaces=id_of("replaces", values),
            replaced_by=id_of("replaced_by", values),
            last_exit_ms=instant_of("last_exit", values),
            day_ms=instant_of("day", values) or 0,
            entries_today=number_of("entries_today", values, 0, ENTRIES_MAX, 0) or 0,
            slot_ms=slot_ms,
            company_of=id_of("company_of", values),
            proof_until_ms=instant_of("proof_until", values) or 0,
            due_cents=number_of("due_cents", values, 0, CENTS_MAX, 0) or 0,
        )


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
                iso(ticket.valid_from_ms),
                iso(ticket.valid_until_ms),
                UNLIMITED if ticket.entries_max is None else str(ticket.entries_max),
                str(ticket.entries_used),
                iso(ticket.issued_ms),
                iso(ticket.first_use_ms),
                iso(ticket.last_use_ms),
                ticket.last_lane,
                iso(ticket.last_exit_ms),
                iso(ticket.day_ms or None),
                str(ticket.entries_today),
                iso(ticket.slot_ms),
                ticket.company_of,
                iso(ticket.proof_until_ms or None),
                str(ticket.due_cents),
                ticket.status_before,
                ticket.replaces,
                ticket.replaced_by,
                str(ticket.key_id),
            )
        )


def _line(values: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([guarded(value) for value in values])
    return out.getvalue()
