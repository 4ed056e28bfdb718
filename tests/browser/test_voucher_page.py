"""A digital voucher in a real browser: a scanner reads its picture, and no address that is asked for has its code."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import zxingcpp
from fastapi.testclient import TestClient
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from tests.browser.real_server import CHROMIUM, QUIET_CHROMIUM, serving

from einlass_controller.api.app import make_app
from einlass_controller.plan import plan_of
from einlass_controller.runtime import open_controller
from einlass_controller.settings import read_settings
from einlass_controller.setup import set_up

PAGE_MS_MAX = 30_000
PLAN = {"site": {"id": "pool", "name": "Bad"}, "zone": [{"id": "bath", "name": "Becken", "cap": 5}]}


@pytest.fixture
def voucher(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A voucher and the address of the controller that made it."""
    prepared = set_up(plan_of(PLAN), tmp_path / "site")
    headers = {"Authorization": f"Bearer {prepared.api_key}"}
    with TestClient(make_app(open_controller(read_settings(prepared.settings))), headers=headers) as client:
        client.post("/api/v1/partners", json={"id": "baker", "name": "Bäckerei"})
        lot = {"kind": "minutes", "value": 60, "size": 1, "partner": "baker", "medium": "digital"}
        client.post("/api/v1/lots", json=lot)
        made = dict(client.post("/api/v1/lots/1/hand-out").json())
    with serving(prepared.settings) as address:
        yield {**made, "address": address}


@pytest.mark.needs("chromium")
def test_the_link_shows_the_voucher_and_tells_nobody_its_code(voucher: dict[str, str]) -> None:
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET_CHROMIUM)
        page = browser.new_page(locale="de-DE")
        page.set_default_timeout(PAGE_MS_MAX)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{voucher['address']}/voucher#{voucher['typed']}")
        expect(page.locator("#picture")).to_be_visible(timeout=PAGE_MS_MAX)
        expect(page.locator("#state")).to_have_text("Dieser Gutschein ist ausgegeben.")
        source = page.locator("#picture").get_attribute("src") or ""
        page.evaluate("location.hash = 'FREI24'")
        expect(page.locator("#state")).to_have_text("Dieser Gutschein ist hier nicht bekannt.", timeout=PAGE_MS_MAX)
        expect(page.locator("#picture")).to_be_hidden()
        browser.close()
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
    assert found.text == voucher["code"]
    sent = [address.partition("#")[0] for address in asked]
    assert f"{voucher['address']}/voucher/picture" in sent
    assert not [address for address in sent if voucher["typed"] in address or voucher["code"] in address]
