"""Vouchers and payments on both databases: held once, used once, handed back, told again, settled."""

import random
from typing import Any

import pytest
from tests.controller.voucher_desk import Box, Shop, check_ledger

from einlass_controller.domain.public_codes import PublicCode
from einlass_controller.domain.vouchers import Limits
from einlass_controller.messages import Declined, Tick
from einlass_controller.orders_vouchers import (
    BlockPublicCode,
    CloseMonth,
    SetPublicCode,
    Use,
)
from einlass_core import codes


@pytest.fixture
def shop(bench: Any) -> Shop:
    return Shop(bench)


def test_a_card_is_held_and_used_with_the_payment(bench: Any, shop: Shop) -> None:
    lot = shop.lot()
    ((serial, code), (other, spare)) = shop.cards(lot, 2).items()
    box = Box(bench)
    box.open()
    assert box.hold(code)["code"] == "ok"
    assert box.hold(spare)["serial"] == other
    assert shop.state(serial) == "held"
    done = box.pay(Use(serial, value=60, saved_cents=150), fee_cents=150, paid_cents=0)
    assert (done["used"], done["released"]) == ([serial], [other]), "what does not help is handed back"
    assert (shop.state(serial), shop.state(other)) == ("redeemed", "activated")
    box.open()
    assert box.hold(code)["code"] == "redeemed"
    assert box.hold(spare)["code"] == "ok"
    (entry,) = bench.ledger("vouchers_used")
    assert (entry["used"], entry["released"], entry["payment"]) == ([serial], [other], "api:desk/i1/1")
    check_ledger(bench)
    bench.restart()
    check_ledger(bench)


def test_asked_again_it_is_answered_byte_for_byte(bench: Any, shop: Shop) -> None:
    (serial, code), *_ = shop.cards(shop.lot()).items()
    box = Box(bench)
    box.open()
    question = box.hold_order(code)
    first = bench.order(question)
    bench.restart()
    assert bench.order(question) == first
    other = bench.order(box.hold_order(codes.opaque(1), number=1))
    assert other.conflict, "the number was used for another code"
    order = box.pay_order(Use(serial, value=60, saved_cents=10))
    answer = bench.order(order)
    bench.restart()
    assert bench.order(order) == answer
    assert bench.order(box.pay_order(Use(serial, value=60, saved_cents=11))).conflict
    assert isinstance(box.abort(), Declined), "what was paid cannot be broken off"
    assert bench.ledger("vouchers_used") == [bench.ledger("vouchers_used")[0]]


def test_a_limit_counts_what_was_used_and_not_what_was_handed_back(bench: Any, shop: Shop) -> None:
    cards = shop.cards(shop.lot(9, Limits(per_plate_day=2)), 4)
    (a, b, c, d) = cards
    box = Box(bench)
    box.open()
    box.hold(cards[a], plate="p"), box.hold(cards[b], plate="p")
    box.pay(Use(a))
    box.open()
    assert box.hold(cards[c], plate="p")["code"] == "ok"
    assert box.hold(cards[d], plate="p")["code"] == "limit_day"
    box.pay(Use(c))
    bench.pass_by(hours=24)
    bench.order(Tick())
    assert {row[0] for row in bench.rows("SELECT plate FROM voucher_payment")} == {""}, "plates go with their day"
    box.open()
    assert box.hold(cards[d], plate="p")["code"] == "ok", "another day"
    assert "plate" not in repr(bench.ledger("voucher_held"))


def test_a_public_code_has_a_window_a_total_and_ends_on_time(bench: Any, shop: Shop) -> None:
    now = bench.now_ms
    day = PublicCode("FREI24", "Stadtfest", "free", 0, now, now + 3_600_000, Limits(per_stay=1), total_max=2)
    assert shop.order(SetPublicCode(day, "ann")) == day
    assert isinstance(shop.order(SetPublicCode(day, "ann")), Declined)
    box = Box(bench)
    box.open()
    assert box.hold("frei-24", stay="s1")["public"] == "FREI24"
    assert box.hold("FREI24", stay="s1")["code"] == "ok", "once a payment"
    box.open()
    assert box.hold("FREI24", stay="s1")["code"] == "limit_stay"
    box.open()
    assert box.hold("FREI24", stay="s2")["code"] == "ok"
    box.open()
    assert box.hold("FREI24", stay="s3")["code"] == "limit_total"
    box.abort(3)
    assert box.hold("FREI24", stay="s3")["code"] == "ok", "handed back"
    box.abort()
    assert box.pay(Use(0, "FREI24", saved_cents=100), payment=1)["codes"] == ["FREI24"]
    bench.restart()
    assert bench.engine.live.vouchers.codes["FREI24"].used == 1
    box.open()
    shop.order(BlockPublicCode("FREI24", True, "wrong day", "ann"))
    assert box.hold("FREI24", stay="s4")["code"] == "blocked"
    shop.order(BlockPublicCode("FREI24", False, "right day", "ann"))
    bench.now_ms = day.until_ms
    assert box.hold("FREI24", stay="s4")["code"] == "expired"
    check_ledger(bench)


def test_a_month_is_settled_once(bench: Any, shop: Shop) -> None:
    cards = shop.cards(shop.lot(), 3)
    box = Box(bench)
    for serial, code in list(cards.items())[:2]:
        box.open()
        box.hold(code)
        box.pay(Use(serial))
    assert shop.order(CloseMonth("baker", "2026-09", bench.now_ms - 15, "ann")) == 1
    assert shop.order(CloseMonth("baker", "2026-10", bench.now_ms + 60_000, "ann")) == 1
    assert shop.order(CloseMonth("baker", "2026-10", bench.now_ms + 60_000, "ann")) == 0
    rows = bench.rows("SELECT state, settled FROM voucher ORDER BY serial")
    assert [tuple(row) for row in rows] == [("settled", "2026-09"), ("settled", "2026-10"), ("activated", "")]
    box.open()
    assert box.hold(cards[1])["code"] == "redeemed"
    check_ledger(bench)


def test_many_tills_at_once_use_every_voucher_once(bench: Any, shop: Shop) -> None:
    """In whatever order they come, in batches as the writer makes them, and with a crash in between."""
    chance = random.Random(20261122)
    cards = shop.cards(shop.lot(10), 10)
    boxes = [
        Box(bench, f"{'api:' if number % 2 else 'm'}{number}", asks_first=bool(number % 2)) for number in range(12)
    ]
    served: dict[int, int] = {}
    for round_number in range(10):
        serial, code = list(cards.items())[round_number]
        for box in boxes:
            box.open()
        questions = [box.hold_order(code) for box in boxes for _ in range(2)]
        chance.shuffle(questions)
        outcome = bench.attempt(*questions)
        if round_number % 5 == 4:
            bench.restart()
            outcome = bench.attempt(*questions)
        held = {question.till.node for question, found in zip(questions, outcome.results, strict=True)
                if b'"code":"ok"' in found.answer}  # fmt: skip
        assert len(held) == 1, "two tills were told that it is theirs"
        desks = [box for box in boxes if box.till.asks_first]
        paid = bench.attempt(*[box.pay_order(Use(serial)) for box in desks]).results
        winners = [box for box, found in zip(desks, paid, strict=True) if not isinstance(found, Declined)]
        if not winners:
            (holder,) = [box for box in boxes if box.till.node in held]
            bench.order(holder.pay_order(Use(serial)))
            winners = [holder]
        served[serial] = len(winners)
    assert set(served.values()) == {1}
    assert len(bench.ledger("vouchers_used")) == 10
    assert bench.ledger("voucher_conflict") == []
    check_ledger(bench)
