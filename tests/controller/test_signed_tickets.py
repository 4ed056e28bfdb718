"""Signed tickets at lane and desk: admitted on their signature once, and from then on like any other ticket."""

from pathlib import Path
from typing import Any

import pytest

from einlass_controller.issuing import Terms, sign_ticket
from einlass_controller.messages import Issue
from einlass_controller.orders import AddSigningKey, RevokeSigningKey
from einlass_controller.signing import Signer
from einlass_core.signed import PublicKey

HOUR_MS = 3_600_000


class Office:
    """Signs tickets without telling the database."""

    def __init__(self, bench: Any, directory: Path) -> None:
        self.bench = bench
        self.signer = Signer(directory)
        self.key = self.rotate()

    def rotate(self, old_until_ms: int | None = None) -> PublicKey:
        (name,) = self.bench.attempt(AddSigningKey(self.signer.make(), old_until_ms, "test")).results
        self.key = self.bench.engine.live.ring[name]
        return self.key

    def sign(self, persons: int = 1, zone: str = "", **window: int) -> tuple[str, Any]:
        terms: Terms = {
            "persons": persons,
            "zone": zone,
            "valid_from_ms": window.get("first_ms"),
            "valid_until_ms": window.get("last_ms"),
        }
        return sign_ticket(self.signer, self.key, **terms)


@pytest.fixture
def office(bench: Any, tmp_path: Path) -> Office:
    return Office(bench, tmp_path)


def test_a_ticket_that_the_database_does_not_know_is_admitted_on_its_signature_once(bench: Any, office: Office) -> None:
    gate = bench.gate()
    code, ticket = office.sign(persons=2)
    assert bench.rows("SELECT * FROM ticket") == []
    answer = gate.enter(code)
    assert (answer["code"], answer["persons"]) == ("ok", 2)
    assert bench.rows("SELECT id, key_id, entries_used FROM ticket") == [(ticket.id, 1, 1)]
    assert gate.ask(code)["code"] == "already_inside"
    gate.walk_out()
    bench.restart()
    assert gate.ask(code)["code"] == "already_inside", "an anonymous exit leaves the ticket inside"
    assert [entry["ticket"] for entry in bench.ledger("first_seen")] == [ticket.id]


def test_two_first_scans_in_one_batch_are_one_entry(bench: Any, office: Office) -> None:
    gate, other = bench.gate(), bench.gate("gate-2")
    code, _ = office.sign()
    sent = bench.run(gate.ask_message(code), other.ask_message(code))
    assert [item["code"] for item in sent if item["kind"] == "answer"] == ["ok", "already_inside"]


def test_the_same_scan_again_is_the_same_answer(bench: Any, office: Office) -> None:
    gate = bench.gate()
    code, _ = office.sign()
    question = gate.ask_message(code, "i.1.1")
    first = bench.run(question)
    bench.restart()
    assert bench.run(question)[0]["bytes"] == first[0]["bytes"]


def test_a_refusal_makes_no_row_and_the_turn_back_gives_the_entry_back(bench: Any, office: Office) -> None:
    gate = bench.gate()
    code, _ = office.sign(first_ms=bench.now_ms + HOUR_MS)
    assert gate.ask(code)["code"] == "too_early"
    assert bench.rows("SELECT * FROM ticket") == []
    bench.now_ms += 2 * HOUR_MS
    answer = gate.ask(code)
    gate.release(answer)
    gate.turn_back(answer)
    gate.status()
    assert gate.ask(code)["code"] == "ok"


def test_signed_at_the_desk_it_is_a_row_at_once(bench: Any, office: Office) -> None:
    gate = bench.gate()
    code, ticket = office.sign()
    bench.attempt(Issue((ticket,), "test"))
    assert gate.enter(code)["code"] == "ok"
    assert bench.ledger("first_seen") == []


def test_forged_zone_and_window_are_judged(bench: Any, office: Office) -> None:
    gate = bench.gate()
    code, _ = office.sign()
    forged = code[:40] + ("0" if code[40] != "0" else "1") + code[41:]
    assert gate.ask(forged)["code"] == "invalid"
    assert gate.ask(office.sign(zone="sauna")[0])["code"] == "wrong_zone"
    assert gate.ask(office.sign(last_ms=bench.now_ms - HOUR_MS)[0])["code"] == "expired"
    assert gate.ask("E2:" + "Z" * 150)["code"] == "invalid"


def test_an_old_key_counts_until_its_date(bench: Any, office: Office) -> None:
    gate = bench.gate()
    (old, _), (late, _), (used, _) = office.sign(), office.sign(), office.sign()
    office.rotate(old_until_ms=bench.now_ms + HOUR_MS)
    assert office.key.id == 2
    gate.enter(used)
    assert gate.ask(old)["code"] == "ok"
    bench.now_ms += 2 * HOUR_MS
    bench.restart()
    assert gate.ask(late)["code"] == "invalid"
    assert gate.ask(used)["code"] == "already_inside", "the database knows it by now"
    assert gate.ask(office.sign()[0])["code"] == "ok"


def test_a_revoked_key_revokes_what_it_signed_known_or_not(bench: Any, office: Office) -> None:
    gate = bench.gate()
    (unknown, _), (known, ticket) = office.sign(), office.sign()
    bench.attempt(Issue((ticket,), "test"))
    assert bench.attempt(RevokeSigningKey(9, "no such key", "test")).results == [False]
    assert bench.attempt(RevokeSigningKey(1, "key was stolen", "test")).results == [True]
    bench.restart()
    assert gate.ask(unknown)["code"] == "revoked"
    assert gate.ask(known)["code"] == "revoked"
    assert gate.ask("E2:" + unknown[3:].replace(unknown[50], "0", 1))["code"] in ("invalid", "revoked")
    office.rotate()
    assert gate.ask(office.sign()[0])["code"] == "ok"


def test_a_ticket_signed_anew_does_not_enter_twice(bench: Any, office: Office) -> None:
    """Two codes with the same ticket id are one ticket: only the first that was shown counts."""
    gate = bench.gate()
    code, ticket = office.sign()
    gate.enter(code)
    from einlass_core import signed

    claim = signed.Claim(office.key.id, ticket.id, "single", "bath", 1, None, None)
    message = signed.message_of(claim)
    other = signed.code_of(message, office.signer.sign(office.key.public, message))
    assert gate.ask(other)["code"] == "invalid"


def test_a_product_that_nobody_sells_here_says_so(bench: Any, office: Office) -> None:
    from einlass_core import signed

    message = signed.message_of(signed.Claim(1, "0" * 12, "opera", "", 1, None, None))
    code = signed.code_of(message, office.signer.sign(office.key.public, message))
    assert bench.gate().ask(code)["code"] == "wrong_product"
