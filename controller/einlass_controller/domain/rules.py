"""The rule language: conditions on facts, and the code and words that follow when all hold. docs/domain-rules.md.

A rule is data (TOML or JSON); `read_rule` checks it, `first` finds the rule that speaks. Nothing else decides about
products: short forms of the catalogue become rules of this language too.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from einlass_controller.domain import decision as codes
from einlass_controller.domain.decision import Text, Value

MINUTE_MS = 60_000
CONDITIONS_MAX = 8
TEXT_LENGTH_MAX = 160
NUMBER_MAX = 10_000_000
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

FLAG, COUNT, DURATION, CLOCK, DAY, DATE, WORD = "flag", "count", "duration", "clock", "day", "date", "word"

# What a rule may ask about. Durations and times of day are milliseconds inside, minutes and "HH:MM" in the text.
FACTS: Mapping[str, str] = {
    "time": CLOCK,
    "weekday": DAY,
    "date": DATE,
    "lane": WORD,
    "zone": WORD,
    "persons": COUNT,
    "entries_used": COUNT,
    "entries_left": COUNT,
    "entries_missing": COUNT,
    "entries_today": COUNT,
    "used_today": FLAG,
    "since_entry": DURATION,
    "since_exit": DURATION,
    "since_first": DURATION,
    "inside": FLAG,
    "moving": FLAG,
    "missed": COUNT,
    "stay": DURATION,
    "proof": FLAG,
    "company_inside": FLAG,
    "booked": FLAG,
    "until_slot": DURATION,
    "slot_today": FLAG,
}
_BOUNDS = ("below", "at_most", "above", "at_least")
OPERATORS: Mapping[str, tuple[str, ...]] = {
    FLAG: ("is",),
    COUNT: ("is", *_BOUNDS),
    DURATION: _BOUNDS,
    CLOCK: _BOUNDS,
    DAY: ("in", "not_in"),
    DATE: ("is", "in", "not_in", *_BOUNDS),
    WORD: ("is", "in", "not_in"),
}
# What a rule may answer; the other codes are facts of the machine (unknown code, full, emergency), not policy.
REFUSALS = frozenset(
    (
        codes.TOO_EARLY,
        codes.EXPIRED,
        codes.WRONG_PRODUCT,
        codes.WRONG_ZONE,
        codes.WRONG_DATE,
        codes.ALREADY_INSIDE,
        codes.USED_UP,
        codes.REENTRY_LOCKED,
        codes.UNPAID,
        codes.CLOSED,
        codes.STAFF,
    )
)
ENTRY_CODES = REFUSALS | codes.ADMITTING
EXIT_CODES = frozenset((codes.OVERSTAY_DUE, codes.OK_EXIT))

Fact = int | str | bool | None
Facts = Mapping[str, Fact]


class RulesError(ValueError):
    """Rules that cannot be used; the text says where and what to write instead."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`fact operator value`; durations and clock times in milliseconds. An unknown fact fulfils no condition."""

    fact: str
    operator: str
    value: Any

    def holds(self, facts: Facts) -> bool:
        """Whether it is so."""
        known: Any = facts.get(self.fact)
        if known is None:
            return False
        match self.operator:
            case "is":
                return bool(known == self.value)
            case "in":
                return known in self.value
            case "not_in":
                return known not in self.value
            case "below":
                return bool(known < self.value)
            case "at_most":
                return bool(known <= self.value)
            case "above":
                return bool(known > self.value)
            case _:
                return bool(known >= self.value)


