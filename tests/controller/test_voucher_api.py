"""Vouchers over HTTP and from the command line: who may do what, what a till is told, accounts and pages."""

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import zxingcpp
from fastapi.testclient import TestClient
from PIL import Image
from typer.testing import CliRunner

from einlass_controller import cli
from einlass_controller.api.app import make_app
from einlass_controller.runtime import open_controller
from einlass_core import codes

API = "/api/v1"
# A month that is over and one that never ends before these tests do.
OLD, FAR = "2020-01", "2099-01"


@pytest.fixture
def admin(bench: Any) -> Iterator[TestClient]:
    bench.close()
    with TestClient(make_app(open_controller(bench.settings))) as client:
        client.headers["Authorization"] = f"Bearer {bench.prepared.api_key}"
        for name in ("baker", "butcher"):
            assert client.post(f"{API}/partners", json={"id": name, "name": name.title()}).status_code == 201
        yield client


def key_for(admin: TestClient, name: str, scope: str, **more: Any) -> dict[str, str]:
    made = admin.post(f"{API}/keys", json={"name": name, "scopes": [scope], "rate_per_s": 0, **more})
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['key']}"}


def lot(admin: TestClient, **more: Any) -> dict[str, Any]:
    order = {"kind": "minutes", "value": 60, "size": 20, "partner": "baker", **more}
    made = admin.post(f"{API}/lots", json=order)
    assert made.status_code == 201, made.text
    return dict(made.json())


def digital(admin: TestClient, number: int, **headers: Any) -> dict[str, Any]:
    made = admin.post(f"{API}/lots/{number}/hand-out", **headers)
    assert made.status_code == 201, made.text
    return dict(made.json())


def hold(admin: TestClient, code: str, number: int = 1, payment: int = 1, **more: Any) -> Any:
    order = {"inc": "i1", "number": number, "payment": payment, "code": code, "area": "bath", **more}
    return admin.post(f"{API}/vouchers/hold", json=order)


def commit(admin: TestClient, *uses: dict[str, Any], payment: int = 1, **more: Any) -> Any:
    return admin.post(f"{API}/vouchers/commit", json={"inc": "i1", "payment": payment, "uses": uses, **more})


def test_from_the_lot_to_the_settlement(admin: TestClient) -> None:
    made = lot(admin, medium="digital", name="Herbst")
    card = digital(admin, made["id"])
    assert card["link"].startswith("http")
    assert "#" in card["link"]
    assert zxingcpp.read_barcodes(Image.open(io.BytesIO(base64.b64decode(card["png"]))))[0].text == card["code"]
    held = hold(admin, card["typed"].lower()).json()
    assert (held["code"], held["serial"], held["value"]) == ("ok", card["serial"], 60)
    assert held["text_de"] == "Der Gutschein gilt"
    assert hold(admin, card["code"]).json() == held, "the same question"
    assert hold(admin, "E1:NOTHING").status_code == 409, "the same number, another code"
    use = {"serial": card["serial"], "value": 60, "saved_cents": 150}
    done = commit(admin, use, fee_cents=150, paid_cents=0)
    assert done.json()["used"] == [card["serial"]]
    assert commit(admin, use, fee_cents=150, paid_cents=0).json() == done.json()
    assert commit(admin, use).status_code == 409
    again = hold(admin, card["code"], number=2, payment=2).json()
    assert again["code"] == "redeemed"
    assert re.search(r"\d\d\.\d\d\.20\d\d", again["text_en"])
    shown = admin.get(f"{API}/vouchers/{card['serial']}").json()
    assert (shown["state"], shown["state_de"], shown["area"]) == ("redeemed", "eingelöst", "bath")
    month = admin.get(f"{API}/voucher-statistics").json()
    assert (month["used"], month["by_area"], month["used_percent"]) == (1, {"bath": 1}, 100)
    assert (sum(month["by_hour"]), sum(month["by_weekday"])) == (1, 1)
    figures = list(csv.reader(io.StringIO(admin.get(f"{API}/voucher-statistics?format=csv").text)))
    assert ["area", "bath", "1"] in figures
    assert admin.post(f"{API}/partners/baker/settlement", json={"month": FAR}).status_code == 409
    assert admin.post(f"{API}/partners/baker/settlement", json={"month": OLD}).json()["vouchers"] == 0


