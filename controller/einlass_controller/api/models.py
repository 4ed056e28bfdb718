"""What goes over HTTP. Instants are ISO 8601 with an offset on the way in, Unix milliseconds (`_ms`) on the way out."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from einlass_controller.domain.decision import Text
from einlass_controller.domain.tickets import SINGLE
from einlass_controller.messages import ENTRY
from einlass_core.codes import CODE_LENGTH_MAX
from einlass_core.wire import PERSONS_MAX

TICKETS_MAX = 500
QR_SCALE_MAX = 20
CENTS_MAX = 10_000_000
PEOPLE_MAX = 1_000_000
PREVIEW_SCANS_MAX = 5_000
PROOF_MINUTES_MAX = 24 * 60
MUSTER_TICKETS_MAX = 2_000
REASON_LENGTH_MAX = 200
PERSON_NAME_LENGTH_MAX = 36
REASON_LENGTH_MAX = 200
RATE_DEFAULT_PER_S = 50
RATE_MAX_PER_S = 100_000
NONCE_PATTERN = r"^[A-Za-z0-9._:-]{1,48}$"


def _iso_text(value: object) -> object:
    """A number would be taken for seconds since 1970: it is a mistake more often than not."""
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE.match(value)):
        return value
    raise ValueError("write an instant such as 2026-05-01T09:00:00+02:00")


_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")
Instant = Annotated[AwareDatetime, BeforeValidator(_iso_text)]
Code = Annotated[str, Field(min_length=1, max_length=CODE_LENGTH_MAX)]
Name = Annotated[str, Field(max_length=40)]
Reason = Annotated[str, Field(min_length=1, max_length=REASON_LENGTH_MAX, pattern=r"^[^\x00-\x1f\x7f]+$")]
PersonName = Annotated[str, Field(min_length=1, max_length=PERSON_NAME_LENGTH_MAX, pattern=r"^[^,\x00-\x1f\x7f]+$")]


class Model(BaseModel):
    """An unknown field is an error: it is a typing mistake more often than not."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Mistake(BaseModel):
    """Where a request is wrong, and how."""

    loc: list[str | int]
    msg: str
    type: str


class LineFault(BaseModel):
    """What is wrong with a line of a file."""

    line: int
    text_de: str
    text_en: str


class Problem(BaseModel):
    """What was wrong, in words; or where, for a request that is not as it should be."""

    detail: str | list[Mistake]
    text_de: str = ""
    text_en: str = ""
    faults: list[LineFault] = []


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words}
    for status, words in (
        (400, "the body is no JSON in UTF-8"),
        (401, "no key, or not a known one"),
        (403, "the key lacks the scope"),
        (404, "no such thing"),
        (409, "it contradicts what is"),
        (413, "the body is too long"),
        (422, "a value is not as it should be"),
        (429, "too many requests with this key: wait as long as Retry-After says"),
        (503, "nothing was stored: try again"),
    )
}


class ReasonIn(Model):
    """Why, in a person's words; it stays in the ledger."""

    reason: Reason


class Contradiction(Exception):
    """What is asked contradicts what is: 409, with the reason in both languages."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


class TicketOrder(Model):
    """n tickets of the same kind. zone "": every zone of the site. persons: let in together by one scan."""

    n: int = Field(default=1, ge=1, le=TICKETS_MAX)
    product: Name = SINGLE
    persons: int | None = Field(default=None, ge=1, le=PERSONS_MAX, description="default: as the product says")
    slot: AwareDatetime | None = Field(default=None, description="start of the time slot, for products that have slots")
    walk_in: bool = Field(default=False, description="sold at the desk, also from what is not sold ahead of a slot")
    company_of: Name = Field(default="", description="the ticket that this one may only come along with")
    zone: Name = ""
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    signed: bool = Field(default=False, description="a signed code (E2:), which a lane can judge without a list")
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
    status_de: str
    status_en: str
    reason: str = Field(description="why it is not valid")
    key_id: int = Field(description="of the key that signed it; 0: an opaque code")
    replaces: str
    replaced_by: str
    slot_ms: int | None = Field(description="start of the time slot that it was sold for")
    company_of: str = Field(description="the ticket that it may only come along with")
    due_cents: int = Field(description="owed for a stay that was too long")


class TicketChange(Model):
    """do: block, unblock, cancel, unpaid, paid, revoke (for good)."""

    do: Literal["block", "unblock", "cancel", "unpaid", "paid", "revoke"]
    reason: Reason


class Annulment(ReasonIn):
    """visit: as `visit` in the ledger; without it the ticket's newest entry."""

    visit: str = Field(default="", max_length=128)


