"""The schema that editors use and the reader say the same about a text, as far as a schema can know."""

import json
import tomllib
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from einlass_tariff.problems import TariffError
from einlass_tariff.read import read_tariff
from einlass_tariff.schema import tariff_schema
from tariff_making import tariffs

DOCS = Path(__file__).resolve().parents[2] / "docs"
VALIDATOR = Draft202012Validator(tariff_schema())


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, date | datetime | time) else value


def refused(data: Any) -> bool:
    try:
        read_tariff(json.dumps(data), is_json=True)
    except TariffError:
        return True
    return False


def test_the_schema_in_docs_is_current() -> None:
    held = json.loads((DOCS / "tariff.schema.json").read_text(encoding="utf-8"))
    assert held == tariff_schema(), "make it again: .venv/bin/python tools/tariff_schema.py"


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(tariff_schema())


@pytest.mark.parametrize("path", sorted((DOCS / "tariffs").glob("*[!s].toml")), ids=lambda path: path.stem)
def test_every_tariff_in_docs_fits(path: Path) -> None:
    data = plain(tomllib.loads(path.read_text(encoding="utf-8")))
    assert [error.message for error in VALIDATOR.iter_errors(data)] == []
    assert not refused(data), "TOML and JSON say the same"


@settings(max_examples=100, deadline=None)
@given(tariffs())
def test_what_the_reader_takes_the_schema_takes(data: dict[str, Any]) -> None:
    if not refused(data):
        assert VALIDATOR.is_valid(data)


@settings(max_examples=200, deadline=None)
@given(tariffs(), st.sampled_from(["", "free", "rate", "cap", "voucher"]), st.data())
def test_what_the_schema_refuses_the_reader_refuses(data: dict[str, Any], where: str, draw: st.DataObject) -> None:
    holder = data.get(where) or data
    holder = holder[0] if isinstance(holder, list) else holder
    key = draw.draw(st.sampled_from([*holder, "colour"]))
    holder[key] = draw.draw(st.sampled_from([None, -1, 10**9, "", "x y", [], True, 1.5, {"no": 1}]))
    if not VALIDATOR.is_valid(data):
        assert refused(data)
