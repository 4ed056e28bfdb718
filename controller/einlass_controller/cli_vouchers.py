"""`einlass voucher` and `einlass partner`: each command is a call of the API, with the controller up or not."""

# Only what every command needs is imported here: `einlass --help` must not wait for a web server and an ORM.
import base64
import json
import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from einlass_controller.cli_tickets import AsJson, Directory, Language, Reason, call, language_of

CARDS_AT_ONCE = 500
FIGURES_FORMS = ("json", "csv")
ACCOUNT_FORMS = ("json", "csv", "pdf")

voucher = typer.Typer(help="Vouchers: lots, cards, blocking, public codes.", no_args_is_help=True)
partner = typer.Typer(help="Partners who hand out vouchers: accounts and statistics.", no_args_is_help=True)

PartnerId = Annotated[str, typer.Argument(help="The partner: a-z, 0-9, -")]
LotNumber = Annotated[int, typer.Argument(min=1, help="The lot's number.")]
First = Annotated[int, typer.Argument(min=1, help="The first serial number.")]
Last = Annotated[int, typer.Argument(min=1, help="The last serial number.")]


@partner.command("add")
def add(directory: Directory, name: PartnerId, title: Annotated[str, typer.Option("--name", help="What it is called.")],
        as_json: AsJson = False) -> None:  # fmt: skip
    """A new partner."""
    _end(_call(directory, "POST", "/partners", {"id": name, "name": title}), as_json, f"partner {name}")


@partner.command("list")
def list_partners(directory: Directory, as_json: AsJson = False) -> None:
    """All partners."""
    found = _call(directory, "GET", "/partners")
    for item in found:
        typer.echo(f"{item['id']}  {item['name']}{'' if item['is_active'] else '  (nothing is sold to it)'}")
    _end({"partners": found}, as_json)


@partner.command("change")
def change_partner(
    directory: Directory,
    name: PartnerId,
    reason: Reason,
    title: Annotated[str, typer.Option("--name", help="Another name.")] = "",
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Whether it may buy more.")] = None,
    as_json: AsJson = False,
) -> None:
    """Another name; or nothing new is sold to it."""
    order = {"name": title or None, "is_active": active, "reason": reason}
    _end(_call(directory, "POST", f"/partners/{quote(name, safe='')}/change", order), as_json, f"partner {name}")


@partner.command("settle")
def settle(
    directory: Directory,
    name: PartnerId,
    month: Annotated[str, typer.Option(help="Such as 2026-05.")],
    out: Annotated[Path | None, typer.Option(help="Where to: a name that ends in .csv, .pdf or .json.")] = None,
    close: Annotated[bool, typer.Option(help="Close the month first: each used voucher is settled once.")] = False,
    lang: Language = "",
) -> None:
    """A partner's account of a month."""
    path = f"/partners/{quote(name, safe='')}/settlement"
    form = _form(out, ACCOUNT_FORMS)
    if close:
        done = _call(directory, "POST", path, {"month": month})
        typer.echo(f"{done['vouchers']} vouchers settled", err=True)
    query = urlencode({"month": month, "format": form, "language": lang or language_of()})
    _write(call(directory, "GET", f"{path}?{query}").body, out)


@partner.command("statistics")
def statistics(
    directory: Directory,
    name: Annotated[str, typer.Argument(help="The partner; without it all of them.")] = "",
    since: Annotated[str, typer.Option("--from", help="2026-05-01T00:00:00+02:00; default: 30 days ago")] = "",
    until: Annotated[str, typer.Option(help="Default: now.")] = "",
    out: Annotated[Path | None, typer.Option(help="Where to: a name that ends in .csv or .json.")] = None,
) -> None:
    """By area, hour and weekday; how soon they are used, and how many of those handed out."""
    given = {"partner": name, "from": since, "until": until, "format": _form(out, FIGURES_FORMS)}
    query = urlencode({key: value for key, value in given.items() if value})
    _write(call(directory, "GET", f"/voucher-statistics?{query}").body, out)


