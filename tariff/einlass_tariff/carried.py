"""A tariff as it travels to a machine that prices alone: its texts, and the holidays of some years by their dates.

Holidays are sent as dates, so that the machine needs no library of its own for them and reckons with the very same.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from einlass_tariff.book import Book
from einlass_tariff.days import Days, HolidayNames, NoHolidays
from einlass_tariff.model import HolidayRules, Tariff
from einlass_tariff.problems import Problem, StayError, TariffError
from einlass_tariff.read import read_tariff

Text = tuple[str, bool]  # the text, and whether it is JSON


class CarriedHolidays:
    """Holidays of the years `first` to `last`; StayError for a day of another year: nobody has said."""

    def __init__(self, first: int, last: int, days: Mapping[str, Sequence[str]]) -> None:
        self._years = range(first, last + 1)
        self._days = {date.fromisoformat(day): (str(names[0]), str(names[1])) for day, names in days.items()}

    def get(self, day: date) -> tuple[str, str] | None:
        """German and English name of the day, or None."""
        if day.year not in self._years:
            raise StayError(
                f"the holidays of {day.year} are not known here",
                f"die Feiertage von {day.year} sind hier nicht bekannt",
            )
        return self._days.get(day)


def packed(
    texts: Sequence[Text], holidays_of: Callable[[HolidayRules], HolidayNames], first: int, last: int
) -> dict[str, Any]:
    """What book_of() reads, as JSON has it. TariffError when a text is none."""
    found: dict[tuple[str, bool], dict[str, list[str]]] = {}
    for text, is_json in texts:
        rules = read_tariff(text, is_json).holidays
        if rules.state and (rules.state, rules.catholic) not in found:
            found[rules.state, rules.catholic] = _dates(holidays_of(rules), first, last)
    holidays = [{"state": state, "catholic": catholic, "days": days} for (state, catholic), days in found.items()]
    return {"texts": [list(text) for text in texts], "first": first, "last": last, "holidays": holidays}


def book_of(carried: Mapping[str, Any]) -> Book:
    """The book again. TariffError, StayError, KeyError, TypeError or ValueError when it is not sound."""
    first, last = int(carried["first"]), int(carried["last"])
    holidays = {
        (str(item["state"]), bool(item["catholic"])): CarriedHolidays(first, last, item["days"])
        for item in carried["holidays"]
    }

    def days_of(tariff: Tariff) -> Days:
        rules = tariff.holidays
        names = holidays.get((rules.state, rules.catholic)) if rules.state else NoHolidays()
        if names is None:
            raise TariffError([Problem("holidays.state", "no dates came with it", "ohne Daten gekommen")])
        return Days(ZoneInfo(tariff.time_zone), rules, names)

    return Book([read_tariff(str(text), bool(is_json)) for text, is_json in carried["texts"]], days_of, open_start=True)


def _dates(names: HolidayNames, first: int, last: int) -> dict[str, list[str]]:
    found = {}
    day = date(first, 1, 1)
    while day.year <= last:
        named = names.get(day)
        if named is not None:
            found[day.isoformat()] = list(named)
        day += timedelta(days=1)
    return found
