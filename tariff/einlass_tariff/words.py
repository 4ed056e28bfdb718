"""Days, times of day and dates as a tariff's author writes them, in English or German."""

import calendar
import re
from datetime import date, datetime, time, timedelta

from einlass_tariff.model import ALL_KINDS, HOLIDAY

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAYS_DE = ("Mo", "Di", "Mi", "Do", "Fr", "Sa", "So")
DAYS_EN = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_MINUTES = 1440

_NAMES = {name: number for number, name in enumerate(DAYS)}
_NAMES |= {name.lower(): number for number, name in enumerate(DAYS_DE)}
_NAMES |= {"holiday": HOLIDAY, "holidays": HOLIDAY, "feiertag": HOLIDAY, "feiertage": HOLIDAY}
_GROUPS = {
    "daily": ALL_KINDS,
    "täglich": ALL_KINDS,
    "weekdays": frozenset(range(5)),
    "workdays": frozenset(range(6)),
    "werktags": frozenset(range(6)),
    "weekend": frozenset((5, 6)),
    "wochenende": frozenset((5, 6)),
}
DAY_WORDS = "mon, tue, wed, thu, fri, sat, sun, holiday, a span like mon-fri, daily, weekdays, workdays or weekend"
DAY_WORDS_DE = "mo, di, mi, do, fr, sa, so, feiertag, eine Spanne wie mo-fr, täglich, werktags (mo-sa) oder wochenende"
MONTHS_DE = (
    *("", "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober"),
    *("November", "Dezember"),
)
_TIME = re.compile(r"(\d{1,2}):(\d{2})")
_MONTH_DAY = re.compile(r"(\d{1,2})-(\d{1,2})")
_LEAP = 2024
# "2026-07-27 to 2026-09-05", also with "bis", "/" or "..".
_SPAN = re.compile(r"\s+(?:to|bis)\s+|\s*(?:/|\.\.)\s*")
SPAN_DAYS_MAX = 366


class WordError(ValueError):
    """A word that means nothing here; the message says what would."""

    def __init__(self, message: str, german: str) -> None:
        super().__init__(message)
        self.german = german


def day_kinds(value: str) -> frozenset[int]:
    """The kinds of day that one word or span names; "mon-fri" never includes a holiday."""
    word = value.strip().lower()
    if word in _GROUPS:
        return _GROUPS[word]
    if word in _NAMES:
        return frozenset((_NAMES[word],))
    first, dash, last = word.partition("-")
    first, last = first.strip(), last.strip()
    if dash and first in _NAMES and last in _NAMES and HOLIDAY not in (_NAMES[first], _NAMES[last]):
        begin, end = _NAMES[first], _NAMES[last]
        return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    raise WordError(f"{value!r} names no day; write {DAY_WORDS}", f"{value!r} ist kein Tag; möglich: {DAY_WORDS_DE}")


def minute_of_day(value: str | time) -> int:
    """Minutes since midnight; "24:00" is the end of the day."""
    if isinstance(value, time):
        if value.second or value.microsecond:
            raise WordError(
                f"{value} is not a full minute; write hours and minutes, like 08:30",
                f"{value} ist keine volle Minute; bitte Stunden und Minuten schreiben, wie 08:30",
            )
        return value.hour * 60 + value.minute
    match = _TIME.fullmatch(value.strip())
    if match is None:
        raise WordError(
            f"{value!r} is no time of day; write it like 08:30, or 24:00 for the end of the day",
            f"{value!r} ist keine Uhrzeit; bitte schreiben wie 08:30, das Ende des Tages als 24:00",
        )
    hours, minutes = int(match[1]), int(match[2])
    if minutes > 59 or hours > 24 or (hours == 24 and minutes):
        raise WordError(
            f"{value!r} is no time of day; the last is 24:00", f"{value!r} ist keine Uhrzeit; die letzte ist 24:00"
        )
    return hours * 60 + minutes


