import json
import sqlite3
from pathlib import Path
from typing import Any

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
    export = directory / "ledger.jsonl"
    CliRunner().invoke(cli.ledger, ["export", "--dir", str(directory), "--out", str(export)])
    from_file = ["verify", "--dir", str(directory), "--file", str(export)]
    assert CliRunner().invoke(cli.ledger, from_file).exit_code == 0
    replayed = CliRunner().invoke(cli.ledger, ["replay", "--dir", str(directory)])
    assert replayed.exit_code == 0, replayed.output
    assert json.loads(replayed.output)["tickets"] == 1
    raw = sqlite3.connect(directory / "einlass.db")
    raw.execute("UPDATE ledger SET body = replace(body, 'first', 'fir5t')")
    raw.commit()
    raw.close()
    bad = CliRunner().invoke(cli.ledger, ["verify", "--dir", str(directory)])
    assert bad.exit_code == 1
    assert "entry 1" in bad.output
    assert CliRunner().invoke(cli.ledger, ["replay", "--dir", str(directory)]).exit_code == 1
    assert CliRunner().invoke(cli.ledger, from_file).exit_code == 0, "the export was made before"
    export.write_text(export.read_text().replace('"by": "api:first"', '"by": "api:worst"'))
    assert CliRunner().invoke(cli.ledger, from_file).exit_code == 1
    export.write_text("no ledger\n")
    assert CliRunner().invoke(cli.ledger, from_file).exit_code == 2


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


def run(group: str, directory: Path, *words: str, status: int = 0) -> str:
    done = CliRunner().invoke(getattr(cli, group), [*words, "--dir", str(directory)])
    assert done.exit_code == status, done.output
    return done.output


def run_json(group: str, directory: Path, *words: str) -> dict[str, Any]:
    return dict(json.loads(run(group, directory, *words, "--json").splitlines()[-1]))


def test_the_life_of_a_ticket_from_the_command_line(directory: Path) -> None:
    name = run_json("ticket", directory, "issue")["tickets"][0]["id"]
    assert "gesperrt" in run("ticket", directory, "block", name, "--reason", "lost", "--lang", "de")
    assert "blocked" in run("ticket", directory, "show", name, "--lang", "en")
    refused = run("ticket", directory, "unpaid", name, "--reason", "x", status=2)
    assert "the ticket is blocked" in refused
    new = run_json("ticket", directory, "replace", name, "--reason", "lost")
    assert run_json("ticket", directory, "show", name)["replaced_by"] == new["id"]
    assert "no entry" in run("ticket", directory, "annul", new["id"], "--reason", "x", status=2)
    for do in ("unpaid", "paid", "block", "unblock", "revoke"):
        assert run_json("ticket", directory, do, new["id"], "--reason", "x")["changed"] is True
    assert "no such ticket" in run("ticket", directory, "show", "NOBODY", status=2)


def test_signing_keys_and_api_keys_from_the_command_line(directory: Path) -> None:
    assert run_json("ticket", directory, "issue", "--signed")["tickets"][0]["code"].startswith("E2:")
    assert run_json("ticket", directory, "rotate", "--old-until", "2090-01-01T00:00:00+01:00")["id"] == 2
    assert run_json("ticket", directory, "revoke-key", "1", "--reason", "stolen")["revoked_ms"] > 0
    assert [item["id"] for item in run_json("ticket", directory, "keys")["keys"]] == [1, 2]
    made = run_json("key", directory, "add", "shop", "--scope", "sell", "--scope", "read")
    assert made["key"].startswith("ek_")
    assert "already" in run("key", directory, "add", "shop", "--scope", "sell", status=2)
    run("key", directory, "revoke", "shop")
    assert run_json("key", directory, "list")["keys"][1]["revoked_ms"] > 0