def test_an_account_as_json_csv_and_pdf(admin: TestClient, bench: Any) -> None:
    made = lot(admin, medium="digital", name="=Herbst", price_cents=80)
    card = digital(admin, made["id"])
    digital(admin, made["id"])
    hold(admin, card["code"])
    commit(admin, {"serial": card["serial"], "saved_cents": 150})
    month = bench_month(admin, card["serial"])
    path = f"{API}/partners/baker/settlement?month={month}"
    found = admin.get(path).json()
    assert (found["due_cents"], found["lots"][0]["used"], found["lots"][0]["unused"]) == (80, 1, 1)
    assert (found["lots"][0]["minutes"], found["lots"][0]["saved_cents"]) == (60, 150)
    (row,) = csv.DictReader(io.StringIO(admin.get(path + "&format=csv").text))
    assert (row["used"], row["due_cents"], row["name"]) == ("1", "80", "'=Herbst"), "no formula for a spreadsheet"
    for language in ("de", "en"):
        pdf = admin.get(f"{path}&format=pdf&language={language}")
        assert pdf.headers["content-type"] == "application/pdf"
        assert pdf.content.startswith(b"%PDF-")


def bench_month(admin: TestClient, serial: int) -> str:
    """The month in which it was used, by the site's clocks."""
    used_ms = admin.get(f"{API}/vouchers/{serial}").json()["used_ms"]
    return datetime.fromtimestamp(used_ms / 1000, UTC).astimezone(ZoneInfo("Europe/Berlin")).strftime("%Y-%m")


def test_sheets_are_made_once(admin: TestClient) -> None:
    made = lot(admin)
    sheet = admin.post(f"{API}/lots/{made['id']}/print", json={"n": 12})
    assert (sheet.headers["einlass-first"], sheet.headers["einlass-last"]) == ("1", "12")
    assert sheet.content.startswith(b"%PDF-")
    assert admin.post(f"{API}/lots/{made['id']}/print", json={"n": 12}).status_code == 409, "8 are left"
    assert admin.post(f"{API}/lots/{made['id']}/hand-out").status_code == 422
    assert admin.get(f"{API}/lots").json()[0]["counts"] == {"printed": 12}
    change = {"do": "activate", "first": 1, "last": 6, "partner": "baker", "reason": "sold"}
    assert admin.post(f"{API}/vouchers/change", json=change).json()["done"] == 6
    page = admin.get(f"{API}/vouchers?state=activated&limit=4").json()
    assert [item["serial"] for item in page["vouchers"]] == [1, 2, 3, 4]
    assert page["next"] == 4


