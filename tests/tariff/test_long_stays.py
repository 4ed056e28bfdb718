"""Stays of years, and what cards of shops cost to reckon there: the same cents as by climbing anew, for little more."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
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
from einlass_tariff.fee import STAY_DAYS_MAX, fee
from einlass_tariff.problems import StayError, TariffError
from einlass_tariff.read import read_tariff
from einlass_tariff.result import Card, Stay
from einlass_tariff.timetable import Piece, Timetable
from einlass_tariff.walk import Walk, Ways
from tariff_making import tariffs
from tariff_town import Town, town

DAY_S = 86_400
TOWNS = Path(__file__).parents[2] / "docs/tariffs"
EQUAL, ODD, DAYS = (60,) * 6, (13, 29, 47, 61, 97, 113), (1441, 2883, 4327, 5779, 7219, 8641)
# So many spans of time are priced at most for what a till asks (some 30 us each): climbing it all they were 170,000.
PIECES_MAX, DISPLAY_PIECES_MAX = 3_000, 12_000


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


HOUR = "[rate.hour]\nsteps = [{ minutes = 60, cents = 100 }]\n"
# What a day hands on to the next one, each in a tariff that would be wrong without it.
HANDED_ON = {
    "the time between": """at_window_edge = "next_step"
[rate.a]
steps = [{ minutes = 90, cents = 100, charge = "exact" }]
[[window]]
from = "00:00"
to = "10:00"
rate = "a"
[[window]]
name = "evening"
from = "20:00"
to = "23:20"
rate = "a"
[[window]]
name = "none"
from = "10:00"
to = "20:00"
free = true
[[window]]
name = "late"
from = "23:20"
to = "24:00"
free = true
""",
    "a rate that begins again and ends what was begun": """[rate.a]
steps = [{ minutes = 60, cents = 100 }]
begins_again = "calendar_day"
[rate.b]
steps = [{ minutes = 1500, cents = 70 }]
[[window]]
name = "a"
days = ["mon", "tue"]
rate = "a"
[[window]]
name = "b"
days = ["wed-sun"]
rate = "b"
""",
    "the business day": HOUR + 'business_day_begins = "06:00"\n[[cap]]\nper = "business_day"\ncents = 900\n',
    "a flat over midnight": """[[window]]
name = "Tag"
from = "06:00"
to = "19:00"
flat_cents = 500
[[window]]
name = "Nacht"
from = "19:00"
to = "06:00"
flat_cents = 300
""",
    "the first days": HOUR
    + '[[cap]]\nper = "calendar_day"\ncents = 900\n[[cap]]\nper = "24h"\ncents = 500\nfrom_day = 4\n',
    "seven days": HOUR + '[[cap]]\nper = "7d"\ncents = 9000\n[[cap]]\nper = "stay"\ncents = 90000\n',
    "the whole stay": HOUR.replace("cents = 100", "cents = 50, charge = 'linear'")
    + '[[cap]]\nper = "stay"\ncents = 60000\n[[cap]]\nper = "calendar_day"\ncents = 1100\n',
    "who came on Friday": """otherwise = "free"
[[window]]
name = "morning"
days = ["sat"]
from = "06:00"
to = "08:30"
flat_cents = 300
[[event]]
name = "friday"
days = ["fri"]
from = "09:00"
to = "08:45"
only_entered = true
free = true
""",
}


def _keys_first(text: str) -> str:
    """TOML wants keys before tables."""
    lines = text.splitlines(keepends=True)
    keys = [line for line in lines if line.startswith(("at_window_edge", "business_day_begins", "otherwise"))]
    return "".join([*keys, *(line for line in lines if line not in keys)])


def _texts() -> dict[str, str]:
    head = 'tariff = "made"\nvalid_from = 2020-01-01\n'
    found = {name: head + _keys_first(text) for name, text in HANDED_ON.items()}
    for path in sorted(TOWNS.glob("*.toml")):
        if not path.stem.endswith(".cases"):
            found[path.stem] = path.read_text()
    return found


@pytest.mark.parametrize("name", _texts())
def test_every_tariff_is_walked_to_the_same_cents_as_climbed(name: str) -> None:
    book, maker = Book([read_tariff(_texts()[name])], days_of, open_start=True), random.Random(name)
    for days, later in ((9, 3), (40, 0), (140, 0)):
        # Through both changes of clock, and from a Friday's morning.
        entry_s = book.days.instant(date(2026, 1, 2)) + 7 * DAY_S * maker.randrange(45) + maker.randrange(9, 12) * 3600
        entry_s += later * DAY_S + maker.randrange(3600)
        length = days * DAY_S + maker.randrange(DAY_S)
        free_s = entry_s + maker.randrange(3, 9) * DAY_S
        plan, ways = book.plan(entry_s, entry_s + length, ""), Ways(entry_s)
        gifts: list[Gift] = [(free_s, free_s + maker.choice((1800, 30 * 3600)), "public_code", "")]
        for minutes, free in ((0, []), (0, gifts), (0, []), (47, []), (1441, gifts), (9000, [])):
            climb = Climb(plan, entry_s, entry_s + length, minutes * 60, free).run(length)
            walk = Walk(ways, plan, length, minutes * 60, free)
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
@pytest.mark.parametrize("cards", [(), EQUAL, ODD, DAYS], ids=["none", "equal", "odd", "days"])
def test_vouchers_on_a_stay_of_years_are_no_more_work_than_on_one_of_months(
    name: str, cards: tuple[int, ...], work: "Work"
) -> None:
    asked = Town((TOWNS / f"{name}.toml").read_text())
    asked.book.open_start = True
    _bill(asked, STAY_DAYS_MAX, ())  # days are painted once
    months = work.of(lambda: _bill(asked, 250, cards))
    years = work.of(lambda: _bill(asked, STAY_DAYS_MAX, cards))
    # An account of one line is climbed to its end.
    assert years <= months + STAY_DAYS_MAX
    assert years <= PIECES_MAX


def test_money_on_a_till_with_many_vouchers_is_bounded_work(work: "Work") -> None:
    asked = Town((TOWNS / "deggendorf.toml").read_text())
    asked.book.open_start = True
    shown = tuple(Shown(place, MINUTES, minutes) for place, minutes in enumerate(ODD))
    assert work.of(lambda: due.display(asked.book, Parked(_noon(asked)), 20_000, shown)) <= DISPLAY_PIECES_MAX


def test_a_long_account_has_one_line_for_further_time_and_adds_up() -> None:
    asked = Town((TOWNS / "beispiel-altstadt.toml").read_text())
    asked.book.open_start = True
    short, long = _bill(asked, 20, ()), _bill(asked, 1000, ODD)
    assert not any("further time" in english for _, english, _ in short.lines)
    further = [line for line in long.lines if "further time, all together" in line[1]]
    assert len(further) == 1
    assert further[0][2] > 0
    assert "weitere Zeit, alles zusammen" in further[0][0]
    assert len(long.lines) <= due.LINES_MAX * 2  # its maximums have lines of their own
    assert sum(cents for _, _, cents in long.lines) == long.due_cents
    at_s = asked.at("2026-05-12T00:00")
    whole = fee(asked.book, Stay(at_s, at_s + 1000 * DAY_S, tuple(Card(MINUTES, minutes) for minutes in ODD)))
    assert (whole.fee_cents, len(whole.uses)) == (long.due_cents, len(long.taken))
    assert len(whole.lines) > 2000


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
