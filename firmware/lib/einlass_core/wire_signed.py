"""What lanes that judge signed tickets say and are told, beside wire.py: hosts only, an ESP32 has no room for it."""

from einlass_core import wire
from einlass_core.signed_alone import PIECE_LENGTH_MAX

DOWN = ("trust",)

_TYPES = {"piece": (str, 0, PIECE_LENGTH_MAX)}
_PARTS = {
    "trust": "number:count sum:name",
    "claim": "key:count ticket:name product:text zone:text persons:persons from:time until:time",
}
_MESSAGES = {"trust": "inc:name number:count sum:name piece:count pieces:count text:piece"}


def join() -> None:
    """Make wire.py know these messages, too. The second time changes nothing."""
    if "trust" not in wire.MESSAGES:
        wire.TYPES.update(_TYPES)
        wire.PARTS.update(_PARTS)
        wire.MESSAGES.update(_MESSAGES)
        wire.MESSAGES["event"] += " signed?:claim"
        wire.MESSAGES["status"] += " trust?:trust"
        wire.DOWN += DOWN
