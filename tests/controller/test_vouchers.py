"""Vouchers in the engine: who may hold one and when that ends, ranges, limits, time."""

from typing import Any

import pytest
from tests.controller.voucher_desk import BAKER, Box, Shop, check_ledger

from einlass_controller.domain.vouchers import Limits, Partner
from einlass_controller.messages import Declined, Tick
from einlass_controller.orders_vouchers import (
    EndPayment,
    MakeLot,
    MakeVouchers,
    SetPartner,
    Use,
)
from einlass_controller.steps.voucher_payments import HOLD_MS


@pytest.fixture
def shop(bench: Any) -> Shop:
    return Shop(bench)


def test_the_same_card_counts_once_and_a_held_one_is_nobody_elses(bench: Any, shop: Shop) -> None:
    (serial, code), *_ = shop.cards(shop.lot()).items()
    one, two = Box(bench), Box(bench, "api:other")
    one.open(), two.open()
    assert [one.hold(code)["code"] for _ in range(3)] == ["ok"] * 3
    assert two.hold(code)["code"] == "held_elsewhere"
    again = Box(bench, inc="i2")
    again.open()
    assert again.hold(code)["code"] == "held_elsewhere", "another incarnation is another holder"
    assert "not held" in again.pay(Use(serial)).reason or again.pay(Use(serial)).missing
    assert one.abort()["released"] == [serial]
    assert two.hold(code)["code"] == "ok"
    assert one.hold(code)["code"] == "payment_over", "a question that comes after the end is too late"


