"""The one console script. Only the command that is used is imported: a gate has no database, a desk no camera."""

import importlib
import sys

import typer

from einlass_core import VERSION

_EXTRAS = {
    "einlass_controller": "controller",
    "einlass_edge": "edge",
    "einlass_sim": "demo",
    "einlass_hardware": "demo",
}
# Command, the module it lives in, its name there, and its line in the map of the product.
_MAP = (
    (
        "demo",
        "einlass_sim.demo.cli",
        "demo",
        "See it move: a pool fills up; every part a process, the hardware simulated.",
    ),
    ("stop", "einlass_sim.demo.cli", "stop", "End a demo that is still running."),
    ("controller", "einlass_controller.cli", "controller", "Set up and run a site's controller."),
    ("ticket", "einlass_controller.cli", "ticket", "Issue tickets, block, replace, import and print them."),
    ("voucher", "einlass_controller.cli", "voucher", "Parking vouchers: make, print, block, hand out."),
    ("partner", "einlass_controller.cli", "partner", "Shops that hand out vouchers: accounts, statistics."),
    ("parking", "einlass_controller.cli", "parking", "Car parks: stays, lost tickets, takings, tariffs."),
    ("key", "einlass_controller.cli", "key", "API keys: who may use the API, and for what."),
    (
        "ledger",
        "einlass_controller.cli",
        "ledger",
        "Check, export, replay the record of decisions and passages.",
    ),
    ("rules", "einlass_controller.cli_house", "rules", "Products, opening hours: try and change what they allow."),
    ("zone", "einlass_controller.cli_house", "zone", "Correct a count, close early, see who is inside."),
    ("site", "einlass_controller.cli_house", "site", "Lockdown and evacuation."),
    ("backup", "einlass_controller.cli", "backup", "Copy a site's database while it is in use."),
    ("restore", "einlass_controller.cli", "restore", "Put a copy back; entrances stay shut until people are counted."),
    ("recount", "einlass_controller.cli", "recount", "Say how many people are inside, after a restore."),
    ("tariff", "einlass_controller.cli_tariff", "tariff", "Parking tariffs: check, try, buy time, compare."),
    ("node", "einlass_edge.cli", "node", "Run one lane on a Raspberry Pi."),
    (
        "simulate",
        "einlass_sim.world.cli",
        "simulate",
        "A site in virtual time, under faults by the thousand; planted bugs.",
    ),
    ("replay", "einlass_sim.world.cli", "replay", "A node's journal, fed to the core step by step."),
    ("firmware", "einlass_hardware.cli", "firmware", "Build and check what is copied to an ESP32."),
    ("bench", "einlass_sim.bench.cli", "bench", "Measure, beside what it is compared with, in one run."),
)
EXIT_MISSING = 2


def app() -> None:
    """Run the command that was asked for."""
    wanted = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    root = typer.Typer(no_args_is_help=True, add_completion=False)
    root.callback()(_root)
    for name, module, attribute, line in _MAP:
        if name == wanted:
            _add(root, name, module, attribute, line)
        else:
            root.command(name, help=line)(_never)
    root()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"einlass {VERSION}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
    ),
) -> None:
    """Pool turnstiles and parking machines: visitor limits that hold, vouchers that are used once."""


def _never() -> None:
    """Stands in the map for a command that was not asked for."""


def _add(root: typer.Typer, name: str, module: str, attribute: str, line: str) -> None:
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        extra = _EXTRAS[module.split(".")[0]]
        print(f"error: {error.name} is not installed; it comes with einlass[{extra}]", file=sys.stderr)
        raise SystemExit(EXIT_MISSING) from error
    if isinstance(found, typer.Typer):
        root.add_typer(found, name=name, help=line)
    else:
        root.command(name, help=found.__doc__)(found)


if __name__ == "__main__":
    app()
