"""Sense: a tariff that can be read and can't be meant. Gaps, overlaps, prices that contradict each other."""

from collections.abc import Iterable, Iterator
from datetime import date

from einlass_tariff import model as m
from einlass_tariff.problems import Problem
from einlass_tariff.words import DAY_MINUTES, DAYS_DE, DAYS_EN, clock, days_text

_SHOWN_MAX = 4
_WEEKS = 3


def sense(tariff: m.Tariff, found: list[Problem], path: str = "") -> None:
    """Add what contradicts itself to `found`."""
    _holidays(tariff, found, path)
    _seasons(tariff, found, path)
    _events(tariff, found, path)
    if not found:
        _week(tariff, found, path)
    _money(tariff, found, path)


def _holidays(tariff: m.Tariff, found: list[Problem], path: str) -> None:
    if tariff.holidays.any:
        return
    for place, window in _placed(tariff):
        if m.HOLIDAY in window.kinds and window.kinds != m.ALL_KINDS and (window.included or not window.event):
            found.append(
                Problem(
                    f"{path}{place}.days",
                    'names holidays, but nothing says which days those are: add [holidays], state = "RP"',
                    'nennt Feiertage, aber nirgends steht, welche Tage das sind: [holidays] mit state = "RP" dazu',
                )
            )
    for number, cap in enumerate(tariff.caps, 1):
        if m.HOLIDAY in cap.kinds and cap.kinds != m.ALL_KINDS:
            found.append(
                Problem(
                    f"{path}cap[{number}].days",
                    'names holidays: add [holidays] with state = "RP"',
                    'nennt Feiertage: bitte [holidays] mit state = "RP" dazuschreiben',
                )
            )


def _placed(tariff: m.Tariff) -> Iterator[tuple[str, m.Window]]:
    """Every window with the place that it has in the text."""
    counts: dict[str, int] = {}
    for window in tariff.windows:
        key = "included" if window.included else "event" if window.event else "window"
        counts[key] = counts.get(key, 0) + 1
        yield f"{key}[{counts[key]}]", window


def _seasons(tariff: m.Tariff, found: list[Problem], path: str) -> None:
    named = [(place, one.season) for place, one in _placed(tariff)]
    named += [(f"cap[{number}]", one.season) for number, one in enumerate(tariff.caps, 1)]
    for place, season in named:
        if season and season not in tariff.seasons:
            known = ", ".join(sorted(tariff.seasons))
            found.append(
                Problem(
                    f"{path}{place}.season",
                    f"there is no [season.{season}]; there is: {known or 'none'}",
                    f"[season.{season}] gibt es nicht; es gibt: {known or 'keine'}",
                )
            )
    if path:
        return
    taken: dict[int, str] = {}
    for name, one in tariff.seasons.items():
        both = sorted({taken[day] for day in _days_of(one) if day in taken})
        if both:
            found.append(
                Problem(
                    f"season.{name}",
                    f"shares days with the season {both[0]}; a day has one season",
                    f"hat Tage, die auch in der Saison {both[0]} liegen; ein Tag hat nur eine Saison",
                )
            )
        taken |= dict.fromkeys(_days_of(one), name)


def _days_of(season: m.Season) -> Iterator[int]:
    from_day, to_day = (month * 31 + day for month, day in (season.begins, season.ends))
    days = range(32, 13 * 31 + 1)
    if from_day <= to_day:
        yield from range(from_day, to_day + 1)
    else:
        yield from (day for day in days if day >= from_day or day <= to_day)


def _events(tariff: m.Tariff, found: list[Problem], path: str) -> None:
    events = [window for window in tariff.windows if window.event and not window.included]
    for number, later in enumerate(events):
        for earlier in events[:number]:
            if earlier.only_entered != later.only_entered:
                continue
            shared = _share_a_day(earlier, later)
            meet = earlier.from_minute < _end(later) and later.from_minute < _end(earlier)
            if shared and meet:
                found.append(
                    Problem(
                        f"{path}event[{number + 1}]",
                        f"{later.name!r} overlaps with {earlier.name!r} on one day; let one end where the other begins",
                        f"{later.name!r} überschneidet sich mit {earlier.name!r} am selben Tag; bitte die eine enden "
                        "lassen, wo die andere beginnt",
                    )
                )


