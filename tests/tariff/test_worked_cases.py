"""The worked cases of the parking fee's definition, one test a row; Europe/Berlin."""

import pytest

from tariff_town import town

HOUR_FREE = "[free]\nminutes = 60\n[rate.hour]\nsteps = [{ minutes = 60, cents = 50 }]\n"
EURO_AN_HOUR = "[rate.hour]\nsteps = [{ minutes = 60, cents = 100 }]\n"
CHARGED_8_TO_18 = EURO_AN_HOUR + '[[window]]\nfrom = "08:00"\nto = "18:00"\n'
PROGRESSIVE = """[rate.hour]
steps = [{ minutes = 60, cents = 100 }, { minutes = 60, cents = 200 }, { minutes = 60, cents = 300 }]
"""


@pytest.mark.parametrize(("end", "cents"), [("11:00", 0), ("11:00:01", 50), ("12:00", 50), ("12:00:01", 100)])
def test_exactly_the_free_hour_is_free_and_a_second_more_begins_a_step(end: str, cents: int) -> None:
    assert town(HOUR_FREE).cents("2026-05-12T10:00", "2026-05-12T" + end) == cents


@pytest.mark.parametrize("off", ["start", "end"])
@pytest.mark.parametrize(("cards", "cents", "used"), [(0, 100, 0), (1, 50, 1), (2, 0, 2), (3, 0, 2), (5, 0, 2)])
def test_only_cards_that_help_are_used(cards: int, cents: int, used: int, off: str) -> None:
    found = town(HOUR_FREE + f'[voucher]\noff = "{off}"\n').fee("2026-05-12T10:00", "2026-05-12T13:00", cards)
    assert (found.due_cents, found.vouchers_used) == (cents, used)


@pytest.mark.parametrize(("per", "cents"), [("calendar_day", 1000), ("24h", 500)])
def test_day_maximum_by_the_calendar_and_rolling(per: str, cents: int) -> None:
    tariff = town(EURO_AN_HOUR + f'[[cap]]\nper = "{per}"\ncents = 500\n')
    assert tariff.cents("2026-05-15T12:00", "2026-05-16T12:00") == cents


@pytest.mark.parametrize(("day", "cents"), [("2026-03-29", 100), ("2026-10-25", 300)])
def test_on_both_nights_of_a_clock_change_elapsed_time_counts(day: str, cents: int) -> None:
    assert town(EURO_AN_HOUR).cents(f"{day}T01:30", f"{day}T03:30") == cents


@pytest.mark.parametrize(("edge", "cents"), [("carry", 100), ("restart", 200), ("next_step", 200)])
def test_a_step_at_a_windows_edge(edge: str, cents: int) -> None:
    tariff = town(CHARGED_8_TO_18, f'otherwise = "free"\nat_window_edge = "{edge}"')
    assert tariff.cents("2026-05-11T17:30", "2026-05-12T08:30") == cents


def test_night_flat_between_two_days() -> None:
    tariff = town(
        EURO_AN_HOUR
        + '[[window]]\nname = "day"\nfrom = "06:00"\nto = "20:00"\nrate = "hour"\n'
        + '[[window]]\nname = "night"\nfrom = "20:00"\nto = "06:00"\nflat_cents = 200\n'
    )
    assert tariff.cents("2026-05-12T18:00", "2026-05-13T08:00") == 600


@pytest.mark.parametrize(("cents", "minutes"), [(10, 30), (20, 38), (30, 45), (50, 60), (75, 90), (100, 120)])
def test_money_buys_time_in_proportion(cents: int, minutes: int) -> None:
    tariff = town(
        """[rate.linear]
        steps = [
          { minutes = 30, cents = 10, charge = "linear" },
          { minutes = 30, cents = 40, charge = "linear" },
          { minutes = 60, cents = 50, charge = "linear" },
        ]"""
    )
    assert tariff.buy("2026-05-12T10:00", cents).sold_s == minutes * 60


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("end", "cents"), [("12:15:00", 0), ("12:15:01", 50), ("13:30", 100)])
def test_grace_and_late_exit_after_payment(end: str, cents: int, known: bool) -> None:
    tariff = town(HOUR_FREE, "grace_minutes = 15")
    paid_at = "2026-05-12T12:00" if known else ""
    late = tariff.fee("2026-05-12T10:00", "2026-05-12T" + end, paid=50, paid_at=paid_at)
    assert late.due_cents == cents


@pytest.mark.parametrize(("off", "cents"), [("start", 500), ("end", 300)])
def test_a_card_off_the_start_or_off_the_end(off: str, cents: int) -> None:
    tariff = town(PROGRESSIVE + f'[voucher]\noff = "{off}"\n')
    assert tariff.cents("2026-05-12T10:00", "2026-05-12T13:00", 1) == cents
