"""Sets of rows on a raw connection: the thin layer under the decision path, for SQLite and PostgreSQL alike.

A set is written or read by one statement whatever its size, prepared once by the driver. SQLite gets its rows one by
one through the same prepared statement (there is no wire between), PostgreSQL gets its columns as arrays.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import attrgetter
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, LargeBinary, String, Table, TypeDecorator

Row = tuple[Any, ...]

# What a column may be here, and what PostgreSQL calls an array of it. The first that fits counts.
_TYPES = (
    (Boolean, "boolean[]"),
    (BigInteger, "bigint[]"),
    (Integer, "integer[]"),
    (LargeBinary, "bytea[]"),
    (String, "text[]"),
)


class Columns:
    """Some columns of a table, the one that names a row first; rows have them in this order."""

    def __init__(self, table: Table, names: Iterable[str]) -> None:
        self.table = table.name
        self.names = tuple(names)
        self.kinds = tuple(_kind(table, name) for name in self.names)
        self.flags = tuple(at for at, kind in enumerate(self.kinds) if kind == "boolean[]")
        self.row_of: Callable[[Any], Row] = attrgetter(*self.names)
        self._table = table

    def __iter__(self) -> Iterator[Column[Any]]:
        """As columns, for a statement that is too rare to be here."""
        return iter([self._table.c[name] for name in self.names])

    def kind_of(self, name: str) -> str:
        """PostgreSQL's name for an array of this column, which need not be one of `names`."""
        return _kind(self._table, name)


def _kind(table: Table, name: str) -> str:
    told = table.c[name].type
    plain = told.impl_instance if isinstance(told, TypeDecorator) else told
    for kind, array in _TYPES:
        if isinstance(plain, kind):
            return array
    raise TypeError(f"{table.name}.{name} has a type that sets of rows cannot carry: see store/sets.py")


class Sets(ABC):
    """Reads and writes inside the transaction that is open on the connection."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    @abstractmethod
    def select(self, columns: Columns, key: str, wanted: Sequence[str], also: str = "") -> list[Row]:
        """Rows whose `key` is one of `wanted`; `also`: a condition of ours, as SQL."""

    def select_all(self, questions: Sequence[tuple[Columns, str, Sequence[str]]]) -> list[list[Row]]:
        """Several selects that do not wait for each other."""
        return [self.select(columns, key, wanted) if wanted else [] for columns, key, wanted in questions]

    def together(self) -> AbstractContextManager[Any]:
        """Inserts and updates within need not wait for each other; at its end all are done, or it raises."""
        return nullcontext()

    @abstractmethod
    def ask(self, question: str, values: Sequence[Any]) -> list[Row]:
        """What a statement of ours finds, with `?` for each value. Texts in it may hold neither ? nor %."""

    @abstractmethod
    def insert(self, columns: Columns, rows: list[Row]) -> None:
        """New rows."""

    @abstractmethod
    def update(self, columns: Columns, rows: list[Row]) -> None:
        """Rows that are there: found by the key, which is the first column, all others written."""


def sets_on(connection: Connection) -> Sets:
    """The layer for this connection's database."""
    raw = connection.connection.driver_connection
    return _Sqlite(raw) if connection.dialect.name == "sqlite" else _Postgres(raw)


_texts: dict[tuple[Any, ...], str] = {}


def _text(make: Callable[..., str], *parts: Any) -> str:
    """A statement, written once."""
    known = _texts.get((make, *parts))
    if known is None:
        known = _texts[make, *parts] = make(*parts)
    return known


class _Sqlite(Sets):
    def select(self, columns: Columns, key: str, wanted: Sequence[str], also: str = "") -> list[Row]:
        # The length of the list is part of the statement: powers of two, so that few statements are kept prepared.
        room = 1 << (len(wanted) - 1).bit_length()
        padded = [*wanted, *[wanted[-1]] * (room - len(wanted))]
        rows: list[Row] = self._raw.execute(_text(_sqlite_select, columns, key, room, also), padded).fetchall()
        if columns.flags:
            return [_with_flags(row, columns.flags) for row in rows]
        return rows

    def ask(self, question: str, values: Sequence[Any]) -> list[Row]:
        rows: list[Row] = self._raw.execute(question, values).fetchall()
        return rows

    def insert(self, columns: Columns, rows: list[Row]) -> None:
        self._raw.executemany(_text(_sqlite_insert, columns), rows)

    def update(self, columns: Columns, rows: list[Row]) -> None:
        self._raw.executemany(_text(_sqlite_update, columns), [(*row[1:], row[0]) for row in rows])


