"""Key events of a keyboard on USB to the keys of a till."""

import asyncio
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from einlass_edge.drivers.hid_keypad import AMERICAN, GERMAN, HidKeypad, key_of
from einlass_edge.drivers.keypad import BACK, CANCEL, CARD, KEYS, LANGUAGE, LOST, OK

SHIFT, ENTER, BLOCK_ENTER = 42, 28, 96
BLOCK = {"0": 82, "1": 79, "2": 80, "3": 81, "4": 75, "5": 76, "6": 77, "7": 71, "8": 72, "9": 73}


def event(kind: int, key: int, value: int) -> bytes:
    return struct.pack("llHHi", 1, 2, kind, key, value)


def stroke(key: int, shift: bool = False) -> bytes:
    data = event(4, 4, 7) + event(1, key, 1) + event(0, 0, 0) + event(1, key, 2) + event(1, key, 0)
    return event(1, SHIFT, 1) + data + event(1, SHIFT, 0) if shift else data


def test_every_key_of_a_block_and_of_letters() -> None:
    assert "".join(key_of(BLOCK[digit], False, GERMAN) for digit in "0123456789") == "0123456789"
    assert "".join(key_of(2 + at, False, GERMAN) for at in range(10)) == "1234567890"
    assert [key_of(code, False, GERMAN) for code in (ENTER, BLOCK_ENTER, 1, 69, 14, 83, 55, 98, 78, 74)] == [
        *(OK, OK, CANCEL, CANCEL, BACK, BACK, CARD, LANGUAGE, LOST, "-")
    ]
    letters = [*range(16, 26), *range(30, 39), *range(44, 51)]
    for layout in (GERMAN, AMERICAN):
        typed = [key_of(code, shifted, layout) for code in letters for shifted in (False, True)]
        assert sorted(set(typed)) == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "with shift and without: capitals"
        assert {key_of(code, shifted, layout) for code in range(256) for shifted in (False, True)} <= KEYS | {""}


def test_layouts_differ_where_keyboards_do() -> None:
    assert [key_of(code, False, GERMAN) for code in (21, 44, 53, 43, 26, 39, 40)] == ["Z", "Y", "-", LANGUAGE, *"UOA"]
    assert [key_of(code, False, AMERICAN) for code in (21, 44, 53, 12)] == ["Y", "Z", LANGUAGE, "-"]
    assert (key_of(27, True, GERMAN), key_of(12, True, GERMAN)) == (CARD, LOST)
    assert (key_of(9, True, AMERICAN), key_of(53, True, AMERICAN)) == (CARD, LOST)
    assert key_of(2, True, GERMAN) == key_of(2, True, AMERICAN) == "", "an exclamation mark is no key of ours"


def test_it_is_read_grabbed_and_missed_when_it_is_unplugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        path = tmp_path / "event0"
        os.mkfifo(path)
        pressed: list[str] = []
        troubles: list[tuple[str, bool]] = []
        keypad = HidKeypad(str(path), GERMAN, pressed.append, lambda reason, began: troubles.append((reason, began)))
        task = asyncio.create_task(keypad.run())
        await _until(lambda: troubles == [("keys_lost", True)])  # a pipe is no keyboard: it cannot be grabbed
        monkeypatch.setattr("fcntl.ioctl", lambda *_: 0)
        writer = await asyncio.to_thread(os.open, path, os.O_RDWR)
        data = stroke(48, shift=True) + stroke(53) + stroke(45) + stroke(57) + stroke(79) + stroke(59) + stroke(ENTER)
        for at in range(0, len(data), 11):  # however the kernel cuts it
            os.write(writer, data[at : at + 11])
        await _until(lambda: "".join(pressed) == "B-X 1\r")
        assert troubles[-1] == ("keys_lost", False)
        os.close(writer)
        await _until(lambda: troubles[-1] == ("keys_lost", True))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 60))


async def _until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 50
    while not true():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.005)