class Changed(Model):
    """What was done, in words. changed false: it was so before. ticket null: never shown here yet."""

    changed: bool
    text_de: str
    text_en: str
    ticket: TicketOut | None
    still_counted: int = Field(default=0, description="bodies that a gate counts until a recount")


class Replacement(Changed):
    """The new ticket and its code, which is told only now."""

    id: str
    code: str
    typed: str


class Imported(Model):
    """All tickets of the file count from now on."""

    id: str
    tickets: int


class Page(Model):
    """Tickets in the order of their ids; next: pass it as `after` for those that follow."""

    tickets: list[TicketOut]
    next: str | None


class KeyOrder(Model):
    """scopes: sell, scan, supervise, read, partner; admin opens everything. rate_per_s 0: no limit.

    partner: whose own vouchers a key with the scope `partner` (and no other) is for.
    """

    name: str = Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")
    scopes: list[Literal["sell", "scan", "supervise", "read", "partner", "admin"]] = Field(min_length=1, max_length=6)
    partner: str = Field(default="", max_length=32)
    rate_per_s: int = Field(default=RATE_DEFAULT_PER_S, ge=0, le=RATE_MAX_PER_S)


class ApiKey(Model):
    """A key without the key."""

    name: str
    scopes: list[str]
    rate_per_s: int
    created_ms: int
    revoked_ms: int | None
    partner: str


class NewApiKey(Model):
    """The only time that the key is told."""

    name: str
    key: str
    scopes: list[str]
    rate_per_s: int


class SigningKey(Model):
    """A key that signed tickets are judged by. can_sign: its private half is here."""

    id: int
    public: str
    verify_until_ms: int | None
    revoked_ms: int | None
    can_sign: bool


class Rotation(Model):
    """A new key signs; the others count until old_until (without it: without end)."""

    old_until: Instant | None = None


class CodeIn(Model):
    """A code in the body, so that it never stands in an address or a log."""

    code: Code


class QrOrder(CodeIn):
    """How to draw it."""

    format: Literal["svg", "png"] = "svg"
    scale: int = Field(default=8, ge=1, le=QR_SCALE_MAX, description="pixels of one module")


class PaperOrder(CodeIn):
    """A ticket to hand out. language both: German and English on one page."""

    format: Literal["pdf", "png"] = "pdf"
    language: Literal["de", "en", "both"] = "both"


class RedeemOrder(CodeIn):
    """A scan by hand. Without `lane` the desk of `zone`; without both the desk of the only zone."""

    nonce: str = Field(pattern=NONCE_PATTERN, description="unique for this scan, the same on every retry")
    side: Literal["entry", "exit"] = ENTRY  # type: ignore[assignment]
    lane: Name = ""
    zone: Name = ""
    persons: int = Field(default=0, ge=0, le=PERSONS_MAX, description="so many of the group; 0: all")
    proof_seen: bool = Field(default=False, description="staff answers a `staff` decision: the proof is in order")
    paid_cents: int = Field(default=0, ge=0, le=CENTS_MAX, description="paid in all for a stay that was too long")


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
    guarded: int = Field(description="kept for bookings, and not in `free`")
    is_open: bool
    opens_ms: int | None
    closes_ms: int | None
    about: bool


class Public(Model):
    """Free places, as of as_of_ms. age_ms: how old that is."""

    site: str
    as_of_ms: int
    age_ms: int
    zones: list[PublicZone]


class Health(Model):
    """ok only when all three are true."""

    ok: bool
    live: bool
    database: bool
    broker: bool


Person = Annotated[str, Field(max_length=PERSON_NAME_LENGTH_MAX, pattern=r"^[^,\x00-\x1f\x7f]*$")]


class Reasoned(Model):
    """Why, for the ledger, and which person, if the key stands for several."""

    reason: Reason
    by: Person = ""


