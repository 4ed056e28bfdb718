"""The tables, as migrations make them. Instants are Unix milliseconds, money integer cents; no code is ever stored."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

# Few of all visits are open; the index on them stays small whatever the history.
PRESENT_ONLY = "state = 'present'"


def _big(nullable: bool = False) -> Column[int]:
    return Column(BigInteger, nullable=nullable)


class SiteRow(SQLModel, table=True):
    """One pool or parking area."""

    __tablename__ = "site"
    id: str = Field(primary_key=True, max_length=32)
    name: str
    name_en: str
    time_zone: str
    mode: str = ""
    mode_by: str = ""
    closed_ms: int = Field(default=0, sa_column=_big())


class ZoneRow(SQLModel, table=True):
    """A cap and the counted base of its books. shut: by hand, for so long.

    counted_ms: when it was counted last; counted: up to which record of each lane (JSON: lane, incarnation, number, and
    the version of the ceiling by which the lane has told all that was before; 0: it has, or need not).
    untold: places kept until then (domain/occupancy.py).
    """

    __tablename__ = "zone"
    id: str = Field(primary_key=True, max_length=32)
    site: str = Field(foreign_key="site.id")
    parent: str = ""
    name: str
    name_en: str
    cap: int
    base: int = 0
    ghosts: int = 0
    untold: int = 0
    is_open: bool = True
    shut_from_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    shut_until_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    counted_ms: int = Field(default=0, sa_column=_big())
    counted: str = Field(default="{}", sa_column=Column(Text, nullable=False))
    tariff: str = ""
    lost_ticket_cents: int | None = None
    free_with: str = ""
    free_minutes: int = 0


class LaneRow(SQLModel, table=True):
    """One way into `zone`. node "": kept by the controller itself (a desk, a hand scanner)."""

    __tablename__ = "lane"
    id: str = Field(primary_key=True, max_length=32)
    zone: str = Field(foreign_key="zone.id")
    outer: str = ""
    node: str = Field(default="", index=True)
    name: str
    name_en: str
    issues: str = ""


class NodeRow(SQLModel, table=True):
    """A computer at a lane. applied_seq: its events up to this one are in the ledger. past: incarnations gone."""

    __tablename__ = "node"
    id: str = Field(primary_key=True, max_length=32)
    board: str
    inc: str = ""
    past: str = Field(default="[]", sa_column=Column(Text, nullable=False))
    boot: int = 0
    applied_seq: int = Field(default=0, sa_column=_big())
    software: str = ""
    hardware: str = ""
    emergency: bool = False
    fault: str = ""
    alarm: str = ""


class AccountRow(SQLModel, table=True):
    """The books of a lane (domain.occupancy.Account)."""

    __tablename__ = "account"
    lane: str = Field(primary_key=True, max_length=32)
    inc: str = ""
    epoch: int = 0
    seq: int = Field(default=0, sa_column=_big())
    version: int = 0
    balance: int = 0
    pending: int = 0
    version_sent: int = 0
    lowering: int = 0
    frozen: bool = False
    leased_until_ms: int = Field(default=0, sa_column=_big())
    sent: str = Field(default="[[0,0]]", sa_column=Column(Text, nullable=False))


class TicketRow(SQLModel, table=True):
    """A right to enter; found by `digest`, proved by `code_sha256`."""

    __tablename__ = "ticket"
    __table_args__ = (
        Index(
            "ix_ticket_slot",
            "slot_ms",
            sqlite_where=text("slot_ms IS NOT NULL"),
            postgresql_where=text("slot_ms IS NOT NULL"),
        ),
        Index("ix_ticket_listed_number", "listed_number"),
        Index(
            "ix_ticket_listed_until",
            "valid_until_ms",
            sqlite_where=text("listed > 0"),
            postgresql_where=text("listed > 0"),
        ),
        Index(
            "ix_ticket_seen_until",
            "valid_until_ms",
            sqlite_where=text("listed < 0"),
            postgresql_where=text("listed < 0"),
        ),
        Index(
            "ix_ticket_valid_from",
            "valid_from_ms",
            sqlite_where=text("valid_from_ms IS NOT NULL"),
            postgresql_where=text("valid_from_ms IS NOT NULL"),
        ),
    )
    id: str = Field(primary_key=True, max_length=32)
    digest: str = Field(unique=True, max_length=16)
    code_sha256: str = Field(max_length=64)
    product: str
    zone: str = ""
    persons: int
    status: str
    valid_from_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    valid_until_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    entries_max: int | None = None
    entries_used: int = 0
    issued_ms: int = Field(sa_column=_big())
    first_use_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    last_use_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    last_lane: str = ""
    key_id: int = 0
    import_id: str = Field(default="", max_length=32)
    reason: str = ""
    status_before: str = ""
    replaces: str = ""
    replaced_by: str = ""
    last_exit_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    day_ms: int = Field(default=0, sa_column=_big())
    entries_today: int = 0
    slot_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    company_of: str = ""
    proof_until_ms: int = Field(default=0, sa_column=_big())
    due_cents: int = 0
    listed: int = 0
    listed_number: int = Field(default=0, sa_column=_big())


class VisitRow(SQLModel, table=True):
    """One stay (domain.visits.Visit)."""

    __tablename__ = "visit"
    __table_args__ = (
        Index("ix_visit_ticket_state", "ticket", "state"),
        Index("ix_visit_node_state", "node", "state"),
        Index("ix_visit_present", "zone", sqlite_where=text(PRESENT_ONLY), postgresql_where=text(PRESENT_ONLY)),
    )
    key: str = Field(primary_key=True, max_length=128)
    node: str
    nonce: str
    ticket: str
    lane: str
    zone: str
    persons: int
    state: str
    granted_ms: int = Field(sa_column=_big())
    passed: int = 0
    unused: int = 0
    left: int = 0
    began_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    ended_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    doubtful: bool = False
    entries: int = 1
    turns: int = 1
    entry_of: str = Field(default="", max_length=128)


class DecisionRow(SQLModel, table=True):
    """An answered scan, under "node/side/nonce": looked up first, answered again byte for byte.

    content: a keyed hash of what was asked. answer: the bytes that were sent. facts: what the rules were asked with
    (JSON; "": they were not), so that other rules can be tried on it.
    """

    __tablename__ = "decision"
    key: str = Field(primary_key=True, max_length=128)
    number: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    content: str
    code: str
    persons: int
    ticket: str = ""
    node: str
    lane: str
    side: str
    at_ms: int = Field(sa_column=_big())
    answer: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    facts: str = Field(default="", sa_column=Column(Text, nullable=False))


class CommandRow(SQLModel, table=True):
    """An order to a node, and what it said."""

    __tablename__ = "command"
    id: str = Field(primary_key=True, max_length=48)
    node: str = Field(index=True)
    inc: str
    do: str
    by: str
    issued_ms: int = Field(sa_column=_big())
    expires_ms: int = Field(sa_column=_big())
    reply: str = ""
    detail: str = ""


class LedgerRow(SQLModel, table=True):
    """Append-only and chained (domain.ledger.Entry)."""

    __tablename__ = "ledger"
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    at_ms: int = Field(sa_column=_big())
    kind: str
    body: str = Field(sa_column=Column(Text, nullable=False))
    hash: str = Field(max_length=64)


class DeadLetterRow(SQLModel, table=True):
    """What came in and could not be used: cut short, codes masked, a bounded number kept."""

    __tablename__ = "dead_letter"
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    at_ms: int = Field(sa_column=_big())
    origin: str
    reason: str
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class RulesRow(SQLModel, table=True):
    """One version of the house's rules (domain.catalogue), as they were given; never changed, only followed."""

    __tablename__ = "rules"
    version: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    valid_from_ms: int = Field(sa_column=_big())
    created_ms: int = Field(sa_column=_big())
    by: str
    reason: str
    body: str = Field(sa_column=Column(Text, nullable=False))


