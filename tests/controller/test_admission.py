from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from einlass_controller.domain import admission, visits
from einlass_controller.domain.admission import Scan
from einlass_controller.domain.catalogue import BUILT_IN, read_catalogue
from einlass_controller.domain.decision import TEXTS, Decision, sentence
from einlass_controller.domain.hours import Opening
from einlass_controller.domain.rules import Verdict
from einlass_controller.domain.tickets import Ticket
from einlass_controller.domain.visits import Visit
from einlass_core.signals import all_codes

NOW_MS = 1_790_000_000_000
NOW = admission.moment(NOW_MS, ZoneInfo("Europe/Berlin"))
HOUSE = read_catalogue(BUILT_IN)


def a_ticket(**changes: Any) -> Ticket:
    return replace(Ticket("T", "d", "s", "single", "", 1, "valid", None, None, 1, 0, 0), **changes)


def a_visit(**changes: Any) -> Visit:
    return replace(Visit("n/entry/i.1.1", "n", "i.1.1", "T", "east", "bath", 1, visits.RESERVED, 5), **changes)


def judge(ticket: Ticket, *stays: Visit, closed: bool = False) -> Decision:
    standing = visits.stand(stays, ticket.persons, "bath", "", lambda zone: (zone,) if zone else ())
    known = admission.facts(ticket, HOUSE.products["single"], NOW, standing, zone="bath", persons=ticket.persons)
    verdict = HOUSE.judge(ticket.product, known, (Opening(not closed, not closed),))
    return admission.refusal(ticket, verdict, "0", standing.first, "East")


@pytest.mark.parametrize(
    ("code", "ticket", "changes"),
    [
        ("invalid", None, {}),
        ("emergency", None, {"emergency": True}),
        ("revoked", {"status": "revoked"}, {}),
        ("blocked", {"status": "blocked"}, {}),
        ("cancelled", {"status": "cancelled"}, {}),
        ("unpaid", {"status": "unpaid"}, {}),
        ("too_early", {"valid_from_ms": NOW_MS + 1}, {}),
        ("expired", {"valid_until_ms": NOW_MS - 1}, {}),
        ("wrong_zone", {"zone": "sauna"}, {}),
        ("overstay_due", {"due_cents": 150}, {"paid_cents": 149}),
        # the first check that speaks decides
        ("revoked", {"status": "revoked", "zone": "sauna", "entries_used": 1}, {}),
        ("emergency", {"status": "revoked"}, {"emergency": True}),
    ],
)
def test_each_refusal_that_no_rule_of_the_house_changes(
    code: str, ticket: dict[str, Any] | None, changes: dict[str, Any]
) -> None:
    scan = Scan(NOW_MS, ("bath",), None if ticket is None else a_ticket(**ticket))
    refused = admission.refuse(replace(scan, **changes))
    assert refused is not None
    assert refused.code == code
    assert refused.persons == 0


def test_a_window_includes_both_of_its_ends_and_what_is_paid_is_paid() -> None:
    ticket = a_ticket(valid_from_ms=NOW_MS, valid_until_ms=NOW_MS, due_cents=150)
    assert admission.refuse(Scan(NOW_MS, ("bath",), ticket, paid_cents=150)) is None


@pytest.mark.parametrize(
    ("code", "ticket", "stays", "closed"),
    [
        ("already_inside", {}, [a_visit()], False),
        ("already_inside", {}, [a_visit(state=visits.PRESENT, passed=1)], False),
        ("used_up", {"entries_used": 1}, [], False),
        ("used_up", {"entries_used": 1}, [a_visit(state=visits.ENDED)], False),
        ("closed", {}, [], True),
        ("wrong_product", {"product": "gone"}, [], False),
        ("ok", {}, [], False),
        ("ok", {"entries_max": None, "entries_used": 99}, [], False),
    ],
)
def test_a_single_ticket_by_the_rules_that_are_built_in(
    code: str, ticket: dict[str, Any], stays: list[Visit], closed: bool
) -> None:
    assert judge(a_ticket(**ticket), *stays, closed=closed).code == code


