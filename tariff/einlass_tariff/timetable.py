"""Which price holds when: local days painted with the tariff's windows, the higher rank on top."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise

from einlass_tariff.days import Days, season_of
from einlass_tariff.model import ALL_KINDS, ROLLING, ROLLING_WEEK, STAY, Cap, Tariff, Window

DAY_S = 86_400
_MEMO_MAX = 2000

# (from, to, window, the day its occurrence began on)
Piece = tuple[int, int, Window, date]

OTHERWISE = Window(name="")


class Timetable:
    """A tariff on the calendar. It remembers days that were asked for; answers depend on its arguments only."""

    def __init__(self, tariff: Tariff, days: Days) -> None:
        self.tariff = tariff
        self.days = days
        # So many days after its own a window may still hold.
        self.reach_days = max((window.days_later for window in tariff.windows), default=0)
        self._always = [window for window in tariff.windows if not window.only_entered]
        self._on_entry = [window for window in tariff.windows if window.only_entered]
        # Whether a day counted from the entry may end within a piece.
        self.rolls = any(cap.per in ROLLING or cap.from_day > 1 for cap in tariff.caps) or any(
            rate.again in ROLLING for rate in tariff.rates.values()
        )
        self.rolls_weekly = any(cap.per == ROLLING_WEEK for cap in tariff.caps) or any(
            rate.again == ROLLING_WEEK for rate in tariff.rates.values()
        )
        # Each maximum, and whether it is in force on some days only.
        self.caps = [(cap, bool(cap.season) or cap.kinds != ALL_KINDS) for cap in tariff.caps]
        # No maximum for the whole stay is reached before that.
        self.stay_cents = min((cap.cents for cap in tariff.caps if cap.per == STAY), default=None)
        self._shapes: dict[date, int] = {}
        self._looks: dict[object, int] = {}
        self._plans: dict[date, tuple[Piece, ...]] = {}

    def pieces(self, begin_s: int, end_s: int, entry_s: int) -> Iterator[Piece]:
        """The stay from begin to end, in order, cut where the window or the local day changes."""
        if begin_s >= end_s:
            return
        special = [found for window in self._on_entry for found in self._around(window, entry_s)]
        day = self.days.day(begin_s)
        while True:
            for first, last, window, began in self._plan(day):
                if last <= begin_s:
                    continue
                if first >= end_s:
                    return
                cut = (max(first, begin_s), min(last, end_s), window, began)
                if special:
                    yield from paint(cut[0], cut[1], [cut, *special])
                else:
                    yield cut
            day += timedelta(days=1)

    def shape(self, day: date) -> int:
        """A number that days share whose windows, changes of clock and maximums are the same, told from their begin."""
        found = self._shapes.get(day)
        if found is None:
            begin = self.days.instant(day)
            pieces = [(one[0] - begin, one[1] - begin, id(one[2]), (day - one[3]).days) for one in self._plan(day)]
            some_days = [cap for cap, some_days_only in self.caps if some_days_only]
            before = day - timedelta(days=1)
            holds = [(self.cap_holds(cap, before), self.cap_holds(cap, day)) for cap in some_days]
            look = (tuple(pieces), tuple(holds))
            if len(self._shapes) >= _MEMO_MAX:
                self._shapes.clear()
            found = self._shapes[day] = self._looks.setdefault(look, len(self._looks))
        return found

    def special_until(self, entry_s: int) -> int:
        """Until then windows may be in force that only a stay has which begins in them."""
        return max((one[1] for window in self._on_entry for one in self._around(window, entry_s)), default=entry_s)

    def cap_holds(self, cap: Cap, day: date) -> bool:
        """Whether a maximum is in force on a day."""
        if cap.season and season_of(day, self.tariff.seasons) != cap.season:
            return False
        return self.days.kind(day) in cap.kinds

    def business_day(self, at_s: int) -> date:
        """The day that a business day begins on."""
        day = self.days.day(at_s)
        if at_s < self.days.instant(day, self.tariff.business_day_minute):
            day -= timedelta(days=1)
        return day

    def _plan(self, day: date) -> tuple[Piece, ...]:
        found = self._plans.get(day)
        if found is None:
            if len(self._plans) >= _MEMO_MAX:
                self._plans.clear()
            found = self._plans[day] = tuple(self._paint_day(day))
        return found

    def _paint_day(self, day: date) -> Iterator[Piece]:
        begin, end = self.days.instant(day), self.days.instant(day, 1440)
        layers: list[Piece] = [(begin, end, OTHERWISE, day)]
        for back in range(self.reach_days, -1, -1):
            began = day - timedelta(days=back)
            layers += [self._occurrence(window, began) for window in self._always if self._is_on(window, began)]
        cut = self.days.instant(day, self.tariff.business_day_minute) if self.tariff.business_day_minute else begin
        for first, last, window, began in paint(begin, end, layers):
            if first < cut < last:
                yield first, cut, window, began
                yield cut, last, window, began
            else:
                yield first, last, window, began

    def _is_on(self, window: Window, day: date) -> bool:
        if window.dates and day not in window.dates and (day.month, day.day) not in window.dates:
            return False
        if window.season and season_of(day, self.tariff.seasons) != window.season:
            return False
        return self.days.kind(day) in window.kinds

    def _occurrence(self, window: Window, day: date) -> Piece:
        end_day = day + timedelta(days=window.days_later)
        return self.days.instant(day, window.from_minute), self.days.instant(end_day, window.to_minute), window, day

    def _around(self, window: Window, at_s: int) -> Iterator[Piece]:
        today = self.days.day(at_s)
        for back in range(window.days_later + 1):
            day = today - timedelta(days=back)
            if self._is_on(window, day):
                found = self._occurrence(window, day)
                if found[0] <= at_s < found[1]:
                    yield found


def paint(begin_s: int, end_s: int, layers: Sequence[Piece]) -> Iterator[Piece]:
    """One span as its visible layers: the highest rank, of equal ranks the later one in the list."""
    edges = {begin_s, end_s}
    for first, last, _, _ in layers:
        edges.update(edge for edge in (first, last) if begin_s < edge < end_s)
    ordered = sorted(edges)
    held: Piece | None = None
    for first, last in pairwise(ordered):
        top = None
        for layer in layers:
            if layer[0] <= first and last <= layer[1] and (top is None or layer[2].rank >= top[2].rank):
                top = layer
        if top is None:
            continue
        if held is not None and held[2] is top[2] and held[3] == top[3] and held[1] == first:
            held = (held[0], last, held[2], held[3])
            continue
        if held is not None:
            yield held
        held = (first, last, top[2], top[3])
    if held is not None:
        yield held
