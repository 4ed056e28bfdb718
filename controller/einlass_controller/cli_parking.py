"""`einlass parking`: each command is a call of the API, with the controller up or not."""

# Only what every command needs is imported here: `einlass --help` must not wait for a web server and an ORM.
import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from einlass_controller.cli_tickets import AsJson, Directory, Language, Reason, call, instant, language_of

FORMS = ("json", "csv")

parking = typer.Typer(help="Car parks: stays, lost tickets, takings, tariffs.", no_args_is_help=True)

StayId = Annotated[str, typer.Argument(help="The stay's id: that of its ticket, or for a pass its own.")]


@parking.command("stays")
def stays(
    directory: Directory,
    zone: Annotated[str, typer.Option(help="Only in this car park.")] = "",
    state: Annotated[str, typer.Option(help="issued, inside, left or unused.")] = "inside",
    unpaid: Annotated[bool, typer.Option(help="Only those that left without paying.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    as_json: AsJson = False,
) -> None:
    """Stays, the newest first."""
    query: dict[str, Any] = {"zone": zone, "limit": limit}
    query |= {"unpaid": "true"} if unpaid else {"state": state}
    found = _call(directory, "GET", f"/parking/stays?{urlencode(query)}")
    for item in found:
        typer.echo(
            f"{item['id']}  {item['zone']}  {item['state']}  {instant(item['entered_ms'])}  "
            f"{_money(item['paid_cents'])} paid"
            + (f"  {_money(item['unpaid_cents'])} open" if unpaid else "")
            + (f"  {item['pass_name']}" if item["pass_name"] else "")
        )
    _end({"stays": found}, as_json)


@parking.command("stay")
def stay(directory: Directory, name: StayId, lang: Language = "", as_json: AsJson = False) -> None:
    """One stay with its fee, line by line."""
    found = _call(directory, "GET", f"/parking/stays/{quote(name, safe='')}")
    _show(found, lang or language_of())
    _end(found, as_json)


@parking.command("lost")
def lost(
    directory: Directory,
    zone: Annotated[str, typer.Option(help="The car park.")],
    reason: Reason = "lost ticket",
    stay_id: Annotated[str, typer.Option("--stay", help="The lost ticket's stay, if it was found.")] = "",
    as_json: AsJson = False,
) -> None:
    """A ticket for somebody who lost his; its code is printed, once."""
    made = _call(directory, "POST", "/parking/lost", {"zone": zone, "stay": stay_id, "reason": reason})
    typer.echo(f"{made['stay']}  {made['code']}")
    _end(made, as_json)


@parking.command("correct")
def correct(
    directory: Directory,
    name: StayId,
    reason: Reason,
    entered: Annotated[str, typer.Option(help="It began then: 2026-05-01T09:00:00+02:00")] = "",
    free_minutes: Annotated[int, typer.Option(min=0, help="Its car may leave unpaid for so long.")] = 0,
    as_json: AsJson = False,
) -> None:
    """What staff knows better of a stay."""
    order = {"entered": entered or None, "free_minutes": free_minutes, "reason": reason}
    found = _call(directory, "POST", f"/parking/stays/{quote(name, safe='')}/correct", order)
    _show(found, language_of())
    _end(found, as_json)


@parking.command("end")
def end(directory: Directory, name: StayId, reason: Reason, as_json: AsJson = False) -> None:
    """A stay whose car is gone, unseen by any exit."""
    found = _call(directory, "POST", f"/parking/stays/{quote(name, safe='')}/end", {"reason": reason})
    typer.echo(f"{found['id']}  {found['state']}")
    _end(found, as_json)


@parking.command("takings")
def takings(
    directory: Directory,
    since: Annotated[str, typer.Option("--from", help="2026-05-01; default: today")] = "",
    until: Annotated[str, typer.Option(help="The last day; default: today")] = "",
    out: Annotated[Path | None, typer.Option(help="Where to: a name that ends in .csv or .json.")] = None,
) -> None:
    """What each till took, by day and what for."""
    form = "json" if out is None else out.suffix.lower().removeprefix(".")
    if form not in FORMS:
        typer.echo("error: --out must end in .csv or .json", err=True)
        raise typer.Exit(2)
    given = {"from": since, "until": until, "format": form}
    query = urlencode({key: value for key, value in given.items() if value})
    body = call(directory, "GET", f"/parking/takings?{query}").body
    if out is None:
        typer.echo(body.decode())
    else:
        out.write_bytes(body)


@parking.command("export")
def export(
    directory: Directory,
    out: Annotated[Path, typer.Option(help="Where to: a name that ends in .csv.")],
    since: Annotated[str, typer.Option("--from", help="2026-05-01; default: today")] = "",
    until: Annotated[str, typer.Option(help="The last day; default: today")] = "",
    zone: Annotated[str, typer.Option(help="Only of this car park.")] = "",
) -> None:
    """Stays that are over, as `einlass tariff compare OLD NEW --stays FILE` reads them."""
    given = {"from": since, "until": until, "zone": zone}
    query = urlencode({key: value for key, value in given.items() if value})
    out.write_bytes(call(directory, "GET", f"/parking/stays.csv?{query}").body)


@parking.command("tills")
def tills(directory: Directory, as_json: AsJson = False) -> None:
    """Every till, with its own account."""
    found = _call(directory, "GET", "/parking/tills")
    for item in found:
        cents = "  ".join(f"{name} {_money(value)}" for name, value in item["account"].items())
        typer.echo(f"{item['id']}  {'online' if item['online'] else 'away'}  {item['fault']}  {cents}".rstrip())
    _end({"tills": found}, as_json)


@parking.command("claims")
def claims(
    directory: Directory,
    every: Annotated[bool, typer.Option("--all", help="Those that are settled, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """What tills owe by a paper, and card payments in doubt."""
    found = _call(directory, "GET", f"/parking/claims?settled={'true' if every else 'false'}")
    for item in found:
        typer.echo(f"{item['name']}  {item['till']}  {item['kind']}  {_money(item['cents'])}  {item['state']}")
    _end({"claims": found}, as_json)


@parking.command("settle")
def settle(
    directory: Directory,
    name: Annotated[str, typer.Argument(help="What stands on the paper, or the card payment's reference.")],
    reason: Reason = "paid out",
    as_json: AsJson = False,
) -> None:
    """Pay out what a paper says, once."""
    done = _call(directory, "POST", "/parking/claims/settle", {"name": name, "reason": reason})
    typer.echo(f"{_money(done['cents'])} for {done['name']}")
    _end(done, as_json)


@parking.command("tariff")
def tariff(
    directory: Directory,
    file: Annotated[Path, typer.Argument(help="The new version, TOML or JSON; its valid_from is in the future.")],
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Bring a new version of a tariff. Try it before: einlass tariff compare OLD NEW --stays FILE."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        typer.echo(f"error: {file} cannot be read: {error}", err=True)
        raise typer.Exit(2) from error
    form = "json" if file.suffix.lower() == ".json" else "toml"
    made = _call(directory, "POST", "/parking/tariffs", {"text": text, "format": form, "reason": reason})
    typer.echo(f"{made['name']}: version {made['number']}, from {made['valid_from']} on")
    _end(made, as_json)


@parking.command("tariffs")
def tariffs(directory: Directory, as_json: AsJson = False) -> None:
    """Every version of every tariff."""
    found = _call(directory, "GET", "/parking/tariffs")
    for item in found:
        typer.echo(f"{item['number']}  {item['name']}  {item['valid_from']}  {item['digest']}  {item['by']}")
    _end({"tariffs": found}, as_json)


def _show(found: dict[str, Any], language: str) -> None:
    held = f" [{found['pass_name']}]" if found["pass_name"] else ""
    when = f"{found['state']}  {instant(found['entered_ms'])}"
    typer.echo(f"{found['id']}  {found['zone']}  {when}  {found['tariff']}{held}")
    for line in found["lines"]:
        typer.echo(f"  {_money(line['cents']):>10}  {line[language]}")
    typer.echo(f"  {_money(found['due_cents']):>10}  {'zu zahlen' if language == 'de' else 'to pay'}")


def _money(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _end(found: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))


def _call(directory: Path, method: str, path: str, body: Any = None) -> Any:
    answer = call(directory, method, path, body)
    return answer.json if answer.body else None
