"""Copies while people walk in, and what happens when one is put back: it is noticed, and people are counted."""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.controller.car_park import plan
from typer.testing import CliRunner

from einlass_controller import cli
from einlass_controller.api.app import make_app
from einlass_controller.backups import back_up, examine, restore
from einlass_controller.guard import GUARD_FILE
from einlass_controller.live import load
from einlass_controller.messages import Redeem, Tick
from einlass_controller.orders import ConfirmRecount, Recounted
from einlass_controller.runtime import open_controller, remember
from einlass_controller.store.database import DatabaseError
from einlass_controller.store.reading import ledger_entries, one_moment
from einlass_controller.store.replaying import compare
from einlass_core import codes, wire
from einlass_sim.processes import wait_until

DEADLINE_S = 10.0
NEWEST = {"added": 1_000_000, "removed": 1_000_000, "age_ms": 0}


def start(bench: Any) -> None:
    """As the controller starts: it looks whether its database is the one that was used last."""
    bench.close()
    controller = open_controller(bench.settings)
    controller.close()
    bench.restart()


def note(bench: Any) -> None:
    """As the running controller does every few seconds."""
    controller = open_controller(bench.settings)
    remember(controller.database, controller.guard, controller.live.epoch)
    controller.close()


def obey(gate: Any, limit: dict[str, Any]) -> None:
    """A lane takes a new epoch with nobody under way; its own count begins at nothing."""
    if limit["epoch"] > gate.account["epoch"]:
        assert gate.account["pending"] == 0
        gate.account.update(limit, balance=0)
    elif limit["version"] > gate.account["version"]:
        gate.account.update(version=limit["version"], ceiling=limit["ceiling"])


def settle(bench: Any, *gates: Any) -> None:
    """Every gate hears the newest limit and says so."""
    from einlass_controller.messages import Tick

    bench.now_ms += 10_000
    for item in bench.run(Tick()):
        for gate in gates:
            if item["kind"] == "limit" and item["node"] == gate.name:
                obey(gate, item["limit"])
    for gate in gates:
        gate.status()


def test_a_copy_is_made_while_people_walk_in(bench: Any, tmp_path: Path) -> None:
    gate = bench.gate()
    tickets = [bench.ticket() for _ in range(30)]
    made: list[Any] = []
    begun, over = threading.Event(), threading.Event()

    def copy() -> None:
        begun.wait(10)
        made.append(back_up(bench.settings, tmp_path / "copy.db"))
        over.set()

    thread = threading.Thread(target=copy)
    thread.start()
    for n, code in enumerate(tickets):
        gate.ask(code)
        if n == 5:
            begun.set()
    assert over.wait(20)
    thread.join()
    assert made[0].entries > 10
    assert examine(tmp_path / "copy.db") == made[0]
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0
    with pytest.raises(DatabaseError, match="already"):
        back_up(bench.settings, tmp_path / "copy.db")


def test_the_same_database_starts_again_without_questions(bench: Any) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    for _ in range(3):
        start(bench)
        assert bench.engine.live.recount == ""
    assert gate.ask(bench.ticket())["code"] == "ok"


def old_copy(bench: Any, tmp_path: Path) -> Path:
    """A copy from before somebody walked in; the running controller has noted what came later."""
    back_up(bench.settings, tmp_path / "copy.db")
    for gate in (bench.gate("gate-1", hello=False), bench.gate("gate-2", hello=False)):
        assert gate.account["balance"] == 0
    return tmp_path / "copy.db"


