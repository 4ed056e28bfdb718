"""Tariffs in a browser and over the API: who may ask what, slips at their lines, and work that may be stopped."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from einlass_controller.api.app import make_app
from einlass_controller.pages.sessions import COOKIE, SESSIONS_MAX, Sessions
from einlass_controller.plan import plan_of
from einlass_controller.runtime import open_controller
from einlass_controller.settings import read_settings
from einlass_controller.setup import set_up
from einlass_controller.tariff_questions import LINES_SHOWN_MAX, SKIPPED_SHOWN_MAX, STAYS_MAX, answer
from einlass_controller.tariff_worker import WAITING_MAX, WorkerError, Workers
from einlass_tariff.compare import EXAMPLES_MAX

TOWN = Path(__file__).resolve().parents[2] / "docs/tariffs/hachenburg.toml"
TEXT = TOWN.read_text(encoding="utf-8")
PLAN = {
    "site": {"id": "town", "name": "Stadt", "name_en": "Town"},
    "zone": [{"id": "park", "name": "Neumarkt", "cap": 40, "tariff": str(TOWN)}],
}
D = "2026-05-12T"
SLIP = 'tariff = "x"\nvalid_from = 2026-01-01\n\n[rate.hour]\nsteps = [{ minutes = 60, cents = -1 }]\n'
STAYS = f"entry,exit,vouchers\n{D}10:00,{D}12:00,0\n{D}10:00,{D}13:00,1\n{D}10:00,{D}09:00,0\nx,{D}09:00,0\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, str]]:
    prepared = set_up(plan_of(PLAN), tmp_path_factory.mktemp("tariffs") / "site")
    with TestClient(make_app(open_controller(read_settings(prepared.settings))), follow_redirects=False) as client:
        yield client, prepared.api_key


@pytest.fixture
def anybody(site: tuple[TestClient, str]) -> Iterator[TestClient]:
    client = site[0]
    client.cookies.clear()
    yield client
    client.cookies.clear()


@pytest.fixture
def reader(anybody: TestClient, site: tuple[TestClient, str]) -> TestClient:
    done = anybody.post("/login", data={"key": site[1], "next": "/tariff/own"})
    assert (done.status_code, done.headers["location"]) == (303, "/tariff/own?lang=de")
    cookie = done.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    return anybody


def token(page: Any) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def admin(site: tuple[TestClient, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {site[1]}"}


def test_everybody_sees_what_parking_costs_here(anybody: TestClient) -> None:
    asked = {"from": D + "10:00", "to": D + "13:30", "vouchers": "1", "do": "try"}
    page = anybody.get("/tariff", params=asked)
    assert page.status_code == 200
    assert 'id="fee">1,00 €' in page.text
    assert "2 angefangene × 1 h zu 0,50 €" in page.text
    english = anybody.get("/tariff", params={**asked, "lang": "en"})
    assert 'id="fee">1.00 EUR' in english.text
    assert "script" not in page.text, "it works without"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    bought = anybody.get("/tariff", params={"from": D + "10:00", "money": "1,00", "do": "buy"})
    assert "Reicht bis" in bought.text
    assert "12.05.2026 13:00" in bought.text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"to": D + "09:00", "do": "try"}, "Die Ausfahrt liegt vor der Einfahrt"),
        ({"to": "2026-07-12T09:00", "do": "try"}, "mehr als 31 Tage"),
        ({"from": "2026-03-29T02:30", "to": D + "09:00", "do": "try"}, "wird die Uhr vorgestellt"),
        ({"to": "never", "do": "try"}, "ist kein Zeitpunkt"),
        ({"to": D + "12:00", "vouchers": "-1", "do": "try"}, "ist keine Zahl von 0 bis 50"),
        ({"to": D + "12:00", "paid": "1,2,3", "do": "try"}, "ist kein Betrag"),
        ({"money": "99999999", "do": "buy"}, "ist kein Betrag"),
        ({"to": D + "12:00", "pass": "<b>", "do": "try"}, "Einen Ausweis &#39;&lt;b&gt;&#39; kennt der Tarif nicht"),
    ],
)
def test_a_slip_of_a_visitor_is_explained(anybody: TestClient, asked: dict[str, str], said: str) -> None:
    page = anybody.get("/tariff", params={"from": D + "10:00", **asked})
    assert page.status_code == 200
    assert said in page.text


def test_the_public_api_answers_the_same(anybody: TestClient) -> None:
    (tariff,) = anybody.get("/api/v1/public/tariffs").json()
    assert (tariff["tariff"], tariff["zones"]) == ("hachenburg", ["park"])
    stay: dict[str, str | int] = {"from": D + "10:00", "to": D + "13:30", "vouchers": 2}
    found = anybody.get("/api/v1/public/tariffs/hachenburg/fee", params=stay).json()["answer"]
    assert (found["fee_cents"], found["vouchers_used"]) == (50, 2)
    bought = anybody.get("/api/v1/public/tariffs/hachenburg/time", params={"from": D + "10:00", "cents": 100})
    assert bought.json()["answer"]["until"] == D + "13:00:00+02:00"
    assert anybody.get("/api/v1/public/tariffs/atlantis/fee", params=stay).status_code == 404
    late = anybody.get("/api/v1/public/tariffs/hachenburg/fee", params={**stay, "to": D + "09:00"})
    assert late.status_code == 422
    assert late.json()["text_de"] == "Die Ausfahrt liegt vor der Einfahrt"


def test_any_other_text_needs_a_key(anybody: TestClient) -> None:
    order = {"versions": [{"text": TEXT}], "from": D + "10:00", "to": D + "12:00"}
    assert anybody.post("/api/v1/tariffs/try", json=order).status_code == 401
    for path in ("/tariff/own", "/tariff/compare"):
        page = anybody.get(path)
        assert (page.status_code, page.headers["location"]) == (303, f"/login?next={path}")


def test_slips_stand_at_their_lines(reader: TestClient, site: tuple[TestClient, str]) -> None:
    answer = reader.post("/api/v1/tariffs/check", json={"versions": [{"text": SLIP}]}, headers=admin(site))
    assert answer.status_code == 422
    (fault,) = answer.json()["faults"]
    assert fault["line"] == 5
    assert "-1 geht nicht" in fault["text_de"]
    assert "-1 is not possible" in fault["text_en"]
    form = {"form_token": token(reader.get("/tariff/own")), "text": SLIP, "do": "try"}
    page = reader.post("/tariff/own", data=form)
    assert re.search(r"<strong>Zeile 5</strong>", page.text)
    assert "-1 geht nicht" in page.text
    assert '<span class="here"><span class="number">5</span>' in page.text
    good = reader.post("/tariff/own", data=form | {"text": TEXT, "from": D + "10:00", "to": D + "12:01"})
    assert 'id="fee">1,00 €' in good.text


def test_two_versions_compared_on_the_page(reader: TestClient) -> None:
    new = TEXT.replace("cents = 50", "cents = 80")
    form = {"form_token": token(reader.get("/tariff/compare")), "old": TEXT, "new": new, "source": "file"}
    page = reader.post("/tariff/compare", data=form, files={"stays": ("april.csv", STAYS.encode(), "text/csv")})
    assert page.status_code == 200
    assert 'id="difference">0,60 €' in page.text
    assert "2 Zeilen ausgelassen" in page.text
    assert "Die Ausfahrt liegt vor der Einfahrt" in page.text
    none = reader.post("/tariff/compare", data=form)
    assert "Bitte eine Datei auswählen" in none.text
    empty = reader.post("/tariff/compare", data=form | {"source": "month", "tariff": "hachenburg"})
    assert "keine Parkvorgänge" in empty.text
    bad = reader.post("/tariff/compare", data=form | {"new": SLIP}, files={"stays": ("a.csv", STAYS, "text/csv")})
    assert "Zeile 5" in bad.text


def test_invented_stays_are_said_to_be_invented(reader: TestClient, site: tuple[TestClient, str]) -> None:
    new = TEXT.replace("cents = 50", "cents = 80")
    form = {"form_token": token(reader.get("/tariff/compare")), "old": TEXT, "new": new, "source": "invented"}
    assert "Diese Parkvorgänge sind erfunden" in reader.post("/tariff/compare", data=form).text
    assert "These stays are invented" in reader.post("/tariff/compare?lang=en", data=form).text
    order: dict[str, Any] = {"old": [{"text": TEXT}], "new": [{"text": new}], "invented_seed": 1}
    found = reader.post("/api/v1/tariffs/compare", json=order, headers=admin(site)).json()["answer"]
    assert (found["stays"], found["invented"]["seed"]) == (3000, 1)
    for wrong in (order | {"stays": STAYS}, order | {"invented_seed": None}, order | {"invented_seed": -1}):
        assert reader.post("/api/v1/tariffs/compare", json=wrong, headers=admin(site)).status_code == 422


def test_as_many_stays_as_are_taken_are_worked_out_and_no_more() -> None:
    good, bad = (f"{D}10:00,{D}12:00\n", f"{D}09:00,{D}17:00\n"), ("x,y\n", f"{D}23:00,{D}22:00\n") * 3
    rows = "".join((*good, *bad)) * (STAYS_MAX // 8)
    new = TEXT.replace("cents = 50", "cents = 80")
    order = {"do": "compare", "texts": [{"text": TEXT}], "new": [{"text": new}]}
    found = answer(order | {"stays": "entry,exit\n" + rows})["answer"]
    assert (found["stays"], found["skipped_rows"]) == (STAYS_MAX // 4, STAYS_MAX // 4 * 3)
    assert (len(found["examples"]), len(found["skipped"])) == (EXAMPLES_MAX, SKIPPED_SHOWN_MAX)
    assert found["difference_cents"] == 30 * (1 + 7) * STAYS_MAX // 8
    over = answer(order | {"stays": "entry,exit\n" + rows + good[0] * 2})
    assert f"more than {STAYS_MAX} rows" in over["refused"]["en"]


def test_the_api_compares(anybody: TestClient, site: tuple[TestClient, str]) -> None:
    new = TEXT.replace("cents = 50", "cents = 80")
    order = {"old": [{"text": TEXT}], "new": [{"text": new}], "stays": STAYS}
    found = anybody.post("/api/v1/tariffs/compare", json=order, headers=admin(site)).json()["answer"]
    assert (found["stays"], found["difference_cents"], found["skipped_rows"]) == (2, 60, 2)
    assert sum(one["stays"] for one in found["by_change"]) == 2
    assert [one["row"] for one in found["examples"]] == [2, 3]


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "de"}


def test_a_refusal_is_a_page_for_a_browser_and_json_for_a_program(
    reader: TestClient, site: tuple[TestClient, str]
) -> None:
    refused: list[tuple[int, Any, str]] = [
        (404, reader.get("/tarif", headers=BROWSER), "Unter dieser Adresse gibt es nichts"),
        (405, reader.post("/tariff", headers=BROWSER), "Unter dieser Adresse gibt es nichts"),
        (422, reader.get("/tariff?vouchers=" + "9" * 99, headers=BROWSER), "Eine Angabe ist nicht lesbar"),
        (403, reader.post("/tariff/own", data={"form_token": "x"}, headers=BROWSER), "Bitte die Seite neu laden"),
    ]
    for status, page, sentence in refused:
        assert page.status_code == status, page.text
        assert sentence in page.text
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert "<script" not in page.text
    english = reader.get("/nothing?lang=en", headers=BROWSER)
    assert "There is nothing at this address" in english.text
    assert "&lt;b&gt;" not in reader.get("/<b>", headers=BROWSER).text, "nothing of what was asked for is said again"
    assert reader.get("/tarif").json() == {"detail": "Not Found"}
    assert reader.get("/api/v1/nothing", headers=BROWSER).json() == {"detail": "Not Found"}
    made = reader.post("/api/v1/keys", json={"name": "door", "scopes": ["scan"]}, headers=admin(site)).json()
    reader.cookies.clear()
    reader.post("/login", data={"key": made["key"]})
    other = reader.get("/tariff/compare", headers=BROWSER)
    assert (other.status_code, "anderen Schlüssel anmelden" in other.text) == (403, True)
    assert reader.get("/partner", headers=BROWSER).status_code in (200, 403)


@pytest.mark.parametrize(("address", "size"), [("/tariff/own", 2 * 1024 * 1024), ("/login", 64 * 1024)])
@pytest.mark.parametrize("says_how_long", [True, False])
def test_what_is_too_long_is_refused_like_anything_else(
    reader: TestClient, address: str, size: int, says_how_long: bool
) -> None:
    def body() -> Any:
        part = b"text=" + b"x" * size
        return part if says_how_long else iter((part, b"y" * size))

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    page = reader.post(address, content=body(), headers=BROWSER | form)
    assert (page.status_code, page.headers["content-type"]) == (413, "text/html; charset=utf-8")
    assert "Das ist zu groß. Bitte weniger auf einmal schicken." in page.text
    assert "xxx" not in page.text
    program = reader.post(address, content=body(), headers=form)
    assert (program.status_code, list(program.json())) == (413, ["detail"])
    api = reader.post("/api/v1/redeem", content=body(), headers=BROWSER)
    assert (api.status_code, list(api.json())) == (413, ["detail"])
    for refused in (page, program, api):
        assert refused.headers["content-security-policy"].startswith("default-src 'none'")


def test_a_form_of_a_foreign_page_is_refused(reader: TestClient, site: tuple[TestClient, str]) -> None:
    form = {"form_token": token(reader.get("/tariff/own")), "text": TEXT, "do": "check"}
    assert reader.post("/tariff/own", data=form | {"form_token": "x"}).status_code == 403
    assert reader.post("/tariff/own", data=form, headers={"Origin": "https://evil.example"}).status_code == 403
    assert reader.post("/login", data={"key": site[1]}, headers={"Origin": "null"}).status_code == 403
    assert reader.post("/tariff/own", data=form, headers={"Origin": "http://testserver"}).status_code == 200


def test_signing_in_goes_only_to_our_own_pages_and_ends(reader: TestClient, site: tuple[TestClient, str]) -> None:
    away = reader.post("/login", data={"key": site[1], "next": "https://evil.example"})
    assert away.headers["location"].startswith("/tariff/own")
    assert reader.post("/login", data={"key": "ek_wrong"}).status_code == 403
    page = reader.get("/tariff/own")
    assert reader.post("/logout", data={"form_token": "x"}).status_code == 403
    assert reader.get("/tariff/own").status_code == 200
    assert reader.post("/logout", data={"form_token": token(page)}).status_code == 303
    assert reader.get("/tariff/own").status_code == 303


def test_a_session_ends_with_its_key(anybody: TestClient, site: tuple[TestClient, str]) -> None:
    made = anybody.post("/api/v1/keys", json={"name": "clerk", "scopes": ["read"]}, headers=admin(site)).json()
    anybody.post("/login", data={"key": made["key"]})
    assert anybody.get("/tariff/own").status_code == 200
    anybody.post("/api/v1/keys/clerk/revoke", headers=admin(site))
    assert anybody.get("/tariff/own").status_code == 303


def test_a_key_without_the_scope_opens_no_page(anybody: TestClient, site: tuple[TestClient, str]) -> None:
    made = anybody.post("/api/v1/keys", json={"name": "seller", "scopes": ["sell"]}, headers=admin(site)).json()
    anybody.post("/login", data={"key": made["key"]})
    assert anybody.get("/tariff/own").status_code == 403
    order = {"versions": [{"text": TEXT}]}
    with_key = {"Authorization": f"Bearer {made['key']}"}
    assert anybody.post("/api/v1/tariffs/check", json=order, headers=with_key).status_code == 403


def test_sessions_are_few() -> None:
    sessions = Sessions()
    first, _ = sessions.begin("a")
    for _ in range(SESSIONS_MAX):
        last, _ = sessions.begin("b")
    assert sessions.find(first) is None
    assert sessions.find(last) is not None
    assert sessions.find("") is None
    assert COOKIE


def test_what_takes_too_long_is_stopped_and_a_queue_is_short() -> None:
    order = {"do": "try", "texts": [{"text": TEXT}], "from": D + "10:00", "to": D + "12:00"}

    async def story() -> list[Any]:
        hurried, calm = Workers(seconds_max=0.0001), Workers()
        with pytest.raises(WorkerError) as late:
            await hurried.ask(order)
        assert not late.value.is_busy
        with pytest.raises(WorkerError):
            await calm.ask({"do": "nothing", "texts": []})  # its process dies of it; the next one is new
        many = list(await asyncio.gather(*[calm.ask(order) for _ in range(WAITING_MAX + 2)], return_exceptions=True))
        await calm.close()
        return many

    found = asyncio.run(story())
    busy = [one for one in found if isinstance(one, WorkerError) and one.is_busy]
    assert len(busy) == 2
    assert [one["answer"]["fee_cents"] for one in found if isinstance(one, dict)] == [50] * WAITING_MAX


def test_long_answers_are_short() -> None:
    text = 'tariff = "x"\nvalid_from = 2020-01-01\notherwise = "free"\n'
    text += '[rate.h]\nsteps = [{ minutes = 60, cents = 1 }]\n[[window]]\nfrom = "08:00"\nto = "18:00"\n'
    question = {"do": "try", "texts": [{"text": text}], "from": "2023-01-01T00:00", "to": "2025-12-01T00:00"}
    found = answer(question)["answer"]
    assert len(found["lines"]) == LINES_SHOWN_MAX
    assert sum(line["cents"] for line in found["lines"]) == found["fee_cents"]
    stays = "entry,exit\n" + "x,y\n" * (SKIPPED_SHOWN_MAX + 5)
    left = answer({"do": "compare", "texts": [{"text": text}], "new": [{"text": text}], "stays": stays})["answer"]
    assert (len(left["skipped"]), left["skipped_rows"]) == (SKIPPED_SHOWN_MAX, SKIPPED_SHOWN_MAX + 5)
