"""Codes in frames: whole, turned, blurred, inverted, without a quiet zone; and what is no picture."""

import asyncio
import io
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest
import segno
from PIL import Image, ImageFilter

from einlass_core.codes import CODE_LENGTH_MAX, opaque
from einlass_core.events import ENTRY, Event, Scanned
from einlass_edge.clock import now_ms
from einlass_edge.drivers import camera, qr_reader
from einlass_edge.drivers.camera import FRAME_BYTES_MAX, socket_frames
from einlass_edge.drivers.qr_reader import GONE_MS, LONG_SIDE_MAX, FrameError, QrReader, SeenCodes, unpack
from einlass_sim.devices.camera import Camera as SimulatedCamera
from einlass_sim.devices.camera import Look

TRIES_S = 0.5  # long enough for tries that must all fail
DEADLINE_S = 30.0
CODE = opaque(99)


def qr(text: str, border: int = 4, scale: int = 6, dark: str = "black", light: str = "white") -> Image.Image:
    out = io.BytesIO()
    segno.make_qr(text, error="m").save(out, kind="png", border=border, scale=scale, dark=dark, light=light)
    return Image.open(out).convert("L")


def on_wall(code: Image.Image, grey: int = 90) -> Image.Image:
    frame = Image.new("L", (640, 480), grey)
    frame.paste(code, ((640 - code.width) // 2, (480 - code.height) // 2))
    return frame


def jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        lambda code: code,
        lambda code: code.rotate(33, expand=True, fillcolor=90),
        lambda code: code.filter(ImageFilter.GaussianBlur(2)),
        lambda code: code.point(lambda value: 255 - value),  # a phone in dark mode
        lambda code: code.point(lambda value: 100 + value // 6),  # hardly any contrast
        lambda code: code.resize((code.width // 2, code.height // 2)),
    ],
    ids=["plain", "turned", "blurred", "inverted", "faint", "small"],
)
def test_a_code_is_read(change: Callable[[Image.Image], Image.Image]) -> None:
    assert QrReader().read(unpack(jpeg(on_wall(change(qr(CODE)))))) == [CODE.encode()]


@pytest.mark.needs("libzbar")
def test_zbar_reads_what_zxing_cannot() -> None:
    picture = on_wall(qr(CODE, border=0), grey=40)
    assert qr_reader._read_zxing(picture) == []
    assert QrReader().read(picture) == [CODE.encode()]


def test_without_zbar_the_first_reader_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Callable[[Image.Image], list[bytes]]:
        raise ImportError("Unable to find zbar shared library")

    monkeypatch.setattr(qr_reader, "_zbar", missing)
    reader = QrReader()
    assert reader.read(on_wall(qr(CODE, border=0), grey=40)) == []
    assert reader.read(on_wall(qr(CODE))) == [CODE.encode()]


def test_the_slow_reader_rests_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Image.Image] = []

    def counted(picture: Image.Image) -> list[bytes]:
        tries.append(picture)
        return []

    monkeypatch.setattr(qr_reader, "_zbar", lambda: counted)
    now = [0]
    reader = QrReader(lambda: now[0])
    for now[0] in range(0, 10 * qr_reader.SECOND_READER_EVERY_MS, 10):
        reader.read(Image.new("L", (64, 64)))
    assert 8 <= len(tries) <= 10


def test_several_codes_the_largest_first_and_nothing_in_noise() -> None:
    frame = Image.new("L", (900, 480), 255)
    frame.paste(qr(opaque(1), scale=3), (20, 20))
    frame.paste(qr(opaque(2), scale=8), (400, 60))
    assert QrReader().read(frame) == [opaque(2).encode(), opaque(1).encode()]
    assert QrReader().read(Image.effect_noise((640, 480), 90)) == []


@pytest.mark.parametrize("raw", [b"", b"\xff\xd8\xff", b"GIF89a" + bytes(50), jpeg(qr(CODE))[:-200], bytes(5000)])
def test_what_is_no_picture_is_refused(raw: bytes) -> None:
    with pytest.raises(FrameError):
        unpack(raw)


def test_any_bytes_are_a_picture_or_refused_never_a_crash() -> None:
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    good = jpeg(on_wall(qr(CODE)))
    for _ in range(200):
        raw = bytearray(good)
        for _ in range(rng.randint(1, 30)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        try:
            picture = unpack(bytes(raw))
        except FrameError:
            continue
        assert max(picture.size) <= LONG_SIDE_MAX, f"seed {seed}"
        QrReader(lambda: -1).read(picture)


def test_a_small_file_that_claims_a_huge_picture_is_not_unpacked() -> None:
    raw = bytearray(jpeg(Image.new("L", (64, 64))))
    at = raw.index(b"\xff\xc0") + 5
    raw[at : at + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(FrameError):
        unpack(bytes(raw))


def test_a_code_in_view_is_one_scan_until_it_was_gone() -> None:
    seen = SeenCodes()
    assert seen.new(0, [b"a"]) == [b"a"]
    assert [seen.new(at, [b"a"]) for at in range(100, 5000, 100)] == [[]] * 49
    assert seen.new(4950, [b"b", b"a"]) == [b"b"]
    assert seen.new(4950 + GONE_MS, [b"a"]) == [b"a"]


class Bench:
    def __init__(self, frames: camera.Frames) -> None:
        self.seen: list[bytes] = []
        self.troubles: list[tuple[str, bool]] = []
        self.driver = camera.Camera(
            ENTRY, frames, self.feed, now_ms, lambda reason, began: self.troubles.append((reason, began))
        )

    def feed(self, event: Event) -> bool:
        assert isinstance(event, Scanned)
        self.seen.append(event.raw)
        return True

    async def until(self, true: Callable[[], bool]) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < end_s, (self.seen, self.troubles)
            await asyncio.sleep(0.005)

    async def during(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self.driver.run())
        try:
            await work()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_a_camera_on_a_socket_gives_one_scan_for_each_time_a_code_is_held(tmp_path: Path) -> None:
    async def run() -> None:
        async with SimulatedCamera(tmp_path / "camera", frames_a_second=20, rng=random.Random(1)) as device:
            it = Bench(socket_frames(str(tmp_path / "camera")))

            async def work() -> None:
                device.show(CODE, Look(blur=1.0, turn_deg=12))
                await it.until(lambda: it.seen == [CODE.encode()])
                frames = device.frames_sent
                await it.until(lambda: device.frames_sent > frames + 10)
                assert it.seen == [CODE.encode()]
                device.show(opaque(5))
                await it.until(lambda: it.seen == [CODE.encode(), opaque(5).encode()])
                device.show("x" * 400)
                await it.until(lambda: len(it.seen) == 3)
                assert it.seen[2] == b"x" * (CODE_LENGTH_MAX + 1)

            await it.during(work)

    asyncio.run(asyncio.wait_for(run(), 40))


def test_a_camera_that_goes_or_lies_is_trouble_and_is_tried_again(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "camera"
        it = Bench(socket_frames(str(path)))

        async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((FRAME_BYTES_MAX + 1).to_bytes(4, "big") + b"x" * 100)

        async def work() -> None:
            await it.until(lambda: it.troubles == [("entry_camera_lost", True)])
            liar = await asyncio.start_unix_server(lie, path)
            await asyncio.sleep(TRIES_S)  # time for tries that must all fail
            liar.close()
            assert it.troubles == [("entry_camera_lost", True)]
            async with SimulatedCamera(path, frames_a_second=20) as device:
                device.show(CODE)
                await it.until(lambda: it.seen == [CODE.encode()])
                assert it.troubles[-1] == ("entry_camera_lost", False)
            await it.until(lambda: it.troubles[-1] == ("entry_camera_lost", True))

        await it.during(work)

    asyncio.run(asyncio.wait_for(run(), 40))


def test_broken_frames_are_skipped_and_the_loop_is_never_held_up() -> None:
    async def run() -> None:
        noise = jpeg(Image.effect_noise((1280, 1280), 90))

        async def frames() -> AsyncGenerator[bytes | Image.Image, None]:
            for frame in (b"nonsense", noise, b"", noise, noise):
                yield frame
                await asyncio.sleep(0.05)
            while True:
                yield jpeg(on_wall(qr(CODE)))
                await asyncio.sleep(0.02)

        it = Bench(frames)
        gaps: list[float] = []

        async def work() -> None:
            last_s = time.monotonic()
            end_s = last_s + DEADLINE_S
            while it.seen != [CODE.encode()]:
                assert time.monotonic() < end_s
                await asyncio.sleep(0.001)
                gaps.append(time.monotonic() - last_s)
                last_s = time.monotonic()

        await it.during(work)
        # Decoding such noise takes up to 100 ms; in the lane's own thread every gap would be that long.
        assert sorted(gaps)[int(len(gaps) * 0.9)] < 0.05

    asyncio.run(asyncio.wait_for(run(), 40))
