"""`einlass simulate`: a site in virtual time, seed by seed; bugs planted to see whether they are found; a real line."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from einlass_sim.world.asked import AsJson, Asked, Faults, Hours, OneSeed, Seeds, Story, refuse

if TYPE_CHECKING:
    from einlass_sim.world.many import Told
    from einlass_sim.world.tally import Tally

simulate = typer.Typer(help="A site under faults: in virtual time, or as real processes (line).", no_args_is_help=True)

JOBS_MAX = 64
FAULTS_MAX = 10_000


@simulate.command("world")
def world_command(
    seeds: Seeds = "1..20",
    hours: Hours = 2.0,
    faults: Faults = "all",
    seed: OneSeed = None,
    story: Story = False,
    jobs: Annotated[int, typer.Option(min=1, max=JOBS_MAX, help="Processes.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Kept here by the hundred; a run that ended early goes on.")] = None,
    as_json: AsJson = False,
) -> None:
    """The shipped lanes and controller under faults, and a truth that neither sees.

    Exit 1: a promise was broken. 3: with all faults, some state was not reached often enough for the run to count.
    """
    from einlass_sim.world import drawn, many, runs

    asked = Asked(drawn.FAULTS, drawn.draw, runs.play, (seeds, seed, hours, faults))
    if story:
        asked.tell()
        return
    told = _told(len(asked.seeds)) if out else many.silent
    try:
        totals = many.run(asked.seeds[0], asked.seeds[-1], hours, asked.kinds, jobs, out, told)
    except (many.FileError, OSError) as error:
        refuse(error)
    asked.end(totals, as_json)


@simulate.command("tills")
def tills_command(
    seeds: Seeds = "1..20",
    hours: Hours = 2.0,
    faults: Faults = "all",
    seed: OneSeed = None,
    story: Story = False,
    as_json: AsJson = False,
) -> None:
    """The shipped tills, cut off and not, with shops' cards and money, under faults; and a truth that neither sees.

    Exit 1: a promise was broken. 3: with all faults, some state was not reached often enough for the run to count.
    """
    from einlass_sim.tills import drawn, runs

    asked = Asked(drawn.FAULTS, drawn.draw, runs.play, (seeds, seed, hours, faults))
    if story:
        asked.tell()
    else:
        asked.end(runs.run(asked.seeds, hours, asked.kinds), as_json)


@simulate.command("planted")
def planted_command(
    only: Annotated[str, typer.Option(help="One bug by its name.")] = "",
    layers: Annotated[str, typer.Option(help="world: both simulations; all: the tests, too.")] = "world",
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Breaks the shipped code in known ways, one at a time, and says which are found. 1: one was not."""
    from einlass_sim.world import layers as other
    from einlass_sim.world import planted

    if only and only not in planted.BUGS:
        typer.echo(f"error: no bug is called {only!r}; there are: {', '.join(planted.BUGS)}", err=True)
        raise typer.Exit(2)
    if layers not in ("world", "all"):
        typer.echo(f"error: --layers is {layers!r}: write world or all", err=True)
        raise typer.Exit(2)
    every = layers == "all"
    names = [only] if only else [name for name, bug in planted.BUGS.items() if every or bug.is_simulated]
    try:
        found = planted.hunt(names, other.LAYERS if every else ())
    except other.LayerError as error:
        refuse(error)
    if as_json:
        typer.echo(json.dumps(found.as_dict()))
    else:
        for name in names:
            seed, what = found.caught.get(name, (0, ""))
            where = [layer for layer, caught in found.elsewhere.items() if name in caught]
            told = f"seed {seed}: {what}" if seed else "not in the world"
            typer.echo(f"{name:34} {told}{''.join(f'; {layer}' for layer in where)}")
        for name in found.missed:
            typer.echo(f"{name:34} NOT FOUND")
    if found.missed:
        raise typer.Exit(1)


@simulate.command("outage")
def outage_command(
    seeds: Annotated[int, typer.Option(min=1, max=1_000, help="Afternoons; medians are printed.")] = 51,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """A cut of 30 minutes at a full pool: places lent by demand, in equal parts, and what others do instead."""
    from einlass_sim.world import outage

    found = outage.measure(seeds)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for traffic, policies in found.items():
        for policy, figures in policies.items():
            told = "  ".join(f"{name} {value:g}" for name, value in figures.items())
            typer.echo(f"{traffic:16} {policy:17} {told}")


@simulate.command("line")
def line_command(
    seed: Annotated[int, typer.Option(help="What is drawn.")] = 1,
    faults: Annotated[int, typer.Option(min=0, max=FAULTS_MAX, help="How many; each takes some 6 s.")] = 20,
    kinds: Annotated[str, typer.Option(help="all, or kinds with commas between.")] = "all",
    own_network: Annotated[bool, typer.Option(help="In a network namespace, where packets can be dropped.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Broker, controller, an ESP32's firmware and a Pi's node as processes, under faults. Exit 1: a promise broken."""
    if own_network:
        again = ["simulate", "line", "--seed", str(seed), "--faults", str(faults), "--kinds", kinds]
        _in_own_network([*again, *(["--json"] if as_json else [])])
    from einlass_sim.brokers import BrokerMissingError
    from einlass_sim.line import runs
    from einlass_sim.processes import ProcessError

    try:
        found = runs.run(seed, faults, runs.kinds_of(kinds))
    except (ValueError, BrokerMissingError, ProcessError) as error:
        refuse(error)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        for name, value in found.items():
            typer.echo(f"{name:14} {value}")
    if found["violations"]:
        raise typer.Exit(1)


def replay(
    journal: Annotated[str, typer.Argument(help="A node's journal: journal.db of a Pi, or the folder of a board.")],
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a step.")] = False,
) -> None:
    """Feeds a node's journal to the core, record by record, and shows what the lane did at each step."""
    from einlass_sim.replay import ReplayError, steps_of

    try:
        for step in steps_of(journal):
            typer.echo(json.dumps(step.as_dict()) if as_json else str(step))
    except ReplayError as error:
        refuse(error)


def _told(wanted: int) -> "Told":
    """A line for every hundred seeds, for whoever waits."""

    def tell(totals: "Tally", fresh: int, wall_s: float) -> None:
        left_s = wall_s / fresh * (wanted - totals.seeds)
        rate = totals.hours / totals.cpu_s if totals.cpu_s else 0.0
        broken = "".join(f", seed {item['seed']}: {item['what']}" for item in totals.violations)
        print(
            f"{totals.seeds} of {wanted} seeds, {totals.hours:.0f} gate-hours, {rate:.1f} a second of processor, "
            f"{left_s / 60:.0f} min left{broken}",
            file=sys.stderr,
            flush=True,
        )

    return tell


def _in_own_network(arguments: list[str]) -> NoReturn:
    """This command once more, there; exit 2 where that is not permitted."""
    from einlass_sim.line.machines import own_network

    command = own_network([sys.executable, "-m", "einlass_cli", *arguments])
    try:
        os.execvp(command[0], command)
    except OSError as error:
        typer.echo(f"error: no network namespace can be made here: {error}", err=True)
        raise typer.Exit(2) from error