def _share_a_day(one: m.Window, other: m.Window) -> bool:
    if one.dates and other.dates:
        return any(_is_same(day, another) for day in one.dates for another in other.dates)
    if other.dates:
        one, other = other, one
    if one.dates:
        # A day of every year falls on every weekday sooner or later.
        return any(day.weekday() in other.kinds if isinstance(day, date) else True for day in one.dates)
    return bool(one.kinds & other.kinds)


def _is_same(day: date | tuple[int, int], other: date | tuple[int, int]) -> bool:
    if isinstance(day, date) and isinstance(other, date):
        return day == other
    first, second = ((one.month, one.day) if isinstance(one, date) else one for one in (day, other))
    return first == second


def _end(window: m.Window) -> int:
    return window.to_minute + DAY_MINUTES * window.days_later


def _week(tariff: m.Tariff, found: list[Problem], path: str) -> None:
    """Every minute of every kind of week has one window; that uncovered time is meant to be free, `otherwise` says."""
    windows = [window for window in tariff.windows if not window.event]
    if not windows:
        return
    overlaps: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for season in ["", *tariff.seasons] if len(tariff.seasons) else [""]:
        mine = [window for window in windows if window.season in ("", season)]
        for holidays in _holiday_weeks(tariff):
            for first, second, day, begin, end in _meetings(mine, holidays):
                places = overlaps.setdefault((first.name, second.name), [])
                german, english = _day_name(day, holidays)
                span = f" {clock(begin)}-{clock(end)}"
                if (german + span, english + span) not in places:
                    places.append((german + span, english + span))
    for (first_name, second_name), places in overlaps.items():
        number = next(number for number, one in enumerate(windows, 1) if one.name == second_name)
        german, english = _some(places)
        found.append(
            Problem(
                f"{path}window[{number}]",
                f"{second_name!r} overlaps with {first_name!r}: {english}. Change the times or days, or write "
                f'wins_over = ["{first_name}"] into the one that holds then',
                f"{second_name!r} überschneidet sich mit {first_name!r}: {german}. Bitte Zeiten oder Tage ändern, oder "
                f'wins_over = ["{first_name}"] in das Fenster schreiben, das dann gilt',
            )
        )
    missing = [] if tariff.otherwise_free else gaps(tariff)
    if missing:
        german, english = _some(missing)
        found.append(
            Problem(
                f"{path}window",
                f'a gap: no window covers {english}. Add a window, or write otherwise = "free" at the top',
                f"eine Lücke: Kein Fenster gilt {german}. Bitte ein Fenster dazuschreiben, oder oben "
                'otherwise = "free" (sonst frei)',
            )
        )


def gaps(tariff: m.Tariff) -> list[tuple[str, str]]:
    """Times of the week in no window, like "Mon-Fri 18:00-24:00 (winter)", in German and English."""
    windows = [window for window in tariff.windows if not window.event]
    found: dict[tuple[str, str], set[int]] = {}
    for season in list(tariff.seasons) or [""]:
        mine = [window for window in windows if window.season in ("", season)]
        for holidays in _holiday_weeks(tariff):
            for day in range(7, 14):
                inside = (_in_day(window, began, day) for window, began in _occurrences(mine, holidays))
                spans = sorted(span for span in inside if span[0] < span[1])
                at = 0
                for begin, end in [*spans, (DAY_MINUTES, DAY_MINUTES)]:
                    if begin > at:
                        note = f" ({season})" if season else ""
                        found.setdefault((f"{clock(at)}-{clock(begin)}", note), set()).add(_kind(day, holidays))
                    at = max(at, end)
    return [
        (f"{days_text(frozenset(kinds), 'de')} {times}{note}", f"{days_text(frozenset(kinds), 'en')} {times}{note}")
        for (times, note), kinds in found.items()
    ]


def _in_day(window: m.Window, began: int, day: int) -> tuple[int, int]:
    shift = (began - day) * DAY_MINUTES
    return max(0, window.from_minute + shift), min(DAY_MINUTES, _end(window) + shift)


