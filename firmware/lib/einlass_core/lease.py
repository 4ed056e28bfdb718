"""The lane's side of the cap: how far its own entries minus exits may rise (net-flow ceilings).

Nothing is counted in deltas on the wire, so a message that is lost, repeated or late does no harm:
the controller says "up to `ceiling`", the lane says "I am at `balance`, under version `version`".
"""

from einlass_core.record import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from typing import Any


class Limit(Record):
    """A ceiling as the controller sends it. Newer is by (epoch, version), never by arrival."""

    __slots__ = ("epoch", "version", "ceiling")

    def __init__(self, epoch: int, version: int, ceiling: int) -> None:
        self.epoch = epoch
        self.version = version
        self.ceiling = ceiling


class Account:
    """balance: entries minus exits in this epoch, may be negative; pending: of those, released and not yet passed."""

    __slots__ = ("epoch", "version", "ceiling", "balance", "pending")

    def __init__(self, epoch: int = 0, version: int = 0, ceiling: int = 0, balance: int = 0, pending: int = 0) -> None:
        self.epoch = epoch
        self.version = version
        self.ceiling = ceiling
        self.balance = balance
        self.pending = pending

    def fits(self, persons: int) -> bool:
        """Whether so many more may be let in."""
        return self.balance + persons <= self.ceiling

    def take(self, limit: Limit) -> bool:
        """Obey a ceiling if it is newer; a new epoch only with nobody under way. True when taken."""
        if (limit.epoch, limit.version) <= (self.epoch, self.version):
            return False
        if limit.epoch != self.epoch:
            if self.pending:
                return False
            self.epoch = limit.epoch
            self.balance = 0
        self.version = limit.version
        self.ceiling = limit.ceiling
        return True

    def enter(self, persons: int) -> None:
        """A release: the places are taken before anybody moves."""
        self.balance += persons
        self.pending += persons

    def confirm(self, persons: int) -> None:
        """So many of the pending went through (or must be taken to have)."""
        self.pending -= persons

    def refund(self, persons: int) -> None:
        """So many of the pending surely did not go through."""
        self.pending -= persons
        self.balance -= persons

    def force(self, persons: int) -> None:
        """Bodies that came in without a release count all the same."""
        self.balance += persons

    def leave(self, persons: int) -> None:
        """Bodies that went out: their places are free at this lane at once."""
        self.balance -= persons

    def as_dict(self) -> "dict[str, Any]":
        """As it stands in the journal and on the wire."""
        return {
            "epoch": self.epoch,
            "version": self.version,
            "ceiling": self.ceiling,
            "balance": self.balance,
            "pending": self.pending,
        }


def account_from(data: "dict[str, Any]") -> Account:
    """The account in a journal record; KeyError when one is missing."""
    return Account(data["epoch"], data["version"], data["ceiling"], data["balance"], data["pending"])
