"""Tariffs from files: reads the text, brings time zone and holidays, asks the rules. The shell of einlass_tariff."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from einlass_tariff.book import Book
from einlass_tariff.days import Days, HolidayNames, NoHolidays
from einlass_tariff.model import HolidayRules, Tariff
from einlass_tariff.places import line_of
from einlass_tariff.problems import Problem, StayError, TariffError
from einlass_tariff.read import TEXT_MAX, read_tariff

COUNTRY = "DE"
CASES_SUFFIX = ".cases.toml"
# Where the holiday rules of today are no longer a guess about the law.
YEARS = range(1990, 2100)


class StateHolidays:
    """The public holidays of a state, canton or country, by the library `holidays`; worked out when first asked for."""

    def __init__(self, country: str, state: str, catholic: bool) -> None:
        try:
            import holidays
        except ModuleNotFoundError as error:
            message = "needs the library `holidays`, which is not installed; it comes with einlass[controller]"
            german = "braucht die Bibliothek `holidays`, die nicht da ist; sie kommt mit einlass[controller]"
            raise TariffError([Problem("holidays.state", message, german)]) from error

        categories = ("public", "catholic") if catholic else ("public",)
        self._german, self._english = (
            holidays.country_holidays(country, subdiv=state or None, language=language, categories=categories)
            for language in ("de", "en_US")
        )

    def get(self, day: date) -> tuple[str, str] | None:
        """German and English name of the day, or None."""
        if day.year not in YEARS or day not in self._german:
            return None
        return str(self._german.get(day)), str(self._english.get(day))


_KNOWN: dict[tuple[str, str, bool], HolidayNames] = {}


def holidays_of(rules: HolidayRules) -> HolidayNames:
    """The holidays that a tariff asks for."""
    if not (rules.state or rules.country):
        return NoHolidays()
    key = (rules.country or COUNTRY, rules.state, rules.catholic)
    if key not in _KNOWN:
        _KNOWN[key] = StateHolidays(*key)
    return _KNOWN[key]


def days_of(tariff: Tariff) -> Days:
    """The calendar of a tariff. TariffError for a time zone that does not exist."""
    try:
        zone = ZoneInfo(tariff.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"there is no time zone {tariff.time_zone!r}; Germany's is Europe/Berlin"
        german = f"Eine Zeitzone {tariff.time_zone!r} gibt es nicht; die deutsche ist Europe/Berlin"
        raise TariffError([Problem("time_zone", message, german)]) from error
    return Days(zone, tariff.holidays, holidays_of(tariff.holidays))


def load_tariff(path: Path) -> Tariff:
    """The tariff in a file, TOML or (by its name) JSON. TariffError with all that is wrong."""
    return tariff_of(_text(path), path.suffix.lower() == ".json")


def tariff_of(text: str, is_json: bool = False) -> Tariff:
    """The tariff in a text, with a calendar that exists. TariffError with all that is wrong."""
    tariff = read_tariff(text, is_json)
    try:
        days_of(tariff)
    except TariffError as error:
        lines = [replace(one, line=0 if is_json else line_of(text, one.path)) for one in error.problems]
        raise TariffError(lines) from error
    return tariff


def load_book(paths: Sequence[Path]) -> Book:
    """The versions in these files as one book. The first version is taken for what was before it, too, and says so."""
    return book_of([load_tariff(path) for path in paths])


def book_of(tariffs: Sequence[Tariff]) -> Book:
    """These versions as one book, open at its start."""
    return Book(tariffs, days_of, open_start=True)


def cases_path(path: Path) -> Path:
    """Where a tariff's golden cases stand."""
    return path.with_name(path.stem + CASES_SUFFIX)


def instant_of(text: str, days: Days) -> int:
    """A time as people write it, local unless it has an offset, as Unix seconds. StayError when there is none."""
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise StayError(
            f"{text!r} is no time; write it like 2026-05-12T10:00, local or with an offset",
            f"{text!r} ist kein Zeitpunkt; bitte schreiben wie 2026-05-12T10:00, Ortszeit oder mit Zeitzone",
        ) from error
    if when.tzinfo is not None:
        return _bounded(int(when.timestamp()))
    if not 1970 <= when.year <= 2199:
        raise StayError(
            f"{text!r} is not in the years 1970 to 2199", f"{text!r} liegt nicht in den Jahren 1970 bis 2199"
        )
    if not days.exists(when):
        raise StayError(
            f"{text!r} does not exist: the clock is put forward that night; write it with its offset",
            f"{text!r} gibt es nicht: In dieser Nacht wird die Uhr vorgestellt; bitte mit Zeitzone schreiben (+02:00)",
        )
    return days.of_local(when.replace(microsecond=0))


def _bounded(at_s: int) -> int:
    if at_s < 0:
        raise StayError("a time before 1970", "ein Zeitpunkt vor 1970")
    return at_s


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(TEXT_MAX + 1)
    except OSError as error:
        reason = error.strerror or error
        raise TariffError(
            [Problem("", f"{path} can't be read: {reason}", f"{path} ist nicht lesbar: {reason}")]
        ) from error
    except UnicodeDecodeError as error:
        message = f"{path} is no UTF-8 text (byte {error.start}); save it as UTF-8"
        german = f"{path} ist kein UTF-8-Text (Byte {error.start}); bitte als UTF-8 speichern"
        raise TariffError([Problem("", message, german)]) from error
