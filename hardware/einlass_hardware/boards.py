"""Reads the board profiles shipped with the product and checks them against their chip."""

import json
from importlib.resources import files

from einlass_core.board import Board
from einlass_core.profile import ProfileError, board
from einlass_hardware.pins import check_pins

_FOLDER = files("einlass_hardware") / "profiles"


def names() -> list[str]:
    """The boards there are profiles for."""
    return sorted(entry.name.removesuffix(".json") for entry in _FOLDER.iterdir() if entry.name.endswith(".json"))


def board_text(name: str) -> str:
    """The profile as it is copied to the node; ProfileError for a board that is not known."""
    entry = _FOLDER / f"{name}.json"
    if not entry.is_file():
        raise ProfileError(f"no board is called {name!r}; there are: {', '.join(names())}")
    return entry.read_text()


def check_board(text: str) -> Board:
    """A profile's text, checked for shape and for what its chip can do; ProfileError says what to mend."""
    checked = board(json.loads(text))
    check_pins(checked)
    return checked
