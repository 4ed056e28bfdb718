"""What `simulate world` and `simulate tills` have in common: their options, stories, and how they end."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Generic, NoReturn

import typer

from einlass_sim.world.seeded import ALL, D, kinds_of

if TYPE_CHECKING:
    from einlass_sim.world.tally import Found, Tally

HOURS_MAX = 10_000.0
STORY_LINES = 40

Seeds = Annotated[str, typer.Option(help="A..B (both included), or one seed.")]
Hours = Annotated[float, typer.Option(min=0.1, max=HOURS_MAX, help="Virtual hours a seed.")]
Faults = Annotated[str, typer.Option(help="all, none, or kinds with commas between.")]
OneSeed = Annotated[int | None, typer.Option(help="Only this one.")]
Story = Annotated[bool, typer.Option("--story", help="Tell what happens, line by line.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]


class Asked(Generic[D]):
    """Which seeds of which site. Ends the command with 2 where that makes no sense."""

    def __init__(
        self,
        kinds: tuple[str, ...],
        draw: Callable[[int, float, frozenset[str]], D],
        play: "Callable[[D, bool], Found]",
        options: tuple[str, int | None, float, str],
    ) -> None:
        """kinds: of faults that there are. options: seeds, the only seed, hours, faults."""
        seeds, seed, self.hours, self._faults = options
        self._draw = draw
        self._play = play
        try:
            self.kinds = kinds_of(self._faults, kinds)
            self.seeds = [seed] if seed is not None else _seeds(seeds)
        except ValueError as error:
            refuse(error)

    def tell(self) -> None:
        """Each seed's story."""
        for seed in self.seeds:
            typer.echo("\n".join(self._play(self._draw(seed, self.hours, self.kinds), True).story))

    def end(self, totals: "Tally", as_json: bool) -> None:
        """What came of it. Ends the command with 1 or 3."""
        found = totals.as_dict()
        if as_json:
            typer.echo(json.dumps(found))
        else:
            for name, value in found.items():
                typer.echo(f"{name:12} {value}")
        if totals.violations:
            first = totals.violations[0]
            self._tell_shortest(int(first["seed"]), str(first["what"]))
            raise typer.Exit(1)
        if self._faults == ALL and not totals.counts():
            typer.echo(f"this run does not count: not often enough {', '.join(totals.missed())}", err=True)
            raise typer.Exit(3)

    def _tell_shortest(self, seed: int, what: str) -> None:
        from einlass_sim.world import shrink

        print(f"making the story of seed {seed} short ...", file=sys.stderr)
        whole = self._draw(seed, self.hours, self.kinds)
        short = shrink.shrink(whole, what, lambda drawn: self._play(drawn, False), shrink.TRIES)
        told = self._play(short, True).story
        print(f"seed {seed}, {short.size}, {short.hours:g} h, {len(short.episodes)} faults", file=sys.stderr)
        print("\n".join(told[-STORY_LINES:]), file=sys.stderr)


def refuse(error: Exception) -> NoReturn:
    """Ends the command with 2 and the error's text."""
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(2) from error


def _seeds(text: str) -> list[int]:
    first, dots, last = text.partition("..")
    if not first.isdigit() or (dots and not last.isdigit()):
        raise ValueError(f"seeds are {text!r}: write A..B, such as 1..200, or one number")
    found = list(range(int(first), int(last or first) + 1))
    if not found:
        raise ValueError(f"seeds are {text!r}: the first is above the last")
    return found
