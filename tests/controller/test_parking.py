"""A car park on both databases: tickets at the entry, prices, payments, exits; what repeats, is lost or comes late."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.controller.car_park import HOUR, Entry, Exit, ScriptedTill, places, plan, price_bytes, stay, takings
from tests.controller.conftest import Bench
from tests.controller.voucher_desk import Shop, check_ledger

from einlass_controller.messages import Tick
from einlass_controller.orders import AnnulEntry, ReplaceTicket
from einlass_controller.orders_vouchers import Answered, EndPayment
from einlass_core import codes


class Park:
    """A bench with an entry, an exit and a till."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.entry, self.exit, self.till = Entry(bench, "in"), Exit(bench, "out"), ScriptedTill(bench)
        for gate in (self.entry, self.exit, self.till):
            gate.hello()

    def parked(self, hours: float) -> str:
        """A car that came so many hours ago."""
        code = self.entry.drive_in()
        self.bench.now_ms += int(hours * HOUR)
        return code

    def alarms(self) -> list[str]:
        return [str(item["reason"]) for item in self.bench.ledger("alarm")]


@pytest.fixture
def park(make_park: Callable[[dict[str, Any]], Bench]) -> Park:
    return Park(make_park(plan()))


def test_in_paid_and_out(park: Park) -> None:
    code = park.entry.drive_in()
    assert stay(park.bench)["state"] == "inside"
    park.bench.pass_by(minutes=29)
    assert park.exit.ask_out(code)["code"] == "ok_exit", "the free minutes"
    park.bench.pass_by(hours=1)
    answer = park.exit.ask_out(code)
    assert (answer["code"], answer["values"]["amount_cents"]) == ("payment_due", 100)
    priced = park.till.sell(code)
    assert (priced["due"], priced["until"]) == (100, park.bench.now_ms - 10 + 15 * 60_000)
    lines = priced["values"]["lines"]
    assert sum(line[2] for line in lines) == 100
    park.exit.drive_out(code)
    row = stay(park.bench)
    assert (row["state"], row["paid_cents"], row["unpaid_cents"]) == ("left", 100, 0)
    assert park.bench.engine.live.books.zones["park"].figures().present == 0
    (paid,) = park.bench.ledger("paid")
    assert (paid["till"], paid["stay"]) == ("kasse", row["id"])
    assert paid["tariff"].split()[:2] == ["parkplatz", "2020-01-01T00:00:00"]
    assert park.exit.ask_out(code)["code"] == "staff", "left already"
    assert takings(park.bench) == 100
    assert not park.alarms()
    check_ledger(park.bench)


def test_late_after_the_grace_the_rest_of_the_same_stay_is_due(park: Park) -> None:
    code = park.parked(1.0)
    park.till.sell(code)
    paid_ms = park.bench.now_ms
    park.bench.now_ms = paid_ms + 15 * 60_000 - 10
    assert park.exit.ask_out(code)["code"] == "ok_exit", "exactly the grace"
    park.bench.now_ms = paid_ms + 31 * 60_000
    answer = park.exit.ask_out(code)
    assert (answer["code"], answer["values"]["amount_cents"]) == ("payment_due", 100)
    assert park.till.sell(code)["due"] == 100
    park.exit.drive_out(code)
    assert takings(park.bench) == 200


def test_who_has_paid_does_not_get_the_grace_again_at_the_till(park: Park) -> None:
    code = park.parked(1.0)
    until = park.till.sell(code)["until"]
    park.bench.pass_by(minutes=14)
    again = park.till.sell(code)
    assert again["due"] == 0
    assert abs(again["until"] - until) < 1000, "the time to leave does not begin anew"
    park.bench.pass_by(minutes=20)
    assert park.exit.ask_out(code)["code"] == "payment_due"


def test_the_same_question_gets_the_same_bytes_also_after_a_crash(park: Park) -> None:
    card = _card(park, 60)
    code = park.parked(3.0)
    park.till.begin(code)
    question = park.till.price_message((card,), nonce="n.1.1")
    first = price_bytes(park.bench.attempt(question))
    park.bench.restart()
    park.bench.now_ms += HOUR
    assert price_bytes(park.bench.attempt(question)) == first
    other = park.till.price(nonce="n.1.1")
    assert other["code"] == "error", "the same nonce, another question"


