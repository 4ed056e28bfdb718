"""What can happen to a lane. Made by a shell, consumed by Gate.step()."""

from einlass_core.record import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from typing import Any

    from einlass_core.lease import Limit

ENTRY = "entry"
EXIT = "exit"


class Event(Record):
    """Base class; never made directly."""

    __slots__ = ()


class Started(Event):
    """The shell is up and its journal is read. Always the first event, also after a crash."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Scanned(Event):
    """A reader on this side saw these bytes. Untrusted; codes.read() judges them."""

    __slots__ = ("side", "raw")

    def __init__(self, side: str, raw: bytes) -> None:
        self.side = side
        self.raw = raw


class Answered(Event):
    """The controller's decision on the Ask with this nonce; may come late, twice or never."""

    __slots__ = ("nonce", "code", "persons", "values", "limit")

    def __init__(
        self, nonce: str, code: str, persons: int, values: "dict[str, Any]", limit: "Limit | None" = None
    ) -> None:
        self.nonce = nonce
        self.code = code
        self.persons = persons
        self.values = values
        self.limit = limit


class Limited(Event):
    """The controller moved this lane's ceiling, or lets it use it alone for lease_ms from its request at from_ms.

    May come late, twice or out of order.
    """

    __slots__ = ("limit", "from_ms", "lease_ms")

    def __init__(self, limit: "Limit", from_ms: int = 0, lease_ms: int = 0) -> None:
        self.limit = limit
        self.from_ms = from_ms
        self.lease_ms = lease_ms


class BodyPassed(Event):
    """One body went through, inward (entry) or outward (exit): the sensors' word, whoever was let in."""

    __slots__ = ("side",)

    def __init__(self, side: str) -> None:
        self.side = side


class PassageBusy(Event):
    """Somebody is between the sensors (True), or all sensors are at rest again (False)."""

    __slots__ = ("busy",)

    def __init__(self, busy: bool) -> None:
        self.busy = busy


class BoltSensed(Event):
    """The bolt's own contact: this side is mechanically free (True) or locked (False)."""

    __slots__ = ("side", "released")

    def __init__(self, side: str, released: bool) -> None:
        self.side = side
        self.released = released


class EmergencyInput(Event):
    """The emergency loop: pressed or broken (True), or healthy again (False)."""

    __slots__ = ("pressed",)

    def __init__(self, pressed: bool) -> None:
        self.pressed = pressed


class Rearmed(Event):
    """Two people, named, say that the emergency is over."""

    __slots__ = ("first", "second")

    def __init__(self, first: str, second: str) -> None:
        self.first = first
        self.second = second


class Linked(Event):
    """The controller can be reached (True) or not (False)."""

    __slots__ = ("up",)

    def __init__(self, up: bool) -> None:
        self.up = up


class NotRecorded(Event):
    """The journal could not take this Record; the effects that followed it were not carried out."""

    __slots__ = ("kind", "fields")

    def __init__(self, kind: str, fields: "dict[str, Any]") -> None:
        self.kind = kind
        self.fields = fields


class Ticked(Event):
    """deadline_ms has come and nothing else happened."""

    __slots__ = ()
