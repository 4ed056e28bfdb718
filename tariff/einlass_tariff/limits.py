"""Maximums as running totals: an amount is let through as far as all have room. So a fee never falls with time."""

from datetime import date, timedelta

from einlass_tariff.ladder import Amount
from einlass_tariff.model import BUSINESS_DAY, CALENDAR_DAY, ROLLING, STAY, Window
from einlass_tariff.timetable import DAY_S, Timetable

# What the cut was made by, and in which of its periods: ("window", name, cents, day) or ("cap", per, cents, period).
Reason = tuple[str, str, int, object]
# (which maximum, how many of its periods ago, cents used)
Used = tuple[tuple[object, ...], int, Amount]
WHOLE_STAY = (STAY, None)


class Limits:
    """What of each maximum is used up in one stay. Versions share a period's total when a stay is split."""

    def __init__(self, entry_s: int) -> None:
        self._entry_s = entry_s
        self._used: dict[tuple[object, ...], Amount] = {}

    def let_through(
        self, table: Timetable, amount: Amount, at_s: int, window: Window, began: date
    ) -> tuple[Amount, Reason | None]:
        """How much of an amount due at this instant is charged, and which maximum cut the rest."""
        keys: list[tuple[object, ...]] = []
        granted = amount
        reason: Reason | None = None
        if window.max_cents is not None:
            key: tuple[object, ...] = ("window", window.name, window.from_minute, began)
            keys.append(key)
            room = window.max_cents - self._used.get(key, 0)
            if room < granted:
                granted, reason = room, ("window", window.name, window.max_cents, began)
        if not window.outside_caps:
            for cap, some_days_only in table.caps:
                day = self._day(table, cap.per, at_s)
                if some_days_only and not table.cap_holds(cap, table.days.day(at_s) if day is None else day):
                    continue
                if cap.from_day > 1 and self._number(table, cap.per, at_s) < cap.from_day:
                    continue
                period = (at_s - self._entry_s) // ROLLING[cap.per] if cap.per in ROLLING else day
                key = (cap.per, period)
                if key not in keys:
                    keys.append(key)
                room = max(0, cap.cents - self._used.get(key, 0))
                if room < granted:
                    granted, reason = room, ("cap", cap.per, cap.cents, period)
        for key in keys:
            self._used[key] = self._used.get(key, 0) + granted
        return granted, reason

    @property
    def of_stay(self) -> Amount:
        """What is used of maximums for the whole stay."""
        return self._used.get(WHOLE_STAY, 0)

    @of_stay.setter
    def of_stay(self, used: Amount) -> None:
        self._used[WHOLE_STAY] = used

    def state(self, day: date, at_s: int, reach_days: int) -> frozenset[Used]:
        """What is used of periods that are not over at the begin of this day, told from there; but for `of_stay`."""
        found = [(key[:-1], self._ago(key, day, at_s), used) for key, used in self._used.items() if key != WHOLE_STAY]
        return frozenset(one for one in found if one[1] <= self._back(one[0][0], reach_days))

    def resume(self, state: frozenset[Used], day: date, at_s: int) -> None:
        """Go on with this at the begin of a day."""
        self._used |= {(*name, self._then(name[0], ago, day, at_s)): used for name, ago, used in state}

    @staticmethod
    def _back(per: object, reach_days: int) -> int:
        """So many days or periods after its begin something may still be used of it."""
        return reach_days if per == "window" else 1 if per == BUSINESS_DAY else 0

    def _ago(self, key: tuple[object, ...], day: date, at_s: int) -> int:
        period = key[-1]
        if isinstance(period, date):
            return (day - period).days
        return (at_s - self._entry_s) // ROLLING[str(key[0])] - period if isinstance(period, int) else 0

    def _then(self, per: object, ago: int, day: date, at_s: int) -> object:
        if per in ROLLING:
            return (at_s - self._entry_s) // ROLLING[str(per)] - ago
        return day - timedelta(days=ago)

    def _number(self, table: Timetable, per: str, at_s: int) -> int:
        """Which day of the stay this is, counted as the maximum's period counts; 24 hours from entry are the first."""
        first, now = self._day(table, per, self._entry_s), self._day(table, per, at_s)
        if first is None or now is None:
            return (at_s - self._entry_s) // DAY_S + 1
        return (now - first).days + 1

    def _day(self, table: Timetable, per: str, at_s: int) -> date | None:
        if per == CALENDAR_DAY:
            return table.days.day(at_s)
        if per == BUSINESS_DAY:
            return table.business_day(at_s)
        assert per == STAY or per in ROLLING
        return None
