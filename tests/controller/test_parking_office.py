"""What staff does about a car park, over HTTP and from the command line, and who may do it."""

import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient
from tests.controller.car_park import HOUR, TARIFF, Entry, Exit, ScriptedTill, plan, stay
from tests.controller.conftest import Bench
from tests.controller.voucher_desk import check_ledger
from typer.testing import CliRunner

from einlass_controller import cli, cli_tariff
from einlass_controller.api.app import make_app
from einlass_controller.plan import plan_of, read_plan
from einlass_controller.runtime import open_controller
from einlass_controller.settings import SettingsError
from einlass_controller.setup import set_up
from einlass_core import codes
from einlass_core.plates import plate

API = "/api/v1/parking"
LATER = "valid_from = 2099-01-01"


class Office:
    """A bench whose engine the API works on."""

    def __init__(self, bench: Bench, client: TestClient) -> None:
        self.bench, self.client = bench, client
        controller = client.app.state.controller  # type: ignore[attr-defined]
        bench.engine = controller.engine
        bench.database = controller.database
        self.entry, self.exit, self.till = Entry(bench, "in"), Exit(bench, "out"), ScriptedTill(bench)
        for gate in (self.entry, self.exit, self.till):
            gate.hello()

    def get(self, path: str) -> Any:
        found = self.client.get(API + path)
        assert found.status_code == 200, found.text
        return found.json()

    def post(self, path: str, status: int = 200, **body: Any) -> Any:
        found = self.client.post(API + path, json=body)
        assert found.status_code == status, found.text
        return found.json()


@pytest.fixture
def office(make_park: Callable[[dict[str, Any]], Bench]) -> Iterator[Office]:
    bench = make_park(plan())
    bench.database.dispose()
    with TestClient(make_app(open_controller(bench.settings))) as client:
        client.headers["Authorization"] = f"Bearer {bench.prepared.api_key}"
        bench.now_ms = time.time_ns() // 1_000_000 - 4 * 3_600_000
        yield Office(bench, client)


def test_a_stay_is_explained(office: Office) -> None:
    code = office.entry.drive_in()
    office.bench.pass_by(hours=3, minutes=50)
    office.till.sell(code)
    (shown,) = office.get("/stays?state=inside&zone=park")
    assert (shown["paid_cents"], shown["state"]) == (400, "inside")
    found = office.get(f"/stays/{shown['id']}")
    assert found["due_cents"] == sum(line["cents"] for line in found["lines"]) == 0
    assert [item["coins_cents"] for item in found["payments"]] == [400]
    assert found["tariff"].startswith("parkplatz 2020-01-01")
    assert office.client.get(f"{API}/stays/NOBODY").status_code == 404
    office.exit.drive_out(code)
    assert office.get(f"/stays/{shown['id']}")["state"] == "left"
    assert office.get("/stays?unpaid=true") == []


def test_a_lost_ticket_costs_what_it_costs_or_goes_on_where_staff_finds_the_stay(office: Office) -> None:
    first, second = office.entry.drive_in(), office.entry.drive_in()
    known = stay(office.bench)["id"]
    office.bench.pass_by(hours=2)
    lost = office.post("/lost", 201, zone="park", reason="no idea when")
    assert codes.in_groups(lost["code"]) == lost["typed"]
    assert office.exit.ask_out(lost["code"])["values"]["amount_cents"] == 2000
    assert office.till.sell(lost["code"])["due"] == 2000
    office.exit.drive_out(lost["code"])
    found = office.post("/lost", 201, zone="park", stay=known, reason="his number")
    assert office.till.sell(found["code"])["due"] == 200
    assert office.exit.ask_out(second)["code"] == "staff", "the lost ticket is dead"
    office.exit.drive_out(found["code"])
    assert office.exit.ask_out(first)["code"] == "payment_due", "nobody lost this one"
    assert office.bench.engine.live.books.zones["park"].figures().present == 0
    office.post("/lost", 409, zone="park", stay=known, reason="again")
    office.post("/lost", 404, zone="bath", reason="no car park")
    check_ledger(office.bench)