class ProductOut(Model):
    """A product that can be sold. rules: what is asked at an entry, in this order."""

    id: str
    name: str
    name_en: str
    persons: int
    entries: int | None
    group: bool
    slot_minutes: int | None
    rules: list[str]


class Products(Model):
    """The products of the rules that hold now."""

    version: int
    products: list[ProductOut]


class RulesVersion(Model):
    """A version of the house's rules."""

    version: int
    valid_from_ms: int
    created_ms: int
    by: str
    reason: str
    in_force: bool


class RulesText(Model):
    """Its text (docs/domain-rules.md)."""

    version: int
    rules: dict[str, Any]


class RulesTrial(Model):
    """Rules to be tried on the last scans."""

    rules: dict[str, Any] = Field(description="products, zones and nightly_close, as docs/domain-rules.md has them")
    last: int = Field(default=1_000, ge=1, le=PREVIEW_SCANS_MAX)


class DecidedOtherwise(Model):
    """So many scans would have gone from one code to another."""

    before: str
    after: str
    scans: int


class Sample(Model):
    """One of them, with what the visitor would read."""

    decision: str
    at_ms: int
    lane: str
    ticket: str
    product: str
    before: str
    after: str
    rule: str
    text_de: str
    text_en: str


class PreviewOut(Model):
    """Each scan is tried by itself, with what was known then; the newest samples first."""

    scans: int
    changed: list[DecidedOtherwise]
    samples: list[Sample]


class RulesOrder(Reasoned):
    """A new version of the house's rules."""

    rules: dict[str, Any]
    valid_from: AwareDatetime | None = None


class RulesTaken(Model):
    """It is stored."""

    version: int
    valid_from_ms: int


class CountOrder(Reasoned):
    """count: people who are in the zone. seen: what the screen said when they were counted, if that is known."""

    count: int = Field(ge=0, le=PEOPLE_MAX)
    seen: int | None = Field(default=None, ge=0, le=PEOPLE_MAX)


class CountTaken(Model):
    """over: persons over the cap. lanes_cut_off: what they have not told yet is put right when they do."""

    zone: str
    before: int
    present: int
    over: int
    lanes_cut_off: list[str]


class CloseOrder(Reasoned):
    """An early closing."""

    at: AwareDatetime | None = None
    until: AwareDatetime | None = None


class ShutTaken(Model):
    """None: not closed by a person; until None: until it is opened again."""

    zone: str
    shut_from_ms: int | None
    shut_until_ms: int | None


class ModeOrder(Model):
    """For the whole site."""

    mode: Literal["normal", "lockdown", "evacuation"]
    by: list[PersonName] = Field(min_length=1, max_length=2)
    reason: Reason


class ModeTaken(Model):
    """What it was and what it is."""

    before: str
    mode: str


class MusterTicket(Model):
    """A ticket whose bearers are inside. doubtful: a node could not tell whether they went through."""

    ticket: str
    persons: int
    lane: str
    since_ms: int
    doubtful: bool


class MusterZone(Model):
    """inside: the greater of two figures that should agree: bodies counted, and persons by ticket.

    More by ticket than counted: some left without a scan. under_way: let in, not through yet.
    """

    id: str
    parent: str
    name: str
    name_en: str
    inside: int
    counted: int
    by_ticket: int
    anonymous: int
    under_way: int
    about: bool
    tickets: list[MusterTicket]


class Muster(Model):
    """Who is inside, as of as_of_ms. A person in a nested zone is in the one around it as well."""

    as_of_ms: int
    mode: str
    zones: list[MusterZone]


class ProofOrder(Model):
    """Staff saw the proof of a reduced ticket."""

    minutes: int = Field(default=10, ge=1, le=PROOF_MINUTES_MAX)
    by: Person = ""


class ProofTaken(Model):
    """Until when it is not asked for again."""

    ticket: str
    proof_until_ms: int


class EngineOut(Model):
    """Seconds of processor, but waiting_s: seconds until commits were on disk."""

    batches: int
    commits: int
    messages: int
    reading_s: float
    deciding_s: float
    writing_s: float
    committing_s: float
    waiting_s: float
