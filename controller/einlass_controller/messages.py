"""What the engine takes in and gives out. Made by intake.py (from the wire) and api/ (from HTTP)."""

from dataclasses import dataclass, field
from typing import Any

from einlass_controller.domain.occupancy import Report
from einlass_controller.domain.tickets import Ticket

ENTRY = "entry"
EXIT = "exit"
SIDES = (ENTRY, EXIT)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is kept of a scanned code. content: keyed hash, for logs and for telling two scans apart.

    fault: why it cannot be a code (then the rest but content is empty).
    """

    content: str
    digest: str = ""
    sha256: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Hello:
    """A node connected."""

    node: str
    boot: int
    report: Report
    software: str
    hardware: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody held a code in front of a node's reader."""

    node: str
    boot: int
    report: Report
    nonce: str
    side: str
    proof: Proof

    @property
    def key(self) -> str:
        """What makes it the same question again."""
        return f"{self.node}/{self.side}/{self.nonce}"


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """A journal record. seq: its number; report None: unreadable but for its number."""

    node: str
    inc: str
    boot: int
    seq: int
    kind: str
    report: Report | None = None
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Status:
    """How a node is; repeated every few seconds."""

    node: str
    boot: int
    report: Report
    lane: str
    waiting: int
    emergency: bool


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a person should look at."""

    node: str
    inc: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a command."""

    node: str
    id: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class State:
    """The broker's word on whether a node is connected."""

    node: str
    online: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that cannot be used; `reason` is for a technician."""

    origin: str
    reason: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: limits without an acknowledgement are sent again. announce: tell every node the time."""

    announce: bool = False


@dataclass(frozen=True, slots=True)
class Issue:
    """New tickets; result: None. by: the name of the API key."""

    tickets: tuple[Ticket, ...]
    by: str


@dataclass(frozen=True, slots=True)
class Redeem:
    """A scan over HTTP at a lane that the controller keeps itself; result: Redeemed."""

    client: str
    lane: str
    side: str
    nonce: str
    proof: Proof

    @property
    def key(self) -> str:
        """What makes it the same question again."""
        return f"{self.client}/{self.side}/{self.nonce}"


@dataclass(frozen=True, slots=True)
class Redeemed:
    """answer: the decision as JSON, the same bytes on every repeat. conflict: the nonce was used for something else."""

    answer: bytes
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A command for a node; result: True when the node has an incarnation to bind it to."""

    id: str
    node: str
    do: str
    by: str
    lifetime_ms: int


Message = Hello | Ask | NodeEvent | Status | Alarm | Reply | State | Rejected | Tick | Issue | Redeem | Order


@dataclass(frozen=True, slots=True)
class Outbound:
    """A message to publish at QoS 1, never retained."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch led to, after its commit. results: one for each message, None where nobody waits."""

    outbound: list[Outbound]
    results: list[Any]
