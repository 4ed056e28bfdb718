"""Text to tariff: TOML or JSON, checked against the keys, then against sense. All problems at once, with lines."""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from einlass_tariff import model as m
from einlass_tariff.checks import sense
from einlass_tariff.fields import read_table
from einlass_tariff.keys import GERMANY, STATES_OF, TARIFF
from einlass_tariff.places import line_of
from einlass_tariff.problems import Problem, TariffError
from einlass_tariff.windows import read_windows

TEXT_MAX = 200_000
DIGEST_HEX = 16
_PLACE = re.compile(r"line (?P<line>\d{1,6})[, ]+column \d+")


def read_tariff(text: str, is_json: bool = False) -> m.Tariff:
    """The tariff in a text. TariffError with all that is wrong."""
    data = _parse(text, is_json)
    found: list[Problem] = []
    values = read_table(TARIFF, data, "", found)
    if not found:
        tariff = build(values, _digest(data), found)
        if not found:
            sense(tariff, found)
            for one in tariff.passes.values():
                sense(one, found, f"pass.{one.pass_name}.")
        if not found:
            return tariff
    placed = [replace(one, line=0 if is_json else line_of(text, one.path)) for one in found]
    raise TariffError(sorted(placed, key=lambda one: one.line))


def _parse(text: str, is_json: bool) -> dict[str, Any]:
    if len(text) > TEXT_MAX:
        raise TariffError(
            [
                Problem(
                    "",
                    f"the text has {len(text)} characters; {TEXT_MAX} at most",
                    f"Der Text hat {len(text)} Zeichen; höchstens {TEXT_MAX}",
                )
            ]
        )
    text = text.removeprefix("\ufeff")  # some editors begin every text with this sign
    if not text.strip():
        raise TariffError(
            [
                Problem(
                    "",
                    'the text is empty; begin with tariff = "a-name", valid_from = 2026-01-01 and a [rate.hour]',
                    'Der Text ist leer; er beginnt mit tariff = "ein-name", valid_from = 2026-01-01 und [rate.stunde]',
                )
            ]
        )
    try:
        data = json.loads(text) if is_json else tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # both parsers' errors are ValueErrors and name line and column
        raise TariffError([unparsed(str(error), "JSON" if is_json else "TOML")]) from error
    if not isinstance(data, dict):
        raise TariffError(
            [
                Problem(
                    "",
                    "must be a table of keys, like tariff, valid_from, rate",
                    "muss eine Tabelle mit Schlüsseln sein, wie tariff, valid_from, rate",
                )
            ]
        )
    return data


def unparsed(said: str, kind: str) -> Problem:
    """What a parser says about a text that is no TOML or JSON, with what is meant by it mostly."""
    hint, hint_de = "", ""
    if kind == "TOML":
        hint = '; texts, days and times stand in quotes ("08:00"), a list in [ ]'
        hint_de = '; Texte, Tage und Uhrzeiten stehen in Anführungszeichen ("08:00"), eine Liste in [ ]'
        if "Invalid date" in said:
            hint = '; a date must exist (2026-02-28), and a time of day stands in quotes ("08:00")'
            hint_de = '; ein Datum muss es geben (2026-02-28), und eine Uhrzeit steht in Anführungszeichen ("08:00")'
        elif "overwrite" in said or "twice" in said or "already" in said:
            hint = "; a key or [section] may be there once; several windows are [[window]] each"
            hint_de = "; ein Schlüssel oder [Abschnitt] darf nur einmal da sein; mehrere Fenster sind je ein [[window]]"
    where = _PLACE.search(said)
    line = int(where["line"]) if where else 0
    place_de = f" (Zeile {line})" if line else ""
    return Problem("", f"is no {kind}: {said}{hint}", f"ist kein {kind}{place_de}: {said}{hint_de}", line)


def _digest(data: Mapping[str, Any]) -> str:
    canonical = json.dumps(data, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_HEX]


