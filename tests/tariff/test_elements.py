"""Single elements where they meet each other, with what they cost worked out by hand; Europe/Berlin."""

import pytest

from einlass_tariff.fee import fee
from einlass_tariff.problems import StayError
from einlass_tariff.result import CENTS_CARD, MINUTES_CARD, PERCENT_CARD, Card, Payment, Stay
from tariff_town import HEAD, Town, town

EURO = "[rate.hour]\nsteps = [{ minutes = 60, cents = 100 }]\n"
TWO_PRICES = """[rate.day]
steps = [{ minutes = 60, cents = 200 }]
[rate.evening]
steps = [{ minutes = 60, cents = 100 }]
[[window]]
from = "08:00"
to = "20:00"
rate = "day"
[[window]]
from = "20:00"
to = "08:00"
rate = "evening"
"""
D = "2026-05-12T"
NIGHTS = """[[window]]
from = "06:00"
to = "22:00"
rate = "six"
[[window]]
name = "night"
from = "22:00"
to = "06:00"
free = true
"""


@pytest.mark.parametrize(("edge", "cents"), [("carry", 200), ("restart", 300), ("next_step", 300)])
def test_paid_time_is_used_up_in_the_next_window(edge: str, cents: int) -> None:
    assert town(TWO_PRICES, f'at_window_edge = "{edge}"').cents(D + "19:30", D + "20:30") == cents


@pytest.mark.parametrize(("edge", "cents"), [("carry", 150), ("restart", 200), ("next_step", 150)])
def test_restart_means_the_first_step_again(edge: str, cents: int) -> None:
    degressive = "[rate.hour]\nsteps = [{ minutes = 60, cents = 100 }, { minutes = 60, cents = 50 }]\n"
    tariff = town(
        degressive + '[[window]]\nfrom = "08:00"\nto = "18:00"\n', f'otherwise = "free"\nat_window_edge = "{edge}"'
    )
    assert tariff.cents("2026-05-12T17:00", "2026-05-13T09:00") == cents


@pytest.mark.parametrize(("counts", "cents"), [("stay", 100), ("charged", 0)])
def test_free_minutes_from_entry_or_in_time_that_costs(counts: str, cents: int) -> None:
    window = '[[window]]\nfrom = "08:00"\nto = "18:00"\n'
    tariff = town(EURO + window + f'[free]\nminutes = 60\ncounts = "{counts}"\n', 'otherwise = "free"')
    assert tariff.cents(D + "07:30", D + "09:00") == cents


def test_free_minutes_can_be_kept_from_a_flat() -> None:
    flat = EURO + '[[window]]\nfrom = "06:00"\nto = "19:00"\nrate = "hour"\n[[window]]\nname = "n"\nfrom = "19:00"\n'
    flat += 'to = "06:00"\nflat_cents = 300\n{more}\n[free]\nminutes = 60\n'
    assert town(flat.replace("{more}", "")).cents(D + "19:10", D + "20:00") == 0
    assert town(flat.replace("{more}", "free_minutes_apply = false")).cents(D + "19:10", D + "20:00") == 300


@pytest.mark.parametrize(
    ("charge", "end", "cents"),
    [("started", "11:01", 200), ("exact", "10:59:59", 0), ("exact", "11:59", 100), ("linear", "11:30", 150)],
)
def test_the_three_ways_to_charge_a_step(charge: str, end: str, cents: int) -> None:
    tariff = town(f'[rate.hour]\nsteps = [{{ minutes = 60, cents = 100, charge = "{charge}" }}]\n')
    assert tariff.cents(D + "10:00", D + end) == cents


@pytest.mark.parametrize(
    ("off", "end", "cents"),
    [("start", "11:30", 100), ("start", "11:31", 200), ("end", "11:30", 100), ("start", "10:30", 0)],
)
def test_half_an_hour_off_is_half_an_hour_less(off: str, end: str, cents: int) -> None:
    tariff = town(EURO + f'[voucher]\noff = "{off}"\n')
    assert tariff.cents(D + "10:00", D + end, (Card(MINUTES_CARD, 30),)) == cents


def test_an_exact_step_begins_anew_where_a_card_ends() -> None:
    exact = '[rate.hour]\nsteps = [{ minutes = 60, cents = 100, charge = "exact" }]\n[voucher]\noff = "start"\n'
    card = (Card(MINUTES_CARD, 30),)
    assert [town(exact).cents(D + "10:00", D + end, card) for end in ("11:29", "11:30")] == [0, 100]


