"""A voucher: a code worth minutes, cents or percent of parking, sold to a partner out of a lot, and used once.

printed -> activated -> held (one till, one payment) -> redeemed -> settled
printed or activated <-> blocked; any of these -> voided; activated -> returned; what is out of time is expired

A hold ends with its payment. While it lasts the voucher is nobody else's, and a block waits until it is over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from einlass_controller.domain.decision import Text

MINUTES, CENTS, PERCENT = KINDS = ("minutes", "cents", "percent")
# What one voucher may be worth.
WORTH_MAX: Mapping[str, int] = {MINUTES: 7 * 24 * 60, CENTS: 100_000, PERCENT: 100}
CARD, DIGITAL = MEDIA = ("card", "digital")
# When the partner pays: for what was used, or for what it was given (and what is not used yet is owed to it).
ON_USE, PREPAID = TERMS = ("on_use", "prepaid")

PRINTED, ACTIVATED, HELD, REDEEMED, SETTLED = "printed", "activated", "held", "redeemed", "settled"
BLOCKED, EXPIRED, RETURNED, VOIDED = "blocked", "expired", "returned", "voided"
# `expired` is never stored: it follows from the lot and the clock.
STATES = (PRINTED, ACTIVATED, HELD, REDEEMED, SETTLED, BLOCKED, RETURNED, VOIDED)
USED = (REDEEMED, SETTLED)

ACTIVATE, BLOCK, UNBLOCK, RETURN, VOID = DOINGS = ("activate", "block", "unblock", "return", "void")
# From which states it may be done, and what it leads to ("": what it was before it was blocked).
_WAYS: Mapping[str, tuple[tuple[str, ...], str]] = {
    ACTIVATE: ((PRINTED,), ACTIVATED),
    BLOCK: ((PRINTED, ACTIVATED), BLOCKED),
    UNBLOCK: ((BLOCKED,), ""),
    RETURN: ((ACTIVATED,), RETURNED),
    VOID: ((PRINTED, ACTIVATED, BLOCKED), VOIDED),
}

STATE_WORDS: Mapping[str, Text] = {
    PRINTED: Text("gedruckt", "printed"),
    ACTIVATED: Text("ausgegeben", "activated"),
    HELD: Text("in einer Zahlung", "held by a payment"),
    REDEEMED: Text("eingelöst", "used"),
    SETTLED: Text("abgerechnet", "settled"),
    BLOCKED: Text("gesperrt", "blocked"),
    EXPIRED: Text("abgelaufen", "expired"),
    RETURNED: Text("zurückgegeben", "returned"),
    VOIDED: Text("ungültig gemacht", "voided"),
}

# What a till is told about a code. `ok` is the only one that holds it.
OK = "ok"
UNKNOWN, NOT_ACTIVE, HELD_ELSEWHERE, OWNED_ELSEWHERE = "unknown", "not_active", "held_elsewhere", "owned_elsewhere"
TOO_EARLY, WRONG_AREA, WRONG_DAY = "too_early", "wrong_area", "wrong_day"
LIMIT_STAY, LIMIT_DAY, LIMIT_PARTNER, LIMIT_TOTAL = "limit_stay", "limit_day", "limit_partner", "limit_total"
PAYMENT_OVER, TOO_FAST, NO_PLATE, NO_STAY = "payment_over", "too_fast", "no_plate", "no_stay"
ANSWERS: Mapping[str, Text] = {
    OK: Text("Der Gutschein gilt", "The voucher counts"),
    UNKNOWN: Text("Dieser Gutschein ist hier nicht bekannt", "This voucher is not known here"),
    NOT_ACTIVE: Text("Dieser Gutschein ist noch nicht freigeschaltet", "This voucher is not active yet"),
    HELD_ELSEWHERE: Text(
        "Dieser Gutschein wird gerade an anderer Stelle eingelöst", "This voucher is being used elsewhere right now"
    ),
    OWNED_ELSEWHERE: Text(
        "Dieser Gutschein gilt nur am Automaten {owner}", "This voucher counts only at the machine {owner}"
    ),
    REDEEMED: Text("Dieser Gutschein wurde am {used_ms} eingelöst", "This voucher was used on {used_ms}"),
    EXPIRED: Text("Dieser Gutschein galt bis {until_ms}", "This voucher was valid until {until_ms}"),
    TOO_EARLY: Text("Dieser Gutschein gilt erst ab {from_ms}", "This voucher is valid from {from_ms}"),
    BLOCKED: Text("Dieser Gutschein ist gesperrt", "This voucher is blocked"),
    VOIDED: Text("Dieser Gutschein ist ungültig", "This voucher is void"),
    RETURNED: Text("Dieser Gutschein wurde zurückgegeben", "This voucher was given back"),
    WRONG_AREA: Text("Dieser Gutschein gilt hier nicht, nur: {areas}", "This voucher counts only at: {areas}"),
    WRONG_DAY: Text("Dieser Gutschein gilt heute nicht", "This voucher does not count today"),
    LIMIT_STAY: Text(
        "Mehr als {most} davon gehen nicht für einen Parkvorgang", "No more than {most} of these count for one stay"
    ),
    LIMIT_DAY: Text(
        "Mehr als {most} davon gehen heute nicht für dieses Kennzeichen",
        "No more than {most} of these count for this plate today",
    ),
    LIMIT_PARTNER: Text(
        "Mehr als {most} Gutscheine dieses Händlers gehen nicht für einen Parkvorgang",
        "No more than {most} vouchers of this shop count for one stay",
    ),
    LIMIT_TOTAL: Text("Dieser Code ist aufgebraucht", "This code is used up"),
    PAYMENT_OVER: Text("Diese Zahlung ist schon zu Ende", "This payment is over already"),
    TOO_FAST: Text("Zu viele falsche Codes: bitte kurz warten", "Too many wrong codes: please wait a moment"),
    NO_PLATE: Text("Dafür wird das Kennzeichen gebraucht", "The number plate is needed for this"),
    NO_STAY: Text("Dafür wird der Parkvorgang gebraucht", "The stay is needed for this"),
}

REFUSED: Mapping[str, Text] = {
    "state": Text(
        "Das geht nicht: Gutschein {serial} ist {state_de}.", "That cannot be done: voucher {serial} is {state_en}."
    ),
    "partner": Text("Gutschein {serial} gehört einem anderen Partner.", "Voucher {serial} belongs to another partner."),
}


class VoucherError(ValueError):
    """It contradicts the state that a voucher is in. `text`: why, in both languages."""

    def __init__(self, reason: str, serial: int, state: str = PRINTED) -> None:
        words, said = REFUSED[reason], STATE_WORDS[state]
        self.reason = reason
        self.text = Text(
            words.de.format(serial=serial, state_de=said.de), words.en.format(serial=serial, state_en=said.en)
        )
        super().__init__(self.text.en)


@dataclass(frozen=True, slots=True)
class Partner:
    """A shop that buys vouchers and hands them out. is_active False: nothing new is sold to it."""

    id: str
    name: str
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """How many of a lot may be used; 0: no limit. areas, weekdays ("mon" ...): empty means all of them."""

    per_stay: int = 0
    per_plate_day: int = 0
    partner_per_stay: int = 0
    areas: tuple[str, ...] = ()
    weekdays: tuple[str, ...] = ()


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Lot:
    """Vouchers of one kind with the serial numbers first .. last; the first `made` of them have codes.

    value: minutes, cents or percent. partner "": sold to whoever buys some of them. price_cents: what a partner pays
    for one. while_cut_off: domain.voucher_owner. line: what tills call the lot on their lists; 0: it is on none.
    """

    id: int
    partner: str
    kind: str
    value: int
    medium: str
    first: int
    last: int
    made: int
    terms: str = ON_USE
    price_cents: int = 0
    valid_from_ms: int | None = None
    valid_until_ms: int | None = None
    limits: Limits = NO_LIMITS
    while_cut_off: str = "own"
    name: str = ""
    line: int = 0

    @property
    def left(self) -> int:
        """How many codes can still be made."""
        return self.last - self.first + 1 - self.made


@dataclass(slots=True)
class Voucher:
    """Instants are Unix milliseconds. The code itself is never here: `digest` finds it, `code_sha256` proves it.

    before: what a blocked voucher was; what a held one will be when it is not used. payment: that holds it or has used
    it. saved_cents None: the till did not say. owner "": the controller; else a node, and its incarnation. settled: the
    month of the account that it stands in. wanted_back: its owner was told to give it back. listed: the line of its
    lot, where tills may use it alone (0: they may not); listed_number: of that change.
    """

    serial: int
    lot: int
    digest: str
    code_sha256: str
    made_ms: int
    partner: str = ""
    state: str = PRINTED
    before: str = ""
    reason: str = ""
    activated_ms: int | None = None
    payment: str = ""
    held_ms: int | None = None
    used_ms: int | None = None
    area: str = ""
    used_value: int = 0
    saved_cents: int | None = None
    owner: str = ""
    owner_inc: str = ""
    owner_version: int = 0
    settled: str = ""
    wanted_back: bool = False
    listed: int = 0
    listed_number: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """Where and when a voucher is shown, by the site's clocks. stay "", plate "": not known.

    of_*: how many are held or used already for this stay; for this plate on this day.
    """

    now_ms: int
    weekday: str
    area: str
    stay: str = ""
    plate: str = ""
    of_lot_in_stay: int = 0
    of_partner_in_stay: int = 0
    of_lot_for_plate: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A code of ANSWERS and the values of its words."""

    code: str
    values: Mapping[str, int | str]

    @property
    def holds(self) -> bool:
        """Whether the voucher is held now."""
        return self.code == OK


