"""A slip in a tariff is told with its line, what is wrong with it, and what to write instead."""

import re
from collections.abc import Iterator

import pytest

from einlass_tariff.cases import FILE
from einlass_tariff.fields import Key
from einlass_tariff.german import german_of
from einlass_tariff.keys import TARIFF
from einlass_tariff.problems import TariffError
from einlass_tariff.read import TEXT_MAX, read_tariff
from tariff_town import HEAD

RATE = "[rate.hour]\nsteps = [{ minutes = 60, cents = 100 }]\n"
FREE = 'otherwise = "free"\n'


def window(**keys: str) -> str:
    return "[[window]]\n" + "".join(f"{name.rstrip('_')} = {value}\n" for name, value in keys.items())


def steps(text: str) -> str:
    return f"[rate.hour]\nsteps = [{text}]\n"


# (what follows the head, line, what is said)
SLIPS = {
    "unknown key": ("smallest_coin = 10\n" + RATE, 3, "did you mean 'smallest_coin_cents'"),
    "unknown section": (RATE + "[fre]\nminutes = 5\n", 5, "did you mean 'free'"),
    "key in the wrong section": ("[free]\nminutes = 5\ngrace_minutes = 5\n" + RATE, 5, "before the first [section]"),
    "negative": (steps("{ minutes = 60, cents = -1 }"), 4, "-1 is not possible; 0 to 100000"),
    "absurd": (steps("{ minutes = 60, cents = 10000000 }"), 4, "not possible"),
    "euros": (steps("{ minutes = 60, cents = 1.5 }"), 4, "1.50 EUR is 150"),
    "no time at all": (steps("{ minutes = 0, cents = 1 }"), 4, "1 to 44640"),
    "30 February": (RATE + '[season.s]\nfrom = "02-30"\nto = "03-01"\n', 6, "February has 29 days"),
    "month 13": (RATE + '[season.s]\nfrom = "01-01"\nto = "13-01"\n', 7, "no month 13"),
    "day of an event": (RATE + '[[event]]\ndates = ["2026-02-29"]\nfree = true\n', 6, "February 2026 has 28 days"),
    "dates the wrong way round": (
        RATE + '[[event]]\ndates = ["2026-09-27 to 2026-09-18"]\nfree = true\n', 6, "has 0 days; 1 to 366"
    ),
    "dates with and without a year": (
        RATE + '[[event]]\ndates = ["2026-12-24 to 01-06"]\nfree = true\n', 6, "both with the year, or none"
    ),
    "a canton without its country": (RATE + '[holidays]\nstate = "ZH"\n', 6, "'ZH' is not in DE"),
    "a state of Austria": (RATE + '[holidays]\ncountry = "AT"\nstate = "BY"\n', 7, "leave state out"),
    "catholic places abroad": (RATE + '[holidays]\ncountry = "AT"\ncatholic = true\n', 7, "is for Germany"),
    "two ends of a ticket": (
        RATE + '[ticket.m]\ncents = 1\nminutes = 5\nto_end_of = "month"\n', 5, "one of them"
    ),
    "hours included on holidays that nobody names": (
        RATE + '[[pass.p.included]]\ndays = ["holiday"]\n', 6, "nothing says which days those are"
    ),
    "hour 25": (RATE + window(from_='"25:00"'), 6, "the last is 24:00"),
    "no day": (RATE + window(days='["Mo-Frei"]'), 6, "names no day"),
    "gap": (RATE + window(days='["mon-fri"]', from_='"08:00"'), 5, "a gap: no window covers Mon-Fri 00:00-08:00, Sat"),
    "gap on holidays": (
        RATE + window(days='["mon-fri", "weekend"]') + '[holidays]\nstate = "RP"\n', 5, "no window covers holiday"
    ),
    "overlap": (
        FREE + RATE + window(name='"a"', to='"12:00"') + window(name='"b"', from_='"11:30"'), 9, "11:30-12:00"
    ),
    "overlap over midnight": (
        FREE + RATE + window(name='"a"', days='["fri"]', from_='"20:00"', to='"06:00"') + window(days='["sat"]'),
        11,
        "Sat 00:00-06:00",
    ),
    "overlap on a holiday only": (
        FREE + RATE + window(name='"night"', days='["workdays"]', from_='"20:00"', to='"06:00"')
        + window(name='"off"', days='["holiday"]') + '[holidays]\nstate = "RP"\n',
        11,
        'holiday 00:00-06:00. Change the times or days, or write wins_over = ["night"]',
    ),
    "no such rate": (FREE + RATE + window(rate='"hours"'), 7, "there is no [rate.hours]; there is: hour"),
    "no such season": (FREE + RATE + window(season='"summer"'), 7, "there is no [season.summer]"),
    "two prices": (FREE + RATE + window(rate='"hour"', flat_cents="100"), 6, "one of rate, flat_cents or free"),
    "shared season": (
        RATE + '[season.a]\nfrom = "01-01"\nto = "06-30"\n[season.b]\nfrom = "06-01"\nto = "12-31"\n',
        8,
        "with the season a",
    ),
    "holidays of nowhere": (FREE + RATE + window(days='["holiday"]'), 7, "add [holidays]"),
    "longer and cheaper": (
        steps("{ until_minutes = 60, total_cents = 100 }, { until_minutes = 90, total_cents = 90 }"),
        4,
        "can't cost less",
    ),
    "step of no length": (steps("{ cents = 100 }"), 4, "needs either minutes"),
    "least above most": ("min_cents = 500\n" + RATE + '[[cap]]\nper = "stay"\ncents = 100\n', 3, "is above the most"),
    "day of a stay": (RATE + '[[cap]]\nper = "stay"\nfrom_day = 2\ncents = 100\n', 7, "goes with periods of a day"),
    "circle": (
        FREE + RATE + window(name='"a"', wins_over='["b"]') + window(name='"b"', wins_over='["a"]'), 6, "in a circle"
    ),
    "wrong choice": (RATE + '[[cap]]\nper = "calendar-day"\ncents = 100\n', 6, "did you mean 'calendar_day'"),
    "two events at once": (
        RATE + "[[event]]\ndates = [2026-05-16]\nfree = true\n[[event]]\ndates = [2026-05-16]\nfree = true\n",
        8,
        "overlaps with",
    ),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_told_with_its_line_and_a_way_out(slip: str) -> None:
    text, line, said = SLIPS[slip]
    with pytest.raises(TariffError) as caught:
        read_tariff(HEAD + text)
    told = [(problem.line, problem.message) for problem in caught.value.problems]
    assert any(place == line and said in message for place, message in told), told


def test_all_slips_are_told_at_once() -> None:
    with pytest.raises(TariffError) as caught:
        read_tariff(HEAD + "colour = 1\n" + steps("{ minutes = 60, cents = -1 }, { minutes = -5, cents = 1 }"))
    assert len(caught.value.problems) == 3


def test_not_even_toml_says_where() -> None:
    with pytest.raises(TariffError, match="line 2"):
        read_tariff('tariff = "x"\nvalid_from = 2026-02-30\n')


def test_a_text_without_end_is_refused() -> None:
    with pytest.raises(TariffError, match="at most"):
        read_tariff("#" * (TEXT_MAX + 1))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(TariffError, match="is no JSON"):
        read_tariff("[" * 100_000, is_json=True)


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_told_in_german_too(slip: str) -> None:
    with pytest.raises(TariffError) as caught:
        read_tariff(HEAD + SLIPS[slip][0])
    for problem in caught.value.problems:
        german, english = problem.words
        assert german != english
        assert not re.search(r"\b(the|must|there is|write|one of)\b", german), german


def all_keys(keys: tuple[Key, ...]) -> Iterator[Key]:
    for key in keys:
        yield key
        yield from all_keys(key.keys)


def test_every_key_has_german_words() -> None:
    missing = {key.says for key in all_keys((*TARIFF, *FILE)) if german_of(key.says) is None}
    assert missing == set()


def test_a_slip_in_a_long_list_stands_at_its_own_line() -> None:
    text = HEAD + "[rate.hour]\nsteps = [\n  { minutes = 60, cents = 100 }, # a comma, and ] {\n\n"
    text += "  { minutes = 60, cents = -1 },\n"
    text += '  { minutes = 60, cents = "x" },\n]\n[[event]]\ndates = [\n  "12-24",\n  "02-30",\n]\nfree = true\n'
    with pytest.raises(TariffError) as caught:
        read_tariff(text)
    head = HEAD.count("\n")
    assert [problem.line - head for problem in caught.value.problems] == [5, 6, 11]


def test_days_of_every_year_overlap_with_single_ones() -> None:
    events = '[[event]]\nname = "a"\ndates = ["12-24"]\nfree = true\n'
    events += '[[event]]\nname = "b"\ndates = [2027-12-24]\nfree = true\n'
    with pytest.raises(TariffError, match="'b' overlaps with 'a'"):
        read_tariff(HEAD + RATE + events)
