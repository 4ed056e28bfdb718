"""Answers of the tariff's rules as JSON values: the same for the command line, the API and the pages."""

from itertools import pairwise
from typing import Any

from einlass_tariff.book import Book
from einlass_tariff.buy import Bought
from einlass_tariff.compare import CHANGES_CENTS, Comparison, Group
from einlass_tariff.problems import TariffError
from einlass_tariff.result import Fee, Line
from einlass_tariff.words import DAYS_EN


def fee_json(book: Book, found: Fee) -> dict[str, Any]:
    """An answer as JSON. fee_cents: to be paid now; total_cents: before what was paid already."""
    return {
        "fee_cents": found.due_cents,
        "vouchers_used": found.vouchers_used,
        "lines": [line_json(book, line) for line in found.lines],
        "total_cents": found.fee_cents,
        "paid_cents": found.paid_cents,
        "vouchers": [
            {"number": use.number + 1, "kind": use.card.kind, "worth": use.card.value, "used": use.used}
            | {"ask_first": use.is_partial}
            for use in found.uses
        ],
        "over_max_stay_s": found.over_max_stay_s,
        "hints": [{"de": german, "en": english} for german, english in found.hints],
        "inputs": {
            "from": book.days.local(found.stay.entry_s).isoformat(),
            "to": book.days.local(found.stay.exit_s).isoformat(),
            "pass": found.stay.pass_name,
            "ticket": found.stay.ticket,
            "cards": [{"kind": card.kind, "worth": card.value} for card in found.stay.cards],
            "payments": [{"cents": one.cents, "at_s": one.at_s} for one in found.stay.payments],
            "lost_ticket": found.stay.is_lost,
            "free_spans": [list(span) for span in found.stay.free_spans],
            "holidays": dict(found.holidays),
        },
        "versions": [
            {"tariff": one.tariff, "valid_from": one.valid_from, "digest": one.digest} for one in found.versions
        ],
    }


def line_json(book: Book, line: Line) -> dict[str, Any]:
    """One line of an account."""
    made: dict[str, Any] = {"kind": line.kind, "cents": line.cents, "de": line.words[0], "en": line.words[1]}
    if line.to_s > line.from_s:
        made["from"] = book.days.local(line.from_s).isoformat()
        made["to"] = book.days.local(line.to_s).isoformat()
    if line.unit_s:
        made |= {"count": line.count, "unit_s": line.unit_s, "unit_cents": line.unit_cents}
    return made


def bought_json(book: Book, found: Bought) -> dict[str, Any]:
    """How long an amount lasts."""
    return {
        "minutes": found.sold_s // 60,
        "seconds": found.paid_s,
        "until": book.days.local(found.until_s).isoformat(),
        "used_cents": found.used_cents,
        "rest_cents": found.rest_cents,
        "ticket": found.ticket,
        "stopped_by": found.stopped_by,
        "lines": [line_json(book, line) for line in found.fee.lines],
    }


def comparison_json(book: Book, found: Comparison) -> dict[str, Any]:
    """What a new version would have brought. Lists are complete; whoever shows them may shorten them."""

    def group(one: Group) -> dict[str, int]:
        return {
            "stays": one.stays,
            "old_cents": one.old_cents,
            "new_cents": one.new_cents,
            "difference_cents": one.new_cents - one.old_cents,
        }

    return {
        **group(found.all),
        "dearer": found.dearer,
        "cheaper": found.cheaper,
        "same": found.all.stays - found.dearer - found.cheaper,
        "by_length": {name: group(one) for name, one in sorted(found.by_minutes.items(), key=_by_length)},
        "by_weekday": {DAYS_EN[day].lower(): group(one) for day, one in sorted(found.by_weekday.items())},
        "by_change": [
            {"above_cents": lower, "to_cents": upper, "stays": found.by_change.get(number, 0)}
            for number, (lower, upper) in enumerate(_changes())
        ],
        "examples": [
            {
                "row": one.row,
                "old_cents": one.old_cents,
                "new_cents": one.new_cents,
                "from": book.days.local(one.stay.entry_s).isoformat(),
                "to": book.days.local(one.stay.exit_s).isoformat(),
                "vouchers": len(one.stay.cards),
                "pass": one.stay.pass_name,
            }
            for one in found.examples
        ],
        "skipped": [{"row": row, "reason": english, "reason_de": german} for row, (german, english) in found.skipped],
    }


def problems_json(error: TariffError) -> list[dict[str, Any]]:
    """All that is wrong with a text, with the lines it belongs to (0: the text as a whole)."""
    return [{"line": one.line, "path": one.path, "de": one.german, "en": one.message} for one in error.problems]


def _changes() -> list[tuple[int | None, int | None]]:
    """The groups of changes: above one amount, up to and with the other, in cents; None: without end."""
    edges = [None, *CHANGES_CENTS, None]
    return list(pairwise(edges))


def _by_length(item: tuple[str, Any]) -> tuple[bool, int]:
    name = item[0]
    return name.startswith("over"), int(name.partition("-")[0]) if name[0].isdigit() else 0