def test_staff_corrects_and_ends_a_stay(office: Office) -> None:
    code = office.entry.drive_in()
    name = stay(office.bench)["id"]
    office.bench.pass_by(hours=3)
    office.post(f"/stays/{name}/correct", reason="printer's clock", entered="2099-01-01T00:00:00+01:00", status=409)
    entered = datetime.fromtimestamp((office.bench.now_ms - 3_600_000) / 1000, UTC).isoformat()
    office.post(f"/stays/{name}/correct", reason="barrier stood open", entered=entered)
    assert office.exit.ask_out(code)["values"]["amount_cents"] == 100
    office.bench.now_ms = office.bench.now_ms + 3_600_000
    office.post(f"/stays/{name}/correct", reason="the exit was blocked", free_minutes=30)
    assert office.exit.ask_out(code)["code"] == "ok_exit"
    ended = office.post(f"/stays/{name}/end", reason="towed")
    assert (ended["state"], ended["unpaid_cents"]) == ("left", 0)
    office.post(f"/stays/{name}/end", 409, reason="again")
    assert office.exit.ask_out(code)["code"] == "staff"
    kinds = [row[0] for row in office.bench.rows("SELECT kind FROM ledger ORDER BY number")]
    assert kinds.count("stay_corrected") == 2
    assert kinds.count("stay_ended") == 1
    check_ledger(office.bench)


def test_the_page_compares_the_cars_that_left_here_last_month(office: Office) -> None:
    now = datetime.now(UTC).astimezone(ZoneInfo("Europe/Berlin"))
    middle = (now.replace(day=1) - timedelta(days=1)).replace(day=15, hour=10, minute=0, second=0)
    office.bench.now_ms = int(middle.timestamp() * 1000)
    for hours in (2, 4):
        code = office.entry.drive_in()
        office.bench.pass_by(hours=hours)
        office.till.sell(code)
        office.exit.drive_out(code)
    office.bench.now_ms = int(now.timestamp() * 1000)
    away = office.entry.drive_in()  # this month's, and still inside
    assert away
    client, key = office.client, office.client.headers.pop("Authorization").removeprefix("Bearer ")
    done = client.post("/login", data={"key": key, "next": "/tariff/compare"}, follow_redirects=False)
    assert done.status_code == 303
    found = re.search(r'name="form_token" value="([^"]+)"', client.get("/tariff/compare").text)
    assert found
    old = TARIFF.read_text()
    form = {"form_token": found[1], "tariff": "parkplatz", "old": old, "new": old.replace("cents = 100", "cents = 130")}
    page = client.post("/tariff/compare?lang=en", data=form | {"source": "month"}, files={"stays": ("", b"")})
    assert page.status_code == 200
    # 2 h: two hours begun after the free half hour; 4 h: four. Each 0.30 dearer.
    assert 'id="difference">1.80 EUR' in page.text, page.text
    assert re.search(r"<dt>All stays</dt><dd>2</dd>", page.text)


def test_a_plate_is_found_however_it_is_typed(office: Office) -> None:
    office.till.begin(plate("tü-x 12"), "display")
    office.till.pay(office.till.price(paid=200))
    paid = stay(office.bench)["id"]
    for typed in ("TÜ-X 12", "tüx12", " TU X 12", "TÜ – X12", "tu-x-12"):
        found = office.post("/stays/find", plate=typed)
        assert [item["id"] for item in found] == [paid], typed
    assert office.post("/stays/find", plate="TÜ-X 13") == []
    office.till.begin("TUEX12", "display")
    office.till.pay(office.till.price(paid=200))
    assert len(office.post("/stays/find", plate="TÜ-X 12")) == 2, "a driver wrote two letters for one"
    office.post("/stays/find", 422, plate="")
    assert office.post("/stays/find", plate="- -") == []


