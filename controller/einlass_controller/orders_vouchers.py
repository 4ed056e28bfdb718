"""What is ordered about vouchers: each a step of steps/vouchers.py or steps/voucher_payments.py."""

from collections.abc import Mapping
from dataclasses import dataclass

from einlass_controller.domain.public_codes import PublicCode
from einlass_controller.domain.vouchers import Lot, Partner
from einlass_controller.messages import Proof
from einlass_controller.orders import OfficeOrder


@dataclass(frozen=True, slots=True)
class SetPartner(OfficeOrder):
    """A new partner (is_new), or another name or standing of one. Result: the Partner, or Declined."""

    partner: Partner
    is_new: bool
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MakeLot(OfficeOrder):
    """A new lot of `size` vouchers, none of which has a code yet (id, first, last are given to it). Result: the Lot."""

    lot: Lot
    size: int
    by: str


@dataclass(frozen=True, slots=True)
class MakeVouchers(OfficeOrder):
    """The next vouchers of a lot, as (digest, SHA-256) of their codes. Result: their serial numbers, or Declined.

    partner: whose key asks; "": the house. activate: they are the lot's partner's at once.
    """

    lot: int
    proofs: tuple[tuple[str, str], ...]
    activate: bool
    partner: str
    by: str


@dataclass(frozen=True, slots=True)
class ChangeVouchers(OfficeOrder):
    """One of domain.vouchers.DOINGS for all of first .. last. Result: Changed, or Declined.

    partner: to whom they are sold (activate). asked_by: the partner whose key asks; "": the house.
    """

    do: str
    first: int
    last: int
    reason: str
    by: str
    partner: str = ""
    asked_by: str = ""


@dataclass(frozen=True, slots=True)
class HandOver(OfficeOrder):
    """Vouchers become one till's own, to use while it is cut off (till "": it is to give them back). Result: Changed.

    is_lost: a person decides that the till is gone and has not used them.
    """

    first: int
    last: int
    till: str
    is_lost: bool
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Changed:
    """done: it is so now. already: it was so. waiting: held now, and so when that is over. refused: how many, by state.

    missing: serial numbers without a voucher.
    """

    done: int
    already: int
    waiting: tuple[int, ...]
    refused: Mapping[str, int]
    missing: int


@dataclass(frozen=True, slots=True)
class Till:
    """Who holds vouchers: a node, or somebody who uses the API, and its incarnation.

    asks_first: it serves nobody before the controller has answered that the payment is stored. Only then a hold can
    end by the clock.
    """

    node: str
    inc: str
    asks_first: bool

    def key(self, number: int) -> str:
        """What makes something of this till the same thing again."""
        return f"{self.node}/{self.inc}/{number}"


@dataclass(frozen=True, slots=True)
class HoldVoucher(OfficeOrder):
    """A code is held to a till. number: of this question; payment: of the payment it is for. Result: Answered.

    public: the code as a public one, if it can be one. plate: a keyed hash. stay, plate "": not known.
    """

    till: Till
    number: int
    payment: int
    proof: Proof
    public: str
    area: str
    stay: str = ""
    plate: str = ""

    @property
    def content(self) -> str:
        """What was asked, for telling two questions apart."""
        return f"{self.payment}/{self.proof.content}/{self.area}/{self.stay}/{self.plate}"


@dataclass(frozen=True, slots=True)
class Use:
    """What a payment took of a voucher (serial) or of a public code (serial 0). value: minutes, cents or percent.

    saved_cents: what it took off the fee; None: the till does not know.
    """

    serial: int
    code: str = ""
    value: int = 0
    saved_cents: int | None = None


@dataclass(frozen=True, slots=True)
class CommitPayment(OfficeOrder):
    """The payment was made with these; what else it held is handed back. Result: Answered, or Declined."""

    till: Till
    payment: int
    uses: tuple[Use, ...]
    fee_cents: int | None = None
    paid_cents: int | None = None
    at_ms: int | None = None
    area: str = ""

    @property
    def content(self) -> str:
        """What was asked, for telling two questions apart."""
        uses = [(item.serial, item.code, item.value, item.saved_cents) for item in self.uses]
        return f"{sorted(uses, key=repr)}/{self.fee_cents}/{self.paid_cents}"


@dataclass(frozen=True, slots=True)
class ReleasePayment(OfficeOrder):
    """The payment was broken off: all that it held is free. Result: Answered, or Declined."""

    till: Till
    payment: int


@dataclass(frozen=True, slots=True)
class EndPayment(OfficeOrder):
    """Staff decides that a payment's till will not come back and has used nothing. Result: Answered, or Declined."""

    key: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Answered:
    """answer: JSON, the same bytes on every repeat. conflict: that number was used for something else."""

    answer: bytes
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class SetPublicCode(OfficeOrder):
    """A new public code. Result: the PublicCode, or Declined."""

    code: PublicCode
    by: str


@dataclass(frozen=True, slots=True)
class BlockPublicCode(OfficeOrder):
    """It counts no more (or again). Result: the PublicCode, or Declined."""

    code: str
    blocked: bool
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class CloseMonth(OfficeOrder):
    """All that this partner's customers used before until_ms stands in this account. Result: how many vouchers."""

    partner: str
    month: str
    until_ms: int
    by: str
