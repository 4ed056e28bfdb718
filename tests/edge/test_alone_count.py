"""A lane lets in so many tickets alone, and no more before the controller knows of all of them."""

from pathlib import Path

from einlass_edge.alone_count import AloneCount
from einlass_edge.database import Database

RELEASED = {"digest": "00", "reason": "leased"}


def test_so_many_and_no_more_also_after_a_power_cut(tmp_path: Path) -> None:
    database = Database(tmp_path / "journal.db")
    count = AloneCount(database, 2)
    for fields in (RELEASED, {}, {**RELEASED, "reason": "free-flow"}):
        count.recorded("released", fields)
    count.recorded("refused", RELEASED)
    assert not count.is_over, "what the controller admits, and who just walks through, is no use of the list"
    count.recorded("released", RELEASED)
    assert count.is_over
    database.close()
    database = Database(tmp_path / "journal.db")
    count = AloneCount(database, 2)
    assert count.is_over
    count.told()
    assert not count.is_over
    database.close()


def test_none_at_all(tmp_path: Path) -> None:
    database = Database(tmp_path / "journal.db")
    assert AloneCount(database, 0).is_over
    database.close()