@voucher.command("lot")
def lot(
    directory: Directory,
    kind: Annotated[str, typer.Option(help="minutes, cents or percent.")],
    value: Annotated[int, typer.Option(min=1, help="How many of them one voucher is worth.")],
    size: Annotated[int, typer.Option(min=1, help="How many vouchers.")],
    buyer: Annotated[str, typer.Option("--partner", help="Whose they are.")] = "",
    digital: Annotated[bool, typer.Option(help="Handed out one by one as a link, not printed.")] = False,
    name: Annotated[str, typer.Option(help="What the lot is called in accounts.")] = "",
    prepaid: Annotated[bool, typer.Option(help="Paid when it is given, not when it is used.")] = False,
    price_cents: Annotated[int, typer.Option(min=0, help="What the partner pays for one.")] = 0,
    valid_from: Annotated[str, typer.Option(help="2026-05-01T00:00:00+02:00")] = "",
    valid_until: Annotated[str, typer.Option(help="2026-12-31T23:59:59+01:00")] = "",
    area: Annotated[list[str] | None, typer.Option(help="Only in this zone; may be given several times.")] = None,
    weekday: Annotated[list[str] | None, typer.Option(help="mon ... sun; may be given several times.")] = None,
    per_stay: Annotated[int, typer.Option(min=0, help="No more than so many for one stay; 0: no limit.")] = 0,
    per_plate_day: Annotated[int, typer.Option(min=0, help="No more than so many for a plate and day.")] = 0,
    partner_per_stay: Annotated[int, typer.Option(min=0, help="Of all lots of the partner, for one stay.")] = 0,
    while_cut_off: Annotated[str, typer.Option(help="own, refuse or report.")] = "own",
    as_json: AsJson = False,
) -> None:
    """A new lot; its codes are made when it is printed or handed out."""
    numbers = {"per_stay": per_stay, "per_plate_day": per_plate_day, "partner_per_stay": partner_per_stay}
    order = {
        "kind": kind,
        "value": value,
        "size": size,
        "partner": buyer,
        "medium": "digital" if digital else "card",
        "name": name,
        "terms": "prepaid" if prepaid else "on_use",
        "price_cents": price_cents,
        "valid_from": valid_from or None,
        "valid_until": valid_until or None,
        "limits": {**numbers, "areas": area or [], "weekdays": weekday or []},
        "while_cut_off": while_cut_off,
    }
    made = _call(directory, "POST", "/lots", order)
    _end(made, as_json, f"lot {made['id']}: serial numbers {made['first']} to {made['last']}")


@voucher.command("lots")
def lots(directory: Directory, as_json: AsJson = False) -> None:
    """All lots, and how many of their vouchers are in which state."""
    found = _call(directory, "GET", "/lots")
    for item in found:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(item["counts"].items()))
        worth = f"{item['value']} {item['kind']}"
        typer.echo(
            f"{item['id']}  {item['partner'] or '-'}  {worth}  {item['first']}-{item['last']}  {counts}".rstrip()
        )
    _end({"lots": found}, as_json)