def test_takings_by_till_and_day(office: Office) -> None:
    code = office.entry.drive_in()
    office.bench.pass_by(hours=2)
    office.till.sell(code)
    paid = office.bench.ledger("paid")[0]
    today = office.get("/takings?from=2020-01-01&until=2020-01-02")
    assert today == []
    (row,) = [item for item in _all_takings(office) if item["till"] == "kasse"]
    assert (row["sales"], row["coins_cents"], row["total_cents"]) == (1, 200, 200)
    assert row["total_cents"] == paid["coins_cents"] + paid["card_cents"]
    text = office.client.get(f"{API}/takings?from={row['day']}&until={row['day']}&format=csv").text
    (line,) = csv.DictReader(io.StringIO(text))
    assert (line["till"], line["what"], line["total_cents"]) == ("kasse", "exit", "200")
    assert office.client.get(f"{API}/takings?from=2026-02-30").status_code == 422
    assert office.client.get(f"{API}/takings?from=2026-02-03&until=2026-02-01").status_code == 422
    (machine,) = office.get("/tills")
    assert (machine["account"]["taken"], machine["account"]["kept"]) == (200, 200)


def _all_takings(office: Office) -> list[dict[str, Any]]:
    now = datetime.fromtimestamp(office.bench.now_ms / 1000, UTC)
    first, last = (now - timedelta(days=1)).date(), (now + timedelta(days=1)).date()
    return list(office.get(f"/takings?from={first}&until={last}"))


def test_last_month_s_stays_try_a_new_tariff(office: Office, tmp_path: Path) -> None:
    for hours in (1, 2):
        code = office.entry.drive_in()
        office.bench.pass_by(hours=hours)
        office.till.sell(code)
        office.exit.drive_out(code)
    office.entry.drive_in()  # not over: not among them
    first = datetime.fromtimestamp(office.bench.now_ms / 1000, UTC).date() - timedelta(days=1)
    answer = office.client.get(f"{API}/stays.csv?from={first}&until={first + timedelta(days=2)}")
    assert answer.status_code == 200, answer.text
    (tmp_path / "stays.csv").write_text(answer.text)
    (tmp_path / "new.toml").write_text(TARIFF.read_text().replace("cents = 100", "cents = 150"))
    words = ["compare", str(TARIFF), str(tmp_path / "new.toml"), "--stays", str(tmp_path / "stays.csv"), "--json"]
    done = CliRunner().invoke(cli_tariff.tariff, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.output.splitlines()[-1])
    assert (found["stays"], found["old_cents"], found["new_cents"]) == (2, 300, 450)


def test_the_desk_takes_the_money_too(office: Office) -> None:
    code = office.entry.drive_in()
    office.bench.pass_by(hours=2)
    order = {"lane": "out", "side": "exit", "nonce": "n1", "code": code}
    asked = office.client.post("/api/v1/redeem", json=order).json()
    if asked.get("detail"):  # a lane with a node of its own is not staff's to open
        order["lane"] = "desk-park"
        asked = office.client.post("/api/v1/redeem", json=order).json()
    assert (asked["code"], asked["values"]["amount_cents"] >= 200) == ("payment_due", True)
    due = asked["values"]["amount_cents"]
    done = office.client.post("/api/v1/redeem", json=order | {"nonce": "n2", "paid_cents": due}).json()
    assert done["code"] == "ok_exit"
    (row,) = _takings_now(office)
    assert (row["till"], row["total_cents"]) == ("api:first", due)
    assert stay(office.bench)["unpaid_cents"] == 0


def _takings_now(office: Office) -> list[dict[str, Any]]:
    return list(office.get("/takings"))


