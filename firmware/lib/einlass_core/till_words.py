"""What can happen to a till, and what it wants done. Money is cents.

Coins and payouts are told as the devices' own running totals, which they keep without power (coin validator, hopper).
So a message lost, doubled or late changes nothing, and what fell in around a power cut is found again.
"""

from einlass_core.effects import Effect
from einlass_core.events import Event

EXIT = "exit"  # pay on foot: a stay's fee, then out within the grace
DISPLAY = "display"  # pay and display: money for time, a ticket is printed
POOL = "pool"  # a ticket for the pool; the subject is its product
LOST = "lost"  # a lost entry ticket: a flat sum, and a new ticket to leave with


class Powered(Event):
    """The shell is up and has read the devices' totals. Always the first event, also after a crash."""

    __slots__ = ("in_total", "out_total")

    def __init__(self, in_total: int, out_total: int) -> None:
        self.in_total = in_total
        self.out_total = out_total


class Begun(Event):
    """A stay's ticket was shown (EXIT), or a plate or space was entered (DISPLAY). `subject`: which; bounded data.

    made: digest of the code that the shell will print (POOL, LOST); it counts once `paid` has told of it.
    """

    __slots__ = ("what", "subject", "made")

    def __init__(self, what: str, subject: str, made: str = "") -> None:
        self.what = what
        self.subject = subject
        self.made = made


class VoucherShown(Event):
    """A card was held to the reader. `code`: as codes.read() gave it."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        self.code = code


class Priced(Event):
    """The answer to Price: what is due now, which of its cards are held for it, and until when the money lasts.

    code "ok", or why there is no price. held: the cards that help, in the order of the question; none other is used.
    partly: those of them of which only a part would be used. alone: the till has worked it out by itself, and that is
    what its record says of it: `saved` (cents of each held card), `entered` (Unix ms), `fee`, `text` (the tariff's).
    """

    __slots__ = ("nonce", "code", "due", "held", "until", "partly", "alone")

    def __init__(
        self,
        nonce: str,
        code: str,
        due: int = 0,
        held: "tuple[str, ...]" = (),
        until: int = 0,
        partly: "tuple[str, ...]" = (),
        alone: "dict[str, object] | None" = None,
    ) -> None:
        self.nonce = nonce
        self.code = code
        self.due = due
        self.held = held
        self.until = until
        self.partly = partly
        self.alone = alone


class CoinsIn(Event):
    """All that the coin validator has ever taken."""

    __slots__ = ("total",)

    def __init__(self, total: int) -> None:
        self.total = total


class CoinsStopped(Event):
    """The validator takes no more coins, whatever it is told: jammed, or its box is full."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class PaidOut(Event):
    """All that the hopper has ever paid out; `stopped`: it can pay no more now (empty, jammed)."""

    __slots__ = ("total", "stopped")

    def __init__(self, total: int, stopped: bool = False) -> None:
        self.total = total
        self.stopped = stopped


class CardWanted(Event):
    """The driver chose to pay the rest by card."""

    __slots__ = ()


class CardDone(Event):
    """The terminal's word on a payment: the money is taken (True), or it is not and never will be (False)."""

    __slots__ = ("ref", "taken")

    def __init__(self, ref: str, taken: bool) -> None:
        self.ref = ref
        self.taken = taken


class CardUndone(Event):
    """The terminal has given a payment back."""

    __slots__ = ("ref",)

    def __init__(self, ref: str) -> None:
        self.ref = ref


class CardKept(Event):
    """The terminal refuses to give a payment back (its day is closed): the money is taken, and staff must return it."""

    __slots__ = ("ref",)

    def __init__(self, ref: str) -> None:
        self.ref = ref


class Confirmed(Event):
    """The driver wants the ticket for what is paid in (DISPLAY)."""

    __slots__ = ()


class Aborted(Event):
    """The driver wants the money back."""

    __slots__ = ()


class Printed(Event):
    """A slip was printed whole (True), or the printer could not (False): paper out, jam."""

    __slots__ = ("slip", "whole")

    def __init__(self, slip: str, whole: bool) -> None:
        self.slip = slip
        self.whole = whole


class PrinterReady(Event):
    """The printer can print again: there is paper, or it is back."""

    __slots__ = ()


class Price(Effect):
    """Ask the controller what is due, and to hold these cards for this payment; `paid`: the money that is in."""

    __slots__ = ("nonce", "what", "subject", "cards", "paid")

    def __init__(self, nonce: str, what: str, subject: str, cards: "tuple[str, ...]", paid: int) -> None:
        self.nonce = nonce
        self.what = what
        self.subject = subject
        self.cards = cards
        self.paid = paid


class PriceAlone(Price):
    """Nobody answers: work out what is due by the till's own tariff and list. Priced says what came of it, at once."""

    __slots__ = ()


class TakeCoins(Effect):
    """Let coins in (True) or turn them away (False)."""

    __slots__ = ("on",)

    def __init__(self, on: bool) -> None:
        self.on = on


class PayOut(Effect):
    """Hopper: pay until your total is this much. The same twice pays once."""

    __slots__ = ("total",)

    def __init__(self, total: int) -> None:
        self.total = total


class TakeCard(Effect):
    """Terminal: take this much. The ref is new; never repeated."""

    __slots__ = ("ref", "cents")

    def __init__(self, ref: str, cents: int) -> None:
        self.ref = ref
        self.cents = cents


class AskCard(Effect):
    """Terminal: what became of this payment? A ref that it never saw is not taken, and will not be."""

    __slots__ = ("ref",)

    def __init__(self, ref: str) -> None:
        self.ref = ref


class UndoCard(Effect):
    """Terminal: give this payment back. The same twice gives back once."""

    __slots__ = ("ref",)

    def __init__(self, ref: str) -> None:
        self.ref = ref


class Print(Effect):
    """Print a slip: a receipt, a ticket, or a paper for money that could not be paid out."""

    __slots__ = ("slip", "values")

    def __init__(self, slip: str, values: "dict[str, object]") -> None:
        self.slip = slip
        self.values = values
