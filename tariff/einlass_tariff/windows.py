"""Windows and events of a tariff's text as windows of the model."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from einlass_tariff import model as m
from einlass_tariff.problems import Problem

EVENT_RANK = 1000
INCLUDED_RANK = EVENT_RANK + 1


def read_windows(
    values: Mapping[str, Any], rates: Mapping[str, m.Rate], found: list[Problem], path: str
) -> Iterator[m.Window]:
    """All windows, those that give way first, last what a pass has; without any, one for the only rate."""
    given = values.get("window", [])
    if not given and values.get("otherwise") is None:
        if len(rates) == 1:
            yield m.Window(name="", to_minute=1440, rate=next(iter(rates)))
        elif not values.get("event") or rates:
            found.append(
                Problem(
                    path + "window",
                    "there is no window; with more or less than one rate, say when which is charged",
                    "Es gibt kein [[window]]; bei mehr oder weniger als einer [rate] muss dastehen, wann welche gilt",
                )
            )
    names = [one.get("name") or one.get("rate") or f"window {number}" for number, one in enumerate(given, 1)]
    over = _over(given, names, found, path)
    for number, one in enumerate(given):
        made = _window(one, names[number], rates, found, f"{path}window[{number + 1}]", over[names[number]])
        if made is not None:
            yield made
    for number, one in enumerate(values.get("event", []), 1):
        place = f"{path}event[{number}]"
        if ("dates" in one) == ("days" in one):
            found.append(
                Problem(place, "needs either dates or days, one of them", "braucht dates oder days, eines davon")
            )
            continue
        made = _window(one, one.get("name") or f"event {number}", rates, found, place, None)
        if made is not None:
            yield made
    for number, one in enumerate(values.get("included", []), 1):
        place = f"{path}included[{number}]"
        made = _window({**one, "free": True}, one.get("name", ""), rates, found, place, None)
        if made is not None:
            yield replace(made, rank=INCLUDED_RANK, included=True)


def _window(
    one: Mapping[str, Any],
    name: str,
    rates: Mapping[str, m.Rate],
    found: list[Problem],
    path: str,
    over: frozenset[str] | None,
) -> m.Window | None:
    """over: what it wins over; None for an event, which wins over all."""
    prices = [key for key in ("rate", "flat_cents") if key in one] + (["free"] if one.get("free") else [])
    rate = one.get("rate", "")
    if not prices and len(rates) == 1 and one.get("free") is None:
        rate = next(iter(rates))
    elif len(prices) != 1:
        say = f"has {' and '.join(prices)}" if prices else "has no price"
        sagt = f"hat {' und '.join(prices)}" if prices else "hat keinen Preis"
        found.append(
            Problem(
                path,
                f"{name!r} {say}; write one of rate, flat_cents or free = true",
                f"{name!r} {sagt}; bitte eines schreiben: rate, flat_cents oder free = true",
            )
        )
        return None
    if rate and rate not in rates:
        known = ", ".join(sorted(rates))
        found.append(
            Problem(
                f"{path}.rate",
                f"there is no [rate.{rate}]; there is: {known or 'none'}",
                f"[rate.{rate}] gibt es nicht; es gibt: {known or 'keine'}",
            )
        )
        return None
    begin, end = one.get("from", 0), one.get("to", 1440)
    if begin >= 1440:
        found.append(
            Problem(
                f"{path}.from",
                "24:00 is the end of a day; write 00:00 and the next day",
                "24:00 ist das Ende eines Tages; bitte 00:00 schreiben, und den nächsten Tag",
            )
        )
        return None
    later = one.get("days_later", 1 if end <= begin else 0)
    if later == 0 and end <= begin:
        found.append(
            Problem(
                f"{path}.to",
                "ends before it begins; leave days_later out, or set it to 1 or more",
                "endet vor dem Anfang; bitte days_later weglassen oder auf 1 oder mehr setzen",
            )
        )
        return None
    if one.get("max_cents") is not None and not rate:
        found.append(
            Problem(
                f"{path}.max_cents",
                "belongs to a window with a rate; a flat price is its own maximum",
                "gehört in ein Fenster mit rate; eine Pauschale ist schon ihr eigener Höchstbetrag",
            )
        )
    days = one.get("days")
    return m.Window(
        name=name,
        kinds=m.ALL_KINDS if days is None else frozenset().union(*days),
        from_minute=begin,
        to_minute=end,
        days_later=later,
        rate=rate,
        flat_cents=one.get("flat_cents"),
        max_cents=one.get("max_cents"),
        season=one.get("season", ""),
        dates=frozenset().union(*one.get("dates", ())),
        rank=EVENT_RANK if over is None else len(over),
        wins_over=frozenset() if over is None else over,
        only_entered=one.get("only_entered", False),
        free_minutes_apply=one.get("free_minutes_apply", True),
        outside_caps=one.get("outside_caps", False),
        event=over is None,
    )


def _over(
    given: list[Mapping[str, Any]], names: list[str], found: list[Problem], path: str
) -> dict[str, frozenset[str]]:
    """For each window's name all that it wins over, also by way of others."""
    below: dict[str, set[str]] = {name: set() for name in names}
    for number, one in enumerate(given):
        place = f"{path}window[{number + 1}].wins_over"
        for other in one.get("wins_over", ()):
            if other == names[number]:
                found.append(
                    Problem(place, "a window can't win over itself", "Ein Fenster kann nicht vor sich selbst gehen")
                )
            elif other not in below:
                known = ", ".join(sorted(set(names) - {names[number]}))
                found.append(
                    Problem(
                        place,
                        f"there is no window {other!r}; there is: {known or 'none'}",
                        f"Ein Fenster {other!r} gibt es nicht; es gibt: {known or 'keines'}",
                    )
                )
            else:
                below[names[number]].add(other)
    for _ in names:
        for name in names:
            below[name] |= {lower for other in below[name] for lower in below[other]}
    if any(name in lower for name, lower in below.items()):
        found.append(
            Problem(
                f"{path}window",
                "wins_over goes in a circle; one of them must give way",
                "wins_over geht im Kreis; eines der Fenster muss nachgeben",
            )
        )
    return {name: frozenset(lower) for name, lower in below.items()}