def test_a_partner_sees_and_hands_out_its_own_only(admin: TestClient) -> None:
    mine, other = lot(admin, medium="digital"), lot(admin, medium="digital", partner="butcher")
    foreign = digital(admin, other["id"])
    header = key_for(admin, "shop", "partner", partner="baker")
    own = digital(admin, mine["id"], headers=header)
    assert [item["id"] for item in admin.get(f"{API}/lots", headers=header).json()] == [mine["id"]]
    assert [item["id"] for item in admin.get(f"{API}/partners", headers=header).json()] == ["baker"]
    page = admin.get(f"{API}/vouchers?partner=butcher", headers=header).json()
    assert [item["serial"] for item in page["vouchers"]] == [own["serial"]]
    gone = [
        admin.post(f"{API}/lots/{other['id']}/hand-out", headers=header),
        admin.get(f"{API}/vouchers/{foreign['serial']}", headers=header),
        admin.post(f"{API}/vouchers/find", json={"code": foreign["code"]}, headers=header),
        admin.get(f"{API}/partners/butcher/settlement?month={OLD}", headers=header),
        admin.get(f"{API}/voucher-statistics?partner=butcher", headers=header),
    ]
    assert [answer.status_code for answer in gone[:4]] == [404] * 4
    assert gone[4].json()["given"] == 1, "it is told of its own, whatever it asks for"
    assert admin.get(f"{API}/partners/baker/settlement?month={OLD}", headers=header).status_code == 200
    block = {"do": "block", "first": 1, "last": 40, "reason": "stolen"}
    assert admin.post(f"{API}/vouchers/change", json=block, headers=header).json()["done"] == 1
    assert admin.get(f"{API}/vouchers/{foreign['serial']}").json()["state"] == "activated"
    refused = [
        admin.post(f"{API}/vouchers/change", json={**block, "do": "unblock"}, headers=header),
        admin.post(f"{API}/lots", json={"kind": "minutes", "value": 60, "size": 1}, headers=header),
        admin.post(f"{API}/lots/{mine['id']}/print", json={"n": 1}, headers=header),
        hold_with(admin, own["code"], header),
        admin.post(f"{API}/partners/baker/settlement", json={"month": OLD}, headers=header),
        admin.get(f"{API}/zones", headers=header),
        admin.get(f"{API}/public-codes", headers=header),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)


def hold_with(admin: TestClient, code: str, header: dict[str, str]) -> Any:
    order = {"inc": "i", "number": 1, "payment": 1, "code": code, "area": "bath"}
    return admin.post(f"{API}/vouchers/hold", json=order, headers=header)


def test_a_key_of_a_partner_has_no_other_scope(admin: TestClient) -> None:
    for order in (
        {"scopes": ["partner"]},
        {"scopes": ["partner", "admin"], "partner": "baker"},
        {"scopes": ["sell"], "partner": "baker"},
        {"scopes": ["partner"], "partner": "nobody"},
    ):
        assert admin.post(f"{API}/keys", json={"name": "x", **order}).status_code == 422


def test_a_cashier_holds_and_a_supervisor_ends(admin: TestClient) -> None:
    card = digital(admin, lot(admin, medium="digital")["id"])
    till, boss = key_for(admin, "till", "sell"), key_for(admin, "boss", "supervise")
    assert hold_with(admin, card["code"], boss).status_code == 403
    assert hold_with(admin, card["code"], till).json()["code"] == "ok"
    assert hold(admin, card["code"]).json()["code"] == "held_elsewhere"
    (open_now,) = admin.get(f"{API}/voucher-payments", headers=boss).json()
    assert (open_now["key"], open_now["held"]) == ("api:till/i/1", [card["serial"]])
    order = {"key": open_now["key"], "reason": "till broke"}
    assert admin.post(f"{API}/voucher-payments/end", json=order, headers=till).status_code == 403
    done = admin.post(f"{API}/voucher-payments/end", json={**order, "by": "Ann"}, headers=boss).json()
    assert (done["released"], done["by"]) == ([card["serial"]], "api:boss: Ann")
    late = {"inc": "i", "payment": 1, "uses": [{"serial": card["serial"]}]}
    assert admin.post(f"{API}/vouchers/commit", json=late, headers=till).status_code == 409
    assert hold(admin, card["code"], number=2).json()["code"] == "ok"
    assert admin.post(f"{API}/vouchers/release", json={"inc": "i1", "payment": 1}).json()["released"] == [
        card["serial"]
    ]


