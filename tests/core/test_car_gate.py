"""Every transition of a car park's exit (the table at the head of car_gate.py)."""

from car_lane import EXIT, CarLane
from einlass_core import codes
from einlass_core.car_gate import CarGate
from einlass_core.events import BodyPassed, EmergencyInput, Linked, PassageBusy, Rearmed, Ticked
from einlass_core.gate import ASKING, LOCKED, RELEASED, SETTLING, GateSettings
from einlass_core.lease import Account
from lane import CODE, OTHER, MemoryStore

DIGEST = codes.digest(CODE.decode())


def test_it_starts_shut() -> None:
    lane = CarLane()
    assert not lane.bolt[EXIT] and lane.gate.exit == LOCKED and lane.shown == "ready"


def test_who_has_paid_drives_out_and_the_boom_closes_behind_the_car() -> None:
    lane = CarLane()
    lane.leave(0)
    assert lane.gate.exit == ASKING and lane.shown == "checking" and not lane.bolt[EXIT]
    assert (lane.asked[0].side, lane.asked[0].code) == (EXIT, CODE.decode())
    lane.decide(50)
    assert lane.gate.exit == RELEASED and lane.bolt[EXIT] and lane.shown == "ok_exit"
    assert lane.facts("exit") == [{"nonce": lane.asked[0].nonce, "side": EXIT, "digest": DIGEST}]
    lane.step(900, PassageBusy(True))
    lane.step(3000, BodyPassed(EXIT))
    assert lane.gate.exit == LOCKED and not lane.bolt[EXIT] and lane.shown == "ready"
    assert lane.facts("passed") == [{"nonce": lane.asked[0].nonce, "side": EXIT, "persons": 1}]
    assert lane.account.balance == -1


def test_who_has_not_paid_sees_why_and_stays() -> None:
    for code in ("payment_due", "invalid", "staff", "ok", "never heard of"):
        lane = CarLane()
        lane.leave(0)
        lane.decide(50, code)
        assert lane.gate.exit == LOCKED and not lane.bolt[EXIT] and lane.shown == code
        assert lane.kinds() == ["boot"]
        lane.step(3050, Ticked())
        assert lane.shown == "ready"


def test_an_answer_twice_late_or_for_another_opens_once_or_never() -> None:
    lane = CarLane()
    lane.leave(0)
    lane.decide(10, nonce="OLD.1.1")
    assert not lane.bolt[EXIT]
    lane.decide(20)
    lane.decide(30)
    assert lane.raised == 1
    lane.step(40, BodyPassed(EXIT))
    lane.decide(50)
    assert not lane.bolt[EXIT] and lane.raised == 1 and len(lane.facts("exit")) == 1


def test_no_answer_in_time_lets_out_by_the_policy_under_the_same_nonce() -> None:
    lane = CarLane()
    lane.leave(0)
    assert lane.gate.deadline_ms == 2000
    lane.step(2000, Ticked())
    assert lane.bolt[EXIT]
    assert lane.facts("exit") == [{"nonce": lane.asked[0].nonce, "side": EXIT, "digest": DIGEST, "reason": "open"}]
    lane.decide(2100, "payment_due")
    assert lane.bolt[EXIT] and lane.shown == "ok_exit"


def test_no_answer_in_time_keeps_who_is_not_known_to_have_paid() -> None:
    lane = CarLane(exit_cut_off="secure")
    lane.leave(0)
    lane.step(2000, Ticked())
    assert not lane.bolt[EXIT] and lane.shown == "staff" and lane.raised == 0
    assert lane.facts("given_up") == [{"nonce": lane.asked[0].nonce, "side": EXIT, "digest": DIGEST, "code": "staff"}]
    lane.decide(2100)
    assert not lane.bolt[EXIT], "too late"
    lane.leave(2200)
    lane.decide(2300)
    assert lane.bolt[EXIT], "the same ticket may be shown again at once"


def test_cut_off_asks_nobody() -> None:
    lane = CarLane(linked=False)
    lane.leave(0)
    assert lane.bolt[EXIT] and not lane.asked and lane.facts("exit")[0]["reason"] == "open"
    lane = CarLane(linked=False, exit_cut_off="secure")
    lane.leave(0)
    assert not lane.bolt[EXIT] and lane.shown == "staff"
    assert lane.facts("refused")[0]["digest"] == DIGEST


def test_cut_off_opens_for_codes_and_not_for_noise() -> None:
    lane = CarLane(linked=False)
    for raw in (b"\xff\x00", b"A" * 300, b"   "):
        lane.leave(0, raw)
    assert not lane.bolt[EXIT] and lane.shown == "invalid" and lane.kinds() == ["boot", "refused"]
    lane.leave(1000, b"\xff")
    assert lane.facts("refused")[1]["persons"] == 3, "noise does not fill the journal"


def test_the_boom_is_raised_only_for_what_is_on_the_disk() -> None:
    lane = CarLane()
    lane.leave(0)
    lane.store.full = True
    lane.decide(50)
    assert not lane.bolt[EXIT] and lane.raised == 0 and lane.shown == "error" and lane.gate.exit == LOCKED
    lane.store.full = False
    lane.step(1050, Ticked())
    assert lane.facts("given_up") == [{"nonce": lane.asked[0].nonce, "side": EXIT, "ms": 50}]
    lane.leave(1100)
    lane.decide(1150)
    assert lane.bolt[EXIT]