def _lot(park: Park, value: int, **more: Any) -> Any:
    shop = park.bench.__dict__.setdefault("shop", None) or Shop(park.bench)
    park.bench.__dict__["shop"] = shop
    return shop.lot(value=value, **more)


def _card(park: Park, value: int, **more: Any) -> str:
    lot = _lot(park, value, **more)
    return str(next(iter(park.bench.__dict__["shop"].cards(lot).values())))


def _state(park: Park, card: str) -> str:
    ((state,),) = park.bench.rows(f"SELECT state FROM voucher WHERE digest = '{codes.digest(card)}'")
    return str(state)


def test_vouchers_are_held_used_with_the_money_and_handed_back(park: Park) -> None:
    cards = tuple(_card(park, 60) for _ in range(4))
    code = park.parked(3.0)
    park.till.begin(code)
    assert park.till.price()["due"] == 300
    one = park.till.price(*cards[:1])
    assert (one["due"], one["held"], one["values"]["saved_cents"]) == (200, "0", 100)
    all_four = park.till.price(*cards)
    assert (all_four["due"], all_four["held"]) == (0, "0 1 2"), "the fourth does not help"
    assert [_state(park, card) for card in cards] == ["held", "held", "held", "activated"]
    two = park.till.price(*cards[:2])
    assert (two["due"], two["held"]) == (100, "0 1")
    assert _state(park, cards[2]) == "activated", "handed back"
    park.till.pay(two, *cards[:2])
    assert [_state(park, card) for card in cards] == ["redeemed", "redeemed", "activated", "activated"]
    assert park.bench.rows("SELECT sum(saved_cents) FROM voucher") == [(200,)]
    row = stay(park.bench)
    assert (row["paid_cents"], row["card_minutes"], row["cards"]) == (100, 120, 2)
    park.exit.drive_out(code)
    assert takings(park.bench) == 100
    check_ledger(park.bench)


def test_one_card_that_cannot_be_held_holds_none_of_the_question(park: Park) -> None:
    good, used = _card(park, 60), _card(park, 60)
    park.till.sell(park.parked(2.0), used)
    code = park.parked(3.0)
    park.till.begin(code)
    assert park.till.price(good)["held"] == "0"
    refused = park.till.price(good, used)
    assert (refused["code"], refused["held"]) == ("redeemed", "")
    assert _state(park, good) == "held", "what an earlier question held still is"
    fresh = _card(park, 60)
    assert park.till.price(good, fresh, used)["code"] == "redeemed"
    assert _state(park, fresh) == "activated"


def test_the_same_card_at_two_machines_is_held_by_one(make_park: Callable[[dict[str, Any]], Bench]) -> None:
    values = plan()
    values["node"].append({"id": "till2"})
    values["till"].append({"id": "kasse2", "node": "till2", "zone": "park", "name": "Kasse 2"})
    park = Park(make_park(values))
    other = ScriptedTill(park.bench, "till2")
    other.hello()
    card = _card(park, 60)
    first, second = park.entry.drive_in(), park.entry.drive_in()
    park.bench.pass_by(hours=2)
    park.till.begin(first)
    other.begin(second)
    assert park.till.price(card)["code"] == "ok"
    assert other.price(card)["code"] == "held_elsewhere"
    park.till.record("aborted")
    assert other.price(card)["code"] == "ok"


@pytest.mark.parametrize("end", ["aborted", "powered", "boot", "next sale"])
def test_what_a_sale_holds_is_free_when_it_is_over(park: Park, end: str) -> None:
    card = _card(park, 60)
    code = park.parked(2.0)
    park.till.begin(code)
    park.till.price(card)
    assert _state(park, card) == "held"
    park.bench.now_ms += 10 * HOUR
    park.bench.run(Tick())
    assert _state(park, card) == "held", "time alone does not take it from a machine that may have used it"
    if end == "boot":
        park.till.boot += 1
        park.till.event("boot")
    elif end == "next sale":
        park.till.begin(code)
        assert park.till.price(card)["held"] == "0", "by the next sale of the same machine"
        return
    else:
        park.till.record(end)
    assert _state(park, card) == "activated"
    if end in ("aborted", "powered"):
        assert park.till.price(card)["code"] == "payment_over", "a question that comes too late"


