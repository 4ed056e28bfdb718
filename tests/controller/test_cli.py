import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from einlass_controller import cli

PLAN = """
[site]
id = "pool"
name = "Bad"
[[zone]]
id = "bath"
name = "Becken"
cap = 3
[[node]]
id = "gate-1"
[[lane]]
id = "east"
zone = "bath"
node = "gate-1"
name = "Ost"
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    plan = tmp_path / "site.toml"
    plan.write_text(PLAN)
    done = CliRunner().invoke(cli.controller, ["setup", "--plan", str(plan), "--dir", str(tmp_path / "site")])
    assert done.exit_code == 0, done.output
    assert "ek_" in done.output
    return tmp_path / "site"


def test_tickets_are_issued_while_no_controller_runs(directory: Path) -> None:
    done = CliRunner().invoke(cli.ticket, ["issue", "--dir", str(directory), "--n", "3", "--json"])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.output.splitlines()[-1])["tickets"]) == 3
    wrong = CliRunner().invoke(cli.ticket, ["issue", "--dir", str(directory), "--zone", "sauna"])
    assert wrong.exit_code == 2
    assert "known are: bath" in wrong.output


def test_the_ledger_is_verified_and_one_changed_byte_is_found(directory: Path) -> None:
    CliRunner().invoke(cli.ticket, ["issue", "--dir", str(directory)])
    good = CliRunner().invoke(cli.ledger, ["verify", "--dir", str(directory), "--json"])
    assert good.exit_code == 0
    assert json.loads(good.output.splitlines()[-1])["entries"] == 1
    raw = sqlite3.connect(directory / "einlass.db")
    raw.execute("UPDATE ledger SET body = replace(body, 'cli', 'clj')")
    raw.commit()
    raw.close()
    bad = CliRunner().invoke(cli.ledger, ["verify", "--dir", str(directory)])
    assert bad.exit_code == 1
    assert "entry 1" in bad.output


@pytest.mark.parametrize("group", ["ledger", "ticket"])
def test_a_directory_without_a_site_says_what_to_do(tmp_path: Path, group: str) -> None:
    command = {"ledger": "verify", "ticket": "issue"}[group]
    done = CliRunner().invoke(getattr(cli, group), [command, "--dir", str(tmp_path)])
    assert done.exit_code == 2
    assert "einlass controller setup" in done.output


def test_a_second_setup_keeps_the_ports_and_replaces_a_lost_key_file(tmp_path: Path) -> None:
    plan = tmp_path / "site.toml"
    plan.write_text('[site]\nid = "bad"\nname = "Bad"\n[[zone]]\nid = "becken"\nname = "Becken"\ncap = 3\n')
    arguments = ["setup", "--plan", str(plan), "--dir", str(tmp_path / "site")]
    first = CliRunner().invoke(cli.controller, [*arguments, "--http-port", "18080", "--mqtt-port", "18883"])
    assert first.exit_code == 0, first.output
    key = (tmp_path / "site" / "api-key").read_text()
    (tmp_path / "site" / "api-key").unlink()
    again = CliRunner().invoke(cli.controller, arguments)
    assert again.exit_code == 0, again.output
    settings = (tmp_path / "site" / "controller.toml").read_text()
    assert "http_port = 18080" in settings
    assert "mqtt_port = 18883" in settings
    assert (tmp_path / "site" / "api-key").read_text() != key
