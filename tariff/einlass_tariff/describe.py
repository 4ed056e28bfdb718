"""A tariff in words, German or English, so that a council reads what a machine will charge."""

from collections.abc import Iterator
from datetime import date

from einlass_tariff import model as m
from einlass_tariff.lines import PER, duration, money
from einlass_tariff.words import clock, days_text


def describe(tariff: m.Tariff, language: str) -> list[str]:
    """One sentence a line; language "de" or "en"."""
    return list(_Words(language == "de").all(tariff))


# A year that has all days, for those of every year.
_LEAP = 2024


class _Words:
    def __init__(self, german: bool) -> None:
        self.german = german
        self.language = "de" if german else "en"

    def say(self, german: str, english: str) -> str:
        return german if self.german else english

    def money(self, cents: int) -> str:
        return money(cents, self.language)

    def all(self, tariff: m.Tariff) -> Iterator[str]:
        start = tariff.valid_from
        when = start.strftime("%d.%m.%Y" if self.german else "%Y-%m-%d")
        yield self.say(f"{tariff.title}, gültig ab {when}", f"{tariff.title}, valid from {when}")
        yield from self._prices(tariff)
        for name, ticket in tariff.tickets.items():
            until = self.say("bis", "until") + " " + clock(ticket.until_minute)
            span = duration(ticket.seconds) if ticket.seconds else until
            if ticket.to_end_of:
                ends = {m.WEEK: ("der Woche", "the week"), m.MONTH: ("des Monats", "the month")}
                german, english = ends.get(ticket.to_end_of, ("des Jahres", "the year"))
                span = self.say(f"bis zum Ende {german}", f"to the end of {english}")
            yield self.say("Ticket", "Ticket") + f" {name}: {self.money(ticket.cents)} ({span})"
        voucher = tariff.voucher
        end = self.say("am Anfang", "at the start") if voucher.off == m.START else self.say("am Ende", "at the end")
        worth = duration(voucher.seconds)
        yield self.say(f"Gutschein: {worth}, abgezogen {end}", f"Voucher: {worth}, taken off {end}")
        if tariff.grace_s:
            grace = duration(tariff.grace_s)
            yield self.say(f"Zeit zum Ausfahren: {grace}", f"Time to leave after payment: {grace}")
        if tariff.lost_ticket_cents is not None:
            lost = self.money(tariff.lost_ticket_cents)
            yield self.say(f"Verlorenes Ticket: {lost}", f"Lost ticket: {lost}")
        for name, held in tariff.passes.items():
            yield self.say(f"Mit Ausweis {name}:", f"With pass {name}:")
            yield from ("  " + line for line in self._prices(held))

    def _prices(self, tariff: m.Tariff) -> Iterator[str]:
        if tariff.free.seconds:
            free = duration(tariff.free.seconds)
            if tariff.free.longer == m.STILL_FREE:
                yield self.say(f"Die ersten {free} sind frei.", f"The first {free} are free.")
            else:
                yield self.say(f"Bis {free} frei, länger ab Beginn.", f"Free up to {free}, longer pays from the start.")
        for rate in tariff.rates.values():
            yield f"{rate.name}: " + ", ".join(self._step(step, rate.steps[-1] is step) for step in rate.steps)
        for window in tariff.windows:
            yield self._window(window, tariff)
        if tariff.otherwise_free:
            yield self.say("Sonst frei.", "Otherwise free.")
        for cap in tariff.caps:
            per = PER[cap.per][0 if self.german else 1]
            days = "" if cap.kinds == m.ALL_KINDS else f" ({days_text(cap.kinds, self.language)})"
            if cap.from_day > 1:
                days += self.say(f" ab dem {cap.from_day}. Tag", f" from day {cap.from_day} on")
            most = self.money(cap.cents)
            yield self.say(f"Höchstens {most} {per}{days}.", f"No more than {most} {per}{days}.")
        if tariff.min_cents:
            least = self.money(tariff.min_cents)
            yield self.say(f"Mindestens {least}.", f"At least {least}.")
        if tariff.max_stay.seconds:
            most = duration(tariff.max_stay.seconds)
            yield self.say(f"Höchstparkdauer {most}.", f"Longest stay {most}.")
        if tariff.percent_off:
            yield self.say(f"{tariff.percent_off} % Ermäßigung.", f"{tariff.percent_off} % less.")

    def _step(self, step: m.Step, is_last: bool) -> str:
        how = {
            m.STARTED: ("je angefangene", "per started"),
            m.EXACT: ("je volle", "per complete"),
            m.LINEAR: ("anteilig je", "in proportion per"),
        }[step.charge][0 if self.german else 1]
        times = "" if is_last else (f"{step.times} × " if step.times > 1 else self.say("einmal ", "once "))
        return f"{times}{self.money(step.cents)} {how} {duration(step.seconds)}"

    def _dates(self, dates: frozenset[date | tuple[int, int]]) -> str:
        """Days, those that follow each other as a span."""
        spans: list[list[date]] = []
        every = [date(_LEAP, *day) for day in dates if isinstance(day, tuple)]
        for day in sorted(every) + sorted(day for day in dates if isinstance(day, date)):
            if spans and (day - spans[-1][-1]).days == 1 and (day in every) == (spans[-1][-1] in every):
                spans[-1].append(day)
            else:
                spans.append([day])
        to = self.say(" bis ", " to ")
        return ", ".join(to.join(self._date(day, every) for day in dict.fromkeys((one[0], one[-1]))) for one in spans)

    def _date(self, day: date, every: list[date]) -> str:
        if self.german:
            return f"{day:%d.%m.}" if day in every else f"{day:%d.%m.%Y}"
        return f"{day:%m-%d}" if day in every else day.isoformat()

    def _window(self, window: m.Window, tariff: m.Tariff) -> str:
        days = self._dates(window.dates) or days_text(window.kinds, self.language)
        later = f" (+{window.days_later})" if window.days_later > 1 else ""
        span = f"{days} {clock(window.from_minute)}-{clock(window.to_minute)}{later}"
        if window.season:
            begins, ends = (tariff.seasons[window.season].begins, tariff.seasons[window.season].ends)
            span += f", {window.season} ({begins[0]:02d}-{begins[1]:02d} – {ends[0]:02d}-{ends[1]:02d})"
        if window.flat_cents is not None:
            price = self.say("pauschal ", "flat ") + self.money(window.flat_cents)
        elif window.rate:
            price = window.rate
        elif window.included:
            price = self.say("im Ausweis enthalten", "included in the pass")
        else:
            price = self.say("frei", "free")
        if window.max_cents is not None:
            price += self.say(", höchstens ", ", no more than ") + self.money(window.max_cents)
        if window.only_entered:
            price += self.say(" (nur bei Einfahrt in dieser Zeit)", " (only for those who come then)")
        name = f"{window.name}: " if window.name else ""
        return f"{name}{span}: {price}"
