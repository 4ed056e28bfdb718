"""The JSON Schema of a tariff, made from the same keys that the reader checks; editors complete and underline by it."""

from typing import Any

from einlass_tariff import fields as f
from einlass_tariff.keys import TARIFF

_DAY = r"^\s*[A-Za-zäöüÄÖÜ]+(\s*-\s*[A-Za-z]+)?\s*$"
_DATE = r"(\d{4}-)?\d{1,2}-\d{1,2}"
_WORDS: dict[str, dict[str, Any]] = {
    f.TIME: {"type": "string", "pattern": r"^\d{1,2}:\d{2}(:00)?$"},
    f.DATE: {"type": "string", "pattern": r"^\d{4}-\d{1,2}-\d{1,2}$"},
    f.ANY_DATE: {"type": "string", "pattern": rf"^{_DATE}((\s+(to|bis)\s+|\s*(/|\.\.)\s*){_DATE})?$"},
    f.MONTH_DAY: {"type": "string", "pattern": r"^\d{1,2}-\d{1,2}$"},
    f.INSTANT: {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?$"},
    f.DAY: {"type": "string", "pattern": _DAY},
}


def tariff_schema() -> dict[str, Any]:
    """The schema as a JSON value; TOML's own dates and times count as their text."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Einlass: a parking tariff",
        "description": "One version of a tariff. Money is whole cents, times are local.",
        **_table(TARIFF),
    }


def _table(keys: tuple[f.Key, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key.name: {"description": key.says, **_of(key, key.kind)} for key in keys},
    }
    needed = [key.name for key in keys if key.need]
    return made | ({"required": needed} if needed else {})


def _of(key: f.Key, kind: str) -> dict[str, Any]:
    if kind == f.TABLE:
        return _table(key.keys)
    if kind == f.LIST:
        return {"type": "array", "minItems": 1, "maxItems": f.LIST_MAX, "items": _of(key, key.of)}
    if kind == f.NAMED:
        return {
            "type": "object",
            "propertyNames": {"pattern": f.NAME_PATTERN},
            "additionalProperties": _table(key.keys),
        }
    if kind == f.INT:
        return {"type": "integer", "minimum": key.low, "maximum": key.high}
    if kind == f.BOOL:
        return {"type": "boolean"}
    if kind == f.NAME:
        return {"type": "string", "pattern": f.NAME_PATTERN}
    if kind == f.TEXT:
        return (
            {"enum": list(key.choices)} if key.choices else {"type": "string", "minLength": 1, "maxLength": f.TEXT_MAX}
        )
    return dict(_WORDS[kind])
