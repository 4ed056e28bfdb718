"""What a till prices by while it is cut off: its car park's tariff, holidays and prices, as the controller told them.

They come in pieces under a digest. A text that has come whole takes the place of the one before, durably; one that is
not sound is thrown away, and asked for anew.
"""

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import Any

import structlog

from einlass_core.wire_till import PIECES_AT_ONCE
from einlass_edge.till_book import TARIFF, TillBook
from einlass_tariff.book import Book
from einlass_tariff.carried import book_of
from einlass_tariff.problems import StayError, TariffError

TEXT_BYTES_MAX = 4_000_000
PARTS_MAX = 400

log = structlog.get_logger(__name__)


class UnsoundError(ValueError):
    """A text that nobody can price by."""


@dataclass(frozen=True, slots=True)
class Prices:
    """book: all versions of the tariff. lost_cents None: a lost ticket has no price. products: names, cents."""

    zone: str
    book: Book
    lost_cents: int | None
    products: dict[str, tuple[str, str, int]]


class TillTariff:
    """take() each `book` message; status() says what is there; prices is what to price by."""

    def __init__(self, book: TillBook) -> None:
        self._book = book
        self._digest = ""
        self._coming = ""
        self._pieces: list[str] = []
        self.prices: Prices | None = None
        row = book.read(TARIFF)
        if row:
            try:
                self.prices = _read(row["text"])
                self._digest = row["digest"]
            except UnsoundError as error:
                log.error("tariff_not_sound", reason=str(error))

    def status(self) -> dict[str, Any]:
        """As a status says it."""
        return {"digest": self._digest, "coming": self._coming, "part": len(self._pieces)}

    def take(self, fields: dict[str, Any]) -> bool:
        """A piece; whether the controller is to be told how far this has come."""
        digest, part, parts = fields["digest"], fields["part"], fields["parts"]
        if digest == self._digest or not 0 < parts <= PARTS_MAX:
            return False
        if digest != self._coming:
            self._coming, self._pieces = digest, []
        if part != len(self._pieces):
            return False
        self._pieces.append(fields["text"])
        if len(self._pieces) < parts:
            return len(self._pieces) % PIECES_AT_ONCE == 0
        text, self._coming, self._pieces = "".join(self._pieces), "", []
        try:
            self._keep(digest, text)
        except UnsoundError as error:
            log.error("tariff_not_sound", reason=str(error))
            return False  # Asked for again with the next status, not in a circle.
        except OSError as error:
            log.error("tariff_not_kept", error=str(error))
            return False
        return True

    def _keep(self, digest: str, text: str) -> None:
        if hashlib.sha256(text.encode()).hexdigest()[: len(digest)] != digest or not digest:
            raise UnsoundError("it is not what its digest says")
        prices = _read(text)
        self._book.write(TARIFF, {"digest": digest, "text": text})
        self.prices, self._digest = prices, digest
        log.info("tariff", digest=digest, versions=len(prices.book.versions))


def _read(text: str) -> Prices:
    try:
        opened = zlib.decompressobj()
        said = json.loads(opened.decompress(base64.b64decode(text, validate=True), TEXT_BYTES_MAX))
        lost = said["lost_cents"]
        products = {
            str(name): (str(german), str(english), int(cents))
            for name, (german, english, cents) in said["products"].items()
        }
        return Prices(str(said["zone"]), book_of(said["tariff"]), None if lost is None else int(lost), products)
    except (zlib.error, KeyError, TypeError, ValueError, TariffError, StayError) as error:
        raise UnsoundError(f"{type(error).__name__}: {error}"[:200]) from error
