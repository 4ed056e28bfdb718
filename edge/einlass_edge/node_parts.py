"""Small things that every kind of node has."""

from importlib.metadata import PackageNotFoundError, version

from einlass_core.wire import NAME_LENGTH_MAX

INCARNATION_BYTES = 8


class Stop(Exception):
    """Somebody asked the node to end."""


def software() -> str:
    """What the node calls itself in its hello."""
    try:
        return f"einlass {version('einlass')}"[:NAME_LENGTH_MAX]
    except PackageNotFoundError:
        return "einlass"
