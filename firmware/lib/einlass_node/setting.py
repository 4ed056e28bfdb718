"""Reads and checks the files that make this board this node. Loaded, used once and forgotten: it needs much memory."""

import json

from einlass_core import profile
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

PROFILE_FILE = "/profile.json"
CONFIG_FILE = "/config.json"


def read() -> "tuple[Any, ...]":
    """(configuration, board, lane settings); ProfileError says which file is wrong and what to mend."""
    board = profile.board(_load(PROFILE_FILE))
    config = profile.node_config(_load(CONFIG_FILE))
    settings = profile.lane_settings(config.lane, "bolt_entry_sensed" in board.lines)
    return config, board, settings


def _load(path: str) -> "Any":
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise profile.ProfileError("%s: %s; copy it to the board again" % (path, error))
