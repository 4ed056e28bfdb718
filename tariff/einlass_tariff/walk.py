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
WALK_DAYS_MIN = 3
WEEK_S = m.ROLLING[m.ROLLING_WEEK]
# Cards of more than this take off all of a day, however much they are worth.
PLENTY_S = 2 * DAY_S
# More room than a maximum for the whole stay has; then it cuts nothing off.
PLENTY_CENTS = 10**15


Key = tuple[object, int, int, Amount | None]


@dataclass(slots=True)
class Day:
    """A local day of one span of the plan. look: what tells it from others for a stay that began at that entry."""

    day: date
    begin_s: int
    end_s: int
    look: object


@dataclass(frozen=True, slots=True)
class Step:
    """What a whole day comes to. worth_s: of cards, that it uses up; costing: what costs, told from its begin.

    of_stay: what it uses of maximums for the whole stay; then: the state it ends in, by number.
    """

    cents: Amount
    worth_s: int
    of_stay: Amount
    costing: tuple[tuple[int, int], ...]
    priced_s: int
    then: int


class Ways:
    """What is known of days by all walks that begin at one entry and have the same timetables."""

    def __init__(self, entry_s: int) -> None:
        self.entry_s = entry_s
        # By look, state, what cards are still worth, and what is used of the whole stay's maximums, if one is reached.
        self.steps: dict[Key, Step] = {}
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
            look = (number, table.shape(day), self._phase(table, begin_s))
            found = self._days[number, day] = Day(day, begin_s, end_s, look)
        return found

    def _phase(self, table: Timetable, begin_s: int) -> object:
        """Where the day lies in what counts from the entry: 24 hours, 7 days, the first days of the stay."""
        if not table.rolls:
            return None
        since_s = begin_s - self.entry_s
        first = max((cap.from_day for cap in table.tariff.caps), default=1) + 1
        return since_s % (WEEK_S if table.rolls_weekly else DAY_S), min(since_s // DAY_S, first)


class Walk:
    """As Climb, for long stays and without the account's lines."""

    def __init__(
        self, ways: Ways, plan: Sequence[Span], stay_s: int, worth_s: int = 0, gifts: Sequence[Gift] = ()
    ) -> None:
        """stay_s: the real length of the stay, of which the plan may be the first part."""
        self._ways, self._plan, self._gifts = ways, plan, gifts
        self.total: Amount = 0
        self.worth_left_s = worth_s
        self.priced_s = 0
        self._of_stay: Amount = 0
        self._steps: list[tuple[int, Step]] = []
        at_s, days = ways.entry_s, plan[0][2].days
        first = Climb(plan, at_s, at_s)
        first.begin(stay_s)
        state = ways.number_of(first.state(days.day(at_s), at_s))
        for number, (begin_s, end_s, table) in enumerate(plan):
            state = self._over(state, number, table, begin_s, end_s)

    @property
    def costing(self) -> list[tuple[int, int]]:
        """Spans of time that cost, for cards off the end."""
        return [(at_s + begin, at_s + end) for at_s, step in self._steps for begin, end in step.costing]

    def _over(self, state: int, number: int, table: Timetable, begin_s: int, end_s: int) -> int:
        ways, steps = self._ways, self._ways.steps
        special_s = table.special_until(ways.entry_s)
        at_s, date_ = begin_s, table.days.day(begin_s)
        while at_s < end_s:
            day = ways.day(number, table, date_)
            until_s = min(day.end_s, end_s)
            look = day.look
            gifts = [gift for gift in self._gifts if gift[0] < until_s and gift[1] > at_s] if self._gifts else ()
            if gifts or at_s != day.begin_s or until_s != day.end_s or at_s < special_s:
                look = (number, at_s, until_s, *gifts)  # like no other day
            part = (state, number, date_, at_s, until_s)
            worth_s = min(self.worth_left_s, PLENTY_S)
            key: Key = (look, state, worth_s, None)
            step = steps.get(key)
            if step is None:
                step = steps[key] = self._step(-PLENTY_CENTS, *part)
            if table.stay_cents is not None and self._of_stay + step.of_stay > table.stay_cents:
                key = (look, state, worth_s, self._of_stay)
                step = steps.get(key)
                if step is None:
                    step = steps[key] = self._step(self._of_stay, *part)
            self._of_stay += step.of_stay
            self.total += step.cents
            self.worth_left_s -= step.worth_s
            self.priced_s += step.priced_s
            self._steps.append((at_s, step))
            state = step.then
            at_s = until_s
            if until_s == day.end_s:
                date_ += timedelta(days=1)
        return state

    def _step(self, of_stay: Amount, state: int, number: int, day: date, begin_s: int, end_s: int) -> Step:
        """What this part of a day comes to, and how it goes on. of_stay: used of maximums for the whole stay."""
        worth_s = min(self.worth_left_s, PLENTY_S)
        climb = Climb(self._plan, self._ways.entry_s, end_s, worth_s, self._gifts)
        climb.limits.of_stay = of_stay
        climb.resume(self._ways.state(state), day, begin_s).over(number, begin_s, end_s)
        spans = tuple((first - begin_s, last - begin_s) for first, last in climb.costing)
        then = self._ways.number_of(climb.state(climb.plan[number][2].days.day(end_s), end_s))
        worth_s -= climb.worth_left_s
        return Step(climb.total, worth_s, climb.limits.of_stay - of_stay, spans, climb.priced_s, then)
