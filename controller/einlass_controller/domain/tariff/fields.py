"""The grammar of a tariff as data: one list of keys checks a text and makes its JSON Schema."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from einlass_controller.domain.tariff import words
from einlass_controller.domain.tariff.problems import Problem

TEXT = "text"
NAME = "name"
INT = "int"
BOOL = "bool"
TIME = "time"
DATE = "date"
ANY_DATE = "any_date"
MONTH_DAY = "month_day"
INSTANT = "instant"
DAY = "day"
LIST = "list"
TABLE = "table"
NAMED = "named"  # a table of tables, by a name of the author's own

TEXT_MAX = 200
LIST_MAX = 400
NAME_PATTERN = "^[a-z0-9][a-z0-9_-]{0,63}$"
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_WORDS: Mapping[str, tuple[Callable[[Any], Any], tuple[type, ...]]] = {
    TIME: (words.minute_of_day, (str, time)),
    DATE: (words.full_date, (str, date)),
    ANY_DATE: (words.any_date, (str, date)),
    MONTH_DAY: (words.month_day, (str,)),
    INSTANT: (words.local_instant, (str, date, datetime)),
    DAY: (words.day_kinds, (str,)),
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its kind, what it means, its bounds. `of`: the kind in a list; `keys`: those of a table or its items."""

    name: str
    kind: str
    says: str
    need: bool = False
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    of: str = ""
    keys: "tuple[Key, ...]" = ()


def read_table(
    keys: tuple[Key, ...], data: Mapping[str, Any], path: str, found: list[Problem], top: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The values of a table in the kinds of the model; what is wrong goes to `found` and is left out.

    top: the keys of the whole text, to tell an author whose key slipped into a section.
    """
    known = {key.name: key for key in keys}
    top = top or frozenset(known)
    values: dict[str, Any] = {}
    for name, value in data.items():
        place = f"{path}.{name}" if path else name
        key = known.get(name)
        if key is None:
            found.append(Problem(place, _unknown(name, path, known, top)))
            continue
        try:
            values[name] = _read(key, key.kind, value, place, found, top)
        except words.WordError as error:
            found.append(Problem(place, str(error)))
    found += [
        Problem(path, f"{key.name!r} is missing: {key.says}") for key in keys if key.need and key.name not in data
    ]
    return values


def _unknown(name: str, path: str, known: Mapping[str, Key], top: frozenset[str]) -> str:
    if path and name in top:
        return f"{name!r} belongs to the top of the file, before the first [section]"
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"there is no key {name!r} here; did you mean {close[0]!r}?"
    return f"there is no key {name!r} here; these are: {', '.join(sorted(known))}"


def _read(key: Key, kind: str, value: Any, place: str, found: list[Problem], top: frozenset[str]) -> Any:
    if kind == TABLE:
        if not isinstance(value, dict):
            raise words.WordError(f"must be a table with {', '.join(item.name for item in key.keys)}")
        return read_table(key.keys, value, place, found, top)
    if kind == LIST:
        return _read_list(key, value, place, found, top)
    if kind == NAMED:
        if not isinstance(value, dict):
            raise words.WordError(f"must be tables with a name, like [{place}.day]")
        return {_name(name): _read(key, TABLE, item, f"{place}.{name}", found, top) for name, item in value.items()}
    if kind == INT:
        return _int(key, value)
    if kind == BOOL:
        if not isinstance(value, bool):
            raise words.WordError(f"{value!r} must be true or false, without quotes")
        return value
    if kind in (TEXT, NAME):
        return _text(key, kind, value)
    parse, types = _WORDS[kind]
    if not isinstance(value, types) or isinstance(value, bool):
        raise words.WordError(f"{value!r} must be {key.says}")
    return parse(value)


def _read_list(key: Key, value: Any, place: str, found: list[Problem], top: frozenset[str]) -> list[Any]:
    if not isinstance(value, list):
        raise words.WordError(f"must be a list, in [ ]: {key.says}")
    if len(value) > LIST_MAX:
        raise words.WordError(f"has {len(value)} entries; {LIST_MAX} at most")
    if not value:
        raise words.WordError(f"is empty; leave the key out, or write {key.says}")
    items = []
    for number, item in enumerate(value, 1):
        try:
            items.append(_read(key, key.of, item, f"{place}[{number}]", found, top))
        except words.WordError as error:
            found.append(Problem(f"{place}[{number}]", str(error)))
    return items


def _int(key: Key, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        hint = " (cents are whole: 1.50 EUR is 150)" if key.name.endswith("cents") else " (a whole number)"
        raise words.WordError(f"{value!r} must be a number{hint} without quotes: {key.says}")
    if not key.low <= value <= key.high:
        raise words.WordError(f"{value} is not possible; {key.low} to {key.high}: {key.says}")
    return value


def _text(key: Key, kind: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise words.WordError(f"{value!r} must be a text in quotes: {key.says}")
    if key.choices and value not in key.choices:
        close = difflib.get_close_matches(value, key.choices, n=1, cutoff=0.6)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise words.WordError(f"{value!r} must be one of {', '.join(key.choices)}{hint}")
    if len(value) > TEXT_MAX:
        raise words.WordError(f"has {len(value)} characters; {TEXT_MAX} at most")
    return _name(value) if kind == NAME else value


def _name(value: str) -> str:
    if not value or len(value) > 64 or not set(value) <= _NAME_CHARACTERS or value[0] in "_-":
        raise words.WordError(
            f"{value!r} is no name; use a-z, 0-9, _ and - (64 at most), beginning with a letter or digit"
        )
    return value