def test_a_database_put_back_lets_nobody_in_until_people_are_counted(bench: Any, tmp_path: Path) -> None:
    gate, other = bench.gate(), bench.gate("gate-2")
    gate.enter(bench.ticket())
    copy = old_copy(bench, tmp_path)
    gate.enter(bench.ticket())
    late = bench.ticket()
    bench.close()
    _, kept = restore(bench.settings, copy)
    assert kept.exists()
    start(bench)
    assert "epoch" in bench.engine.live.recount
    gate.bench = other.bench = bench
    assert gate.ask(late)["code"] == "invalid", "it was sold after the copy"
    again = bench.ticket()
    refused = gate.ask(again)
    assert (refused["code"], refused["values"]["reason"]) == ("staff", "recount")
    desk = bench.intake.prove(again.encode())
    answer = bench.attempt(Redeem("api:first", "desk-bath", "entry", "n1", desk)).results[0].answer
    assert json.loads(answer)["code"] == "staff"
    confirm = ConfirmRecount({"bath": 2}, (), "ann")
    assert bench.attempt(confirm).results == [Recounted("waiting", ("east",))], "gate-2 never had to take anything"
    settle(bench, gate, other)
    took = gate.event_message("limit")
    gate.status(waiting=1)  # records that the copy does not know are not waited for
    bench.run(took)
    assert bench.attempt(ConfirmRecount({"bath": 2, "sauna": 1}, (), "ann")).results == [Recounted("zones", ("sauna",))]
    assert bench.attempt(confirm).results == [Recounted("done")]
    assert bench.figures() == (2, 0, 0, 1)
    bench.restart()
    assert bench.figures() == (2, 0, 0, 1)
    answer = gate.ask(again)
    assert (answer["code"], answer["limit"]["epoch"]) == ("ok", bench.engine.live.epoch)
    gate.release(answer)
    gate.walk_in(answer)
    assert bench.figures() == (3, 0, 0, 0)
    assert bench.attempt(confirm).results == [Recounted("not_needed")]
    with one_moment(bench.database) as connection:
        assert compare(connection, ledger_entries(connection), load(connection))["ok"]


@pytest.mark.parametrize("how", ["by hand", "other history", "damaged note"])
def test_whoever_exchanges_the_file_by_hand_is_found_out(bench: Any, tmp_path: Path, how: str) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    old_copy(bench, tmp_path)
    gate.enter(bench.ticket())
    note(bench)
    bench.close()
    directory = bench.prepared.directory
    if how == "damaged note":
        (directory / GUARD_FILE).write_text("{")
    else:
        for suffix in ("-wal", "-shm"):
            (directory / f"einlass.db{suffix}").unlink(missing_ok=True)
        shutil.copy(tmp_path / "copy.db", directory / "einlass.db")
    if how == "other history":  # as many entries as before, and others
        bench.restart()
        while bench.engine.live.ledger_number < json.loads((directory / GUARD_FILE).read_text())["ledger_number"] + 2:
            bench.ticket()
    start(bench)
    assert bench.engine.live.recount
    assert [line["epoch"] for line in bench.ledger("recount_needed")] == [bench.engine.live.epoch]
    start(bench)
    assert len(bench.ledger("recount_needed")) == 1, "once is enough"