def test_a_hold_ends_by_the_clock_only_where_the_till_asks_first(bench: Any, shop: Shop) -> None:
    (first, a), (second, b) = shop.cards(shop.lot(), 2).items()
    desk, machine = Box(bench), Box(bench, "machine-1", asks_first=False)
    desk.open(), machine.open()
    desk.hold(a), machine.hold(b)
    bench.pass_by(seconds=HOLD_MS // 1000 - 1)
    bench.order(Tick())
    assert (shop.state(first), shop.state(second)) == ("held", "held")
    bench.restart()
    bench.pass_by(seconds=2)
    late = desk.pay(Use(first))
    assert isinstance(late, Declined), "what ended is not paid with"
    assert (shop.state(first), shop.state(second)) == ("activated", "held")
    bench.pass_by(hours=100)
    bench.order(Tick())
    assert shop.state(second) == "held", "it may have been used: time alone does not give it back"
    assert machine.pay(Use(second, saved_cents=5), area="bath")["used"] == [second]
    check_ledger(bench)


def test_staff_ends_a_lost_hold_and_a_late_word_is_evidence(bench: Any, shop: Shop) -> None:
    (first, a), (second, b) = shop.cards(shop.lot(), 2).items()
    machine, desk = Box(bench, "machine-1", asks_first=False), Box(bench)
    machine.open(), desk.open()
    machine.hold(a), machine.hold(b)
    assert machine.end_by_staff()["released"] == [first, second]
    assert machine.end_by_staff()["released"] == [first, second], "said twice"
    assert bench.order(EndPayment("nobody/x/1", "x", "ann")).missing
    desk.hold(a)
    desk.pay(Use(first))
    told = machine.pay(Use(first, saved_cents=5), Use(second, saved_cents=5))
    assert told["used"] == [second], "free until then, so its word counts"
    (conflict,) = bench.ledger("voucher_conflict")
    assert (conflict["voucher"], conflict["other_payment"], conflict["state"]) == (first, "api:desk/i1/1", "redeemed")
    assert any("voucher" in entry["reason"] for entry in bench.ledger("alarm"))
    assert (shop.state(first), shop.state(second)) == ("redeemed", "redeemed")
    check_ledger(bench)


def test_used_alone_while_another_holds_it_it_is_used_no_third_time(bench: Any, shop: Shop) -> None:
    ((serial, code),) = shop.cards(shop.lot()).items()
    machine, desk = Box(bench, "machine-1", asks_first=False), Box(bench)
    machine.open(), desk.open()
    desk.hold(code)
    assert machine.pay(Use(serial))["used"] == []
    assert desk.abort()["released"] == [serial]
    assert shop.state(serial) == "voided"
    assert desk.open()
    assert desk.hold(code)["code"] == "voided"
    check_ledger(bench)


def test_what_is_not_so_changes_nothing(bench: Any, shop: Shop) -> None:
    (serial, code), (other, _) = shop.cards(shop.lot(), 2).items()
    box = Box(bench)
    box.open()
    box.hold(code)
    for uses in ((Use(other),), (Use(serial), Use(serial)), (Use(serial, value=61),), (Use(0, "FREI"),), (Use(10**6),)):
        assert isinstance(box.pay(*uses), Declined)
        assert shop.state(serial) == "held"
    assert isinstance(box.pay(Use(serial), payment=99), Declined)
    assert box.pay(Use(serial))["used"] == [serial]


@pytest.mark.parametrize("do", ["block", "void", "return"])
def test_a_block_waits_until_the_payment_is_over(bench: Any, shop: Shop, do: str) -> None:
    (first, a), (second, b) = shop.cards(shop.lot(), 2).items()
    box = Box(bench)
    box.open()
    box.hold(a), box.hold(b)
    changed = shop.change(do, first, second + 5)
    assert (changed.done, changed.waiting, changed.missing) == (0, (first, second), 5)
    box.pay(Use(first))
    states = {"block": "blocked", "void": "voided", "return": "returned"}
    assert (shop.state(first), shop.state(second)) == ("redeemed", states[do]), "the payment came first"
    box.open()
    assert box.hold(b)["code"] == states[do]
    if do == "block":
        assert shop.change("unblock", second).done == 1
        assert box.hold(b)["code"] == "ok"
    check_ledger(bench)


def test_a_stolen_box_is_voided_by_its_numbers(bench: Any, shop: Shop) -> None:
    cards = shop.cards(shop.lot(10), 10, activate=False)
    first, last = min(cards), max(cards)
    box = Box(bench)
    box.open()
    assert box.hold(cards[first])["code"] == "not_active"
    shop.change("activate", first, first + 3, partner="baker")
    box.hold(cards[first])
    box.pay(Use(first))
    done = shop.change("void", first, last)
    assert (done.done, done.refused) == (9, {"redeemed": 1})
    box.open()
    assert {box.hold(cards[serial])["code"] for serial in range(first + 1, last + 1)} == {"voided"}
    assert shop.change("void", first, last).already == 9
    assert isinstance(shop.change("void", 1, 100_000), Declined), "one order is not a million rows"
    assert shop.change("activate", last, partner="baker").refused == {"voided": 1}


def test_partners_and_lots_that_cannot_be(bench: Any, shop: Shop) -> None:
    assert isinstance(shop.order(SetPartner(BAKER, True, "ann")), Declined)
    assert shop.order(SetPartner(Partner("nobody", "x"), False, "ann")).missing
    lot = shop.lot(2)
    assert (lot.id, lot.first, lot.last) == (1, 1, 2)
    assert shop.lot(3).first == 3
    assert isinstance(shop.order(MakeVouchers(lot.id, (("d", "s"),) * 3, False, "", "ann")), Declined)
    assert shop.order(MakeVouchers(lot.id, (("d", "s"),), False, "other", "ann")).missing
    shop.cards(lot, 2)
    shop.order(SetPartner(Partner("baker", "Bäckerei", is_active=False), False, "ann"))
    assert isinstance(shop.order(MakeLot(lot, 1, "ann")), Declined), "nothing new for who has left"
    shop.order(SetPartner(Partner("butcher", "Metzger"), True, "ann"))
    assert shop.change("activate", 1, partner="butcher").refused == {"partner": 1}
    bench.restart()
    assert bench.engine.live.vouchers.lots[1].made == 2
    assert not bench.engine.live.vouchers.partners["baker"].is_active


@pytest.mark.parametrize(
    ("limits", "scans", "found"),
    [
        (Limits(per_stay=2), [{"stay": "s"}] * 3, ["ok", "ok", "limit_stay"]),
        (Limits(per_stay=2), [{}], ["no_stay"]),
        (Limits(per_plate_day=1), [{"plate": "p"}] * 2, ["ok", "limit_day"]),
        (Limits(per_plate_day=1), [{}], ["no_plate"]),
        (Limits(partner_per_stay=1), [{"stay": "s"}] * 2, ["ok", "limit_partner"]),
        (Limits(areas=("rink",)), [{}], ["wrong_area"]),
        (Limits(areas=("bath", "rink")), [{}], ["ok"]),
        (Limits(weekdays=("tue",)), [{}], ["wrong_day"]),
        (Limits(weekdays=("mon", "mon", "tue")), [{}], ["ok"]),  # NOON_MS is a Monday
    ],
)
def test_limits(bench: Any, shop: Shop, limits: Limits, scans: list[dict[str, Any]], found: list[str]) -> None:
    cards = list(shop.cards(shop.lot(5, limits), len(scans)).values())
    for number, (code, more, wanted) in enumerate(zip(cards, scans, found, strict=True)):
        box = Box(bench, f"api:desk-{number}")  # a limit holds wherever the next one is shown
        assert box.hold(code, **more)["code"] == wanted


def test_time_and_expiry(bench: Any, shop: Shop) -> None:
    now = bench.now_ms
    ((_, code),) = shop.cards(shop.lot(valid_from_ms=now + 3_600_000, valid_until_ms=now + 7_200_000)).items()
    box = Box(bench)
    for hours, wanted in ((0, "too_early"), (1, "ok"), (2, "expired")):
        box.open()
        bench.now_ms = now + hours * 3_600_000 + (10 if hours == 1 else 0)
        assert box.hold(code)["code"] == wanted
        if wanted == "ok":
            box.abort()


def test_guessing_is_slowed_down(bench: Any, shop: Shop) -> None:
    shop.lot()
    box, other = Box(bench), Box(bench, "api:other")
    box.open(), other.open()
    found = [box.hold(f"AAA{number}")["code"] for number in range(6)]
    assert found == ["unknown"] * 2 + ["too_fast"] * 4
    assert other.hold("AAAA")["code"] == "unknown", "others are not held up"
    bench.pass_by(seconds=3)
    assert box.hold("AAA5", number=6)["code"] == "unknown", "the same question may be asked again"
