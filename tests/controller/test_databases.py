"""What holds on SQLite and PostgreSQL alike: the schema both ways, one controller at a time, sets of rows."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect
from sqlmodel import SQLModel

from einlass_controller.runtime import lock_database, open_controller
from einlass_controller.store import tables
from einlass_controller.store.database import DatabaseError, migrate, open_database
from einlass_controller.store.schema import DEAD_LETTER, NODE
from einlass_controller.store.sets import Columns, sets_on


@pytest.fixture
def database(new_database: Callable[[], str]) -> Iterator[Engine]:
    database = open_database(new_database())
    yield database
    database.dispose()


def test_migrations_lead_from_nothing_to_the_tables_and_back(database: Engine) -> None:
    migrate(database, "base")
    for _ in range(2):
        migrate(database)
        with database.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
            assert tables.TicketRow.__tablename__ in inspect(connection).get_table_names()
        migrate(database, "base")
        with database.connect() as connection:
            assert inspect(connection).get_table_names() == ["alembic_version"]


def test_a_site_with_people_inside_is_the_same_after_the_way_to_the_first_version_and_back(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    gate.enter(code)
    before = bench.figures()
    migrate(bench.database, "0001")
    migrate(bench.database)
    bench.restart()
    assert bench.figures() == before
    assert gate.ask(code)["code"] == "already_inside"
    assert gate.ask(bench.ticket())["code"] == "ok"
    assert bench.rows("SELECT scopes FROM api_key") == [("admin",)], "a key of the first version may do everything"


def test_two_controllers_on_one_database_is_one_too_many(bench: Any) -> None:
    first = open_controller(bench.settings)
    with pytest.raises(DatabaseError, match="another controller"):
        open_controller(bench.settings)
    with pytest.raises(DatabaseError, match="another controller"), lock_database(bench.settings.database_url):
        pass
    first.close()
    open_controller(bench.settings).close()


def test_a_set_is_written_changed_and_read_whatever_its_size(database: Engine) -> None:
    migrate(database)
    columns = Columns(NODE, ("id", "board", "inc", "past", "boot", "applied_seq", "emergency", "fault", "alarm"))
    rest = Columns(NODE, ("id", "software", "hardware"))
    everything = Columns(NODE, (*columns.names, "software", "hardware"))
    with database.begin() as connection:
        sets = sets_on(connection)
        rows = [(f"g{n}", "b", "", "[]", n, 1 << 40, n % 2 == 0, "ä\u2028", "", "1", "x") for n in range(700)]
        with sets.together():
            sets.insert(everything, rows)
            sets.update(rest, [(f"g{n}", "2", "y") for n in range(350)])
        found = sets.select(columns, "id", [row[0] for row in rows])
        assert sorted(found) == sorted(row[:9] for row in rows)
        assert {type(row[6]) for row in found} == {bool}
        new, old, none = sets.select_all(
            [(rest, "software", ["2"]), (rest, "software", ["1", "1"]), (rest, "software", [])]
        )
        assert (len(new), len(old), none) == (350, 350, [])
        assert sets.select(columns, "id", ["g1", "g2", "g3"], "boot > 1 AND emergency") == [rows[2][:9]]


def test_bytes_come_back_as_bytes(database: Engine) -> None:
    migrate(database)
    columns = Columns(DEAD_LETTER, ("number", "at_ms", "origin", "reason", "payload"))
    with database.begin() as connection:
        sets = sets_on(connection)
        sets.insert(columns, [(1, 1, "a", "b", b"\x00\xff")])
    with database.begin() as connection:
        (found,) = sets_on(connection).select(columns, "origin", ["a"])
        assert (type(found[4]), found[4]) == (bytes, b"\x00\xff")
