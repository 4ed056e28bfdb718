"""Every transition of the lane (the diagram at the head of gate.py)."""

from einlass_core.events import (
    Answered,
    BodyPassed,
    BoltSensed,
    EmergencyInput,
    Limited,
    Linked,
    PassageBusy,
    Rearmed,
    Ticked,
)
from einlass_core.gate import ASKING, LOCKED, OUT, RELEASED, SETTLING
from einlass_core.lease import Limit
from lane import CODE, OTHER, Lane, MemoryStore

ENTRY = "entry"
EXIT = "exit"


def test_start_locks_the_entry_frees_the_exit_and_is_recorded() -> None:
    lane = Lane()
    assert lane.bolt == {"entry": False, "exit": True}
    assert lane.kinds() == ["boot"]
    assert lane.shown == "ready"


def test_visitor_with_a_good_ticket_passes() -> None:
    lane = Lane()
    lane.scan(0)
    assert lane.gate.entry == ASKING and lane.shown == "checking" and not lane.bolt[ENTRY]
    assert lane.asked[0].code == CODE.decode()
    lane.answer(50)
    assert lane.gate.entry == RELEASED and lane.bolt[ENTRY] and lane.shown == "ok"
    assert (lane.account.balance, lane.account.pending) == (1, 1)
    lane.step(900, BodyPassed(ENTRY))
    assert lane.gate.entry == LOCKED and not lane.bolt[ENTRY] and lane.shown == "ready"
    assert (lane.account.balance, lane.account.pending) == (1, 0)
    assert lane.kinds() == ["boot", "released", "passed"]
    assert lane.gate.deadline_ms is None


def test_the_release_is_written_down_before_the_bolt_moves() -> None:
    lane = Lane()
    lane.scan(0)
    lane.store.full = True
    lane.answer(50)
    assert not lane.bolt[ENTRY] and lane.shown == "error"
    assert (lane.account.balance, lane.account.pending) == (0, 0)


def test_refusal_shows_its_code_and_stays_locked() -> None:
    lane = Lane()
    lane.scan(0)
    lane.answer(50, "zone_full")
    assert lane.gate.entry == LOCKED and lane.shown == "zone_full" and not lane.bolt[ENTRY]
    assert lane.kinds() == ["boot"]
    lane.step(50 + 3000, Ticked())
    assert lane.shown == "ready"


def test_no_answer_in_time_gives_the_scan_up() -> None:
    lane = Lane()
    lane.scan(0)
    assert lane.gate.deadline_ms == 2000
    lane.step(2000, Ticked())
    assert lane.gate.entry == LOCKED and lane.shown == "offline_not_here"
    kind, fields = lane.recorded[-1]
    assert (kind, fields["nonce"], fields["code"]) == ("given_up", lane.asked[0].nonce, "offline_not_here")


def test_a_late_answer_lets_nobody_in_and_its_place_is_told_of() -> None:
    lane = Lane()
    lane.scan(0)
    lane.answer(2000)
    assert lane.gate.entry == LOCKED and not lane.bolt[ENTRY]
    assert lane.kinds() == ["boot", "given_up", "limit"]
    assert (lane.account.balance, lane.account.ceiling) == (0, 1)


def test_an_answer_that_comes_twice_lets_in_once() -> None:
    lane = Lane()
    lane.release()
    first = Answered(lane.asked[0].nonce, "ok", 1, {}, Limit(0, 1, 1))
    lane.step(10, first)
    lane.step(20, BodyPassed(ENTRY))
    lane.step(30, first)
    assert not lane.bolt[ENTRY] and lane.account.balance == 1
    assert lane.kinds() == ["boot", "released", "passed"]


def test_an_answer_for_another_scan_is_not_obeyed() -> None:
    lane = Lane()
    lane.scan(0)
    lane.answer(10, nonce="OLD.1.1")
    assert lane.gate.entry == ASKING and not lane.bolt[ENTRY]


def test_an_answer_that_brings_no_place_is_not_obeyed() -> None:
    lane = Lane()
    lane.scan(0)
    lane.step(10, Answered(lane.asked[0].nonce, "ok", 1, {}, None))
    assert not lane.bolt[ENTRY] and lane.shown == "error" and lane.kinds()[-1] == "given_up"


