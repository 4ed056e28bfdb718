"""Taking a GM65's stream apart: codes and answers glued together, cut anywhere, in any order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einlass_core.codes import CODE_LENGTH_MAX, CodeError, read
from einlass_core.gm65 import REGISTER_SETTING_CODES, provision
from einlass_edge.drivers.gm65 import Answer, Code, Line, read_register
from einlass_sim.devices.gm65 import Gm65

ACK = bytes.fromhex("02 00 00 01 00 33 31")


def test_commands_are_what_the_module_takes() -> None:
    module = Gm65()
    assert module.received(0, provision()) == ACK
    assert not module.setting_codes_open
    line = Line()
    line.answers_awaited = 1
    assert line.feed(module.received(0, read_register(REGISTER_SETTING_CODES))) == [Answer(True, b"\x02")]


@given(st.lists(st.integers(1, 40), max_size=20))
def test_an_answer_glued_to_codes_is_told_apart_however_it_is_cut(lengths: list[int]) -> None:
    stream = b"first\r" + ACK + b"second\r\nthird\n"
    line = Line()
    line.answers_awaited = 1
    found: list[Code | Answer] = []
    for length in lengths:
        found += line.feed(stream[:length])
        stream = stream[length:]
    found += line.feed(stream)
    assert found == [Code(b"first"), Answer(True, b"\x00"), Code(b"second"), Code(b"third")]
    assert line.answers_awaited == 0


def test_nobody_waits_for_an_answer_so_it_is_a_strangers_code() -> None:
    assert Line().feed(ACK + b"\r") == [Code(ACK)]


def test_a_broken_answer_is_no_answer() -> None:
    line = Line()
    line.answers_awaited = 1
    assert line.feed(ACK[:-1] + b"\x00") == []
    assert line.waiting
    assert line.paused() == [Code(ACK[:-1] + b"\x00")]
    assert not line.waiting


@given(st.binary(max_size=600), st.lists(st.integers(1, 300), max_size=6), st.booleans())
def test_whatever_comes_every_code_is_bounded_and_the_next_one_is_whole(
    noise: bytes, lengths: list[int], awaiting: bool
) -> None:
    line = Line()
    line.answers_awaited = int(awaiting)
    found: list[Code | Answer] = []
    for length in [*lengths, len(noise)]:
        found += line.feed(noise[:length])
        noise = noise[length:]
    found += line.paused()
    line.answers_awaited = 0
    assert all(len(item.raw) <= CODE_LENGTH_MAX + 1 for item in found if isinstance(item, Code))
    assert line.feed(b"whole\r")[-1] == Code(b"whole")


def test_an_endless_text_is_told_once_and_at_once() -> None:
    line = Line()
    told = line.feed(b"x" * (CODE_LENGTH_MAX + 1))
    assert len(told) == 1
    for _ in range(100):
        assert line.feed(b"x" * 1000) == []
    assert line.paused() == []
    assert isinstance(told[0], Code)
    with pytest.raises(CodeError, match="too_long"):
        read(told[0].raw)
