import json
import socket
import sqlite3
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner

from einlass_controller import cli, cli_house
from einlass_controller.api.app import make_app
from einlass_controller.runtime import open_controller
from einlass_controller.settings import read_settings
from einlass_sim.processes import wait_until

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
    set_port(tmp_path / "site", FREE_PORT_OF_NOBODY)  # another controller may be running on this machine
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
    from_file = ["verify", "--file", str(export)]
    assert CliRunner().invoke(cli.ledger, from_file).exit_code == 0
    assert CliRunner().invoke(cli.ledger, ["verify"]).exit_code == 2
    (directory / "changed.jsonl").write_text(export.read_text().replace("first", "fir5t"))
    assert CliRunner().invoke(cli.ledger, ["verify", "--file", str(directory / "changed.jsonl")]).exit_code == 1
    (directory / "changed.jsonl").write_text("{}\n")
    none = CliRunner().invoke(cli.ledger, ["verify", "--file", str(directory / "changed.jsonl")])
    assert (none.exit_code, "changed.jsonl:1: no line of a ledger" in none.output) == (2, True)
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


RULES = """
nightly_close = "03:00"
[[product]]
id = "single"
name = "Einzel"
entries = 1
[[product]]
id = "family"
name = "Familie"
persons = 4
[[zone]]
id = "bath"
days = [{ date = 2026-12-24, closed = true }]
"""


def test_rules_are_checked_without_a_controller(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    good = CliRunner().invoke(cli_house.rules, ["check", str(file)])
    assert (good.exit_code, "2 products" in good.output) == (0, True)
    file.write_text(RULES.replace("entries = 1", "entriess = 1"))
    wrong = CliRunner().invoke(cli_house.rules, ["check", str(file)])
    assert (wrong.exit_code, "did you mean 'entries'" in wrong.output) == (2, True)
    file.write_text("[[product")
    assert "cannot be read as rules" in CliRunner().invoke(cli_house.rules, ["check", str(file)]).output


# Nothing listens on the port that only root may take.
FREE_PORT_OF_NOBODY = 1


def set_port(directory: Path, port: int) -> None:
    toml = directory / "controller.toml"
    values = tomllib.loads(toml.read_text()) | {"http_port": port}
    toml.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))


def test_without_a_running_controller_the_house_says_how_to_start_it(directory: Path) -> None:
    done = CliRunner().invoke(cli_house.zone, ["muster", "--dir", str(directory)])
    assert (done.exit_code, "einlass controller run" in done.output) == (2, True)


@pytest.fixture
def running(directory: Path) -> Iterator[Path]:
    """The controller of the directory, serving on a port of its own; no broker is needed for this."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        set_port(directory, listener.getsockname()[1])
        controller = open_controller(read_settings(directory / "controller.toml"))
        server = uvicorn.Server(uvicorn.Config(make_app(controller), log_config=None))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        wait_until(lambda: server.started, 20, "the server starts")
        yield directory
        server.should_exit = True
        thread.join(20)


def test_a_shift_lead_runs_the_house_from_the_command_line(running: Path, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    where = ["--dir", str(running)]

    def run(group: Any, *words: str, status: int = 0) -> str:
        done = CliRunner().invoke(group, [*words, *where])
        assert done.exit_code == status, done.output
        return done.output

    assert "0 scans tried" in run(cli_house.rules, "preview", str(file))
    assert "version 1" in run(cli_house.rules, "put", str(file), "--reason", "a new season", "--by", "Ann")
    assert "a new season  holds now" in run(cli_house.rules, "show")
    assert '"2026-12-24"' in run(cli_house.rules, "show", "--version", "1")
    assert "E1:" in run(cli.ticket, "issue", "--product", "family")
    assert "known are: single, family" in run(cli.ticket, "issue", "--product", "sauna", status=2)
    assert "0 before, 5 now, 2 over the cap" in run(cli_house.zone, "count", "bath", "5", "--reason", "counted")
    assert "5 inside, about (0 by ticket, 5 without)" in run(cli_house.zone, "muster")
    assert "'gym' is not known" in run(cli_house.zone, "count", "gym", "5", "--reason", "counted", status=2)
    run(cli_house.zone, "close", "bath", "--reason", "storm")
    run(cli_house.zone, "open", "bath", "--reason", "over")
    assert "normal -> evacuation" in run(cli_house.site, "evacuate", "--reason", "fire", "--by", "Ann")
    assert "two different people" in run(cli_house.site, "normal", "--reason", "over", "--by", "Ann", status=2)
    assert "-> normal" in run(cli_house.site, "normal", "--reason", "over", "--by", "Ann", "--by", "Bob")
    assert "reason" in run(cli_house.zone, "close", "bath", "--reason", "", status=2)
