"""What a lane does alone: on the list, within its ceiling, while its lease covers the whole passage."""

from einlass_core import codes
from einlass_core.effects import SetBolt
from einlass_core.events import ENTRY, EXIT, BodyPassed, Limited, Linked, Ticked
from einlass_core.gate import LOCKED, RELEASED
from einlass_core.lease import Account, Limit
from einlass_core.messages import status
from lane import CODE, OTHER, Lane

TICKET = codes.digest(CODE.decode())
FAMILY = codes.digest(OTHER.decode())
DAY_MS = 86_400_000


def cut_off(ceiling: int = 2, lease_ms: int = DAY_MS, **settings: object) -> Lane:
    lane = Lane(**settings)  # type: ignore[arg-type]
    lane.listed = {TICKET: 1, FAMILY: 3}
    lane.step(0, Limited(Limit(0, 1, ceiling), 0, lease_ms))
    lane.step(0, Linked(False))
    return lane


def enter(lane: Lane, now_ms: int, raw: bytes = CODE, persons: int = 1) -> None:
    lane.scan(now_ms, raw=raw)
    assert lane.gate.entry == RELEASED and lane.bolt[ENTRY]
    for _ in range(persons):
        lane.step(now_ms + 100, BodyPassed(ENTRY))
    assert lane.gate.entry == LOCKED


def test_a_listed_ticket_enters_within_the_lanes_own_places() -> None:
    lane = cut_off(ceiling=2)
    enter(lane, 0)
    kind, fields = lane.recorded[-2]
    assert (kind, fields["digest"], fields["persons"], fields["reason"]) == ("released", TICKET, 1, "leased")
    enter(lane, 2000)
    lane.scan(4000)
    assert not lane.bolt[ENTRY] and lane.shown == "lease_exhausted"
    assert lane.recorded[-1][1]["code"] == "lease_exhausted"


def test_whoever_leaves_frees_the_place_here_at_once() -> None:
    lane = cut_off(ceiling=1)
    enter(lane, 0)
    lane.step(1000, BodyPassed(EXIT))
    enter(lane, 4000)


def test_a_family_enters_whole_or_not_at_all() -> None:
    lane = cut_off(ceiling=2)
    lane.scan(0, raw=OTHER)
    assert lane.shown == "lease_exhausted"
    lane = cut_off(ceiling=3)
    enter(lane, 0, OTHER, persons=3)
    assert lane.account.balance == 3


def test_a_code_that_is_not_listed_is_decided_elsewhere() -> None:
    lane = cut_off()
    lane.scan(0, raw=b"unknown")
    assert (lane.shown, lane.bolt[ENTRY]) == ("offline_not_here", False)


def test_the_lease_must_cover_the_passage_to_its_end() -> None:
    lane = cut_off(lease_ms=60_000)
    lane.scan(60_000 - 26_000)
    assert lane.bolt[ENTRY]
    lane = cut_off(lease_ms=60_000)
    lane.scan(60_000 - 25_999)
    assert not lane.bolt[ENTRY] and lane.shown == "lease_exhausted"


def test_a_restart_ends_the_lease() -> None:
    lane = cut_off()
    again = Lane(lane.store, linked=False)
    again.listed = lane.listed
    again.scan(0)
    assert not again.bolt[ENTRY] and again.shown == "lease_exhausted"


def test_a_renewal_that_comes_after_the_lease_has_ended_is_void() -> None:
    account = Account()
    account.renew(0, 0, 100)
    account.renew(100, 50, 100)
    assert account.until_ms == 100
    account.renew(120, 100, 100)
    assert account.until_ms == 200
    account.renew(150, 20, 100)
    assert account.until_ms == 200, "an older request never shortens it"


def test_a_new_count_ends_the_lease_also_while_somebody_is_under_way() -> None:
    lane = cut_off(ceiling=3)
    lane.scan(0)
    lane.step(100, Limited(Limit(5, 1, -1_000_000)))
    assert (lane.account.epoch, lane.account.pending) == (0, 1), "whoever is in the arm still belongs to the old count"
    lane.step(200, BodyPassed(ENTRY))
    lane.step(300, Limited(Limit(0, 1, 3), 50, DAY_MS))  # asked for before it was over
    lane.scan(4000)
    assert not lane.bolt[ENTRY] and lane.shown == "lease_exhausted"


def test_no_answer_in_time_is_decided_here() -> None:
    lane = cut_off()
    lane.step(0, Linked(True))
    lane.scan(0)
    lane.step(2000, Ticked())
    assert lane.bolt[ENTRY] and lane.recorded[-1][1]["nonce"] == lane.asked[0].nonce
    lane.answer(2100, nonce=lane.asked[0].nonce)
    assert lane.account.balance == 1, "the late answer lets nobody in"


def test_secure_admits_nobody_open_knows_no_ceiling_free_flow_no_list() -> None:
    lane = cut_off(cut_off="secure")
    lane.scan(0)
    assert not lane.bolt[ENTRY]
    lane = cut_off(cut_off="open", ceiling=0, lease_ms=0)
    enter(lane, 0)
    assert lane.account.balance == 1
    lane.scan(4000, raw=b"unknown")
    assert not lane.bolt[ENTRY]
    lane = cut_off(cut_off="free-flow", ceiling=0, lease_ms=0)
    enter(lane, 0, b"unknown")