def test_bad_input_is_told_what_is_wrong(admin: TestClient) -> None:
    far = {"valid_from": "2030-01-02T00:00:00+01:00", "valid_until": "2030-01-01T00:00:00+01:00"}
    order = {"kind": "minutes", "value": 60, "size": 1}
    bad = [
        ("lots", {**order, "value": 20_000}),
        ("lots", {**order, "kind": "percent", "value": 101}),
        ("lots", {**order, "medium": "digital"}),
        ("lots", {**order, **far}),
        ("lots", {**order, "limits": {"areas": ["moon"]}}),
        ("lots", {**order, "size": 0}),
        ("lots", {**order, "value": -5}),
        ("lots", {**order, "valid_from": "2026-02-30T00:00:00+01:00"}),
        ("lots/1/print", {"n": 501}),
        ("vouchers/change", {"do": "block", "first": 9, "last": 1, "reason": "x"}),
        ("vouchers/change", {"do": "block", "first": 1, "last": 99_999, "reason": "x"}),
        ("vouchers/change", {"do": "activate", "first": 1, "last": 1, "reason": "x"}),
        ("vouchers/hold", {"inc": "i", "number": 1, "payment": 1, "code": "x", "area": "moon"}),
        ("vouchers/commit", {"inc": "i", "payment": 1, "uses": [{}]}),
        ("public-codes", {"code": "FREI", "kind": "free", **far}),
        ("public-codes", {"code": "FREI", "kind": "minutes", "valid_from": far["valid_until"],
                          "valid_until": far["valid_from"]}),
        ("public-codes", {"code": "F", "kind": "free", "valid_from": far["valid_until"],
                          "valid_until": far["valid_from"]}),
    ]  # fmt: skip
    for path, body in bad:
        assert admin.post(f"{API}/{path}", json=body).status_code == 422, (path, body)
    assert lot(admin)["id"] == 1
    assert admin.post(f"{API}/lots/7/print", json={"n": 1}).status_code == 404
    assert admin.post(f"{API}/lots", json={**order, "partner": "nobody"}).status_code == 409
    assert commit(admin, {"serial": 1}).status_code == 404
    for code in ("", "\x00", "x" * 500):
        assert admin.post(f"{API}/vouchers/find", json={"code": code}).status_code in (404, 422)
    assert admin.get(f"{API}/partners/baker/settlement?month=2026-13").status_code == 422


def test_a_public_code_over_http(admin: TestClient) -> None:
    window = {"valid_from": "2020-01-01T00:00:00+01:00", "valid_until": "2090-01-01T00:00:00+01:00"}
    made = admin.post(f"{API}/public-codes", json={"code": "frei24", "kind": "free", **window})
    assert made.json()["code"] == "FREI24"
    assert admin.post(f"{API}/public-codes", json={"code": "FREI24", "kind": "free", **window}).status_code == 409
    assert hold(admin, "Frei 24").json()["public"] == "FREI24"
    assert commit(admin, {"code": "FREI24", "saved_cents": 300}).json()["codes"] == ["FREI24"]
    assert admin.get(f"{API}/public-codes").json()[0]["used"] == 1
    done = admin.post(f"{API}/public-codes/frei24/change", json={"blocked": True, "reason": "over"})
    assert done.json()["is_blocked"]
    assert hold(admin, "FREI24", number=2, payment=2).json()["code"] == "blocked"


def test_the_page_of_a_digital_voucher(admin: TestClient) -> None:
    card = digital(admin, lot(admin, medium="digital")["id"])
    anybody = {"Authorization": ""}
    page = admin.get("/voucher?lang=de", headers=anybody)
    assert "Parkgutschein" in page.text
    assert card["code"] not in page.text
    found = admin.post("/voucher/picture", json={"code": card["typed"]}, headers=anybody).json()
    assert found["text"] == "Dieser Gutschein ist ausgegeben."
    assert zxingcpp.read_barcodes(Image.open(io.BytesIO(base64.b64decode(found["png"]))))[0].text == card["code"]
    for wrong in (codes.opaque(5), "FREI24", "\x00"):
        assert admin.post("/voucher/picture", json={"code": wrong}, headers=anybody).status_code == 404