def clock(minute: int) -> str:
    """A minute of the day as it is read: 08:30."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def month_day(value: str) -> tuple[int, int]:
    """A day of every year, written month-day like 04-30; 02-29 is one."""
    match = _MONTH_DAY.fullmatch(value.strip())
    if match is None:
        raise WordError(
            f"{value!r} is no day of the year; write month and day, like 04-30",
            f"{value!r} ist kein Tag im Jahr; bitte Monat und Tag schreiben: 04-30 ist der 30. April",
        )
    month, day = int(match[1]), int(match[2])
    if not 1 <= month <= 12:
        raise WordError(
            f"{value!r}: there is no month {month}; write month first, then day, like 04-30",
            f"{value!r}: Einen Monat {month} gibt es nicht; erst der Monat, dann der Tag: 04-30 ist der 30. April",
        )
    last = calendar.monthrange(_LEAP, month)[1]
    if not 1 <= day <= last:
        raise WordError(
            f"{value!r} does not exist: {calendar.month_name[month]} has {last} days at most",
            f"{value!r} gibt es nicht: Der {MONTHS_DE[month]} hat höchstens {last} Tage",
        )
    return month, day


def full_date(value: str | date) -> date:
    """A day of one year: 2026-04-30."""
    if isinstance(value, datetime):
        raise WordError(
            f"{value} is a time; write the date only, like 2026-04-30",
            f"{value} ist ein Zeitpunkt; bitte nur das Datum schreiben, wie 2026-04-30",
        )
    if isinstance(value, date):
        return value
    parts = re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", value.strip())
    if parts is None:
        raise WordError(
            f"{value!r} is no date; write it like 2026-04-30",
            f"{value!r} ist kein Datum; bitte schreiben wie 2026-04-30 (30. April)",
        )
    year, month, day = (int(part) for part in parts.groups())
    if not 1 <= month <= 12:
        raise WordError(f"{value!r}: there is no month {month}", f"{value!r}: Einen Monat {month} gibt es nicht")
    last = calendar.monthrange(year, month)[1]
    if not 1 <= day <= last:
        raise WordError(
            f"{value!r} does not exist: {calendar.month_name[month]} {year} has {last} days",
            f"{value!r} gibt es nicht: Der {MONTHS_DE[month]} {year} hat {last} Tage",
        )
    if not year:
        raise WordError(f"{value!r}: there is no year 0", f"{value!r}: Ein Jahr 0 gibt es nicht")
    return date(year, month, day)


def any_date(value: str | date) -> frozenset[date | tuple[int, int]]:
    """A date of one year (2026-04-30) or of every year (04-30), or all of them "2026-07-27 to 2026-09-05"."""
    parts = _SPAN.split(value.strip()) if isinstance(value, str) else []
    if len(parts) != 2:
        return frozenset((_one_date(value),))
    first, last = (_one_date(part) for part in parts)
    if isinstance(first, date) and isinstance(last, date):
        days = (last - first).days + 1
        if not 1 <= days <= SPAN_DAYS_MAX:
            raise WordError(
                f"{value!r} has {max(0, days)} days; 1 to {SPAN_DAYS_MAX}: the first day, then the last one",
                f"{value!r} hat {max(0, days)} Tage; möglich: 1 bis {SPAN_DAYS_MAX}, erst der erste, dann der letzte",
            )
        return frozenset(first + timedelta(days=number) for number in range(days))
    if isinstance(first, tuple) and isinstance(last, tuple):
        every = [date(_LEAP, 1, 1) + timedelta(days=number) for number in range(366)]
        days_of_year = [(day.month, day.day) for day in every]
        if first <= last:
            return frozenset(day for day in days_of_year if first <= day <= last)
        return frozenset(day for day in days_of_year if day >= first or day <= last)
    raise WordError(
        f"{value!r} mixes a day of one year with a day of every year; write both with the year, or none",
        f"{value!r} mischt einen Tag eines Jahres mit einem jedes Jahres; bitte beide mit Jahr schreiben, oder keinen",
    )


def _one_date(value: str | date) -> date | tuple[int, int]:
    if isinstance(value, str) and _MONTH_DAY.fullmatch(value.strip()):
        return month_day(value)
    return full_date(value)


def local_instant(value: str | date | datetime) -> datetime:
    """A date (its midnight) or a local time without offset, for valid-from."""
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            raise WordError(
                f"{value} has an offset; write the site's local time without one",
                f"{value} nennt eine Zeitzone; bitte die Ortszeit ohne sie schreiben",
            )
        return value
    if isinstance(value, str) and ("T" in value or ":" in value):
        try:
            return local_instant(datetime.fromisoformat(value))
        except ValueError as error:
            raise WordError(
                f"{value!r} is no time; write 2026-04-30 or 2026-04-30T06:00",
                f"{value!r} ist kein Zeitpunkt; bitte schreiben wie 2026-04-30 oder 2026-04-30T06:00",
            ) from error
    day = full_date(value)
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - local by meaning


def days_text(kinds: frozenset[int], language: str) -> str:
    """Kinds of day as people say them: "Mo-Fr, Feiertag"."""
    german = language == "de"
    if kinds == ALL_KINDS:
        return "täglich" if german else "daily"
    names = DAYS_DE if german else DAYS_EN
    parts = []
    week = [number in kinds for number in range(7)]
    number = 0
    while number < 7:
        if not week[number]:
            number += 1
            continue
        last = number
        while last + 1 < 7 and week[last + 1]:
            last += 1
        parts.append(names[number] if last == number else f"{names[number]}-{names[last]}")
        number = last + 1
    if HOLIDAY in kinds:
        parts.append("Feiertag" if german else "holiday")
    return ", ".join(parts)
