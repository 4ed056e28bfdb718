"""`einlass ticket` and `einlass key`: each command is a call of the API, with the controller up or not."""

# Only what every command needs is imported here: `einlass --help` must not wait for a web server and an ORM.
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from einlass_controller.client import Answer, Client, Refused
from einlass_controller.settings import SettingsError

TICKETS_MAX = 500
PERSONS_MAX = 50
RATE_DEFAULT_PER_S = 50
LINES_SHOWN_MAX = 20

ticket = typer.Typer(help="Tickets.", no_args_is_help=True)
key = typer.Typer(help="API keys: who may use the API, and for what.", no_args_is_help=True)

Directory = Annotated[Path, typer.Option("--dir", help="The directory that the set-up made.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON last.")]
TicketId = Annotated[str, typer.Argument(help="The ticket's id (12 characters), not its code.")]
Reason = Annotated[str, typer.Option(help="Why; it stays in the ledger.")]
Language = Annotated[str, typer.Option("--lang", help="de or en; default: that of LANG.")]


class BadLines(ValueError):
    """A file was not taken. faults: line, text_de, text_en."""

    def __init__(self, faults: list[dict[str, Any]]) -> None:
        super().__init__(f"{len(faults)} bad lines")
        self.faults = faults


def language_of() -> str:
    """The language of the person at the keyboard."""
    return "en" if os.environ.get("LANG", "").startswith("en") else "de"


def instant(unix_ms: int) -> str:
    """As the clock of this computer says it."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).astimezone().isoformat(sep=" ", timespec="seconds")


@ticket.command("issue")
def issue(
    directory: Directory,
    n: Annotated[int, typer.Option("--n", min=1, max=TICKETS_MAX, help="How many.")] = 1,
    persons: Annotated[
        int, typer.Option(min=0, max=PERSONS_MAX, help="Persons let in by one ticket; 0: as the product says.")
    ] = 0,
    zone: Annotated[str, typer.Option(help="Only for this zone.")] = "",
    product: Annotated[str, typer.Option(help="What is sold: see `einlass rules`.")] = "single",
    signed: Annotated[bool, typer.Option(help="Signed codes, which a lane can judge without a list.")] = False,
    as_json: AsJson = False,
) -> None:
    """Issue tickets and print their codes, once."""
    order = {"n": n, "persons": persons or None, "zone": zone, "product": product, "signed": signed}
    made = [{"id": item["id"], "code": item["code"]} for item in _call(directory, "POST", "/tickets", order)["tickets"]]
    if as_json:
        typer.echo(json.dumps({"tickets": made}))
        return
    for item in made:
        typer.echo(f"{item['id']}  {item['code']}")


@ticket.command("show")
def show(directory: Directory, name: TicketId, lang: Language = "", as_json: AsJson = False) -> None:
    """What a ticket is and whether it is inside."""
    found = _call(directory, "GET", f"/tickets/{quote(name, safe='')}")
    words = found["status_" + (lang or language_of())]
    typer.echo(f"{found['id']}  {words}  {found['reason']}".rstrip())
    _end(found, as_json)


@ticket.command("replace")
def replace(directory: Directory, name: TicketId, reason: Reason, lang: Language = "", as_json: AsJson = False) -> None:
    """A new code for a lost ticket; the old one is dead, entries left go over."""
    made = _call(directory, "POST", f"/tickets/{quote(name, safe='')}/replace", {"reason": reason})
    typer.echo(made["text_" + (lang or language_of())])
    typer.echo(f"{made['id']}  {made['code']}")
    _end(made, as_json)


@ticket.command("annul")
def annul(directory: Directory, name: TicketId, reason: Reason, lang: Language = "", as_json: AsJson = False) -> None:
    """Take back the ticket's newest entry."""
    done = _call(directory, "POST", f"/tickets/{quote(name, safe='')}/annul", {"reason": reason})
    typer.echo(done["text_" + (lang or language_of())])
    _end(done, as_json)


def _changing(do: str, words: str) -> Callable[..., None]:
    def command(
        directory: Directory, name: TicketId, reason: Reason, lang: Language = "", as_json: AsJson = False
    ) -> None:
        done = _call(directory, "POST", f"/tickets/{quote(name, safe='')}/change", {"do": do, "reason": reason})
        typer.echo(done["text_" + (lang or language_of())])
        _end(done, as_json)

    command.__doc__ = words
    return command


for _do, _words in (
    ("block", "Block a ticket, for instance a lost one."),
    ("unblock", "End the blocking: the ticket is what it was before."),
    ("cancel", "Cancel a ticket, for good."),
    ("unpaid", "Mark a ticket as not paid: it is refused until it is."),
    ("paid", "Mark a ticket as paid."),
    ("revoke", "Withdraw a ticket, for good."),
):
    ticket.command(_do)(_changing(_do, _words))


