"""The simulated camera: what a reader library makes of its frames, and how it treats those who look."""

import asyncio
import io
import random
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from einlass_core.codes import opaque
from einlass_sim.devices.camera import FRAME_BYTES_MAX, Camera, Look, picture

CODE = opaque(0xFEED_0000_1111_2222_3333)
LOOKS = {
    "still": Look(),
    "turned": Look(turn_deg=17),
    "upside_down": Look(turn_deg=180),
    "blurred": Look(blur=2.0),
    "noisy": Look(noise=60),
    "far_away": Look(module_px=3),
    "dark_mode": Look(inverted=True),
    "all_at_once": Look(blur=1.2, turn_deg=-9, noise=40, module_px=5),
}


def decode(jpeg: bytes) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(Image.open(io.BytesIO(jpeg)))]


@pytest.mark.parametrize("name", LOOKS)
def test_a_shown_code_can_be_read(name: str) -> None:
    assert decode(picture(CODE, LOOKS[name], random.Random(1))) == [CODE]


def test_nobody_there_is_no_code() -> None:
    assert decode(picture(None, Look(noise=60), random.Random(1))) == []


def test_too_much_blur_cannot_be_read() -> None:
    assert decode(picture(CODE, Look(blur=20, module_px=3), random.Random(1))) == []


async def frame(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(4), "big")
    assert length <= FRAME_BYTES_MAX
    return await reader.readexactly(length)


async def frame_with(reader: asyncio.StreamReader, wanted: list[str]) -> bytes:
    while decode(jpeg := await frame(reader)) != wanted:
        pass
    return jpeg


def test_frames_follow_what_is_held_before_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with Camera(tmp_path / "camera", frames_a_second=50) as camera:
            reader, writer = await asyncio.open_unix_connection(camera.path)
            await frame_with(reader, [])
            camera.show(CODE, Look(noise=20))
            await frame_with(reader, [CODE])
            camera.hide()
            await frame_with(reader, [])
            camera.push(pushed := picture("WEBCAM", Look(), random.Random(2)))
            assert await frame_with(reader, ["WEBCAM"]) == pushed
            with pytest.raises(ValueError, match="JPEG"):
                camera.push(b"GIF89a")
            writer.close()
        assert not camera.path.exists()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_reader_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    async def run() -> None:
        async with Camera(tmp_path / "camera", frames_a_second=200) as camera:
            camera.show(CODE)
            _, lazy = await asyncio.open_unix_connection(camera.path)
            reader, writer = await asyncio.open_unix_connection(camera.path)
            for _ in range(100):
                assert decode(await frame(reader)) == [CODE]
            assert camera.frames_sent < 200, "the lazy one was sent frames without end"
            lazy.close()
            writer.close()

    asyncio.run(asyncio.wait_for(run(), 30))
