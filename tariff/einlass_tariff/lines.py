"""Every line of an account in German and English, with times and numbers, so that it can be checked by hand."""

from collections.abc import Callable
from datetime import datetime

from einlass_tariff import model as m
from einlass_tariff.days import Days
from einlass_tariff.result import Line

PER = {
    m.STAY: ("je Parkvorgang", "a stay"),
    m.CALENDAR_DAY: ("je Kalendertag", "a calendar day"),
    m.BUSINESS_DAY: ("je Geschäftstag", "a business day"),
    m.ROLLING_DAY: ("je 24 Stunden ab Einfahrt", "24 hours from entry"),
    m.ROLLING_WEEK: ("je 7 Tage ab Einfahrt", "7 days from entry"),
}
_ROUNDED = {
    m.UP: ("aufgerundet", "rounded up"),
    m.DOWN: ("abgerundet", "rounded down"),
    m.NEAREST: ("gerundet", "rounded"),
}


def money(cents: int, language: str) -> str:
    """1,50 € in German, 1.50 EUR in English."""
    sign = "-" if cents < 0 else ""
    euros, rest = divmod(abs(cents), 100)
    return f"{sign}{euros},{rest:02d} €" if language == "de" else f"{sign}{euros}.{rest:02d} EUR"


def duration(seconds: int) -> str:
    """1 h 30 min; the same in both languages."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{hours} h"] if hours else []
    if minutes or not (hours or rest):
        parts.append(f"{minutes} min")
    if rest:
        parts.append(f"{rest} s")
    return " ".join(parts)


def explain(line: Line, days: Days) -> tuple[str, str]:
    """The line's words: (German, English)."""
    german, english = _WORDS[line.kind](line)
    if line.to_s <= line.from_s:
        return german, english
    first, last = days.local(line.from_s), days.local(line.to_s)
    has_seconds = bool(first.second or last.second)
    begin, end = _clock(first, has_seconds), _clock(last, has_seconds)
    is_same = (first.year, first.month, first.day) == (last.year, last.month, last.day)
    has_changed = first.utcoffset() != last.utcoffset()
    until_de, until_en = ("", "") if is_same else (f"{_day_de(last)} ", f"{_day_en(last)} ")
    note_de, note_en = (" (Uhrumstellung)", " (clock change)") if has_changed else ("", "")
    return (
        f"{_day_de(first)} {begin}–{until_de}{end}{note_de}: {german}",
        f"{_day_en(first)} {begin}–{until_en}{end}{note_en}: {english}",
    )


# A long account has thousands of lines, and strftime takes ten times as long.


def _clock(when: datetime, has_seconds: bool) -> str:
    return f"{when.hour:02d}:{when.minute:02d}" + (f":{when.second:02d}" if has_seconds else "")


def _day_de(when: datetime) -> str:
    return f"{when.day:02d}.{when.month:02d}."


def _day_en(when: datetime) -> str:
    return f"{when.year}-{when.month:02d}-{when.day:02d}"


def _steps(line: Line) -> tuple[str, str]:
    unit, price = duration(line.unit_s), line.unit_cents
    name = f"{line.name}, " if line.name else ""
    word_de, word_en = {m.STARTED: ("angefangene", "started"), m.EXACT: ("volle", "complete")}[line.kind]
    return (
        f"{name}{line.count} {word_de} × {unit} zu {money(price, 'de')}",
        f"{name}{line.count} {word_en} × {unit} at {money(price, 'en')}",
    )


def _linear(line: Line) -> tuple[str, str]:
    name = f"{line.name}, " if line.name else ""
    took, unit = duration(line.to_s - line.from_s), duration(line.unit_s)
    return (
        f"{name}{took} anteilig, {money(line.unit_cents, 'de')} für {unit}",
        f"{name}{took} in proportion, {money(line.unit_cents, 'en')} for {unit}",
    )


def _flat(line: Line) -> tuple[str, str]:
    name = line.name
    if not line.count:
        return f"{name}, in der Pauschale enthalten", f"{name}, within the flat price"
    return f"{name}, Pauschale", f"{name}, flat price"


def _window_max(line: Line) -> tuple[str, str]:
    most = line.unit_cents
    return f"{line.name}, höchstens {money(most, 'de')}", f"{line.name}, no more than {money(most, 'en')}"


def _cap(line: Line) -> tuple[str, str]:
    german, english = PER[line.name]
    return (
        f"höchstens {money(line.unit_cents, 'de')} {german}",
        f"no more than {money(line.unit_cents, 'en')} {english}",
    )


def _minimum(line: Line) -> tuple[str, str]:
    least = line.unit_cents
    return f"Mindestgebühr {money(least, 'de')}", f"least fee {money(least, 'en')}"


def _rounding(line: Line) -> tuple[str, str]:
    german, english = _ROUNDED[line.name]
    coin = f" ({line.unit_cents} ct)" if line.unit_cents else ""
    return f"{german} auf die kleinste Münze{coin}", f"{english} to the smallest coin{coin}"


def _percent(line: Line) -> tuple[str, str]:
    return f"Ermäßigung {line.count} % ({line.name})", f"{line.count} % less ({line.name})"


def _free(line: Line) -> tuple[str, str]:
    name = line.name or ""
    return (f"{name}, " if name else "") + "gebührenfrei", (f"{name}, " if name else "") + "free of charge"


def _included(line: Line) -> tuple[str, str]:
    name = f"{line.name}, " if line.name else ""
    return f"{name}im Ausweis enthalten", f"{name}included in the pass"


def _fixed(german: str, english: str) -> Callable[[Line], tuple[str, str]]:
    return lambda line: (german.format(line=line), english.format(line=line))


_WORDS: dict[str, Callable[[Line], tuple[str, str]]] = {
    m.STARTED: _steps,
    m.EXACT: _steps,
    m.LINEAR: _linear,
    "flat": _flat,
    "free_time": _free,
    "included": _included,
    "free_minutes": _fixed("freie Zeit zu Beginn", "free time at the start"),
    "free_step": _fixed("kostenlose Stufe", "step without charge"),
    "paid_step": _fixed("Rest einer schon bezahlten Stufe", "rest of a step paid before"),
    "card_time": _fixed("durch Gutschein frei", "free by voucher"),
    "public_code": _fixed("frei durch öffentlichen Code", "free by public code"),
    "ticket_time": _fixed("durch Ticket bezahlt ({line.name})", "paid by ticket ({line.name})"),
    "ticket_price": _fixed("Ticket {line.name}", "ticket {line.name}"),
    "further": _fixed("weitere Zeit, alles zusammen", "further time, all together"),
    "maximum_window": _window_max,
    "maximum_cap": _cap,
    "minimum": _minimum,
    "percent_off": _percent,
    "rounding": _rounding,
    "card_cents": _fixed("Wertgutschein", "voucher in money"),
    "card_percent": _fixed("Gutschein {line.count} %", "voucher {line.count} %"),
    "lost_ticket": _fixed("verlorenes Ticket", "lost ticket"),
    "paid": _fixed("bereits bezahlt", "paid before"),
    "grace": _fixed(
        "Zeit zum Ausfahren nach dem Bezahlen ({line.count} min)", "time to leave after payment ({line.count} min)"
    ),
}
KINDS = tuple(_WORDS)