def test_a_paper_is_paid_out_once(office: Office) -> None:
    office.till.books |= {"taken": 500, "owed": 300, "kept": 0, "credit": 200}
    office.till.record("owed", {"cents": 300}, slip={"slip": "k-1-o", "owed": 300})
    office.till.books |= {"owed": 500, "credit": 0}
    office.till.record("owed", {"cents": 200}, slip={"slip": "k-1-o-o", "owed": 500})
    found = office.get("/claims")
    assert [(item["name"], item["cents"]) for item in found] == [("k-1-o-o", 500)], "the first was never printed"
    office.post("/claims/settle", 409, name="k-1-o", reason="paid out")
    assert office.post("/claims/settle", name="k-1-o-o", reason="paid out")["cents"] == 500
    office.post("/claims/settle", 409, name="k-1-o-o", reason="a copy of it")
    office.post("/claims/settle", 404, name="k-9", reason="invented")
    assert office.get("/claims") == []
    assert [item["state"] for item in office.get("/claims?settled=true")] == ["settled", "replaced"]
    assert [item["cents"] for item in office.bench.ledger("claim_settled")] == [500]


def test_a_card_payment_in_doubt_is_settled_when_the_terminal_tells(office: Office) -> None:
    for ref, told in (("k-1", "card_undone"), ("k-2", "card_not")):
        office.till.record("card_doubtful", {"ref": ref, "cents": 300})
        assert [item["name"] for item in office.get("/claims")] == [ref]
        office.till.record(told, {"ref": ref, "cents": 300})
        assert office.get("/claims") == []
    assert [entry["reason"] for entry in office.bench.ledger("claim_settled")] == ["card_undone", "card_not"]
    office.till.record("card_doubtful", {"ref": "k-3", "cents": 200})
    office.till.record("card_doubtful", {"ref": "k-3", "cents": 200, "taken": True})
    assert [item["cents"] for item in office.get("/claims")] == [200], "one payment is one claim"
    office.till.record("card_not", {"ref": "k-9", "cents": 300})
    assert len(office.get("/claims")) == 1


def test_a_card_told_of_late_ends_no_other_sale(office: Office) -> None:
    code = office.entry.drive_in()
    office.bench.now_ms += 3 * HOUR
    office.till.begin(code)
    assert office.till.price()["code"] == "ok"
    office.till.record("card_undone", {"ref": "k-1", "cents": 300})
    priced = office.till.price()
    assert priced["code"] == "ok", "the sale under way goes on"
    office.till.pay(priced)
    assert office.till.price()["code"] == "payment_over"


def test_a_new_tariff_counts_from_its_day_on(office: Office) -> None:
    text = TARIFF.read_text()
    made = office.post("/tariffs", 201, text=text.replace("valid_from = 2020-01-01", LATER), reason="council")
    assert (made["name"], made["valid_from"]) == ("parkplatz", "2099-01-01T00:00:00")
    again = office.post("/tariffs", 201, text=text.replace("valid_from = 2020-01-01", LATER), reason="council")
    assert again["number"] == made["number"], "the same text is the same version"
    office.post("/tariffs", 409, text=text.replace("cents = 100", "cents = 200"), reason="in the past")
    office.post("/tariffs", 409, text=text.replace("minutes = 60", "minutes = 0"), reason="no tariff")
    office.post("/tariffs", 409, text=text.replace('"parkplatz"', '"other"', 1).replace("2020", "2098"), reason="alien")
    assert [item["number"] for item in office.get("/tariffs")] == [1, made["number"]]
    assert "2099" in office.get(f"/tariffs/{made['number']}")["text"]
    assert office.client.get(f"{API}/tariffs/99").status_code == 404
    office.bench.now_ms = 4_100_000_000_000  # in 2099
    book = office.bench.engine.live.parking.books["parkplatz"]
    assert len(book.versions) == 2


