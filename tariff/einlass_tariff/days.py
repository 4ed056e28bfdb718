"""Local days and instants. Instants are Unix seconds; a clock change makes a day of 23 or 25 hours, never a wrong fee.

A local time that does not exist is the moment of the change; one that exists twice is the first of the two. So edges
keep their order on both nights.
"""

from datetime import date, datetime, timedelta, tzinfo
from typing import Protocol

from einlass_tariff.model import HOLIDAY, MONTH, WEEK, HolidayRules, Season

_MEMO_MAX = 5000


class HolidayNames(Protocol):
    """Holidays handed in from outside: the names of a day in German and English, or None for no holiday."""

    def get(self, day: date) -> tuple[str, str] | None:
        """What this day is called."""


class NoHolidays:
    """For tariffs that know none."""

    def get(self, day: date) -> tuple[str, str] | None:
        """Never one."""
        del day
        return None


class Days:
    """The calendar of one site and one tariff."""

    def __init__(self, zone: tzinfo, rules: HolidayRules, names: HolidayNames) -> None:
        self.zone = zone
        self._rules = rules
        self._names = names
        self._holidays: dict[date, tuple[str, str] | None] = {}

    def holiday(self, day: date) -> tuple[str, str] | None:
        """The day's names as a holiday (German, English), or None."""
        if day not in self._holidays:
            if len(self._holidays) >= _MEMO_MAX:
                self._holidays.clear()
            self._holidays[day] = self._look_up(day)
        return self._holidays[day]

    def _look_up(self, day: date) -> tuple[str, str] | None:
        keys = (day, (day.month, day.day))
        if any(key in self._rules.never for key in keys):
            return None
        found = self._names.get(day) if self._rules.state or self._rules.country else None
        if found is None and any(key in self._rules.also for key in keys):
            return ("Feiertag nach Tarif", "holiday by the tariff")
        return found

    def kind(self, day: date) -> int:
        """Monday 0 to Sunday 6, or HOLIDAY."""
        return HOLIDAY if self.holiday(day) is not None else day.weekday()

    def day(self, at_s: int) -> date:
        """The local day of an instant."""
        return datetime.fromtimestamp(at_s, self.zone).date()

    def local(self, at_s: int) -> datetime:
        """Local time with its offset."""
        return datetime.fromtimestamp(at_s, self.zone)

    def instant(self, day: date, minute: int = 0) -> int:
        """The instant of a local time; minute 1440 is the next day's midnight."""
        if minute >= 1440:
            day += timedelta(days=minute // 1440)
            minute %= 1440
        return self.of_local(datetime(day.year, day.month, day.day, minute // 60, minute % 60))  # noqa: DTZ001

    def of_local(self, when: datetime) -> int:
        """The instant of a naive local time."""
        early, late = _both(when, self.zone)
        return early if early <= late else self._change(late, early)

    def exists(self, when: datetime) -> bool:
        """False for a local time that a clock change skips."""
        early, late = _both(when, self.zone)
        return early <= late

    def _change(self, before: int, after: int) -> int:
        offset = self.local(after).utcoffset()
        while after - before > 1:
            middle = (before + after) // 2
            if self.local(middle).utcoffset() == offset:
                after = middle
            else:
                before = middle
        return after


def _both(when: datetime, zone: tzinfo) -> tuple[int, int]:
    """What a local time can mean: by the offset before and after a change. Equal on any other day."""
    given = when.replace(tzinfo=zone)
    return int(given.replace(fold=0).timestamp()), int(given.replace(fold=1).timestamp())


def next_period(day: date, per: str) -> date:
    """The first day of the calendar week, month or year after this day's."""
    if per == WEEK:
        return day + timedelta(days=7 - day.weekday())
    if per == MONTH:
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return date(day.year + 1, 1, 1)


def season_of(day: date, seasons: dict[str, Season]) -> str:
    """The name of the day's season, or ""."""
    return next((name for name, season in seasons.items() if season.has(day)), "")
