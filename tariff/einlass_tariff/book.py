"""All versions of one tariff: which one a stay belongs to, and what happens to a stay that sees two."""

from collections.abc import Callable, Sequence

from einlass_tariff.days import Days
from einlass_tariff.engine import Span
from einlass_tariff.model import SPLIT, Tariff
from einlass_tariff.problems import StayError
from einlass_tariff.timetable import Timetable


class Book:
    """Versions in the order of valid-from. `days_of` brings the calendar that a tariff's time zone and state need.

    open_start: the first version also holds before its valid-from, for trying out what is not in force yet.
    """

    def __init__(self, tariffs: Sequence[Tariff], days_of: Callable[[Tariff], Days], open_start: bool = False) -> None:
        if not tariffs:
            raise ValueError("a book needs at least one version")
        names = {tariff.name for tariff in tariffs}
        if len(names) > 1:
            shown = ", ".join(sorted(names))
            raise StayError(
                f"versions of one tariff share their name; these are {shown}",
                f"Fassungen eines Tarifs heißen gleich (tariff); diese heißen {shown}",
            )
        zones = {tariff.time_zone for tariff in tariffs}
        if len(zones) > 1:
            shown = ", ".join(sorted(zones))
            raise StayError(
                f"versions of one tariff share their time zone; these are {shown}",
                f"Fassungen eines Tarifs haben dieselbe Zeitzone; diese haben {shown}",
            )
        self.versions = tuple(sorted(tariffs, key=lambda tariff: tariff.valid_from))
        dates = [tariff.valid_from for tariff in self.versions]
        if len(set(dates)) < len(dates):
            raise StayError(
                "two versions have the same valid_from; only one can be in force",
                "Zwei Fassungen haben dasselbe valid_from; nur eine kann gelten",
            )
        self.open_start = open_start
        self._days = [days_of(tariff) for tariff in self.versions]
        self._from_s = [
            days.of_local(tariff.valid_from) for tariff, days in zip(self.versions, self._days, strict=True)
        ]
        self._tables: dict[tuple[int, str], Timetable] = {}

    @property
    def days(self) -> Days:
        """The calendar of the first version; all have the same time zone."""
        return self._days[0]

    def is_early(self, at_s: int) -> bool:
        """Whether no version is in force yet at this instant."""
        return at_s < self._from_s[0]

    def plan(self, entry_s: int, exit_s: int, pass_name: str) -> list[Span]:
        """The stay's spans with the timetable that each is priced by; at least one, though it may be empty."""
        number = self._version_at(entry_s)
        spans: list[Span] = []
        begin_s = entry_s
        for later in range(number + 1, len(self.versions)):
            change_s = self._from_s[later]
            if change_s >= exit_s:
                break
            if self.versions[later].stay_across == SPLIT:
                spans.append((begin_s, change_s, self.table(number, pass_name)))
                number, begin_s = later, change_s
        spans.append((begin_s, exit_s, self.table(number, pass_name)))
        return spans

    def table(self, number: int, pass_name: str) -> Timetable:
        """The timetable of one version, for holders of a pass or for anybody ("")."""
        key = (number, pass_name)
        found = self._tables.get(key)
        if found is None:
            tariff = self.versions[number]
            if pass_name:
                if pass_name not in tariff.passes:
                    known = ", ".join(sorted(tariff.passes))
                    raise StayError(
                        f"the tariff knows no pass {pass_name!r}; it knows: {known or 'none'}",
                        f"Einen Ausweis {pass_name!r} kennt der Tarif nicht; er kennt: {known or 'keinen'}",
                    )
                tariff = tariff.passes[pass_name]
            found = self._tables[key] = Timetable(tariff, self._days[number])
        return found

    def _version_at(self, at_s: int) -> int:
        found = -1
        for number, from_s in enumerate(self._from_s):
            if from_s <= at_s:
                found = number
        if found < 0:
            if not self.open_start:
                first = self.versions[0]
                raise StayError(
                    f"no version of {first.name} is in force then; the first begins {first.valid_from}",
                    f"Dann gilt noch keine Fassung von {first.name}; die erste beginnt {first.valid_from}",
                )
            return 0
        return found
