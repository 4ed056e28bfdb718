"""`einlass tariff`: check a tariff, try a stay, buy time, compare two versions."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from einlass_controller.domain.tariff.book import Book
from einlass_controller.domain.tariff.buy import Bought, buy
from einlass_controller.domain.tariff.compare import Comparison, compare
from einlass_controller.domain.tariff.describe import describe
from einlass_controller.domain.tariff.fee import fee
from einlass_controller.domain.tariff.lines import duration, money
from einlass_controller.domain.tariff.problems import StayError, TariffError
from einlass_controller.domain.tariff.result import (
    CENTS_CARD,
    MINUTES_CARD,
    PERCENT_CARD,
    Card,
    Fee,
    Line,
    Payment,
    Stay,
)
from einlass_controller.domain.tariff.words import DAYS_EN
from einlass_controller.tariff_cases import failures
from einlass_controller.tariffs import cases_path, instant_of, load_book

EXIT_BAD_TARIFF = 1
EXIT_BAD_QUESTION = 2
ROWS_MAX = 2_000_000

tariff = typer.Typer(help="Parking tariffs: check, try, buy time, compare.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(help="The tariff; more files are more versions of it.")]
File = Annotated[Path, typer.Argument(help="The tariff, TOML or JSON.")]
From = Annotated[str, typer.Option("--from", help="Entry: 2026-05-12T10:00, local, or with an offset.")]
To = Annotated[str, typer.Option("--to", help="Exit.")]
Pass = Annotated[str, typer.Option("--pass", help="The pass that the driver holds.")]
Ticket = Annotated[str, typer.Option("--ticket", help="The ticket that was bought (day ticket and the like).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
German = Annotated[bool, typer.Option("--german", help="Words in German.")]


@tariff.command("try")
def try_command(
    files: Files,
    from_text: From,
    to_text: To,
    vouchers: Annotated[int, typer.Option(min=0, help="So many of the tariff's own cards.")] = 0,
    voucher_minutes: Annotated[list[int] | None, typer.Option(help="A card worth so many minutes; may repeat.")] = None,
    voucher_cents: Annotated[list[int] | None, typer.Option(help="A card worth so many cents; may repeat.")] = None,
    voucher_percent: Annotated[list[int] | None, typer.Option(help="A card worth so many percent; may repeat.")] = None,
    paid: Annotated[int | None, typer.Option(min=0, help="Cents that were paid before.")] = None,
    paid_at: Annotated[str, typer.Option(help="When they were paid; grace runs from then.")] = "",
    pass_name: Pass = "",
    ticket: Ticket = "",
    lost: Annotated[bool, typer.Option("--lost", help="The entry ticket is lost.")] = False,
    public_code: Annotated[bool, typer.Option("--public-code", help="A public code makes the stay free.")] = False,
    as_json: AsJson = False,
    german: German = False,
) -> None:
    """What a stay costs, line by line. With --paid: what is to be paid now."""
    try:
        book = load_book(files)
        entry_s, exit_s = instant_of(from_text, book.days), instant_of(to_text, book.days)
        minutes = book.table(0, "").tariff.voucher.seconds // 60
        cards = [Card(MINUTES_CARD, minutes)] * vouchers
        cards += [Card(MINUTES_CARD, value) for value in voucher_minutes or ()]
        cards += [Card(CENTS_CARD, value) for value in voucher_cents or ()]
        cards += [Card(PERCENT_CARD, value) for value in voucher_percent or ()]
        payments = (Payment(paid, instant_of(paid_at, book.days) if paid_at else None),) if paid is not None else ()
        spans = ((entry_s, exit_s),) if public_code else ()
        found = fee(book, Stay(entry_s, exit_s, tuple(cards), pass_name, ticket, lost, spans, payments))
    except (TariffError, StayError) as error:
        raise _stop(error, files, as_json) from error
    if as_json:
        typer.echo(json.dumps(fee_json(book, found), ensure_ascii=False))
        return
    _print_lines(found, german)


@tariff.command("buy")
def buy_command(
    files: Files,
    from_text: From,
    cents: Annotated[int, typer.Option(min=0, help="Money paid in.")],
    pass_name: Pass = "",
    ticket: Ticket = "",
    as_json: AsJson = False,
    german: German = False,
) -> None:
    """How long an amount of money lasts: pay and display."""
    try:
        book = load_book(files)
        entry_s = instant_of(from_text, book.days)
        found = buy(book, Stay(entry_s, entry_s, pass_name=pass_name, ticket=ticket), cents)
    except (TariffError, StayError) as error:
        raise _stop(error, files, as_json) from error
    if as_json:
        typer.echo(json.dumps(_bought_json(book, found), ensure_ascii=False))
        return
    until = book.days.local(found.until_s)
    typer.echo(f"{duration(found.sold_s)}, until {until:%a %Y-%m-%d %H:%M}; uses {money(found.used_cents, 'en')}")
    if found.rest_cents:
        typer.echo(f"{money(found.rest_cents, 'en')} buys nothing more ({found.stopped_by or 'too little for a step'})")
    _print_lines(found.fee, german)


@tariff.command("check")
def check_command(files: Files, as_json: AsJson = False, german: German = False) -> None:
    """What is wrong with a tariff, or what it means in words; runs the cases in NAME.cases.toml beside it."""
    for path in files:
        try:
            book = load_book([path])
            wrong = failures(book, cases_path(path))
        except (TariffError, StayError) as error:
            raise _stop(error, [path], as_json) from error
        version = book.versions[0]
        if as_json:
            words = {language: describe(version, language) for language in ("de", "en")}
            said = {"file": str(path), "ok": not wrong, "tariff": version.name, "failures": wrong, "words": words}
            typer.echo(json.dumps(said, ensure_ascii=False))
        else:
            for line in describe(version, "de" if german else "en"):
                typer.echo(line)
            for text in wrong:
                typer.echo(f"case {text}", err=True)
            if not wrong:
                counted = "its golden cases pass" if cases_path(path).exists() else "no golden cases beside it"
                typer.echo(f"{path}: a tariff; {counted}")
        if wrong:
            raise typer.Exit(EXIT_BAD_TARIFF)


@tariff.command("compare")
def compare_command(
    old: File,
    new: Annotated[Path, typer.Argument(help="The new version.")],
    stays: Annotated[Path, typer.Option(help="CSV with a heading: entry, exit, and if known vouchers and pass.")],
    as_json: AsJson = False,
) -> None:
    """What a new version would have brought, against stays that were."""
    try:
        old_book, new_book = load_book([old]), load_book([new])
        rows = _Rows(stays, old_book)
        found = compare(old_book, new_book, rows)
    except (TariffError, StayError) as error:
        raise _stop(error, [old, new], as_json) from error
    found.skipped = sorted(found.skipped + rows.bad)
    if as_json:
        typer.echo(json.dumps(_comparison_json(found)))
        return
    _print_comparison(found)


class _Rows:
    """Stays of a CSV file; a row that is none is kept with its reason."""

    def __init__(self, path: Path, book: Book) -> None:
        self._path = path
        self._book = book
        self.bad: list[tuple[int, str]] = []

    def __iter__(self) -> Iterator[tuple[int, Stay]]:
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                head = file.readline()
                file.seek(0)
                reader = csv.DictReader(file, delimiter=";" if ";" in head else ",")
                names = [name.strip().lower() for name in reader.fieldnames or ()]
                if "entry" not in names or "exit" not in names:
                    raise StayError(f"{self._path}: the first row must name entry and exit; it has {', '.join(names)}")
                reader.fieldnames = names
                for row in reader:
                    if reader.line_num > ROWS_MAX:
                        raise StayError(f"{self._path} has more than {ROWS_MAX} rows; split it")
                    try:
                        yield reader.line_num, self._stay(row)
                    except (StayError, ValueError) as error:
                        self.bad.append((reader.line_num, str(error)))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise StayError(f"{self._path} can't be read: {error}") from error

    def _stay(self, row: dict[str, Any]) -> Stay:
        entry, leave = (instant_of(row.get(name) or "", self._book.days) for name in ("entry", "exit"))
        given = (row.get("vouchers") or "0").strip()
        if not given.isdigit():
            raise StayError(f"vouchers must be a number, not {given!r}")
        minutes = self._book.versions[0].voucher.seconds // 60
        cards = (Card(MINUTES_CARD, minutes),) * min(int(given), 1000)
        return Stay(entry, leave, cards, (row.get("pass") or "").strip())


def fee_json(book: Book, found: Fee) -> dict[str, Any]:
    """An answer as JSON. fee_cents: to be paid now; total_cents: before what was paid already."""
    return {
        "fee_cents": found.due_cents,
        "vouchers_used": found.vouchers_used,
        "lines": [_line_json(book, line) for line in found.lines],
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


def _line_json(book: Book, line: Line) -> dict[str, Any]:
    made: dict[str, Any] = {"kind": line.kind, "cents": line.cents, "de": line.words[0], "en": line.words[1]}
    if line.to_s > line.from_s:
        made["from"] = book.days.local(line.from_s).isoformat()
        made["to"] = book.days.local(line.to_s).isoformat()
    if line.unit_s:
        made |= {"count": line.count, "unit_s": line.unit_s, "unit_cents": line.unit_cents}
    return made


def _bought_json(book: Book, found: Bought) -> dict[str, Any]:
    return {
        "minutes": found.sold_s // 60,
        "seconds": found.paid_s,
        "until": book.days.local(found.until_s).isoformat(),
        "used_cents": found.used_cents,
        "rest_cents": found.rest_cents,
        "ticket": found.ticket,
        "stopped_by": found.stopped_by,
        "lines": [_line_json(book, line) for line in found.fee.lines],
    }


def _comparison_json(found: Comparison) -> dict[str, Any]:
    def group(one: Any) -> dict[str, int]:
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
        "examples": [{"row": row, "old_cents": before, "new_cents": after} for row, before, after in found.examples],
        "skipped": [{"row": row, "reason": reason} for row, reason in found.skipped],
    }


def _by_length(item: tuple[str, Any]) -> tuple[bool, int]:
    name = item[0]
    return name.startswith("over"), int(name.partition("-")[0]) if name[0].isdigit() else 0


def _print_comparison(found: Comparison) -> None:
    said = _comparison_json(found)
    typer.echo(f"{said['stays']} stays: {said['dearer']} dearer, {said['cheaper']} cheaper, {said['same']} the same")
    for name, group in [("all", said), *said["by_length"].items(), *said["by_weekday"].items()]:
        old, new, more = (money(group[key], "en") for key in ("old_cents", "new_cents", "difference_cents"))
        typer.echo(f"  {name:14} {group['stays']:7} stays  {old:>14} -> {new:>14}  ({more})")
    for one in said["examples"]:
        typer.echo(f"  row {one['row']}: {money(one['old_cents'], 'en')} -> {money(one['new_cents'], 'en')}")
    for one in said["skipped"][:20]:
        typer.echo(f"  row {one['row']} left out: {one['reason']}", err=True)
    if len(said["skipped"]) > 20:
        typer.echo(f"  and {len(said['skipped']) - 20} more rows left out (all of them with --json)", err=True)


def _print_lines(found: Fee, german: bool) -> None:
    language = "de" if german else "en"
    for line in found.lines:
        typer.echo(f"{money(line.cents, language):>12}  {line.words[0 if german else 1]}")
    typer.echo(f"{money(found.due_cents, language):>12}  {'zu zahlen' if german else 'to pay'}")
    for hint in found.hints:
        typer.echo(f"{'':12}  {hint[0 if german else 1]}")
    if found.over_max_stay_s:
        over = duration(found.over_max_stay_s)
        text = f"{over} länger als die Höchstparkdauer" if german else f"{over} longer than the longest stay allowed"
        typer.echo(f"{'':12}  {text}")


def _stop(error: TariffError | StayError, files: list[Path], as_json: bool) -> typer.Exit:
    if isinstance(error, StayError):
        texts, status = [str(error)], EXIT_BAD_QUESTION
    else:
        texts, status = [str(problem) for problem in error.problems], EXIT_BAD_TARIFF
    name = files[0].name if len(files) == 1 else ""
    if as_json:
        typer.echo(json.dumps({"error": texts, "file": name}, ensure_ascii=False))
    for text in texts:
        typer.echo(f"error: {name + ', ' if name and status == EXIT_BAD_TARIFF else ''}{text}", err=True)
    return typer.Exit(status)