def seen_as(voucher: Voucher, lot: Lot, now_ms: int) -> str:
    """Its state for a person: an unused one that is out of time is expired."""
    ended = lot.valid_until_ms is not None and now_ms > lot.valid_until_ms
    return EXPIRED if ended and voucher.state in (PRINTED, ACTIVATED) else voucher.state


def change(voucher: Voucher, do: str, reason: str, now_ms: int, partner: str = "") -> bool:
    """Do one of DOINGS; False when it is so already. Raises VoucherError.

    partner: to whom it is sold (activate). What is done to a held voucher counts when its payment is over without it.
    """
    states, to = _WAYS[do]
    state = voucher.before if voucher.state == HELD else voucher.state
    if do == ACTIVATE and voucher.partner and voucher.partner != partner:
        raise VoucherError("partner", voucher.serial)
    if state not in states:
        if state == to or (do == UNBLOCK and state in (PRINTED, ACTIVATED)):
            return False
        raise VoucherError("state", voucher.serial, voucher.state)
    if voucher.state == HELD:
        # Of a held voucher is known that it was activated: that is what an unblocked one is again.
        voucher.before = to or ACTIVATED
    else:
        voucher.state = to or voucher.before or PRINTED
        voucher.before = state if to == BLOCKED else ""
    voucher.reason = "" if to in ("", ACTIVATED) else reason
    if do == ACTIVATE:
        voucher.partner, voucher.activated_ms = partner, now_ms
    return True


