"""The site's own tariffs as texts and as books of their own, and its stays of a month as the comparison reads them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import Connection, select

from einlass_controller.domain.parking import DISPLAY, LEFT
from einlass_controller.store.schema import STAY, TARIFF
from einlass_controller.tariff_questions import STAYS_MAX, book_of_texts
from einlass_tariff.book import Book
from einlass_tariff.fee import AT_S_MAX

_BOOKS_MAX = 16


@dataclass(frozen=True, slots=True)
class SiteTariff:
    """One tariff with the texts of its versions, the newest last; of one valid_from the one that was brought last."""

    name: str
    texts: tuple[tuple[str, bool], ...]  # text, is JSON

    @property
    def values(self) -> list[dict[str, Any]]:
        """As a question has it."""
        return [{"text": text, "json": is_json} for text, is_json in self.texts]


def site_tariffs(connection: Connection) -> dict[str, SiteTariff]:
    """All of them by name."""
    columns = (TARIFF.c.name, TARIFF.c.valid_from, TARIFF.c.body, TARIFF.c.is_json)
    newest: dict[str, dict[str, tuple[str, bool]]] = {}
    for name, valid_from, body, is_json in connection.execute(select(*columns).order_by(TARIFF.c.number)):
        newest.setdefault(name, {})[valid_from] = (body, bool(is_json))
    return {
        name: SiteTariff(name, tuple(texts[valid_from] for valid_from in sorted(texts)))
        for name, texts in sorted(newest.items())
    }


class Books:
    """Books that are only looked at here: the engine's own belong to its thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, bool], ...], Book] = {}
        self._lock = threading.Lock()

    def ask(self, tariff: SiteTariff, question: Callable[[Book], dict[str, Any]]) -> dict[str, Any]:
        """Answer a question about a tariff; one at a time, because a book remembers days. TariffError, StayError."""
        with self._lock:
            book = self._known.get(tariff.texts)
            if book is None:
                while len(self._known) >= _BOOKS_MAX:
                    self._known.pop(next(iter(self._known)))
                book = self._known[tariff.texts] = book_of_texts(tariff.values)
            return question(book)


def stays_csv(connection: Connection, from_ms: int, until_ms: int, zones: frozenset[str], clocks: tzinfo) -> str:
    """Stays of these zones that left in a time, in the form of a stays file; no plate, no code, no ticket is in it."""
    columns = (STAY.c.entered_ms, STAY.c.left_ms, STAY.c.cards, STAY.c.pass_name)
    wanted = (STAY.c.state == LEFT, STAY.c.kind != DISPLAY, STAY.c.zone.in_(sorted(zones)))
    span = (STAY.c.left_ms >= from_ms, STAY.c.left_ms < until_ms)
    rows = connection.execute(select(*columns).where(*wanted, *span).order_by(STAY.c.left_ms).limit(STAYS_MAX))
    lines = ["entry,exit,vouchers,pass"]
    for entered_ms, left_ms, cards, pass_name in rows:
        first, last = (_local(at_ms, clocks) for at_ms in (entered_ms, left_ms))
        lines.append(f"{first},{last},{cards},{pass_name}")
    return "\r\n".join(lines) + "\r\n"


def _local(at_ms: int, clocks: tzinfo) -> str:
    at_s = min(max(0, at_ms // 1000), AT_S_MAX)
    return datetime.fromtimestamp(at_s, UTC).astimezone(clocks).isoformat()
