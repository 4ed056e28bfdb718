"""The lane's side of the cap: how far its own entries minus exits may rise (net-flow ceilings), and for how long alone.

Nothing is counted in deltas on the wire, so a message that is lost, repeated or late does no harm:
the controller says "up to `ceiling`", the lane says "I am at `balance`, under version `version`".

The lease is the right to use the ceiling without asking. It runs from the lane's own request, on the lane's own clock,
so that it always ends here before it ends in the controller's books; a restart ends it.
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
    """balance: entries minus exits in this epoch, may be negative; pending: of those, released and not yet passed.

    until_ms: the lease's end on the lane's clock; never written down.
    """

    __slots__ = ("epoch", "version", "ceiling", "balance", "pending", "until_ms")

    def __init__(self, epoch: int = 0, version: int = 0, ceiling: int = 0, balance: int = 0, pending: int = 0) -> None:
        self.epoch = epoch
        self.version = version
        self.ceiling = ceiling
        self.balance = balance
        self.pending = pending
        self.until_ms = 0

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

    def renew(self, now_ms: int, from_ms: int, lease_ms: int) -> None:
        """A lease that was asked for at from_ms. One asked for before the old one ended and coming after it is void."""
        until_ms = from_ms + lease_ms
        if from_ms > now_ms:
            return  # Asked for on another clock.
        if until_ms > self.until_ms and (now_ms < self.until_ms or from_ms >= self.until_ms):
            self.until_ms = until_ms

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
