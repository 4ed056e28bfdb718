"""Codes in a camera's frame: zxing-cpp, once more with the contrast raised (glare, shadows), then zbar, which reads
codes without a quiet zone.

Neither can be stopped, so the time is bounded by what they get: at most PIXELS_MAX grey pixels, and zbar only now and
then while nothing is found.
"""

import io
import time
from collections.abc import Callable

import structlog
import zxingcpp
from PIL import Image, ImageFile, ImageOps

LONG_SIDE_MAX = 1280
# A JPEG of a few bytes can claim any size; more than this is never unpacked.
PIXELS_MAX = 4096 * 4096
# The darkest and the brightest part of the pixels, which glare and shadow take for themselves.
CLIPPED_PERCENT = 5
SECOND_READER_EVERY_MS = 150
GONE_MS = 1000
CODES_A_FRAME_MAX = 8

_QR_CODE = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)

log = structlog.get_logger(__name__)
# A frame cut short by a bad cable is refused by Pillow, not filled up with grey.
ImageFile.LOAD_TRUNCATED_IMAGES = False


class FrameError(ValueError):
    """The frame is no picture; the text says why."""


def unpack(jpeg: bytes) -> Image.Image:
    """Grey pixels of a JPEG (or PNG), long side at most LONG_SIDE_MAX; FrameError when it is none."""
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG", "PNG")) as picture:
            if picture.width * picture.height > PIXELS_MAX:
                raise FrameError(f"a frame of {picture.width} x {picture.height} pixels is not unpacked")
            # JPEG unpacks to grey and to a half or a quarter at no cost; asks for at least this size.
            picture.draft("L", (LONG_SIDE_MAX, LONG_SIDE_MAX))
            grey = picture.convert("L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FrameError(f"not a picture: {error}") from error
    grey.thumbnail((LONG_SIDE_MAX, LONG_SIDE_MAX))
    return grey


class QrReader:
    """One camera's decoder. Blocking: call it in a thread of its own. now_ms only spaces out the second reader."""

    def __init__(self, now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000) -> None:
        self._now_ms = now_ms
        self._second_at_ms = 0
        self._second: Callable[[Image.Image], list[bytes]] | None = None
        self._second_missing = False

    def read(self, picture: Image.Image) -> list[bytes]:
        """The codes in a grey picture as UTF-8, the largest first; empty when there is none."""
        found = _read_zxing(picture) or _read_zxing(ImageOps.autocontrast(picture, cutoff=CLIPPED_PERCENT))
        if not found and self._now_ms() >= self._second_at_ms:
            found = self._read_zbar(picture)
            self._second_at_ms = self._now_ms() + SECOND_READER_EVERY_MS
        return found[:CODES_A_FRAME_MAX]

    def _read_zbar(self, picture: Image.Image) -> list[bytes]:
        if self._second is None and not self._second_missing:
            try:
                self._second = _zbar()
            except ImportError as error:
                self._second_missing = True
                log.warning("second_qr_reader_missing", error=str(error), hint="apt-get install libzbar0")
        return self._second(picture) if self._second else []


class SeenCodes:
    """One scan a code for as long as it stays in view: again only after GONE_MS without it."""

    def __init__(self) -> None:
        self._seen_ms: dict[bytes, int] = {}

    def new(self, now_ms: int, codes: list[bytes]) -> list[bytes]:
        """Those of the codes that were not there just before."""
        self._seen_ms = {code: at for code, at in self._seen_ms.items() if now_ms - at < GONE_MS}
        fresh = [code for code in codes if code not in self._seen_ms]
        self._seen_ms.update(dict.fromkeys(codes, now_ms))
        return fresh


def _read_zxing(picture: Image.Image) -> list[bytes]:
    found = [
        code
        for code in zxingcpp.read_barcodes(picture, formats=_QR_CODE, text_mode=zxingcpp.TextMode.Plain)
        if code.valid
    ]
    found.sort(key=_area, reverse=True)
    return _distinct([code.text.encode() for code in found])


def _area(code: zxingcpp.Barcode) -> int:
    corners = [code.position.top_left, code.position.top_right, code.position.bottom_right, code.position.bottom_left]
    around = zip(corners, corners[1:] + corners[:1], strict=True)
    return abs(sum(here.x * there.y - there.x * here.y for here, there in around))


def _zbar() -> Callable[[Image.Image], list[bytes]]:
    from pyzbar import pyzbar  # Not at the top: it fails to import where libzbar0 is not installed.

    def read(picture: Image.Image) -> list[bytes]:
        found = pyzbar.decode(picture, symbols=[pyzbar.ZBarSymbol.QRCODE])
        found.sort(key=lambda code: code.rect.width * code.rect.height, reverse=True)
        return _distinct([bytes(code.data) for code in found])

    return read


def _distinct(codes: list[bytes]) -> list[bytes]:
    """Without repeats and empty ones."""
    return [code for code in dict.fromkeys(codes) if code]
