"""What goes over HTTP. Instants are ISO 8601 with an offset on the way in, Unix milliseconds (`_ms`) on the way out."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from einlass_controller.messages import ENTRY
from einlass_core.codes import CODE_LENGTH_MAX
from einlass_core.wire import PERSONS_MAX

TICKETS_MAX = 500
QR_SCALE_MAX = 20
PERSON_NAME_LENGTH_MAX = 36
NONCE_PATTERN = r"^[A-Za-z0-9._:-]{1,48}$"

Code = Annotated[str, Field(min_length=1, max_length=CODE_LENGTH_MAX)]
Name = Annotated[str, Field(max_length=40)]
PersonName = Annotated[str, Field(min_length=1, max_length=PERSON_NAME_LENGTH_MAX, pattern=r"^[^,\x00-\x1f\x7f]+$")]


class Model(BaseModel):
    """An unknown field is an error: it is a typing mistake more often than not."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TicketOrder(Model):
    """n tickets of the same kind. zone "": every zone of the site. persons: let in together by one scan."""

    n: int = Field(default=1, ge=1, le=TICKETS_MAX)
    product: Literal["single"] = "single"
    persons: int = Field(default=1, ge=1, le=PERSONS_MAX)
    zone: Name = ""
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
    with_qr: bool = Field(default=False, description="put an SVG of each QR code into the answer")


class IssuedTicket(Model):
    """The only time that a code is told. To draw it again, POST it to /api/v1/qr."""

    id: str
    code: str
    typed: str = Field(description="the code as a person types it")
    qr_svg: str | None = None


class Issued(Model):
    """What was ordered."""

    tickets: list[IssuedTicket]


class TicketOut(Model):
    """A ticket without its code."""

    id: str
    product: str
    zone: str
    persons: int
    status: str
    valid_from_ms: int | None
    valid_until_ms: int | None
    entries_left: int | None
    first_use_ms: int | None
    last_use_ms: int | None
    last_lane: str
    inside: int = Field(description="persons of this ticket who are inside now")


class CodeIn(Model):
    """A code in the body, so that it never stands in an address or a log."""

    code: Code


class QrOrder(CodeIn):
    """How to draw it."""

    format: Literal["svg", "png"] = "svg"
    scale: int = Field(default=8, ge=1, le=QR_SCALE_MAX, description="pixels of one module")


class RedeemOrder(CodeIn):
    """A scan by hand. Without `lane` the desk of `zone`; without both the desk of the only zone."""

    nonce: str = Field(pattern=NONCE_PATTERN, description="unique for this scan, the same on every retry")
    side: Literal["entry", "exit"] = ENTRY  # type: ignore[assignment]
    lane: Name = ""
    zone: Name = ""


class DecisionOut(Model):
    """The decision (docs: domain, section 3), the same on every retry, and its words."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str
    code: str
    persons: int
    text_key: str
    text_de: str
    text_en: str
    values: dict[str, Any]
    entries_left: int | None


class CommandOrder(Model):
    """rearm (after an emergency): two different people say that it is over. identify: the node shows itself."""

    do: Literal["rearm", "identify"]
    by: list[PersonName] = Field(min_length=1, max_length=2)


class CommandOut(Model):
    """reply "": none yet."""

    id: str
    node: str
    do: str
    by: str
    issued_ms: int
    expires_ms: int
    reply: str
    detail: str


class LedgerEntry(Model):
    """One line of the ledger; body is JSON text as it was sealed."""

    number: int
    at_ms: int
    kind: str
    body: str
    hash: str


class DeadLetter(Model):
    """A message that could not be used; payload is shown as text, cut and with codes masked."""

    number: int
    at_ms: int
    origin: str
    reason: str
    payload: str


class PublicZone(Model):
    """The public figure: free places with their age. about: a lane is cut off, so it may be a few fewer."""

    id: str
    name: str
    name_en: str
    cap: int
    free: int
    is_open: bool
    about: bool


class Public(Model):
    """Free places, as of as_of_ms."""

    site: str
    as_of_ms: int
    zones: list[PublicZone]


class Health(Model):
    """ok only when all three are true."""

    ok: bool
    live: bool
    database: bool
    broker: bool
