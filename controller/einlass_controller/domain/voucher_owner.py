"""Who may use a voucher while the line is down: it has one owner at any time, the controller or one node's incarnation.

Every change of owner has a version. Ownership comes back by the owner's word only, never because time has passed; what
a wiped node owned is lost until a person decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from einlass_controller.domain.decision import Text
from einlass_controller.domain.vouchers import ACTIVATED, HELD, USED, Limits, Voucher

# What a till may do alone with vouchers of a lot: use what it owns (exact), nothing, or whatever is on its list (up to
# a number and an amount; a second use is found afterwards and reported).
OWN, REFUSE, REPORT = WHILE_CUT_OFF = ("own", "refuse", "report")
CONTROLLER = ""
# With vouchers that are not its own a till may do so much alone before it has to be in touch again.
ALONE_COUNT_MAX, ALONE_CENTS_MAX = 20, 5_000
REFUSED: Mapping[str, Text] = {
    "not_yours": Text("Der Gutschein gehört jemand anderem.", "The voucher is somebody else's."),
    "old": Text("Diese Nachricht ist überholt.", "This message is out of date."),
    "state": Text("Nur ein ausgegebener Gutschein wechselt den Besitzer.", "Only an activated voucher changes hands."),
}


class OwnerError(ValueError):
    """The voucher does not change hands. `text`: why, in both languages."""

    def __init__(self, reason: str) -> None:
        self.reason, self.text = reason, REFUSED[reason]
        super().__init__(self.text.en)


@dataclass(frozen=True, slots=True)
class Asker:
    """A till: a node and its incarnation."""

    node: str
    inc: str


@dataclass(frozen=True, slots=True)
class Alone:
    """What a till has used alone since it was last in touch, by its list: vouchers and cents, and how much it may."""

    count: int
    cents: int
    count_max: int
    cents_max: int


def is_listed(policy: str, limits: Limits, voucher: Voucher) -> bool:
    """Whether a till may find it on its list: to use alone what is its own, or what anybody may.

    A limit by stay, plate or partner cannot be looked after alone. What is held stays listed: most is handed back.
    """
    state = voucher.before if voucher.state == HELD else voucher.state
    if policy == REFUSE or state != ACTIVATED or voucher.wanted_back:
        return False
    if limits.per_stay or limits.per_plate_day or limits.partner_per_stay:
        return False
    return voucher.owner != CONTROLLER or policy == REPORT


def owns(voucher: Voucher, asker: Asker) -> bool:
    """Whether it belongs to this very incarnation."""
    return (voucher.owner, voucher.owner_inc) == (asker.node, asker.inc) and voucher.owner != CONTROLLER


def may_decide(voucher: Voucher, asker: Asker) -> bool:
    """Online: the controller may let this till hold it."""
    return voucher.owner == CONTROLLER or owns(voucher, asker)


def may_use_alone(policy: str, voucher: Voucher, asker: Asker, alone: Alone, cents: int) -> bool:
    """Cut off: whether the till may take it, as far as it knows."""
    if voucher.state != ACTIVATED:
        return False
    if owns(voucher, asker):
        return policy != REFUSE
    fits = alone.count < alone.count_max and alone.cents + cents <= alone.cents_max
    return policy == REPORT and voucher.owner == CONTROLLER and fits


def give(voucher: Voucher, to: Asker) -> int:
    """The controller gives it to a node's incarnation; returns the version. Given again to the same: as it is."""
    if owns(voucher, to):
        return voucher.owner_version
    if voucher.owner != CONTROLLER:
        raise OwnerError("not_yours")
    if voucher.state != ACTIVATED:
        raise OwnerError("state")
    voucher.owner, voucher.owner_inc = to.node, to.inc
    voucher.owner_version += 1
    return voucher.owner_version


def give_back(voucher: Voucher, by: Asker, version: int) -> int:
    """Its owner gives it back, by the version that it was given under; returns the new one."""
    if voucher.owner_version > version:
        if voucher.owner == CONTROLLER and voucher.owner_version == version + 1:
            return voucher.owner_version  # told again
        raise OwnerError("old")
    if not owns(voucher, by) or voucher.owner_version != version:
        raise OwnerError("not_yours")
    return _take(voucher)


def decide_lost(voucher: Voucher) -> int:
    """A person decides that its owner is gone and cannot have used it. The old owner's word comes too late then."""
    if voucher.owner == CONTROLLER:
        return voucher.owner_version
    return _take(voucher)


def contradicts(voucher: Voucher, by: Asker, payment: str, version: int) -> bool:
    """Whether a till's word that it used the voucher alone is a second use, or comes after it was taken from it."""
    if voucher.state in USED:
        return voucher.payment != payment
    return owns(voucher, by) and version != voucher.owner_version


def _take(voucher: Voucher) -> int:
    voucher.owner, voucher.owner_inc, voucher.wanted_back = CONTROLLER, "", False
    voucher.owner_version += 1
    return voucher.owner_version
