"""State from the ledger alone: the same as the tables, whatever has happened; and a difference is found."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from einlass_controller.live import load
from einlass_controller.messages import Redeem
from einlass_controller.orders import AnnulEntry, ChangeTicket, ReplaceTicket
from einlass_controller.store.reading import ledger_entries, one_moment
from einlass_controller.store.replaying import compare
from einlass_core import codes


def replayed(bench: Any) -> dict[str, Any]:
    with one_moment(bench.database) as connection:
        return compare(connection, ledger_entries(connection), load(connection))


def test_an_afternoon_at_the_pool_comes_back_from_the_ledger(bench: Any) -> None:
    gate, other = bench.gate(), bench.gate("gate-2")
    family, single, spare = bench.ticket(persons=2), bench.ticket(), bench.ticket()
    gate.enter(family)
    answer = other.ask(single)
    other.release(answer)
    other.turn_back(answer)
    other.status()
    bench.attempt(Redeem("api:first", "desk-bath", "entry", "n1", bench.intake.prove(spare.encode())))
    bench.attempt(ChangeTicket("T2", "block", "lost", "ann"))
    proof = bench.intake.prove(codes.opaque(77).encode())
    bench.attempt(ReplaceTicket("T2", "R2", proof.digest, proof.sha256, 0, "lost", "ann"))
    bench.attempt(AnnulEntry("T3", "", "wrong", "ann"))
    gate.event("forced", side="entry", persons=1)
    gate.event("exit", nonce="x1", side="exit", digest=codes.digest(family))
    gate.walk_out(nonce="x1")
    lost = bench.gate("gate-2", hello=False)
    lost.inc = "wiped"
    lost.hello()
    found = replayed(bench)
    assert found["ok"], found["examples"]
    assert found["zones"] == found["zones_in_tables"]
    assert (found["tickets"], found["visits"]) == (4, 3)
    bench.restart()
    assert replayed(bench)["ok"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ticket SET entries_used = 0 WHERE id = 'T1'",
        "UPDATE ticket SET status = 'valid' WHERE id = 'T2'",
        "UPDATE account SET balance = balance - 1 WHERE lane = 'east'",
        "UPDATE zone SET base = base + 1",
        "UPDATE visit SET state = 'ended'",
        "DELETE FROM visit",
        "DELETE FROM ticket WHERE id = 'T2'",
    ],
)
def test_a_table_that_was_changed_by_hand_is_found(bench: Any, change: str) -> None:
    gate = bench.gate()
    gate.enter(bench.ticket())
    bench.ticket()
    bench.attempt(ChangeTicket("T2", "block", "lost", "ann"))
    assert replayed(bench)["ok"]
    with bench.database.begin() as connection:
        connection.exec_driver_sql(change)
    found = replayed(bench)
    assert not found["ok"]
    assert found["differences"] == 1
    assert len(found["examples"]) == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(0, 8), min_size=5, max_size=25))
def test_whatever_happens_the_ledger_has_it(shared_gate: Any, steps: list[int]) -> None:
    gate, bench = shared_gate, shared_gate.bench
    ours: list[str] = []
    for step in steps:
        if step == 0 or not ours:
            bench.ticket(persons=1 + bench.made % 2)
            ours.append(f"T{bench.made}")
        name = ours[step % len(ours)]
        code = codes.opaque(1_000_000 + int(name[1:]))
        if step in (1, 2):
            answer = gate.ask(code)
            if answer["code"] == "ok":
                gate.release(answer)
                (gate.walk_in if step == 1 else gate.turn_back)(answer)
        elif step == 3:
            gate.event("exit", nonce=f"x{bench.now_ms}", side="exit", digest=codes.digest(code))
            gate.walk_out(nonce=f"x{bench.now_ms - 10}")
        elif step == 4:
            gate.ask(code)
        elif step == 5:
            bench.attempt(AnnulEntry(name, "", "x", "ann"))
        elif step in (6, 7):
            bench.attempt(ChangeTicket(name, "block" if step == 6 else "unblock", "x", "ann"))
        elif step == 8:
            bench.attempt(
                Redeem("api:first", "desk-bath", "exit", f"n{bench.now_ms}", bench.intake.prove(code.encode()))
            )
    found = replayed(bench)
    assert found["ok"], found["examples"]
