"""One climb through a stay: windows, free minutes, cards off the start, steps, flats, maximums, in order of time.

Nothing here looks ahead: what a moment costs depends on what was before it only. So a longer stay never costs less,
and money can be turned into time by looking for the longest stay that it pays.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from einlass_tariff import model as m
from einlass_tariff.ladder import Amount, Ladder
from einlass_tariff.limits import Limits, Reason
from einlass_tariff.result import Line
from einlass_tariff.timetable import DAY_S, Timetable

# (from, to, the timetable in force)
Span = tuple[int, int, Timetable]
# (from, to, kind of line, name): time that is paid for or given otherwise
Gift = tuple[int, int, str, str]
# All that the price of what is still to come depends on, at the begin of a local day and told from there: two climbs
# that are in the same state on days that look alike go on alike (walk.py).
State = tuple[Any, ...]
# In which of the periods after which it begins again a rate is: by number from the entry, by day, or none.
Period = int | date | None
# A rate that begins again when it is next needed.
NOWHERE, OVER = (0, 0, 0), 2


class Climb:
    """What a stay costs before vouchers in money, minimum, rounding and payments."""

    def __init__(
        self,
        plan: Sequence[Span],
        entry_s: int,
        exit_s: int,
        worth_s: int = 0,
        gifts: Sequence[Gift] = (),
        lines_max: int | None = None,
    ):
        """lines_max: it stops when its account is longer; `reached_s` says where."""
        self.plan = plan
        self.entry_s = entry_s
        self.exit_s = exit_s
        self.worth_left_s = worth_s
        self.gifts = sorted(gifts)
        self.reached_s = entry_s
        self._lines_max = lines_max
        self.total: Amount = 0
        self.lines: list[Line] = []
        self.costing: list[tuple[int, int]] = []  # spans of time that cost, for cards off the end
        self.priced_s = 0  # time in windows that are not free
        self.limits = Limits(entry_s)
        self._ladders: dict[tuple[int, str], tuple[Ladder, Period]] = {}
        self._flats: set[tuple[str, int, date]] = set()
        self._cuts: dict[Reason, Line] = {}
        # What was charged when: (from, the total before it, its price, what maximums let through of all of it).
        self._charged: list[tuple[int, Amount, _Price, Amount]] = []
        self._rest_s = 0
        self._rest_costs = True
        self._last: tuple[str, int] | None = None
        self._free_until_s = entry_s
        self._free_left_s = 0

    def run(self, stay_s: int) -> "Climb":
        """Climb. stay_s: the real length of the stay, which decides whether it is a short one."""
        self.begin(stay_s)
        for number, (begin_s, end_s, _) in enumerate(self.plan):
            if self._is_too_long:
                break
            self.over(number, begin_s, end_s)
        return self

    @property
    def _is_too_long(self) -> bool:
        return self._lines_max is not None and len(self.lines) > self._lines_max

    def begin(self, stay_s: int) -> None:
        """Before the first moment."""
        free = self.plan[0][2].tariff.free if self.plan else m.Free()
        if free.seconds:
            self._begin_free(free, stay_s)

    def over(self, number: int, begin_s: int, end_s: int) -> None:
        """From begin to end, within the so-manyeth span of the plan."""
        table = self.plan[number][2]
        for first, last, window, began in table.pieces(begin_s, end_s, self.entry_s):
            while first < last:
                edge = last
                if table.rolls:
                    edge = min(last, self.entry_s + ((first - self.entry_s) // DAY_S + 1) * DAY_S)
                self._ungifted(number, table, first, edge, window, began)
                first = edge
            self.reached_s = last
            if self._is_too_long:
                return

    def state(self, day: date, at_s: int) -> State:
        """The state at the begin of a local day, but for `worth_left_s` and `limits.of_stay`, which only run down."""
        reach = max(span[2].reach_days for span in self.plan)
        ladders = [(key, *self._stand(key, day, at_s)) for key in self._ladders]
        flats = [(name, minute, (day - began).days) for name, minute, began in self._flats]
        last = self._last and (self._last[0] if self._last[1] == at_s else "")
        return (
            tuple(sorted(ladders)),
            (self._rest_s, self._rest_s > 0 and self._rest_costs),
            last,
            (max(0, self._free_until_s - at_s), self._free_left_s),
            frozenset(flat for flat in flats if flat[2] <= reach),
            self.limits.state(day, at_s, reach),
        )

    def resume(self, state: State, day: date, at_s: int) -> "Climb":
        """Go on in this state at the begin of this day. It may be another climb's of the same entry, on another day."""
        ladders, rest, last, free, flats, used = state
        for key, place, ago in ladders:
            number, name = key
            ladder = Ladder(self.plan[number][2].tariff.rates[name])
            ladder.place = place
            self._ladders[key] = (ladder, self._then(key, ago, day, at_s))
        self._rest_s, self._rest_costs = rest
        # A rate of no name is another one than any: so an edge is one where time lies between.
        self._last = None if last is None else (last, at_s)
        free_s, self._free_left_s = free
        self._free_until_s = at_s + free_s
        self._flats = {(name, minute, day - timedelta(days=ago)) for name, minute, ago in flats}
        self.limits.resume(used, day, at_s)
        return self

    def _stand(self, key: tuple[int, str], day: date, at_s: int) -> tuple[tuple[int, int, int], int]:
        """Where a rate stands, and how many periods ago that was; nowhere, where it begins again when it is needed."""
        ladder, period = self._ladders[key]
        if period is None:
            return ladder.place, 0
        ago = (day - period).days if isinstance(period, date) else self._rolled(key, at_s) - period
        again = self.plan[key[0]][2].tariff.rates[key[1]].again
        return (ladder.place, ago) if ago <= (again == m.BUSINESS_DAY) else (NOWHERE, OVER)

    def _then(self, key: tuple[int, str], ago: int, day: date, at_s: int) -> Period:
        again = self.plan[key[0]][2].tariff.rates[key[1]].again
        if again in m.ROLLING:
            return self._rolled(key, at_s) - ago
        return None if again == m.STAY else day - timedelta(days=ago)

    def _rolled(self, key: tuple[int, str], at_s: int) -> int:
        return (at_s - self.entry_s) // m.ROLLING[self.plan[key[0]][2].tariff.rates[key[1]].again]

    def _begin_free(self, free: m.Free, stay_s: int) -> None:
        if free.longer == m.ALL_CHARGED:
            length = stay_s if free.counts == m.FROM_ENTRY else self._priced(stay_s)
            if length > free.seconds:
                return
        if free.counts == m.FROM_ENTRY:
            self._free_until_s = self.entry_s + free.seconds
        else:
            self._free_left_s = free.seconds

    def _priced(self, stay_s: int) -> int:
        """Seconds of the whole stay in time that costs."""
        end = self.entry_s + stay_s
        last = self.plan[-1]
        spans = [*self.plan[:-1], (last[0], max(last[1], end), last[2])]
        return sum(
            piece[1] - piece[0]
            for begin, until, table in spans
            for piece in table.pieces(begin, until, self.entry_s)
            if not piece[2].is_free
        )

    def _ungifted(self, number: int, table: Timetable, first: int, last: int, window: m.Window, began: date) -> None:
        for begin, end, kind, name in self.gifts:
            if end <= first or begin >= last:
                continue
            if first < begin:
                self._piece(number, table, first, begin, window, began)
            first = max(first, begin)
            until = min(last, end)
            self._note(kind, first, until, name)
            self._last = None
            first = until
        if first < last:
            self._piece(number, table, first, last, window, began)

    def _piece(self, number: int, table: Timetable, first: int, last: int, window: m.Window, began: date) -> None:
        if window.is_free:
            self._note("included" if window.included else "free_time", first, last, window.name)
            return
        self.priced_s += last - first
        if window.free_minutes_apply:
            taken = max(0, min(last, self._free_until_s) - first)
            if self._free_left_s:
                taken = min(self._free_left_s, last - first)
                self._free_left_s -= taken
            if taken:
                self._note("free_minutes", first, first + taken, "")
                first += taken
                self._last = (window.rate, first) if window.rate else self._last
        if first >= last:
            return
        if window.flat_cents is not None:
            self._flat(table, first, last, window, began)
        else:
            self._rated(number, table, first, last, window, began)
            self._last = (window.rate, last)

    def _flat(self, table: Timetable, first: int, last: int, window: m.Window, began: date) -> None:
        self._cost(first, last)
        key = (window.name, window.from_minute, began)
        if key in self._flats:
            self._note("flat", first, last, window.name)
            return
        covered = min(self.worth_left_s, last - first)
        if covered:
            self.worth_left_s -= covered
            self._note("card_time", first, first + covered, "")
            first += covered
        if first < last:
            self._flats.add(key)
            assert window.flat_cents is not None
            line = Line("flat", window.flat_cents, first, last, 1, 0, window.flat_cents, window.name)
            self._add(table, line, window, began)

    def _rated(self, number: int, table: Timetable, first: int, last: int, window: m.Window, began: date) -> None:
        ladder = self._ladder(number, table, first, window)
        if self._rest_s:
            used = min(self._rest_s, last - first)
            self._rest_s -= used
            if self._rest_costs:
                self._cost(first, first + used)
            self._stretch(first, first + used)
            first += used
        if first < last and self.worth_left_s:
            used, worth = ladder.skip(last - first, self.worth_left_s)
            self.worth_left_s -= worth
            free = used - worth
            # What costs nothing anyhow comes first: a card is not used for it.
            if free:
                self._note("free_step", first, first + free, "")
            if worth:
                self._cost(first + free, first + used)
                self._note("card_time", first + free, first + used, "")
            first += used
        if first >= last:
            return
        charges, rest = ladder.charge(last - first)
        for step, count, used, amount, part_s in charges:
            until = first + used
            if step.cents:
                self._cost(first, until)
            line = Line(step.charge, amount, first, until, count, step.seconds, step.cents, window.name)
            if step.cents == 0:
                line.kind = "free_step"
            self._add(table, line, window, began, (step.charge, step.seconds, step.cents, part_s))
            first = until
        self._rest_s = rest
        self._rest_costs = charges[-1][0].cents > 0

    def _ladder(self, number: int, table: Timetable, first: int, window: m.Window) -> Ladder:
        rate = table.tariff.rates[window.rate]
        key = (number, window.rate)
        held = self._ladders.get(key)
        if held is None:
            held = self._ladders[key] = (Ladder(rate), self._period(table, rate, first))
        ladder, period = held
        # Same rate, no time between: the edge is one on paper only.
        if self._last is not None and self._last != (window.rate, first):
            self._edge(table)
        if rate.again != m.STAY:
            now = self._period(table, rate, first)
            if period != now:
                self._ladders[key] = (ladder, now)
                ladder.reset()
                self._rest_s = 0
        return ladder

    def _edge(self, table: Timetable) -> None:
        how = table.tariff.at_window_edge
        if how == m.CARRY:
            return
        self._rest_s = 0
        for ladder, _ in self._ladders.values():
            if how == m.RESTART:
                ladder.reset()
            else:
                ladder.drop_part()

    def _period(self, table: Timetable, rate: m.Rate, at_s: int) -> Period:
        if rate.again == m.CALENDAR_DAY:
            return table.days.day(at_s)
        if rate.again == m.BUSINESS_DAY:
            return table.business_day(at_s)
        if rate.again in m.ROLLING:
            return (at_s - self.entry_s) // m.ROLLING[rate.again]
        return None

    def _cost(self, first: int, last: int) -> None:
        if self.costing and self.costing[-1][1] == first:
            self.costing[-1] = (self.costing[-1][0], last)
        else:
            self.costing.append((first, last))

    def total_at(self, exit_s: int) -> Amount:
        """What a climb that ends earlier comes to: nothing depends on what comes later."""
        place = bisect_left(self._charged, exit_s, key=lambda one: one[0])
        if not place:
            return 0
        from_s, before, price, granted = self._charged[place - 1]
        return before + min(_so_far(price, exit_s - from_s), granted)

    def _add(self, table: Timetable, line: Line, window: m.Window, began: date, price: "_Price | None" = None) -> None:
        granted, reason = self.limits.let_through(table, line.amount, line.from_s, window, began)
        self._charged.append((line.from_s, self.total, price or ("flat", 1, line.unit_cents, 0), granted))
        held = self.lines[-1] if self.lines else None
        if (
            held is not None
            and (held.kind, held.unit_s, held.unit_cents, held.name, held.to_s)
            == (line.kind, line.unit_s, line.unit_cents, line.name, line.from_s)
            and line.kind != "flat"
        ):
            held.amount += line.amount
            held.count += line.count
            held.to_s = line.to_s
        else:
            self.lines.append(line)
        self.total += granted
        if reason is not None and granted != line.amount:
            cut = granted - line.amount
            known = self._cuts.get(reason)
            if known is None:
                known = self._cuts[reason] = Line(
                    "maximum_" + reason[0], 0, line.from_s, line.to_s, 0, 0, reason[2], reason[1]
                )
            known.amount += cut
            known.to_s = line.to_s

    def _note(self, kind: str, first: int, last: int, name: str) -> None:
        held = self.lines[-1] if self.lines else None
        if held is not None and (held.kind, held.name, held.to_s) == (kind, name, first):
            held.to_s = last
        else:
            self.lines.append(Line(kind, 0, first, last, name=name))

    def _stretch(self, first: int, last: int) -> None:
        """Time of a step that is paid already: the line it belongs to says so, where it goes on at once."""
        held = self.lines[-1] if self.lines else None
        if held is not None and held.to_s == first and held.unit_s:
            held.to_s = last
        else:
            self._note("paid_step", first, last, "")

    @property
    def all_lines(self) -> list[Line]:
        """The lines with what maximums took off below them; their exact amounts add up to `total`."""
        return [*self.lines, *self._cuts.values()]


# (how a step is charged or "flat", its seconds, its cents, seconds of the first one that were used before)
_Price = tuple[str, int, int, int]


def _so_far(price: _Price, seconds: int) -> Amount:
    """The price of the first so many seconds of steps of one kind."""
    charge, unit_s, cents, part_s = price
    if charge == m.STARTED:
        return -(-seconds // unit_s) * cents
    if charge == m.EXACT:
        return (part_s + seconds) // unit_s * cents
    if charge == m.LINEAR:
        return Fraction(cents * seconds, unit_s)
    return cents


def whole(amount: Amount, coin_cents: int, how: str) -> int:
    """An amount as a multiple of the smallest coin."""
    units = Fraction(amount) / coin_cents if not isinstance(amount, int) or amount % coin_cents else None
    if units is None:
        return int(amount)
    if how == m.UP:
        return -(-units.numerator // units.denominator) * coin_cents
    if how == m.DOWN:
        return units.numerator // units.denominator * coin_cents
    return int((units + Fraction(1, 2)) // 1) * coin_cents
