"""`einlass rules`, `einlass zone`, `einlass site`: what a shift lead does, through the running controller."""

import json
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer

from einlass_controller.cli_tickets import Language, instant, language_of
from einlass_controller.settings import API_KEY_FILE, FILE_BYTES_MAX, SETTINGS_FILE, SettingsError, read_settings

HTTP_TIMEOUT_S = 30.0
ANSWER_LENGTH_MAX = 2_000

rules = typer.Typer(help="Products, opening hours and what they allow.", no_args_is_help=True)
zone = typer.Typer(help="Counts, early closing, and who is inside.", no_args_is_help=True)
site = typer.Typer(help="Lockdown and evacuation.", no_args_is_help=True)

Directory = Annotated[Path, typer.Option("--dir", help="The directory that the set-up made.")]
File = Annotated[Path, typer.Argument(help="A TOML (or .json) file, see docs/domain-rules.md.")]
Zone = Annotated[str, typer.Argument(help="The zone's id.")]
Reason = Annotated[str, typer.Option(help="Why; the ledger keeps it.")]
By = Annotated[str, typer.Option(help="Who says so.")]
People = Annotated[list[str], typer.Option("--by", help="Who says so; twice for two people.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as one line of JSON.")]


@rules.command("check")
def check_command(file: File) -> None:
    """Whether a file can be used as rules; needs no controller."""
    from einlass_controller.domain.catalogue import read_catalogue
    from einlass_controller.domain.rules import RulesError

    try:
        found = read_catalogue(_read(file))
    except (RulesError, SettingsError) as error:
        raise _stop(error) from error
    typer.echo(f"{file} can be used: {len(found.products)} products")
    for product in found.products.values():
        typer.echo(f"{product.id:20} {', '.join(rule.id for rule in product.rules)}")


@rules.command("preview")
def preview_command(
    file: File,
    directory: Directory,
    last: Annotated[int, typer.Option(min=1, max=5_000, help="So many past scans.")] = 1_000,
    lang: Language = "",
    as_json: AsJson = False,
) -> None:
    """What these rules would have decided otherwise in the last scans. Changes nothing."""
    found = _call(directory, "POST", "rules/preview", {"rules": _rules(file), "last": last})
    if as_json:
        typer.echo(json.dumps(found))
        return
    changes = sum(item["scans"] for item in found["changed"])
    typer.echo(f"{found['scans']} scans tried, {changes} would have been decided otherwise")
    for item in found["changed"]:
        typer.echo(f"{item['scans']:6}  {item['before']} -> {item['after']}")
    words = "text_" + (lang or language_of())
    for item in found["samples"][:10]:
        typer.echo(f"        {item['decision']} ticket {item['ticket']} at {item['lane']}: {item[words]}")


@rules.command("put")
def put_command(
    file: File,
    directory: Directory,
    reason: Reason,
    by: By = "",
    valid_from: Annotated[str, typer.Option(help="ISO 8601 with an offset; default: at once.")] = "",
) -> None:
    """Make these the house's rules. Try them with `preview` first."""
    order: dict[str, Any] = {"rules": _rules(file), "reason": reason, "by": by}
    found = _call(directory, "POST", "rules", order | ({"valid_from": valid_from} if valid_from else {}))
    typer.echo(f"version {found['version']} holds from {instant(found['valid_from_ms'])} on")


@rules.command("show")
def show_command(
    directory: Directory,
    version: Annotated[int, typer.Option(help="Print the text of this version; 0: list the versions.")] = 0,
) -> None:
    """The versions, or the text of one as JSON, which `check`, `preview` and `put` read again."""
    if version:
        typer.echo(json.dumps(_call(directory, "GET", f"rules/{version}")["rules"], indent=2, ensure_ascii=False))
        return
    for item in _call(directory, "GET", "rules"):
        holds = "  holds now" if item["in_force"] else ""
        typer.echo(f"{item['version']:4}  from {instant(item['valid_from_ms'])}  {item['by']}: {item['reason']}{holds}")