def test_nobody_goes_through_so_the_place_comes_back() -> None:
    lane = Lane()
    lane.release()
    lane.step(6000, Ticked())
    assert lane.gate.entry == SETTLING and not lane.bolt[ENTRY]
    assert lane.account.balance == 1, "the arm may still be turning"
    lane.step(6400, Ticked())
    assert lane.gate.entry == LOCKED and (lane.account.balance, lane.account.pending) == (0, 0)
    assert lane.kinds()[-1] == "unused"
    lane.scan(6500)
    assert lane.gate.entry == ASKING, "the same ticket may scan again at once"


def test_who_was_in_the_arm_when_time_ran_out_is_counted() -> None:
    lane = Lane()
    lane.release()
    lane.step(5900, PassageBusy(True))
    lane.step(6000, Ticked())
    lane.step(6400, Ticked())
    assert lane.gate.entry == SETTLING
    lane.step(6500, BodyPassed(ENTRY))
    assert lane.gate.entry == LOCKED and (lane.account.balance, lane.account.pending) == (1, 0)
    assert lane.kinds()[-1] == "passed"


def test_in_doubt_somebody_is_inside() -> None:
    lane = Lane()
    lane.release()
    lane.step(5900, PassageBusy(True))
    for now_ms in range(6000, 26_500, 100):
        lane.step(now_ms, Ticked())
    assert ("passed", {"nonce": lane.asked[0].nonce, "side": ENTRY, "persons": 1, "doubtful": True}) in lane.recorded
    assert (lane.account.balance, lane.account.pending) == (1, 0)


def test_family_of_three_under_one_release_and_only_two_come() -> None:
    lane = Lane()
    lane.release(persons=3)
    assert lane.account.balance == 3
    lane.step(1000, BodyPassed(ENTRY))
    assert lane.bolt[ENTRY] and lane.gate.deadline_ms == 7000
    lane.step(2000, BodyPassed(ENTRY))
    lane.step(8000, Ticked())
    lane.step(8400, Ticked())
    assert (lane.account.balance, lane.account.pending) == (2, 0)
    assert lane.kinds() == ["boot", "released", "passed", "passed", "unused"]


def test_a_second_body_on_one_ticket_is_counted_as_forced() -> None:
    lane = Lane()
    lane.release()
    lane.step(500, BodyPassed(ENTRY))
    lane.step(900, BodyPassed(ENTRY))
    assert lane.account.balance == 2 and lane.kinds()[-1] == "forced" and lane.shown == "forced"


def test_leaving_needs_no_scan_and_frees_the_place_at_once() -> None:
    lane = Lane()
    lane.release()
    lane.step(500, BodyPassed(ENTRY))
    lane.step(1000, BodyPassed(EXIT))
    assert lane.account.balance == 0
    assert lane.recorded[-1] == ("passed", {"side": EXIT, "persons": 1})


def test_exit_scan_names_the_ticket_that_left() -> None:
    lane = Lane()
    lane.scan(0, EXIT)
    kind, fields = lane.recorded[-1]
    assert kind == "exit" and fields["digest"] == "396f191c47295dda"
    lane.step(800, BodyPassed(EXIT))
    assert lane.recorded[-1] == ("passed", {"side": EXIT, "persons": 1, "nonce": fields["nonce"]})


def test_a_locked_exit_opens_for_any_scan_even_when_all_else_fails() -> None:
    lane = Lane(linked=False, exit_free=False)
    assert not lane.bolt[EXIT]
    lane.store.full = True
    lane.scan(0, EXIT, b"\xff\xfe garbage")
    assert lane.bolt[EXIT]
    lane.step(500, BodyPassed(EXIT))
    assert not lane.bolt[EXIT] and lane.account.balance == -1


def test_a_locked_exit_locks_again_when_nobody_leaves() -> None:
    lane = Lane(exit_free=False)
    lane.scan(0, EXIT)
    lane.step(6000, Ticked())
    assert not lane.bolt[EXIT] and lane.kinds()[-1] == "unused" and lane.account.balance == 0


