import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from einlass_controller.live import NotSetUpError
from einlass_controller.plan import plan_of, read_plan
from einlass_controller.runtime import open_controller
from einlass_controller.settings import Settings, SettingsError, read_settings
from einlass_controller.setup import set_up
from einlass_controller.store.database import DatabaseError, checkpoint, migrate, open_database, url_of_file


def test_migrations_lead_from_nothing_to_the_tables_and_back(tmp_path: Path) -> None:
    database = open_database(url_of_file(tmp_path / "new.db"))
    for _ in range(2):
        migrate(database)
        with database.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
        migrate(database, "base")
        with database.connect() as connection:
            names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
            assert names == ["alembic_version"]
    database.dispose()


def test_every_connection_is_durable(tmp_path: Path) -> None:
    database = open_database(url_of_file(tmp_path / "new.db"))
    with database.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    database.dispose()


def test_a_checkpoint_moves_the_log_into_the_database(bench: Any) -> None:
    bench.ticket()
    wal = Path(bench.database.url.database + "-wal")
    assert wal.stat().st_size > 0
    checkpoint(bench.database)
    bench.close()
    raw = sqlite3.connect(f"file:{bench.database.url.database}?immutable=1", uri=True)  # reads the file without its log
    assert raw.execute("SELECT count(*) FROM ticket").fetchone() == (1,)
    raw.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite+nothing:///x"])
def test_a_database_that_cannot_be_is_explained(url: str) -> None:
    with pytest.raises(DatabaseError):
        open_database(url)


def test_a_database_without_a_site_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings(database_url=url_of_file(tmp_path / "empty.db"), hash_key="0" * 64)
    with pytest.raises(NotSetUpError, match="setup"):
        open_controller(settings)


def test_two_controllers_on_one_database_is_one_too_many(bench: Any) -> None:
    first = open_controller(bench.settings)
    with pytest.raises(DatabaseError, match="another controller"):
        open_controller(bench.settings)
    first.close()
    open_controller(bench.settings).close()


def test_set_up_again_keeps_what_is_there_and_adds_what_is_new(bench: Any, plan_values: dict[str, Any]) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    bench.close()
    plan_values["zone"][0]["cap"] = 5
    plan_values["node"].append({"id": "gate-3"})
    again = set_up(plan_of(plan_values), bench.prepared.directory)
    assert again.passwords["gate-1"] == bench.prepared.passwords["gate-1"]
    assert again.api_key == bench.prepared.api_key
    assert "gate-3" in again.passwords
    bench.restart()
    assert bench.figures() == (1, 0, 0, 4)


def test_what_is_secret_is_readable_by_its_owner_only(bench: Any) -> None:
    for name in ("controller.toml", "secrets.json", "api-key", "einlass.db"):
        assert (bench.prepared.directory / name).stat().st_mode & 0o077 == 0, name
    assert bench.prepared.api_key not in repr(bench.rows("SELECT * FROM api_key"))


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"zone": []}, "zone"),
        ({"sone": []}, "did you mean 'zone'"),
        ({"lane": [{"id": "a", "zone": "nowhere", "node": "gate-1", "name": "A"}]}, "nowhere"),
        ({"lane": [{"id": "a", "zone": "bath", "node": "gate-9", "name": "A"}]}, "gate-9"),
        ({"node": [{"id": "controller"}], "lane": []}, "reserved"),
        ({"node": [{"id": "Gate 1"}], "lane": []}, "topic level"),
        ({"node": [{"id": "g"}, {"id": "g"}], "lane": []}, "two of node"),
        ({"site": {"id": "pool", "name": "P", "time_zone": "Europe/Hachenburg"}}, "Europe/Berlin"),
    ],
)
def test_a_plan_with_a_mistake_is_explained(plan_values: dict[str, Any], change: dict[str, Any], hint: str) -> None:
    with pytest.raises(SettingsError, match=hint):
        plan_of({**plan_values, **change})


def test_a_file_that_is_no_plan_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    for content in (b"\xff\xfe", b"[site", b"x" * 100_000):
        path.write_bytes(content)
        with pytest.raises(SettingsError, match=r"site\.toml"):
            read_plan(path)


def test_settings_with_a_mistake_are_explained(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = bench.prepared.settings.read_text()
    path = tmp_path / "controller.toml"
    for line, hint in (
        ("htp_port = 1", "did you mean 'http_port'"),
        ("http_port = 70000", "http_port"),
        ("http_port = ", "controller.toml"),
        ('log_level = "loud"', "log_level"),
    ):
        path.write_text(good + line + "\n")
        with pytest.raises(SettingsError, match=hint):
            read_settings(path)
    path.write_text(good)
    monkeypatch.setenv("EINLASS_HTTP_PORT", "18080")
    assert read_settings(path).http_port == 18080
    monkeypatch.setenv("EINLASS_HTTP_PROT", "18080")
    with pytest.raises(SettingsError, match="http_prot"):
        read_settings(path)
    assert bench.prepared.passwords["controller"] not in repr(bench.settings)
