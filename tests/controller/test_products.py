"""Every product that a pool sells, from the rules' text to the count, at a desk and at a gate."""

from dataclasses import replace
from typing import Any

import pytest

from einlass_controller.domain.hours import local_day, local_instant
from einlass_controller.messages import Declined, Issue, Redeem, SetRules, Vouch
from einlass_controller.orders import ReplaceTicket
from einlass_core import codes

HOUR_MS = 3_600_000


def test_reentry_as_often_as_one_likes(bench: Any) -> None:
    bench.rules(product=[{"id": "day", "name": "Tag", "entries": 1, "reentry": {"policy": "always"}}])
    code = bench.ticket(product="day")
    assert bench.redeem(code)["code"] == "ok"
    for _ in range(3):
        bench.redeem(code, "exit")
        again = bench.redeem(code)
        assert (again["code"], again["entries_left"]) == ("ok_reentry", 0)
    assert bench.rows("SELECT entries_used FROM ticket") == [(1,)]


def test_reentry_on_the_same_day_only(bench: Any) -> None:
    policy = {"policy": "always", "same_day": True}
    bench.rules(product=[{"id": "day", "name": "Tag", "entries": 1, "reentry": policy}])
    code = bench.ticket(product="day")
    bench.redeem(code)
    bench.redeem(code, "exit")
    bench.pass_by(hours=24)
    assert bench.redeem(code)["code"] == "used_up"


def test_reentry_within_minutes_uses_no_entry_and_later_uses_one(bench: Any) -> None:
    policy = {"policy": "within", "minutes": 30}
    bench.rules(product=[{"id": "ten", "name": "Zehn", "entries": 2, "reentry": policy}])
    code = bench.ticket(product="ten", entries_max=2)
    bench.redeem(code)
    bench.redeem(code, "exit")
    bench.pass_by(minutes=29)
    again = bench.redeem(code)
    assert (again["code"], again["entries_left"]) == ("ok_reentry", 1)
    bench.redeem(code, "exit")
    bench.pass_by(minutes=31)
    later = bench.redeem(code)
    assert (later["code"], later["entries_left"]) == ("ok", 0)
    bench.redeem(code, "exit")
    bench.pass_by(minutes=31)
    assert bench.redeem(code)["code"] == "used_up"


def test_reentry_locked_says_how_long(bench: Any) -> None:
    bench.rules(product=[{"id": "day", "name": "Tag", "entries": 1, "reentry": {"policy": "locked", "minutes": 60}}])
    code = bench.ticket(product="day")
    bench.redeem(code)
    bench.redeem(code, "exit")
    bench.pass_by(minutes=20)
    locked = bench.redeem(code)
    assert (locked["code"], locked["values"]["minutes"]) == ("reentry_locked", 40)
    bench.pass_by(minutes=40)
    assert bench.redeem(code)["code"] == "ok_reentry"


def test_a_season_pass_with_lock_time_and_times_a_day(bench: Any) -> None:
    bench.rules(product=[{"id": "season", "name": "Saison", "times_per_day": 2, "lock_minutes": 15}])
    code = bench.ticket(product="season", entries_max=None)
    assert bench.redeem(code)["code"] == "ok"
    bench.redeem(code, "exit")
    assert bench.redeem(code)["code"] == "reentry_locked"
    bench.pass_by(minutes=15)
    assert bench.redeem(code)["code"] == "ok"
    bench.redeem(code, "exit")
    bench.pass_by(minutes=15)
    third = bench.redeem(code)
    assert (third["code"], third["values"]["entries_today"]) == ("used_up", 2)
    bench.pass_by(hours=24)
    assert bench.redeem(code)["code"] == "ok"


def test_a_use_of_the_day_comes_back_when_nobody_went_through(bench: Any) -> None:
    bench.rules(product=[{"id": "season", "name": "Saison", "times_per_day": 1}])
    gate, code = bench.gate(), bench.ticket(product="season", entries_max=None)
    answer = gate.ask(code)
    gate.release(answer)
    gate.turn_back(answer)
    gate.status()
    assert gate.ask(code)["code"] == "ok"


