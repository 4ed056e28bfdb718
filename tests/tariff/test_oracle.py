"""Random tariffs against a slow model that walks through a stay minute by minute, straight from the text's data."""

import json
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from einlass_controller.tariffs import days_of
from einlass_tariff.book import Book
from einlass_tariff.fee import cost
from einlass_tariff.problems import TariffError
from einlass_tariff.read import read_tariff
from einlass_tariff.result import MINUTES_CARD, Card, Stay
from tariff_making import tariffs

ZONE = ZoneInfo("Europe/Berlin")
MONDAY_S = 1_778_450_400
# Monday to Sunday with a holiday (Ascension Day) in it, and the Fridays before both clock changes.
STARTS_S = (MONDAY_S, 1_774_566_000, 1_792_706_400)
HOLIDAYS = {date(2026, 4, 3), date(2026, 4, 6), date(2026, 5, 14), date(2026, 5, 25), date(2026, 11, 1)}
SATURDAY = 5


def minutes_of(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


class Walk:
    """One stay, minute by minute."""

    def __init__(self, data: dict[str, Any], entry_s: int, minutes: int) -> None:
        self.data = data
        self.entry_s = entry_s
        self.minutes = minutes
        self.go(0)
        self.entry = self.now
        self.place: dict[str, list[Any]] = {
            name: [0, 0, Fraction(0)] for name in data["rate"]
        }  # step, times done, part in minutes
        self.period: dict[str, Any] = {}
        self.rest = 0
        self.used: dict[Any, Fraction] = {}
        self.flats: set[Any] = set()
        self.last: tuple[str, int] | None = None
        self.total = Fraction(0)

    def go(self, number: int) -> None:
        """To the so-manyeth minute: elapsed time counts, the clock on the wall says which day and window it is."""
        self.elapsed = number
        self.now = datetime.fromtimestamp(self.entry_s + number * 60, ZONE).replace(tzinfo=None)

    def is_holiday(self, day: date) -> bool:
        return "holidays" in self.data and day in HOLIDAYS

    def running(self, one: dict[str, Any], at: datetime, is_event: bool) -> date | None:
        """The day that the window began on, if it covers this minute."""
        begin, end = minutes_of(one.get("from", "00:00")), minutes_of(one.get("to", "24:00"))
        minute, day = at.hour * 60 + at.minute, at.date()
        days = [day] if begin <= minute and (end <= begin or minute < end) else []
        if end <= begin and minute < end:
            days.append(day - timedelta(days=1))
        for began in days:
            if is_event and (began.weekday() != SATURDAY or self.is_holiday(began)):
                continue
            if one.get("days") == ["holiday"] and not self.is_holiday(began):
                continue
            return began
        return None

    def window(self) -> tuple[dict[str, Any], date]:
        for one in self.data.get("event", ()):
            began = self.running(one, self.now, True)
            if began is not None and not (one.get("only_entered") and self.running(one, self.entry, True) != began):
                return one, began
        found: tuple[dict[str, Any], date] = ({"free": True}, self.now.date())
        given = self.data.get("window")
        if given is None:
            return ({"rate": "a", "name": ""} if "otherwise" not in self.data else {"free": True}), self.now.date()
        for one in given:
            began = self.running(one, self.now, False)
            if began is not None:
                found = one, began
        return found

    def business_day(self) -> date:
        begins = minutes_of(self.data.get("business_day_begins", "00:00"))
        early = self.now.hour * 60 + self.now.minute < begins
        return self.now.date() - timedelta(days=1) if early else self.now.date()

    def periods(self) -> dict[str, Any]:
        return {
            "stay": 0,
            "calendar_day": self.now.date(),
            "business_day": self.business_day(),
            "24h": self.elapsed // 1440,
            "7d": self.elapsed // (7 * 1440),
        }

    def number(self, per: str) -> int:
        """Which day of the stay it is."""
        if per == "calendar_day":
            return (self.now.date() - self.entry.date()).days + 1
        if per == "business_day":
            now, self.now = self.now, self.entry
            first = self.business_day()
            self.now = now
            return (self.business_day() - first).days + 1
        return self.elapsed // 1440 + 1

    def add(self, amount: Fraction, window: dict[str, Any], began: date) -> None:
        keys: list[tuple[int, Any]] = []
        if "max_cents" in window:
            keys.append((window["max_cents"], ("window", window["name"], began)))
        if not window.get("outside_caps"):
            for cap in self.data.get("cap", ()):
                if self.number(cap["per"]) >= cap.get("from_day", 1):
                    keys.append((cap["cents"], (cap["per"], self.periods()[cap["per"]])))
        granted = min([amount, *(max(Fraction(0), most - self.used.get(key, 0)) for most, key in keys)])
        for key in {key for _, key in keys}:
            self.used[key] = self.used.get(key, Fraction(0)) + granted
        self.total += granted

    def rated(self, window: dict[str, Any], began: date, name: str) -> None:
        rate = self.data["rate"][name]
        place = self.place[name]
        edge = self.data.get("at_window_edge", "carry")
        if self.last is not None and self.last != (name, self.elapsed) and edge != "carry":
            self.rest = 0
            for other in self.place.values():
                other[2] = 0
                if edge == "restart":
                    other[0] = other[1] = 0
        period = self.periods()[rate.get("begins_again", "stay")]
        if self.period.setdefault(name, period) != period:
            self.period[name] = period
            self.rest = 0
            place[:] = [0, 0, Fraction(0)]
        self.last = (name, self.elapsed + 1)
        if self.rest:
            self.rest -= 1
            return
        step = rate["steps"][place[0]]
        charge = step.get("charge", "started")
        if charge == "started":
            self.add(Fraction(step["cents"]), window, began)
            self.rest = step["minutes"] - 1
            self.finish(rate, place)
            return
        place[2] += 1
        if charge == "linear":
            self.add(Fraction(step["cents"], step["minutes"]), window, began)
        if place[2] == step["minutes"]:
            if charge == "exact":
                self.add(Fraction(step["cents"]), window, began)
            place[2] = Fraction(0)
            self.finish(rate, place)

    @staticmethod
    def finish(rate: dict[str, Any], place: list[Any]) -> None:
        place[1] += 1
        if place[0] < len(rate["steps"]) - 1 and place[1] >= rate["steps"][place[0]].get("times", 1):
            place[0] += 1
            place[1] = 0

    def priced_minutes(self) -> int:
        count = 0
        for number in range(self.minutes):
            self.go(number)
            count += not self.window()[0].get("free")
        return count

    def run(self) -> Fraction:
        free = self.data.get("free", {"minutes": 0})
        counts = free.get("counts", "stay")
        left = free["minutes"]
        if free.get("when_longer") == "all_charged":
            length = self.minutes if counts == "stay" else self.priced_minutes()
            left = left if length <= left else 0
        until = left
        for number in range(self.minutes):
            self.go(number)
            window, began = self.window()
            if window.get("free"):
                continue
            name = window.get("rate")
            if window.get("free_minutes_apply", True):
                is_free = number < until if counts == "stay" else left > 0
                left -= is_free
                if is_free:
                    if name:
                        self.last = (name, self.elapsed + 1)
                    continue
            if name:
                self.rated(window, began, name)
            elif (window["name"], began) not in self.flats:
                self.flats.add((window["name"], began))
                self.add(Fraction(window["flat_cents"]), window, began)
        return self.cents()

    def cents(self) -> Fraction:
        less = self.total * (100 - self.data.get("percent_off", 0)) / 100
        least = max(less, Fraction(self.data.get("min_cents", 0))) if less > 0 else less
        coin = self.data.get("smallest_coin_cents", 1)
        units = least / coin
        how = self.data.get("rounding", "up")
        whole = {"up": -((-units) // 1), "down": units // 1, "nearest": (units + Fraction(1, 2)) // 1}[how]
        return Fraction(whole * coin)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    tariffs(),
    st.sampled_from(STARTS_S),
    st.integers(0, 4 * 24 * 4).map(lambda number: number * 15 + number % 7),
    st.integers(0, 2 * 1440),
)
def test_a_fee_is_what_walking_through_every_minute_gives(
    data: dict[str, Any], start_s: int, begin: int, minutes: int
) -> None:
    text = json.dumps(data)
    # By the clock on the wall alone, 02:30 is twice in the autumn night; a tariff's edge is the first of them.
    assume(start_s != STARTS_S[2] or "02:30" not in text)
    try:
        tariff = read_tariff(text, is_json=True)
    except TariffError:
        assume(False)
    for one in data.get("event", ()):
        one.setdefault("name", "event 1")
    entry_s = start_s + begin * 60
    slow = Walk(data, entry_s, minutes).run()
    assert cost(Book([tariff], days_of), Stay(entry_s, entry_s + minutes * 60)) == slow


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tariffs(), st.integers(0, 7 * 1440), st.integers(0, 1440), st.integers(1, 300))
def test_a_card_off_the_end_is_a_shorter_stay(data: dict[str, Any], begin: int, minutes: int, worth: int) -> None:
    """Where all time costs and no minute is free, a card at the end is leaving so much earlier."""
    data = {**data, "voucher": {"off": "end"}}
    for key in ("window", "otherwise", "free", "event", "ticket"):
        data.pop(key, None)
    data["rate"] = {"a": data["rate"]["a"]}
    assume(all(step["cents"] for step in data["rate"]["a"]["steps"]))
    try:
        book = Book([read_tariff(json.dumps(data), is_json=True)], days_of)
    except TariffError:
        assume(False)
    entry = MONDAY_S + begin * 60
    less = max(0, minutes - worth)
    with_card = cost(book, Stay(entry, entry + minutes * 60, (Card(MINUTES_CARD, worth),)))
    assert with_card == cost(book, Stay(entry, entry + less * 60))