def test_no_code_is_stored_anywhere(admin: TestClient, bench: Any) -> None:
    card = digital(admin, lot(admin, medium="digital")["id"])
    hold(admin, card["code"], plate="WW-AB 123")
    commit(admin, {"serial": card["serial"]})
    secrets = (card["code"], card["typed"], card["code"][3:], "WWAB123", "WW-AB 123")
    tables = ("voucher", "voucher_op", "voucher_payment", "ledger", "voucher_lot", "decision", "dead_letter")
    text = "".join(repr(bench.rows(f"SELECT * FROM {table}")) for table in tables)
    assert str(card["serial"]) in text
    assert [secret for secret in secrets if secret in text] == []


def run(group: str, bench: Any, *words: str, status: int = 0) -> str:
    done = CliRunner().invoke(getattr(cli, group), [*words, "--dir", str(bench.prepared.directory)])
    assert done.exit_code == status, done.output
    return done.output


def test_from_the_command_line(bench: Any, tmp_path: Path) -> None:
    bench.close()
    run("partner", bench, "add", "baker", "--name", "Bäckerei Höß")
    made = run("voucher", bench, "lot", "--kind", "minutes", "--value", "60", "--size", "30", "--partner", "baker",
               "--area", "bath", "--per-stay", "3", "--valid-until", "2090-12-31T23:59:59+01:00")  # fmt: skip
    assert "serial numbers 1 to 30" in made
    sheet = tmp_path / "cards.pdf"
    run("voucher", bench, "print", "1", "--n", "12", "--out", str(sheet))
    assert sheet.read_bytes().startswith(b"%PDF-")
    assert sheet.stat().st_mode & 0o077 == 0
    before = sheet.read_bytes()
    run("voucher", bench, "print", "1", "--n", "1", "--out", str(sheet), status=2)
    assert sheet.read_bytes() == before, "the only copy of these codes is not written over"
    lost = tmp_path / "lost.pdf"
    run("voucher", bench, "print", "1", "--n", "19", "--out", str(lost), status=2)
    assert not lost.exists()
    assert "10 done, 3 missing" in run("voucher", bench, "activate", "3", "15", "--partner", "baker")
    assert run("voucher", bench, "void", "1", "3", "--reason", "torn").strip() == "3 done"
    run("voucher", bench, "block", "4", "4", "--reason", "lost")
    assert "gesperrt" in run("voucher", bench, "show", "4", "--lang", "de")
    assert "8 activated, 1 blocked, 3 voided" in run("voucher", bench, "lots")
    assert "1 done" in run("voucher", bench, "unblock", "4", "4", "--reason", "found")
    assert "1 done, 1 not: voided" in run("voucher", bench, "return", "3", "4", "--reason", "too many")
    run("voucher", bench, "lot", "--kind", "cents", "--value", "50", "--size", "2", "--partner", "baker", "--digital")
    png = tmp_path / "one.png"
    out = run("voucher", bench, "hand-out", "2", "--out", str(png), "--json")
    code = json.loads(out.splitlines()[-1])["code"]
    assert zxingcpp.read_barcodes(Image.open(png))[0].text == code
    window = ("--valid-from", "2026-01-01T00:00:00+01:00", "--valid-until", "2090-01-01T00:00:00+01:00")
    assert "FREI24" in run("voucher", bench, "public", "frei24", *window)
    assert "is blocked" in run("voucher", bench, "block-public", "FREI24", "--reason", "over")
    for form in ("csv", "pdf", "json"):
        account = tmp_path / f"account.{form}"
        run("partner", bench, "settle", "baker", "--month", OLD, "--close", "--out", str(account))
        assert account.stat().st_size > 0
    run("partner", bench, "settle", "baker", "--month", OLD, "--out", str(tmp_path / "a.doc"), status=2)
    assert json.loads(run("partner", bench, "statistics", "baker"))["used"] == 0
    assert "Bäckerei Höß" in run("partner", bench, "list")
    run("partner", bench, "change", "baker", "--inactive", "--reason", "gone")
    run("voucher", bench, "hand-out", "2", status=2)
    assert run("voucher", bench, "payments") == ""
    run("voucher", bench, "end-payment", "a/b/1", "--reason", "x", status=2)
