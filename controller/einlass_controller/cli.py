"""What hangs into the one console script; `einlass controller` is here, the others are in files of their own."""

# Only what every command needs is imported here: `einlass --help` must not wait for a web server and an ORM.
from pathlib import Path
from typing import Annotated

import typer

from einlass_controller.cli_backup import backup, recount, restore
from einlass_controller.cli_ledger import ledger
from einlass_controller.cli_parking import parking
from einlass_controller.cli_tickets import key, ticket
from einlass_controller.cli_vouchers import partner, voucher
from einlass_controller.settings import API_KEY_FILE, SETTINGS_FILE, SettingsError, read_settings

__all__ = ["backup", "controller", "key", "ledger", "parking", "partner", "recount", "restore", "ticket", "voucher"]

controller = typer.Typer(help="The controller of a site: set it up, run it.", no_args_is_help=True)


Directory = Annotated[Path, typer.Option("--dir", help="The directory that the set-up made.")]


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
    if made.count:
        typer.echo(f"NOBODY IS LET IN before people have been counted: {made.count}")
        typer.echo(f"start the controller, then count: einlass recount --dir {directory} --zone ZONE=PEOPLE ...")
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


@controller.command("broker")
def broker_command(
    directory: Directory,
    to: Annotated[Path, typer.Option(help="Where the broker's files go; readable by their owner only.")],
    kind: Annotated[str, typer.Option(help="mosquitto or nats.")] = "mosquitto",
    port: Annotated[int | None, typer.Option(help="1883, or 8883 with a certificate, unless given.")] = None,
    bind: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is every one.")] = "127.0.0.1",
    store: Annotated[Path | None, typer.Option(help="Where the broker keeps its own; a directory that exists.")] = None,
    cert: Annotated[Path | None, typer.Option(help="Its certificate with the chain (PEM): TLS only.")] = None,
    cert_key: Annotated[Path | None, typer.Option(help="The certificate's private key (PEM).")] = None,
) -> None:
    """Write the broker's configuration: who may connect, and what each may say and hear."""
    from einlass_controller.broker import BrokerSettingError, BrokerTls
    from einlass_controller.broker_files import KINDS, PORT_DEFAULT, TLS_PORT_DEFAULT, users_of_site, write_broker_files
    from einlass_controller.store.database import DatabaseError

    chosen = next((name for name in KINDS if name == kind), None)
    if chosen is None:
        raise _stop(SettingsError(f"--kind {kind}: there is mosquitto and nats"))
    if (cert is None) != (cert_key is None):
        raise _stop(SettingsError("a certificate needs its key: give --cert and --cert-key"))
    try:
        for file in (cert, cert_key):
            if file is not None and not file.is_file():
                raise SettingsError(f"{file} is not there")
        tls = BrokerTls(str(cert.resolve()), str(cert_key.resolve())) if cert and cert_key else None
        port = port if port is not None else PORT_DEFAULT if tls is None else TLS_PORT_DEFAULT
        users = users_of_site(directory)
        made = write_broker_files(chosen, users, to, port=port, bind=bind, store=store, tls=tls)
    except (SettingsError, BrokerSettingError, DatabaseError, OSError) as error:
        raise _stop(error) from error
    program = "mosquitto" if chosen == "mosquitto" else "nats-server"
    typer.echo(f"{len(users)} users may connect on port {port}; start it with: {program} -c {made}")


def _stop(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(2)