@pytest.mark.parametrize(
    ("scope", "path", "method", "status"),
    [
        ("read", "/stays", "GET", 200),
        ("read", "/takings", "GET", 200),
        ("read", "/lost", "POST", 403),
        ("sell", "/lost", "POST", 422),
        ("sell", "/takings", "GET", 403),
        ("sell", "/stays/X/end", "POST", 403),
        ("supervise", "/stays/X/end", "POST", 422),
        ("supervise", "/tariffs", "POST", 403),
        ("sell", "/claims/settle", "POST", 422),
        ("read", "/claims", "GET", 403),
        ("scan", "/stays", "GET", 200),
    ],
)
def test_who_may_do_what(office: Office, scope: str, path: str, method: str, status: int) -> None:
    made = office.client.post("/api/v1/keys", json={"name": "one", "scopes": [scope], "rate_per_s": 0}).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert office.client.request(method, API + path, headers=headers).status_code == status


def test_a_plan_says_what_is_wrong_with_its_car_park(tmp_path: Path) -> None:
    def wrong(part: str, **change: Any) -> str:
        values = plan()
        values[part][-1] |= change
        with pytest.raises(SettingsError) as found:
            set_up(plan_of(values), tmp_path / "site")
        return str(found.value)

    assert "bath" in wrong("till", zone="bath")
    assert "own" in wrong("till", node="out")
    assert "belong together" in wrong("zone", free_with="bath")
    assert "cannot be read" in wrong("zone", tariff=str(tmp_path / "none.toml")) or "can't be read" in wrong(
        "zone", tariff=str(tmp_path / "none.toml")
    )
    assert "with a tariff" in wrong("zone", tariff="")
    values = plan()
    values["lane"][0]["issues"] = "parkschein"
    with pytest.raises(SettingsError, match="issues is for lanes into a zone with a tariff"):
        plan_of(values)


def test_the_command_line_does_the_same_without_a_running_controller(tmp_path: Path) -> None:
    (tmp_path / "park.toml").write_text(TARIFF.read_text())
    lines = ['[site]\nid = "pool"\nname = "Bad"\n']
    lines.append('[[zone]]\nid = "park"\nname = "P"\ncap = 5\ntariff = "park.toml"\nlost_ticket_cents = 2000\n')
    lines.append(
        '[[node]]\nid = "in"\n[[lane]]\nid = "in"\nzone = "park"\nnode = "in"\nname = "E"\nissues = "schein"\n'
    )
    (tmp_path / "plan.toml").write_text("".join(lines))
    site = str(tmp_path / "site")
    set_up(read_plan(tmp_path / "plan.toml"), tmp_path / "site", http_port=1)
    (tmp_path / "park.toml").write_text(TARIFF.read_text().replace("cents = 100", "cents = 120"))
    with pytest.raises(SettingsError, match="valid_from of its own"):
        set_up(read_plan(tmp_path / "plan.toml"), tmp_path / "site")
    run = CliRunner()

    def call(*words: str, status: int = 0) -> str:
        done = run.invoke(cli.parking, [*words, "--dir", site])
        assert done.exit_code == status, done.output
        return done.output

    made = json.loads(call("lost", "--zone", "park", "--json").splitlines()[-1])
    assert made["stay"] in call("stays")
    assert "20.00" in call("stay", made["stay"])
    call("correct", made["stay"], "--reason", "his friend", "--free-minutes", "30")
    assert "left" in call("end", made["stay"], "--reason", "gone")
    (tmp_path / "next.toml").write_text(TARIFF.read_text().replace("valid_from = 2020-01-01", LATER))
    assert "2099" in call("tariff", str(tmp_path / "next.toml"), "--reason", "council")
    assert "2099" in call("tariffs")
    assert call("takings").strip() == "[]"
    call("takings", "--out", str(tmp_path / "t.csv"))
    assert (tmp_path / "t.csv").read_text().startswith("day,till,what")
    call("claims", "--all")
    call("tills")
    assert "no till has told" in call("settle", "k-1", status=2)
