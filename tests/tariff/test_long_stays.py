"""Stays of years, and what cards of shops cost to reckon there: the same cents as by climbing anew, for little more."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from einlass_controller.tariffs import days_of
from einlass_tariff import due
from einlass_tariff.book import Book
from einlass_tariff.due import MINUTES, Parked, Shown
from einlass_tariff.engine import Climb, Gift
from einlass_tariff.problems import StayError, TariffError
from einlass_tariff.read import read_tariff
from einlass_tariff.timetable import Piece, Timetable
from einlass_tariff.walk import Walk, Ways
from tariff_making import tariffs
from tariff_town import Town, town

DAY_S = 86_400
TOWNS = Path(__file__).parents[2] / "docs/tariffs"
EQUAL, ODD = (60,) * 6, (13, 29, 47, 61, 97, 113)
# With cards a stay may take so many times as long to reckon as without them, however long it is.
EQUAL_RATIO_MAX, ODD_RATIO_MAX = 8.0, 70.0


bounded = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@bounded
@given(tariffs(), st.integers(0, 30 * DAY_S), st.integers(1, 40 * DAY_S), st.lists(st.floats(0, 1), max_size=12))
def test_a_climb_knows_what_it_had_come_to_at_any_moment(
    data: dict[str, Any], begin: int, length: int, parts: list[float]
) -> None:
    book, entry_s = _book(data), 1_774_000_000 + begin
    whole = Climb(book.plan(entry_s, entry_s + length, ""), entry_s, entry_s + length).run(length)
    for part in parts:
        exit_s = entry_s + int(length * part)
        shorter = Climb(book.plan(entry_s, exit_s, ""), entry_s, exit_s).run(length)
        assert whole.total_at(exit_s) == shorter.total
    assert whole.total_at(entry_s + length) == whole.total


spans = st.tuples(st.integers(0, 60 * DAY_S), st.sampled_from((600, 5 * 3600, DAY_S, 9 * DAY_S)))


@bounded
@given(
    tariffs(),
    tariffs(),
    st.integers(0, 400 * DAY_S),
    st.integers(1, 60 * DAY_S),
    st.lists(st.sampled_from((15, 20, 30, 37, 60, 90, 120, 1440)), min_size=2, max_size=6),
    st.lists(spans, max_size=2),
    st.none() | st.integers(2, 80),
)
def test_days_that_were_walked_before_come_to_the_same_as_a_climb(
    data: dict[str, Any],
    later: dict[str, Any],
    begin: int,
    length: int,
    worths: list[int],
    free: list[tuple[int, int]],
    change: int | None,
) -> None:
    """Also with spans that are free, and where the tariff changes on one of the days."""
    entry_s = 1_760_000_000 + begin
    gifts: list[Gift] = [(entry_s + at, entry_s + at + long, "public_code", "") for at, long in free]
    book = _book(data) if change is None else _changing(data, later, entry_s + change * DAY_S)
    plan, ways = book.plan(entry_s, entry_s + length, ""), Ways(entry_s)
    for minutes in (0, *worths, 0):
        climb = Climb(plan, entry_s, entry_s + length, minutes * 60, gifts).run(length)
        walk = Walk(ways, plan, length, minutes * 60, gifts)
        assert (walk.total, walk.worth_left_s, walk.priced_s) == (climb.total, climb.worth_left_s, climb.priced_s)
        assert _joined(walk.costing) == _joined(climb.costing)


def _changing(data: dict[str, Any], later: dict[str, Any], at_s: int) -> Book:
    """The second tariff is the next version of the first, and a stay that sees both is split."""
    day = datetime.fromtimestamp(at_s, UTC).date().isoformat()
    texts = [data, {**later, "tariff": data["tariff"], "valid_from": day, "stay_across": "split"}]
    try:
        versions = [read_tariff(json.dumps(text), is_json=True) for text in texts]
        return Book(versions, days_of, open_start=True)
    except (TariffError, StayError):
        reject()


def _joined(costing: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for first, last in costing:
        if found and found[-1][1] == first:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def test_cards_help_after_three_years() -> None:
    hour = town('[rate.hour]\nsteps = [{ minutes = 60, cents = 100 }]\n[voucher]\noff = "start"\n')
    night = town('[rate.hour]\nsteps = [{ minutes = 60, cents = 100 }]\n[[cap]]\nper = "calendar_day"\ncents = 500\n')
    days = 1000
    plain = _bill(hour, days, ())
    assert plain.due_cents == days * 24 * 100
    with_six = _bill(hour, days, EQUAL)
    assert (with_six.due_cents, len(with_six.taken)) == (plain.due_cents - 600, 6)
    # From midnight to midnight a day costs 5.00 after five hours: six cards of an hour off its end change nothing.
    assert _bill(night, days, EQUAL).taken == ()
    four_hours = tuple(Shown(place, MINUTES, 240) for place in range(6))
    late = due.bill(night.book, Parked(_noon(night)), _noon(night) + days * DAY_S * 1000, None, four_hours)
    # The last day has 11 hours (it is winter then): three cards of four hours take all off, more change nothing.
    assert (late.saved_cents, len(late.taken)) == (500, 3)


@pytest.mark.parametrize("name", ["chemnitz", "deggendorf", "beispiel-tiefgarage", "beispiel-altstadt", "neuss"])
def test_many_cards_on_a_long_stay_are_reckoned_in_bounded_work(name: str, work: "Work") -> None:
    asked = Town((TOWNS / f"{name}.toml").read_text())
    asked.book.open_start = True
    _bill(asked, 400, ())  # days are painted once
    plain = work.of(lambda: _bill(asked, 400, ()))
    assert work.of(lambda: _bill(asked, 400, EQUAL)) <= EQUAL_RATIO_MAX * plain
    if name in ("chemnitz", "beispiel-altstadt"):
        assert work.of(lambda: _bill(asked, 400, ODD)) <= ODD_RATIO_MAX * plain


class Work:
    """Counts the spans of time that were priced."""

    def __init__(self) -> None:
        self.pieces = 0

    def of(self, do: Any) -> int:
        before = self.pieces
        do()
        return self.pieces - before


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    found, pieces = Work(), Timetable.pieces

    def counted(self: Timetable, begin_s: int, end_s: int, entry_s: int) -> Iterator[Piece]:
        for piece in pieces(self, begin_s, end_s, entry_s):
            found.pieces += 1
            yield piece

    monkeypatch.setattr(Timetable, "pieces", counted)
    return found


def _book(data: dict[str, Any]) -> Book:
    try:
        return Book([read_tariff(json.dumps(data), is_json=True)], days_of)
    except TariffError:
        reject()


def _noon(asked: Town) -> int:
    return asked.at("2026-05-12T12:00") * 1000


def _bill(asked: Town, days: int, cards: tuple[int, ...]) -> due.Bill:
    at_ms = asked.at("2026-05-12T00:00") * 1000
    shown = tuple(Shown(place, MINUTES, minutes) for place, minutes in enumerate(cards))
    return due.bill(asked.book, Parked(at_ms), at_ms + days * DAY_S * 1000, None, shown)


def test_a_complete_hour_begun_the_day_before_counts_at_its_end() -> None:
    window = '[[window]]\nfrom = "08:00"\nto = "18:00"\n'
    exact = '[rate.hour]\nsteps = [{ minutes = 60, cents = 100, charge = "exact" }]\n'
    book = town(exact + window, 'otherwise = "free"').book
    entry_s, exit_s = (town(exact).at(f"2026-05-{text}") for text in ("12T17:30", "13T12:00"))
    climb = Climb(book.plan(entry_s, exit_s, ""), entry_s, exit_s).run(exit_s - entry_s)
    half_past_eight = town(exact).at("2026-05-13T08:30")
    assert [climb.total_at(half_past_eight + more) for more in (-1, 0, 3599, 3600)] == [0, 100, 100, 200]
