"""The rules of vouchers alone: states and transitions, who owns one, what a code for everybody is."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einlass_controller.domain import public_codes, voucher_owner, vouchers
from einlass_controller.domain.public_codes import PublicCode
from einlass_controller.domain.voucher_owner import Alone, Asker, OwnerError
from einlass_controller.domain.vouchers import Limits, Lot, Scene, Voucher, VoucherError

LOT = Lot(1, "baker", "minutes", 60, "card", 1, 10, 10)
SCENE = Scene(1000, "tue", "bath")
NODE, WIPED = Asker("machine-1", "a"), Asker("machine-1", "b")
FINAL = ("redeemed", "settled", "returned", "voided")


def voucher(state: str = "activated", **more: Any) -> Voucher:
    values = {"partner": "" if state == "printed" else "baker", "before": "activated" if state == "held" else ""}
    return Voucher(7, 1, "d", "s", 0, state=state, **{**values, **more})


@pytest.mark.parametrize(
    ("state", "do", "after"),
    [
        ("printed", "activate", "activated"),
        ("printed", "block", "blocked"),
        ("activated", "block", "blocked"),
        ("activated", "return", "returned"),
        ("activated", "void", "voided"),
        ("printed", "void", "voided"),
        ("blocked", "void", "voided"),
    ],
)
def test_the_ways(state: str, do: str, after: str) -> None:
    item = voucher(state)
    assert vouchers.change(item, do, "because", 5, "baker")
    assert item.state == after
    assert vouchers.change(item, do, "again", 6, "baker") is False, "done already"


@pytest.mark.parametrize("state", ["printed", "activated"])
def test_an_unblocked_voucher_is_what_it_was(state: str) -> None:
    item = voucher(state)
    vouchers.change(item, "block", "lost", 1)
    assert (item.state, item.reason) == ("blocked", "lost")
    vouchers.change(item, "unblock", "found", 2)
    assert (item.state, item.before, item.reason) == (state, "", "")


@given(st.lists(st.sampled_from([*vouchers.DOINGS, "hold", "use", "release"]), max_size=14))
def test_whatever_is_done_final_is_final_and_used_once(doings: list[str]) -> None:
    item, uses = voucher("printed", partner=""), 0
    refusals: list[tuple[str, str]] = []
    steps: dict[str, Callable[[], object]] = {
        "hold": lambda: vouchers.hold(item, "p", "bath", 1),
        "use": lambda: vouchers.use(item, 60, None, 1),
        "release": lambda: vouchers.release(item),
    }
    for do in doings:
        before = item.state
        step = steps.get(do) or partial(vouchers.change, item, do, "x", 1, "baker")
        try:
            step()
        except VoucherError as error:
            refusals.append((before, error.text.de))
            assert item.state == before
            continue
        uses += do == "use"
        assert before not in FINAL or item.state == before
        assert item.state in vouchers.STATES
        assert (item.state == "held") == bool(item.payment and item.used_ms is None)
    assert uses <= 1
    assert all(vouchers.STATE_WORDS[state].de in words for state, words in refusals)


def test_what_blocks_a_held_voucher_waits() -> None:
    item = voucher()
    vouchers.hold(item, "p", "bath", 1)
    vouchers.change(item, "block", "lost", 2)
    assert item.state == "held"
    vouchers.release(item)
    assert item.state == "blocked"
    vouchers.change(item, "unblock", "found", 3)
    assert item.state == "activated"


@pytest.mark.parametrize("state", [*vouchers.STATES, "expired"])
def test_every_state_gets_an_answer_with_words(state: str) -> None:
    item = voucher("activated" if state == "expired" else state)
    ends = Lot(1, "baker", "minutes", 60, "card", 1, 10, 10, valid_until_ms=999 if state == "expired" else None)
    found = vouchers.judge(item, ends, SCENE)
    assert found.holds == (state == "activated")
    words = vouchers.ANSWERS[found.code]
    assert words.de
    assert words.en
    assert words.de != words.en
    assert state in vouchers.STATE_WORDS
    assert vouchers.seen_as(item, ends, 1000) == state


def test_exactly_until_is_still_valid() -> None:
    lot = Lot(1, "", "cents", 100, "card", 1, 1, 1, valid_from_ms=1000, valid_until_ms=1000)
    assert vouchers.judge(voucher(), lot, SCENE).holds
    assert vouchers.judge(voucher(), lot, Scene(1001, "tue", "bath")).code == "expired"
    assert vouchers.judge(voucher(), lot, Scene(999, "tue", "bath")).code == "too_early"


def test_every_answer_has_its_values() -> None:
    for code, words in vouchers.ANSWERS.items():
        known = {"used_ms": "", "until_ms": "", "from_ms": "", "areas": "", "most": "", "owner": ""}
        assert words.de.format(**known), code
        assert words.en.format(**known), code


def test_order_of_use() -> None:
    assert vouchers.in_order([(1, "percent"), (2, "cents"), (4, "minutes"), (3, "minutes")]) == [3, 4, 2, 1]


def test_a_voucher_has_one_owner_and_a_version() -> None:
    item = voucher()
    assert voucher_owner.give(item, NODE) == 1
    assert voucher_owner.give(item, NODE) == 1, "given again: as it is"
    assert voucher_owner.owns(item, NODE)
    assert not voucher_owner.owns(item, WIPED)
    assert voucher_owner.may_decide(item, NODE)
    assert not voucher_owner.may_decide(item, Asker("machine-2", "a"))
    assert not voucher_owner.may_decide(item, WIPED), "a wiped node does not know what it has used"
    for by, version in ((WIPED, 1), (Asker("machine-2", "a"), 1), (NODE, 2), (NODE, 0)):
        with pytest.raises(OwnerError):
            voucher_owner.give_back(item, by, version)
    with pytest.raises(OwnerError):
        voucher_owner.give(item, Asker("machine-2", "a"))
    assert voucher_owner.give_back(item, NODE, 1) == 2
    assert voucher_owner.give_back(item, NODE, 1) == 2, "told again"
    assert item.owner == voucher_owner.CONTROLLER
    assert voucher_owner.give(item, Asker("machine-2", "a")) == 3
    with pytest.raises(OwnerError):
        voucher_owner.give_back(item, NODE, 1)


def test_a_lost_owner_ends_by_a_person_and_its_word_is_a_contradiction() -> None:
    item = voucher()
    version = voucher_owner.give(item, NODE)
    assert voucher_owner.decide_lost(item) == version + 1
    assert voucher_owner.decide_lost(item) == version + 1
    assert not voucher_owner.owns(item, NODE)
    voucher_owner.give(item, WIPED)
    assert voucher_owner.contradicts(item, WIPED, "p", version), "a version that is gone"
    vouchers.hold(item, "p", "bath", 1)
    vouchers.use(item, 60, None, 2)
    assert voucher_owner.contradicts(item, NODE, "q", version)
    assert not voucher_owner.contradicts(item, NODE, "p", version), "the same payment told again"
    with pytest.raises(OwnerError):
        voucher_owner.give(voucher("held"), NODE)


@given(st.lists(st.tuples(st.sampled_from(["give", "back", "lost", "old"]), st.integers(0, 2)), max_size=20))
def test_versions_rise_and_never_two_own_it(moves: list[tuple[str, int]]) -> None:
    item = voucher()
    askers = [Asker("m1", "a"), Asker("m1", "b"), Asker("m2", "a")]
    for what, which in moves:
        before = item.owner_version, item.owner, item.owner_inc
        try:
            if what == "give":
                voucher_owner.give(item, askers[which])
            elif what == "lost":
                voucher_owner.decide_lost(item)
            else:
                voucher_owner.give_back(item, askers[which], before[0] - (what == "old"))
        except OwnerError:
            assert (item.owner_version, item.owner, item.owner_inc) == before
        assert item.owner_version - before[0] == ((item.owner, item.owner_inc) != before[1:])
        assert sum(voucher_owner.owns(item, asker) for asker in askers) == bool(item.owner)


@pytest.mark.parametrize(
    ("policy", "owner", "count", "cents", "may"),
    [
        ("own", NODE, 0, 100, True),
        ("own", None, 0, 100, False),
        ("own", WIPED, 0, 100, False),
        ("refuse", NODE, 0, 100, False),
        ("report", None, 0, 100, True),
        ("report", None, 3, 100, False),
        ("report", None, 0, 501, False),
        ("report", WIPED, 0, 100, False),
        ("report", NODE, 9, 900, True),
    ],
)
def test_what_a_till_may_do_alone(policy: str, owner: Asker | None, count: int, cents: int, may: bool) -> None:
    item = voucher()
    if owner is not None:
        voucher_owner.give(item, owner)
    assert voucher_owner.may_use_alone(policy, item, NODE, Alone(count, 0, 3, 500), cents) == may
    assert not voucher_owner.may_use_alone(policy, voucher("held"), NODE, Alone(0, 0, 3, 500), 1)


@pytest.mark.parametrize(
    ("typed", "code"),
    [("frei24", "FREI24"), (" FREI 24 ", "FREI24"), ("FR-EI", "FREI"), ("abc", ""), ("ABCDEFGHI", ""), ("FRÉI", ""),
     ("", ""), ("E1:ABCD", ""), ("١٢٣٤", "")],
)  # fmt: skip
def test_what_a_public_code_can_be(typed: str, code: str) -> None:
    assert public_codes.normal(typed) == code


def test_a_public_code_counts_in_its_window_only() -> None:
    code = PublicCode("FREI24", "Fest", "free", 0, 1000, 2000, Limits(areas=("bath",)), total_max=1)
    for now_ms, wanted in ((999, "too_early"), (1000, "ok"), (2000, "ok"), (2001, "expired")):
        assert public_codes.judge(code, Scene(now_ms, "tue", "bath")).code == wanted
    assert public_codes.judge(code, Scene(1500, "tue", "rink")).code == "wrong_area"
