"""`einlass tariff` as it is typed: what it prints, and what it says when it can't."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from einlass_controller.cli_tariff import tariff
from einlass_controller.tariff_invented import invented_csv
from einlass_controller.tariff_stays import Rows
from tariff_town import HEAD, town

DOCS = Path(__file__).resolve().parents[2] / "docs/tariffs"
SECONDS = 50
D = "2026-05-12T"
TRY = ("--from", D + "10:00", "--to")


def run(*words: str, status: int = 0) -> str:
    done = CliRunner().invoke(tariff, words)
    assert done.exit_code == status, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.stdout if status == 0 else done.stdout + done.stderr


def asked(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words, "--json"))
    return found


def test_try_with_vouchers_and_with_what_was_paid() -> None:
    town = str(DOCS / "hachenburg.toml")
    found = asked("try", town, *TRY, D + "13:30", "--vouchers", "2")
    assert (found["fee_cents"], found["vouchers_used"]) == (50, 2)
    assert sum(line["cents"] for line in found["lines"]) == 50
    assert all(line["de"] and line["en"] for line in found["lines"])
    late = asked("try", town, *TRY, D + "13:30", "--paid", "50")
    assert (late["fee_cents"], late["total_cents"], late["paid_cents"]) == (100, 150, 50)
    assert sum(line["cents"] for line in late["lines"]) == 100


def test_the_command_is_where_it_is_looked_for() -> None:
    command = [sys.executable, "-m", "einlass_cli", "tariff", "try", str(DOCS / "limburg.toml"), *TRY, D + "11:30"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert json.loads(done.stdout)["fee_cents"] == 300


def test_try_in_words() -> None:
    town = str(DOCS / "hachenburg.toml")
    assert "2 started × 1 h at 0.50 EUR" in run("try", town, *TRY, D + "12:01")
    assert "zu zahlen" in run("try", town, *TRY, D + "12:01", "--german")


def test_buy() -> None:
    found = asked("buy", str(DOCS / "chemnitz.toml"), "--from", D + "10:00", "--cents", "120")
    assert (found["minutes"], found["used_cents"], found["rest_cents"]) == (60, 100, 20)
    assert found["until"] == D + "11:00:00+02:00"


def test_check_runs_the_cases_beside_and_says_the_tariff_in_words(tmp_path: Path) -> None:
    assert "golden cases pass" in run("check", str(DOCS / "neuss.toml"))
    assert "Sonn- und Feiertag: So, Feiertag 07:00-07:00: pauschal 3,00 €" in run(
        "check", str(DOCS / "neuss.toml"), "--german"
    )
    copy = tmp_path / "neuss.toml"
    copy.write_text((DOCS / "neuss.toml").read_text(encoding="utf-8").replace("cents = 30 ", "cents = 40 "))
    (tmp_path / "neuss.cases.toml").write_text((DOCS / "neuss.cases.toml").read_text(encoding="utf-8"))
    assert "case neuss-3: 80 cents, not 60" in run("check", str(copy), status=1)


def test_compare_two_versions_on_stays_that_were(tmp_path: Path) -> None:
    stays = tmp_path / "stays.csv"
    stays.write_text(
        f"entry;exit;vouchers\n{D}10:00;{D}12:00;0\n{D}10:00;{D}12:00;1\n{D}10:00;{D}09:00;0\n{D}10:00;never;0\n"
    )
    new = tmp_path / "new.toml"
    new.write_text((DOCS / "limburg.toml").read_text(encoding="utf-8").replace("cents = 150", "cents = 200"))
    found = asked("compare", str(DOCS / "limburg.toml"), str(new), "--stays", str(stays))
    assert (found["stays"], found["old_cents"], found["new_cents"]) == (2, 300 + 150, 400 + 200)
    assert (found["difference_cents"], found["dearer"], found["cheaper"], found["same"]) == (150, 2, 0, 0)
    assert [one["row"] for one in found["skipped"]] == [4, 5]
    assert "before the entry" in found["skipped"][0]["reason"]
    assert sum(group["stays"] for group in found["by_length"].values()) == 2
    assert "2 dearer" in run("compare", str(DOCS / "limburg.toml"), str(new), "--stays", str(stays))


def test_who_has_no_stays_yet_compares_on_invented_ones_and_is_told(tmp_path: Path) -> None:
    new = tmp_path / "new.toml"
    new.write_text((DOCS / "limburg.toml").read_text(encoding="utf-8").replace("cents = 150", "cents = 200"))
    both = (str(DOCS / "limburg.toml"), str(new))
    assert run("compare", *both).startswith("INVENTED stays (seed 1, 28 days from 2021-10-01)")
    first, again, other = (asked("compare", *both, "--invented", seed) for seed in ("1", "1", "2"))
    assert first == again
    assert (first["stays"], first["skipped"]) == (3000, [])
    assert first["invented"] == {"seed": 1, "from": "2021-10-01", "days": 28}
    assert first["old_cents"] != other["old_cents"]
    assert first["new_cents"] > first["old_cents"]
    assert set(first["by_weekday"]) == {"mon", "tue", "wed", "thu", "fri", "sat", "sun"}


@pytest.mark.parametrize("first", [date(2026, 3, 2), date(2026, 10, 5), date(2028, 2, 1)])
def test_invented_stays_are_stays(first: date) -> None:
    book = town("[rate.hour]\nsteps = [{ minutes = 60, cents = 100 }]\n").book
    rows = Rows(invented_csv(7, first).splitlines(keepends=True), book, "invented")
    found = [stay for _, stay in rows]
    assert (len(found), rows.bad) == (3000, [])
    assert all(60 <= stay.exit_s - stay.entry_s <= 86_400 for stay in found)
    assert len({book.days.day(stay.entry_s) for stay in found}) == 28


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 1\n[rate.a]\nsteps = [{ minutes = 60, cents = 1 }]\n", "line 3: colour: there is no key"),
        ("[rate.a]\nsteps = []\n", "is empty"),
        ('time_zone = "Europe/Nowhere"\n[rate.a]\nsteps = [{ minutes = 60, cents = 1 }]\n', "no time zone"),
        ("[rate.a\n", "is no TOML"),
    ],
)
def test_a_bad_tariff_is_told_with_status_1(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "town.toml"
    path.write_text(HEAD + text)
    assert said in run("check", str(path), status=1)
    assert said in run("try", str(path), *TRY, D + "12:00", status=1)
    assert json.loads(run("check", str(path), "--json", status=1).splitlines()[0])["error"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*TRY, D + "09:00"), "the exit is before the entry"),
        ((*TRY, "yesterday"), "write it like 2026-05-12T10:00"),
        (("--from", "2026-03-29T02:30", "--to", D + "09:00"), "does not exist: the clock is put forward"),
        ((*TRY, D + "11:00", "--pass", "nobody"), "knows no pass 'nobody'"),
        ((*TRY, D + "11:00", "--lost"), "no price for a lost ticket"),
        ((*TRY, D + "11:00", "--vouchers", "51"), "50 at most"),
        ((*TRY, D + "11:00", "--vouchers", "1" + "0" * 30), "50 at most"),
        ((*TRY, D + "11:00", "--voucher-percent", "101"), "not possible"),
    ],
)
def test_a_question_without_an_answer_is_told_with_status_2(words: tuple[str, ...], said: str) -> None:
    assert said in run("try", str(DOCS / "limburg.toml"), *words, status=2)


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "can't be read" in run("check", str(tmp_path / "none.toml"), status=1)
    picture = tmp_path / "picture.toml"
    picture.write_bytes(b"\x89PNG\xff\x00")
    assert "UTF-8" in run("check", str(picture), status=1)
    assert "can't be read" in run("check", str(tmp_path), status=1)


def test_a_text_from_any_editor_and_none_at_all(tmp_path: Path) -> None:
    marked = tmp_path / "marked.toml"
    marked.write_text((DOCS / "limburg.toml").read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert asked("try", str(marked), *TRY, D + "11:00")["fee_cents"] == 150
    empty = tmp_path / "empty.toml"
    empty.write_text(" \n\n")
    assert "the text is empty; begin with" in run("check", str(empty), status=1)
    stays = tmp_path / "stays.csv"
    stays.write_text("entry,exit\n")
    said = run("compare", str(DOCS / "limburg.toml"), str(empty), "--stays", str(stays), status=1)
    assert "empty.toml" in said, "which of the two"


def test_several_files_are_versions_of_one_tariff(tmp_path: Path) -> None:
    new = tmp_path / "new.toml"
    text = (DOCS / "limburg.toml").read_text(encoding="utf-8")
    new.write_text(text.replace("cents = 150", "cents = 200").replace("2021-10-01", "2026-05-12"))
    both = (str(DOCS / "limburg.toml"), str(new))
    assert asked("try", *both, "--from", "2026-05-11T10:00", "--to", "2026-05-11T11:00")["fee_cents"] == 150
    assert asked("try", *both, *TRY, D + "11:00")["fee_cents"] == 200
    early = asked("try", str(new), "--from", "2026-05-11T10:00", "--to", "2026-05-11T11:00")
    assert early["fee_cents"] == 200
    assert "in force from 2026-05-12" in early["hints"][0]["en"]
    other = str(DOCS / "neuss.toml")
    assert "share their name" in run("try", both[0], other, *TRY, D + "11:00", status=2)