def test_who_is_inside_is_told_since_when_and_where() -> None:
    assert judge(a_ticket(), a_visit()).values == {"since_ms": 5, "lane": "East"}


def test_a_family_comes_in_together_and_uses_one_entry() -> None:
    ticket, verdict = a_ticket(persons=4), Verdict("ok")
    use = admission.use_of(verdict, {}, HOUSE.products["single"], 4)
    admission.take(ticket, use, NOW)
    assert (use.entries, ticket.entries_left, ticket.entries_used) == (1, 0, 1)
    assert (ticket.day_ms, ticket.entries_today) == (NOW.midnight_ms, 1)


def test_a_full_zone_leaves_the_ticket_alone() -> None:
    ticket = a_ticket()
    assert (admission.full(ticket, 0).code, ticket.entries_used) == ("zone_full", 0)


def test_every_code_has_words_in_both_languages_and_a_signal_at_the_lane() -> None:
    assert set(TEXTS) == set(all_codes()) - {"ready", "checking", "forced"}
    for code in TEXTS:
        for language in ("de", "en"):
            words = sentence(code, {"valid_from_ms": 1, "valid_until_ms": 1, "since_ms": 1, "zone": "Z",
                                    "lane": "L", "minutes": 3}, language, str)  # fmt: skip
            assert words
            assert "{" not in words


def test_a_stored_decision_without_its_values_still_has_words() -> None:
    assert sentence("too_early", {}, "en", str) == "Please call staff"


def test_a_code_that_does_not_exist_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="no decision code"):
        Decision("okay")


def test_annulling_gives_the_entry_back_once() -> None:
    ticket, visit = a_ticket(entries_used=1), a_visit()
    assert visits.annul(visit, ticket, 9)
    assert not visits.annul(visit, ticket, 10)
    assert (ticket.entries_used, visit.state, visit.ended_ms) == (0, visits.ANNULLED, 9)


def test_part_of_a_group_turning_back_keeps_the_others_inside() -> None:
    ticket, visit = a_ticket(persons=3, entries_used=1), a_visit(persons=3)
    visits.release(visit)
    visits.enter(visit, ticket, 2, 20)
    assert not visits.turn_back(visit, ticket, 1, 30)
    assert (visit.state, visit.inside, ticket.entries_used, ticket.first_use_ms) == (visits.PRESENT, 2, 1, 20)
    assert visits.leave(visit, 1, 40) == 1
    assert visit.state == visits.PRESENT
    assert visits.leave(visit, 5, 50) == 1
    assert (visit.state, visit.ended_ms) == (visits.ENDED, 50)


def test_a_whole_group_turning_back_annuls() -> None:
    ticket, visit = a_ticket(persons=2, entries_used=1), a_visit(persons=2)
    visits.release(visit)
    assert not visits.turn_back(visit, ticket, 1, 1)
    assert visits.turn_back(visit, ticket, 1, 2)
    assert (visit.state, ticket.entries_used) == (visits.ANNULLED, 0)


def test_a_body_that_passed_after_all_counts_and_uses_the_entry_again() -> None:
    ticket, visit = a_ticket(entries_used=1), a_visit()
    visits.annul(visit, ticket, 1)
    visits.enter(visit, ticket, 1, 2, doubtful=True)
    assert (visit.state, visit.doubtful, ticket.entries_used) == (visits.PRESENT, True, 1)


def test_only_earlier_boots_of_the_same_journal_are_forgotten() -> None:
    stays = [a_visit(nonce=nonce) for nonce in ("i.1.7", "i.2.1", "j.1.1", "i.x.1", "i.1", "i.1-3k9z.8", "i.2-3k9z.8")]
    late = visits.of_earlier_boots(stays, "n", "i", 2)
    assert [visit.nonce for visit in late] == ["i.1.7", "i.1-3k9z.8"], "with and without the boot's own letters"
