"""ZVT's packets and fields: torn, huge, broken; numbers in BCD."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einlass_edge.drivers import zvt
from einlass_edge.drivers.zvt import Packet, Packets, ZvtError

FEW = settings(max_examples=80, deadline=None)


def test_known_packets() -> None:
    # The specification's own shapes: acknowledgement, and an authorisation of 1 cent.
    assert zvt.ACK.hex(" ") == "80 00 00"
    assert zvt.packet(zvt.AUTHORISE, b"\x04" + zvt.bcd(1, 6)).hex(" ") == "06 01 07 04 00 00 00 00 00 01"


@FEW
@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=600)), max_size=5), st.data())
def test_torn_packets_are_put_together(packets: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(zvt.packet(*packet) for packet in packets)
    reader, found = Packets(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert found == [Packet(*packet) for packet in packets]


def test_a_length_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(ZvtError, match="no ZVT"):
        Packets().feed(b"\x06\x01\xff\xff\xff")
    with pytest.raises(ValueError, match="at most"):
        zvt.packet(zvt.AUTHORISE, bytes(zvt.DATA_BYTES_MAX + 1))


@FEW
@given(st.integers(0, zvt.CENTS_MAX))
def test_an_amount_there_and_back(cents: int) -> None:
    assert zvt.number(zvt.bcd(cents, 6)) == cents


@pytest.mark.parametrize("amount", [-1, zvt.CENTS_MAX + 1])
def test_an_amount_that_does_not_fit_is_refused(amount: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        zvt.bcd(amount, 6)


@FEW
@given(st.binary(max_size=300))
def test_any_data_is_fields_or_refused(data: bytes) -> None:
    try:
        found = zvt.fields(data)
        zvt.receipt_lines(found.get(zvt.TLV, b""))
        zvt.number(found.get(zvt.AMOUNT, b""))
    except ZvtError:
        return
    assert sum(len(value) for value in found.values()) <= len(data)


def test_fields_of_a_status_information() -> None:
    data = bytes.fromhex("27 00 04 000000000450 87 0042 0b 000142 22 f0f8 eeeeeeeeeeee1234 8b f0f8") + b"girocard"
    found = zvt.fields(data + bytes.fromhex("06 81 03 1f1000 fe 99 27 6c"))
    assert zvt.number(found[zvt.AMOUNT]) == 450
    assert zvt.number(found[zvt.RECEIPT]) == 42
    assert found[zvt.CARD_NAME] == b"girocard"
    assert found[zvt.TLV] == bytes.fromhex("1f1000")
    assert found[zvt.RESULT] == b"\x00", "what stands behind an unknown field is not believed"


@pytest.mark.parametrize("broken", ["04 0000", "22 0102 00", "06", "06 83 000000", "3c f0f1"])
def test_a_field_that_is_cut_short_is_refused(broken: str) -> None:
    with pytest.raises(ZvtError):
        zvt.fields(bytes.fromhex(broken))


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ZvtError, match="no BCD"):
        zvt.number(b"\x1a")


def test_a_receipt_s_control_codes_are_gone() -> None:
    assert zvt.line_text(b"\x00Betrag\x1b@ 4,50\x00") == "Betrag @ 4,50"
    assert zvt.receipt_lines(bytes.fromhex("25 05 07 03") + b"A\x84B" + bytes.fromhex("1f07 01 01")) == ["AäB"]
