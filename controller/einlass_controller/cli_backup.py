"""`einlass backup`, `einlass restore`, `einlass recount`."""

# Only what every command needs is imported here: `einlass --help` must not wait for a web server and an ORM.
import json
from pathlib import Path
from typing import Annotated

import typer

from einlass_controller.cli_tickets import AsJson, Directory, Language, call, language_of
from einlass_controller.settings import SETTINGS_FILE, SettingsError, read_settings


def backup(
    file: Annotated[Path, typer.Argument(help="The copy; it must not be there yet.")], directory: Directory
) -> None:
    """Copy a site's database while it is in use; prints JSON."""
    from einlass_controller.backups import back_up, told
    from einlass_controller.store.database import DatabaseError

    try:
        typer.echo(told(back_up(read_settings(directory / SETTINGS_FILE), file)))
    except (SettingsError, DatabaseError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


def restore(
    file: Annotated[Path, typer.Argument(help="A copy made by `einlass backup`.")], directory: Directory
) -> None:
    """Put a copy back (the controller must not run). Nobody is let in until people are counted."""
    from einlass_controller.backups import restore as put_back
    from einlass_controller.backups import told
    from einlass_controller.store.database import DatabaseError

    try:
        copy, kept = put_back(read_settings(directory / SETTINGS_FILE), file)
    except (SettingsError, DatabaseError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"restored; the database before is kept in {kept}")
    typer.echo(f"start the controller, count the people, then: einlass recount --dir {directory} --zone ZONE=PEOPLE")
    typer.echo(told(copy))


def recount(
    directory: Directory,
    zone: Annotated[list[str] | None, typer.Option(help="ZONE=PEOPLE, for every zone; none: show the state.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="A lane that cannot be reached and is shut.")] = None,
    switched_off: Annotated[
        list[str] | None, typer.Option(help="Such a lane whose node has no power: you have seen it.")
    ] = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> None:
    """Say how many people are inside, after a restore; without figures: whether that is needed."""
    people = {}
    for item in zone or []:
        name, _, figure = item.partition("=")
        if not figure.isascii() or not figure.isdigit():
            typer.echo(f"error: {item!r}: write --zone ZONE=PEOPLE", err=True)
            raise typer.Exit(2)
        people[name] = int(figure)
    if people:
        count = {"people": people, "without": without or [], "switched_off": switched_off or []}
        found = call(directory, "POST", "/recount", count).json
        typer.echo(found["text_" + (lang or language_of())])
    else:
        found = call(directory, "GET", "/recount").json
        typer.echo(found["needed"] or "no recount is needed")
    if as_json:
        typer.echo(json.dumps(found))