@dataclass(frozen=True, slots=True)
class Due:
    """Money for time: every started step after the free time, up to a maximum. Cents; max_cents 0: none."""

    free_ms: int
    step_ms: int
    step_cents: int
    max_cents: int = 0

    def amount_cents(self, elapsed_ms: int) -> int:
        """Exactly the free time is free; one millisecond more begins a step."""
        over_ms = max(0, elapsed_ms - self.free_ms)
        cents = -(-over_ms // self.step_ms) * self.step_cents
        return min(cents, self.max_cents) if self.max_cents else cents


@dataclass(frozen=True, slots=True)
class Rule:
    """When all of `when` hold the answer is `code`. free: an admission that uses no entry."""

    id: str
    when: tuple[Condition, ...]
    code: str
    text: Text | None = None
    free: bool = False
    due: Due | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of a scan. rule: the one that spoke, for whoever must explain it later."""

    code: str
    rule: str = ""
    text: Text | None = None
    values: Mapping[str, Value] = field(default_factory=dict)
    free: bool = False

    @property
    def admits(self) -> bool:
        """Only the cap can still say no."""
        return self.code in codes.ADMITTING


def first(rules: Sequence[Rule], facts: Facts) -> Verdict | None:
    """The first rule that speaks, with the values that fill its text; None: none does."""
    for rule in rules:
        if all(condition.holds(facts) for condition in rule.when):
            return Verdict(rule.code, rule.id, rule.text, _values(rule, facts), rule.free)
    return None


def _values(rule: Rule, facts: Facts) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for condition in rule.when:
        known, kind = facts[condition.fact], FACTS[condition.fact]
        if known is None or kind == FLAG:
            continue
        values[condition.fact] = shown(kind, known)
        if condition.operator in _BOUNDS and "limit" not in values:
            values["limit"] = shown(kind, condition.value)
            if kind == DURATION and isinstance(known, int):
                values["minutes"] = -(-abs(condition.value - known) // MINUTE_MS)
    if rule.due is not None and isinstance(stay := facts.get("stay"), int):
        values["amount_cents"] = rule.due.amount_cents(stay)
    if rule.text is not None:
        for name in _blanks(rule.text):
            known = facts.get(name)
            if name not in values and known is not None:
                values[name] = shown(FACTS[name], known)
    return values


def shown(kind: str, value: Fact) -> Value:
    """A fact as people read it: whole minutes, HH:MM."""
    if isinstance(value, int) and kind == DURATION:
        return value // MINUTE_MS
    if isinstance(value, int) and kind == CLOCK:
        minutes = value // MINUTE_MS
        return f"{minutes // 60:02}:{minutes % 60:02}"
    return str(value) if isinstance(value, bool) or value is None else value


def read_rule(given: Any, where: str, number: int, allowed: frozenset[str] = ENTRY_CODES) -> Rule:
    """A rule from plain data: {"when": [...], "code": ..., "de": ..., "en": ...}. Raises RulesError."""
    table = Table(given, where, ("id", "when", "code", "de", "en", "free", "due"))
    code = table.text("code")
    if code not in allowed:
        raise RulesError(f"{where}: code {code!r} cannot be given by a rule{near(code, allowed)}")
    when = given.get("when", [])
    if not isinstance(when, list) or len(when) > CONDITIONS_MAX:
        raise RulesError(f"{where}: `when` is a list of at most {CONDITIONS_MAX} conditions")
    conditions = tuple(read_condition(item, f"{where}.when[{index}]") for index, item in enumerate(when))
    free = table.flag("free") or code == codes.OK_REENTRY
    due = None if table.given.get("due") is None else read_due(table.given["due"], f"{where}.due")
    if (due is None) == (code == codes.OVERSTAY_DUE):
        raise RulesError(f"{where}: `due` and the code overstay_due belong together")
    text = read_text(table, {item.fact for item in conditions}, due is not None)
    return Rule(table.name("id", str(number)), conditions, code, text, free, due)


def read_condition(given: Any, where: str) -> Condition:
    """A condition from plain data: {"fact": "time", "below": "17:00"}. Raises RulesError."""
    if not isinstance(given, dict) or given.get("fact") not in FACTS:
        fact = str(given.get("fact")) if isinstance(given, dict) else ""
        raise RulesError(f"{where}: `fact` must be one that is known{near(fact, FACTS)}")
    fact = str(given["fact"])
    kind = FACTS[fact]
    found = [name for name in given if name != "fact"]
    if len(found) != 1 or found[0] not in OPERATORS[kind]:
        raise RulesError(f"{where}: {fact} is a {kind}: give exactly one of {', '.join(OPERATORS[kind])}")
    (operator,) = found
    value = given[operator]
    if operator in ("in", "not_in"):
        if not isinstance(value, list) or not 0 < len(value) <= 50:
            raise RulesError(f"{where}: `{operator}` takes a list of 1 to 50")
        return Condition(fact, operator, tuple(_literal(kind, item, where) for item in value))
    return Condition(fact, operator, _literal(kind, value, where))


def read_due(given: Any, where: str) -> Due:
    """Money for time from plain data. Raises RulesError."""
    table = Table(given, where, ("free_minutes", "step_minutes", "step_cents", "max_cents"))
    return Due(
        table.number("free_minutes") * MINUTE_MS,
        table.number("step_minutes", low=1) * MINUTE_MS,
        table.number("step_cents", low=1),
        table.number("max_cents", 0),
    )


def read_text(table: "Table", facts: set[str], due: bool) -> Text | None:
    """Both languages or neither; each {blank} must be something that the rule has a value for."""
    german, english = table.given.get("de"), table.given.get("en")
    if german is None and english is None:
        return None
    text = Text(table.text("de"), table.text("en"))
    bounded = {"limit"} | ({"minutes"} if any(FACTS[name] == DURATION for name in facts) else set())
    known = set(FACTS) | (bounded if facts else set()) | ({"amount_cents"} if due else set())
    for name in _blanks(text):
        if name not in known:
            raise RulesError(f"{table.where}: nothing fills {{{name}}}{near(name, known)}")
    return text


def clock(text: Any, where: str) -> int:
    """ "HH:MM" (to "24:00") as milliseconds of the day. Raises RulesError."""
    found = re.fullmatch(r"([01][0-9]|2[0-4]):([0-5][0-9])", text) if isinstance(text, str) else None
    if found is None or (minutes := int(found[1]) * 60 + int(found[2])) > 24 * 60:
        raise RulesError(f'{where}: {text!r} is no time of day: write it as "17:00"')
    return minutes * MINUTE_MS


def near(name: str, known: Any) -> str:
    """A hint for a mistyped name."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f": did you mean {close[0]!r}?" if close else f" (known are: {', '.join(sorted(known))})"


class Table:
    """One table of the text, with errors that name the place. Unknown keys are errors."""

    def __init__(self, given: Any, where: str, keys: Sequence[str]) -> None:
        if not isinstance(given, dict):
            raise RulesError(f"{where}: expected a table with {', '.join(keys)}")
        for key in given:
            if key not in keys:
                raise RulesError(f"{where}: unknown key {key!r}{near(str(key), keys)}")
        self.given: dict[str, Any] = given
        self.where = where

    def text(self, key: str, default: str | None = None, length_max: int = TEXT_LENGTH_MAX) -> str:
        """A text that is not empty."""
        value = self.given.get(key, default)
        if not isinstance(value, str) or not 0 < len(value) <= length_max or not _plain(value):
            raise RulesError(f"{self.where}: `{key}` must be a text of 1 to {length_max} characters")
        return value

    def name(self, key: str, default: str | None = None) -> str:
        """An id: small letters, digits, - and _."""
        value = self.text(key, default)
        if NAME.fullmatch(value) is None:
            raise RulesError(f"{self.where}: `{key}` must be 1 to 32 of a-z 0-9 - _, and is {value!r}")
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """A list of ids."""
        value = self.given.get(key, [])
        if not isinstance(value, list) or len(value) > 100 or not all(_plain(item) for item in value):
            raise RulesError(f"{self.where}: `{key}` must be a list of names")
        return tuple(value)

    def number(self, key: str, default: int | None = None, low: int = 0, high: int = NUMBER_MAX) -> int:
        """A whole number."""
        value = self.given.get(key, default)
        if type(value) is not int or not low <= value <= high:
            raise RulesError(f"{self.where}: `{key}` must be a whole number from {low} to {high}")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false when it is missing."""
        value = self.given.get(key, False)
        if type(value) is not bool:
            raise RulesError(f"{self.where}: `{key}` must be true or false")
        return value

    def tables(self, key: str, count_max: int) -> list[Any]:
        """A list of tables, which the caller reads."""
        value = self.given.get(key, [])
        if not isinstance(value, list) or len(value) > count_max:
            raise RulesError(f"{self.where}: `{key}` must be a list of at most {count_max} tables")
        return value


def _plain(value: Any) -> bool:
    """Text that every database can keep: no NUL, no half of a surrogate pair."""
    return isinstance(value, str) and "\x00" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)


def _blanks(text: Text) -> set[str]:
    return set(re.findall(r"{([^{}]*)}", text.de + text.en))


def _literal(kind: str, value: Any, where: str) -> Any:
    if kind == CLOCK:
        return clock(value, where)
    if kind == FLAG and type(value) is bool:
        return value
    if kind in (COUNT, DURATION) and type(value) is int and abs(value) <= NUMBER_MAX:
        return value * MINUTE_MS if kind == DURATION else value
    if kind == DAY and value in WEEKDAYS:
        return value
    if kind == WORD and _plain(value) and 0 < len(value) <= TEXT_LENGTH_MAX:
        return value
    if kind == DATE:
        return day(value, where)
    wanted = {FLAG: "true or false", COUNT: "a whole number", DURATION: "whole minutes", WORD: "a name"}
    raise RulesError(f"{where}: {value!r} is not {wanted.get(kind, 'one of ' + ', '.join(WEEKDAYS))}")


def day(value: Any, where: str) -> str:
    """A calendar day as text, YYYY-MM-DD. Raises RulesError."""
    try:
        if isinstance(value, str):
            return date.fromisoformat(value).isoformat()
        if type(value) is date:  # TOML has dates of its own
            return value.isoformat()
    except ValueError:
        pass
    raise RulesError(f'{where}: {value!r} is no day: write it as "2026-12-24"')