def judge(voucher: Voucher, lot: Lot, scene: Scene) -> Verdict:
    """Whether it may be held by a payment that does not hold it yet."""
    if voucher.state in USED:
        return Verdict(REDEEMED, {"used_ms": voucher.used_ms or 0, "area": voucher.area})
    stopped = {HELD: HELD_ELSEWHERE, BLOCKED: BLOCKED, VOIDED: VOIDED, RETURNED: RETURNED}.get(voucher.state)
    if stopped is not None:
        return Verdict(stopped, {})
    if lot.valid_until_ms is not None and scene.now_ms > lot.valid_until_ms:
        return Verdict(EXPIRED, {"until_ms": lot.valid_until_ms})
    if voucher.state != ACTIVATED:
        return Verdict(NOT_ACTIVE, {})
    if lot.valid_from_ms is not None and scene.now_ms < lot.valid_from_ms:
        return Verdict(TOO_EARLY, {"from_ms": lot.valid_from_ms})
    return limited(lot.limits, scene) or Verdict(OK, {})


def limited(limits: Limits, scene: Scene) -> Verdict | None:
    """The first limit that stands in the way; None: there is none."""
    if limits.areas and scene.area not in limits.areas:
        return Verdict(WRONG_AREA, {"areas": ", ".join(limits.areas)})
    if limits.weekdays and scene.weekday not in limits.weekdays:
        return Verdict(WRONG_DAY, {})
    if (limits.per_stay or limits.partner_per_stay) and not scene.stay:
        return Verdict(NO_STAY, {})
    if limits.per_plate_day and not scene.plate:
        return Verdict(NO_PLATE, {})
    for most, count, code in (
        (limits.per_stay, scene.of_lot_in_stay, LIMIT_STAY),
        (limits.partner_per_stay, scene.of_partner_in_stay, LIMIT_PARTNER),
        (limits.per_plate_day, scene.of_lot_for_plate, LIMIT_DAY),
    ):
        if most and count >= most:
            return Verdict(code, {"most": most})
    return None


def hold(voucher: Voucher, payment: str, area: str, now_ms: int) -> None:
    """It is this payment's from now on. Only after judge() said OK."""
    if voucher.state != ACTIVATED:
        raise VoucherError("state", voucher.serial, voucher.state)
    voucher.state, voucher.before = HELD, ACTIVATED
    voucher.payment, voucher.area, voucher.held_ms = payment, area, now_ms


def use(voucher: Voucher, value: int, saved_cents: int | None, now_ms: int) -> None:
    """Its payment was made, with it. A block that came meanwhile came too late."""
    if voucher.state != HELD:
        raise VoucherError("state", voucher.serial, voucher.state)
    voucher.state, voucher.before, voucher.reason = REDEEMED, "", ""
    voucher.used_ms, voucher.used_value, voucher.saved_cents = now_ms, value, saved_cents


def release(voucher: Voucher) -> None:
    """Its payment is over, without it: it can be used again, or is what was ordered meanwhile."""
    if voucher.state != HELD:
        raise VoucherError("state", voucher.serial, voucher.state)
    voucher.state, voucher.before = voucher.before, ACTIVATED if voucher.before == BLOCKED else ""
    voucher.payment, voucher.area, voucher.held_ms = "", "", None


def settle(voucher: Voucher, month: str) -> None:
    """It stands in the account of this month, and in no other."""
    if voucher.state != REDEEMED:
        raise VoucherError("state", voucher.serial, voucher.state)
    voucher.state, voucher.settled = SETTLED, month


def in_order(kinds: Sequence[tuple[int, str]]) -> list[int]:
    """Serial numbers in the order in which they are used: minutes, amounts, percent (free minutes come before all)."""
    return [serial for serial, kind in sorted(kinds, key=lambda item: (KINDS.index(item[1]), item[0]))]
