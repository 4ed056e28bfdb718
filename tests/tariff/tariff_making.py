"""Tariffs made at random out of every key, as the data that a text holds."""

from typing import Any

from hypothesis import strategies as st

CLOCKS = tuple(f"{hour:02d}:{minute:02d}" for hour in range(24) for minute in (0, 30))
PERIODS = ("stay", "calendar_day", "business_day", "24h", "7d")
cents = st.integers(0, 600)


def steps() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"minutes": st.sampled_from((1, 6, 7, 20, 30, 60, 90, 1440)), "cents": cents},
        optional={
            "times": st.integers(1, 4),
            "charge": st.sampled_from(("started", "started", "exact", "linear")),
        },
    )


def rate() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"steps": st.lists(steps(), min_size=1, max_size=4)}, optional={"begins_again": st.sampled_from(PERIODS)}
    )


@st.composite
def windows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A day cut in pieces that follow each other, so that they never overlap; some of them left out."""
    edges = sorted(draw(st.lists(st.sampled_from(CLOCKS), min_size=2, max_size=4, unique=True)))
    made: list[dict[str, Any]] = []
    for number, (first, last) in enumerate(zip(edges, [*edges[1:], edges[0]], strict=True)):
        price: dict[str, Any] = draw(
            st.sampled_from(
                [{"rate": "a"}, {"rate": "b"}, {"rate": "a", "max_cents": 300}, {"flat_cents": 250}, {"free": True}]
            )
        )
        made.append({"name": f"w{number}", "from": first, "to": last, **price})
        if draw(st.integers(0, 3)) == 0:
            made[-1]["outside_caps"] = True
        if draw(st.booleans()):
            made[-1]["free_minutes_apply"] = False
    kept = [one for one in made if draw(st.integers(0, 4))]
    if draw(st.integers(0, 2)) == 0:
        kept.append({"name": "holiday", "days": ["holiday"], "free": True, "wins_over": [one["name"] for one in kept]})
        if not kept[-1]["wins_over"]:
            del kept[-1]["wins_over"]
    return kept


def caps() -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(
        st.fixed_dictionaries(
            {"cents": st.integers(1, 2000), "per": st.sampled_from(PERIODS)}, optional={"from_day": st.integers(1, 3)}
        ),
        min_size=1,
        max_size=3,
    )


@st.composite
def tariffs(draw: st.DrawFn) -> dict[str, Any]:
    data: dict[str, Any] = {"tariff": "made", "valid_from": "2020-01-01", "rate": {"a": draw(rate())}}
    if draw(st.booleans()):
        data["rate"]["b"] = draw(rate())
        chosen = draw(windows())
        if chosen:
            data["window"] = chosen
        data["otherwise"] = "free"
    maybe: dict[str, st.SearchStrategy[Any]] = {
        "free": st.fixed_dictionaries(
            {"minutes": st.integers(0, 200)},
            optional={
                "counts": st.sampled_from(("stay", "charged")),
                "when_longer": st.sampled_from(("still_free", "all_charged")),
            },
        ),
        "cap": caps(),
        "min_cents": st.integers(0, 100),
        "smallest_coin_cents": st.sampled_from((1, 5, 10, 50)),
        "rounding": st.sampled_from(("up", "down", "nearest")),
        "at_window_edge": st.sampled_from(("carry", "restart", "next_step")),
        "business_day_begins": st.sampled_from(CLOCKS),
        "grace_minutes": st.integers(0, 30),
        "percent_off": st.integers(0, 100),
        "machine_max_cents": st.sampled_from((500, 1000)),
        "max_stay": st.fixed_dictionaries(
            {"minutes": st.integers(1, 600)}, optional={"counts": st.sampled_from(("stay", "charged"))}
        ),
        "voucher": st.fixed_dictionaries(
            {}, optional={"off": st.sampled_from(("start", "end")), "per_stay_max": st.integers(1, 5)}
        ),
        "holidays": st.just({"state": "RP"}),
        "ticket": st.just({"day": {"cents": 450, "minutes": 1440}, "evening": {"cents": 200, "until": "23:00"}}),
        "event": st.fixed_dictionaries(
            {"days": st.just(["sat"]), "from": st.just("17:00"), "to": st.just("02:00"), "flat_cents": cents},
            optional={"only_entered": st.booleans(), "outside_caps": st.booleans()},
        ).map(lambda one: [one]),
    }
    for key, strategy in maybe.items():
        if draw(st.integers(0, 2)) == 0:
            data[key] = draw(strategy)
    if any("holiday" in one.get("days", ()) for one in data.get("window", ())):
        data["holidays"] = {"state": "RP"}
    return data