def test_a_power_cut_before_the_first_record_of_a_sale_frees_what_it_held(park: Park) -> None:
    card = _card(park, 60)
    park.till.sell(park.parked(2.0))
    code = park.parked(2.0)
    park.till.begin(code)
    question = park.till.price_message((card,))
    park.bench.run(question)
    assert _state(park, card) == "held"
    # The power goes before anything of the second sale is written: its machine starts at the number of the first.
    park.till.sale -= 1
    park.till.boot += 1
    park.till.record("powered")
    assert _state(park, card) == "activated"
    late = park.till.price_message((card,), nonce="late")
    park.till.boot += 1
    park.till.record("powered")
    (answer,) = [item for item in park.bench.run(late) if item["kind"] == "priced"]
    assert answer["code"] == "error", "a question of an earlier start holds nothing"
    assert _state(park, card) == "activated"


def test_a_machine_that_lost_its_journal_may_have_used_what_it_held(park: Park) -> None:
    card = _card(park, 60)
    park.till.begin(park.parked(2.0))
    park.till.price(card)
    payment = f"till/{park.till.inc}/{park.till.sale}"
    park.till.inc, park.till.seq = "other", 0
    park.till.hello()
    assert _state(park, card) == "held", "it may have been used for a sale that nobody heard of"
    assert any(payment in reason for reason in park.alarms())
    park.till.begin(park.parked(2.0))
    assert park.till.price(card)["code"] == "held_elsewhere"
    assert isinstance(park.bench.order(EndPayment(payment, "the roll of paper shows no sale", "Ann")), Answered)
    assert _state(park, card) == "activated"
    check_ledger(park.bench)


def test_paid_without_what_it_was_priced_for_is_kept_and_alarms(park: Park) -> None:
    card = _card(park, 60)
    code = park.parked(2.0)
    park.till.begin(code)
    priced = park.till.price(card)
    park.till.record("aborted")
    park.till.sell(park.parked(2.0), card)
    # the machine's word comes late: money and evidence stay
    late = park.till.paid_record(priced, (card,), sale=1, subject=codes.digest(code))
    park.till.record("paid", late)
    assert len(park.bench.ledger("paid")) == 2
    (conflict,) = park.bench.ledger("voucher_conflict")
    assert conflict["saved_cents"] == 100
    assert any("not its own any more" in reason for reason in park.alarms())
    park.till.begin("E1:0000000000000000A")
    park.till.pay({"due": 500, "held": "", "until": 0})
    assert any("nobody knows" in reason for reason in park.alarms())
    assert takings(park.bench) == late["coins"] + 100 + 500 - 0
    check_ledger(park.bench)


def test_records_that_repeat_count_once(park: Park) -> None:
    code = park.parked(2.0)
    park.till.begin(code)
    said = park.till.paid_record(park.till.price())
    message = park.till.event_message("paid", till={**park.till.books, "sale": 1}, sale=said)
    for _ in range(3):
        park.bench.attempt(message)
    park.bench.restart()
    park.bench.attempt(message)
    assert takings(park.bench) == said["due"] == 200
    assert stay(park.bench)["paid_cents"] == 200


def test_a_car_that_came_while_the_entry_was_cut_off_pays_like_any_other(park: Park) -> None:
    code = park.entry.code()
    assert park.exit.ask_out(code)["code"] == "invalid"
    park.entry.alone(code)
    assert stay(park.bench)["state"] == "inside"
    park.bench.pass_by(hours=2)
    assert park.exit.ask_out(code)["values"]["amount_cents"] == 200
    assert park.till.sell(code)["due"] == 200
    park.exit.drive_out(code)
    assert not park.alarms()
    check_ledger(park.bench)


