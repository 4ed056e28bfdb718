"""The rules of a house as data: products, opening hours, guarded places. One text, versioned, with valid-from.

Short forms of a product (re-entry, evening, proof, ...) are turned into rules of domain.rules here; nothing decides
that is not such a rule. docs/domain-rules.md explains the text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from einlass_controller.domain import decision as codes
from einlass_controller.domain.decision import Text
from einlass_controller.domain.hours import Hours, Opening, Period
from einlass_controller.domain.rules import (
    DAY,
    EXIT_CODES,
    MINUTE_MS,
    WEEKDAYS,
    Condition,
    Due,
    Facts,
    Rule,
    RulesError,
    Table,
    Verdict,
    clock,
    day,
    first,
    near,
    read_due,
    read_rule,
)

PRODUCTS_MAX = 200
RULES_MAX = 30
NAME_LENGTH_MAX = 40
PASS_LENGTH_MAX = 64
PERSONS_MAX = 50
PERCENT_MAX = 100
PRICE_CENTS_MAX = 1_000_000
PERIODS_MAX = 100
# What a ticket of a product is worth at a lane that is cut off: `report` (let in once a lane by the list; a second use
# elsewhere is found afterwards and reported) or `refuse`.
REPORT, REFUSE = WHILE_CUT_OFF = ("report", "refuse")
REENTRY = ("never", "always", "within", "locked", "per_day")

BUILT_IN: Mapping[str, Any] = {
    "product": [{"id": "single", "name": "Einzeleintritt", "name_en": "Single entry", "entries": 1}]
}


@dataclass(frozen=True, slots=True)
class Slots:
    """A time slot product. quota: persons a slot; walk_in_percent of it is not sold ahead."""

    minutes: int
    early_minutes: int
    late_minutes: int
    quota: int
    walk_in_percent: int

    @property
    def presale(self) -> int:
        """Persons a slot that may be sold ahead."""
        return self.quota * (PERCENT_MAX - self.walk_in_percent) // PERCENT_MAX


@dataclass(frozen=True, slots=True)
class Product:
    """What a ticket of this kind may do. entries None: no limit. group: several persons at once, an entry each.

    price_cents: what a till sells it for; None: no till does. parking_pass: its holder parks by that pass of the car
    park's tariff; "": parks free.
    """

    id: str
    name: str
    name_en: str
    persons: int
    entries: int | None
    group: bool
    slots: Slots | None
    rules: tuple[Rule, ...]
    exit_rules: tuple[Rule, ...]
    while_cut_off: str = REPORT
    price_cents: int | None = None
    parking_pass: str = ""


@dataclass(frozen=True, slots=True)
class Guard:
    """Places kept for bookings: from so long before the slot until so long after its start, but never the walk-ins'."""

    before_ms: int
    release_ms: int
    walk_in_percent: int

    def places(self, expected: int, cap: int) -> int:
        """How many places so many expected persons guard."""
        return max(0, min(expected, cap * (PERCENT_MAX - self.walk_in_percent) // PERCENT_MAX))


@dataclass(frozen=True, slots=True)
class ZoneRules:
    """A zone's opening hours and what bookings guard in it."""

    hours: Hours = field(default_factory=Hours)
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All rules of a house, of one version. nightly_close_ms: local time of day; None: nobody is sent home."""

    version: int
    valid_from_ms: int
    products: Mapping[str, Product]
    zones: Mapping[str, ZoneRules]
    nightly_close_ms: int | None

    def judge(self, product: str, facts: Facts, openings: Sequence[Opening], shut: bool = False) -> Verdict:
        """What an entry scan gets, if there is room: the product's rules, then the zones' hours."""
        known = self.products.get(product)
        if known is None:
            return Verdict(codes.WRONG_PRODUCT, "product")
        verdict = first(known.rules, facts) or Verdict(codes.OK)
        if not verdict.admits:
            return verdict
        if shut:
            return Verdict(codes.CLOSED, "shut", _SHUT)
        again = bool(facts.get("moving")) or verdict.code == codes.OK_REENTRY
        return next((found for opening in openings if (found := _closed(opening, again)) is not None), verdict)

    def judge_exit(self, product: str, facts: Facts) -> Verdict:
        """What an exit scan gets: it is never refused, but money may be due."""
        known = self.products.get(product)
        return (first(known.exit_rules, facts) if known is not None else None) or Verdict(codes.OK_EXIT)

    def zone(self, name: str) -> ZoneRules:
        """A zone's rules; one that is not named is always open and guards nothing."""
        return self.zones.get(name, _PLAIN)


_PLAIN = ZoneRules()
_SHUT = Text("Heute kein Einlass mehr", "No more entries today")
_CLOSED = Text("Geschlossen", "Closed")
_OPENS = Text("Geschlossen, wieder offen ab {opens_ms}", "Closed, open again from {opens_ms}")
_LAST = Text("Der letzte Einlass war um {last_entry_ms}", "The last entry was at {last_entry_ms}")


def _closed(opening: Opening, again: bool) -> Verdict | None:
    """Re-entries and walks within the house are possible until closing time, fresh entries until the last entry."""
    if opening.is_open and (opening.entries or again):
        return None
    if opening.is_open and opening.last_entry_ms is not None:
        return Verdict(codes.CLOSED, "last_entry", _LAST, {"last_entry_ms": opening.last_entry_ms})
    if opening.opens_ms is None:
        return Verdict(codes.CLOSED, "hours", _CLOSED)
    return Verdict(codes.CLOSED, "hours", _OPENS, {"opens_ms": opening.opens_ms})


def in_force(catalogues: Sequence[Catalogue], now_ms: int) -> Catalogue:
    """The version that holds now: the latest that has begun, of two that begin together the newer one."""
    found = catalogues[0]
    for item in catalogues:
        if item.valid_from_ms <= now_ms and (
            found.valid_from_ms > now_ms or (item.valid_from_ms, item.version) > (found.valid_from_ms, found.version)
        ):
            found = item
    return found


def read_catalogue(given: Any, version: int = 0, valid_from_ms: int = 0) -> Catalogue:
    """The rules of a house from plain data. Raises RulesError with the place and what to write instead."""
    table = Table(given, "rules", ("product", "zone", "nightly_close"))
    products = [_product(item, f"product[{index}]") for index, item in enumerate(table.tables("product", PRODUCTS_MAX))]
    if not products:
        raise RulesError("rules: there is no product: write at least one [[product]]")
    zones = [_zone(item, f"zone[{index}]") for index, item in enumerate(table.tables("zone", PRODUCTS_MAX))]
    nightly = table.given.get("nightly_close")
    return Catalogue(
        version,
        valid_from_ms,
        _unique("product", [(item.id, item) for item in products]),
        _unique("zone", zones),
        None if nightly is None else clock(nightly, "rules.nightly_close"),
    )


def _unique(what: str, items: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise RulesError(f"two of {what} have the same id: give each one of its own")
    return found


_PRODUCT_KEYS = (
    "id",
    "name",
    "name_en",
    "persons",
    "entries",
    "group",
    "zones",
    "reentry",
    "times_per_day",
    "lock_minutes",
    "from",
    "until",
    "weekdays",
    "proof",
    "company",
    "slots",
    "stay",
    "while_cut_off",
    "price_cents",
    "parking_pass",
    "rule",
    "exit_rule",
)


def _product(given: Any, where: str) -> Product:
    table = Table(given, where, _PRODUCT_KEYS)
    name = table.text("name", length_max=NAME_LENGTH_MAX)
    group = table.flag("group")
    slots = None if table.given.get("slots") is None else _slots(table.given["slots"], f"{where}.slots")
    own = [
        read_rule(item, f"{where}.rule[{index}]", index) for index, item in enumerate(table.tables("rule", RULES_MAX))
    ]
    leaving = [
        read_rule(item, f"{where}.exit_rule[{index}]", index, EXIT_CODES)
        for index, item in enumerate(table.tables("exit_rule", RULES_MAX))
    ]
    if table.given.get("stay") is not None:
        leaving.append(_stay(read_due(table.given["stay"], f"{where}.stay")))
    while_cut_off = table.text("while_cut_off", REPORT)
    if while_cut_off not in WHILE_CUT_OFF:
        raise RulesError(f"{where}.while_cut_off is {while_cut_off!r}: write one of {', '.join(WHILE_CUT_OFF)}")
    return Product(
        table.name("id"),
        name,
        table.text("name_en", name, NAME_LENGTH_MAX),
        table.number("persons", 1, 1, PERSONS_MAX),
        table.number("entries", low=1) if table.given.get("entries") is not None else None,
        group,
        slots,
        (*_place(table, group), *own, *_when(table), *_slot_rules(slots), *_again(table), *_staff(table)),
        tuple(leaving),
        while_cut_off,
        table.number("price_cents", high=PRICE_CENTS_MAX) if table.given.get("price_cents") is not None else None,
        "" if table.given.get("parking_pass") is None else table.text("parking_pass", length_max=PASS_LENGTH_MAX),
    )


# Short forms, in the order in which their rules are asked.


def _place(table: Table, group: bool) -> list[Rule]:
    rules = []
    zones = table.names("zones")
    if zones:
        rules.append(Rule("zones", (Condition("zone", "not_in", zones),), codes.WRONG_PRODUCT, _NOT_HERE))
    if not group:
        rules.append(Rule("inside", (Condition("inside", "is", True),), codes.ALREADY_INSIDE))
        rules.append(Rule("missed", (Condition("missed", "at_least", 1),), codes.OK, free=True))
    rules.append(Rule("moving", (Condition("moving", "is", True),), codes.OK, free=True))
    return rules


def _when(table: Table) -> list[Rule]:
    rules = []
    days = table.names("weekdays")
    if days:
        for name in days:
            if name not in WEEKDAYS:
                raise RulesError(f"{table.where}: weekdays has {name!r}, which is no {DAY}{near(name, WEEKDAYS)}")
        rules.append(Rule("weekdays", (Condition("weekday", "not_in", days),), codes.WRONG_DATE, _OTHER_DAY))
    for key, operator, code, text in (
        ("from", "below", codes.TOO_EARLY, _FROM),
        ("until", "at_least", codes.EXPIRED, _UNTIL),
    ):
        if table.given.get(key) is not None:
            bound = clock(table.given[key], f"{table.where}.{key}")
            rules.append(Rule(key, (Condition("time", operator, bound),), code, text))
    return rules


def _slots(given: Any, where: str) -> Slots:
    table = Table(given, where, ("minutes", "early_minutes", "late_minutes", "quota", "walk_in_percent"))
    minutes = table.number("minutes", low=1)
    return Slots(
        minutes,
        table.number("early_minutes", 0),
        table.number("late_minutes", minutes),
        table.number("quota"),
        table.number("walk_in_percent", 0, high=PERCENT_MAX),
    )


def _slot_rules(slots: Slots | None) -> list[Rule]:
    if slots is None:
        return []
    return [
        Rule("unbooked", (Condition("booked", "is", False),), codes.STAFF, _NO_SLOT),
        Rule("slot_day", (Condition("slot_today", "is", False),), codes.WRONG_DATE, _SLOT_DAY),
        Rule("slot_early", (_bound("until_slot", "above", slots.early_minutes),), codes.TOO_EARLY, _SLOT_EARLY),
        Rule("slot_late", (_bound("until_slot", "below", -slots.late_minutes),), codes.EXPIRED, _SLOT_LATE),
    ]


def _again(table: Table) -> list[Rule]:
    """Uses after the first: times a day, lock time, the re-entry policy, then the entries that are left."""
    rules = []
    if table.given.get("times_per_day") is not None:
        rules.append(_times(table.number("times_per_day", low=1)))
    if table.given.get("lock_minutes") is not None:
        rules.append(_lock(table.number("lock_minutes", low=1)))
    policy = Table(
        table.given.get("reentry", {"policy": "never"}),
        f"{table.where}.reentry",
        ("policy", "minutes", "times", "same_day"),
    )
    kind = policy.text("policy")
    if kind not in REENTRY:
        raise RulesError(f"{policy.where}: policy {kind!r} is not known{near(kind, REENTRY)}")
    used = [Condition("entries_used", "at_least", 1)]
    if policy.flag("same_day"):
        used.append(Condition("used_today", "is", True))
    if kind == "within":
        used.append(_bound("since_exit", "at_most", policy.number("minutes", low=1)))
    elif kind == "locked":
        rules.append(_lock(policy.number("minutes", low=1)))
    elif kind == "per_day":
        rules.append(_times(policy.number("times", low=1)))
    if kind != "never":
        rules.append(Rule("reentry", tuple(used), codes.OK_REENTRY, free=True))
    missing = Condition("entries_missing", "at_least", 1)
    if table.flag("group"):
        rules.append(Rule("too_few", (Condition("entries_left", "at_least", 1), missing), codes.USED_UP, _TOO_FEW))
    rules.append(Rule("entries", (missing,), codes.USED_UP))
    return rules


def _staff(table: Table) -> list[Rule]:
    rules = []
    unproved = Condition("proof", "is", False)
    if table.flag("company"):
        rules.append(Rule("company", (Condition("company_inside", "is", False), unproved), codes.STAFF, _COMPANY))
    if table.flag("proof"):
        rules.append(Rule("proof", (unproved,), codes.STAFF, _PROOF))
    return rules


def _stay(due: Due) -> Rule:
    return Rule("stay", (Condition("stay", "above", due.free_ms),), codes.OVERSTAY_DUE, _STAY, due=due)


def _times(times: int) -> Rule:
    return Rule("times_per_day", (Condition("entries_today", "at_least", times),), codes.USED_UP, _TIMES)


def _lock(minutes: int) -> Rule:
    return Rule("lock", (_bound("since_entry", "below", minutes),), codes.REENTRY_LOCKED)


def _bound(fact: str, operator: str, minutes: int) -> Condition:
    return Condition(fact, operator, minutes * MINUTE_MS)


_TOO_FEW = Text(
    "Noch {entries_left} Eintritte für {persons} Personen", "{entries_left} entries left for {persons} people"
)
_NOT_HERE = Text("Diese Karte gilt hier nicht", "This ticket is not valid here")
_OTHER_DAY = Text("Diese Karte gilt heute nicht", "This ticket is not valid today")
_FROM = Text("Diese Karte gilt ab {limit} Uhr", "This ticket is valid from {limit}")
_UNTIL = Text("Diese Karte gilt nur bis {limit} Uhr", "This ticket is valid until {limit} only")
_NO_SLOT = Text("Zu dieser Karte fehlt ein Zeitfenster", "This ticket has no time slot")
_SLOT_DAY = Text("Das Zeitfenster dieser Karte ist nicht heute", "The time slot of this ticket is not today")
_SLOT_EARLY = Text("Ihr Zeitfenster beginnt bald: noch {minutes} Minuten", "Your time slot: {minutes} minutes to wait")
_SLOT_LATE = Text("Ihr Zeitfenster ist seit {minutes} Minuten vorbei", "Your time slot ended {minutes} minutes ago")
_TIMES = Text("Heute schon {entries_today} Mal genutzt, mehr geht nicht", "Used {entries_today} times today, no more")
_COMPANY = Text("Begleitung: bitte zuerst die andere Karte", "Companion: the other ticket first, please")
_PROOF = Text("Ermäßigt: das Personal prüft den Nachweis", "Reduced: staff checks the proof")
_STAY = Text("{minutes} Minuten zu lang: bitte {amount_cents} zahlen", "{minutes} minutes over: {amount_cents} to pay")


def _zone(given: Any, where: str) -> tuple[str, ZoneRules]:
    table = Table(given, where, ("id", "hours", "days", "last_entry_minutes", "guard"))
    week: dict[int, tuple[Period, ...]] = {}
    for index, item in enumerate(table.tables("hours", PERIODS_MAX)):
        place = f"{where}.hours[{index}]"
        line = Table(item, place, ("days", "from", "until"))
        names = line.names("days") or WEEKDAYS
        for name in names:
            if name not in WEEKDAYS:
                raise RulesError(f"{place}: {name!r} is no weekday{near(name, WEEKDAYS)}")
            number = WEEKDAYS.index(name)
            week[number] = (*week.get(number, ()), _period(line))
    days: dict[str, tuple[Period, ...]] = {}
    for index, item in enumerate(table.tables("days", PERIODS_MAX)):
        place = f"{where}.days[{index}]"
        line = Table(item, place, ("date", "from", "until", "closed"))
        name = day(line.given.get("date"), place)
        closed = line.flag("closed")
        if closed and (line.given.keys() & {"from", "until"}):
            raise RulesError(f"{place}: closed, or from and until, but not both")
        days[name] = days.get(name, ()) if closed else (*days.get(name, ()), _period(line))
    last = table.number("last_entry_minutes", 0) * MINUTE_MS
    guard = None if table.given.get("guard") is None else _guard(table.given["guard"], f"{where}.guard")
    return table.name("id"), ZoneRules(Hours(week, days, last), guard)


def _period(line: Table) -> Period:
    begins = clock(line.given.get("from"), f"{line.where}.from")
    return Period(begins, clock(line.given.get("until"), f"{line.where}.until"))


def _guard(given: Any, where: str) -> Guard:
    table = Table(given, where, ("before_minutes", "release_minutes", "walk_in_percent"))
    return Guard(
        table.number("before_minutes", 0) * MINUTE_MS,
        table.number("release_minutes", 30) * MINUTE_MS,
        table.number("walk_in_percent", 0, high=PERCENT_MAX),
    )
