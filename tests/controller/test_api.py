import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from einlass_controller.api.access import OPEN_ROUTES
from einlass_controller.api.app import make_app
from einlass_controller.engine import Engine, StoreError
from einlass_controller.runtime import Controller, open_controller
from einlass_sim.processes import wait_until

DEADLINE_S = 30.0


@pytest.fixture
def controller(bench: Any) -> Controller:
    bench.close()
    return open_controller(bench.settings)


@pytest.fixture
def anyone(controller: Controller) -> Iterator[TestClient]:
    with TestClient(make_app(controller)) as client:
        yield client


@pytest.fixture
def staff(anyone: TestClient, bench: Any) -> TestClient:
    anyone.headers["Authorization"] = f"Bearer {bench.prepared.api_key}"
    return anyone


def issue(staff: TestClient, **order: Any) -> list[dict[str, Any]]:
    answer = staff.post("/api/v1/tickets", json=order)
    assert answer.status_code == 201, answer.text
    return list(answer.json()["tickets"])


def redeem(staff: TestClient, code: str, nonce: str, **more: Any) -> dict[str, Any]:
    answer = staff.post("/api/v1/redeem", json={"code": code, "nonce": nonce, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_ticket_from_sale_to_the_exit(staff: TestClient) -> None:
    (made,) = issue(staff, with_qr=True)
    assert made["qr_svg"].startswith("<?xml")
    assert staff.get(f"/api/v1/tickets/{made['id']}").json()["inside"] == 0
    decision = redeem(staff, made["code"], "n1")
    assert (decision["code"], decision["text_de"], decision["text_en"]) == ("ok", "Willkommen", "Welcome")
    assert redeem(staff, made["typed"].lower(), "n1") == decision
    assert staff.post("/api/v1/tickets/find", json={"code": made["code"]}).json()["inside"] == 1
    again = redeem(staff, made["code"], "n2")
    assert again["code"] == "already_inside"
    assert "Kasse Becken" in again["text_de"]
    assert redeem(staff, made["code"], "n3", side="exit")["code"] == "ok_exit"
    assert redeem(staff, made["code"], "n4")["code"] == "used_up"


def test_the_zones_add_up_and_the_public_sees_what_is_free(staff: TestClient) -> None:
    for number, made in enumerate(issue(staff, n=4)):
        redeem(staff, made["code"], f"n{number}")
    zone = wait_for_zone(staff, present=3)
    assert zone["present"] + zone["reserved"] + zone["leased"] + zone["free"] == zone["cap"] == 3
    del staff.headers["Authorization"]
    public = staff.get("/api/v1/public").json()
    assert public["zones"][0]["free"] == 0
    assert public["zones"][0]["about"] is True, "no gate is connected"


def wait_for_zone(staff: TestClient, **figures: int) -> dict[str, Any]:
    """As the zone is told when these are its figures: what is told is made anew from time to time."""
    zone: dict[str, Any] = {}

    def told() -> bool:
        zone.update(staff.get("/api/v1/zones").json()["zones"][0])
        return all(zone[name] == value for name, value in figures.items())

    wait_until(told, DEADLINE_S, f"a zone with {figures}")
    return zone


def test_a_nonce_for_something_else_is_a_conflict(staff: TestClient) -> None:
    first, second = issue(staff, n=2)
    redeem(staff, first["code"], "n1")
    answer = staff.post("/api/v1/redeem", json={"code": second["code"], "nonce": "n1"})
    assert answer.status_code == 409


def test_a_refusal_is_an_answer_and_a_mistake_is_an_error(staff: TestClient) -> None:
    assert redeem(staff, "nobody knows this", "n1")["code"] == "invalid"
    assert redeem(staff, "\x00\x01", "n2")["code"] == "invalid"
    bodies: tuple[Any, ...] = (
        {"code": "x"},
        {"code": "x", "nonce": "has blanks"},
        {"code": "x", "nonce": "n", "side": "up"},
        {"code": "", "nonce": "n"},
        {"code": "x" * 10_000, "nonce": "n"},
        {"code": "x", "nonce": "n", "lane": "east"},
        {"code": "x", "nonce": "n", "lane": "nowhere"},
        {"code": "x", "nonce": "n", "more": 1},
        [],
    )
    for body in bodies:
        assert staff.post("/api/v1/redeem", json=body).status_code == 422, body
    for raw in (b"{", b"\xff", b"[" * 50_000):
        assert staff.post("/api/v1/redeem", content=raw).status_code in (400, 422)
    assert staff.post("/api/v1/redeem", content=b" " * 200_000).status_code == 413


def test_every_route_but_the_open_ones_wants_a_key(anyone: TestClient) -> None:
    wanted = 0
    for path, methods in anyone.get("/api/v1/openapi.json").json()["paths"].items():
        for method in methods:
            address = re.sub(r"\{\w+\}", "x", path)
            for headers in ({}, {"Authorization": "Bearer ek_wrong"}, {"Authorization": "Basic eDp5"}):
                status = anyone.request(method, address, headers=headers, json={}).status_code
                if path in OPEN_ROUTES:
                    assert status in (200, 404, 422, 503), (method, path)
                else:
                    assert status == 401, (method, path)
                    wanted += 1
    assert wanted >= 30


def test_a_code_drawn_as_svg_and_png(staff: TestClient) -> None:
    (made,) = issue(staff)
    svg = staff.post("/api/v1/qr", json={"code": made["code"]})
    png = staff.post("/api/v1/qr", json={"code": made["code"], "format": "png"})
    assert svg.headers["content-type"] == "image/svg+xml"
    assert png.content.startswith(b"\x89PNG")
    assert staff.post("/api/v1/qr", json={"code": "E1:WRONG"}).status_code == 422


def test_a_window_and_a_zone_are_checked_where_they_are_ordered(staff: TestClient) -> None:
    assert staff.post("/api/v1/tickets", json={"zone": "sauna"}).status_code == 422
    window = {"valid_from": "2030-01-02T00:00:00+01:00", "valid_until": "2030-01-01T00:00:00+01:00"}
    assert staff.post("/api/v1/tickets", json=window).status_code == 422
    assert staff.post("/api/v1/tickets", json={"valid_from": "2030-01-02T00:00:00"}).status_code == 422
    (made,) = issue(staff, valid_from="2130-01-02T00:00:00+01:00")
    early = redeem(staff, made["code"], "n1")
    assert (early["code"], early["text_de"]) == ("too_early", "Gültig ab 02.01.2130 00:00")


def test_when_the_store_fails_the_answer_is_try_again(staff: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    (made,) = issue(staff)

    def fail(*_: Any) -> None:
        raise StoreError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "begin", fail)
        answer = staff.post("/api/v1/redeem", json={"code": made["code"], "nonce": "n1"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert staff.get("/healthz").json()["database"] is False
    assert redeem(staff, made["code"], "n1")["code"] == "ok"


def test_two_people_are_two_people(staff: TestClient) -> None:
    for by in (["Ann"], ["Ann", "ann "], ["Ann", ""], ["Ann", "B,ob"], ["Ann", "Bob", "Cid"]):
        answer = staff.post("/api/v1/nodes/gate-1/commands", json={"do": "rearm", "by": by})
        assert answer.status_code == 422, by
    good = {"do": "rearm", "by": ["Ann", "Bob"]}
    assert staff.post("/api/v1/nodes/nobody/commands", json=good).status_code == 404
    assert staff.post("/api/v1/nodes/gate-1/commands", json=good).status_code == 503, "it has never connected"
    assert staff.get("/api/v1/commands/x").status_code == 404


def test_the_ledger_can_be_followed(staff: TestClient) -> None:
    issue(staff)
    newest = staff.get("/api/v1/ledger?limit=1").json()
    assert [entry["kind"] for entry in newest] == ["issued"]
    issue(staff)
    later = staff.get(f"/api/v1/ledger?after={newest[0]['number']}").json()
    assert [entry["number"] for entry in later] == [newest[0]["number"] + 1]
    assert staff.get("/api/v1/dead-letters").json() == []
    assert [node["id"] for node in staff.get("/api/v1/nodes").json()["nodes"]] == ["gate-1", "gate-2"]


def test_health_says_what_is_missing(anyone: TestClient) -> None:
    answer = anyone.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "live": True, "database": True, "broker": False}


@pytest.mark.parametrize(
    ("address", "accept", "words"),
    [
        ("/", "de-DE,de;q=0.9,en;q=0.5", "Wie voll ist es?"),
        ("/", "en-GB,en;q=0.9,de;q=0.5", "How full is it?"),
        ("/", "fr", "Wie voll ist es?"),
        ("/?lang=en", "de", "How full is it?"),
        ("/?lang=xx", "en;q=zero,en", "How full is it?"),
    ],
)
def test_the_first_page_speaks_german_and_english(anyone: TestClient, address: str, accept: str, words: str) -> None:
    page = anyone.get(address, headers={"Accept-Language": accept})
    assert words in page.text
    assert "noscript" in page.text


def test_no_page_loads_anything_from_elsewhere(anyone: TestClient) -> None:
    page = anyone.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    for address in re.findall(r'(?:href|src)="([^"]+)"', page.text):
        assert address.startswith(("/", "#")), address
        if address.startswith("/static/"):
            assert anyone.get(address).status_code == 200
    assert "style=" not in page.text
    assert "://" not in re.sub(r'xmlns="[^"]+"', "", page.text)
    assert anyone.get("/docs").status_code == 404


def test_names_are_shown_as_text_whatever_they_contain(staff: TestClient, controller: Controller) -> None:
    redeem(staff, "<script>alert(1)</script>", "n1")
    page = staff.get("/?lang=en").text
    assert "refused: unknown code" in page
    assert "alert(1)" not in page


def test_the_live_board_follows(staff: TestClient, controller: Controller) -> None:
    (made,) = issue(staff)
    redeem(staff, made["code"], "n1")
    events: dict[str, list[str]] = {}
    assert controller.stopping is not None
    with staff.stream("GET", "/live?lang=en") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                events.setdefault(name, []).append(line[6:])
            if name == "said" and events.get("said"):
                controller.stopping.set()
    assert json.loads(events["said"][0]) == "Basin: 2 places free."
    assert any('class="number">1<' in line for line in events["board"])


def test_signed_tickets_and_their_keys(staff: TestClient, controller: Controller) -> None:
    assert staff.get("/api/v1/signing-keys").json() == []
    first, second = issue(staff, n=2, signed=True, valid_until="2090-01-02T00:00:00.5+01:00")
    assert first["code"].startswith("E2:")
    assert redeem(staff, first["code"], "n1")["code"] == "ok"
    new = staff.post("/api/v1/signing-keys", json={"old_until": "2130-01-01T00:00:00Z"}).json()
    keys = staff.get("/api/v1/signing-keys").json()
    assert [(key["id"], key["can_sign"]) for key in keys] == [(1, True), (2, True)]
    assert keys[0]["verify_until_ms"] is not None
    assert new == keys[1]
    assert "seed" not in repr(keys)
    revoked = staff.post("/api/v1/signing-keys/1/revoke", json={"reason": "laptop lost"})
    assert revoked.json()["revoked_ms"] is not None
    assert redeem(staff, second["code"], "n2")["code"] == "revoked"
    (third,) = issue(staff, signed=True)
    assert redeem(staff, third["code"], "n3")["code"] == "ok"
    assert staff.post("/api/v1/signing-keys/9/revoke", json={"reason": "x"}).status_code == 404


HOUSE = {
    "product": [
        {"id": "single", "name": "Einzel", "name_en": "Single", "entries": 1},
        {"id": "reduced", "name": "Ermäßigt", "entries": 1, "proof": True},
        {"id": "slot", "name": "Zeit", "entries": 1, "slots": {"minutes": 60, "quota": 2}},
        {"id": "family", "name": "Familie", "entries": 1, "persons": 3},
    ],
    "nightly_close": "03:00",
}


def put_rules(staff: TestClient, rules: dict[str, Any], **more: Any) -> Any:
    return staff.post("/api/v1/rules", json={"rules": rules, "reason": "trial", **more})


def test_rules_are_tried_then_taken_and_can_be_read_again(staff: TestClient) -> None:
    for number, made in enumerate(issue(staff, n=2)):
        redeem(staff, made["code"], f"n{number}")
    assert redeem(staff, made["code"], "n9")["code"] == "already_inside"
    stricter = {"product": [{"id": "single", "name": "E", "proof": True, "rule": [
        {"when": [{"fact": "time", "at_least": "00:00"}], "code": "wrong_date", "de": "Heute nicht", "en": "Not today"}
    ]}]}  # fmt: skip
    tried = staff.post("/api/v1/rules/preview", json={"rules": stricter}).json()
    assert (tried["scans"], tried["changed"]) == (3, [{"before": "ok", "after": "wrong_date", "scans": 2}])
    assert (tried["samples"][0]["text_de"], tried["samples"][0]["text_en"]) == ("Heute nicht", "Not today")
    assert staff.get("/api/v1/rules").json() == [], "nothing was changed"
    same = staff.post("/api/v1/rules/preview", json={"rules": HOUSE}).json()
    assert (same["scans"], same["changed"]) == (3, [])
    taken = put_rules(staff, HOUSE, by="Ann")
    assert (taken.status_code, taken.json()["version"]) == (201, 1)
    (version,) = staff.get("/api/v1/rules").json()
    assert (version["by"], version["reason"], version["in_force"]) == ("api:first: Ann", "trial", True)
    assert staff.get("/api/v1/rules/1").json()["rules"] == HOUSE
    assert staff.get("/api/v1/rules/2").status_code == 404
    assert [item["id"] for item in staff.get("/api/v1/products").json()["products"]] == [
        "single", "reduced", "slot", "family"]  # fmt: skip


def test_rules_with_a_mistake_are_explained_and_kept_out(staff: TestClient) -> None:
    wrong = put_rules(staff, {"product": [{"id": "a", "name": "A", "reentri": {}}]})
    assert (wrong.status_code, "did you mean 'reentry'" in wrong.json()["detail"]) == (422, True)
    half = b'{"rules": {"product": [{"id": "a", "name": "\\ud800"}]}, "reason": "trial"}'
    assert staff.post("/api/v1/rules", content=half).status_code == 422
    issue(staff)
    gone = put_rules(staff, {"product": [{"id": "a", "name": "A"}]})
    assert (gone.status_code, "valid tickets of single" in gone.json()["detail"]) == (409, True)
    assert put_rules(staff, HOUSE, valid_from="2020-01-01T00:00:00Z").status_code == 409
    assert put_rules(staff, HOUSE, reason="").status_code == 422


def test_products_are_ordered_by_what_the_rules_say(staff: TestClient) -> None:
    assert put_rules(staff, HOUSE).status_code == 201
    (family,) = issue(staff, product="family")
    assert redeem(staff, family["code"], "n1")["persons"] == 3
    for order in (
        {"product": "nothing"},
        {"product": "slot"},
        {"product": "single", "slot": "2130-01-02T10:00:00Z"},
        {"product": "single", "company_of": "NOBODY"},
    ):
        assert staff.post("/api/v1/tickets", json=order).status_code == 422, order
    slot = {"product": "slot", "slot": "2130-01-02T10:00:00Z"}
    issue(staff, n=2, **slot)
    full = staff.post("/api/v1/tickets", json=slot)
    assert (full.status_code, "0 places left" in full.json()["detail"]) == (409, True)


def test_staff_answers_the_prompt_of_a_reduced_ticket(staff: TestClient) -> None:
    put_rules(staff, HOUSE)
    first, second = issue(staff, n=2, product="reduced")
    prompt = redeem(staff, first["code"], "n1")
    assert (prompt["code"], prompt["text_en"]) == ("staff", "Reduced: staff checks the proof")
    assert redeem(staff, first["code"], "n2", proof_seen=True)["code"] == "ok"
    assert staff.post(f"/api/v1/tickets/{second['id']}/proof", json={}).status_code == 200
    assert redeem(staff, second["code"], "n3")["code"] == "ok"
    assert staff.post("/api/v1/tickets/NOBODY/proof", json={}).status_code == 404


def test_a_supervisor_counts_closes_and_opens(staff: TestClient) -> None:
    done = staff.post("/api/v1/zones/bath/count", json={"count": 2, "reason": "counted"}).json()
    assert (done["before"], done["present"], done["lanes_cut_off"]) == (0, 2, ["east", "west"])
    assert staff.post("/api/v1/zones/gym/count", json={"count": 2, "reason": "counted"}).status_code == 404
    assert staff.post("/api/v1/zones/bath/count", json={"count": 2, "reason": ""}).status_code == 422
    assert staff.post("/api/v1/zones/bath/close", json={"reason": "storm"}).status_code == 200
    (made,) = issue(staff)
    closed = redeem(staff, made["code"], "n1")
    assert (closed["code"], closed["text_en"]) == ("closed", "No more entries today")
    wait_for_zone(staff, is_open=False)
    assert staff.post("/api/v1/zones/bath/open", json={"reason": "over"}).status_code == 200
    assert redeem(staff, made["code"], "n2")["code"] == "ok"
    past = {"reason": "storm", "at": "2030-01-02T00:00:00Z", "until": "2030-01-01T00:00:00Z"}
    assert staff.post("/api/v1/zones/bath/close", json=past).status_code == 422


def test_evacuation_and_who_is_inside(staff: TestClient) -> None:
    put_rules(staff, HOUSE)
    (family,) = issue(staff, product="family")
    redeem(staff, family["code"], "n1")
    staff.post("/api/v1/zones/bath/count", json={"count": 5, "reason": "counted"})
    begun = staff.post("/api/v1/site/mode", json={"mode": "evacuation", "by": ["Ann"], "reason": "fire"})
    assert begun.json() == {"before": "normal", "mode": "evacuation"}
    (zone,) = staff.get("/api/v1/muster").json()["zones"]
    assert {name: zone[name] for name in ("inside", "counted", "by_ticket", "anonymous", "under_way")} == {
        "inside": 5, "counted": 5, "by_ticket": 3, "anonymous": 2, "under_way": 0}  # fmt: skip
    assert [(item["ticket"], item["persons"]) for item in zone["tickets"]] == [(family["id"], 3)]
    (made,) = issue(staff)
    assert redeem(staff, made["code"], "n2")["code"] == "emergency"
    for people in (["Ann"], ["Ann", "ann "]):
        over = {"mode": "normal", "by": people, "reason": "false alarm"}
        assert staff.post("/api/v1/site/mode", json=over).status_code == 409
    over = {"mode": "normal", "by": ["Ann", "Bob"], "reason": "false alarm"}
    assert staff.post("/api/v1/site/mode", json=over).json()["mode"] == "normal"
    assert redeem(staff, made["code"], "n3")["code"] == "zone_full"