def test_out_without_paying_is_told_and_taken_back_when_the_till_tells_late(park: Park) -> None:
    code = park.parked(2.0)
    park.till.begin(code)
    priced = park.till.price()
    park.exit.alone(code)
    assert stay(park.bench)["unpaid_cents"] == 200
    assert park.bench.ledger("left_unpaid")[-1]["cents"] == 200
    park.till.pay(priced)
    assert stay(park.bench)["unpaid_cents"] == 0
    assert [item["cents"] for item in park.bench.ledger("left_unpaid")] == [200, 0]


def test_nobody_drove_in(park: Park) -> None:
    code = park.entry.code()
    answer = park.entry.ask(code)
    park.entry.release(answer)
    park.entry.turn_back(answer)
    park.entry.status()
    assert stay(park.bench)["state"] == "unused"
    assert park.bench.engine.live.books.zones["park"].figures().free == 5
    park.entry.drive_in(code)
    assert stay(park.bench)["state"] == "inside", "the same ticket was put in again"


def test_a_full_car_park_gives_out_no_ticket(make_park: Callable[[dict[str, Any]], Bench]) -> None:
    park = Park(make_park(plan(cap=1)))
    first = park.entry.drive_in()
    assert park.entry.ask(park.entry.code())["code"] == "zone_full"
    assert park.bench.rows("SELECT count(*) FROM ticket") == [(1,)]
    park.exit.drive_out(first)
    park.exit.status()
    park.entry.drive_in()


def test_only_our_own_random_codes_become_tickets(park: Park) -> None:
    assert park.entry.ask("HELLO")["code"] == "invalid"
    assert park.exit.ask_out("HELLO")["code"] == "invalid"
    assert park.bench.rows("SELECT count(*) FROM stay") == [(0,)]


def test_pay_and_display(park: Park) -> None:
    park.till.begin("WW-EH 1", "display")
    nothing = park.till.price()
    assert nothing["due"] == 0
    priced = park.till.price(paid=250)
    assert priced["due"] == 200, "the least that buys the same"
    assert priced["until"] - park.bench.now_ms == pytest.approx(150 * 60_000, abs=61_000)
    park.till.pay(priced)
    row = stay(park.bench)
    assert (row["kind"], row["paid_cents"], row["until_ms"]) == ("display", 200, priced["until"])
    assert row["plate"]
    assert codes.digest("WW-EH 1") not in str(park.bench.rows("SELECT body FROM ledger")) + str(row)
    park.till.begin("WW-EH 1", "display")
    more = park.till.price(paid=100)
    assert more["until"] == priced["until"] + HOUR, "more money makes the same stay longer"
    park.till.pay(more)
    park.bench.now_ms = more["until"] + 6 * 60_000
    park.bench.run(Tick())
    assert (stay(park.bench)["state"], stay(park.bench)["plate"]) == ("left", "")
    assert takings(park.bench) == 300
    check_ledger(park.bench)


def test_a_pool_ticket_from_the_till(park: Park) -> None:
    park.bench.rules(product=[{"id": "bad", "name": "Bad", "entries": 1, "price_cents": 450}])
    park.till.begin("bad", "pool")
    priced = park.till.price()
    assert (priced["code"], priced["due"]) == ("ok", 450)
    code = codes.opaque(77)
    park.till.pay(priced, code=codes.digest(code))
    gate = park.bench.gate("gate-1")
    assert gate.enter(code)["code"] == "ok"
    park.till.begin("parkschein", "pool")
    assert park.till.price()["code"] == "wrong_product", "no till sells that"
    check_ledger(park.bench)


def test_a_lost_ticket_is_paid_at_the_till(park: Park) -> None:
    park.parked(2.0)
    park.till.begin("WW-EH 1", "lost")
    priced = park.till.price()
    assert priced["due"] == 2000
    code = codes.opaque(78)
    park.till.pay(priced, code=codes.digest(code))
    park.exit.drive_out(code)
    assert stay(park.bench)["kind"] == "lost"
    assert takings(park.bench) == 2000