def put_back_with_its_note(bench: Any, tmp_path: Path) -> None:
    """The whole machine is as it was when the copy was made."""
    bench.close()
    for suffix in ("-wal", "-shm"):
        (bench.prepared.directory / f"einlass.db{suffix}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "whole.db", bench.prepared.directory / "einlass.db")
    shutil.copy(tmp_path / "note.json", bench.prepared.directory / GUARD_FILE)
    start(bench)


def copy_with_its_note(bench: Any, tmp_path: Path) -> None:
    note(bench)
    back_up(bench.settings, tmp_path / "whole.db")
    shutil.copy(bench.prepared.directory / GUARD_FILE, tmp_path / "note.json")


def test_nodes_tell_when_everything_was_put_back(bench: Any, tmp_path: Path) -> None:
    """The note beside the database is as old as the database: only the lanes know that they were allowed more."""
    gate = bench.gate()
    gate.enter(bench.ticket())
    copy_with_its_note(bench, tmp_path)
    gate.enter(bench.ticket())
    put_back_with_its_note(bench, tmp_path)
    assert bench.engine.live.recount == ""
    gate.status()
    assert "never sent" in bench.engine.live.recount
    assert gate.ask(bench.ticket())["code"] == "staff"
    assert any("recount_needed" in line["reason"] for line in bench.ledger("alarm"))
    settle(bench, gate)
    assert bench.attempt(ConfirmRecount({"bath": 2}, (), "ann")).results == [Recounted("done")]
    assert bench.figures() == (2, 0, 0, 1)


def lets_in_alone(gate: Any, persons: int) -> None:
    """By places that it was lent: nothing is sent for that."""
    for _ in range(persons):
        nonce = f"{gate.inc}.alone.{gate.seq}"
        gate.release({"nonce": nonce, "persons": 1})
        gate.walk_in({"nonce": nonce})


def test_nodes_tell_by_what_was_acknowledged_when_everything_was_put_back(bench: Any, tmp_path: Path) -> None:
    """No lane has a ceiling that was never sent; but records were kept that this database does not know."""
    gate = bench.gate()
    gate.status(cut_off="leased", list=NEWEST)
    gate.event("limit")
    copy_with_its_note(bench, tmp_path)
    lets_in_alone(gate, 2)
    put_back_with_its_note(bench, tmp_path)
    gate.account["balance"] += 1
    late = gate.event_message("forced", side="entry", persons=1)
    assert acks(bench.run(late)) == [1], "whether those before it are lost only the node can say"
    assert bench.engine.live.recount == ""
    gate.status(waiting=1)
    assert bench.engine.live.recount == "5 records of gate-1 were acknowledged, and 1 are known"
    assert gate.ask(bench.ticket())["code"] == "staff"
    gate.status(waiting=1)
    assert bench.engine.live.epoch == 1, "once is enough"
    assert acks(bench.run(late)) == [6]
    assert bench.ledger("events_missing") == [{"node": "gate-1", "first": 2, "last": 5}]
    settle(bench, gate)
    assert bench.attempt(ConfirmRecount({"bath": 3}, (), "ann")).results == [Recounted("done")]
    assert bench.figures() == (3, 0, 0, 0)


def test_they_tell_again_when_everything_is_put_back_once_more(bench: Any, tmp_path: Path) -> None:
    """What was lost before the last count is known to be lost; what was lost after it is not."""
    gate = counted_anew(bench, tmp_path)
    epoch = bench.engine.live.epoch
    for _ in range(2):
        gate.status()
        assert (bench.engine.live.recount, bench.engine.live.epoch) == ("", epoch)
    gate.event("limit")
    assert bench.ledger("events_missing") == [{"node": "gate-1", "first": 1, "last": 2}]
    gate.status()
    copy_with_its_note(bench, tmp_path)
    bench.run(gate.event_message("refused", side="entry", code="invalid", persons=1))
    put_back_with_its_note(bench, tmp_path)
    gate.status()
    assert bench.engine.live.recount == "4 records of gate-1 were acknowledged, and 3 are known"
    assert bench.engine.live.epoch == epoch + 1


def test_a_node_without_a_lane_tells_as_well_if_its_journal_is_known(make_park: Any) -> None:
    park = make_park(plan())
    till = park.gate("till")
    till.seq = 7
    till.status(waiting=0)
    assert park.engine.live.recount == "", "it may have come from another site"
    till.inc, till.seq = "known", 0
    till.event("boot", reason="power")
    till.seq = 7
    till.status(waiting=6)
    assert park.engine.live.recount == ""
    till.status(waiting=5)
    assert park.engine.live.recount == "2 records of till were acknowledged, and 1 are known"
    assert park.engine.live.epoch == 1
    till.seq = 2
    till.event("boot", reason="power")
    assert park.engine.live.nodes["till"].applied == 3
    till.seq = 9
    till.status(waiting=0)
    assert park.engine.live.epoch == 1


def test_what_waits_is_not_missing(bench: Any) -> None:
    """Of a record that is on its way, and of words that were overtaken, nothing is said but that they were."""
    gate = bench.gate()
    overtaken = gate.message("status", ms=1, lane="locked", waiting=0, emergency=False)
    first, second = (gate.event_message("forced", side="entry", persons=1) for _ in range(2))
    gate.status()
    bench.run(first)
    gate.status()
    bench.run(second, overtaken)
    gate.status()
    gate.inc, gate.seq, gate.account = "fresh", 0, dict.fromkeys(gate.account, 0)
    gate.status()
    assert bench.engine.live.recount == ""


def put_back(bench: Any, tmp_path: Path) -> Any:
    """A gate that has told two records since the copy was made that is the database now."""
    gate = bench.gate()
    copy = old_copy(bench, tmp_path)
    gate.enter(bench.ticket())
    bench.close()
    restore(bench.settings, copy)
    start(bench)
    return gate


def counted_anew(bench: Any, tmp_path: Path) -> Any:
    """And people were counted since."""
    gate = put_back(bench, tmp_path)
    settle(bench, gate)
    assert bench.attempt(ConfirmRecount({"bath": 1}, (), "ann")).results == [Recounted("done")]
    return gate


def test_records_that_were_acknowledged_and_are_lost_are_not_waited_for(bench: Any, tmp_path: Path) -> None:
    gate = put_back(bench, tmp_path)
    gate.account["balance"] += 1
    question = gate.event_message("forced", side="entry", persons=1)
    assert acks(bench.run(question)) == [0]
    gate.status(waiting=1)
    assert acks(bench.run(question)) == [3]
    assert bench.ledger("events_missing") == [{"node": "gate-1", "first": 1, "last": 2}]


def test_nor_when_the_count_came_before_them(bench: Any, tmp_path: Path) -> None:
    gate = counted_anew(bench, tmp_path)
    gate.account["balance"] += 1
    record = gate.event_message("forced", side="entry", persons=1)
    bench.restart()
    for _ in range(10):
        assert acks(bench.run(record)) == [0], "whether it still has those before it is not known yet"
        bench.now_ms += 3_000
    assert sum("journal_gap" in line["reason"] for line in bench.ledger("alarm")) == 2
    gate.status(waiting=1)
    assert acks(bench.run(record)) == [record.seq]
    assert bench.ledger("events_missing") == [{"node": "gate-1", "first": 1, "last": 2}]


@pytest.mark.parametrize("heard", [True, False], ids=["it has said what it has", "it has not yet"])
def test_what_a_node_has_is_waited_for_whatever_our_clock_says(bench: Any, tmp_path: Path, heard: bool) -> None:
    """The wall clock may be set ahead, and a process stand still: no time that goes by makes a record a lost one."""
    gate = counted_anew(bench, tmp_path)
    first, second, third = (gate.event_message("forced", side="entry", persons=1) for _ in range(3))
    if heard:
        gate.status(waiting=3)
    assert acks(bench.run(second)) == [0], "the first was lost on its way"
    bench.now_ms += 48 * 60_000
    assert acks(bench.run(third)) == [0]
    if not heard:
        gate.status(waiting=3)
    assert acks(bench.run(second, third, first, second, third)) == [5]
    assert [line["seq"] for line in bench.ledger("forced")] == [3, 4, 5]
    assert bench.ledger("events_missing") == [{"node": "gate-1", "first": 1, "last": 2}]


def test_what_a_node_had_said_before_it_started_anew_does_not_count(bench: Any, tmp_path: Path) -> None:
    """It forgets acknowledged records some at a time, and sends those that it still has after a start."""
    gate = counted_anew(bench, tmp_path)
    late = gate.message("status", ms=1, lane="locked", waiting=0, emergency=False)
    gate.boot, gate.seq = 2, 0
    first, second, third = (gate.event_message("forced", side="entry", persons=1) for _ in range(3))
    gate.hello()
    bench.run(late)
    assert acks(bench.run(second, third)) == [0]
    assert acks(bench.run(first, second, third)) == [3]
    assert bench.ledger("events_missing") == []


def test_what_needs_its_ticket_is_applied_with_it_in_the_batch_that_says_what_is_missing(
    bench: Any, tmp_path: Path
) -> None:
    gate = counted_anew(bench, tmp_path)
    code = bench.ticket()
    gate.account["balance"] += 1
    record = {"nonce": "n1", "side": "entry", "persons": 1, "digest": codes.digest(code), "reason": "leased"}
    released = gate.event_message("released", **record)
    status = gate.message("status", ms=1, lane="locked", waiting=1, emergency=False)
    assert acks(bench.run(status, released)) == [3]
    assert [line["ticket"] for line in bench.ledger("released")] == [bench.last.id]


def acks(sent: list[dict[str, Any]]) -> list[int]:
    return [item["seq"] for item in sent if item["kind"] == "ack"]


def test_a_lane_out_of_reach_must_be_named_and_somebody_under_way_waited_for(bench: Any, tmp_path: Path) -> None:
    gate, other = bench.gate(), bench.gate("gate-2")
    for each in (gate, other):
        each.enter(bench.ticket())
    copy = old_copy(bench, tmp_path)
    bench.close()
    restore(bench.settings, copy)
    start(bench)
    gate.hello()
    settle(bench, gate)
    confirm = ConfirmRecount({"bath": 2}, (), "ann")
    assert bench.attempt(confirm).results == [Recounted("unreached", ("west",))]
    named = ConfirmRecount({"bath": 2}, ("west",), "ann")
    refused = bench.attempt(named).results[0]
    assert (refused.what, refused.names) == ("leased", ("west",)), "nobody knows what it was lent since the copy"
    bench.now_ms += refused.waits_ms[0] - 25
    gate.status()
    assert bench.attempt(named).results[0].what == "leased"
    assert bench.attempt(named).results == [Recounted("done", ("west",))]
    other.hello()
    settle(bench, other)
    assert bench.figures() == (2, 0, 0, 1), "what the lane said of the old count is not added again"


def test_a_lane_that_was_seen_to_have_no_power_need_not_be_waited_for(bench: Any, tmp_path: Path) -> None:
    gate = bench.gate()
    copy = old_copy(bench, tmp_path)
    bench.gate("gate-2").enter(bench.ticket())
    bench.database.dispose()
    restore(bench.settings, copy)
    start(bench)
    lost = bench.gate("gate-2", hello=False)
    lost.inc = "new"  # it was wiped since, spoke once, and is out of reach again
    lost.hello()
    bench.now_ms += 60_000
    gate.hello()
    settle(bench, gate)
    people = {"bath": 1}
    assert bench.attempt(ConfirmRecount(people, ("west",), "ann")).results[0].what == "leased"
    order = ConfirmRecount(people, (), "ann", ("west",))
    assert bench.attempt(order).results == [Recounted("done", ("west",))]
    assert bench.ledger("recount")[-1]["switched_off"] == ["west"]


def test_a_lane_that_cannot_say_so_is_not_lent_anything_while_people_are_counted(bench: Any, tmp_path: Path) -> None:
    gate = bench.gate()
    copy = old_copy(bench, tmp_path)
    bench.database.dispose()
    restore(bench.settings, copy)
    start(bench)
    bench.now_ms += 10_000
    sent = gate.status(cut_off="leased", list=NEWEST) + bench.run(Tick())
    limits = [item for item in sent if item["kind"] == "limit"]
    assert limits, "it is told the new epoch"
    assert all("lease_ms" not in item and item["limit"]["ceiling"] < -1000 for item in limits)
    settle(bench, gate)
    gate.account["balance"] -= 1  # who leaves meanwhile makes room for nobody
    gate.seq += 1
    gate.status()
    sent = bench.run(ConfirmRecount({"bath": 1}, (), "ann"))
    assert [item["limit"]["ceiling"] for item in sent if item["node"] == "gate-1"] == [-1], "now they do"
    assert bench.figures() == (1, 0, 0, 2)


def test_a_wiped_node_begins_in_the_new_epoch(bench: Any, tmp_path: Path) -> None:
    gate = bench.gate()
    copy = old_copy(bench, tmp_path)
    bench.close()
    restore(bench.settings, copy)
    start(bench)
    gate.status()
    settle(bench, gate)
    bench.attempt(ConfirmRecount({"bath": 1}, (), "ann"))
    wiped = bench.gate("gate-1", hello=False)
    wiped.inc = "wiped"
    for item in wiped.hello():
        if item["kind"] == "limit":
            obey(wiped, item["limit"])
    wiped.status()
    bench.now_ms += 60_000
    wiped.account["balance"] -= 1
    wiped.seq += 1
    bench.run(wiped.message("event", kind="passed", ms=1, unix_ms=bench.now_ms, side="exit", persons=1))
    assert bench.figures()[0] == 0


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\x00" + b"x" * 5000])
def test_what_is_no_copy_is_not_put_back(bench: Any, tmp_path: Path, content: bytes) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    bench.close()
    (tmp_path / "x.db").write_bytes(content)
    with pytest.raises(DatabaseError):
        restore(bench.settings, tmp_path / "x.db")
    start(bench)
    assert bench.figures() == (1, 0, 0, 2)
    assert bench.engine.live.recount == ""


def test_not_while_a_controller_runs(bench: Any, tmp_path: Path) -> None:
    back_up(bench.settings, tmp_path / "copy.db")
    bench.close()
    controller = open_controller(bench.settings)
    with pytest.raises(DatabaseError, match="another controller"):
        restore(bench.settings, tmp_path / "copy.db")
    controller.close()


@pytest.fixture
def restored(bench: Any, tmp_path: Path) -> Iterator[TestClient]:
    back_up(bench.settings, tmp_path / "copy.db")
    bench.close()
    restore(bench.settings, tmp_path / "copy.db")
    with TestClient(make_app(open_controller(bench.settings))) as client:
        client.headers["Authorization"] = f"Bearer {bench.prepared.api_key}"
        yield client


def test_over_the_api(restored: TestClient) -> None:
    state = restored.get("/api/v1/recount").json()
    assert state["needed"]
    assert "nachgezählt" in restored.get("/?lang=de").text
    wrong = restored.post("/api/v1/recount", json={"people": {}})
    assert (wrong.status_code, "bath" in wrong.json()["text_de"]) == (409, True)
    done = restored.post("/api/v1/recount", json={"people": {"bath": 3}})
    assert done.json()["text_en"].startswith("Counted")
    assert restored.get("/api/v1/recount").json()["needed"] == ""
    wait_until(lambda: figures(restored) == (3, 0), DEADLINE_S, "the picture is new")


def figures(client: TestClient) -> tuple[int, int]:
    zone = client.get("/api/v1/zones").json()["zones"][0]
    return zone["present"], zone["free"]


def test_from_the_command_line(bench: Any, tmp_path: Path) -> None:
    bench.ticket()
    bench.close()
    directory = ["--dir", str(bench.prepared.directory)]
    made = run(cli.backup, [str(tmp_path / "copy.db"), *directory])
    assert json.loads(made)["site"] == "pool"
    assert "einlass recount" in run(cli.restore, [str(tmp_path / "copy.db"), *directory])
    assert "epoch" in run(cli.recount, directory)
    assert "Gezählt" in run(cli.recount, [*directory, "--zone", "bath=1", "--lang", "de"])
    assert "no recount" in run(cli.recount, directory)
    assert "ZONE=PEOPLE" in run(cli.recount, [*directory, "--zone", "bath=many"], status=2)


def run(command: Any, words: list[str], status: int = 0) -> str:
    import typer

    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == status, done.output
    return done.output


def test_the_wire_has_room_for_an_epoch() -> None:
    limit = {"epoch": wire.COUNT_MAX, "version": 1, "ceiling": 0}
    assert wire.decode("limit", wire.encode("limit", {"inc": "i", "limit": limit}))["limit"] == limit
