"""Every tariff that we ship is one, and comes out as the cases beside it say: eight towns and all inventions."""

from pathlib import Path

import pytest

from einlass_controller.tariff_cases import failures
from einlass_controller.tariffs import CASES_SUFFIX, cases_path, load_book
from einlass_tariff.cases import read_cases

FOLDER = Path(__file__).resolve().parents[2] / "docs/tariffs"
TARIFFS = sorted(path for path in FOLDER.glob("*.toml") if not path.name.endswith(CASES_SUFFIX))
TOWN_CASES = 51


@pytest.mark.parametrize("path", TARIFFS, ids=lambda path: path.stem)
def test_the_cases_beside_a_tariff_come_out(path: Path) -> None:
    assert cases_path(path).exists(), "a tariff without cases is a guess"
    assert failures(load_book([path]), cases_path(path)) == []


def test_all_cases_of_the_towns_are_there() -> None:
    towns = [path for path in TARIFFS if not path.name.startswith("beispiel-")]
    golden = [read_cases(cases_path(path).read_text(encoding="utf-8")) for path in towns]
    assert sum(len(one.cases) for one in golden) == TOWN_CASES


def test_a_case_that_does_not_come_out_is_told(tmp_path: Path) -> None:
    text = cases_path(FOLDER / "limburg.toml").read_text(encoding="utf-8")
    wrong = tmp_path / "limburg.cases.toml"
    wrong.write_text(text.replace("fee_cents = 600", "fee_cents = 601"), encoding="utf-8")
    (told,) = failures(load_book([FOLDER / "limburg.toml"]), wrong)
    assert told.startswith("limburg-2: 600 cents, not 601")