def build(values: dict[str, Any], digest: str, found: list[Problem]) -> m.Tariff:
    """A tariff from values that read_table let through; passes inherit what they do not have of their own."""
    common: dict[str, Any] = {
        "name": values["tariff"],
        "title": values.get("title", values["tariff"]),
        "valid_from": values["valid_from"],
        "digest": digest,
        "business_day_minute": values.get("business_day_begins", 0) % 1440,
        "grace_s": values.get("grace_minutes", 0) * 60,
        "seasons": {
            name: m.Season(name, season["from"], season["to"]) for name, season in values.get("season", {}).items()
        },
        "tickets": {
            name: _ticket(name, given, found) for name, given in values.get("ticket", {}).items() if "cents" in given
        },
        "voucher": _voucher(values.get("voucher", {})),
        "holidays": _holidays(values.get("holidays", {}), found),
    }
    for name in (
        "time_zone", "model", "stay_across", "at_window_edge", "smallest_coin_cents", "rounding",
        "lost_ticket_cents", "machine_max_cents",
    ):  # fmt: skip
        if name in values:
            common[name] = values[name]
    own = {name: values[name] for name in values if name not in ("pass",)}
    passes = {}
    for name, given in values.get("pass", {}).items():
        prices = _prices(_inherited(own, given), found, f"pass.{name}.")
        passes[name] = m.Tariff(**common, **prices, pass_name=name)
    return m.Tariff(**common, **_prices(own, found, ""), passes=passes)


def _inherited(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**own, **given}
    if "rate" in given:
        merged["rate"] = {**own.get("rate", {}), **given["rate"]}
        if "window" not in given and "window" not in own and len(given["rate"]) == 1:
            merged["rate"] = given["rate"]
    return merged


def _prices(values: Mapping[str, Any], found: list[Problem], path: str) -> dict[str, Any]:
    rates = {name: _rate(name, given, found, f"{path}rate.{name}") for name, given in values.get("rate", {}).items()}
    free = values.get("free", {})
    stay = values.get("max_stay", {})
    return {
        "rates": rates,
        "otherwise_free": values.get("otherwise") == "free",
        "windows": tuple(read_windows(values, rates, found, path)),
        "min_cents": values.get("min_cents", 0),
        "percent_off": values.get("percent_off", 0),
        "free": m.Free(
            free.get("minutes", 0) * 60, free.get("counts", m.FROM_ENTRY), free.get("when_longer", m.STILL_FREE)
        ),
        "max_stay": m.MaxStay(stay.get("minutes", 0) * 60, stay.get("counts", m.WHILE_CHARGED)),
        "caps": tuple(
            m.Cap(cap["cents"], cap["per"], _kinds(cap), cap.get("season", ""), cap.get("from_day", 1))
            for cap in values.get("cap", ())
        ),
    }


def _kinds(given: Mapping[str, Any]) -> frozenset[int]:
    days = given.get("days")
    return m.ALL_KINDS if days is None else frozenset().union(*days)


def _rate(name: str, given: Mapping[str, Any], found: list[Problem], path: str) -> m.Rate:
    steps: list[m.Step] = []
    minutes, cents = 0, 0
    for number, step in enumerate(given["steps"], 1):
        made = _step(step, minutes, cents, found, f"{path}.steps[{number}]")
        if made is None:
            continue
        steps.append(made)
        minutes += made.seconds // 60 * made.times
        cents += made.cents * made.times
    return m.Rate(name, tuple(steps), given.get("begins_again", m.STAY))


