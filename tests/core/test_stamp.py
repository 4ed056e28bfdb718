"""The stamp on a parking ticket: read with its key, refused when it was edited, and nothing to anybody else."""

from einlass_core import codes, stamp

KEY, OTHER = b"0123456789abcdef", b"fedcba9876543210"
CODE = codes.opaque(4711)
NOW_S = 1_790_000_000
DAY = 20717
TICKET = stamp.stamped(CODE, NOW_S - 3600, DAY, KEY)


def why(text: str, now_s: int = NOW_S) -> str:
    return stamp.entered(text.encode(), {DAY: KEY, DAY - 1: OTHER}, now_s).why


def test_a_stamp_tells_when_and_the_code_is_what_is_before_it() -> None:
    found = stamp.entered(TICKET.encode(), {DAY: KEY}, NOW_S)
    assert (found.entered_s, found.why) == (NOW_S - 3600, "")
    assert codes.read(stamp.without(TICKET.encode())) == CODE
    assert len(TICKET) <= 60 and all(c in codes.ALPHABET + "E1:." for c in TICKET), TICKET
    assert why(TICKET.lower()) == "" and why("  %s\r\n" % TICKET) == "", "as scanners deliver it"


def test_it_is_hmac_sha256() -> None:
    """Worked out once by another program: HMAC-SHA256 of the text before the last dot, first 60 bits."""
    assert TICKET.split(".")[-1] == "BWH68RA2ZSF0"


def test_edited_foreign_and_missing_ones_are_told_apart() -> None:
    code, second, day, mac = TICKET.split(".")
    other = codes.opaque(4712)
    for parts in (
        (code, str(int(second) + 60), day, mac), (other, second, day, mac), (code, second, day, "0" * 12),
        (code, second, str(DAY - 1), mac), (code, second, day), (code, "-5", day, mac), (code, "0" + second, day, mac),
        (code, second, day, mac, ""), (code, "", day, mac), (code, second, day, mac[1:]),
        ("E1:NOCODE", second, day, mac),
    ):  # fmt: skip
        assert why(".".join(parts)) == stamp.WRONG, parts
    assert why(".".join((code, second, str(DAY - 9), mac))) == stamp.OLD
    for text in (CODE, codes.in_groups(CODE), "FREI24", "www.example.org"):
        assert why(text) == stamp.MISSING, text
        assert stamp.without(text.encode()) == text.encode()
    assert why(stamp.stamped(CODE, NOW_S + 61, DAY, KEY)) == stamp.WRONG, "given out in the future"
    assert why(stamp.stamped(CODE, NOW_S + 60, DAY, KEY)) == "", "clocks differ a little"
    assert why("E1:\xff.1.2.3") in (stamp.WRONG, stamp.OLD)
