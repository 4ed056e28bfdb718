"""A shop's own page: what it sees, what it may do, and that nobody else's vouchers are on it."""

import base64
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import zxingcpp
from fastapi.testclient import TestClient
from PIL import Image

from einlass_controller.api.app import make_app
from einlass_controller.plan import plan_of
from einlass_controller.runtime import open_controller
from einlass_controller.settings import read_settings
from einlass_controller.setup import set_up

PLAN = {"site": {"id": "pool", "name": "Bad"}, "zone": [{"id": "bath", "name": "Becken", "cap": 5}]}
MONTH = datetime.now(UTC).strftime("%Y-%m")


class Town:
    """A controller with a baker and a butcher; the baker's key is signed in."""

    def __init__(self, client: TestClient, admin_key: str) -> None:
        self.client = client
        self.admin = {"Authorization": f"Bearer {admin_key}"}
        self.admin_key = admin_key
        for name in ("baker", "butcher"):
            self.order("/api/v1/partners", {"id": name, "name": f"Laden {name}"})
            lot = {"kind": "minutes", "value": 60, "size": 20, "partner": name, "price_cents": 50}
            self.order("/api/v1/lots", lot | {"medium": "digital"})
            number = self.order("/api/v1/lots", lot | {"medium": "card", "name": f"Karten {name}"})["id"]
            self.order(f"/api/v1/lots/{number}/print", {"n": 10, "activate": True})

    def order(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.client.post(path, json=body, headers=self.admin)
        assert answer.status_code in (200, 201), answer.text
        return answer.json() if answer.headers["content-type"] == "application/json" else None

    def sign_in(self, key: str) -> None:
        assert self.client.post("/login", data={"key": key}).status_code == 303

    def as_partner(self, name: str) -> None:
        order = {"name": name, "scopes": ["partner"], "partner": name}
        self.sign_in(self.order("/api/v1/keys", order)["key"])

    def page(self, **asked: str) -> str:
        answer = self.client.get("/partner", params=asked)
        assert answer.status_code == 200, answer.text
        return answer.text

    def send(self, path: str, **form: str) -> Any:
        found = re.search(r'name="form_token" value="([^"]+)"', self.page())
        assert found
        return self.client.post(path, data={"form_token": found[1], **form})


@pytest.fixture
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    prepared = set_up(plan_of(PLAN), tmp_path_factory.mktemp("partners") / "site")
    with TestClient(make_app(open_controller(read_settings(prepared.settings))), follow_redirects=False) as client:
        yield Town(client, prepared.api_key)


def test_a_shop_sees_and_does_what_is_its_own(town: Town) -> None:
    assert town.client.get("/partner").headers["location"] == "/login?next=/partner"
    town.as_partner("baker")
    page = town.page(partner="butcher")
    assert "Laden baker" in page
    assert "butcher" not in page, "whatever is asked for"
    assert "/tariff/own" not in page

    handed = town.send("/partner/hand-out", lot="1", partner="butcher")
    assert handed.status_code == 200
    assert handed.headers["cache-control"] == "no-store"
    found = re.search(r'src="data:image/png;base64,([^"]+)"', handed.text)
    assert found
    (read,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(base64.b64decode(found[1]))))
    link = re.search(r'value="(http[^"]+/voucher#[^"]+)"', handed.text)
    assert link
    assert read.text.replace("-", "").endswith(link[1].partition("#")[2].replace("-", "").replace("E1:", "")[-8:])
    state = town.client.post("/voucher/picture", json={"code": read.text}).json()
    assert "ausgegeben" in state["text"]
    assert town.send("/partner/hand-out", lot="3").status_code == 404, "the butcher's"

    numbers = town.client.get("/api/v1/lots", headers=town.admin).json()
    mine, other = numbers[1], numbers[3]
    blocked = town.send("/partner/block", first=str(mine["first"]), last=str(mine["first"] + 2), reason="gestohlen")
    assert "3 gesperrt" in blocked.text
    foreign = town.send("/partner/block", first=str(other["first"]), last=str(other["first"] + 2), reason="Neid")
    assert "0 gesperrt" in foreign.text
    kept = town.client.get(f"/api/v1/vouchers/{other['first']}", headers=town.admin).json()
    assert kept["state"] == "activated"
    assert "Bitte einen Grund" in town.send("/partner/block", first="9", last="1", reason="x").text
    assert "Bitte einen Grund" in town.send("/partner/block", first="1", last="9999999", reason="x").text


def test_the_account_and_the_figures_are_files_of_the_shop(town: Town) -> None:
    town.as_partner("butcher")
    table = town.client.get("/partner/account", params={"month": MONTH, "partner": "baker"})
    assert table.headers["content-type"].startswith("text/csv")
    assert "butcher" in table.text
    assert "baker" not in table.text
    paper = town.client.get("/partner/account", params={"month": MONTH, "format": "pdf"})
    assert paper.content.startswith(b"%PDF")
    figures = town.client.get("/partner/figures", params={"partner": "baker"})
    assert "total,given,10" in figures.text
    assert town.client.get("/tariff/own").status_code == 403


def test_the_house_looks_at_any_shop_and_a_reader_only_looks(town: Town) -> None:
    town.sign_in(town.admin_key)
    assert "Laden butcher" in town.page(partner="butcher")
    assert town.client.get("/partner", params={"partner": "nobody"}).status_code == 404
    town.sign_in(town.order("/api/v1/keys", {"name": "auditor", "scopes": ["read"]})["key"])
    page = town.page(partner="baker")
    assert "/partner/block" not in page
    assert "/partner/hand-out" not in page
    assert town.send("/partner/hand-out", lot="1", partner="baker").status_code == 403
    assert town.send("/partner/block", first="1", last="2", reason="x", partner="baker").status_code == 403


def test_a_form_without_its_token_does_nothing(town: Town) -> None:
    town.as_partner("baker")
    assert town.client.post("/partner/hand-out", data={"lot": "1"}).status_code == 403
    form = {"first": "21", "last": "22", "reason": "x", "form_token": "y"}
    assert town.client.post("/partner/block", data=form).status_code == 403
