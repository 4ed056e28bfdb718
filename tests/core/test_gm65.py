"""Scanner frames against the values the manuals give, and streams in which everything is glued together."""

from einlass_core.gm65 import Splitter, crc16, provision, write_register

ACK = b"\x02\x00\x00\x01\x00\x33\x31"


def test_crc_of_the_trigger_command() -> None:
    assert crc16(b"\x08\x01\x00\x02\x01") == 0x02DA
    assert write_register(2, 1) == b"\x7e\x00\x08\x01\x00\x02\x01\x02\xda"
    assert provision()[2:7] == b"\x08\x01\x00\x03\x02"


def test_an_acknowledgement_glued_to_a_code() -> None:
    assert Splitter().feed(ACK + b"E1:ABC\r" + ACK + b"X\r\n") == ([b"E1:ABC", b"X"], [b"\x00", b"\x00"])


def test_the_same_byte_by_byte() -> None:
    splitter = Splitter()
    codes, replies = [], []
    for byte in ACK + b"E1:ABC\r" + ACK + b"X\n":
        got = splitter.feed(bytes((byte,)))
        codes += got[0]
        replies += got[1]
    assert (codes, replies) == ([b"E1:ABC", b"X"], [b"\x00", b"\x00"])


def test_an_overlong_code_is_cut_and_the_next_is_whole() -> None:
    splitter = Splitter()
    codes: "list[bytes]" = []
    for _ in range(100):
        codes += splitter.feed(b"A" * 100)[0]
    codes += splitter.feed(b"A\rGOOD\r")[0]
    assert [len(code) for code in codes] == [201, 4]


def test_noise_is_no_reply() -> None:
    assert Splitter().feed(b"\x02\x77\x01\x01abc\r")[0] == [b"\x77\x01\x01abc"]
    assert Splitter().feed(b"\x00\xff\xfe\r")[0] == [b"\x00\xff\xfe"]
