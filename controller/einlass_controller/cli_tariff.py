"""`einlass tariff`: check a tariff, try a stay, buy time, compare two versions."""

import json
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import typer

from einlass_controller.tariff_answers import bought_json, comparison_json, fee_json
from einlass_controller.tariff_cases import failures
from einlass_controller.tariff_invented import DAYS, SEED_MAX, invented_csv
from einlass_controller.tariff_stays import Rows
from einlass_controller.tariffs import cases_path, instant_of, load_book
from einlass_tariff.book import Book
from einlass_tariff.buy import buy
from einlass_tariff.compare import Comparison, compare
from einlass_tariff.describe import describe
from einlass_tariff.fee import fee
from einlass_tariff.lines import duration, money
from einlass_tariff.problems import StayError, TariffError
from einlass_tariff.result import (
    CARDS_MAX,
    CENTS_CARD,
    MINUTES_CARD,
    PERCENT_CARD,
    Card,
    Fee,
    Payment,
    Stay,
)

EXIT_BAD_TARIFF = 1
EXIT_BAD_QUESTION = 2

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
        cards = [Card(MINUTES_CARD, minutes)] * min(vouchers, CARDS_MAX + 1)  # one too many is refused with its reason
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
        typer.echo(json.dumps(bought_json(book, found), ensure_ascii=False))
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
    stays: Annotated[
        Path | None, typer.Option(help="CSV with a heading: entry, exit, and if known vouchers and pass.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--invented", min=0, max=SEED_MAX, help="Without --stays: the seed of them.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """What a new version would have brought, against stays that were; or against invented ones, which it says."""
    try:
        file = old
        old_book = load_book([old])
        file = new
        new_book = load_book([new])
        first = new_book.versions[-1].valid_from.date()
        found = _invented(old_book, new_book, seed, first) if stays is None else _compare(old_book, new_book, stays)
    except (TariffError, StayError) as error:
        raise _stop(error, [file], as_json) from error
    said = comparison_json(old_book, found)
    if stays is None:
        said["invented"] = {"seed": seed, "from": first.isoformat(), "days": DAYS}
    if as_json:
        typer.echo(json.dumps(said, ensure_ascii=False))
        return
    if stays is None:
        typer.echo(f"INVENTED stays (seed {seed}, {DAYS} days from {first}): for your own give --stays FILE.")
    _print_comparison(said)
    if not said["stays"] and not said["skipped"]:
        typer.echo("  there is no stay in the file; without --stays invented ones are taken", err=True)


def _invented(old: Book, new: Book, seed: int, first: date) -> Comparison:
    rows = Rows(StringIO(invented_csv(seed, first), newline=""), old, "invented")
    return compare(old, new, rows)


def _compare(old: Book, new: Book, path: Path) -> Comparison:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = Rows(file, old, str(path))
            found = compare(old, new, rows)
    except (OSError, UnicodeDecodeError) as error:
        raise StayError(f"{path} can't be read: {error}", f"{path} ist nicht lesbar: {error}") from error
    found.skipped = sorted(found.skipped + rows.bad)
    return found


def _print_comparison(said: dict[str, Any]) -> None:
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
