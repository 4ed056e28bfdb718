"""One climb through a stay: windows, free minutes, cards off the start, steps, flats, maximums, in order of time.

Nothing here looks ahead: what a moment costs depends on what was before it only. So a longer stay never costs less,
and money can be turned into time by looking for the longest stay that it pays.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction

from einlass_tariff import model as m
from einlass_tariff.ladder import Amount, Ladder
from einlass_tariff.limits import Limits, Reason
from einlass_tariff.result import Line
from einlass_tariff.timetable import DAY_S, Timetable

# (from, to, the timetable in force)
Span = tuple[int, int, Timetable]
# (from, to, kind of line, name): time that is paid for or given otherwise
Gift = tuple[int, int, str, str]
# What is still to come of a stay, by the day and by all that it depends on: two climbs that meet go on alike.
Tails = dict[object, Amount]
# In the first days a climb is compared with others every day, later once a week.
DAILY_DAYS = 7


class Climb:
    """What a stay costs before vouchers in money, minimum, rounding and payments."""

    def __init__(
        self,
        plan: Sequence[Span],
        entry_s: int,
        exit_s: int,
        worth_s: int = 0,
        gifts: Sequence[Gift] = (),
        tails: Tails | None = None,
    ):
        """tails: what other climbs of the same stay found out; then only `total` is right."""
        self.plan = plan
        self.entry_s = entry_s
        self.exit_s = exit_s
        self.worth_left_s = worth_s
        self.gifts = sorted(gifts)
        self.total: Amount = 0
        self.lines: list[Line] = []
        self.costing: list[tuple[int, int]] = []  # spans of time that cost, for cards off the end
        self.priced_s = 0  # time in windows that are not free
        self._limits = Limits(entry_s)
        self._ladders: dict[tuple[int, str], tuple[Ladder, list[object]]] = {}
        self._flats: set[tuple[str, int, date]] = set()
        self._cuts: dict[Reason, Line] = {}
        # What was charged when: (from, the total before it, its price, what maximums let through of all of it).
        self._charged: list[tuple[int, Amount, _Price, Amount]] = []
        self._rest_s = 0
        self._rest_costs = True
        self._last: tuple[str, int] | None = None
        self._free_until_s = entry_s
        self._free_left_s = 0
        self.pieces = 0  # so many were climbed
        self._tails = tails if len(plan) == 1 else None
        self._met: list[tuple[object, Amount]] = []

    def run(self, stay_s: int) -> "Climb":
        """Climb. stay_s: the real length of the stay, which decides whether it is a short one."""
        free = self.plan[0][2].tariff.free if self.plan else m.Free()
        if free.seconds:
            self._begin_free(free, stay_s)
        for number, (begin_s, end_s, table) in enumerate(self.plan):
            check_s = self._next_check(table, begin_s)
            for first, last, window, began in table.pieces(begin_s, end_s, self.entry_s):
                if self._tails is not None and first >= check_s:
                    check_s = self._next_check(table, first)
                    if self._meets(table, first):
                        break
                self.pieces += 1
                while first < last:
                    edge = last
                    if table.rolls:
                        edge = min(last, self.entry_s + ((first - self.entry_s) // DAY_S + 1) * DAY_S)
                    self._ungifted(number, table, first, edge, window, began)
                    first = edge
        if self._tails is not None:
            for state, before in self._met:
                self._tails[state] = self.total - before
        return self

    def _next_check(self, table: Timetable, at_s: int) -> int:
        if self._tails is None:
            return 0
        day = table.days.day(at_s) + timedelta(days=1)
        if (day - table.days.day(self.entry_s)).days > DAILY_DAYS:
            day += timedelta(days=-day.toordinal() % DAILY_DAYS)
        return table.days.instant(day)

    def _meets(self, table: Timetable, at_s: int) -> bool:
        """Whether another climb was here in the same state: then what is still to come is known."""
        assert self._tails is not None
        if self.worth_left_s:
            return False
        day, reach = table.days.day(at_s), table.reach_days
        state = (
            at_s,
            tuple((key, ladder.place, period[0]) for key, (ladder, period) in sorted(self._ladders.items())),
            (self._rest_s, self._rest_s and self._rest_costs, self._last),
            (max(0, self._free_until_s - at_s), self._free_left_s),
            frozenset(flat for flat in self._flats if (day - flat[2]).days <= reach),
            self._limits.open_on(day, at_s, reach),
        )
        known = self._tails.get(state)
        if known is None:
            self._met.append((state, self.total))
            return False
        self.total += known
        return True

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
            held = self._ladders[key] = (Ladder(rate), [self._period(table, rate, first)])
        ladder, period = held
        # Same rate, no time between: the edge is one on paper only.
        if self._last is not None and self._last != (window.rate, first):
            self._edge(table)
        if rate.again != m.STAY:
            now = self._period(table, rate, first)
            if period[0] != now:
                period[0] = now
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

    def _period(self, table: Timetable, rate: m.Rate, at_s: int) -> object:
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
        granted, reason = self._limits.let_through(table, line.amount, line.from_s, window, began)
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
