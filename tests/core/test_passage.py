"""Two barriers, every way through them."""

from einlass_core.events import BodyPassed, PassageBusy
from einlass_core.passage import Passage


def walk(steps: str, each_ms: int = 100, debounce_ms: int = 15) -> "list[str]":
    """Steps are letters: a, b, x (both), o (none); gives in, out, busy, rest."""
    passage = Passage(debounce_ms)
    seen: "list[object]" = []
    now_ms = 0
    for letter in steps:
        a, b = letter in "ax", letter in "bx"
        seen += passage.step(now_ms, a, b)
        if passage.deadline_ms is not None and passage.deadline_ms < now_ms + each_ms:
            seen += passage.step(passage.deadline_ms, a, b)
        now_ms += each_ms
    words = []
    for event in seen:
        if isinstance(event, BodyPassed):
            words.append("in" if event.side == "entry" else "out")
        elif isinstance(event, PassageBusy):
            words.append("busy" if event.busy else "rest")
    return words


def test_walking_in_and_out() -> None:
    assert walk("axbo") == ["busy", "in", "rest"]
    assert walk("bxao") == ["busy", "out", "rest"]


def test_stepping_back_is_no_passage() -> None:
    for steps in ("ao", "axao", "bo", "bxbo", "axaxao"):
        assert walk(steps) == ["busy", "rest"], steps


def test_two_bodies_close_behind_each_other_are_two() -> None:
    assert walk("axbxaxbo") == ["busy", "in", "in", "rest"]
    assert walk("bxaxbxao") == ["busy", "out", "out", "rest"]
    assert walk("axboaxbo") == ["busy", "in", "rest", "busy", "in", "rest"]


def test_a_quick_body_skips_a_step() -> None:
    assert walk("abo") == ["busy", "in", "rest"]
    assert walk("xbo") == ["busy", "in", "rest"]
    assert walk("xao") == ["busy", "out", "rest"]


def test_in_doubt_it_counts() -> None:
    assert walk("axo") == ["busy", "in", "rest"]


def test_both_at_once_and_gone_is_nobody() -> None:
    assert walk("xo") == ["busy", "rest"]


def test_bouncing_contacts_are_one_change() -> None:
    passage = Passage(15)
    seen = []
    for now_ms in range(0, 12, 3):
        seen += passage.step(now_ms, now_ms % 2 == 0, False)
    assert seen == []
    seen += passage.step(12, True, False)
    assert passage.deadline_ms == 27
    assert passage.step(27, True, False) == [PassageBusy(True)]


def test_a_spike_shorter_than_the_debounce_is_nothing() -> None:
    passage = Passage(15)
    assert passage.step(0, True, False) == []
    assert passage.step(5, False, False) == []
    assert passage.deadline_ms is None
    assert passage.step(100, False, False) == []
