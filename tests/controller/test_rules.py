from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einlass_controller.domain import rules
from einlass_controller.domain.catalogue import BUILT_IN, Guard, in_force, read_catalogue
from einlass_controller.domain.decision import TEXTS, sentence
from einlass_controller.domain.hours import Hours, Opening, Period, last_close, local_instant
from einlass_controller.domain.rules import Due, RulesError, first, read_rule

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_MS = 3_600_000


def at(text: str) -> int:
    """A local time in Berlin as an instant; "+" at the end: the second of two."""
    local = datetime.fromisoformat(text.rstrip("+")).replace(tzinfo=BERLIN, fold=int(text.endswith("+")))
    return int(local.astimezone(UTC).timestamp() * 1000)


def test_the_first_rule_whose_conditions_all_hold_decides() -> None:
    given_rules = [
        {"when": [{"fact": "time", "below": "17:00"}, {"fact": "weekday", "in": ["sat"]}], "code": "staff"},
        {"when": [{"fact": "time", "below": "17:00"}], "code": "too_early"},
        {"code": "ok"},
    ]
    made = [read_rule(item, "rule", number) for number, item in enumerate(given_rules)]
    noon, evening = 12 * HOUR_MS, 17 * HOUR_MS
    cases: list[tuple[dict[str, int | str | bool | None], str]] = [
        ({"time": noon, "weekday": "sat"}, "staff"),
        ({"time": noon, "weekday": "sun"}, "too_early"),
        ({"time": evening - 1, "weekday": "sun"}, "too_early"),
        ({"time": evening, "weekday": "sat"}, "ok"),
        ({}, "ok"),  # what is not known fulfils no condition
    ]
    for facts, code in cases:
        verdict = first(made, facts)
        assert verdict is not None
        assert verdict.code == code, facts


@pytest.mark.parametrize(
    ("operator", "holds"),
    [("below", (True, False, False)), ("at_most", (True, True, False)),
     ("above", (False, False, True)), ("at_least", (False, True, True)), ("is", (False, True, False))],
)  # fmt: skip
def test_every_comparison_at_its_bound(operator: str, holds: tuple[bool, ...]) -> None:
    made = rules.read_condition({"fact": "entries_today", operator: 3}, "rule")
    assert tuple(made.holds({"entries_today": number}) for number in (2, 3, 4)) == holds


def test_a_text_of_its_own_is_filled_in_in_both_languages() -> None:
    rule = read_rule(
        {
            "when": [{"fact": "since_exit", "below": 45}],
            "code": "reentry_locked",
            "de": "Noch {minutes} von {limit} Minuten, {persons} Personen",
            "en": "{minutes} of {limit} minutes to go, {persons} persons",
        },
        "rule",
        0,
    )
    verdict = first([rule], {"since_exit": 30 * 60_000 - 1, "persons": 2})
    assert verdict is not None
    assert sentence(verdict.code, verdict.values, "de", str, verdict.text) == "Noch 16 von 45 Minuten, 2 Personen"
    assert sentence(verdict.code, verdict.values, "en", str, verdict.text) == "16 of 45 minutes to go, 2 persons"


@pytest.mark.parametrize(
    ("elapsed_s", "cents"), [(0, 0), (7200, 0), (7201, 150), (9000, 150), (9001, 300), (99_999, 600)]
)
def test_money_for_a_stay_begins_one_second_after_what_is_free(elapsed_s: int, cents: int) -> None:
    assert Due(7_200_000, 1_800_000, 150, 600).amount_cents(elapsed_s * 1000) == cents


