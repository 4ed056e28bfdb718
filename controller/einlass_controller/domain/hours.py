"""Opening hours and the nightly close, in the site's local time and right across clock changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo

from einlass_controller.domain.rules import MINUTE_MS

DAY_MS = 24 * 60 * MINUTE_MS
# How far ahead the next opening is looked for; a zone that stays shut longer has no next opening to tell.
DAYS_AHEAD = 14


@dataclass(frozen=True, slots=True)
class Period:
    """Open from one local time of day to another (ms of the day); not after `from`: until the next day."""

    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Opening:
    """A zone at one moment. next_ms: until when this stays true. Other instants are None where there is none."""

    is_open: bool
    entries: bool
    opens_ms: int | None = None
    closes_ms: int | None = None
    last_entry_ms: int | None = None
    next_ms: int | None = None


ALWAYS = Opening(True, True)


@dataclass(frozen=True, slots=True)
class Hours:
    """A zone's week (Monday is 0) and its days that are different; without any it is always open."""

    week: Mapping[int, tuple[Period, ...]] = field(default_factory=dict)
    days: Mapping[str, tuple[Period, ...]] = field(default_factory=dict)
    last_entry_ms: int = 0

    def at(self, now_ms: int, zone: tzinfo) -> Opening:
        """Whether it is open now, and takes people in."""
        if not self.week and not self.days:
            return ALWAYS
        today = local_day(now_ms, zone)
        spans = self._spans(today - timedelta(days=1), DAYS_AHEAD + 1, zone)
        for begins, ends in spans:
            if begins <= now_ms < ends:
                last = ends - self.last_entry_ms
                entries = now_ms < last or not self.last_entry_ms
                following = next((start for start, _ in spans if start >= ends), None)
                return Opening(True, entries, following, ends, last, last if entries and last > now_ms else ends)
        opens = next((begins for begins, _ in spans if begins > now_ms), None)
        # Looked at again after a day at the latest: the days ahead that were looked at go on.
        return Opening(False, False, opens, None, None, opens if opens is not None else now_ms + DAY_MS)

    def _spans(self, start: date, days: int, zone: tzinfo) -> Sequence[tuple[int, int]]:
        found = []
        for number in range(days):
            day = start + timedelta(days=number)
            periods = self.days.get(day.isoformat(), self.week.get(day.weekday(), ()))
            for period in periods:
                over = 1 if period.until_ms <= period.from_ms else 0
                begins = local_instant(day, period.from_ms, zone)
                found.append((begins, local_instant(day + timedelta(days=over), period.until_ms, zone)))
        return sorted(found)


def local_day(now_ms: int, zone: tzinfo) -> date:
    """The site's calendar day at an instant."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone).date()


def local_instant(day: date, time_ms: int, zone: tzinfo) -> int:
    """A local time as an instant. One that a clock change skips is an hour later; of two, it is the first."""
    days, rest_ms = divmod(time_ms, DAY_MS)
    minutes = rest_ms // MINUTE_MS
    day += timedelta(days=days)
    local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone)
    return int(local.timestamp()) * 1000


def last_close(now_ms: int, time_ms: int, zone: tzinfo) -> int:
    """The latest nightly close that is not after now."""
    today = local_day(now_ms, zone)
    due = [local_instant(today - timedelta(days=back), time_ms, zone) for back in (0, 1)]
    return next(instant for instant in due if instant <= now_ms)
