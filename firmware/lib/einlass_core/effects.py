"""What a lane wants done. Made by Gate.step(), carried out by a shell, in order.

When the shell cannot make a Record durable it drops the effects after it and steps the machine with NotRecorded.
So whatever opens stands after its Record, and whatever locks stands before.
"""

from einlass_core.record import TYPE_CHECKING
from einlass_core.record import Record as Value

if TYPE_CHECKING:
    from typing import Any


class Effect(Value):
    """Base class; never made directly."""

    __slots__ = ()


class Ask(Effect):
    """Ask the controller whether the bearer of this code may pass; never repeat it under another nonce."""

    __slots__ = ("nonce", "side", "code")

    def __init__(self, nonce: str, side: str, code: str) -> None:
        self.nonce = nonce
        self.side = side
        self.code = code


class Record(Effect):
    """Make this fact and the account as it now stands durable, and tell the controller until it has it."""

    __slots__ = ("kind", "fields")

    def __init__(self, kind: str, fields: "dict[str, Any]") -> None:
        self.kind = kind
        self.fields = fields


class SetBolt(Effect):
    """Free (True) or lock (False) this side.

    until_ms is the lane's own deadline: a driver that comes to it later must not open any more. None: no end.
    """

    __slots__ = ("side", "released", "until_ms")

    def __init__(self, side: str, released: bool, until_ms: "int | None" = None) -> None:
        self.side = side
        self.released = released
        self.until_ms = until_ms


class Show(Effect):
    """Show a decision (its code and values); signals.py has the colour and sound, the shell the words."""

    __slots__ = ("code", "values")

    def __init__(self, code: str, values: "dict[str, Any] | None" = None) -> None:
        self.code = code
        self.values = values or {}


class Tell(Effect):
    """Send a status now: the controller is waiting to hear how the account stands."""

    __slots__ = ()