def test_a_car_that_starts_late_is_waited_for_and_counted() -> None:
    lane = CarLane()
    lane.leave(0)
    lane.decide(0)
    lane.step(5900, PassageBusy(True))
    lane.step(6000, Ticked())
    assert lane.gate.exit == SETTLING and not lane.bolt[EXIT]
    lane.step(6400, Ticked())
    assert lane.gate.exit == SETTLING
    lane.step(9000, BodyPassed(EXIT))
    assert lane.gate.exit == LOCKED and lane.facts("passed")[0]["nonce"] == lane.asked[0].nonce
    assert "forced" not in lane.kinds() and "fault" not in lane.kinds()


def test_a_release_that_nobody_used_ends() -> None:
    lane = CarLane()
    lane.leave(0)
    lane.decide(0)
    lane.step(6000, Ticked())
    lane.step(6400, Ticked())
    assert lane.gate.exit == LOCKED and lane.shown == "ready"
    assert lane.facts("unused") == [{"nonce": lane.asked[0].nonce, "side": EXIT, "persons": 0}]
    assert lane.gate.deadline_ms is None
    lane.leave(6500)
    assert lane.gate.exit == ASKING, "and the same car may try again"


def test_in_doubt_the_car_is_inside() -> None:
    lane = CarLane()
    lane.leave(0)
    lane.decide(0)
    lane.step(5900, PassageBusy(True))
    for now_ms in range(6000, 26_500, 100):
        lane.step(now_ms, Ticked())
    assert lane.facts("unused")[0]["doubtful"] is True
    assert lane.account.balance == 0
    lane.step(27_000, BodyPassed(EXIT))
    assert lane.account.balance == -1 and lane.kinds()[-1] == "forced"


def test_one_car_at_a_time() -> None:
    lane = CarLane()
    lane.leave(0)
    lane.leave(10, OTHER)
    assert len(lane.asked) == 1
    lane.decide(20)
    lane.leave(2000, OTHER)
    lane.step(3000, BodyPassed(EXIT))
    assert len(lane.asked) == 1 and not lane.bolt[EXIT]
    lane.leave(3100, OTHER)
    assert lane.asked[1].code == OTHER.decode()


def test_who_drives_out_without_a_release_is_counted_as_forced() -> None:
    lane = CarLane()
    lane.step(0, BodyPassed(EXIT))
    assert lane.kinds() == ["boot", "forced"] and lane.account.balance == -1


def test_an_emergency_raises_it_for_good_whatever_was_under_way() -> None:
    for before in ("nothing", "asked", "released", "settling"):
        lane = CarLane()
        if before != "nothing":
            lane.leave(0)
        if before in ("released", "settling"):
            lane.decide(10)
        if before == "settling":
            lane.step(6010, Ticked())
        lane.step(6100 if before == "settling" else 100, EmergencyInput(True))
        assert lane.bolt[EXIT] and lane.gate.exit == LOCKED, before
        if before == "asked":
            lane.decide(200, "payment_due")
        lane.step(60_000, Ticked())
        assert lane.bolt[EXIT] and lane.shown == "emergency", before
        lane.leave(60_000, OTHER)
        assert lane.facts("exit")[-1]["digest"] == codes.digest(OTHER.decode())
        lane.step(61_000, BodyPassed(EXIT))
        assert lane.bolt[EXIT] and lane.facts("passed")[-1]["nonce"] == lane.facts("exit")[-1]["nonce"]
        lane.step(62_000, EmergencyInput(False))
        lane.step(63_000, Rearmed("Ada", "Bea"))
        assert not lane.bolt[EXIT] and lane.shown == "ready"


def test_an_emergency_opens_also_when_nothing_can_be_written_down() -> None:
    lane = CarLane()
    lane.leave(0)
    lane.store.full = True
    # The question's time is over in the same step: the release is lost with its record, the emergency is not.
    lane.step(2000, EmergencyInput(True))
    assert lane.bolt[EXIT] and lane.gate.emergency


def test_a_restart_lowers_it_and_in_an_emergency_leaves_it_up() -> None:
    store = MemoryStore()
    lane = CarLane(store)
    lane.leave(0)
    lane.decide(10)
    again = CarLane(store)
    assert not again.bolt[EXIT] and again.gate.exit == LOCKED
    again.leave(0)
    assert again.asked[0].nonce != lane.asked[0].nonce
    again.step(10, EmergencyInput(True))
    assert CarLane(store).bolt[EXIT]


def test_an_exit_that_is_free_asks_nobody_so_it_is_refused() -> None:
    try:
        CarGate(GateSettings(), Account(), "I.1")
    except ValueError as error:
        assert "exit_free" in str(error)
    else:
        raise AssertionError("taken")


def test_a_failing_journal_does_not_leave_a_question_open() -> None:
    lane = CarLane()
    lane.step(0, Linked(True))
    lane.leave(0)
    lane.store.full = True
    lane.step(100, BodyPassed("entry"))
    assert lane.gate.exit == LOCKED
    lane.decide(200)
    assert not lane.bolt[EXIT]
    lane.store.full = False
    for now_ms in range(1100, 5000, 100):
        lane.step(now_ms, Ticked())
    assert sorted(lane.kinds()) == ["boot", "forced", "given_up"]


def test_a_release_behind_another_record_that_fails_raises_nothing() -> None:
    lane = CarLane()
    lane.store.full = True
    lane.step(0, BodyPassed("entry"))
    lane.leave(900)
    # In one step: the owed fact is tried again and fails, and the answer lets out. CarLane looks at every raising.
    lane.decide(1000)
    assert lane.raised == 0 and not lane.bolt[EXIT] and lane.gate.exit == LOCKED