def test_of_mixed_cards_those_that_fit_are_taken() -> None:
    held = tuple(Card(MINUTES_CARD, minutes) for minutes in (100, 20, 50, 60))
    found = town("[rate.ten]\nsteps = [{ minutes = 10, cents = 10 }]\n").fee(D + "10:00", D + "11:20", held)
    assert (found.due_cents, [use.number for use in found.uses]) == (0, [1, 3])


def test_many_cards_on_a_stay_of_years_are_answered_soon() -> None:
    """A few climbs through the stay, not one for every card (the time limit of the test would end that)."""
    tariff = town("[rate.six]\nsteps = [{ minutes = 6, cents = 1 }]\n[voucher]\nper_stay_max = 50\n" + NIGHTS)
    held = tuple(Card(MINUTES_CARD, minutes) for minutes in range(1001, 1051))
    found = tariff.fee("2020-01-02T00:00", "2023-01-01T00:00", held)
    assert found.vouchers_used == 50


def test_cards_go_by_minutes_then_money_then_percent() -> None:
    held = (Card(PERCENT_CARD, 50), Card(CENTS_CARD, 150), Card(MINUTES_CARD, 60))
    found = town(EURO).fee(D + "10:00", D + "15:00", held)
    # 5 hours: one off 400, less 150 is 250, half of it.
    assert found.due_cents == 125
    assert [use.card.kind for use in found.uses] == [MINUTES_CARD, CENTS_CARD, PERCENT_CARD]


def test_the_rest_of_a_money_card_is_not_paid_out_and_is_asked_about() -> None:
    found = town(EURO).fee(D + "10:00", D + "11:00", (Card(CENTS_CARD, 500), Card(CENTS_CARD, 100)))
    assert found.due_cents == 0
    assert [(use.number, use.used, use.is_partial) for use in found.uses] == [(1, 100, False)]
    (use,) = town(EURO).fee(D + "10:00", D + "11:00", (Card(CENTS_CARD, 500),)).uses
    assert (use.used, use.is_partial) == (100, True)


def test_a_card_is_not_taken_where_a_maximum_holds_anyway() -> None:
    found = town(EURO + '[[cap]]\nper = "24h"\ncents = 500\n').fee(D + "08:00", D + "18:00", 2)
    assert (found.due_cents, found.vouchers_used) == (500, 0)


@pytest.mark.parametrize(
    ("begin", "end", "cents"),
    [
        ("2026-03-28T20:00", "2026-03-29T08:00", 700),
        ("2026-10-24T20:00", "2026-10-25T08:00", 900),
        ("2026-05-12T20:00", "2026-05-13T08:00", 800),
    ],
)
def test_a_window_over_the_night_of_a_clock_change(begin: str, end: str, cents: int) -> None:
    tariff = town(EURO + '[[window]]\nfrom = "22:00"\nto = "06:00"\n', 'otherwise = "free"')
    assert tariff.cents(begin, end) == cents


@pytest.mark.parametrize(
    ("begin", "end", "cents"),
    [
        # 02:00 does not exist: the window begins when the clock jumps to 03:00.
        ("2026-03-29T01:00", "2026-03-29T04:00", 100),
        # 02:00 comes twice: the window begins at the first one, and is two hours long.
        ("2026-10-25T01:00", "2026-10-25T03:00", 200),
        ("2026-10-25T00:30+02:00", "2026-10-25T02:30+01:00", 200),
    ],
)
def test_a_window_that_begins_in_the_hour_of_the_change(begin: str, end: str, cents: int) -> None:
    tariff = town(EURO + '[[window]]\nfrom = "02:00"\nto = "04:00"\n', 'otherwise = "free"')
    assert tariff.cents(begin, end) == cents


def test_an_edge_that_the_clock_skips_is_the_moment_of_the_change() -> None:
    half = "[rate.half]\nsteps = [{ minutes = 30, cents = 100 }]\n"
    tariff = town(half + '[[window]]\nfrom = "02:30"\nto = "04:00"\n', 'otherwise = "free"')
    assert tariff.cents("2026-03-29T01:00", "2026-03-29T05:00") == 200


def test_a_calendar_day_of_25_hours_has_one_maximum() -> None:
    tariff = town(EURO + '[[cap]]\nper = "calendar_day"\ncents = 500\n')
    assert tariff.cents("2026-10-25T00:00", "2026-10-26T00:00") == 500
    assert tariff.cents("2026-10-25T00:00", "2026-10-26T00:01") == 600