def _holiday_weeks(tariff: m.Tariff) -> Iterator[frozenset[int]]:
    """Three weeks without a holiday, with one on each weekday, and with two in a row."""
    yield frozenset()
    if tariff.holidays.any:
        yield from (frozenset((day,)) for day in range(7, 14))
        yield from (frozenset((day, day + 1)) for day in range(7, 14))


def _kind(day: int, holidays: frozenset[int]) -> int:
    return m.HOLIDAY if day in holidays else day % 7


def _day_name(day: int, holidays: frozenset[int]) -> tuple[str, str]:
    return ("Feiertag", "holiday") if day in holidays else (DAYS_DE[day % 7], DAYS_EN[day % 7])


def _occurrences(windows: Iterable[m.Window], holidays: frozenset[int]) -> list[tuple[m.Window, int]]:
    return [(window, day) for window in windows for day in range(_WEEKS * 7) if _kind(day, holidays) in window.kinds]


def _meetings(windows: list[m.Window], holidays: frozenset[int]) -> Iterator[tuple[m.Window, m.Window, int, int, int]]:
    """Pairs of windows that cover the same time with neither above the other: (first, second, day, from, to)."""
    spans = sorted(
        (
            (day * DAY_MINUTES + window.from_minute, day * DAY_MINUTES + _end(window), number, window)
            for window, day in _occurrences(windows, holidays)
            for number in [windows.index(window)]
        ),
        key=lambda span: span[:3],
    )
    for place, (begin, end, number, window) in enumerate(spans):
        for other_begin, other_end, other_number, other in spans[place + 1 :]:
            if other_begin >= end:
                break
            if (
                other.name in window.wins_over
                or window.name in other.wins_over
                or (number == other_number and begin == other_begin)
            ):
                continue
            first, second = (window, other) if number <= other_number else (other, window)
            day, minute = divmod(other_begin, DAY_MINUTES)
            if 7 <= day < 15:
                last = min(end, other_end) - day * DAY_MINUTES
                yield first, second, day, minute, min(last, DAY_MINUTES)


def _some(places: list[tuple[str, str]]) -> tuple[str, str]:
    more = len(places) - _SHOWN_MAX
    german, english = (", ".join(place[language] for place in places[:_SHOWN_MAX]) for language in (0, 1))
    return german + (f" und {more} weitere" if more > 0 else ""), english + (f" and {more} more" if more > 0 else "")


def _money(tariff: m.Tariff, found: list[Problem], path: str) -> None:
    for cap in tariff.caps:
        if (cap.per == m.STAY or cap.per in m.ROLLING) and tariff.min_cents > cap.cents:
            found.append(
                Problem(
                    f"{path}min_cents",
                    f"the least fee ({tariff.min_cents}) is above the most per {cap.per} ({cap.cents})",
                    f"Die Mindestgebühr ({tariff.min_cents}) liegt über dem Höchstbetrag ({cap.cents}, {cap.per})",
                )
            )
    coin = tariff.smallest_coin_cents
    if not path and tariff.machine_max_cents is not None and tariff.machine_max_cents % coin:
        found.append(
            Problem(
                "machine_max_cents",
                f"is no multiple of smallest_coin_cents ({coin})",
                f"ist kein Vielfaches der kleinsten Münze (smallest_coin_cents: {coin})",
            )
        )
    for number, cap in enumerate(tariff.caps, 1):
        if (cap.per == m.STAY or cap.per in m.ROLLING) and cap.kinds != m.ALL_KINDS:
            found.append(
                Problem(
                    f"{path}cap[{number}].days",
                    f'days go with per = "calendar_day" or "business_day", not {cap.per!r}',
                    f'days geht mit per = "calendar_day" oder "business_day", nicht mit {cap.per!r}',
                )
            )
        if cap.from_day > 1 and cap.per in (m.STAY, m.ROLLING_WEEK):
            found.append(
                Problem(
                    f"{path}cap[{number}].from_day",
                    f"goes with periods of a day, not {cap.per!r}",
                    f"geht mit Zeiträumen von einem Tag, nicht mit {cap.per!r}",
                )
            )
