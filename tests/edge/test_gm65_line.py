"""Taking a GM65's stream apart: codes and answers glued together, cut anywhere, in any order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einlass_core.codes import CODE_LENGTH_MAX, CodeError, read
from einlass_core.gm65 import REGISTER_SETTING_CODES, Splitter, provision
from einlass_edge.drivers.gm65 import Answer, answer_of, read_register
from einlass_sim.devices.gm65 import Gm65

ACK = bytes.fromhex("02 00 00 01 00 33 31")


def awaiting(reply: bool = True) -> Splitter:
    splitter = Splitter()
    splitter.awaits_reply = reply
    return splitter


def test_commands_are_what_the_module_takes() -> None:
    module = Gm65()
    assert module.received(0, provision()) == ACK
    assert not module.setting_codes_open
    codes, replies = awaiting().feed(module.received(0, read_register(REGISTER_SETTING_CODES)))
    assert codes == []
    assert [answer_of(reply) for reply in replies] == [Answer(True, b"\x02")]


@given(st.lists(st.integers(1, 40), max_size=20))
def test_an_answer_glued_to_codes_is_told_apart_however_it_is_cut(lengths: list[int]) -> None:
    stream = b"first\r" + ACK + b"second\r\nthird\n"
    splitter = awaiting()
    codes: list[bytes] = []
    replies: list[bytes] = []
    for length in [*lengths, len(stream)]:
        found = splitter.feed(stream[:length])
        codes += found[0]
        replies += found[1]
        stream = stream[length:]
    assert codes == [b"first", b"second", b"third"]
    assert [answer_of(reply) for reply in replies] == [Answer(True, b"\x00")]


def test_nobody_waits_for_an_answer_so_it_is_a_strangers_code() -> None:
    assert Splitter().feed(ACK + b"\r") == ([ACK], [])


def test_a_broken_answer_is_no_answer() -> None:
    splitter = awaiting()
    assert splitter.feed(ACK[:-1] + b"\x00") == ([], [])
    assert splitter.waiting
    assert splitter.paused() == [ACK[:-1] + b"\x00"]
    assert not splitter.waiting


@given(st.binary(max_size=600), st.lists(st.integers(1, 300), max_size=6), st.booleans())
def test_whatever_comes_every_code_is_bounded_and_the_next_one_is_whole(
    noise: bytes, lengths: list[int], reply: bool
) -> None:
    splitter = awaiting(reply)
    found: list[bytes] = []
    for length in [*lengths, len(noise)]:
        found += splitter.feed(noise[:length])[0]
        noise = noise[length:]
    found += splitter.paused()
    splitter.awaits_reply = False
    assert all(len(code) <= CODE_LENGTH_MAX + 1 for code in found)
    assert splitter.feed(b"whole\r")[0][-1] == b"whole"


def test_an_endless_text_is_told_once_and_at_once() -> None:
    splitter = Splitter()
    told, _ = splitter.feed(b"x" * (CODE_LENGTH_MAX + 1))
    assert len(told) == 1
    for _ in range(100):
        assert splitter.feed(b"x" * 1000) == ([], [])
    assert splitter.paused() == []
    with pytest.raises(CodeError, match="too_long"):
        read(told[0])
