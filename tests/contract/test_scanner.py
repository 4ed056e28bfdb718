"""The simulated GM65 as a node meets it: a tty at 9600 baud that types codes and answers frames."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st

from einlass_core.codes import opaque
from einlass_sim.devices import gm65
from einlass_sim.devices.gm65 import Gm65, frame
from einlass_sim.devices.scanner import BAUD, BITS_A_BYTE, Scanner

CODE = opaque(0x1234_5678_9ABC_DEF0_1234)
TRIGGER_UNCHECKED = bytes.fromhex("7E000801000201ABCD")
ACK = bytes.fromhex("02000001003331")
DEADLINE_S = 20.0


def on_a_tty(talk: Callable[[Scanner, serial.Serial], Awaitable[None]], **options: object) -> None:
    async def run() -> None:
        async with Scanner(**options) as scanner:  # type: ignore[arg-type]
            with serial.Serial(scanner.path, BAUD, timeout=DEADLINE_S) as line:
                await talk(scanner, line)

    asyncio.run(asyncio.wait_for(run(), 30))


async def read(line: serial.Serial, count: int) -> bytes:
    data: bytes = await asyncio.to_thread(line.read, count)
    return data


def test_a_held_code_is_typed_with_an_ending() -> None:
    async def talk(scanner: Scanner, line: serial.Serial) -> None:
        await scanner.hold(CODE)
        assert await read(line, len(CODE) + 1) == CODE.encode() + b"\r"

    on_a_tty(talk, real_pacing=False)


def test_a_code_takes_as_long_as_on_a_serial_line() -> None:
    async def talk(scanner: Scanner, line: serial.Serial) -> None:
        typed = await scanner.hold(CODE)
        line_s = len(typed.text) * BITS_A_BYTE / BAUD
        assert typed.last_byte_s - typed.first_byte_s >= line_s
        assert await read(line, len(typed.text)) == typed.text

    on_a_tty(talk)


def test_frames_are_answered_with_a_true_crc_or_with_none() -> None:
    async def talk(scanner: Scanner, line: serial.Serial) -> None:
        assert frame(gm65.WRITE, gm65.TRIGGER, b"\x01") == bytes.fromhex("7E00080100020102DA")
        assert frame(gm65.SAVE, 0, b"\x00") == bytes.fromhex("7E0009010000 00DEC8")
        for sent in (TRIGGER_UNCHECKED, frame(gm65.WRITE, gm65.TRIGGER, b"\x01"), frame(gm65.SAVE, 0, b"\x00")):
            line.write(sent)
            assert await read(line, len(ACK)) == ACK
        line.write(frame(gm65.READ, gm65.MODE, b"\x04", count=1))
        answer = await read(line, 10)
        assert answer[:4] == b"\x02\x00\x00\x04"
        assert answer[4] == gm65.FACTORY[gm65.MODE]
        assert answer[8:] == gm65.crc16(answer[2:8])

    on_a_tty(talk)


def test_a_frame_with_a_wrong_crc_gets_no_answer_and_does_nothing() -> None:
    module = Gm65()
    wrong = frame(gm65.WRITE, gm65.SETTING_CODES, b"\x02")[:-1] + b"\x00"
    assert module.received(0, wrong) == b""
    assert module.setting_codes_open
    assert module.frames_refused == 1
    assert module.received(0, TRIGGER_UNCHECKED) == ACK


@given(st.lists(st.integers(1, 8)), st.integers(0, 255))
def test_torn_frames_are_put_together(cuts: list[int], value: int) -> None:
    module, stream, answers = Gm65(), frame(gm65.WRITE, gm65.READING_TIME, bytes([value])) * 3, b""
    while stream:
        size = cuts.pop() if cuts else 1
        answers += module.received(0, stream[:size])
        stream = stream[size:]
    assert answers == ACK * 3
    assert module.registers[gm65.READING_TIME] == value


@given(st.binary(max_size=600))
def test_noise_harms_nobody(noise: bytes) -> None:
    module = Gm65()
    module.received(0, noise)
    module.looks_at(0, noise)
    module.power_cycle()
    assert module.received(0, TRIGGER_UNCHECKED) == ACK


def test_from_the_factory_a_printed_code_reconfigures_it_and_after_provisioning_it_is_just_a_code() -> None:
    module = Gm65()
    assert module.looks_at(0, b"_SET_0000_D5") == b""
    assert not module.continuous
    module.power_cycle()
    assert not module.continuous, "a setting code lasts"
    module = Gm65()
    module.received(0, frame(gm65.WRITE, gm65.SETTING_CODES, b"\x00"))
    assert module.setting_codes_open, "0 leaves them open: bit 1 closes them"
    module.received(0, frame(gm65.WRITE, gm65.SETTING_CODES, bytes([gm65.SETTING_CODES_CLOSED])))
    assert module.looks_at(0, b"_SET_0000_D5") == b"_SET_0000_D5\r"
    assert module.continuous
    module.power_cycle()
    assert module.setting_codes_open, "not saved to flash"
    module.received(0, frame(gm65.WRITE, gm65.SETTING_CODES, bytes([gm65.SETTING_CODES_CLOSED])))
    module.received(0, frame(gm65.SAVE, 0, b"\x00"))
    module.power_cycle()
    assert not module.setting_codes_open
    assert module.looks_at(0, b"_SET_CODE_ON") == b"_SET_CODE_ON\r"
    assert not module.setting_codes_open
    module.received(0, frame(gm65.WRITE, gm65.RESET, b"\x50"))
    assert module.setting_codes_open
    assert module.continuous


def test_a_held_code_is_read_again_only_after_the_same_code_time() -> None:
    module = Gm65()
    typed_ms = [at_ms for at_ms in range(0, 3500, 50) if module.looks_at(at_ms, b"X")]
    assert typed_ms == [0, 1000, 2000, 3000]
    assert module.looks_at(3100, b"Y"), "another code is read at once"
    assert module.looks_at(3200, b"X")
    module.received(0, frame(gm65.WRITE, gm65.SAME_CODE, b"\x00"))
    assert module.looks_at(3250, b"X")


def test_by_command_it_reads_once_and_only_while_the_reading_lasts() -> None:
    module = Gm65()
    module.received(0, frame(gm65.WRITE, gm65.MODE, b"\xd5"))
    assert module.looks_at(0, b"X") == b""
    module.received(100, TRIGGER_UNCHECKED)
    assert module.looks_at(200, b"X") == b"X\r"
    assert module.looks_at(300, b"X") == b""
    module.received(1000, TRIGGER_UNCHECKED)
    assert module.looks_at(1000 + gm65.FACTORY[gm65.READING_TIME] * gm65.UNIT_MS + 1, b"X") == b""


def test_the_line_outlives_the_node() -> None:
    async def run() -> None:
        async with Scanner(real_pacing=False) as scanner:
            for _ in range(3):
                with serial.Serial(scanner.path, BAUD, timeout=DEADLINE_S) as line:
                    line.write(TRIGGER_UNCHECKED)
                    assert await read(line, len(ACK)) == ACK
                    await scanner.hold("ABC", 0)
                    scanner.module.power_cycle()
                    assert await read(line, 4) == b"ABC\r"

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_reader_that_configures_nothing_gets_the_same_bytes() -> None:
    async def run() -> None:
        async with Scanner(real_pacing=False) as scanner:
            await scanner.hold("ABC")
            tty = os.open(scanner.path, os.O_RDONLY | os.O_NOCTTY)
            try:
                assert await asyncio.to_thread(os.read, tty, 100) == b"ABC\r"
            finally:
                os.close(tty)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_what_a_dead_node_does_not_fetch_is_lost(tmp_path: Path) -> None:
    async def run() -> None:
        link = tmp_path / "reader"
        async with Scanner(link, real_pacing=False) as scanner:
            for number in range(300):
                await scanner.hold(f"{number:0100d}")
            assert scanner.bytes_lost > 0
            scanner.drop_unread()
            scanner.module.power_cycle()
            with serial.Serial(str(link), BAUD, timeout=DEADLINE_S) as line:
                await scanner.hold("NEW")
                assert await read(line, 4) == b"NEW\r"
        assert not link.exists()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_noisy_line_garbles_in_both_directions() -> None:
    async def talk(scanner: Scanner, line: serial.Serial) -> None:
        scanner.garble = 1.0
        typed = await scanner.hold(CODE)
        arrived = await read(line, len(typed.text))
        assert all(sent != got for sent, got in zip(typed.text, arrived, strict=True))
        line.write(TRIGGER_UNCHECKED)
        scanner.garble = 0.0
        await scanner.noise(b"#")
        assert await read(line, 1) == b"#"

    on_a_tty(talk, real_pacing=False, rng=random.Random(1))


def test_holding_has_bounds() -> None:
    async def talk(scanner: Scanner, line: serial.Serial) -> None:
        with pytest.raises(ValueError, match="held for"):
            await scanner.hold(CODE, -1)

    on_a_tty(talk)