def _step(step: Mapping[str, Any], minutes: int, cents: int, found: list[Problem], path: str) -> m.Step | None:
    lengths = [key for key in ("minutes", "until_minutes") if key in step]
    prices = [key for key in ("cents", "total_cents") if key in step]
    if len(lengths) != 1:
        found.append(
            Problem(
                path,
                "needs either minutes (how long) or until_minutes (where it ends), one of them",
                "braucht minutes (wie lang) oder until_minutes (bis wohin), eines davon",
            )
        )
        return None
    if len(prices) != 1:
        found.append(
            Problem(
                path,
                "needs either cents (this step) or total_cents (all up to its end), one of them",
                "braucht cents (diese Stufe) oder total_cents (alles bis zu ihrem Ende), eines davon",
            )
        )
        return None
    times = step.get("times", 1)
    length, price = step[lengths[0]], step[prices[0]]
    if lengths[0] == "until_minutes":
        if length <= minutes:
            found.append(
                Problem(
                    path,
                    f"ends at minute {length}, but the step before ends at minute {minutes}",
                    f"endet bei Minute {length}, aber die Stufe davor endet erst bei Minute {minutes}",
                )
            )
            return None
        length -= minutes
    if prices[0] == "total_cents":
        if price < cents:
            found.append(
                Problem(
                    path,
                    f"costs {price} in all, less than the {cents} before it: a longer stay can't cost less",
                    f"kostet zusammen {price}, weniger als die {cents} davor: Länger darf nicht billiger sein",
                )
            )
            return None
        price -= cents
    if times > 1 and (lengths[0] == "until_minutes" or prices[0] == "total_cents"):
        found.append(
            Problem(
                path,
                "times goes with minutes and cents, not with until_minutes or total_cents",
                "times geht mit minutes und cents, nicht mit until_minutes oder total_cents",
            )
        )
        return None
    return m.Step(length * 60, price, step.get("charge", m.STARTED), times)


def _ticket(name: str, given: Mapping[str, Any], found: list[Problem]) -> m.TicketOffer:
    if len(given.keys() & {"minutes", "until", "to_end_of"}) != 1:
        found.append(
            Problem(
                f"ticket.{name}",
                "needs minutes (how long), until (a time of day) or to_end_of (week, month, year), one of them",
                "braucht minutes (wie lang), until (bis zu welcher Uhrzeit) oder to_end_of (week, month, year: Woche, "
                "Monat, Jahr), eines davon",
            )
        )
    if "days" in given and "until" not in given:
        found.append(
            Problem(
                f"ticket.{name}.days",
                "goes with until; without it write minutes (a day has 1440)",
                "geht mit until; ohne das bitte minutes schreiben (ein Tag hat 1440)",
            )
        )
    return m.TicketOffer(
        name, given["cents"], given.get("minutes", 0) * 60, given.get("until", 0), given.get("days", 1),
        given.get("to_end_of", ""),
    )  # fmt: skip


def _voucher(given: Mapping[str, Any]) -> m.VoucherRules:
    return m.VoucherRules(
        given.get("minutes", 60) * 60, given.get("off", m.END), given.get("per_stay_max", 20),
        given.get("stackable", True),
    )  # fmt: skip


def _holidays(given: Mapping[str, Any], found: list[Problem]) -> m.HolidayRules:
    country, state = given.get("country", ""), given.get("state", "")
    known = STATES_OF[country or GERMANY]
    if state and state not in known:
        names = ", ".join(known)
        found.append(
            Problem(
                "holidays.state",
                f"{state!r} is not in {country or GERMANY}; there is: {names or 'none, leave state out'}",
                f"{state!r} gibt es in {country or GERMANY} nicht; möglich: {names or 'keines, bitte state weglassen'}",
            )
        )
    if given.get("catholic") and country not in ("", GERMANY):
        found.append(
            Problem(
                "holidays.catholic",
                f"is for Germany; in {country} write single days into also",
                f"ist für Deutschland; in {country} bitte einzelne Tage in also schreiben",
            )
        )
    return m.HolidayRules(
        state,
        country,
        given.get("catholic", False),
        frozenset().union(*given.get("also", ())),
        frozenset().union(*given.get("never", ())),
    )
