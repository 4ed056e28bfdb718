"""`einlass ledger`: verify, export, replay. They only read, also while the controller runs."""

# Only what every command needs is imported here: `einlass --help` must not wait for a web server and an ORM.
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from einlass_controller.settings import SETTINGS_FILE, SettingsError, read_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from einlass_controller.domain.ledger import Entry

ledger = typer.Typer(help="The record of every decision and passage.", no_args_is_help=True)

Directory = Annotated[Path, typer.Option("--dir", help="The directory that the set-up made.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON last.")]
File = Annotated[Path | None, typer.Option("--file", help="Read an export instead of the database's own ledger.")]


@ledger.command("verify")
def verify_command(
    directory: Annotated[Path | None, typer.Option("--dir", help="The directory that the set-up made.")] = None,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Recompute every hash of the ledger; exit status 1 and the place when one does not match."""
    from einlass_controller.domain.ledger import verify

    if file is not None:  # whoever was given an export needs nothing else
        count, last, broken = verify(_from_file(file))
    elif directory is not None:
        with _opened(directory) as connection:
            count, last, broken = verify(_entries(connection, None))
    else:
        typer.echo("error: say --dir DIRECTORY of a site, or --file EXPORT", err=True)
        raise typer.Exit(2)
    if broken is None:
        typer.echo(f"the ledger holds: {count} entries, the last is {last}")
    else:
        typer.echo(f"the ledger is broken at entry {broken.number}: {broken.reason}", err=True)
    if as_json:
        reason = None if broken is None else broken.reason
        typer.echo(json.dumps({"ok": broken is None, "entries": count, "last_hash": last, "broken": reason}))
    if broken is not None:
        raise typer.Exit(1)


@ledger.command("export")
def export_command(
    directory: Directory,
    out: Annotated[Path | None, typer.Option(help="Where to; default: standard output.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Only entries after this number.")] = 0,
) -> None:
    """Write the ledger as JSON lines: number, at_ms, kind, body, hash."""
    target = sys.stdout if out is None else out.open("w", encoding="utf-8")
    try:
        with _opened(directory) as connection:
            for entry in _entries(connection, None, after):
                values = {"number": entry.number, "at_ms": entry.at_ms, "kind": entry.kind}
                target.write(json.dumps(values | {"body": json.loads(entry.body), "hash": entry.hash}) + "\n")
    finally:
        if out is not None:
            target.close()


@ledger.command("replay")
def replay_command(directory: Directory, file: File = None) -> None:
    """Rebuild counts and tickets from the ledger alone and compare them with the tables; prints JSON.

    Exit status 1 when they differ, or when the ledger does not hold.
    """
    from einlass_controller.live import load
    from einlass_controller.store.replaying import compare

    with _opened(directory) as connection:
        found = compare(connection, _entries(connection, file), load(connection))
    typer.echo(json.dumps(found))
    if not found["ok"]:
        raise typer.Exit(1)


def _entries(connection: "Connection", file: Path | None, after: int = 0) -> "Iterator[Entry]":
    from einlass_controller.store.reading import ledger_entries

    return ledger_entries(connection, after) if file is None else _from_file(file)


def _from_file(file: Path) -> "Iterator[Entry]":
    from einlass_controller.domain.ledger import Entry, canonical

    number = 0
    try:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                number += 1
                said: dict[str, Any] = json.loads(line)
                yield Entry(said["number"], said["at_ms"], said["kind"], canonical(said["body"]), said["hash"])
    except (ValueError, KeyError, TypeError) as error:
        typer.echo(f"error: {file}:{number}: no line of a ledger: {error}", err=True)
        raise typer.Exit(2) from error
    except OSError as error:
        typer.echo(f"error: {file}: {error.strerror}", err=True)
        raise typer.Exit(2) from error


@contextmanager
def _opened(directory: Path) -> "Iterator[Connection]":
    from einlass_controller.live import NotSetUpError
    from einlass_controller.store.database import DatabaseError, open_database
    from einlass_controller.store.reading import one_moment

    try:
        database = open_database(read_settings(directory / SETTINGS_FILE).database_url)
        with one_moment(database) as connection:
            yield connection
        database.dispose()
    except (SettingsError, DatabaseError, NotSetUpError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
