"""Blocked, cancelled, unpaid, withdrawn, replaced, an entry taken back: rules, lane and API."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from einlass_controller.api.app import make_app
from einlass_controller.domain import life
from einlass_controller.domain.life import LifeError
from einlass_controller.domain.tickets import STATUSES, Ticket
from einlass_controller.messages import Redeem
from einlass_controller.orders import AnnulEntry, ChangeTicket, Done, ReplaceTicket
from einlass_controller.runtime import open_controller
from einlass_core import codes


def ticket(status: str = "valid", before: str = "") -> Ticket:
    return Ticket("T", "d", "h", "single", "", 1, status, None, None, 1, 0, 0, status_before=before)


@pytest.mark.parametrize(
    ("status", "do", "after"),
    [
        ("valid", "block", "blocked"),
        ("blocked", "unblock", "valid"),
        ("unpaid", "block", "blocked"),
        ("valid", "unpaid", "unpaid"),
        ("unpaid", "paid", "valid"),
        ("blocked", "cancel", "cancelled"),
        ("unpaid", "revoke", "revoked"),
    ],
)
def test_the_ways(status: str, do: str, after: str) -> None:
    item = ticket(status)
    assert life.change(item, do, "because")
    assert (item.status, item.reason) == (after, "" if after == "valid" else "because")
    assert life.change(item, do, "again") is False, "done already"


@pytest.mark.parametrize(
    ("status", "do"),
    [
        ("cancelled", "block"),
        ("revoked", "paid"),
        ("cancelled", "revoke"),
        ("blocked", "unpaid"),
        ("revoked", "unblock"),
    ],
)
def test_what_contradicts_is_explained_in_both_languages(status: str, do: str) -> None:
    with pytest.raises(LifeError) as caught:
        life.change(ticket(status), do, "because")
    assert life.STATUS_WORDS[status].de in caught.value.text.de
    assert life.STATUS_WORDS[status].en in caught.value.text.en


def test_a_blocked_ticket_that_was_not_paid_is_not_paid_afterwards() -> None:
    item = ticket("unpaid")
    life.change(item, "block", "lost")
    life.change(item, "unblock", "found")
    assert item.status == "unpaid"
    life.change(item, "block", "lost")
    life.change(item, "paid", "cash")
    assert item.status == "blocked"
    life.change(item, "unblock", "found")
    assert item.status == "valid"


@given(st.lists(st.sampled_from(life.DOINGS), max_size=12), st.sampled_from(STATUSES))
def test_whatever_is_done_final_is_final(doings: list[str], status: str) -> None:
    item = ticket(status)
    for do in doings:
        final = item.status in ("cancelled", "revoked")
        before = item.status
        try:
            life.change(item, do, "x")
        except LifeError:
            assert item.status == before
        assert item.status in STATUSES
        assert not final or item.status == before
        assert (item.status_before != "") <= (item.status == "blocked")


def test_every_outcome_has_words_in_both_languages() -> None:
    assert set(life.DOINGS) <= set(life.DONE)
    for text in (*life.DONE.values(), *life.REFUSED.values(), *life.STATUS_WORDS.values()):
        assert text.de
        assert text.en
        assert text.de != text.en
    assert set(life.STATUS_WORDS) == set(STATUSES)


def order(bench: Any, message: Any) -> Any:
    return bench.attempt(message).results[0]


def replace(bench: Any, name: str, n: int = 1) -> tuple[Any, str]:
    code = codes.opaque(9_000_000 + n)
    proof = bench.intake.prove(code.encode())
    return order(bench, ReplaceTicket(name, f"R{n}", proof.digest, proof.sha256, 0, "lost", "test")), code


def test_the_lane_says_what_the_ticket_is(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    for do, answer in (("block", "blocked"), ("unblock", "ok")):
        assert order(bench, ChangeTicket("T1", do, "card lost", "ann")).changed
        bench.restart()
        assert gate.ask(code)["code"] == answer
    assert order(bench, ChangeTicket("nobody", "block", "x", "ann")) is None
    lines = bench.ledger("ticket_changed")
    assert [(line["do"], line["status"], line["reason"], line["by"]) for line in lines] == [
        ("block", "blocked", "card lost", "ann"),
        ("unblock", "valid", "card lost", "ann"),
    ]


def test_of_a_family_on_a_new_ticket_nobody_takes_the_place_of_who_came_later_and_left(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket(persons=2)
    answer = gate.ask(code)
    gate.release(answer)
    gate.walk_in(answer)
    gate.turn_back(answer)
    gate.enter(code)
    gate.event("exit", nonce="x1", side="exit", digest=codes.digest(code))
    gate.walk_out(nonce="x1")
    _, new = replace(bench, "T1")
    assert gate.ask(new)["code"] == "used_up"


def test_the_old_code_is_dead_and_the_visit_goes_on_under_the_new(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket(entries_max=2)
    gate.enter(code)
    done, new = replace(bench, "T1")
    assert done == Done("replace")
    bench.restart()
    assert gate.ask(code)["code"] == "revoked"
    assert gate.ask(new)["code"] == "already_inside"
    gate.event("exit", nonce="x1", side="exit", digest=codes.digest(new))
    gate.walk_out(nonce="x1")
    gate.status()
    assert gate.ask(new)["code"] == "ok"
    assert bench.rows("SELECT entries_used, replaces FROM ticket WHERE id = 'R1'") == [(2, "T1")]
    assert bench.rows("SELECT status, replaced_by FROM ticket WHERE id = 'T1'") == [("revoked", "R1")]
    again, _ = replace(bench, "T1", 2)
    assert isinstance(again, LifeError), "it is dead already"


def test_an_unpaid_ticket_does_not_become_paid_by_replacing_it(bench: Any) -> None:
    bench.ticket(status="unpaid")
    order(bench, ChangeTicket("T1", "block", "lost", "ann"))
    _, new = replace(bench, "T1")
    assert bench.gate().ask(new)["code"] == "unpaid"


def inside_on_a_day_ticket(bench: Any) -> tuple[Any, str]:
    bench.rules(product=[{"id": "day", "name": "Tag", "entries": 1, "reentry": {"policy": "always"}}])
    gate, code = bench.gate(), bench.ticket(product="day")
    gate.enter(code)
    return gate, code


def test_a_ticket_that_is_replaced_while_its_bearer_is_on_the_way_out(bench: Any) -> None:
    gate, code = inside_on_a_day_ticket(bench)
    gate.event("exit", nonce="x1", side="exit", digest=codes.digest(code))
    _, new = replace(bench, "T1")
    gate.walk_out(nonce="x1")
    assert bench.rows("SELECT ticket, state FROM visit") == [("R1", "ended")]
    assert gate.ask(new)["code"] == "ok_reentry"


def test_a_way_out_that_is_told_after_the_ticket_was_replaced_twice(bench: Any) -> None:
    gate, code = inside_on_a_day_ticket(bench)
    replace(bench, "T1")
    _, new = replace(bench, "R1", 2)
    gate.event("exit", nonce="x1", side="exit", digest=codes.digest(code))
    gate.walk_out(nonce="x1")
    assert bench.rows("SELECT ticket, state FROM visit") == [("R2", "ended")]
    assert gate.ask(new)["code"] == "ok_reentry"


def test_an_entry_at_the_desk_is_taken_back_with_its_place(bench: Any) -> None:
    code = bench.ticket(persons=2)
    proof = bench.intake.prove(code.encode())
    bench.attempt(Redeem("api:first", "desk-bath", "entry", "n1", proof))
    assert bench.figures() == (2, 0, 0, 1)
    assert order(bench, AnnulEntry("T1", "", "wrong ticket", "ann")) == Done("annul")
    assert bench.figures() == (0, 0, 0, 3)
    assert isinstance(order(bench, AnnulEntry("T1", "", "twice", "ann")), LifeError)
    assert bench.gate().ask(code)["code"] == "ok"


def test_an_entry_at_a_gate_is_taken_back_and_the_body_stays_counted(bench: Any) -> None:
    gate, code = bench.gate(), bench.ticket()
    gate.enter(code)
    assert order(bench, AnnulEntry("T1", "", "went home at once", "ann")) == Done("annul", counted=1)
    assert bench.figures() == (1, 0, 0, 2)
    assert gate.ask(code)["code"] == "ok"
    answer_key = bench.rows("SELECT key FROM visit WHERE state = 'reserved'")[0][0]
    for sent in bench.run(AnnulEntry("T1", answer_key, "not yet through", "ann")):
        gate.obey(sent)
    gate.status()
    assert bench.figures() == (1, 0, 0, 2)
    assert order(bench, AnnulEntry("T1", "gate-1/entry/never", "x", "ann")).reason == "no_entry"


@pytest.fixture
def staff(bench: Any) -> Iterator[TestClient]:
    bench.close()
    with TestClient(make_app(open_controller(bench.settings))) as client:
        client.headers["Authorization"] = f"Bearer {bench.prepared.api_key}"
        yield client


def post(staff: TestClient, path: str, status: int, **body: Any) -> dict[str, Any]:
    answer = staff.post(f"/api/v1{path}", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def test_the_api_from_block_to_replacement(staff: TestClient) -> None:
    made = post(staff, "/tickets", 201)["tickets"][0]
    path = f"/tickets/{made['id']}"
    done = post(staff, f"{path}/change", 200, do="block", reason="lost")
    assert (done["text_de"], done["text_en"]) == ("Die Karte ist gesperrt.", "The ticket is blocked.")
    assert (done["ticket"]["status_de"], done["ticket"]["reason"]) == ("gesperrt", "lost")
    refused = post(staff, f"{path}/change", 409, do="unpaid", reason="x")
    assert refused["text_de"] == "Das geht nicht: die Karte ist gesperrt."
    new = post(staff, f"{path}/replace", 201, reason="lost")
    assert new["ticket"]["replaces"] == made["id"]
    assert post(staff, "/redeem", 200, code=new["typed"], nonce="n1")["code"] == "ok"
    assert post(staff, "/redeem", 200, code=made["code"], nonce="n2")["code"] == "revoked"
    assert post(staff, f"/tickets/{new['id']}/annul", 200, reason="wrong")["still_counted"] == 0
    assert post(staff, f"/tickets/{new['id']}/annul", 409, reason="wrong")["text_en"].startswith("There is no entry")
    post(staff, "/tickets/NOBODY/change", 404, do="block", reason="x")
    post(staff, f"{path}/change", 422, do="block", reason="")
    post(staff, f"{path}/change", 422, do="eat", reason="x")


def test_a_signed_ticket_is_held_back_before_anybody_has_shown_it(staff: TestClient, bench: Any) -> None:
    from einlass_controller.issuing import sign_ticket
    from einlass_controller.signing import Signer
    from einlass_core.signed import PublicKey

    post(staff, "/signing-keys", 201)
    (key,) = staff.get("/api/v1/signing-keys").json()
    signer = Signer(bench.prepared.directory)
    public = PublicKey(key["id"], bytes.fromhex(key["public"]))
    code, made = sign_ticket(signer, public, persons=1, zone="", valid_from_ms=None, valid_until_ms=None)
    done = post(staff, f"/tickets/{made.id}/change", 200, do="block", reason="never paid")
    assert done["ticket"] is None
    assert post(staff, "/redeem", 200, code=code, nonce="n1")["code"] == "blocked"
    post(staff, f"/tickets/{made.id}/change", 200, do="unblock", reason="paid")
    assert post(staff, "/redeem", 200, code=code, nonce="n2")["code"] == "ok"
    assert post(staff, f"/tickets/{made.id}/replace", 201, reason="wet")["code"].startswith("E2:")


def test_tickets_are_searched_a_page_at_a_time(staff: TestClient) -> None:
    names = sorted(item["id"] for item in post(staff, "/tickets", 201, n=5)["tickets"])
    post(staff, f"/tickets/{names[2]}/change", 200, do="cancel", reason="refund")
    first = staff.get("/api/v1/tickets?limit=3").json()
    rest = staff.get(f"/api/v1/tickets?limit=3&after={first['next']}").json()
    assert [item["id"] for item in first["tickets"] + rest["tickets"]] == names
    assert rest["next"] is None
    found = staff.get("/api/v1/tickets?status=cancelled").json()["tickets"]
    assert [item["id"] for item in found] == [names[2]]
