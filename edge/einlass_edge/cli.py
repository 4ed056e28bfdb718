"""`einlass node`: runs one lane, till or sign on a Raspberry Pi, or only checks its configuration."""

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from einlass_core.journal import JournalError
from einlass_edge.config import ConfigError, NodeConfig, check_ca, read_password
from einlass_edge.config_any import AnyConfig, read_any_config
from einlass_edge.config_sign import SignNodeConfig
from einlass_edge.config_till import TillNodeConfig
from einlass_edge.drivers.turnstile_gpio import PinsMissingError
from einlass_edge.node import Node
from einlass_edge.sign import SignNode
from einlass_edge.till_node import TillNode

EXIT_CONFIG = 2
EXIT_JOURNAL = 3
EXIT_PINS = 4

app = typer.Typer(add_completion=False)


@app.command()
def node(
    config: Annotated[Path, typer.Option(help="The node's configuration, node.toml.")],
    check: Annotated[bool, typer.Option("--check", help="Only check the configuration; starts nothing.")] = False,
) -> None:
    """Run one lane, till or sign: its devices, journal, and the line to the controller. SIGTERM ends it, bolts safe."""
    try:
        settings = read_any_config(config)
        password = read_password(settings.broker, config.parent)
        check_ca(settings.broker, config.parent)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_CONFIG) from None
    if check:
        typer.echo(f"{config}: good. Node {settings.node} of site {settings.site}, {_drives(settings)}")
        return
    _log_to_stderr()
    try:
        made = _made(settings, config.parent.resolve(), password)
    except (JournalError, PinsMissingError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_JOURNAL if isinstance(error, JournalError) else EXIT_PINS) from None
    asyncio.run(_run(made))


def _made(settings: AnyConfig, directory: Path, password: str) -> Node | TillNode | SignNode:
    if isinstance(settings, TillNodeConfig):
        return TillNode(settings, directory, password)
    if isinstance(settings, SignNodeConfig):
        return SignNode(settings, directory, password)
    return Node(settings, directory, password)


def _drives(settings: AnyConfig) -> str:
    if isinstance(settings, SignNodeConfig):
        return f"sign of {settings.sign.zone}"
    if isinstance(settings, NodeConfig):
        return f"turnstile by {settings.turnstile.kind}"
    till = settings.till
    pays = [f"coins {', '.join(map(str, till.coins.take))}"] if till.coins else []
    pays += [f"change in {', '.join(str(hopper.cents) for hopper in till.hopper)}"] if till.hopper else []
    pays += [f"cards at {till.terminal.host}:{till.terminal.port}"] if till.terminal else []
    return f"{till.kind} till: {'; '.join(pays)}"


async def _run(node: Node | TillNode | SignNode) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await node.run(stop)


def _log_to_stderr() -> None:
    to_person = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if to_person else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


if __name__ == "__main__":
    app()
