"""Key events as the kernel writes them, from a scanner that plays a keyboard."""

import asyncio
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from einlass_core.codes import CODE_LENGTH_MAX, opaque
from einlass_core.events import ENTRY, Event, Scanned
from einlass_edge.drivers.hid_scanner import HidScanner, Keys

SHIFT, ENTER = 42, 28
KEYS = {"E": 18, "1": 2, "2": 3, "A": 30, ":": 39, "-": 12}


def event(kind: int, key: int, value: int) -> bytes:
    return struct.pack("llHHi", 1, 2, kind, key, value)


def stroke(key: int) -> bytes:
    return event(4, 4, 7) + event(1, key, 1) + event(0, 0, 0) + event(1, key, 0) + event(0, 0, 0)


def typed(text: str) -> bytes:
    data = b""
    for character in text:
        shifted = character.isupper() or character == ":"
        key = KEYS.get(character) or {"0": 11}.get(character) or 1 + int(character)
        data += (event(1, SHIFT, 1) if shifted else b"") + stroke(key) + (event(1, SHIFT, 0) if shifted else b"")
    return data + stroke(ENTER)


def test_a_code_is_read_however_the_kernel_cuts_the_events() -> None:
    code = opaque(0)
    keys = Keys()
    found: list[bytes] = []
    data = typed(code)
    for at in range(0, len(data), 7):
        found += keys.feed(data[at : at + 7])
    assert found == [code.encode()]


def test_enter_alone_and_held_keys_are_nothing() -> None:
    keys = Keys()
    assert keys.feed(stroke(ENTER) + event(1, KEYS["A"], 1) + event(1, KEYS["A"], 2) * 5 + stroke(ENTER)) == [b"a"]


def test_a_key_that_is_no_character_spoils_the_code_and_only_that_one() -> None:
    keys = Keys()
    assert keys.feed(stroke(KEYS["1"]) + stroke(59) + stroke(ENTER) + typed("12")) == [b"1\x00", b"12"]


def test_an_overlong_code_is_cut_so_that_it_is_refused() -> None:
    assert [len(code) for code in Keys().feed(stroke(KEYS["1"]) * 5000 + stroke(ENTER))] == [CODE_LENGTH_MAX + 1]


def test_the_device_is_read_and_its_loss_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        path = tmp_path / "event0"
        os.mkfifo(path)
        seen: list[bytes] = []
        troubles: list[tuple[str, bool]] = []

        def feed(scanned: Event) -> bool:
            assert isinstance(scanned, Scanned)
            seen.append(scanned.raw)
            return True

        scanner = HidScanner(ENTRY, str(path), feed, lambda reason, began: troubles.append((reason, began)))
        task = asyncio.create_task(scanner.run())
        # A pipe is no keyboard: it cannot be grabbed, and that is trouble.
        await _until(lambda: troubles == [("entry_scanner_lost", True)])
        monkeypatch.setattr("fcntl.ioctl", lambda *_: 0)
        writer = await asyncio.to_thread(os.open, path, os.O_RDWR)
        os.write(writer, typed("E1:12"))
        await _until(lambda: seen == [b"E1:12"])
        assert troubles[-1] == ("entry_scanner_lost", False)
        os.close(writer)
        await _until(lambda: troubles[-1] == ("entry_scanner_lost", True))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 20))


async def _until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.005)
