"""Long stays, day by day: a day that looks like an earlier one and is begun in the same state costs the same.

What a day costs and how it leaves the stay is worked out once for each look and state, also for stays of the same entry
with other vouchers. So a stay of years is some hundred numbers added up, to the same cents as by climbing through it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from einlass_tariff import model as m
from einlass_tariff.engine import Climb, Gift, Span, State
from einlass_tariff.ladder import Amount
from einlass_tariff.timetable import DAY_S, Timetable

# A shorter stay is climbed at once.
WALK_DAYS_MIN = 4
WEEK_S = m.ROLLING[m.ROLLING_WEEK]


@dataclass(slots=True)
class Day:
    """A local day of one span of the plan. look: what tells it from others for a stay that began at that entry."""

    day: date
    begin_s: int
    end_s: int
    look: object


@dataclass(frozen=True, slots=True)
class Step:
    """What a whole day comes to. costing: what costs, told from its begin; then: the state it ends in, by number."""

    cents: Amount
    costing: tuple[tuple[int, int], ...]
    priced_s: int
    then: int


class Ways:
    """What is known of days by all walks that begin at one entry and have the same timetables."""

    def __init__(self, entry_s: int) -> None:
        self.entry_s = entry_s
        self.steps: dict[tuple[object, int], Step] = {}
        self._numbers: dict[State, int] = {}
        self._states: list[State] = []
        self._days: dict[tuple[int, date], Day] = {}

    def number_of(self, state: State) -> int:
        """A number for a state."""
        found = self._numbers.get(state)
        if found is None:
            found = self._numbers[state] = len(self._states)
            self._states.append(state)
        return found

    def state(self, number: int) -> State:
        """The state of that number."""
        return self._states[number]

    def day(self, number: int, table: Timetable, day: date) -> Day:
        """A day of the so-manyeth span, priced by this timetable."""
        found = self._days.get((number, day))
        if found is None:
            begin_s, end_s = table.days.instant(day), table.days.instant(day, 1440)
            look = (number, table.shape(day), self._phase(table, day, begin_s))
            found = self._days[number, day] = Day(day, begin_s, end_s, look)
        return found

    def _phase(self, table: Timetable, day: date, begin_s: int) -> object:
        """Where the day lies in what counts from the entry: 24 hours, 7 days, the first days of the stay."""
        if not table.rolls:
            return None
        since_s = begin_s - self.entry_s
        first = max((cap.from_day for cap in table.tariff.caps), default=1) + 1
        days = (day - table.days.day(self.entry_s)).days
        return (
            since_s % WEEK_S if table.rolls_weekly else since_s % DAY_S,
            min(since_s // DAY_S, first),
            min(days, first),
        )


class Walk:
    """As Climb, for long stays and without the account's lines."""

    def __init__(
        self, ways: Ways, plan: Sequence[Span], stay_s: int, worth_s: int = 0, gifts: Sequence[Gift] = ()
    ) -> None:
        """stay_s: the real length of the stay, of which the plan may be the first part."""
        self._ways, self._plan, self._gifts = ways, plan, gifts
        self.total: Amount = 0
        self.priced_s = 0
        self._costing: list[tuple[int, Sequence[tuple[int, int]]]] = []
        climb = Climb(plan, ways.entry_s, plan[-1][1], worth_s, gifts)
        climb.begin(stay_s)
        for number, (begin_s, end_s, table) in enumerate(plan):
            climb = self._over(climb, number, table, begin_s, end_s)
        self.worth_left_s = climb.worth_left_s

    @property
    def costing(self) -> list[tuple[int, int]]:
        """Spans of time that cost, for cards off the end."""
        return [(at_s + begin, at_s + end) for at_s, spans in self._costing for begin, end in spans]

    def _over(self, climb: Climb, number: int, table: Timetable, begin_s: int, end_s: int) -> Climb:
        ways = self._ways
        special_s = table.special_until(ways.entry_s)
        at_s, date_ = begin_s, table.days.day(begin_s)
        state: int | None = None  # the number of the state here, if `climb` is not
        while at_s < end_s:
            day = ways.day(number, table, date_)
            is_whole = at_s == day.begin_s >= special_s and day.end_s <= end_s
            # While cards take time off no two days begin alike.
            is_own = state is None and climb.worth_left_s > 0
            if is_whole and not is_own and not self._is_gifted(day):
                if state is None:
                    state = ways.number_of(climb.state(date_, at_s))
                step = ways.steps.get((day.look, state))
                if step is None:
                    step = ways.steps[day.look, state] = self._step(number, day, state)
                self.total += step.cents
                self.priced_s += step.priced_s
                self._costing.append((at_s, step.costing))
                state = step.then
            else:
                if state is not None:
                    climb = self._at(state, day)
                    state = None
                self._directly(climb, number, at_s, min(day.end_s, end_s))
            at_s = day.end_s
            date_ += timedelta(days=1)
        return climb if state is None else self._at(state, ways.day(number, table, date_))

    def _is_gifted(self, day: Day) -> bool:
        return any(begin < day.end_s and end > day.begin_s for begin, end, _, _ in self._gifts)

    def _at(self, state: int, day: Day) -> Climb:
        """A climb that is in this state at the begin of this day."""
        climb = Climb(self._plan, self._ways.entry_s, self._plan[-1][1], 0, self._gifts)
        return climb.resume(self._ways.state(state), day.day, day.begin_s)

    def _step(self, number: int, day: Day, state: int) -> Step:
        climb = self._at(state, day)
        climb.over(number, day.begin_s, day.end_s)
        spans = tuple((first - day.begin_s, last - day.begin_s) for first, last in climb.costing)
        then = self._ways.number_of(climb.state(day.day + timedelta(days=1), day.end_s))
        return Step(climb.total, spans, climb.priced_s, then)

    def _directly(self, climb: Climb, number: int, begin_s: int, end_s: int) -> None:
        climb.total, climb.priced_s, climb.costing = 0, 0, []
        climb.over(number, begin_s, end_s)
        self.total += climb.total
        self.priced_s += climb.priced_s
        self._costing.append((0, climb.costing))
