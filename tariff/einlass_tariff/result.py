"""What an answer about a fee holds: enough to be worked out again years later."""

from dataclasses import dataclass

from einlass_tariff.ladder import Amount

MINUTES_CARD = "minutes"
CENTS_CARD = "cents"
PERCENT_CARD = "percent"
CARDS_MAX = 50


@dataclass(frozen=True, slots=True)
class Card:
    """A shop's voucher: worth minutes, cents or percent."""

    kind: str
    value: int


@dataclass(frozen=True, slots=True)
class CardUse:
    """What became of a card, by its place in the question. used: of its worth; less than all is asked about first."""

    number: int
    card: Card
    used: int

    @property
    def is_partial(self) -> bool:
        """Whether the driver is to be asked before this card is taken for less than its worth."""
        return self.used < self.card.value


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that was paid: when (None: not known), how much, and until when the ticket sold for it is valid."""

    cents: int
    at_s: int | None = None
    until_s: int | None = None


@dataclass(frozen=True, slots=True)
class Stay:
    """A question: from entry to exit (Unix seconds), and everything that changes the price."""

    entry_s: int
    exit_s: int
    cards: tuple[Card, ...] = ()
    pass_name: str = ""
    ticket: str = ""
    is_lost: bool = False
    free_spans: tuple[tuple[int, int], ...] = ()  # what a public code makes free
    payments: tuple[Payment, ...] = ()


@dataclass(slots=True)
class Line:
    """One line of the account. amount: in cents, exact while it is worked out, whole when it is handed over."""

    kind: str
    amount: Amount = 0
    from_s: int = 0
    to_s: int = 0
    count: int = 0
    unit_s: int = 0
    unit_cents: int = 0
    name: str = ""
    words: tuple[str, str] = ("", "")  # German, English
    cents: int = 0


@dataclass(frozen=True, slots=True)
class Version:
    """Which text a fee was worked out from."""

    tariff: str
    valid_from: str
    digest: str
    pass_name: str = ""


@dataclass(frozen=True, slots=True)
class Fee:
    """due_cents: to be paid now; fee_cents: before what was paid already. The lines add up to due_cents.

    over_max_stay_s: how much longer than allowed; holidays: those the fee rests on; inputs: the question.
    """

    fee_cents: int
    paid_cents: int
    due_cents: int
    lines: tuple[Line, ...]
    uses: tuple[CardUse, ...]
    versions: tuple[Version, ...]
    stay: Stay
    over_max_stay_s: int = 0
    holidays: tuple[tuple[str, str], ...] = ()
    hints: tuple[tuple[str, str], ...] = ()  # German, English

    @property
    def vouchers_used(self) -> int:
        """How many cards are kept; the others are handed back."""
        return len(self.uses)
