"""`einlass bench`: figures, each in one run beside what it is compared with."""

import json
from collections.abc import Mapping
from typing import Annotated

import typer

from einlass_sim.bench.echo import CLIENTS

NODES_MAX = 1_000
TICKETS_MIN = 1_000
TICKETS_MAX = 5_000_000

bench = typer.Typer(help="Measure, on this machine, beside what it is compared with.", no_args_is_help=True)


@bench.command("firmware")
def firmware_command(
    visitors: Annotated[int, typer.Option(min=1, max=10_000, help="Passing in and out.")] = 100,
    heap: Annotated[str, typer.Option(help="The board's heap, as MicroPython takes it.")] = "120K",
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """How much of its heap the ESP32's firmware leaves free while visitors pass, on the simulated board."""
    from einlass_hardware.firmware import BuildError
    from einlass_sim.bench_firmware import measure_heap
    from einlass_sim.brokers import BrokerMissingError
    from einlass_sim.processes import ProcessError

    try:
        found = measure_heap(visitors, heap)
    except (BuildError, BrokerMissingError, ProcessError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    _tell(found, as_json)


@bench.command("decisions")
def decisions_command(
    nodes: Annotated[int, typer.Option(min=1, max=NODES_MAX, help="Lanes that scan at the same time.")] = 200,
    seconds: Annotated[float, typer.Option(min=0.5, max=600, help="Time measured, all windows together.")] = 12.0,
    database: Annotated[str, typer.Option(help="sqlite, postgres (a private server) or an empty database's URL.")] = (
        "sqlite"
    ),
    tickets: Annotated[int, typer.Option(min=TICKETS_MIN, max=TICKETS_MAX, help="Tickets stored before.")] = 10_000,
    client: Annotated[str, typer.Option(help=f"The client of the echo: {', '.join(CLIENTS)}.")] = CLIENTS[0],
    http: Annotated[bool, typer.Option("--http", help="Also redeem over HTTP, beside an empty endpoint.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Durable decisions a second through a real broker, and the plain echo of the same client in the same run."""
    from einlass_controller.store.database import DatabaseError
    from einlass_sim.bench.decisions import measure
    from einlass_sim.bench.line import BenchError
    from einlass_sim.brokers import BrokerMissingError
    from einlass_sim.postgres import PostgresMissingError
    from einlass_sim.processes import ProcessError

    try:
        found = measure(nodes, seconds, database, tickets, client, http=http)
    except (BenchError, BrokerMissingError, DatabaseError, PostgresMissingError, ProcessError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    _tell(found, as_json)


@bench.command("tariff")
def tariff_command(
    seconds: Annotated[float, typer.Option(min=0.1, max=60, help="Time measured for each tariff.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Parking fees a second, with and without the account, of a simple and of a crowded tariff; beside a bare loop."""
    from einlass_sim.bench.tariff import measure

    _tell(measure(seconds), as_json)


@bench.command("till")
def till_command(
    scans: Annotated[int, typer.Option(min=10, max=2000, help="Tickets held to the reader.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """From the last byte of a ticket's code to its price on the display: real broker, controller and till processes."""
    from einlass_sim.bench.till import measure
    from einlass_sim.brokers import BrokerMissingError
    from einlass_sim.processes import ProcessError
    from einlass_sim.till_site import SiteError

    try:
        found = measure(scans)
    except (BrokerMissingError, ProcessError, SiteError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    _tell(found, as_json)


def _tell(found: Mapping[str, object], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        typer.echo(f"{name:32} {value}")