def test_money_is_written_as_each_language_writes_it() -> None:
    text = read_catalogue(
        {"product": [{"id": "a", "name": "A", "stay": {"free_minutes": 1, "step_minutes": 1, "step_cents": 105}}]}
    ).judge_exit("a", {"stay": 61_000})
    assert text.code == "overstay_due"
    assert "1,05 Euro" in sentence(text.code, text.values, "de", str, text.text)
    assert "1.05 euros" in sentence(text.code, text.values, "en", str, text.text)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({}, "no product"),
        ({"produkt": []}, "did you mean 'product'"),
        ({"product": [{"id": "a"}]}, "name"),
        ({"product": [{"id": "A b", "name": "A"}]}, "a-z"),
        ({"product": [{"id": "a", "name": "A"}, {"id": "a", "name": "B"}]}, "same id"),
        ({"product": [{"id": "a", "name": "A", "reentry": {"policy": "allways"}}]}, "did you mean 'always'"),
        ({"product": [{"id": "a", "name": "A", "reentry": {"policy": "within"}}]}, "minutes"),
        ({"product": [{"id": "a", "name": "A", "from": "25:00"}]}, "17:00"),
        ({"product": [{"id": "a", "name": "A", "from": "24:01"}]}, "17:00"),
        ({"product": [{"id": "a", "name": "A", "entries": 0}]}, "entries"),
        ({"product": [{"id": "a", "name": "A", "entries": True}]}, "entries"),
        ({"product": [{"id": "a", "name": "A", "weekdays": ["mo"]}]}, "did you mean 'mon'"),
        ({"product": [{"id": "a", "name": "A", "slots": {"minutes": 60}}]}, "quota"),
        ({"product": [{"id": "a", "name": "A"}], "nightly_close": "3"}, "nightly_close"),
        ({"product": [{"id": "a", "name": "A"}], "zone": [{"id": "z", "hours": [{"from": "06:00"}]}]}, "until"),
        ({"product": [{"id": "a", "name": "A"}], "zone": [{"id": "z", "days": [{"date": "24.12."}]}]}, "2026-12-24"),
        ([], "expected a table"),
    ],
)
def test_a_mistake_in_the_rules_is_explained(wrong: Any, hint: str) -> None:
    with pytest.raises(RulesError, match=hint):
        read_catalogue(wrong)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"code": "zone_full"}, "cannot be given"),
        ({"code": "overstay_due"}, "cannot be given"),
        ({"code": "too_erly"}, "did you mean 'too_early'"),
        ({"code": "staff", "when": [{"fact": "tme", "below": "17:00"}]}, "did you mean 'time'"),
        ({"code": "staff", "when": [{"fact": "time", "is": "17:00"}]}, "below"),
        ({"code": "staff", "when": [{"fact": "time", "below": "17:00", "above": "18:00"}]}, "exactly one"),
        ({"code": "staff", "when": [{"fact": "persons", "below": "two"}]}, "whole number"),
        ({"code": "staff", "when": [{"fact": "persons", "below": 10**9}]}, "whole number"),
        ({"code": "staff", "when": [{"fact": "proof", "is": 1}]}, "true or false"),
        ({"code": "staff", "when": [{"fact": "weekday", "in": []}]}, "1 to 50"),
        ({"code": "staff", "when": [{}] * 9}, "at most 8"),
        ({"code": "staff", "de": "nur deutsch"}, "`en`"),
        ({"code": "staff", "de": "{tme}", "en": "{time}"}, "did you mean 'time'"),
        ({"code": "staff", "de": "{minutes}", "en": "x"}, "nothing fills"),
        ({"code": "staff", "due": {"free_minutes": 1, "step_minutes": 1, "step_cents": 1}}, "belong together"),
    ],
)
def test_a_mistake_in_a_rule_is_explained(wrong: dict[str, Any], hint: str) -> None:
    with pytest.raises(RulesError, match=hint):
        read_catalogue({"product": [{"id": "a", "name": "A", "rule": [wrong]}]})


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([*rules.FACTS, "when", "code"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["product", "zone", "id", "name", "rule", "when", "fact", "is", "in", "code", "reentry", "slots", "hours",
         "guard", "stay", "from", "nightly_close", "days", "date", "policy", "de", "en", "due"]), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_nothing_but_a_rules_error_comes_of_any_data(value: Any) -> None:
    for whole in (value, {"product": [{"id": "a", "name": "A", "rule": [value], "reentry": value}]}):
        with suppress(RulesError):
            read_catalogue(whole)


def test_every_code_that_a_rule_may_give_has_words() -> None:
    assert TEXTS.keys() >= rules.ENTRY_CODES | rules.EXIT_CODES


def test_of_two_versions_that_begin_together_the_newer_holds() -> None:
    versions = [read_catalogue(BUILT_IN, *pair) for pair in ((0, 0), (1, 100), (2, 300), (3, 100))]
    assert [in_force(versions, now).version for now in (0, 99, 100, 299, 300)] == [0, 0, 3, 3, 2]


WEEK = Hours({day: (Period(8 * HOUR_MS, 20 * HOUR_MS),) for day in range(5)} | {5: (Period(22 * HOUR_MS, HOUR_MS),)},
             {"2026-12-24": (), "2026-12-31": (Period(8 * HOUR_MS, 13 * HOUR_MS),)}, HOUR_MS)  # fmt: skip


@pytest.mark.parametrize(
    ("when", "is_open", "entries"),
    [
        ("2026-06-15T07:59:59", False, False),
        ("2026-06-15T08:00", True, True),
        ("2026-06-15T18:59:59", True, True),
        ("2026-06-15T19:00", True, False),
        ("2026-06-15T20:00", False, False),
        ("2026-06-20T23:59", True, True),
        ("2026-06-21T00:30", True, False),
        ("2026-06-21T01:00", False, False),
        ("2026-12-24T12:00", False, False),
        ("2026-12-31T12:30", True, False),
        ("2026-12-31T14:00", False, False),
    ],
)
def test_opening_hours_with_days_that_are_different_and_nights(when: str, is_open: bool, entries: bool) -> None:
    found = WEEK.at(at(when), BERLIN)
    assert (found.is_open, found.entries) == (is_open, entries)


def test_a_zone_says_when_it_opens_again_and_until_when_this_holds() -> None:
    found = WEEK.at(at("2026-06-19T20:00"), BERLIN)
    assert found.opens_ms == found.next_ms == at("2026-06-20T22:00")
    assert Hours().at(0, BERLIN) == Opening(True, True)
    never = Hours({}, {"2020-01-01": ()}).at(at("2026-06-19T20:00"), BERLIN)
    assert (never.is_open, never.opens_ms) == (False, None)


SPRING = st.integers(at("2026-03-27T00:00"), at("2026-04-01T00:00"))
AUTUMN = st.integers(at("2026-10-23T00:00"), at("2026-10-28T00:00"))


@given(SPRING | AUTUMN)
def test_an_opening_holds_exactly_until_its_next_instant(now_ms: int) -> None:
    found = WEEK.at(now_ms, BERLIN)
    assert found.next_ms is not None
    assert found.next_ms > now_ms
    before, after = WEEK.at(found.next_ms - 1, BERLIN), WEEK.at(found.next_ms, BERLIN)
    assert (before.is_open, before.entries) == (found.is_open, found.entries)
    assert (after.is_open, after.entries) != (found.is_open, found.entries)


def test_the_nightly_close_when_clocks_change() -> None:
    half_past_two = 2 * HOUR_MS + HOUR_MS // 2
    skipped = datetime(2026, 3, 29, tzinfo=BERLIN).date()
    assert local_instant(skipped, half_past_two, BERLIN) == at("2026-03-29T03:30")
    assert last_close(at("2026-03-29T03:29"), half_past_two, BERLIN) == at("2026-03-28T02:30")
    assert last_close(at("2026-03-29T03:30"), half_past_two, BERLIN) == at("2026-03-29T03:30")
    once = at("2026-10-25T02:30")
    assert last_close(once, half_past_two, BERLIN) == once
    assert last_close(at("2026-10-25T02:30+"), half_past_two, BERLIN) == once, "it comes twice and runs once"
    assert last_close(at("2026-10-26T02:29"), half_past_two, BERLIN) == once


def test_bookings_never_guard_what_is_for_walk_ins() -> None:
    guard = Guard(0, 0, 20)
    assert [guard.places(expected, 100) for expected in (0, 79, 80, 500)] == [0, 79, 80, 80]