@voucher.command("print")
def print_cards(
    directory: Directory,
    number: LotNumber,
    n: Annotated[int, typer.Option("--n", min=1, max=CARDS_AT_ONCE, help="How many.")],
    out: Annotated[Path, typer.Option(help="Where to: a PDF that nobody has yet.")],
    activate: Annotated[bool, typer.Option(help="The lot's partner has them at once.")] = False,
    lang: Annotated[str, typer.Option("--lang", help="de, en or both.")] = "both",
) -> None:
    """Make the next vouchers of a lot and draw them as checkcard sheets. The file has the only copy of their codes."""
    try:
        # Before codes are made that would be lost; and nobody else may read them.
        file = os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
    except OSError as error:
        typer.echo(f"error: {out} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(2) from error
    order = {"n": n, "activate": activate, "language": lang}
    try:
        with file:
            file.write(call(directory, "POST", f"/lots/{number}/print", order).body)
    except typer.Exit:
        out.unlink()
        raise
    typer.echo(f"{n} vouchers in {out}")


@voucher.command("hand-out")
def hand_out(
    directory: Directory,
    number: LotNumber,
    out: Annotated[Path | None, typer.Option(help="A PNG of it.")] = None,
    as_json: AsJson = False,
) -> None:
    """One digital voucher: its link and code are printed, once."""
    made = _call(directory, "POST", f"/lots/{number}/hand-out")
    if out is not None:
        out.write_bytes(base64.b64decode(made["png"]))
    typer.echo(f"{made['serial']}  {made['link']}")
    _end(made, as_json)


@voucher.command("show")
def show(
    directory: Directory,
    serial: Annotated[int, typer.Argument(min=1, help="The serial number, not the code.")],
    lang: Language = "",
    as_json: AsJson = False,
) -> None:
    """What a voucher is and what became of it."""
    found = _call(directory, "GET", f"/vouchers/{serial}")
    state = found["state_" + (lang or language_of())]
    _end(found, as_json, f"{serial}  {state}  {found['area']}  {found['reason']}".rstrip())


@voucher.command("activate")
def activate(
    directory: Directory,
    first: First,
    last: Last,
    buyer: Annotated[str, typer.Option("--partner", help="To whom they are sold.")],
    reason: Reason = "sold",
    as_json: AsJson = False,
) -> None:
    """Vouchers were sold to a partner and count from now on."""
    _change(directory, "activate", first, last, reason, as_json, buyer)


@voucher.command("hand-over")
def hand_over(
    directory: Directory,
    first: First,
    last: Last,
    reason: Reason,
    till: Annotated[str, typer.Option(help="To this till, as its own; without it they come back.")] = "",
    lost: Annotated[bool, typer.Option(help="Back without the till's word: it is gone, and has used none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a range a till's own, to use while it is cut off, or take it back."""
    order = {"first": first, "last": last, "till": till, "lost": lost, "reason": reason}
    done = _call(directory, "POST", "/vouchers/hand-over", order)
    refused = [f"{count} not: {state}" for state, count in sorted(done["refused"].items())]
    waiting = [f"{len(done['waiting'])} when the till says so"] if done["waiting"] else []
    _end(done, as_json, ", ".join([f"{done['done']} done", *waiting, *refused]))


@voucher.command("block")
def block(directory: Directory, first: First, last: Last, reason: Reason, as_json: AsJson = False) -> None:
    """Block a range, for instance a lost box."""
    _change(directory, "block", first, last, reason, as_json)


@voucher.command("unblock")
def unblock(directory: Directory, first: First, last: Last, reason: Reason, as_json: AsJson = False) -> None:
    """End the blocking: each voucher is what it was before."""
    _change(directory, "unblock", first, last, reason, as_json)


@voucher.command("void")
def void(directory: Directory, first: First, last: Last, reason: Reason, as_json: AsJson = False) -> None:
    """Make a range void, for good: for instance a stolen box."""
    _change(directory, "void", first, last, reason, as_json)


@voucher.command("return")
def take_back(directory: Directory, first: First, last: Last, reason: Reason, as_json: AsJson = False) -> None:
    """A partner has given unused vouchers back, for good."""
    _change(directory, "return", first, last, reason, as_json)


@voucher.command("payments")
def payments(directory: Directory, as_json: AsJson = False) -> None:
    """Payments that hold vouchers now."""
    found = _call(directory, "GET", "/voucher-payments")
    for item in found:
        typer.echo(f"{item['key']}  {item['area']}  {' '.join(map(str, item['held']))}")
    _end({"payments": found}, as_json)


@voucher.command("end-payment")
def end_payment(
    directory: Directory, key: Annotated[str, typer.Argument()], reason: Reason, as_json: AsJson = False
) -> None:
    """Decide that a payment's till is gone and has used nothing: what it holds is free."""
    done = _call(directory, "POST", "/voucher-payments/end", {"key": key, "reason": reason})
    _end(done, as_json, f"{len(done['released'])} vouchers are free")


@voucher.command("public")
def public(
    directory: Directory,
    code: Annotated[str, typer.Argument(help="4 to 8 letters or digits, as printed in the paper.")],
    valid_from: Annotated[str, typer.Option(help="2026-05-01T00:00:00+02:00")],
    valid_until: Annotated[str, typer.Option(help="2026-05-01T23:59:59+02:00")],
    kind: Annotated[str, typer.Option(help="free, minutes, cents or percent.")] = "free",
    value: Annotated[int, typer.Option(min=0, help="How many of them; free: 0.")] = 0,
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    area: Annotated[list[str] | None, typer.Option(help="Only in this zone; may be given several times.")] = None,
    per_stay: Annotated[int, typer.Option(min=0)] = 0,
    per_plate_day: Annotated[int, typer.Option(min=0)] = 0,
    total: Annotated[int, typer.Option(min=0, help="So often in all; 0: no limit.")] = 0,
    as_json: AsJson = False,
) -> None:
    """A code that anybody may use inside a window."""
    order = {
        "code": code,
        "name": name,
        "kind": kind,
        "value": value,
        "valid_from": valid_from,
        "valid_until": valid_until,
        "limits": {"per_stay": per_stay, "per_plate_day": per_plate_day, "areas": area or []},
        "total_max": total,
    }
    made = _call(directory, "POST", "/public-codes", order)
    _end(made, as_json, f"public code {made['code']}")


@voucher.command("block-public")
def block_public(
    directory: Directory,
    code: Annotated[str, typer.Argument()],
    reason: Reason,
    undo: Annotated[bool, typer.Option(help="It counts again.")] = False,
    as_json: AsJson = False,
) -> None:
    """End a public code before its time."""
    done = _call(
        directory, "POST", f"/public-codes/{quote(code, safe='')}/change", {"blocked": not undo, "reason": reason}
    )
    _end(done, as_json, f"public code {done['code']} {'counts' if undo else 'is blocked'}")


def _change(directory: Path, do: str, first: int, last: int, reason: str, as_json: bool, buyer: str = "") -> None:
    order = {"do": do, "first": first, "last": last, "reason": reason, "partner": buyer}
    done = _call(directory, "POST", "/vouchers/change", order)
    parts = [f"{done['done']} done"]
    parts += [f"{done['already']} were so before"] if done["already"] else []
    parts += [f"{len(done['waiting'])} wait for a payment"] if done["waiting"] else []
    parts += [f"{count} not: {state}" for state, count in sorted(done["refused"].items())]
    parts += [f"{done['missing']} missing"] if done["missing"] else []
    _end(done, as_json, ", ".join(parts))


def _form(out: Path | None, known: tuple[str, ...]) -> str:
    form = "json" if out is None else out.suffix.lower().removeprefix(".")
    if form not in known:
        typer.echo(f"error: --out must end in {' or '.join('.' + item for item in known)}", err=True)
        raise typer.Exit(2)
    return form


def _write(body: bytes, out: Path | None) -> None:
    if out is None:
        typer.echo(body.decode())
    else:
        out.write_bytes(body)


def _end(found: Any, as_json: bool, words: str = "") -> None:
    if words:
        typer.echo(words)
    if as_json:
        typer.echo(json.dumps(found))


def _call(directory: Path, method: str, path: str, body: Any = None) -> Any:
    answer = call(directory, method, path, body)
    return answer.json if answer.body else None