def test_a_card_lets_in_several_at_once_and_one_after_the_other(make_bench: Any) -> None:
    bench = make_bench(20)
    bench.rules(product=[{"id": "ten", "name": "Zehnerkarte", "entries": 10, "group": True}])
    code = bench.ticket(product="ten", entries_max=10)
    first = bench.redeem(code, persons=4)
    assert (first["code"], first["persons"], first["entries_left"]) == ("ok", 4, 6)
    gate = bench.gate()
    assert gate.ask(code)["values"]["entries_left"] == 5
    more = bench.redeem(code, persons=6)
    assert (more["code"], more["values"]["entries_missing"]) == ("used_up", 1)
    assert (more["rule"], more["values"]["entries_left"], more["values"]["persons"]) == ("ten.too_few", 5, 6)
    assert bench.redeem(code, persons=5)["code"] == "ok"
    assert bench.redeem(code, "exit", persons=3)["code"] == "ok_exit"
    assert bench.engine.live.books.zones["bath"].figures().present == 6


def test_a_family_is_let_in_together_or_in_part(make_bench: Any) -> None:
    bench = make_bench(10)
    bench.rules(product=[{"id": "family", "name": "Familie", "persons": 4, "entries": 1}])
    code = bench.ticket(product="family", persons=4)
    assert bench.redeem(code, persons=3)["persons"] == 3
    other = bench.ticket(product="family", persons=4)
    assert bench.redeem(other, persons=9)["persons"] == 4
    assert bench.figures()[0] == 7


def test_the_evening_ticket_says_from_when(bench: Any) -> None:
    bench.rules(product=[{"id": "evening", "name": "Abend", "entries": 1, "from": "17:00", "until": "21:00"}])
    code = bench.ticket(product="evening")
    day = bench_day(bench)
    bench.now_ms = local_instant(day, 17 * HOUR_MS - 60_000, bench.engine.live.clocks)
    early = bench.redeem(code)
    assert (early["code"], early["values"]["limit"]) == ("too_early", "17:00")
    assert early["text"]["de"] == "Diese Karte gilt ab {limit} Uhr"
    assert early["text_key"] == "rule.evening.from"
    bench.now_ms = local_instant(day, 21 * HOUR_MS, bench.engine.live.clocks)
    assert bench.redeem(code)["code"] == "expired"
    bench.now_ms = local_instant(day, 21 * HOUR_MS - 60_000, bench.engine.live.clocks)
    assert bench.redeem(code)["code"] == "ok"


def test_a_reduced_ticket_waits_for_staff_who_redeem_it_again(bench: Any) -> None:
    bench.rules(product=[{"id": "reduced", "name": "Ermäßigt", "entries": 1, "proof": True}])
    code = bench.ticket(product="reduced")
    prompt = bench.redeem(code)
    assert prompt["code"] == "staff"
    assert bench.rows("SELECT entries_used FROM ticket") == [(0,)]
    assert bench.redeem(code, proof_seen=True)["code"] == "ok"
    assert bench.ledger("decision")[-1]["proof_seen"] == "api:test"


def test_staff_vouches_and_the_turnstile_asks_no_more(bench: Any) -> None:
    bench.rules(product=[{"id": "reduced", "name": "Ermäßigt", "entries": 1, "proof": True}])
    gate, code = bench.gate(), bench.ticket(product="reduced")
    assert gate.ask(code)["code"] == "staff"
    bench.order(Vouch("T1", bench.now_ms + 600_000, "Ann"))
    assert gate.ask(code)["code"] == "ok"
    assert bench.ledger("vouched")[0]["by"] == "Ann"
    assert isinstance(bench.order(Vouch("T9", bench.now_ms, "Ann")), Declined)


def test_company_comes_with_whom_it_belongs_to(bench: Any) -> None:
    bench.rules(product=[{"id": "company", "name": "Begleitung", "entries": 1, "company": True}])
    main = bench.ticket()
    company = bench.ticket(product="company", company_of="T1")
    assert bench.redeem(company)["code"] == "staff"
    bench.redeem(main)
    assert bench.redeem(company)["code"] == "ok"


