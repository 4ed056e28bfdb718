"""Stays that were, from a CSV file: `entry` and `exit` as local times, and if known `vouchers` and `pass`."""

import csv
from collections.abc import Iterable, Iterator
from typing import Any

from einlass_controller.tariffs import instant_of
from einlass_tariff.book import Book
from einlass_tariff.problems import StayError
from einlass_tariff.result import MINUTES_CARD, Card, Stay

ROWS_MAX = 2_000_000
FIELD_LENGTH_MAX = 200
# One more than any machine looks at: such a row is refused with its reason, and not made to fit.
_VOUCHERS_MAX = 1000


class Rows:
    """Iterates over (row in the file, stay); a row that is none goes to `bad` with its reason in both languages."""

    def __init__(self, lines: Iterable[str], book: Book, name: str, rows_max: int = ROWS_MAX) -> None:
        """lines: the text of the file line by line; name: what the file is called in messages."""
        self._lines = iter(lines)
        self._book = book
        self._name = name
        self._rows_max = rows_max
        self.bad: list[tuple[int, tuple[str, str]]] = []

    def __iter__(self) -> Iterator[tuple[int, Stay]]:
        head = next(self._lines, "").removeprefix("\ufeff")
        names = [name.strip().strip('"').lower() for name in head.strip().split(_delimiter(head))]
        if "entry" not in names or "exit" not in names:
            shown = ", ".join(names)[:FIELD_LENGTH_MAX]
            raise StayError(
                f"{self._name}: the first row must name entry and exit; it has {shown}",
                f"{self._name}: Die erste Zeile muss entry und exit nennen; sie hat {shown}",
            )
        reader = csv.DictReader(self._lines, names, delimiter=_delimiter(head))
        try:
            for row in reader:
                number = reader.line_num + 1
                if number > self._rows_max + 1:  # the first one is the heading
                    raise too_many(self._name, self._rows_max)
                try:
                    yield number, self._stay(row)
                except StayError as error:
                    self.bad.append((number, error.words))
        except csv.Error as error:
            number = reader.line_num + 1
            raise StayError(
                f"{self._name}, row {number} can't be read: {error}",
                f"{self._name}, Zeile {number} ist nicht lesbar: {error}",
            ) from error

    def _stay(self, row: dict[str, Any]) -> Stay:
        entry, leave = (
            instant_of((row.get(name) or "")[:FIELD_LENGTH_MAX], self._book.days) for name in ("entry", "exit")
        )
        given = (row.get("vouchers") or "0").strip()
        if not (given.isascii() and given.isdigit()):
            shown = given[:FIELD_LENGTH_MAX]
            raise StayError(
                f"vouchers must be a number, not {shown!r}", f"vouchers muss eine Zahl sein, nicht {shown!r}"
            )
        minutes = self._book.versions[0].voucher.seconds // 60
        count = _VOUCHERS_MAX if len(given) > 4 else min(int(given), _VOUCHERS_MAX)
        return Stay(entry, leave, (Card(MINUTES_CARD, minutes),) * count, (row.get("pass") or "").strip())


def too_many(name: str, rows_max: int) -> StayError:
    """A file has more rows than are taken."""
    return StayError(
        f"{name} has more than {rows_max} rows; split it", f"{name} hat mehr als {rows_max} Zeilen; bitte aufteilen"
    )


def _delimiter(head: str) -> str:
    return ";" if ";" in head else ","
