"""The demonstration's page in a real browser, against a stage that lives in this test."""

import asyncio
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from tests.browser.small_stage import CODE, START_S_MAX, SmallStage, car_park, until

from einlass_sim.demo.panel import panel_app
from einlass_sim.demo.stage import Stage

PAGE_MS_MAX = 30_000
CHROMIUM = "/usr/bin/chromium"
QUIET_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@dataclass
class Served:
    url: str
    stage: SmallStage
    stop: Callable[[], None]


@pytest.fixture
def served() -> Iterator[Served]:
    stage = SmallStage()
    as_protocol: Stage = stage
    listening = socket.create_server(("127.0.0.1", 0))
    app = panel_app(as_protocol)
    config = uvicorn.Config(app, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    until(lambda: server.started)

    def stop() -> None:
        app.state.stopping.set()
        server.should_exit = True
        thread.join(START_S_MAX)

    yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", stage, stop)
    stop()
    assert not thread.is_alive(), "open event streams must not keep the server from stopping"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or CHROMIUM
    if not Path(program).exists():
        pytest.fail(
            "chromium is not installed: run tools/install_system.sh, or apt-get install chromium", pytrace=False
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET_CHROMIUM)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A page, and all that it fetched and complained about."""

    page: Page
    requests: list[str]
    complaints: list[str]


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Callable[..., Visitor]]:
    contexts: list[BrowserContext] = []
    visitors: list[Visitor] = []

    def go(path: str = "/?lang=en", **options: Any) -> Visitor:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PAGE_MS_MAX)
        visitor = Visitor(page, [], [])
        visitors.append(visitor)

        def noted(message: ConsoleMessage) -> None:
            # The browser notes every refused request by itself; that the page shows it is tested on its own.
            if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
                visitor.complaints.append(message.text)

        page.on("console", noted)
        page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        page.on("request", lambda request: visitor.requests.append(request.url))
        page.goto(served.url + path)
        expect(page.locator("article.lane")).to_have_count(2)
        return visitor

    yield go
    for visitor in visitors:
        foreign = [url for url in visitor.requests if not url.startswith((served.url + "/", "data:"))]
        assert not foreign, f"the page fetched from elsewhere: {foreign}"
        assert not visitor.complaints
    for context in contexts:
        context.close()


def card(page: Page, name: str) -> Any:
    return page.locator(f'article.lane[data-lane="{name}"]')


Visit = Callable[..., Visitor]


def test_the_pool_fills_as_the_events_say(visit: Visit, served: Served) -> None:
    page = visit().page
    pool = page.get_by_role("region", name="Freibad")
    expect(pool).to_contain_text("60 places free")
    before = page.evaluate("document.querySelector('.water').style.transform")

    served.stage.shows["pool"].update(inside=60, inside_max=60)
    served.stage.shows["controller"]["zones"][0].update(present=59, reserved=1, free=0)
    served.stage.shows.update(admitted=61, refused={"zone_full": 3, "valid_from_the_future": 1})
    served.stage.shows["crowd"]["waiting"] = 7

    expect(pool).to_contain_text("Full")
    expect(pool.locator('[data-is="inside"]')).to_have_text("60")
    expect(pool.locator('[data-is="present"]')).to_have_text("59")
    expect(pool).to_contain_text("difference: −1")
    expect(pool).to_contain_text("1 walking in")
    expect(pool.locator('[data-is="refused"]')).to_have_text("4")
    expect(pool.locator('[data-is="waiting"]')).to_have_text("7")
    assert page.evaluate("document.querySelector('.water').style.transform") != before
    expect(pool.locator(".swimmers circle")).to_have_count(60)
    pool.get_by_text("Why turned away").click()
    expect(pool).to_contain_text("Full: please wait")
    expect(pool).to_contain_text("valid_from_the_future")

    served.stage.shows["pool"].update(inside=61)
    expect(pool).to_contain_text("1 over the cap")


def test_the_car_park_is_drawn_and_its_books_stand_beside_the_truth(visit: Visit, served: Served) -> None:
    page = visit().page
    park = page.locator("#park")
    expect(park).to_be_hidden()
    shows = served.stage.shows
    zone = {"zone": "park", "name": "Parkplatz", "cap": 12, "present": 3, "reserved": 0, "leased": 0, "free": 9}
    shows["controller"]["zones"].append(zone)
    shows["park"] = car_park()
    expect(park.locator('[data-is="parked"] rect')).to_have_count(2)
    expect(park.locator('[data-is="spaces"] rect')).to_have_count(12)
    expect(park.locator('[data-is="money"]')).to_have_text("€5.50")
    expect(park).to_contain_text("coins €3.50, card €2.00")
    expect(park).to_contain_text("booked €5.00")
    expect(park.locator('[data-is="money-verdict"]')).to_have_attribute("data-same", "false")
    expect(park).to_contain_text("Einlass counts 3")
    expect(park.locator('[data-is="cars-verdict"]')).to_have_attribute("data-same", "false")
    expect(park.locator('[data-is="till-lines"]')).to_have_text(re.compile(r"Zu zahlen   1,50 EUR"))
    expect(park.locator('[data-is="used"]')).to_have_text("3 of 5")
    expect(park).to_contain_text("Bäckerei: 3 of 4 used")

    first = park.locator('[data-is="parked"] rect').first
    before = first.get_attribute("x"), first.get_attribute("y")
    shows["park"]["parked"] = ["K-8", "K-9"]
    shows["park"]["entry"].update(boom=1000, lamp="green", cars=[{"name": "K-10", "rear": -4600, "front": -600}])
    shows["park"]["exit"]["up"] = False
    shows["park"]["money"]["booked"] = {"coins": 350, "card": 200}
    zone["present"] = 2
    expect(park.locator('[data-is="cars"] rect')).to_have_attribute("x", "117.2")
    expect(park.locator('[data-is="entry-boom"]')).to_have_attribute("style", re.compile(r"scaleY\(0\.12\d*\)"))
    expect(park.locator('[data-is="entry-lamp"]')).to_have_class("lamp-green")
    expect(park.locator('[data-is="exit-state"]')).to_have_text("node down")
    expect(park.locator('[data-is="money-verdict"]')).to_have_attribute("data-same", "true")
    expect(park.locator('[data-is="cars-verdict"]')).to_have_attribute("data-same", "true")
    # K-8 stays where it is, and K-9 takes the space that K-7 left.
    second = park.locator('[data-is="parked"] rect').last
    expect(second).to_have_attribute("x", before[0] or "")
    expect(second).to_have_attribute("y", before[1] or "")


def test_a_lane_moves_as_the_events_say(visit: Visit, served: Served) -> None:
    page = visit().page
    ost = card(page, "ost")
    expect(ost).to_contain_text("ESP32 · MicroPython")
    expect(ost).to_contain_text("p50 11.2 · p99 31 ms")
    row = served.stage.shows["lanes"][0]
    row.update(lamp="green", shown="ok", arm_per_mille=400, passage_mm={"anna": 480})
    row["bolts"]["entry"] = True
    row["barriers"]["a"] = True
    row["queues"] = {"entry": ["ben", "cleo", "dora", "emil", "fritz"], "exit": []}
    expect(ost.locator('[data-is="lamp-word"]')).to_have_text("Go")
    expect(ost.locator('[data-is="lamp-colour"]')).to_have_text("green")
    expect(ost.locator('[data-is="shown"]')).to_have_text("Welcome")
    expect(ost.locator('[data-is="bolt-entry"] dd')).to_have_text("free")
    expect(ost.locator('[data-is="barrier-a"] dd')).to_have_text("blocked")
    expect(ost.locator('[data-is="rotor"]')).to_have_attribute("style", re.compile(r"rotate\(48deg\)"))
    expect(ost.locator(".person:not(.leaving)")).to_have_count(4)
    expect(ost.locator('[data-is="more-entry"]')).to_have_text("+2")

    row.update(arm_per_mille=900, passage_mm={"anna": 1080})
    expect(ost.locator('[data-is="rotor"]')).to_have_attribute("style", re.compile(r"rotate\(108deg\)"))
    row.update(arm_per_mille=0, passage_mm={}, bodies_in=1)
    # A finished turn goes on to the next third; it never swings back.
    expect(ost.locator('[data-is="rotor"]')).to_have_attribute("style", re.compile(r"rotate\(120deg\)"))
    row.update(arm_per_mille=-300)
    expect(ost.locator('[data-is="rotor"]')).to_have_attribute("style", re.compile(r"rotate\(84deg\)"))

    for colour, word in (("yellow", "Wait"), ("red", "No")):
        row["lamp"] = colour
        expect(ost.locator('[data-is="lamp-word"]')).to_have_text(word)
    row.update(powered=False, node_up=False, latency_ms=None)
    expect(ost.locator('[data-is="shown"]')).to_have_text("no power")
    expect(ost).to_contain_text("node down")
    expect(ost).to_contain_text("scan to bolt –")


def test_a_ticket_of_ones_own_goes_to_the_reader(visit: Visit, served: Served) -> None:
    page = visit().page
    card(page, "ost").get_by_role("button", name="Hold to reader: ost, In").click()
    expect(page.locator("[role=alert] #problem")).to_contain_text("Get a ticket or type a code first")

    page.get_by_label("Persons").select_option("3")
    page.get_by_role("button", name="New ticket").click()
    expect(page.get_by_text("7K3M Q2XW 9RTB 4H6N")).to_be_visible()
    assert page.get_by_alt_text("QR code").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.get_by_label("In your hand")).to_have_value(CODE)
    expect(page.get_by_text("Ticket for 3")).to_be_visible()

    card(page, "ost").get_by_role("button", name="Hold to reader: ost, In").click()
    expect(page.locator("[role=status] #notice")).to_have_text(
        "ost: lamp green – Go, bolt after 12 ms: now walk through"
    )
    expect(page.locator("#problem")).to_be_hidden()
    page.locator("#ticket").get_by_role("button", name="Hold to reader: west, Out").click()
    served.stage.wait_for(3)

    page.get_by_label("In your hand").fill("anything at all")
    expect(page.get_by_text("not the ticket’s")).to_be_visible()
    page.locator("#ticket").get_by_role("button", name="Hold to reader: west, In").click()
    expect(page.locator("[role=status] #notice")).to_have_text("west: lamp red – No")
    for button in ("Not UTF-8", "10 kB"):
        wanted = len(served.stage.asked) + 1
        page.get_by_role("button", name=button).click()
        card(page, "ost").get_by_role("button", name="Hold to reader: ost, Out").click()
        served.stage.wait_for(wanted)
    held = [verb[1:] for verb in served.stage.asked if verb[0] == "hold"]
    assert held[0] == ("ost", "entry", CODE.encode())
    assert held[1] == ("west", "exit", CODE.encode())
    assert held[2] == ("west", "entry", b"anything at all")
    with pytest.raises(UnicodeDecodeError):
        held[3][2].decode()
    assert len(held[4][2]) == 10_240
    assert served.stage.asked[0] == ("new_ticket", 3)

    page.get_by_role("link", name="Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_text("7K3M Q2XW 9RTB 4H6N")).to_be_visible()


def test_every_button_reaches_the_stage(visit: Visit, served: Served) -> None:
    page = visit().page
    asked = served.stage.asked
    west = card(page, "west")
    for number, (group, button) in enumerate(
        [
            ("From outside", "Walk through"),
            ("From outside", "Tailgate"),
            ("From inside", "Step back"),
            ("From inside", "Walk through"),
        ],
        1,
    ):
        west.get_by_role("group", name=group).get_by_role("button", name=button).click()
        served.stage.wait_for(number)
    expect(page.locator("[role=status] #notice")).to_have_text("west: somebody went out")

    west.locator("summary").click()
    west.get_by_role("button", name="Press the emergency button").click()
    expect(west).to_contain_text("Emergency: the exit is free")
    west.get_by_role("button", name="Release the emergency button").click()
    expect(west.get_by_role("button", name="Press the emergency button")).to_be_visible()
    west.get_by_label("First name").fill("Anna Amsel")
    west.get_by_label("Second name").fill("anna amsel ")
    west.get_by_role("button", name="Re-arm").click()
    expect(page.locator("[role=alert] #problem")).to_contain_text("two different people")
    west.get_by_label("Second name").fill("Ben Buche")
    west.get_by_role("button", name="Re-arm").click()
    expect(page.locator("[role=status] #notice")).to_have_text("west: emergency over")

    west.get_by_role("button", name="Pull the plug").click()
    until(lambda: ("pull_the_plug", "west-node") in asked)
    page.get_by_role("button", name="Pull the plug: broker").click()
    parts = page.get_by_role("region", name="Parts")
    expect(parts.get_by_role("listitem").first).to_contain_text("down")

    crowd = page.get_by_role("region", name="Crowd")
    crowd.get_by_role("button", name="Start the crowd").click()
    expect(crowd.get_by_role("button", name="Stop the crowd")).to_have_attribute("aria-pressed", "true")
    crowd.get_by_label("Arrivals a minute").fill("30")
    until(lambda: asked[-1] == ("set_crowd", True, 30.0))
    crowd.get_by_role("button", name="Stop the crowd").click()
    until(lambda: asked[-1] == ("set_crowd", False, 30.0))
    assert asked[:4] == [
        ("go", "west", "entry", "walk"),
        ("go", "west", "entry", "tailgate"),
        ("go", "west", "exit", "step_back"),
        ("go", "west", "exit", "walk"),
    ]
    assert ("rearm", "west", "Anna Amsel", "Ben Buche") in asked
    assert [verb for verb in asked if verb[0] == "press_emergency"] == [
        ("press_emergency", "west", True),
        ("press_emergency", "west", False),
    ]


def test_what_cannot_be_done_is_said(visit: Visit, served: Served) -> None:
    page = visit().page
    served.stage.trouble = "the controller is down: wait until it is up again"
    page.get_by_role("button", name="New ticket").click()
    problem = page.locator("[role=alert] #problem")
    expect(problem).to_contain_text("the controller is down: wait until it is up again")
    page.get_by_role("button", name="Close").click()
    expect(problem).to_be_hidden()
    served.stage.trouble = ""
    page.get_by_role("button", name="New ticket").click()
    expect(page.get_by_text("7K3M Q2XW 9RTB 4H6N")).to_be_visible()


def test_a_webcam_is_shown_to_the_camera_of_the_node(visit: Visit, served: Served) -> None:
    page = visit(permissions=["camera"]).page
    page.get_by_text("Show a real code").click()
    assert page.get_by_label("Camera of").locator("option").all_inner_texts() == ["west"]
    page.get_by_role("button", name="Start the camera").click()
    until(lambda: len(served.stage.frames) >= 3)
    assert all(frame.startswith(b"\xff\xd8") for frame in served.stage.frames)
    page.get_by_role("button", name="Stop the camera").click()
    expect(page.locator("video")).to_be_hidden()


def test_a_lost_connection_is_shown(visit: Visit, served: Served) -> None:
    visitor = visit()
    served.stop()
    expect(visitor.page.locator("[role=alert] #lost")).to_contain_text("No connection to the demonstration")
    # The browser notes each of its own vain tries to connect again.
    visitor.complaints[:] = [line for line in visitor.complaints if "ERR_" not in line]


def test_both_languages_and_the_log(visit: Visit, served: Served) -> None:
    served.stage.shows["log"] = [
        {"at": "10:00:00", "text_de": "<b>Anna</b> ging hinein", "text_en": "<b>Anna</b> went in"},
        {"at": "10:00:01", "text_de": "Ben ging heim", "text_en": "Ben went home"},
    ]
    german = visit("/", locale="de-DE").page
    expect(german.locator("html")).to_have_attribute("lang", "de")
    expect(german.get_by_role("heading", level=1)).to_have_text("Einlass – Vorführung")
    rows = german.get_by_role("log").get_by_role("listitem")
    expect(rows).to_have_text(["10:00:01Ben ging heim", "10:00:00<b>Anna</b> ging hinein"])
    english = visit("/", locale="en-GB").page
    expect(english.get_by_role("log").get_by_role("listitem").first).to_have_text("10:00:01Ben went home")
    for page in (german, english):
        text = page.locator("body").inner_text()
        left = re.findall(r"\b[a-z]+_[a-z_]+\b|\{\w+\}", text)
        assert not left, f"keys or blanks instead of words: {left}"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read_and_used_by_everybody(visit: Visit, served: Served, width: int, scheme: str) -> None:
    crowded(served.stage.shows)
    page = visit("/?lang=de", viewport={"width": width, "height": 900}, color_scheme=scheme).page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Zum Inhalt")).to_be_focused()
    page.get_by_role("button", name="Neue Karte").click()
    expect(page.get_by_alt_text("QR-Code")).to_be_visible()
    for summary in page.locator("summary").all():
        if summary.evaluate("it => !it.parentElement.open"):
            summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.get_by_role("banner").count() == 1
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("navigation").count() == 1
    expect(page.get_by_role("note")).to_contain_text("Simulation")
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate(PALE) == []
    assert page.evaluate(TINY) == []
    live = page.locator("[aria-live=polite]")
    assert live.count() == 1


def test_the_endpoints_refuse_what_they_cannot_take(served: Served, browser: Browser) -> None:
    api = browser.new_context().request

    def post(path: str, **options: Any) -> tuple[int, str]:
        answer = api.post(served.url + path, **options)
        body = answer.json()
        assert isinstance(body["detail"], str), body
        return answer.status, body["detail"]

    as_json, jpeg = {"Content-Type": "application/json"}, {"Content-Type": "image/jpeg"}
    assert post("/api/tickets", data={"persons": 7})[0] == 422
    assert "persons" in post("/api/tickets", data={"persons": "many"})[1]
    assert post("/api/tickets", data="{", headers=as_json)[0] == 422
    assert post("/api/lanes/ost/hold", data={"side": "roof", "code": "x"})[0] == 422
    assert "one of the two" in post("/api/lanes/ost/hold", data={"side": "entry"})[1]
    assert post("/api/lanes/ost/hold", data={"side": "entry", "code_hex": "xyz"})[0] == 422
    assert post("/api/lanes/ost/hold", data='{"side": "entry", "code": "\\ud800"}', headers=as_json)[0] == 422
    assert post("/api/lanes/ost/hold", data={"side": "entry", "code": "ä" * 16_000})[0] == 422
    assert post("/api/lanes/nord/hold", data={"side": "entry", "code": "x"})[1] == "there is no lane nord"
    assert post("/api/lanes/ost/frame", data=b"\xff\xd8jpeg", headers=jpeg)[0] == 409
    assert post("/api/lanes/west/frame", data=b"GIF89a", headers=jpeg)[0] == 422
    assert post("/api/lanes/west/frame", data=b"\xff\xd8", headers={"Content-Type": "image/png"})[0] == 415
    assert post("/api/lanes/west/frame", data=b"\xff\xd8" + bytes(2 * 1024 * 1024), headers=jpeg)[0] == 413
    assert post("/api/crowd", data={"running": True, "arrivals_a_minute": 1e9})[0] == 422
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert post("/api/parts/broker/pull", data={}, headers=elsewhere)[0] == 403
    assert served.stage.asked == [("hold", "nord", "entry", b"x")]
    assert served.stage.frames == []


def crowded(view: dict[str, Any]) -> None:
    """An afternoon: the pool nearly full, somebody in each arm, one lane saying no."""
    view["pool"].update(inside=53, inside_max=60)
    view["controller"]["zones"][0].update(present=52, reserved=1, leased=2, free=5)
    view["park"] = car_park()
    view["crowd"].update(came=214, went_home=4, waiting=7, running=True, arrivals_a_minute=90)
    view.update(admitted=187, refused={"zone_full": 21, "invalid": 5, "already_inside": 3, "expired": 1})
    ost, west = view["lanes"]
    ost.update(lamp="green", shown="ok", arm_per_mille=430, passage_mm={"v211": 560}, bodies_in=96, bodies_out=71)
    ost["bolts"]["entry"] = True
    ost["barriers"]["a"] = True
    ost["queues"] = {"entry": ["v212", "v213", "v214", "v215", "v216"], "exit": ["v101"]}
    west.update(lamp="red", shown="already_inside", bodies_in=91, bodies_out=63, emergency=True)
    west["queues"]["entry"] = ["v190", "v198"]
    view["parts"][3].update(up=False, starts=3)
    view["log"] = [
        {"at": f"14:32:{n:02}", "text_de": f"v{180 + n} ging am Eingang ost hinein", "text_en": f"v{180 + n} went in"}
        for n in range(30)
    ]


# Everything that one can operate has a name for those who do not see it.
UNNAMED = """() => [...document.querySelectorAll('button, a[href], input, select, summary, [role=img], img, video')]
  .filter((it) => it.checkVisibility())
  .filter((it) => !(it.getAttribute('aria-label') || it.getAttribute('alt') || it.textContent.trim()
    || [...(it.labels ?? [])].some((label) => label.textContent.trim())))
  .map((it) => it.outerHTML)"""

# WCAG 2.2 AA: 4.5 to 1, large text 3 to 1. Colours are painted on a canvas because they may be written in any form.
PALE = """() => {
  const pixel = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const colour = (...layers) => {
    pixel.clearRect(0, 0, 1, 1);
    layers.forEach((layer) => { pixel.fillStyle = layer; pixel.fillRect(0, 0, 1, 1); });
    return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const it = node.parentElement;
    if (!node.textContent.trim() || !it.checkVisibility()) continue;
    if (it.closest('.unseen, svg, .simulation, .skip, option')) continue;
    const style = getComputedStyle(it);
    const grounds = [];
    for (let up = it; up; up = up.parentElement) grounds.unshift(getComputedStyle(up).backgroundColor);
    const [a, b] = [light(colour(...grounds)), light(colour(...grounds, style.color))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)}: ${node.textContent.trim()}`);
  }
  return found;
}"""

# WCAG 2.2 target size (minimum): 24 by 24 CSS pixels.
TINY = """() => [...document.querySelectorAll('button, nav a, input, select, summary')]
  .filter((it) => it.checkVisibility())
  .map((it) => [it.getBoundingClientRect(), it.outerHTML])
  .filter(([box]) => box.width < 24 || (box.height < 24))
  .map(([box, html]) => `${box.width}x${box.height} ${html}`)"""
