"""Cameras: frames from a unix socket (4 bytes of length, big-endian, then a JPEG) or from V4L2 through OpenCV.

Only the newest frame is decoded, in a thread of its own: a slow decoder makes frames old, never the lane late.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from PIL import Image

from einlass_core.codes import CODE_LENGTH_MAX
from einlass_core.events import Scanned
from einlass_edge.drivers.driver import Feed, Now, Trouble
from einlass_edge.drivers.lasting import lasting
from einlass_edge.drivers.qr_reader import LONG_SIDE_MAX, FrameError, QrReader, SeenCodes, unpack

FRAME_BYTES_MAX = 2 * 1024 * 1024
LENGTH_BYTES = 4
# A camera that stops in the middle of a frame, or sends none for so long, is gone.
SILENCE_S_MAX = 30.0
CONNECT_S_MAX = 3.0

log = structlog.get_logger(__name__)
Frames = Callable[[], AsyncGenerator[bytes | Image.Image, None]]


class CameraError(OSError):
    """The camera cannot be used; the text says what to do."""


def socket_frames(path: str) -> Frames:
    """Frames as JPEG bytes from a unix socket; raises OSError when it ends or breaks the rules."""

    async def frames() -> AsyncGenerator[bytes | Image.Image, None]:
        async with asyncio.timeout(CONNECT_S_MAX):
            reader, writer = await asyncio.open_unix_connection(path)
        try:
            while True:
                async with asyncio.timeout(SILENCE_S_MAX):
                    length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
                    if not 0 < length <= FRAME_BYTES_MAX:
                        raise CameraError(f"a frame of {length} bytes; allowed are 1 to {FRAME_BYTES_MAX}")
                    jpeg = await reader.readexactly(length)
                yield jpeg
        except asyncio.IncompleteReadError as error:
            raise CameraError("the camera closed the connection") from error
        finally:
            writer.close()

    return frames


def v4l2_frames(device: str) -> Frames:
    """Grey frames from a V4L2 device; raises CameraError when OpenCV or the device is not there."""

    async def frames() -> AsyncGenerator[bytes | Image.Image, None]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="camera") as thread:
            capture = await loop.run_in_executor(thread, _open_v4l2, device)
            try:
                while True:
                    yield await loop.run_in_executor(thread, _grab, capture)
            finally:
                capture.release()

    return frames


class Camera:
    """See Reader."""

    def __init__(self, side: str, frames: Frames, feed: Feed, now_ms: Now, trouble: Trouble) -> None:
        self._side = side
        self._frames = frames
        self._feed = feed
        self._now_ms = now_ms
        self._trouble = trouble
        self._newest: bytes | Image.Image | None = None
        self._arrived = asyncio.Event()
        self._reader = QrReader()
        self._seen = SeenCodes()

    async def run(self) -> None:
        """See Reader."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"qr-{self._side}") as thread:
            decoding = asyncio.create_task(self._decode(thread))
            try:
                await lasting(self._serve, f"{self._side}_camera_lost", self._side, self._trouble)
            finally:
                decoding.cancel()
                await asyncio.gather(decoding, return_exceptions=True)

    async def _serve(self, works: Callable[[], None]) -> None:
        async with contextlib.aclosing(self._frames()) as frames:
            async for frame in frames:
                works()
                self._newest = frame
                self._arrived.set()

    async def _decode(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        bad_frames = 0
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            frame, self._newest = self._newest, None
            if frame is None:
                continue
            try:
                codes = await loop.run_in_executor(thread, self._read, frame)
            except FrameError as error:
                bad_frames += 1
                if bad_frames & (bad_frames - 1) == 0:  # the 1st, 2nd, 4th ...: a broken camera sends many
                    log.warning("bad_frame", side=self._side, count=bad_frames, error=str(error))
                continue
            for code in self._seen.new(self._now_ms(), codes):
                # An overlong one keeps one byte too many, so that the lane refuses it as such.
                if not self._feed(Scanned(self._side, code[: CODE_LENGTH_MAX + 1])):
                    log.warning("scans_dropped", side=self._side, count=1)

    def _read(self, frame: bytes | Image.Image) -> list[bytes]:
        return self._reader.read(unpack(frame) if isinstance(frame, bytes) else frame)


def _open_v4l2(device: str) -> Any:
    try:
        import cv2
    except ImportError as error:
        raise CameraError("OpenCV is not installed: install `einlass[camera]`, or use a socket camera") from error
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    if not capture.isOpened():
        raise CameraError(f"{device} cannot be opened: is the camera there, and is this user in the group `video`?")
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, LONG_SIDE_MAX)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, LONG_SIDE_MAX * 9 // 16)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def _grab(capture: Any) -> Image.Image:
    import cv2

    good, frame = capture.read()
    if not good:
        raise CameraError("the camera delivers no frame")
    picture = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
    picture.thumbnail((LONG_SIDE_MAX, LONG_SIDE_MAX))
    return picture