def test_what_a_till_owes_doubts_and_stops_is_seen(park: Park) -> None:
    park.till.books |= {"taken": 500, "owed": 500}
    park.till.record("owed", {"cents": 500}, slip={"slip": "k-1-o", "owed": 500})
    park.till.record("card_doubtful", {"ref": "k-7", "cents": 300})
    park.till.record("coins_stopped", {"reason": "cash box full"})
    found = park.bench.rows("SELECT kind, name, cents, state FROM till_claim ORDER BY at_ms, kind DESC")
    assert [tuple(row) for row in found] == [("owed", "k-1-o", 500, "open"), ("card", "k-7", 300, "open")]
    assert [reason.split(":")[0] for reason in park.alarms()] == ["owed", "card_doubtful", "coins_stopped"]
    assert park.bench.engine.live.nodes["till"].fault == "coins_stopped"
    park.till.books |= {"taken": 1000, "credit": 400}
    park.till.record("coins")
    assert any("does not add up" in reason for reason in park.alarms())
    assert park.bench.engine.live.nodes["till"].fault == ""


def test_a_sign_is_told_the_free_places(park: Park) -> None:
    sign = park.bench.gate("sign", hello=False)
    for gate in (park.entry, park.exit):
        gate.status()
    assert places(sign.hello()) == [5]
    answer = park.entry.ask(park.entry.code())
    assert answer["code"] == "ok"
    park.entry.release(answer)
    sent = park.bench.run(Tick())
    assert places(sent) == []
    park.entry.walk_in(answer)
    for _ in range(7):
        park.bench.now_ms += 10_000
        assert not [places(gate.status()) for gate in (park.entry, park.exit, sign) if places(gate.status())]
    assert places(park.bench.run(Tick(announce=True))) == [4], "again with every minute"


def test_a_visit_to_the_pool_pays_the_parking_once(make_park: Callable[[dict[str, Any]], Bench]) -> None:
    park = Park(make_park(plan(free_with="bath", free_minutes=120)))
    early = park.bench.ticket(persons=1)
    gate = park.bench.gate("gate-1")
    gate.enter(early)
    park.bench.pass_by(minutes=5)
    code = park.entry.drive_in()
    pool = park.bench.ticket()
    park.till.begin(code)
    park.bench.pass_by(hours=1)
    assert park.till.price(pool)["code"] == "not_active", "nobody went in by it yet"
    gate.enter(pool)
    assert park.till.price(early)["code"] == "not_active", "before this stay"
    park.bench.pass_by(hours=2)
    priced = park.till.price(pool)
    assert (priced["due"], priced["held"], priced["values"]["saved_cents"]) == (100, "0", 200)
    park.till.pay(priced, pool)
    park.exit.drive_out(code)
    again = park.entry.drive_in()
    park.bench.pass_by(hours=2)
    park.till.begin(again)
    assert park.till.price(pool)["code"] == "not_active", "a visit pays for the stay that it was in"
    check_ledger(park.bench)


def test_contract_parkers_come_and_go_free(park: Park) -> None:
    park.bench.rules(product=[{"id": "dauer", "name": "Dauer", "reentry": {"policy": "always"}}])
    season = park.bench.ticket(product="dauer", entries_max=None, zone="park")
    gate = park.entry
    assert park.exit.ask_out(season)["code"] == "staff", "not known to be inside"
    gate.enter(season)
    park.bench.pass_by(hours=30)
    park.till.begin(season)
    assert park.till.price()["code"] == "ok_exit", "nothing to pay"
    park.exit.drive_out(season)
    assert park.bench.rows("SELECT count(*) FROM stay") == [(0,)]
    swimmer = park.bench.ticket()
    assert park.exit.ask_out(swimmer)["code"] == "invalid", "a pool ticket opens no barrier"


