"""`einlass node`: runs one lane on a Raspberry Pi, or only checks its configuration."""

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from einlass_core.journal import JournalError
from einlass_edge.config import ConfigError, check_ca, read_config, read_password
from einlass_edge.config_sign import SignNodeConfig
from einlass_edge.drivers.turnstile_gpio import PinsMissingError
from einlass_edge.node import Node
from einlass_edge.sign import SignNode

EXIT_CONFIG = 2
EXIT_JOURNAL = 3
EXIT_PINS = 4

app = typer.Typer(add_completion=False)


@app.command()
def node(
    config: Annotated[Path, typer.Option(help="The node's configuration, node.toml.")],
    check: Annotated[bool, typer.Option("--check", help="Only check the configuration; starts nothing.")] = False,
) -> None:
    """Run a lane (readers, turnstile or barrier, journal) or a sign. SIGTERM ends it with bolts safe."""
    try:
        settings = read_config(config)
        password = read_password(settings.broker, config.parent)
        check_ca(settings.broker, config.parent)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_CONFIG) from None
    if check:
        what = "a sign" if isinstance(settings, SignNodeConfig) else f"turnstile by {settings.turnstile.kind}"
        typer.echo(f"{config}: good. Node {settings.node} of site {settings.site}, {what}")
        return
    _log_to_stderr()
    if isinstance(settings, SignNodeConfig):
        asyncio.run(_run(SignNode(settings, config.parent.resolve(), password)))
        return
    try:
        lane = Node(settings, config.parent.resolve(), password)
    except (JournalError, PinsMissingError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_JOURNAL if isinstance(error, JournalError) else EXIT_PINS) from None
    asyncio.run(_run(lane))


async def _run(lane: Node | SignNode) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await lane.run(stop)


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
