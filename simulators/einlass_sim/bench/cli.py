"""`einlass bench`: figures, each in one run beside what it is compared with."""

import json
from typing import Annotated

import typer

bench = typer.Typer(help="Measure, on this machine, beside what it is compared with.", no_args_is_help=True)


@bench.callback()
def _bench() -> None:
    """Keeps a command a sub-command although it is the only one."""


@bench.command("tariff")
def tariff_command(
    seconds: Annotated[float, typer.Option(min=0.1, max=60, help="Time measured for each tariff.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Parking fees a second, with and without the account, of a simple and of a crowded tariff; beside a bare loop."""
    from einlass_sim.bench.tariff import measure

    found = measure(seconds)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        typer.echo(f"{name:32} {value}")