def test_company_comes_along_whatever_code_the_other_ticket_has_now(bench: Any) -> None:
    bench.rules(product=[{"id": "company", "name": "Begleitung", "entries": 1, "company": True}])
    main = bench.ticket()
    company = bench.ticket(product="company", company_of="T1")
    bench.redeem(main)
    for old, new in (("T1", "R1"), ("R1", "R2")):
        proof = bench.intake.prove(codes.opaque(len(new + old) + int(new[1])).encode())
        bench.order(ReplaceTicket(old, new, proof.digest, proof.sha256, 0, "lost", "Ann"))
    bench.restart()
    assert bench.redeem(company)["code"] == "ok"


def test_a_replaced_companion_still_may_only_come_along(bench: Any) -> None:
    bench.rules(product=[{"id": "company", "name": "Begleitung", "entries": 1, "company": True}])
    main, _ = bench.ticket(), bench.ticket(product="company", company_of="T1")
    new = codes.opaque(77)
    proof = bench.intake.prove(new.encode())
    bench.order(ReplaceTicket("T2", "R2", proof.digest, proof.sha256, 0, "lost", "Ann"))
    bench.restart()
    assert bench.redeem(new)["code"] == "staff"
    bench.redeem(main)
    assert bench.redeem(new)["code"] == "ok"


def test_a_stay_that_is_too_long_costs_and_is_paid_at_the_desk(bench: Any) -> None:
    stay = {"free_minutes": 120, "step_minutes": 30, "step_cents": 150, "max_cents": 600}
    bench.rules(product=[{"id": "short", "name": "Kurz", "entries": 1, "stay": stay}])
    code = bench.ticket(product="short")
    bench.redeem(code)
    bench.pass_by(minutes=119, seconds=59)
    bench.pass_by(minutes=31)
    due = bench.redeem(code, "exit")
    assert (due["code"], due["values"]["amount_cents"], due["values"]["minutes"]) == ("overstay_due", 300, 31)
    assert bench.figures()[0] == 1
    assert bench.redeem(code, "exit", paid_cents=299)["code"] == "overstay_due"
    assert bench.redeem(code, "exit", paid_cents=300)["code"] == "ok_exit"
    assert bench.figures()[0] == 0
    assert bench.ledger("paid") == [{"by": "api:test", "ticket": "T1", "cents": 300, "decision": "d4"}]


def test_a_free_exit_keeps_nobody_but_the_money_is_owed(bench: Any) -> None:
    stay = {"free_minutes": 120, "step_minutes": 30, "step_cents": 150}
    bench.rules(product=[{"id": "short", "name": "Kurz", "entries": 2, "stay": stay}])
    gate, code = bench.gate(), bench.ticket(product="short", entries_max=2)
    gate.enter(code)
    bench.pass_by(minutes=121)
    gate.event("exit", nonce="x1", side="exit", digest=codes.digest(code))
    gate.walk_out(nonce="x1")
    assert bench.figures()[0] == 0
    assert bench.ledger("overstay")[0]["cents"] == 150
    assert gate.ask(code)["code"] == "overstay_due"
    assert bench.redeem(code, paid_cents=150)["code"] == "ok"
    bench.redeem(code, "exit")
    assert bench.rows("SELECT due_cents FROM ticket") == [(0,)]


SLOTS = {"minutes": 120, "early_minutes": 10, "late_minutes": 30, "quota": 5, "walk_in_percent": 40}
SLOT = {"id": "slot", "name": "Zeitfenster", "entries": 1, "slots": SLOTS}


def test_a_time_slot_has_its_time_and_its_quota(bench: Any) -> None:
    bench.rules(product=[SLOT])
    start = bench.now_ms + HOUR_MS
    code = bench.ticket(product="slot", slot_ms=start)
    early = bench.redeem(code)
    assert (early["code"], early["values"]["minutes"]) == ("too_early", 50)
    bench.now_ms = start - 10 * 60_000
    assert bench.redeem(code)["code"] == "ok"
    for late, expected in ((30, "ok"), (31, "expired")):
        bench.now_ms = start
        other = bench.ticket(product="slot", slot_ms=start)
        bench.now_ms = start + late * 60_000 - 20
        assert bench.redeem(other)["code"] == expected
    bench.now_ms = start
    fourth = sell(bench, start, walk_in=False)
    assert isinstance(fourth, Declined)
    assert "0 places left" in fourth.reason
    assert sell(bench, start, walk_in=True) is None
    assert sell(bench, start, walk_in=True) is None
    assert isinstance(sell(bench, start, walk_in=True), Declined)
    tomorrow = bench.ticket(product="slot", slot_ms=start + 24 * HOUR_MS)
    assert bench.redeem(tomorrow)["code"] == "wrong_date"
    assert bench.redeem(bench.ticket(product="slot"))["code"] == "staff"


