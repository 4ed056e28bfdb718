"""What holds for any tariff and any stay. Tariffs are made from their keys, so that every element meets every other."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from einlass_controller.tariffs import days_of
from einlass_tariff.book import Book
from einlass_tariff.buy import buy, last_true
from einlass_tariff.fee import cost, fee
from einlass_tariff.problems import TariffError
from einlass_tariff.read import read_tariff
from einlass_tariff.result import CENTS_CARD, MINUTES_CARD, PERCENT_CARD, Card, Payment, Stay
from tariff_making import tariffs

# Days around both clock changes, a holiday, a year's end, and ordinary ones.
STARTS = (1_774_738_800, 1_792_882_800, 1_779_660_000, 1_798_671_600, 1_778_536_800)
entries = st.builds(lambda base, more: base + more, st.sampled_from(STARTS), st.integers(0, 3 * 86_400))
lengths = st.one_of(
    st.integers(0, 4 * 3600), st.integers(0, 5 * 86_400), st.integers(0, 400).map(lambda number: number * 900)
)
cards = st.lists(
    st.one_of(
        st.builds(Card, st.just(MINUTES_CARD), st.sampled_from((30, 45, 60, 120, 1440))),
        st.builds(Card, st.just(CENTS_CARD), st.integers(1, 500)),
        st.builds(Card, st.just(PERCENT_CARD), st.integers(1, 100)),
    ),
    max_size=4,
).map(tuple)
bounded = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def book_of(data: dict[str, Any]) -> Book | None:
    """None where the keys contradict each other: the reader said so."""
    text = json.dumps(data)
    return None if problems(text) else Book([read_tariff(text, is_json=True)], days_of)


def problems(text: str, is_json: bool = True) -> list[str]:
    try:
        read_tariff(text, is_json)
    except TariffError as error:
        told = [problem.message for problem in error.problems]
        return told or ["refused without a word"]
    return []


@bounded
@given(tariffs(), entries, lengths, lengths, cards)
def test_a_longer_stay_never_costs_less(
    data: dict[str, Any], entry: int, short: int, more: int, held: tuple[Card, ...]
) -> None:
    book = book_of(data)
    if book is not None:
        stay = Stay(entry, entry + short, held)
        assert 0 <= cost(book, stay) <= cost(book, replace(stay, exit_s=entry + short + more))


@bounded
@given(tariffs(), entries, lengths, cards, st.integers(0, 3000))
def test_an_account_adds_up_and_explains_itself(
    data: dict[str, Any], entry: int, length: int, held: tuple[Card, ...], paid: int
) -> None:
    book = book_of(data)
    if book is None:
        return
    stay = Stay(entry, entry + length, held, payments=(Payment(paid),))
    found = fee(book, stay)
    assert sum(line.cents for line in found.lines) == found.due_cents
    assert found.fee_cents == cost(book, stay)
    assert 0 <= found.due_cents <= found.fee_cents
    for line in found.lines:
        assert all(line.words)
        assert line.from_s <= line.to_s
    assert len({use.number for use in found.uses}) == len(found.uses)
    assert all(0 < use.used <= use.card.value for use in found.uses)
    # Every card that is kept was needed: without it the stay costs more.
    for use in found.uses:
        others = tuple(card for number, card in enumerate(held) if number != use.number)
        kept = tuple(held[one.number] for one in found.uses if one.number != use.number)
        assert (
            cost(book, replace(stay, cards=kept)) > found.fee_cents
            or cost(book, replace(stay, cards=others)) == found.fee_cents
        ), "a card was kept that does not help"


@bounded
@given(tariffs(), entries, lengths, st.integers(0, 6), st.integers(0, 6))
def test_more_of_the_same_cards_never_cost_more(
    data: dict[str, Any], entry: int, length: int, few: int, more: int
) -> None:
    book = book_of(data)
    if book is not None:
        card = Card(MINUTES_CARD, 60)
        stay = Stay(entry, entry + length, (card,) * few)
        assert cost(book, replace(stay, cards=(card,) * (few + more))) <= cost(book, stay)


@bounded
@given(tariffs(), entries, st.integers(0, 4000))
def test_money_to_time_is_the_inverse_of_time_to_money(data: dict[str, Any], entry: int, cents: int) -> None:
    book = book_of(data)
    if book is None:
        return
    bought = buy(book, Stay(entry, entry), cents)
    stay = Stay(entry, entry + bought.paid_s, ticket=bought.ticket)
    accepted = min(cents, book.versions[0].machine_max_cents or cents)
    assert bought.used_cents == cost(book, stay) <= accepted
    assert bought.used_cents + bought.rest_cents == cents
    if not bought.stopped_by:
        assert cost(book, replace(stay, exit_s=stay.exit_s + 1)) > accepted, "a second more would have been paid too"
    # The money that was needed buys the same time again.
    again = buy(book, Stay(entry, entry), bought.used_cents)
    assert again.paid_s == bought.paid_s


@bounded
@given(tariffs(), entries, lengths, lengths)
def test_paying_in_between_costs_what_paying_at_the_end_does(
    data: dict[str, Any], entry: int, first: int, more: int
) -> None:
    book = book_of(data)
    if book is None:
        return
    middle, end = entry + first, entry + first + more
    paid = cost(book, Stay(entry, middle))
    late = fee(book, Stay(entry, end, payments=(Payment(paid, middle),)))
    grace = book.versions[0].grace_s
    if more <= grace:
        assert late.due_cents == 0
    else:
        assert paid + late.due_cents == cost(book, Stay(entry, end))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200), st.booleans())
def test_any_text_is_a_tariff_or_told_what_is_wrong(text: str, is_json: bool) -> None:
    told = problems(text, is_json)
    assert told
    assert all(told)


@settings(max_examples=300, deadline=None)
@given(tariffs(), st.data())
def test_a_slip_in_a_tariff_is_told(data: dict[str, Any], draw: st.DataObject) -> None:
    """One value anywhere is replaced by nonsense: read or refused with words, never a crash."""
    junk: Any = draw.draw(st.sampled_from([None, -1, 10**9, "", "02-30", "25:00", [], {}, [{}], True, 1.5, "x" * 300]))
    holder, key = draw.draw(st.sampled_from(list(_slots(data))))
    holder[key] = junk
    told = problems(json.dumps(data))
    assert all(told)
    if not told:
        book = book_of(data)
        assert book is not None
        assert cost(book, Stay(STARTS[0], STARTS[0] + 100_000)) >= 0


def _slots(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found.append((value, key))
        found += _slots(inner)
    return found


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_halving_finds_the_last_number_that_holds(most: int, last: int) -> None:
    assert last_true(lambda number: number <= last, most) == min(most, last)
