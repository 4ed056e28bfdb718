"""Contract parkers and holders of a pass: what a stay costs by the pass of the tariff, at entry, till and exit."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.controller.car_park import HOUR, plan, stay, takings
from tests.controller.conftest import Bench, Gate
from tests.controller.test_parking import Park
from tests.controller.voucher_desk import Shop, check_ledger

from einlass_controller.messages import Declined
from einlass_controller.orders import ChangeTicket, ReplaceTicket
from einlass_controller.orders_parking import AddTariff, EndStay, ReplaceParkingTicket
from einlass_core import codes

TARIFF = Path(__file__).parent / "parkplatz-passes.toml"
PRODUCTS = [
    {"id": "dauer", "name": "Dauer", "reentry": {"policy": "always"}},
    {"id": "anwohner", "name": "Anwohner", "reentry": {"policy": "always"}, "parking_pass": "resident"},
    {"id": "pendler", "name": "Pendler", "reentry": {"policy": "always"}, "parking_pass": "work"},
]


@pytest.fixture
def park(make_park: Callable[[dict[str, Any]], Bench]) -> Park:
    park = Park(make_park(plan(tariff=str(TARIFF))))
    done = park.bench.rules(product=PRODUCTS)
    assert not isinstance(done, Declined), done
    return park


def _holder(park: Park, product: str, **more: Any) -> str:
    return park.bench.ticket(product=product, entries_max=None, zone="park", **more)


def _at(park: Park, weekday: int, hour: float) -> None:
    """On to the next such weekday (Monday 0) and local time."""
    zone = ZoneInfo("Europe/Berlin")
    while True:
        park.bench.now_ms += HOUR // 4
        now = datetime.fromtimestamp(park.bench.now_ms / 1000, zone)
        if now.weekday() == weekday and abs(now.hour + now.minute / 60 - hour) < 0.2:
            return


def test_a_resident_pays_half_in_every_stay_anew(park: Park) -> None:
    card = _holder(park, "anwohner")
    for number in (1, 2):
        park.entry.drive_in(card)
        row = stay(park.bench)
        assert (row["pass_name"], row["state"]) == ("resident", "inside")
        park.bench.pass_by(minutes=29)
        assert park.exit.ask_out(card)["code"] == "ok_exit", "the free minutes"
        park.bench.pass_by(hours=2)
        answer = park.exit.ask_out(card)
        assert (answer["code"], answer["values"]["amount_cents"]) == ("payment_due", 100)
        priced = park.till.sell(card)
        assert priced["due"] == 100, "two hours begun after the free half hour, at half the price"
        assert any("resident" in line[0] for line in priced["values"]["lines"])
        park.exit.drive_out(card)
        row = stay(park.bench)
        assert (row["state"], row["paid_cents"], row["unpaid_cents"]) == ("left", 100, 0)
        assert park.bench.rows("SELECT count(*) FROM stay") == [(number,)]
        park.bench.pass_by(hours=1)
    assert takings(park.bench) == 200
    assert not park.alarms()
    check_ledger(park.bench)


def test_working_hours_are_included_and_what_is_outside_costs(park: Park) -> None:
    card = _holder(park, "pendler")
    _at(park, 0, 7.5)
    park.entry.drive_in(card)
    _at(park, 0, 17.0)
    park.till.begin(card)
    priced = park.till.price()
    assert (priced["code"], priced["due"]) == ("ok", 0)
    park.exit.drive_out(card)
    park.entry.drive_in(card)
    _at(park, 0, 20.5)
    answer = park.exit.ask_out(card)
    assert answer["values"]["amount_cents"] == 200, "19:00 to 20:30"
    assert park.till.sell(card)["due"] == 200
    park.exit.drive_out(card)
    assert takings(park.bench) == 200
    check_ledger(park.bench)


def test_a_product_without_a_pass_parks_free(park: Park) -> None:
    card = _holder(park, "dauer")
    park.entry.drive_in(card)
    park.bench.pass_by(hours=30)
    park.till.begin(card)
    assert park.till.price()["code"] == "ok_exit"
    park.exit.drive_out(card)
    assert park.bench.rows("SELECT count(*) FROM stay") == [(0,)]


def test_a_pass_that_ends_meanwhile_parks_like_anybody_from_then_on(park: Park) -> None:
    ends_ms = park.bench.now_ms + 4 * HOUR
    card = _holder(park, "anwohner", valid_until_ms=ends_ms)
    park.entry.drive_in(card)
    park.bench.now_ms = ends_ms + 2 * HOUR
    priced = park.till.sell(card)
    # 30 minutes free, then four hours begun at 0.50 until it ended; then 30 minutes free and two hours begun at 1.00
    assert priced["due"] == 200 + 200
    assert sum(line[2] for line in priced["values"]["lines"]) == 400
    park.exit.drive_out(card)
    assert park.exit.ask_out(card)["code"] == "staff"
    assert not park.alarms()


def test_a_lane_that_was_cut_off_tells_of_a_pass_later(park: Park) -> None:
    card, came_ms = _holder(park, "anwohner"), park.bench.now_ms
    park.bench.pass_by(hours=2)
    park.entry.alone(card, unix_ms=came_ms)
    assert (stay(park.bench)["pass_name"], stay(park.bench)["entered_ms"]) == ("resident", came_ms)
    park.exit.alone(card)
    row = stay(park.bench)
    assert (row["state"], row["unpaid_cents"]) == ("left", 100)
    check_ledger(park.bench)


def test_cards_of_shops_count_for_holders_of_a_pass_too(park: Park) -> None:
    shop = Shop(park.bench)
    card = str(next(iter(shop.cards(shop.lot(value=60)).values())))
    holder = _holder(park, "anwohner")
    park.entry.drive_in(holder)
    park.bench.pass_by(hours=3)
    priced = park.till.sell(holder, card)
    assert (priced["due"], priced["held"]) == (100, "0"), "three hours begun, one of them the shop's, at half the price"
    park.exit.drive_out(holder)
    check_ledger(park.bench)


def test_a_blocked_pass_is_staff_s_and_a_replaced_one_goes_on(park: Park) -> None:
    card = _holder(park, "anwohner")
    park.entry.drive_in(card)
    name = stay(park.bench)["id"]
    park.bench.pass_by(hours=3)
    ticket = stay(park.bench)["ticket"]
    park.bench.order(ChangeTicket(ticket, "block", "stolen", "Ann"))
    assert park.exit.ask_out(card)["code"] == "staff"
    park.till.begin(card)
    assert park.till.price()["code"] == "blocked"
    park.bench.order(ChangeTicket(ticket, "unblock", "found", "Ann"))
    new = codes.opaque(77)
    refused = park.bench.order(ReplaceParkingTicket("park", name, codes.digest(new), "", "lost", "Ann"))
    assert isinstance(refused, Declined)
    assert "replace the pass" in str(refused)
    sha = hashlib.sha256(new.encode()).hexdigest()
    park.bench.order(ReplaceTicket(ticket, "TNEW", codes.digest(new), sha, 0, "lost", "Ann"))
    assert (stay(park.bench)["id"], stay(park.bench)["ticket"]) == (name, "TNEW")
    assert park.exit.ask_out(card)["code"] == "invalid"
    assert park.till.sell(new)["due"] == 150
    park.exit.drive_out(new)
    assert stay(park.bench)["state"] == "left"
    check_ledger(park.bench)


def test_staff_ends_the_stay_of_a_pass_and_not_the_holder_s_swim(park: Park) -> None:
    card = park.bench.ticket(product="anwohner", entries_max=None)
    park.entry.drive_in(card)
    name = stay(park.bench)["id"]
    east = Gate(park.bench, "gate-1")
    east.hello()
    answer = east.ask(card)
    assert answer["code"] == "ok_reentry", answer
    east.release(answer)
    east.walk_in(answer)
    assert stay(park.bench)["state"] == "inside", "who walks into the pool drives no car away"
    figures = park.bench.engine.live.books.zones["park"].figures()
    assert figures.present == 1
    park.bench.order(EndStay(name, "towed", "Ann"))
    assert stay(park.bench)["state"] == "left"
    assert park.bench.rows("SELECT count(*) FROM visit WHERE zone = 'park' AND state = 'present'") == [(0,)]
    assert park.bench.rows("SELECT count(*) FROM visit WHERE zone = 'bath' AND state = 'present'") == [(1,)]


def test_rules_and_tariffs_that_do_not_go_together_are_refused(park: Park) -> None:
    wrong = [{"id": "dauer", "name": "D"}, {"id": "x", "name": "X", "parking_pass": "residents"}]
    refused = park.bench.rules(product=wrong)
    assert isinstance(refused, Declined)
    assert "[pass.residents]; there is: resident, work" in str(refused)
    later = TARIFF.read_text().replace("2020-01-01", "2099-01-01")
    refused = park.bench.order(AddTariff(later.replace("pass.resident", "pass.other"), False, "x", "Ann"))
    assert isinstance(refused, Declined)
    assert "the new version needs [pass.resident]" in str(refused)
    assert not isinstance(park.bench.order(AddTariff(later, False, "x", "Ann")), Declined)
