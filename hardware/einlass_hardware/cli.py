"""`einlass firmware`: what a technician copies to a board."""

from pathlib import Path
from typing import Annotated

import typer

from einlass_core.profile import ProfileError
from einlass_hardware.boards import board_text, check_board, names
from einlass_hardware.firmware import BuildError, build

firmware = typer.Typer(no_args_is_help=True)


@firmware.command("build")
def build_command(
    target: Annotated[Path, typer.Argument(help="A folder; what is in it is replaced.")],
    board: Annotated[str, typer.Option(help="The board; its profile is put beside the firmware.")] = "esp32-turnstile",
) -> None:
    """Compile the firmware into a folder that is the board's file system; copy it with mpremote."""
    try:
        text = board_text(board)
        check_board(text)
        build(target)
    except (ProfileError, BuildError) as error:
        raise _stop(error) from error
    (target / "profile.json").write_text(text)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    typer.echo(f"{target}: {size // 1024} kB; add config.json, then: mpremote cp -r {target}/. :")


@firmware.command("check")
def check_command(profile: Annotated[Path, typer.Argument(help="A board profile (JSON).")]) -> None:
    """Check a board profile against its chip's rules."""
    try:
        checked = check_board(profile.read_text(encoding="utf-8"))
    except (ProfileError, OSError, ValueError) as error:
        raise _stop(error) from error
    typer.echo(f"{profile}: good; {checked.chip} with {len(checked.lines)} lines and {len(checked.readers)} readers")


@firmware.command("boards")
def boards_command() -> None:
    """List the boards there are profiles for."""
    for name in names():
        typer.echo(name)


def _stop(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(1)
