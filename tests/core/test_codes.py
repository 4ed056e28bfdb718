"""Codes as readers deliver them and as people type them."""

from einlass_core import codes

GOOD = "E1:QS4YXZ6AKQQBRRRAV"


def reason_of(raw: bytes) -> str:
    try:
        codes.read(raw)
    except codes.CodeError as error:
        return error.reason
    raise AssertionError("accepted")


def test_opaque_codes_hold_80_bits() -> None:
    assert codes.opaque(0) == "E1:00000000000000000"
    assert len(codes.opaque((1 << 80) - 1)) == 20
    for number in (-1, 1 << 80):
        try:
            codes.opaque(number)
        except ValueError:
            continue
        raise AssertionError(number)


def test_read_as_scanned_and_as_typed() -> None:
    for raw in (
        b"E1:QS4YXZ6AKQQBRRRAV\r",
        b"e1:qs4yxz6akqqbrrrav",
        b" qs4y-xz6a-kqqb-rrra-v ",
        b"QS4Y XZ6A KQQB RRRA V\r\n",
    ):
        assert codes.read(raw) == GOOD, raw


def test_letters_that_look_like_digits_are_read_as_them() -> None:
    code = codes.opaque(0x10)
    assert codes.read(code.replace("0", "O").encode()) == code


def test_every_single_slip_and_every_swap_is_noticed() -> None:
    body = GOOD[3:]
    for at in range(len(body)):
        for character in codes.ALPHABET:
            if character != body[at]:
                assert reason_of(("E1:" + body[:at] + character + body[at + 1 :]).encode()) == "misread"
    for at in range(len(body) - 1):
        if body[at] != body[at + 1]:
            swapped = body[:at] + body[at + 1] + body[at] + body[at + 2 :]
            assert reason_of(("E1:" + swapped).encode()) == "misread"


def test_what_is_no_code() -> None:
    assert reason_of(b"") == reason_of(b"\r\n") == "empty"
    assert reason_of(b"A" * 201) == reason_of(b"A" * 10_000) == "too_long"
    assert reason_of(b"\xc3\xa4") == reason_of(b"A\x00B") == reason_of(b"\xff") == "not_text"


def test_foreign_codes_keep_their_letters() -> None:
    assert codes.read(b"a1b2Secret") == "a1b2Secret"
    assert codes.read(b"e2:abc") == "E2:ABC"


def test_digest_is_eight_bytes() -> None:
    assert codes.digest(GOOD) == "396f191c47295dda"
    assert codes.in_groups(GOOD) == "QS4Y-XZ6A-KQQB-RRRA-V"