@zone.command("count")
def count_command(
    name: Zone,
    persons: Annotated[int, typer.Argument(min=0, help="People who are inside.")],
    directory: Directory,
    reason: Reason,
    seen: Annotated[int, typer.Option(min=-1, help="What the screen said when you counted.")] = -1,
    by: By = "",
) -> None:
    """Correct the count of a zone."""
    order = {"count": persons, "seen": None if seen < 0 else seen, "reason": reason, "by": by}
    found = _call(directory, "POST", f"zones/{_quoted(name)}/count", order)
    over = f", {found['over']} over the cap" if found["over"] else ""
    typer.echo(f"{name}: {found['before']} before, {found['present']} now{over}")
    if found["lanes_cut_off"]:
        typer.echo(f"cut off, and put right when they tell: {', '.join(found['lanes_cut_off'])}")


@zone.command("close")
def close_command(
    name: Zone,
    directory: Directory,
    reason: Reason,
    until: Annotated[str, typer.Option(help="ISO 8601 with an offset; default: until it is opened again.")] = "",
    by: By = "",
) -> None:
    """Take nobody in from now on; the exits stay as they are."""
    order = {"reason": reason, "by": by} | ({"until": until} if until else {})
    _call(directory, "POST", f"zones/{_quoted(name)}/close", order)
    typer.echo(f"{name} takes nobody in")


@zone.command("open")
def open_command(name: Zone, directory: Directory, reason: Reason, by: By = "") -> None:
    """Take back an early closing."""
    _call(directory, "POST", f"zones/{_quoted(name)}/open", {"reason": reason, "by": by})
    typer.echo(f"{name} is open as its hours say")


@zone.command("muster")
def muster_command(directory: Directory, as_json: AsJson = False) -> None:
    """Who is inside, zone by zone: by ticket and anonymous."""
    found = _call(directory, "GET", "muster")
    if as_json:
        typer.echo(json.dumps(found))
        return
    for item in found["zones"]:
        about = ", about" if item["about"] else ""
        typer.echo(
            f"{item['name']}: {item['inside']} inside{about} ({item['by_ticket']} by ticket, {item['anonymous']} "
            f"without), {item['under_way']} walking in"
        )


@site.command("lockdown")
def lockdown_command(directory: Directory, reason: Reason, by: People) -> None:
    """Nobody comes in, everybody may leave."""
    _mode(directory, "lockdown", reason, by)


@site.command("evacuate")
def evacuate_command(directory: Directory, reason: Reason, by: People) -> None:
    """Tell every lane: entries shut, exits free. `einlass zone muster` says who is inside."""
    _mode(directory, "evacuation", reason, by)


@site.command("normal")
def normal_command(directory: Directory, reason: Reason, by: People) -> None:
    """It is over. After an evacuation two people say so, and re-arm each lane."""
    _mode(directory, "normal", reason, by)


def _mode(directory: Path, mode: str, reason: str, by: list[str]) -> None:
    found = _call(directory, "POST", "site/mode", {"mode": mode, "reason": reason, "by": by})
    typer.echo(f"{found['before']} -> {found['mode']}")


def _read(file: Path) -> Any:
    """A file's plain values; TOML's own dates become text. Raises SettingsError."""
    try:
        text = file.read_text(encoding="utf-8")
        if len(text) > FILE_BYTES_MAX:
            raise SettingsError(f"{file}: longer than {FILE_BYTES_MAX} characters")
        values = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
        return json.loads(json.dumps(values, default=str))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{file} cannot be read as rules: {error}") from error


def _rules(file: Path) -> Any:
    try:
        return _read(file)
    except SettingsError as error:
        raise _stop(error) from error


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")


def _call(directory: Path, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the controller of this directory; ends the command with what it said when it refuses."""
    try:
        settings = read_settings(directory / SETTINGS_FILE)
        key = (directory / API_KEY_FILE).read_text().strip()
        request = urllib.request.Request(
            f"http://{settings.http_host}:{settings.http_port}/api/v1/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise _stop(f"the controller refused ({error.code}): {_detail(error)}") from error
    except urllib.error.URLError as error:
        raise _stop(
            f"no controller answers ({error.reason}); start it with: einlass controller run --dir {directory}"
        ) from error
    except (SettingsError, OSError) as error:
        raise _stop(error) from error


def _detail(error: urllib.error.HTTPError) -> str:
    text = error.read(ANSWER_LENGTH_MAX).decode(errors="replace")
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError):
        return text
    if isinstance(detail, list) and detail:
        return "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in detail)
    return str(detail)


def _stop(error: object) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(2)