def test_all_cut_off_the_exit_may_tell_before_the_entry(park: Park) -> None:
    code = park.entry.code()
    came_ms = park.bench.now_ms
    park.bench.pass_by(hours=2)
    park.exit.alone(code)
    assert (stay(park.bench)["state"], stay(park.bench)["unpaid_cents"]) == ("left", 0)
    park.entry.alone(code, unix_ms=came_ms)
    row = stay(park.bench)
    assert (row["state"], row["entered_ms"], row["unpaid_cents"]) == ("left", came_ms, 200)
    assert park.bench.rows("SELECT count(*) FROM visit WHERE state = 'present'") == [(0,)]
    assert park.bench.engine.live.books.zones["park"].figures().present == 0
    check_ledger(park.bench)


def test_a_till_that_got_no_answer_sells_at_the_price_before(park: Park) -> None:
    card = _card(park, 60)
    code = park.parked(2.0)
    park.till.begin(code)
    first = park.till.price(card)
    park.bench.pass_by(hours=1)
    assert park.till.price(card)["due"] == 200, "an answer that never came"
    park.till.pay(first, card)
    assert not park.alarms()
    assert takings(park.bench) == first["due"] == 100
    assert _state(park, card) == "redeemed"


def test_a_replaced_or_annulled_ticket_takes_its_stay_along(park: Park) -> None:
    code = park.parked(2.0)
    park.till.sell(code)
    old = stay(park.bench)["id"]
    new = codes.opaque(4242)
    sha256 = park.bench.intake.prove(new.encode()).sha256
    park.bench.order(ReplaceTicket(old, "NEWTICKET000", codes.digest(new), sha256, 0, "wet", "ann"))
    assert park.exit.ask_out(code)["code"] == "staff"
    park.exit.drive_out(new)
    found = park.bench.rows("SELECT paid_cents, unpaid_cents, state FROM stay WHERE id = 'NEWTICKET000'")
    assert [tuple(row) for row in found] == [(200, 0, "left")]
    other = park.entry.drive_in()
    name = str(stay(park.bench)["id"])
    park.bench.order(AnnulEntry(name, "", "drove backwards", "ann"))
    assert stay(park.bench)["state"] == "unused"
    assert park.exit.ask_out(other)["code"] == "ok_exit"
    check_ledger(park.bench)


def test_a_machine_whose_clock_is_wrong_pays_when_it_was_asked(park: Park) -> None:
    code = park.parked(2.0)
    park.till.begin(code)
    said = park.till.paid_record(park.till.price())
    park.till.event("paid", till={**park.till.books, "sale": 1}, sale=said, unix_ms=1_000)
    ((paid_ms,),) = park.bench.rows("SELECT paid_ms FROM parking_sale WHERE state = 'paid'")
    assert paid_ms > park.bench.now_ms - HOUR


def test_a_sale_whose_hold_staff_has_ended_holds_nothing_more(park: Park) -> None:
    card = _card(park, 60)
    park.till.begin(park.parked(2.0))
    park.till.price(card)
    park.bench.order(EndPayment(f"till/{park.till.inc}/1", "the machine burnt", "ann"))
    assert _state(park, card) == "activated"
    assert park.till.price(card)["code"] == "payment_over"
    assert _state(park, card) == "activated"


def test_a_lost_ticket_without_a_price_is_staff_s(make_park: Callable[[dict[str, Any]], Bench]) -> None:
    park = Park(make_park(plan(lost_ticket_cents=None)))
    park.till.begin("WW-EH 1", "lost")
    assert park.till.price()["code"] == "staff"
    (missing,) = park.bench.ledger("price_missing")
    assert "lost_ticket_cents" in missing["reason"]


def test_a_record_that_breaks_a_rule_of_ours_blocks_nothing(park: Park, monkeypatch: pytest.MonkeyPatch) -> None:
    code = park.parked(2.0)
    park.till.begin(code)
    priced = park.till.price()

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a fault of ours")

    with monkeypatch.context() as patched:
        patched.setattr("einlass_controller.steps.parking_sales._paid", broken)
        park.till.pay(priced)
    assert any("may be missing" in reason for reason in park.alarms())
    park.till.sell(code)
    assert park.bench.engine.live.nodes["till"].applied == park.till.seq
