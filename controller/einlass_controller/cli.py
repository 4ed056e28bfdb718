"""`einlass controller`, `einlass ledger`, `einlass ticket`: sub-commands to hang into the one console script."""

# Only what every command needs is imported here: `einlass --help` must not wait for a web server and an ORM.
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer

from einlass_controller.settings import API_KEY_FILE, SETTINGS_FILE, Settings, SettingsError, read_settings

HTTP_TIMEOUT_S = 10.0
TICKETS_MAX = 500

controller = typer.Typer(help="The controller of a site: set it up, run it.", no_args_is_help=True)
ledger = typer.Typer(help="The record of every decision and passage.", no_args_is_help=True)
ticket = typer.Typer(help="Tickets.", no_args_is_help=True)


@ledger.callback()
def _ledger() -> None:
    """Keeps `verify` a sub-command although it is the only one."""


@ticket.callback()
def _ticket() -> None:
    """Keeps `issue` a sub-command although it is the only one."""


Directory = Annotated[Path, typer.Option("--dir", help="The directory that the set-up made.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON last.")]


@controller.command("setup")
def setup_command(
    plan: Annotated[Path, typer.Option(help="The site: a TOML file with its tables site, zone, lane and node.")],
    directory: Directory,
    mqtt_host: Annotated[str | None, typer.Option(help="Where the broker is; at first 127.0.0.1.")] = None,
    mqtt_port: Annotated[int | None, typer.Option(help="The broker's port; at first 1883.")] = None,
    http_port: Annotated[int | None, typer.Option(help="The port of pages and API; at first 8080.")] = None,
) -> None:
    """Make (or update) a site: its database, a password for every node, the first API key."""
    from einlass_controller.plan import read_plan
    from einlass_controller.setup import set_up
    from einlass_controller.store.database import DatabaseError

    try:
        given = {"mqtt_host": mqtt_host, "mqtt_port": mqtt_port, "http_port": http_port}
        # What is not given stays as it is: a second set-up must not move a running site's ports.
        made = set_up(read_plan(plan), directory, **{name: value for name, value in given.items() if value is not None})
    except (SettingsError, DatabaseError) as error:
        raise _stop(error) from error
    typer.echo(f"site ready in {made.directory}; start it with: einlass controller run --dir {directory}")
    typer.echo(f"API key (kept in {API_KEY_FILE}, readable by you only): {made.api_key}")


@controller.command("run")
def run_command(directory: Directory) -> None:
    """Run the controller until it is told to stop."""
    from einlass_controller.domain.occupancy import InvariantError
    from einlass_controller.live import NotSetUpError
    from einlass_controller.main import run
    from einlass_controller.store.database import DatabaseError

    try:
        run(read_settings(directory / SETTINGS_FILE))
    except (SettingsError, DatabaseError, NotSetUpError, InvariantError) as error:
        raise _stop(error) from error


@ledger.command("verify")
def verify_command(directory: Directory, as_json: AsJson = False) -> None:
    """Recompute every hash of the ledger; exit status 1 and the place when one does not match."""
    from einlass_controller.domain.ledger import verify
    from einlass_controller.store.database import DatabaseError, open_database
    from einlass_controller.store.reading import ledger_entries

    try:
        database = open_database(read_settings(directory / SETTINGS_FILE).database_url)
    except (SettingsError, DatabaseError) as error:
        raise _stop(error) from error
    with database.connect() as connection:
        count, last, broken = verify(ledger_entries(connection))
    if broken is None:
        typer.echo(f"the ledger holds: {count} entries, the last is {last}")
    else:
        typer.echo(f"the ledger is broken at entry {broken.number}: {broken.reason}", err=True)
    if as_json:
        reason = None if broken is None else broken.reason
        typer.echo(json.dumps({"ok": broken is None, "entries": count, "last_hash": last, "broken": reason}))
    if broken is not None:
        raise typer.Exit(1)


@ticket.command("issue")
def issue_command(
    directory: Directory,
    n: Annotated[int, typer.Option("--n", min=1, max=TICKETS_MAX, help="How many.")] = 1,
    persons: Annotated[int, typer.Option(min=1, max=50, help="Persons let in by one ticket.")] = 1,
    zone: Annotated[str, typer.Option(help="Only for this zone.")] = "",
    as_json: AsJson = False,
) -> None:
    """Issue single tickets and print their codes, once; through the controller if it is running."""
    from einlass_controller.live import NotSetUpError
    from einlass_controller.store.database import DatabaseError

    try:
        settings = read_settings(directory / SETTINGS_FILE)
        made = _issue_over_http(settings, directory, {"n": n, "persons": persons, "zone": zone})
        if made is None:
            made = _issue_alone(settings, n, persons, zone)
    except (SettingsError, DatabaseError, NotSetUpError, OSError) as error:
        raise _stop(error) from error
    if as_json:
        typer.echo(json.dumps({"tickets": made}))
        return
    for item in made:
        typer.echo(f"{item['id']}  {item['code']}")


def _issue_over_http(settings: Settings, directory: Path, order: dict[str, Any]) -> list[dict[str, str]] | None:
    """None: no controller is running."""
    request = urllib.request.Request(
        f"http://{settings.http_host}:{settings.http_port}/api/v1/tickets",
        json.dumps(order).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {(directory / API_KEY_FILE).read_text().strip()}",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:
            return [{"id": item["id"], "code": item["code"]} for item in json.load(answer)["tickets"]]
    except urllib.error.HTTPError as error:
        raise SettingsError(
            f"the controller refused: {error.code} {error.read(500).decode(errors='replace')}"
        ) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            return None
        raise


def _issue_alone(settings: Settings, n: int, persons: int, zone: str) -> list[dict[str, str]]:
    from einlass_controller.engine import Engine
    from einlass_controller.issuing import make_ticket, new_code
    from einlass_controller.messages import Issue
    from einlass_controller.runtime import lock_database
    from einlass_controller.store.database import migrate, open_database

    made = [new_code() for _ in range(n)]
    tickets = tuple(
        make_ticket(code, persons=persons, zone=zone, valid_from_ms=None, valid_until_ms=None) for code in made
    )
    with lock_database(settings.database_url):
        database = open_database(settings.database_url)
        migrate(database)
        engine = Engine(database)
        if zone and zone not in engine.live.areas:
            raise SettingsError(f"zone {zone!r} is not known; known are: {', '.join(engine.live.areas)}")
        engine.run([Issue(tickets, "cli")], time.time_ns() // 1_000_000)
        database.dispose()
    return [{"id": item.id, "code": code} for item, code in zip(tickets, made, strict=True)]


def _stop(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(2)