def test_cut_off_lets_nobody_in_and_writes_the_refusal_down() -> None:
    lane = Lane(linked=False)
    lane.scan(0)
    assert not lane.asked and lane.shown == "offline_not_here"
    assert lane.recorded[-1][1]["digest"] == "396f191c47295dda"
    lane.step(5000, Linked(True))
    lane.scan(5000)
    assert lane.gate.entry == ASKING


def test_a_held_code_is_one_scan() -> None:
    lane = Lane()
    lane.scan(0)
    lane.scan(100)
    lane.answer(200, "invalid")
    lane.scan(300)
    assert len(lane.asked) == 1
    lane.scan(300, raw=OTHER)
    assert len(lane.asked) == 2, "another code need not wait"
    lane.answer(400, "invalid")
    lane.scan(2000)
    assert len(lane.asked) == 3


def test_garbage_is_refused_here_and_does_not_fill_the_journal() -> None:
    lane = Lane()
    for now_ms in range(0, 900, 10):
        lane.scan(now_ms, raw=b"\x00" * 30)
        lane.scan(now_ms, raw=b"A" * 10_000)
    assert lane.shown == "invalid" and not lane.asked
    assert lane.kinds() == ["boot", "refused"]
    lane.scan(1000, raw=b"")
    assert lane.recorded[-1][1]["persons"] == 180, "those left out are counted in the next"


def test_emergency_opens_the_exit_shuts_the_entry_and_is_recorded() -> None:
    lane = Lane(linked=False, exit_free=False)
    lane.step(0, EmergencyInput(True))
    assert lane.bolt == {"entry": False, "exit": True} and lane.shown == "emergency"
    assert lane.recorded[-1] == ("emergency", {"reason": "pressed"})
    lane.step(60_000, BodyPassed(EXIT))
    assert lane.bolt[EXIT] and lane.account.balance == -1
    lane.step(60_100, Linked(True))
    lane.scan(60_200)
    assert not lane.asked and lane.shown == "emergency"


def test_emergency_ends_only_by_two_people_and_a_healthy_input() -> None:
    lane = Lane(exit_free=False)
    lane.step(0, EmergencyInput(True))
    lane.step(10, Rearmed("Ada", "Bea"))
    assert lane.gate.emergency, "the input is still pressed"
    lane.step(20, EmergencyInput(False))
    lane.step(30, Rearmed("Ada", " Ada "))
    assert lane.gate.emergency and lane.bolt[EXIT], "one person is not two"
    lane.step(40, Rearmed("Ada", "Bea"))
    assert not lane.gate.emergency and not lane.bolt[EXIT] and lane.shown == "ready"
    assert lane.recorded[-1] == ("rearmed", {"by": "Ada, Bea"})


def test_emergency_takes_back_a_release_and_survives_a_restart() -> None:
    lane = Lane()
    lane.release()
    lane.step(100, EmergencyInput(True))
    assert not lane.bolt[ENTRY]
    lane.step(500, Ticked())
    assert lane.kinds()[-1] == "unused" and lane.account.balance == 0
    again = Lane(lane.store)
    assert again.gate.emergency and again.bolt == {"entry": False, "exit": True} and again.shown == "emergency"


def test_power_cut_between_release_and_passage_counts_as_inside() -> None:
    lane = Lane()
    lane.release(persons=2)
    again = Lane(lane.store)
    assert (again.account.balance, again.account.pending) == (2, 0)
    assert again.recorded == [("boot", {"reason": "power"}), ("uncertain", {"persons": 2})]
    assert not again.bolt[ENTRY]


def test_nonces_are_never_used_again_after_a_restart() -> None:
    lane = Lane()
    lane.scan(0)
    again = Lane(lane.store)
    again.scan(0)
    assert again.asked[0].nonce != lane.asked[0].nonce


def test_ceilings_obey_the_newest_and_always_answer() -> None:
    lane = Lane()
    lane.step(0, Limited(Limit(1, 5, 7)))
    lane.step(0, Limited(Limit(1, 4, 90)))
    lane.step(0, Limited(Limit(1, 5, 90)))
    assert lane.account.ceiling == 7 and lane.told == 2 and lane.kinds()[-1] == "limit"


