"""ccTalk frames and the event counter: torn, noisy, echoed, wrapped; and never a coin too many or too few."""

from collections import deque

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from einlass_edge.drivers import cctalk
from einlass_edge.drivers.cctalk import find_answer, frame
from einlass_edge.drivers.coins import cents_of, read_events
from einlass_sim.devices.cctalk import CcTalkBus, CoinAcceptor

FEW = settings(max_examples=200, deadline=None)
BYTE = st.integers(0, 255)


def test_a_known_frame() -> None:
    # From the specification's worked example as public sources quote it: simple poll of device 3.
    assert frame(3, cctalk.SIMPLE_POLL).hex(" ") == "03 00 01 fe fe"
    assert find_answer(bytes.fromhex("03 00 01 fe fe 01 00 03 00 fc"), frame(3, cctalk.SIMPLE_POLL), 3) == (0, b"")


@FEW
@given(BYTE, BYTE, st.binary(max_size=255))
def test_a_frame_adds_up_to_zero(device: int, header: int, data: bytes) -> None:
    raw = frame(device, header, data)
    assert sum(raw) % 256 == 0
    assert len(raw) == 5 + len(data)


@FEW
@given(st.integers(2, 255), st.binary(max_size=60), st.binary(max_size=20), st.booleans())
def test_an_answer_is_found_behind_echo_and_noise_and_not_before_it_is_whole(
    device: int, data: bytes, noise: bytes, echo: bool
) -> None:
    sent = frame(device, 229)
    answer = frame(cctalk.MASTER, cctalk.ANSWER, data, source=device)
    # Noise that could begin a frame of our own is a case of its own.
    noise = noise.replace(b"\x01", b"\x02")
    received = (sent if echo else b"") + noise + answer
    assert find_answer(received, sent, device) == (cctalk.ANSWER, data)
    assert find_answer(received[:-1], sent, device) is None
    assert find_answer(sent, sent, device) is None


@FEW
@given(st.binary(max_size=12), st.data())
def test_one_wrong_byte_is_never_an_answer_with_other_data(data: bytes, draw: st.DataObject) -> None:
    raw = bytearray(frame(cctalk.MASTER, cctalk.ANSWER, data, source=2))
    place = draw.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= draw.draw(st.integers(1, 255))
    found = find_answer(bytes(raw), frame(2, 229), 2)
    assert found is None or len(found[1]) != len(data)


def test_too_much_data_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 255"):
        frame(2, 1, bytes(256))


class Model:
    """An acceptor's buffer as the specification has it."""

    def __init__(self, counter: int) -> None:
        self.counter = counter
        self.events: deque[tuple[int, int]] = deque([(0, 0)] * 5, maxlen=5)
        self.serial = 0

    def coin(self) -> None:
        self.counter = self.counter % 255 + 1
        self.serial += 1
        self.events.appendleft((1 + self.serial % 16, 1 + self.serial // 16 % 200))

    def answer(self) -> bytes:
        return bytes([self.counter, *(byte for event in self.events for byte in event)])


@FEW
@given(st.integers(0, 255), st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=120))
@example(0, [(255 % 10, True)] * 60)
def test_every_coin_once_however_many_answers_are_lost(start: int, polls: list[tuple[int, bool]]) -> None:
    model, last, lost = Model(start), start, 0
    seen: list[tuple[int, int]] = []
    expected: list[tuple[int, int]] = []
    for coins, heard in [*polls, (0, True)]:
        for _ in range(coins):
            model.coin()
            expected.append(model.events[0])
        if not heard:
            continue
        reading = read_events(model.answer(), last)
        last = model.counter
        assert not reading.reset
        seen += reading.events
        lost += reading.lost
        if reading.lost:
            # What was overwritten is said, and what is credited is really the newest.
            assert list(reading.events) == expected[-5:]
            del expected[len(seen) - 5 : len(expected) - 5]
        assert seen == expected
    assert len(seen) + lost == model.serial % 100_000 or lost % 255 == (model.serial - len(seen)) % 255


def test_a_reset_is_told_apart_from_no_news() -> None:
    empty = bytes(11)
    assert read_events(empty, 0) == read_events(empty, None)
    assert read_events(empty, 7).reset
    # Reset unseen, then one event: the counter jumps, and what is in the buffer is new all the same.
    reading = read_events(bytes([1, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0]), 10)
    assert reading.lost
    assert (4, 1) in reading.events


def test_the_counter_wraps_from_255_to_1() -> None:
    reading = read_events(bytes([2, 3, 1, 2, 1, 1, 1, 9, 9, 9, 9]), 254)
    assert reading.events == ((1, 1), (2, 1), (3, 1))
    assert reading.lost == 0


@pytest.mark.parametrize("answer", [b"", bytes(10), bytes(12)])
def test_an_answer_of_another_length_is_none(answer: bytes) -> None:
    with pytest.raises(ValueError, match="five events"):
        read_events(answer, 0)


def test_names_of_coins() -> None:
    assert [cents_of(name) for name in (b"EU005A", b"EU100A", b"EU200B")] == [5, 100, 200]
    assert [cents_of(name) for name in (b"......", b"GB100A", b"EU5K0A", b"EU000A", b"\xff" * 6, b"")] == [None] * 6


@FEW
@given(st.binary(max_size=300))
def test_the_simulated_bus_answers_a_frame_after_any_noise_and_a_pause(noise: bytes) -> None:
    bus = CcTalkBus()
    bus.add(CoinAcceptor({"EU100A": 1}))
    bus.received(noise)
    bus._input.clear()  # the pause
    sent = frame(cctalk.ACCEPTOR, cctalk.SIMPLE_POLL)
    assert find_answer(bus.received(sent), sent, cctalk.ACCEPTOR) == (cctalk.ANSWER, b"")