def test_cut_off_in_an_emergency_nobody_enters() -> None:
    lane = cut_off()
    lane.gate.emergency = True
    lane.scan(0)
    assert lane.shown == "emergency"


def test_a_journal_that_cannot_be_written_lets_nobody_in() -> None:
    lane = cut_off()
    lane.store.full = True
    lane.scan(0)
    assert not lane.bolt[ENTRY] and lane.account.balance == 0


def test_who_scans_as_an_owed_record_is_tried_again_is_not_let_in_before_it_is_written_down() -> None:
    lane = cut_off()
    freed = []
    perform = lane._perform

    def watched(now_ms: int, effect: object) -> bool:
        if isinstance(effect, SetBolt) and effect.side == ENTRY and effect.released:
            freed.append(now_ms)
        return perform(now_ms, effect)

    lane._perform = watched  # type: ignore[method-assign]
    lane.store.full = True
    lane.step(100, BodyPassed(EXIT))
    lane.scan(1100)  # the exit is tried once more just now, in vain, and what is let in stands behind it
    assert freed == [] and not lane.bolt[ENTRY] and lane.gate.entry == LOCKED and lane.account.balance == -1
    lane.store.full = False
    for now_ms in (2200, 3300, 4400):
        lane.step(now_ms, Ticked())
    lane.scan(5000)
    assert freed == [5000] and lane.kinds()[-1] == "released"


def test_nobody_is_let_in_before_the_last_owed_record_is_known_to_be_kept() -> None:
    lane = cut_off()
    lane.store.full = True
    lane.step(100, BodyPassed(EXIT))
    lane.store.full = False
    lane.scan(1100)
    assert lane.shown == "error" and not lane.bolt[ENTRY] and lane.kinds()[-1] == "passed"
    assert lane.gate.deadline_ms == 1100
    lane.step(1100, Ticked())
    enter(lane, 1101)


def test_nothing_is_written_before_what_a_full_disk_owes() -> None:
    """Once something was after a count of the people, the controller takes the rest to be, too."""
    lane = cut_off()
    lane.store.full = True
    lane.step(2000, BodyPassed(EXIT))
    lane.step(3000, Ticked())
    lane.store.full = False
    lane.step(3500, BodyPassed(EXIT))
    assert [fields.get("ms") for kind, fields in lane.recorded if kind == "passed"] == [2000, None]
    lane.store.full = True
    lane.step(4500, BodyPassed(EXIT))
    lane.store.full = False
    lane.step(4600, Limited(Limit(0, 9, 3)))
    assert lane.kinds()[-2:] == ["passed", "limit"]


def test_what_is_owed_is_owed_in_its_order_when_it_fails_once_more() -> None:
    lane = cut_off()
    lane.store.full = True
    lane.step(2000, BodyPassed(EXIT))
    lane.step(2500, BodyPassed(ENTRY))
    lane.step(2700, BodyPassed(EXIT))
    lane.store.full = False
    lane.step(4000, Ticked())
    assert [(fields.get("ms"), fields["persons"]) for _, fields in lane.recorded[-2:]] == [(2000, 2), (2500, 1)]


def test_a_release_behind_a_record_that_is_not_kept_opens_nothing() -> None:
    lane = cut_off()
    freed = []
    perform = lane._perform

    def watched(now_ms: int, effect: object) -> bool:
        if isinstance(effect, SetBolt) and effect.side == ENTRY and effect.released:
            freed.append(now_ms)
        return perform(now_ms, effect)

    lane._perform = watched  # type: ignore[method-assign]
    lane.scan(0, EXIT, OTHER)  # its time is over at 6000
    lane.store.full = True
    lane.scan(6000)
    assert freed == [] and lane.gate.entry == LOCKED and not lane.bolt[ENTRY]


def test_no_lease_is_asked_for_by_a_start_that_is_not_written_down() -> None:
    """The next start would have its number, and take the lease for one that it asked for."""
    lane = cut_off()
    lane.store.full = True
    second = Lane(lane.store)
    assert "cut_off" not in status(second.journal, second.gate, 100)
    second.store.full = False
    second.step(1000, Ticked())
    second.step(1000, Ticked())
    assert status(second.journal, second.gate, 1100)["cut_off"] == "leased"


def test_a_lease_that_was_asked_for_later_than_now_is_none() -> None:
    lane = cut_off()
    until_ms = lane.account.until_ms
    lane.step(1000, Limited(Limit(0, 4, 7), 18_000_000, 2 * DAY_MS))
    assert (lane.account.until_ms, lane.account.ceiling) == (until_ms, 7)


def test_nobody_who_stepped_back_keeps_the_place() -> None:
    lane = cut_off(ceiling=1)
    lane.scan(0)
    lane.step(6000, Ticked())
    lane.step(6400, Ticked())
    assert lane.recorded[-1][0] == "unused"
    enter(lane, 8000)


def test_a_code_may_come_back_with_a_reason_of_its_own() -> None:
    lane = cut_off()
    lane.gate._listed = lambda digest: "revoked"
    lane.scan(0)
    assert (lane.shown, lane.bolt[ENTRY]) == ("revoked", False)
    assert lane.recorded[-1][1]["code"] == "revoked"