@pytest.mark.parametrize(
    ("state", "day", "cents"),
    [
        ("RP", "2026-06-04", 0),  # Corpus Christi
        ("BE", "2026-06-04", 100),
        ("BE", "2026-03-08", 0),  # a Sunday and Women's Day: in Berlin a holiday, and so no Sunday
        ("RP", "2026-03-08", 700),
        ("SN", "2026-11-18", 0),  # Day of Prayer and Repentance
        ("RP", "2026-11-18", 100),
    ],
)
def test_holidays_are_those_of_the_state(state: str, day: str, cents: int) -> None:
    window = '[[window]]\ndays = ["mon-fri"]\nrate = "hour"\n'
    sunday = '[[window]]\ndays = ["sun"]\nflat_cents = 700\n'
    tariff = town(EURO + window + sunday + f'[holidays]\nstate = "{state}"\n', 'otherwise = "free"')
    assert tariff.cents(day + "T10:00", day + "T11:00") == cents


def test_a_stay_over_a_change_of_tariff_keeps_the_old_one_or_is_split() -> None:
    old = 'tariff = "town"\nvalid_from = 2025-01-01\n' + EURO
    dear = EURO.replace("100", "300")
    new = 'tariff = "town"\nvalid_from = 2026-05-13\nstay_across = "{how}"\n' + dear
    begin, end = "2026-05-12T22:00", "2026-05-13T02:00"
    assert Town(old, new.replace("{how}", "entry")).cents(begin, end) == 400
    split = Town(old, new.replace("{how}", "split")).fee(begin, end)
    assert split.due_cents == 2 * 100 + 2 * 300
    assert [one.valid_from for one in split.versions] == ["2025-01-01T00:00:00", "2026-05-13T00:00:00"]
    assert Town(old, new.replace("{how}", "entry")).cents("2026-05-13T00:00", "2026-05-13T02:00") == 600


def test_a_split_stay_has_its_free_minutes_and_its_24_hours_once() -> None:
    more = '[free]\nminutes = 60\n[[cap]]\nper = "24h"\ncents = 500\n'
    old = 'tariff = "town"\nvalid_from = 2025-01-01\n' + EURO + more
    new = 'tariff = "town"\nvalid_from = 2026-05-13\nstay_across = "split"\n' + EURO + more
    both = Town(old, new)
    assert both.cents("2026-05-12T22:00", "2026-05-13T01:00") == 200
    assert both.cents("2026-05-12T14:00", "2026-05-13T14:00") == 500


def test_before_the_first_version_there_is_no_fee() -> None:
    with pytest.raises(StayError, match="no version"):
        Town(HEAD + EURO).cents("2019-12-31T10:00", "2019-12-31T11:00")


def test_the_answer_names_its_version_its_question_and_its_holidays() -> None:
    tariff = town(EURO + '[[window]]\ndays = ["daily"]\n[holidays]\nstate = "RP"\n')
    found = tariff.fee("2026-05-13T23:00", "2026-05-14T01:00", 1)
    (version,) = found.versions
    assert (version.tariff, len(version.digest)) == ("town", 16)
    assert found.holidays == (("2026-05-14", "Christi Himmelfahrt"),)
    assert found.stay.cards == (Card(MINUTES_CARD, 60),)
    assert tariff.book.versions[0].digest != town(EURO).book.versions[0].digest


def test_every_further_day_is_cheaper_and_a_week_has_a_maximum_too() -> None:
    caps = '[[cap]]\nper = "24h"\ncents = 800\n[[cap]]\nper = "24h"\nfrom_day = 2\ncents = 600\n'
    caps += '[[cap]]\nper = "7d"\ncents = 2500\n'
    tariff = town(EURO + caps)
    days = ("2026-05-13", "2026-05-14", "2026-05-15", "2026-05-19")
    assert [tariff.cents(D + "10:00", day + "T10:00") for day in days] == [800, 1400, 2000, 2500]
    assert tariff.cents(D + "10:00", "2026-05-19T11:00") == 2600


def test_a_window_on_top_of_every_maximum() -> None:
    prices = EURO + '[[window]]\nfrom = "06:00"\nto = "20:00"\nrate = "hour"\n[[window]]\nname = "night"\n'
    prices += 'from = "20:00"\nto = "06:00"\nflat_cents = 300\noutside_caps = true\n'
    assert town(prices + '[[cap]]\nper = "24h"\ncents = 500\n').cents(D + "06:00", D + "23:00") == 800


def test_longer_than_allowed_is_priced_and_said() -> None:
    found = town(EURO + "[max_stay]\nminutes = 120\n").fee(D + "10:00", D + "13:00")
    assert (found.due_cents, found.over_max_stay_s) == (300, 3600)


@pytest.mark.parametrize(("cents", "until"), [(0, "10:00"), (99, "10:00"), (100, "11:00"), (250, "12:00")])
def test_money_for_less_than_a_step_buys_nothing_and_is_left(cents: int, until: str) -> None:
    bought = town(EURO).buy(D + "10:00", cents)
    assert bought.until_s == town(EURO).at(D + until)
    assert bought.rest_cents == cents % 100