def test_a_full_journal_shuts_the_entry_counts_exits_and_heals() -> None:
    lane = Lane()
    lane.store.full = True
    lane.step(0, BodyPassed(EXIT))
    lane.step(10, BodyPassed(EXIT))
    lane.scan(20)
    assert not lane.asked and lane.shown == "error" and lane.account.balance == -2
    lane.step(1010, Ticked())
    lane.store.full = False
    lane.step(2010, Ticked())
    # The first of them, as if both had gone then: a count of the people in between is too high rather than too low.
    assert lane.recorded[-1] == ("passed", {"side": EXIT, "persons": 2, "ms": 0})
    lane.scan(3000)
    assert len(lane.asked) == 1


def test_what_a_full_journal_takes_late_has_the_time_when_it_happened() -> None:
    lane = Lane()
    lane.store.full = True
    lane.step(100, BodyPassed(ENTRY))
    lane.step(200, BodyPassed(ENTRY))
    lane.step(1300, Ticked())
    lane.store.full = False
    lane.step(60_000, Ticked())
    # Whoever came in unasked: the last of them, for the same reason.
    assert lane.recorded[-1] == ("forced", {"side": ENTRY, "persons": 2, "ms": 200})


def test_what_a_full_journal_takes_late_it_takes_in_the_order_in_which_it_happened() -> None:
    """The controller takes all that follows a record from after a count to be from after it."""
    lane = Lane()
    lane.store.full = True
    lane.step(100, BodyPassed(EXIT))
    lane.scan(200, EXIT)
    lane.step(300, BodyPassed(EXIT))
    lane.step(1100, Ticked())  # tried again in vain: what was tried stands behind the others now
    lane.step(2200, Ticked())
    lane.step(2300, BodyPassed(EXIT))
    lane.store.full = False
    for now_ms in (3400, 3500, 3600, 3700):
        lane.step(now_ms, Ticked())
    late = [(kind, fields["ms"]) for kind, fields in lane.recorded if "ms" in fields]
    assert late == [("passed", 100), ("exit", 200), ("passed", 300)]


def test_a_full_journal_at_start_loses_no_fact() -> None:
    lane = Lane()
    lane.release()
    lane.store.full = True
    again = Lane(lane.store)
    assert again.kinds() == []
    again.store.full = False
    for now_ms in range(1000, 3000, 500):
        again.step(now_ms, Ticked())
    assert again.kinds() == ["boot", "uncertain"] and again.account.balance == 1


def test_a_bolt_that_does_not_move_takes_the_lane_out_of_service() -> None:
    lane = Lane(bolt_sensed=True)
    lane.release()
    lane.step(100, BoltSensed(ENTRY, True))
    lane.step(500, BodyPassed(ENTRY))
    assert lane.gate.deadline_ms == 2000
    lane.step(2000, Ticked())
    assert lane.gate.entry == OUT and lane.shown == "error"
    assert lane.recorded[-1] == ("fault", {"reason": "bolt_stuck_open"})
    lane.scan(2100)
    assert len(lane.asked) == 1
    lane.step(2200, BoltSensed(ENTRY, False))
    assert lane.gate.entry == LOCKED and lane.kinds()[-1] == "fault_over" and lane.shown == "ready"


def test_a_blocked_passage_takes_the_lane_out_of_service() -> None:
    lane = Lane()
    lane.step(0, PassageBusy(True))
    lane.step(5000, Ticked())
    assert lane.gate.entry == OUT and lane.recorded[-1] == ("fault", {"reason": "passage_blocked"})
    lane.step(6000, BodyPassed(EXIT))
    assert lane.account.balance == -1, "exits are counted whatever is broken"
    lane.step(6000, PassageBusy(False))
    assert lane.gate.entry == LOCKED


def test_deadlines_never_lie_in_the_past() -> None:
    lane = Lane(bolt_sensed=True)
    lane.release()
    for now_ms in range(0, 20_000, 50):
        lane.step(now_ms, Ticked())
        due = lane.gate.deadline_ms
        assert due is None or due > now_ms, (now_ms, due, lane.gate.entry)


def test_a_store_that_was_cut_short_goes_on_from_its_last_record() -> None:
    store = MemoryStore()
    lane = Lane(store)
    lane.release()
    lane.step(10, BodyPassed(ENTRY))
    store.records.pop()
    again = Lane(store)
    assert (again.account.balance, again.account.pending) == (1, 0)
    assert again.kinds() == ["boot", "uncertain"]
