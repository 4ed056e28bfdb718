"""What the engine takes in and gives out. Made by intake.py (from the wire) and api/ (from HTTP).

What nodes send all day is a Struct: made in a tenth of the time of a frozen dataclass, and as little to be changed.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec import Struct

from einlass_controller.domain.occupancy import Report
from einlass_controller.domain.tickets import Ticket
from einlass_controller.orders import OfficeOrder
from einlass_core.signed import Signed

ENTRY = "entry"
EXIT = "exit"
SIDES = (ENTRY, EXIT)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is kept of a scanned code. content: keyed hash, for logs and for telling two scans apart.

    fault: why it cannot be a code (then the rest but content is empty). signed: what a signed code says, unproved.
    is_opaque: it has the form of our own random codes.
    """

    content: str
    digest: str = ""
    sha256: str = ""
    fault: str = ""
    signed: Signed | None = field(default=None, repr=False)
    is_opaque: bool = False


@dataclass(frozen=True, slots=True)
class Hello:
    """A node connected."""

    node: str
    boot: int
    report: Report
    software: str
    hardware: str
    reason: str


class Ask(Struct, frozen=True):
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
class Price:
    """A till asks what is due (wire_till.py, `price`). subject: a code; a plate as a keyed hash; a product as it is.

    cards: what was shown so far; public: each of them as a public code, if it can be one.
    """

    node: str
    boot: int
    report: Report
    nonce: str
    sale: int
    what: str
    subject: str
    proof: Proof
    cards: tuple[Proof, ...]
    public: tuple[str, ...]
    paid_cents: int

    @property
    def key(self) -> str:
        """What makes it the same question again."""
        return f"{self.node}/{self.nonce}"

    @property
    def content(self) -> str:
        """What was asked, for telling two questions apart."""
        cards = " ".join(card.content for card in self.cards)
        return f"{self.sale}/{self.what}/{self.proof.content}/{self.paid_cents}/{cards}"


class NodeEvent(Struct, frozen=True):
    """A journal record. seq: its number; report None: unreadable but for its number."""

    node: str
    inc: str
    boot: int
    seq: int
    kind: str
    report: Report | None = None
    fields: dict[str, Any] = {}


class Status(Struct, frozen=True):
    """How a node is; repeated every few seconds.

    book: the tariff that a till has (digest), which one is coming in, and the next piece of that. stamp: the newest day
    whose key for tickets the node has.
    """

    node: str
    boot: int
    report: Report
    lane: str
    waiting: int
    emergency: bool
    ms: int = 0
    cut_off: str = ""
    listed: tuple[int, int] | None = None
    listed_age_ms: int = 0
    trust: tuple[int, str] | None = None
    book: tuple[str, str, int] | None = None
    stamp: int | None = None


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
    """New tickets; result: None, or Declined when a time slot has no room for them. by: the name of the API key.

    walk_in: sold to somebody who stands at the desk, from the share that is not sold ahead.
    """

    tickets: tuple[Ticket, ...]
    by: str
    walk_in: bool = False


@dataclass(frozen=True, slots=True)
class Redeem:
    """A scan over HTTP at a lane that the controller keeps itself; result: Redeemed.

    persons: so many of the group (0: all). proof_seen: staff answers for what the rules want proved. paid_cents: what
    was paid for this stay beyond the ticket.
    """

    client: str
    lane: str
    side: str
    nonce: str
    proof: Proof
    persons: int = 0
    proof_seen: bool = False
    paid_cents: int = 0

    @property
    def key(self) -> str:
        """What makes it the same question again."""
        return f"{self.client}/{self.side}/{self.nonce}"

    @property
    def content(self) -> str:
        """What was asked, for telling two questions apart."""
        said = (self.persons, self.proof_seen, self.paid_cents)
        return self.proof.content if said == (0, False, 0) else f"{self.proof.content}/{said[0]}/{said[1]:d}/{said[2]}"


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


@dataclass(frozen=True, slots=True)
class SetRules:
    """A new version of the house's rules (checked before); result: Done with its `version`, or Declined.

    valid_from_ms 0: at once.
    """

    body: dict[str, Any]
    valid_from_ms: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Correct:
    """Staff counted a zone; result: Done. seen: what the screen said then (None: what the books say now)."""

    zone: str
    count: int
    seen: int | None
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Shut:
    """No entries from one instant until another (None: until it is opened again); both 0: open. Result: Done."""

    zone: str
    from_ms: int
    until_ms: int | None
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetMode:
    """The whole site: "" (as usual), "lockdown" or "evacuation" (domain.admission). Result: Done, or Declined.

    people: who says so; two different ones to end an evacuation.
    """

    mode: str
    by: str
    people: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Vouch:
    """Staff saw the proof of a ticket: scans until then need not ask again. Result: Done, or Declined."""

    ticket: str
    until_ms: int
    by: str


@dataclass(frozen=True, slots=True)
class Done:
    """It is stored; `values` say what came of it."""

    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Declined:
    """It was not done, and why, for a person. missing: what it is about does not exist."""

    reason: str
    missing: bool = False


House = SetRules | Correct | Shut | SetMode | Vouch
Message = (
    Hello
    | Ask
    | Price
    | NodeEvent
    | Status
    | Alarm
    | Reply
    | State
    | Rejected
    | Tick
    | Issue
    | Redeem
    | Order
    | OfficeOrder
    | House
)


class Outbound(NamedTuple):
    """A message to publish at QoS 1, never retained."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch led to, after its commit. results: one for each message, None where nobody waits."""

    outbound: list[Outbound]
    results: list[Any]