@pytest.mark.parametrize(("end", "due"), [("10:38:00", 0), ("10:38:01", 1), ("10:45", 10)])
def test_what_a_ticket_says_holds_and_later_the_rest_is_due(end: str, due: int) -> None:
    """20 cents buy 37.5 minutes, and 38 stand on the ticket; after that the fee from the entry less what was paid."""
    linear = "[rate.a]\nsteps = [{ minutes = 30, cents = 10, charge = 'linear' }, "
    tariff = town(linear + "{ minutes = 30, cents = 40, charge = 'linear' }]\n")
    entry_s = tariff.at(D + "10:00")
    payment = Payment(20, entry_s, entry_s + tariff.buy(D + "10:00", 20).sold_s)
    assert fee(tariff.book, Stay(entry_s, tariff.at(D + end), payments=(payment,))).due_cents == due


def test_money_without_end_is_told() -> None:
    free = town('[[window]]\nname = "f"\nfree = true\n').buy(D + "10:00", 100)
    assert (free.stopped_by, free.used_cents, free.rest_cents) == ("open_end", 0, 100)


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [(D + "10:00", D + "09:59", "before the entry"), ("1980-01-01T00:00", D + "10:00", "longer than 1100 days")],
)
def test_a_stay_that_is_none_is_refused(begin: str, end: str, said: str) -> None:
    with pytest.raises(StayError, match=said):
        Town('tariff = "town"\nvalid_from = 1970-01-02\n' + EURO).cents(begin, end)


def test_what_a_pass_has_paid_for_is_above_windows_and_events() -> None:
    more = EURO + '[[event]]\nname = "fest"\ndays = ["sat"]\nflat_cents = 600\nonly_entered = true\n'
    more += '[[pass.work.included]]\ndays = ["mon-fri"]\nfrom = "06:00"\nto = "19:00"\n'
    more += '[[pass.night.included]]\nfrom = "18:00"\nto = "08:00"\n[[pass.night.included]]\ndays = ["sat"]\n'
    tariff = town(more)
    tuesday = (D + "17:00", D + "20:30")
    assert tariff.cents(*tuesday) == 400
    assert tariff.cents(*tuesday, pass_name="work") == 200, "19:00 to 20:30"
    assert tariff.cents(*tuesday, pass_name="night") == 100, "until 18:00"
    saturday = ("2026-05-16T10:00", "2026-05-16T12:00")
    assert tariff.cents(*saturday, pass_name="work") == 600, "the event, as for everybody"
    assert tariff.cents(*saturday, pass_name="night") == 0, "two that are included may overlap"


def test_dates_from_one_to_another_in_one_year_and_in_every_year() -> None:
    event = EURO + '[[event]]\nname = "fair"\ndates = ["{span}"]\nflat_cents = 500\n'
    fair = town(event.replace("{span}", "2026-05-12 to 2026-05-14"))
    assert [fair.cents(f"2026-05-{day}T10:00", f"2026-05-{day}T11:00") for day in (11, 12, 14, 15)] == [
        100,
        500,
        500,
        100,
    ]
    for span in ("12-24 bis 01-06", "12-24/01-06", "12-24..01-06"):
        winter = town(event.replace("{span}", span))
        days = ("2026-12-23", "2026-12-24", "2027-01-06", "2027-01-07")
        assert [winter.cents(f"{day}T10:00", f"{day}T11:00") for day in days] == [100, 500, 500, 100]


def test_holidays_of_the_neighbours() -> None:
    free = 'otherwise = "free"\n[holidays]\n{where}\n' + EURO + '[[window]]\ndays = ["mon-sun"]\n'
    day = ("2026-10-26T10:00", "2026-10-26T11:00")
    assert town(free.replace("{where}", 'country = "AT"'), "").cents(*day) == 0
    assert town(free.replace("{where}", 'country = "CH"\nstate = "ZH"'), "").cents(*day) == 100
    assert (
        town(free.replace("{where}", 'country = "CH"\nstate = "ZH"')).cents("2026-08-01T10:00", "2026-08-01T11:00") == 0
    )


def test_a_ticket_to_the_end_of_a_calendar_period() -> None:
    tickets = "".join(f'[ticket.{per}]\ncents = 1000\nto_end_of = "{per}"\n' for per in ("week", "month", "year"))
    tariff = town(EURO + tickets)
    ends = {"week": "2026-05-18", "month": "2026-06-01", "year": "2027-01-01"}
    for per, end in ends.items():
        assert tariff.fee(D + "10:00", end + "T00:00", ticket=per).due_cents == 1000
        assert tariff.fee(D + "10:00", end + "T00:01", ticket=per).due_cents == 1100