def _sqlite_select(columns: Columns, key: str, room: int, also: str) -> str:
    names = ", ".join(f'"{name}"' for name in columns.names)
    marks = ", ".join("?" * room)
    return f'SELECT {names} FROM "{columns.table}" WHERE "{key}" IN ({marks})' + (f" AND {also}" if also else "")


def _sqlite_insert(columns: Columns) -> str:
    names = ", ".join(f'"{name}"' for name in columns.names)
    return f'INSERT INTO "{columns.table}" ({names}) VALUES ({", ".join("?" * len(columns.names))})'


def _sqlite_update(columns: Columns) -> str:
    changes = ", ".join(f'"{name}" = ?' for name in columns.names[1:])
    return f'UPDATE "{columns.table}" SET {changes} WHERE "{columns.names[0]}" = ?'


def _with_flags(row: Row, flags: tuple[int, ...]) -> Row:
    """SQLite keeps a truth value as 0 or 1."""
    values = list(row)
    for at in flags:
        values[at] = bool(values[at])
    return tuple(values)


class _Postgres(Sets):
    def select(self, columns: Columns, key: str, wanted: Sequence[str], also: str = "") -> list[Row]:
        rows: list[Row] = self._raw.execute(_text(_postgres_select, columns, key, also), [list(wanted)]).fetchall()
        return rows

    def select_all(self, questions: Sequence[tuple[Columns, str, Sequence[str]]]) -> list[list[Row]]:
        with self._raw.pipeline():
            cursors = [
                self._raw.execute(_text(_postgres_select, columns, key, ""), [list(wanted)]) if wanted else None
                for columns, key, wanted in questions
            ]
        return [cursor.fetchall() if cursor is not None else [] for cursor in cursors]

    def ask(self, question: str, values: Sequence[Any]) -> list[Row]:
        rows: list[Row] = self._raw.execute(_text(_postgres_question, question), values).fetchall()
        return rows

    def together(self) -> AbstractContextManager[Any]:
        pipeline: AbstractContextManager[Any] = self._raw.pipeline()
        return pipeline

    def insert(self, columns: Columns, rows: list[Row]) -> None:
        self._raw.execute(_text(_postgres_insert, columns), [list(column) for column in zip(*rows, strict=True)])

    def update(self, columns: Columns, rows: list[Row]) -> None:
        self._raw.execute(_text(_postgres_update, columns), [list(column) for column in zip(*rows, strict=True)])


def _postgres_question(question: str) -> str:
    return question.replace("?", "%s")


def marks(count: int) -> str:
    """So many values, for IN."""
    return ", ".join("?" * count)


def _postgres_select(columns: Columns, key: str, also: str) -> str:
    names = ", ".join(f'"{name}"' for name in columns.names)
    found = f'"{key}" = ANY(%s::{columns.kind_of(key)})'
    return f'SELECT {names} FROM "{columns.table}" WHERE {found}' + (f" AND {also}" if also else "")


def _postgres_insert(columns: Columns) -> str:
    names = ", ".join(f'"{name}"' for name in columns.names)
    arrays = ", ".join(f"%s::{kind}" for kind in columns.kinds)
    return f'INSERT INTO "{columns.table}" ({names}) SELECT * FROM unnest({arrays})'


def _postgres_update(columns: Columns) -> str:
    names = ", ".join(f'"{name}"' for name in columns.names)
    changes = ", ".join(f'"{name}" = fresh."{name}"' for name in columns.names[1:])
    arrays = ", ".join(f"%s::{kind}" for kind in columns.kinds)
    key = columns.names[0]
    return (
        f'UPDATE "{columns.table}" SET {changes} FROM unnest({arrays}) AS fresh({names}) '
        f'WHERE "{columns.table}"."{key}" = fresh."{key}"'
    )
