"""The grammar of a tariff as data: one list of keys checks a text and makes its JSON Schema."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from einlass_tariff import words
from einlass_tariff.german import german_of
from einlass_tariff.problems import Problem

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
NAME_SHOWN_MAX = 80
SHOWN_BELOW = 10**15
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

    @property
    def german(self) -> str:
        """What it means, in German."""
        return german_of(self.says) or self.says


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
            found.append(Problem(place, *_unknown(name, path, known, top)))
            continue
        try:
            values[name] = _read(key, key.kind, value, place, found, top)
        except words.WordError as error:
            found.append(Problem(place, str(error), error.german))
    found += [
        Problem(path, f"{key.name!r} is missing: {key.says}", f"{key.name!r} fehlt: {key.german}")
        for key in keys
        if key.need and key.name not in data
    ]
    return values


def _unknown(name: str, path: str, known: Mapping[str, Key], top: frozenset[str]) -> tuple[str, str]:
    shown = name[:NAME_SHOWN_MAX]
    if path and name in top:
        return (
            f"{shown!r} belongs to the top of the file, before the first [section]",
            f"{shown!r} gehört an den Anfang der Datei, vor den ersten [Abschnitt]",
        )
    close = difflib.get_close_matches(shown, known, n=1, cutoff=0.6)
    if close:
        return (
            f"there is no key {shown!r} here; did you mean {close[0]!r}?",
            f"{shown!r} gibt es hier nicht; ist {close[0]!r} gemeint?",
        )
    names = ", ".join(sorted(known))
    return f"there is no key {shown!r} here; these are: {names}", f"{shown!r} gibt es hier nicht; möglich sind: {names}"


def _read(key: Key, kind: str, value: Any, place: str, found: list[Problem], top: frozenset[str]) -> Any:
    if kind == TABLE:
        if not isinstance(value, dict):
            names = ", ".join(item.name for item in key.keys)
            raise words.WordError(f"must be a table with {names}", f"muss eine Tabelle sein, mit {names}")
        return read_table(key.keys, value, place, found, top)
    if kind == LIST:
        return _read_list(key, value, place, found, top)
    if kind == NAMED:
        if not isinstance(value, dict):
            raise words.WordError(
                f"must be tables with a name, like [{place}.day]", f"müssen Tabellen mit Namen sein, wie [{place}.tag]"
            )
        return {_name(name): _read(key, TABLE, item, f"{place}.{name}", found, top) for name, item in value.items()}
    if kind == INT:
        return _int(key, value)
    if kind == BOOL:
        if not isinstance(value, bool):
            raise words.WordError(
                f"{_shown(value)} must be true or false, without quotes",
                f"{_shown(value)} muss true (ja) oder false (nein) sein, ohne Anführungszeichen",
            )
        return value
    if kind in (TEXT, NAME):
        return _text(key, kind, value)
    parse, types = _WORDS[kind]
    if not isinstance(value, types) or isinstance(value, bool):
        raise words.WordError(f"{_shown(value)} must be {key.says}", f"{_shown(value)} muss sein: {key.german}")
    return parse(value)


def _read_list(key: Key, value: Any, place: str, found: list[Problem], top: frozenset[str]) -> list[Any]:
    if not isinstance(value, list):
        raise words.WordError(f"must be a list, in [ ]: {key.says}", f"muss eine Liste sein, in [ ]: {key.german}")
    if len(value) > LIST_MAX:
        raise words.WordError(
            f"has {len(value)} entries; {LIST_MAX} at most", f"hat {len(value)} Einträge; höchstens {LIST_MAX}"
        )
    if not value:
        raise words.WordError(
            f"is empty; leave the key out, or write {key.says}",
            f"ist leer; bitte ganz weglassen, oder schreiben: {key.german}",
        )
    items = []
    for number, item in enumerate(value, 1):
        try:
            items.append(_read(key, key.of, item, f"{place}[{number}]", found, top))
        except words.WordError as error:
            found.append(Problem(f"{place}[{number}]", str(error), error.german))
    return items


def _int(key: Key, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        is_money = key.name.endswith("cents")
        hint = " (cents are whole: 1.50 EUR is 150)" if is_money else " (a whole number)"
        hint_de = " (ganze Cent: 1,50 € sind 150)" if is_money else " (eine ganze Zahl)"
        raise words.WordError(
            f"{_shown(value)} must be a number{hint} without quotes: {key.says}",
            f"{_shown(value)} muss eine Zahl sein{hint_de}, ohne Anführungszeichen: {key.german}",
        )
    if not key.low <= value <= key.high:
        number = str(value) if abs(value) < SHOWN_BELOW else "so much"
        number_de = str(value) if abs(value) < SHOWN_BELOW else "so viel"
        raise words.WordError(
            f"{number} is not possible; {key.low} to {key.high}: {key.says}",
            f"{number_de} geht nicht; möglich ist {key.low} bis {key.high}: {key.german}",
        )
    return value


def _text(key: Key, kind: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise words.WordError(
            f"{_shown(value)} must be a text in quotes: {key.says}",
            f"{_shown(value)} muss ein Text in Anführungszeichen sein: {key.german}",
        )
    if key.choices and value not in key.choices:
        close = difflib.get_close_matches(value[:TEXT_MAX], key.choices, n=1, cutoff=0.6)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        hint_de = f"; ist {close[0]!r} gemeint?" if close else ""
        names = ", ".join(key.choices)
        raise words.WordError(
            f"{_shown(value)} must be one of {names}{hint}", f"{_shown(value)} gibt es nicht; möglich: {names}{hint_de}"
        )
    if len(value) > TEXT_MAX:
        raise words.WordError(
            f"has {len(value)} characters; {TEXT_MAX} at most", f"hat {len(value)} Zeichen; höchstens {TEXT_MAX}"
        )
    return _name(value) if kind == NAME else value


def _name(value: str) -> str:
    if not value or len(value) > 64 or not set(value) <= _NAME_CHARACTERS or value[0] in "_-":
        raise words.WordError(
            f"{_shown(value)} is no name; use a-z, 0-9, _ and - (64 at most), beginning with a letter or digit",
            f"{_shown(value)} ist kein Name; möglich sind a-z, 0-9, _ und - (höchstens 64), vorn Buchstabe oder Ziffer",
        )
    return value


def _shown(value: Any) -> str:
    """A value as its author wrote it, as far as it is worth reading."""
    if isinstance(value, int) and abs(value) >= SHOWN_BELOW:
        return "this number"
    text = repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= NAME_SHOWN_MAX else text[:NAME_SHOWN_MAX] + "…"
