"""What docs/tariffs.md shows is read by the reader, and no key goes unexplained."""

import re
from pathlib import Path

import pytest

from einlass_tariff.fields import Key
from einlass_tariff.keys import TARIFF
from einlass_tariff.read import read_tariff
from tariff_town import HEAD

TEXT = (Path(__file__).resolve().parents[2] / "docs/tariffs.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.M | re.S)
RATE = "[rate.hour]\nsteps = [{ minutes = 60, cents = 100 }]\n"


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_is_a_tariff_or_a_part_of_one(number: int) -> None:
    block = BLOCKS[number]
    whole = block.startswith("tariff =")
    text = block if whole else HEAD + block + ("" if "\n[rate." in "\n" + block else RATE)
    assert read_tariff(text).rates


def names(keys: tuple[Key, ...]) -> set[str]:
    return {key.name for key in keys} | {name for key in keys for name in names(key.keys)}


def test_every_key_is_explained() -> None:
    assert len(BLOCKS) > 8
    missing = [name for name in sorted(names(TARIFF)) if not re.search(rf"\b{name}\b", TEXT)]
    assert not missing, f"docs/tariffs.md does not say what these are: {missing}"


def test_every_example_tariff_is_listed() -> None:
    folder = Path(__file__).resolve().parents[2] / "docs/tariffs"
    for path in folder.glob("beispiel-*[!s].toml"):
        assert f"`{path.stem}`" in TEXT
