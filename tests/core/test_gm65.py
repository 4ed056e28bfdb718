"""Scanner frames against the values the manuals give, and streams in which everything is glued together."""

from einlass_core.gm65 import Splitter, crc16, provision, write_register

ACK = b"\x02\x00\x00\x01\x00\x33\x31"


def test_crc_of_the_trigger_command() -> None:
    assert crc16(b"\x08\x01\x00\x02\x01") == 0x02DA
    assert write_register(2, 1) == b"\x7e\x00\x08\x01\x00\x02\x01\x02\xda"
    assert provision()[2:7] == b"\x08\x01\x00\x03\x02"


def awaiting() -> Splitter:
    splitter = Splitter()
    splitter.awaits_reply = True
    return splitter


def test_an_acknowledgement_glued_to_a_code() -> None:
    assert awaiting().feed(b"first\r" + ACK + b"E1:ABC\r\n") == ([b"first", b"E1:ABC"], [b"\x00\x00"])


def test_the_same_byte_by_byte() -> None:
    splitter = awaiting()
    codes, replies = [], []
    for byte in b"first\r" + ACK + b"E1:ABC\r\n":
        got = splitter.feed(bytes((byte,)))
        codes += got[0]
        replies += got[1]
    assert (codes, replies) == ([b"first", b"E1:ABC"], [b"\x00\x00"])


def test_one_command_has_one_reply_and_what_else_looks_like_one_is_a_visitors_code() -> None:
    splitter = awaiting()
    assert splitter.feed(ACK + ACK + b"\rE1:ABC\r") == ([ACK, b"E1:ABC"], [b"\x00\x00"])
    assert not splitter.awaits_reply
    splitter.awaits_reply = True
    assert splitter.feed(ACK + b"X\r") == ([b"X"], [b"\x00\x00"])


def test_an_overlong_code_is_cut_and_the_next_is_whole() -> None:
    splitter = Splitter()
    codes: "list[bytes]" = []
    for _ in range(100):
        codes += splitter.feed(b"A" * 100)[0]
    codes += splitter.feed(b"A\rGOOD\r")[0]
    assert [len(code) for code in codes] == [201, 4]


def test_noise_is_no_reply() -> None:
    assert awaiting().feed(b"\x02\x77\x01\x01abc\r")[0] == [b"\x02\x77\x01\x01abc"]
    assert awaiting().feed(b"\x00\xff\xfe\r")[0] == [b"\x00\xff\xfe"]
    assert awaiting().feed(b"\x02\x00\x00\x01\x00\x33\x32\r")[0] == [b"\x02\x00\x00\x01\x00\x33\x32"], "wrong CRC"


def test_a_printed_code_that_looks_like_a_reply_swallows_nobody() -> None:
    for splitter in (Splitter(), awaiting()):
        assert splitter.feed(b"\x02\x00\x00\x40 evil\rE1:ABC\r")[0] == [b"\x02\x00\x00\x40 evil", b"E1:ABC"]


def test_a_code_without_an_end_is_a_code_after_a_pause() -> None:
    splitter = Splitter()
    assert splitter.feed(b"E1:ABC") == ([], []) and splitter.waiting
    assert splitter.paused() == [b"E1:ABC"] and not splitter.waiting
    assert splitter.paused() == []
    splitter.feed(b"A" * 500)
    assert splitter.paused() == [] and splitter.feed(b"GOOD\r")[0] == [b"GOOD"]
