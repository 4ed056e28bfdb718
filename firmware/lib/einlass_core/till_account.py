"""What a till goes by: its times, and the account in which every cent has a name."""

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

CENTS = ("taken", "given", "kept", "credit", "change", "owed", "lost")


# A controller that is there answers within milliseconds; a broker that has gone without a word is not noticed sooner.
ALONE_MS = 2500


class TillSettings:
    """Times in milliseconds. hold_ms: how long the controller holds cards (60 s); asked anew before that.

    sells_alone: a price that is not here after alone_ms is worked out by the till itself.
    asks_partly: the driver is asked before a card is used for less than it is worth; it takes keys to answer.
    """

    def __init__(
        self,
        price_ms: int = 5000,
        pay_ms: int = 120_000,
        hold_ms: int = 50_000,
        card_ms: int = 45_000,
        retry_ms: int = 1000,
        doubt_ms: int = 60_000,
        payout_ms: int = 30_000,
        gives_change: bool = True,
        asks_partly: bool = False,
        sells_alone: bool = False,
        alone_ms: int = ALONE_MS,
    ) -> None:
        if card_ms > hold_ms:
            raise ValueError("card_ms over hold_ms: cards of shops would be free again before the terminal is done")
        self.price_ms = price_ms
        self.pay_ms = pay_ms
        self.hold_ms = hold_ms
        self.card_ms = card_ms
        self.retry_ms = retry_ms
        self.doubt_ms = doubt_ms
        self.payout_ms = payout_ms
        self.gives_change = gives_change
        self.asks_partly = asks_partly
        self.sells_alone = sells_alone
        self.alone_ms = min(alone_ms, price_ms)


class Account:
    """Every cent by name, as it stands in each record: taken - given == kept + credit + change + owed - lost.

    taken, given: the devices' totals. kept: sold for. credit: in, for the sale under way. change: to be paid out.
    owed: could not be paid out and stands on a paper. lost: the hopper paid more than it was told.
    card: the ref of a card payment that is asked for ("" none), card_cents: how much. doubt, doubt_cents: one of which
    the terminal has not told yet what became of it, its sale being over. slip: a slip not yet printed.
    """

    taken: int
    given: int
    kept: int
    credit: int
    change: int
    owed: int
    lost: int

    def __init__(self, held: "dict[str, Any] | None" = None) -> None:
        held = held or {}
        for name in CENTS:
            setattr(self, name, held.get(name, 0))
        self.sale: int = held.get("sale", 0)
        self.card: str = held.get("card", "")
        self.card_cents: int = held.get("card_cents", 0)
        self.doubt: str = held.get("doubt", "")
        self.doubt_cents: int = held.get("doubt_cents", 0)
        self.slip: "dict[str, Any] | None" = held.get("slip")

    def as_dict(self) -> "dict[str, Any]":
        """As it is written into every record under "till"."""
        made: "dict[str, Any]" = {name: getattr(self, name) for name in CENTS}
        made["sale"] = self.sale
        if self.card:
            made["card"] = self.card
            made["card_cents"] = self.card_cents
        if self.doubt:
            made["doubt"] = self.doubt
            made["doubt_cents"] = self.doubt_cents
        if self.slip is not None:
            made["slip"] = self.slip
        return made

    def count_in(self, total: int) -> int:
        """The validator's total: how many cents are new."""
        more = max(0, total - self.taken)
        self.taken += more
        self.credit += more
        return more

    def count_out(self, total: int) -> int:
        """The hoppers' total: how many cents are new. What was not to be paid is lost."""
        more = max(0, total - self.given)
        paid = min(more, self.change)
        self.given += more
        self.change -= paid
        self.lost += more - paid
        return more

    def sell(self, due: int, gives_change: bool) -> "tuple[int, int]":
        """It is paid: cents by coins and by card. Without change all that is in is kept."""
        by_card = self.card_cents
        by_coins = min(self.credit, due - by_card) if gives_change else self.credit
        self.kept += by_coins
        self.change += self.credit - by_coins
        self.credit = self.card_cents = 0
        self.card = ""
        return by_coins, by_card

    def give_up(self) -> None:
        """The sale is over without being paid: what is in comes back."""
        self.change += self.credit
        self.credit = self.card_cents = 0
        self.card = ""

    def doubt_card(self) -> None:
        """The terminal has not told in time what became of its payment."""
        self.doubt, self.doubt_cents = self.card, self.card_cents
        self.card, self.card_cents = "", 0

    def owe(self, name: str) -> int:
        """What could not be paid out stands on a paper; `name`: of the sale's slip, where none waits to be printed."""
        cents = self.change
        self.owed += cents
        self.change = 0
        slip: "dict[str, Any]" = dict(self.slip or {"slip": name, "what": "", "cents": 0, "until": 0})
        slip["slip"] += "-o"  # A paper of its own: the receipt may be out already.
        slip["owed"] = slip.get("owed", 0) + cents
        self.slip = slip
        return cents

    @property
    def adds_up(self) -> bool:
        """Whether every cent that went in and did not come out has a name."""
        named = self.kept + self.credit + self.change + self.owed - self.lost
        return self.taken - self.given == named and min(getattr(self, name) for name in CENTS) >= 0