class ApiKeyRow(SQLModel, table=True):
    """Who may use the API; the key itself is only its hash here. partner: a key for its vouchers only."""

    __tablename__ = "api_key"
    name: str = Field(primary_key=True, max_length=32)
    key_sha256: str = Field(unique=True, max_length=64)
    created_ms: int = Field(sa_column=_big())
    scopes: str = "admin"
    rate_per_s: int = 0
    revoked_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    partner: str = ""


class SigningKeyRow(SQLModel, table=True):
    """The public half of a key that signs tickets (domain.signed.PublicKey)."""

    __tablename__ = "signing_key"
    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    public: str = Field(max_length=64)
    created_ms: int = Field(sa_column=_big())
    verify_until_ms: int | None = Field(default=None, sa_column=_big(nullable=True))
    revoked_ms: int | None = Field(default=None, sa_column=_big(nullable=True))


class HeldBackRow(SQLModel, table=True):
    """A signed ticket that nobody has shown yet and that must not be let in when somebody does. status "": it may."""

    __tablename__ = "held_back"
    ticket: str = Field(primary_key=True, max_length=32)
    status: str
    reason: str
    at_ms: int = Field(sa_column=_big())
    listed_number: int = Field(default=0, sa_column=_big())


class ImportRow(SQLModel, table=True):
    """Tickets from a file: none of them counts before `done`."""

    __tablename__ = "ticket_import"
    id: str = Field(primary_key=True, max_length=32)
    by: str
    begun_ms: int = Field(sa_column=_big())
    tickets: int
    done: bool = False


class EpochRow(SQLModel, table=True):
    """One row: which count this is, and why a new one is needed (recount "": it is not)."""

    __tablename__ = "epoch"
    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    epoch: int
    recount: str
    since_ms: int = Field(sa_column=_big())