def test_a_product_only_for_some_zones(bench: Any) -> None:
    bench.rules(product=[{"id": "sauna", "name": "Sauna", "entries": 1, "zones": ["sauna"]}])
    assert bench.redeem(bench.ticket(product="sauna"))["code"] == "wrong_product"


def test_a_rule_of_the_houses_own(bench: Any) -> None:
    rule = {
        "id": "kids",
        "when": [{"fact": "persons", "above": 2}, {"fact": "time", "at_least": "00:00"}],
        "code": "staff",
        "de": "Mehr als {limit} Kinder: bitte an die Kasse",
        "en": "More than {limit} children: to the desk, please",
    }
    bench.rules(product=[{"id": "kids", "name": "Kinder", "persons": 3, "entries": 1, "rule": [rule]}])
    found = bench.redeem(bench.ticket(product="kids", persons=3))
    assert (found["code"], found["values"]["limit"], found["rule"]) == ("staff", 2, "kids.kids")
    assert found["rules_version"] == "1"
    assert bench.redeem(bench.ticket(product="kids", persons=2))["code"] == "ok"


def test_new_rules_hold_from_their_instant_on_and_after_a_crash(bench: Any) -> None:
    code = bench.ticket(entries_max=None)
    body = {"product": [{"id": "single", "name": "Einzel", "proof": True}]}
    later = bench.now_ms + HOUR_MS
    done = bench.order(SetRules(body, later, "Ann", "from the summer on"))
    assert done.values == {"version": 1, "valid_from_ms": later}
    bench.restart()
    assert bench.redeem(code)["code"] == "ok"
    bench.redeem(code, "exit")
    bench.now_ms = later
    assert bench.redeem(code)["code"] == "staff"
    assert bench.ledger("rules")[0]["reason"] == "from the summer on"


def test_rules_that_cannot_be_are_not_taken(bench: Any) -> None:
    bench.ticket()
    gone = SetRules({"product": [{"id": "other", "name": "O"}]}, 0, "Ann", "x")
    assert "valid tickets of single" in bench.order(gone).reason
    past = SetRules({"product": [{"id": "single", "name": "S"}]}, bench.now_ms - 1, "Ann", "x")
    assert "past" in bench.order(past).reason
    assert "'gym'" in bench.rules(zone=[{"id": "gym"}]).reason
    assert bench.rows("SELECT count(*) FROM rules") == [(0,)]


@pytest.mark.parametrize("persons", [0, 2])
def test_the_same_nonce_with_another_answer_of_staff_is_a_conflict(bench: Any, persons: int) -> None:
    code = bench.ticket(persons=2)
    proof = bench.intake.prove(code.encode())
    first = bench.order(Redeem("api:a", "desk-bath", "entry", "n", proof, persons))
    again = bench.order(Redeem("api:a", "desk-bath", "entry", "n", proof, persons))
    other = bench.order(Redeem("api:a", "desk-bath", "entry", "n", proof, 1))
    assert (again.answer, again.conflict, other.conflict) == (first.answer, False, True)


def sell(bench: Any, slot_ms: int, walk_in: bool) -> Any:
    bench.made += 1
    code = codes.opaque(5_000_000 + bench.made)
    ticket = replace(bench.last, id=f"S{bench.made}", digest=codes.digest(code), product="slot", slot_ms=slot_ms)
    return bench.order(Issue((ticket,), "test", walk_in))


def bench_day(bench: Any) -> Any:
    return local_day(bench.now_ms, bench.engine.live.clocks)
