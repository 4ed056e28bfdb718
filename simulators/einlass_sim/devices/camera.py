"""A camera that looks at whatever is held before it: JPEG frames over a unix socket.

    async with Camera(path) as camera:                      # frames go to everybody connected to path
        camera.show("E1:...", Look(blur=1.0, turn_deg=12))  # a phone with a QR code comes into the picture
        camera.hide()
        camera.push(jpeg)                                   # a frame from elsewhere, a browser's webcam; for a second
                                                            # after the last one the camera draws none of its own

A frame is a 4-byte big-endian length and that many bytes of JPEG, at most FRAME_BYTES_MAX. A reader that is too slow
misses frames, never gets old ones.
"""

import asyncio
import io
import random
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import segno
from PIL import Image, ImageFilter

WIDTH, HEIGHT = 640, 480
FRAMES_A_SECOND = 10
FRAME_BYTES_MAX = 2 * 1024 * 1024
CODE_LENGTH_MAX = 500
READERS_MAX = 4
PUSHED_S = 1.0
PICTURES_KEPT = 4
QUIET_MODULES = 4
WALL_GREY, PHONE_GREY = 96, 40
JPEG_QUALITY = 80


@dataclass(frozen=True)
class Look:
    """How a code is held. blur: Gaussian sigma in px; noise: sigma of grey levels; module_px: size of one module."""

    blur: float = 0.0
    turn_deg: float = 0.0
    noise: float = 0.0
    module_px: int = 7
    inverted: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.blur <= 20 and 0 <= self.noise <= 100 and 1 <= self.module_px <= 40):
            raise ValueError("a Look has a blur of 0 to 20, a noise of 0 to 100 and modules of 1 to 40 px")


def picture(code: str | None, look: Look, rng: random.Random) -> bytes:
    """One frame as JPEG; None: nobody is there. ValueError when the code is too long to draw."""
    frame = Image.new("L", (WIDTH, HEIGHT), WALL_GREY)
    if code is not None:
        if not 0 < len(code) <= CODE_LENGTH_MAX:
            raise ValueError(f"a shown code has 1 to {CODE_LENGTH_MAX} characters")
        phone = _phone(code, look).rotate(look.turn_deg, expand=True, fillcolor=WALL_GREY)
        phone.thumbnail((WIDTH, HEIGHT))
        # A hand is never quite in the middle.
        free = (WIDTH - phone.width, HEIGHT - phone.height)
        frame.paste(phone, (rng.randint(free[0] // 3, free[0] * 2 // 3), rng.randint(free[1] // 3, free[1] * 2 // 3)))
    if look.blur:
        frame = frame.filter(ImageFilter.GaussianBlur(look.blur))
    if look.noise:
        noise = Image.effect_noise((WIDTH, HEIGHT), look.noise)
        frame = Image.blend(frame, noise, 0.3)
    encoded = io.BytesIO()
    frame.save(encoded, "JPEG", quality=JPEG_QUALITY)
    return encoded.getvalue()


def _phone(code: str, look: Look) -> Image.Image:
    light, dark = (0, 255) if look.inverted else (255, 0)
    rows = [bytes(dark if module else light for module in row) for row in segno.make_qr(code, error="m").matrix]
    side = len(rows)
    modules = Image.frombytes("L", (side, side), b"".join(rows))
    framed = Image.new("L", (side + 2 * QUIET_MODULES,) * 2, light)
    framed.paste(modules, (QUIET_MODULES, QUIET_MODULES))
    scaled = framed.resize((framed.width * look.module_px,) * 2, Image.Resampling.NEAREST)
    phone = Image.new("L", (scaled.width + 4 * look.module_px,) * 2, PHONE_GREY)
    phone.paste(scaled, (2 * look.module_px,) * 2)
    return phone


class Camera:
    """One camera behind a socket. rng: where in the picture a code is held."""

    def __init__(
        self, path: Path, *, frames_a_second: float = FRAMES_A_SECOND, rng: random.Random | None = None
    ) -> None:
        self.path = path
        self.frames_sent = 0
        self._frame_s = 1 / frames_a_second
        self._rng = rng or random.Random()
        self._pictures = [picture(None, Look(), self._rng)]
        self._pushed_at_s = float("-inf")
        self._readers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._films: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; an old socket of that name is replaced."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._connected, self.path)
        self._films = asyncio.create_task(self._film())

    async def stop(self) -> None:
        """Unplug it."""
        if self._films:
            self._films.cancel()
            await asyncio.gather(self._films, return_exceptions=True)
        if self._server:
            self._server.close()
        for reader in list(self._readers):
            reader.transport.abort()
        self.path.unlink(missing_ok=True)

    async def __aenter__(self) -> "Camera":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def show(self, code: str, look: Look | None = None) -> None:
        """Hold a code before the camera from now on. ValueError when it cannot be drawn."""
        look = look or Look()
        count = PICTURES_KEPT if look.noise else 1
        self._pictures = [picture(code, look, self._rng) for _ in range(count)]

    def hide(self) -> None:
        """Nobody is before the camera any more."""
        self._pictures = [picture(None, Look(), self._rng)]

    def push(self, jpeg: bytes) -> None:
        """Pass a frame from elsewhere on at once. ValueError when it is no JPEG or too big."""
        if not jpeg.startswith(b"\xff\xd8") or len(jpeg) > FRAME_BYTES_MAX:
            raise ValueError(f"a frame is a JPEG of at most {FRAME_BYTES_MAX} bytes")
        self._pushed_at_s = time.monotonic()
        self._send(jpeg)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._readers) >= READERS_MAX:
            writer.transport.abort()
            return
        self._readers.add(writer)
        try:
            while await reader.read(1024):
                pass  # A camera is not talked to; only the end of the connection matters.
        except ConnectionError:
            pass
        finally:
            self._readers.discard(writer)
            writer.close()

    async def _film(self) -> None:
        number = 0
        while True:
            if self._readers and time.monotonic() - self._pushed_at_s > PUSHED_S:
                self._send(self._pictures[number % len(self._pictures)])
                number += 1
            await asyncio.sleep(self._frame_s)

    def _send(self, jpeg: bytes) -> None:
        for writer in self._readers:
            # The last frame is still on its way: this reader misses this one.
            if not writer.is_closing() and not writer.transport.get_write_buffer_size():
                writer.write(len(jpeg).to_bytes(4, "big") + jpeg)
                self.frames_sent += 1
