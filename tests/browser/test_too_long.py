"""A file that is too long, sent by a real browser to a real server: it reads why, and its connection is not broken."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright
from tests.browser.real_server import CHROMIUM, QUIET_CHROMIUM, serving

from einlass_controller.api.tariff_models import BODY_BYTES_MAX
from einlass_controller.plan import plan_of
from einlass_controller.setup import set_up

PAGE_MS_MAX = 40_000
PLAN = {"site": {"id": "pool", "name": "Bad"}, "zone": [{"id": "bath", "name": "Becken", "cap": 5}]}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a controller, and its key."""
    prepared = set_up(plan_of(PLAN), tmp_path / "site")
    with serving(prepared.settings) as address:
        yield address, prepared.api_key


@pytest.mark.needs("chromium")
def test_a_file_that_is_too_long_brings_a_page_that_says_so(served: tuple[str, str], tmp_path: Path) -> None:
    address, key = served
    file = tmp_path / "stays.csv"
    file.write_bytes(b"entry,exit\n" + b"2026-05-12T10:00,2026-05-12T12:00\n" * (2 * BODY_BYTES_MAX // 34))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET_CHROMIUM)
        page = browser.new_page(locale="de-DE")
        page.set_default_timeout(PAGE_MS_MAX)
        page.goto(f"{address}/login?next=/tariff/compare")
        page.locator("input[name=key]").fill(key)
        page.locator("input[name=key]").press("Enter")
        for name in ("old", "new"):
            page.locator(f"textarea[name={name}]").fill("tariff = 'x'")
        page.locator("input[type=file]").set_input_files(file)
        page.locator("form:has(input[type=file]) button").click()
        expect(page.locator("main")).to_contain_text("Das ist zu groß", timeout=PAGE_MS_MAX)
        browser.close()