@ticket.command("import")
def import_file(
    directory: Directory,
    file: Annotated[Path, typer.Argument(help="CSV, UTF-8, with a header line (docs/api.md).", exists=True)],
    lang: Language = "",
    as_json: AsJson = False,
) -> None:
    """Take tickets from a CSV file: all of them or, with the bad lines named, none."""
    try:
        made = call(directory, "POST", "/tickets/import", content=("text/csv", file)).json
    except BadLines as error:
        for fault in error.faults[:LINES_SHOWN_MAX]:
            typer.echo(f"{file}:{fault['line']}: {fault['text_' + (lang or language_of())]}", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{made['tickets']} tickets")
    _end(made, as_json)


@ticket.command("export")
def export_file(directory: Directory, out: Annotated[Path, typer.Option(help="Where to.")]) -> None:
    """Write all tickets into a CSV file; without their codes, which nobody has."""
    out.write_bytes(call(directory, "GET", "/tickets/export").body)


@ticket.command("print")
def print_ticket(
    directory: Directory,
    out: Annotated[Path, typer.Option(help="Where to: a name that ends in .pdf or .png.")],
    lang: Annotated[str, typer.Option("--lang", help="de, en or both.")] = "both",
) -> None:
    """Draw a ticket for the visitor. The code is read from standard input, so that no list of processes shows it."""
    form = out.suffix.lower().removeprefix(".")
    if form not in ("pdf", "png"):
        typer.echo("error: --out must end in .pdf or .png", err=True)
        raise typer.Exit(2)
    code = typer.get_text_stream("stdin").readline().strip()
    order = {"code": code, "format": form, "language": lang}
    out.write_bytes(call(directory, "POST", "/tickets/paper", order).body)


@ticket.command("keys")
def signing_keys(directory: Directory, as_json: AsJson = False) -> None:
    """The keys that sign tickets."""
    found = _call(directory, "GET", "/signing-keys")
    for item in found:
        state = "revoked" if item["revoked_ms"] else "signs" if item["can_sign"] else "verifies"
        until = f" until {instant(item['verify_until_ms'])}" if item["verify_until_ms"] else ""
        typer.echo(f"{item['id']}  {item['public']}  {state}{until}")
    _end({"keys": found}, as_json)


@ticket.command("rotate")
def rotate(
    directory: Directory,
    old_until: Annotated[str, typer.Option(help="Until when the old keys count: 2027-01-01T00:00:00+01:00")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a new signing key; it signs from now on."""
    made = _call(directory, "POST", "/signing-keys", {"old_until": old_until or None})
    typer.echo(f"key {made['id']} signs from now on")
    _end(made, as_json)


@ticket.command("revoke-key")
def revoke_key(
    directory: Directory, number: Annotated[int, typer.Argument(min=1)], reason: Reason, as_json: AsJson = False
) -> None:
    """Revoke a signing key: everything that it signed is refused from now on."""
    done = _call(directory, "POST", f"/signing-keys/{number}/revoke", {"reason": reason})
    typer.echo(f"key {number} is revoked")
    _end(done, as_json)


@key.command("add")
def add_key(
    directory: Directory,
    name: Annotated[str, typer.Argument(help="Who will use it: a-z, 0-9, -")],
    scope: Annotated[
        list[str], typer.Option(help="sell, scan, supervise, read, partner or admin; may be given several times.")
    ],
    rate: Annotated[int, typer.Option(min=0, help="Requests a second; 0: no limit.")] = RATE_DEFAULT_PER_S,
    partner: Annotated[str, typer.Option(help="With the scope partner: whose own vouchers it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, once."""
    made = _call(directory, "POST", "/keys", {"name": name, "scopes": scope, "rate_per_s": rate, "partner": partner})
    typer.echo(made["key"])
    _end(made, as_json)


@key.command("list")
def list_keys(directory: Directory, as_json: AsJson = False) -> None:
    """All API keys, without the keys themselves."""
    found = _call(directory, "GET", "/keys")
    for item in found:
        state = "revoked" if item["revoked_ms"] else f"{item['rate_per_s'] or 'any number of'} requests a second"
        typer.echo(f"{item['name']}  {' '.join(item['scopes'])}  {state}")
    _end({"keys": found}, as_json)


@key.command("revoke")
def revoke_api_key(directory: Directory, name: Annotated[str, typer.Argument()], as_json: AsJson = False) -> None:
    """Revoke an API key, for good."""
    done = _call(directory, "POST", f"/keys/{quote(name, safe='')}/revoke")
    typer.echo(f"the key {name} opens nothing any more")
    _end(done, as_json)


def _end(found: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))


def _call(directory: Path, method: str, path: str, body: Any = None) -> Any:
    answer = call(directory, method, path, body)
    return answer.json if answer.body else None


def call(directory: Path, method: str, path: str, body: Any = None, content: tuple[str, Path] | None = None) -> Answer:
    """Call the API of the site in this directory; ends the command with an error that says what to do."""
    from einlass_controller.domain.occupancy import InvariantError
    from einlass_controller.live import NotSetUpError
    from einlass_controller.store.database import DatabaseError

    try:
        return Client(directory).call(method, path, body, content)
    except Refused as error:
        typer.echo(f"error: {error}", err=True)
        if error.detail.get("faults"):
            raise BadLines(error.detail["faults"]) from error
        words = error.detail.get("text_" + language_of())
        if words:
            typer.echo(words, err=True)
        raise typer.Exit(2) from error
    except (SettingsError, DatabaseError, NotSetUpError, InvariantError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
