"""The first page: every zone against its cap, live, in German and English, and without JavaScript too."""

import asyncio
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Annotated, Any

import jinja2
from fastapi import APIRouter, Header, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from einlass_controller.api.access import ControllerOf
from einlass_controller.pages.words import Speaker, clock_writer, language_of

LOOK_EVERY_S = 0.25
REPEAT_AFTER_S = 5.0
WATCHERS_MAX = 400
RETRY_MS = 2_000
BAR_UNITS = 1_000

router = APIRouter(include_in_schema=False)
_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_watchers = {"now": 0}

Lang = Annotated[str | None, Query(max_length=8)]
Accepted = Annotated[str | None, Header(alias="accept-language")]


@router.get("/", response_class=HTMLResponse)
async def page(controller: ControllerOf, lang: Lang = None, accept_language: Accepted = None) -> HTMLResponse:
    """The page with the figures of this moment."""
    language = language_of(lang, accept_language)
    picture = await controller.writer.look()
    html = _templates.get_template("index.html").render(_values(picture, language))
    return HTMLResponse(
        html, headers={"Cache-Control": "no-store", "Vary": "Accept-Language", "Content-Language": language}
    )


@router.get("/live", response_class=EventSourceResponse)
async def live(
    controller: ControllerOf, request: Request, lang: Lang = None, accept_language: Accepted = None
) -> AsyncIterable[ServerSentEvent]:
    """The same figures whenever they change, as server-sent events."""
    if _watchers["now"] >= WATCHERS_MAX:
        raise HTTPException(503, "too many are watching", {"Retry-After": "30"})
    language = language_of(lang, accept_language)
    _watchers["now"] += 1
    try:
        yield ServerSentEvent(comment="hello", retry=RETRY_MS)
        shown: dict[str, Any] | None = None
        waited_s = 0.0
        while controller.stopping is None or not controller.stopping.is_set():
            picture = await controller.writer.look()
            waited_s += LOOK_EVERY_S
            if shown is None or waited_s >= REPEAT_AFTER_S or _without_age(picture) != _without_age(shown):
                shown, waited_s = picture, 0.0
                values = _values(picture, language)
                yield ServerSentEvent(event="board", raw_data=_templates.get_template("board.html").render(values))
                yield ServerSentEvent(event="said", data=_said(values))
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        _watchers["now"] -= 1


@router.get("/favicon.ico")
async def favicon() -> Response:
    """No picture of its own: the page links an SVG."""
    return Response(status_code=204, headers={"Cache-Control": "max-age=86400"})


def _without_age(picture: dict[str, Any]) -> dict[str, Any]:
    nodes = [{name: value for name, value in node.items() if name != "last_seen_ms"} for node in picture["nodes"]]
    return {
        "zones": picture["zones"],
        "recount": picture["recount"],
        "recent": picture["recent"],
        "nodes": nodes,
        "minute": picture["as_of_ms"] // 60_000,
    }


def _said(values: dict[str, Any]) -> str:
    """One sentence for those who listen to the page."""
    return " ".join(f"{zone['name']}: {zone['headline']}." for zone in values["zones"])


def _values(picture: dict[str, Any], language: str) -> dict[str, Any]:
    say = Speaker(language)
    clock = clock_writer(picture["site"]["time_zone"])
    lane = "lane_en" if say.language == "en" else "lane"
    lanes = {node["lane_id"]: node[lane] for node in picture["nodes"]}
    return {
        "say": say,
        "language": say.language,
        "other": "en" if say.language == "de" else "de",
        "site": _name(picture["site"], language),
        "as_of": clock(picture["as_of_ms"]),
        "recount": bool(picture["recount"]),
        "zones": [_zone(zone, say, lanes) for zone in picture["zones"]],
        "nodes": [_node(node, say, clock) | {"lane": node[lane]} for node in picture["nodes"]],
        "recent": [_event(event, say, clock) | {"lane": event[lane]} for event in picture["recent"]],
        "bar_units": BAR_UNITS,
    }


def _name(thing: dict[str, Any], language: str) -> str:
    return str(thing["name_en"] if language == "en" else thing["name"])


def _zone(zone: dict[str, Any], say: Speaker, lanes: dict[str, str]) -> dict[str, Any]:
    free = zone["to_come"]
    if not zone["is_open"]:
        state, headline = "closed", say("closed")
    elif zone["over"]:
        state, headline = "over", say("over", over=zone["over"])
    elif free == 0:
        state, headline = "full", say("full")
    else:
        state = "busy" if free * 5 <= zone["cap"] else "open"
        headline = say("place") if free == 1 else say("places", free=free)
    parts, start = [], 0
    for kind in ("present", "reserved", "leased"):
        width = min(BAR_UNITS - start, round(zone[kind] * BAR_UNITS / max(1, zone["cap"])))
        parts.append({"kind": kind, "start": start, "width": width})
        start += width
    away = [lanes.get(lane, lane) for lane in zone["lanes_cut_off"]]
    about = say("cut_off", lanes=", ".join(away)) if away else ""
    name = _name(zone, say.language)
    return zone | {"name": name, "state": state, "headline": headline, "parts": parts, "about": about}


def _node(node: dict[str, Any], say: Speaker, clock: Any) -> dict[str, Any]:
    notes = []
    if node["emergency"]:
        notes.append(say("emergency"))
    if node["fault"]:
        notes.append(say("fault", reason=node["fault"]))
    if node["frozen"]:
        notes.append(say("frozen"))
    if node["queue"]:
        notes.append(say("queue", n=node["queue"]))
    if not node["online"]:
        seen = node["last_seen_ms"]
        notes.append(say("seen", time=clock(seen)) if seen else say("never_seen"))
    trouble = node["emergency"] or node["fault"] or node["frozen"] or not node["online"]
    return node | {"state": say("online" if node["online"] else "offline"), "notes": notes, "trouble": bool(trouble)}


def _event(event: dict[str, Any], say: Speaker, clock: Any) -> dict[str, Any]:
    kind, persons = event["kind"], event["persons"]
    if kind == "decision":
        words = say.short(event["code"])
        tone = "good" if event["code"].startswith("ok") else "bad"
    elif kind in ("passed", "forced"):
        words = say(f"{kind}_{event['side'] or 'entry'}")
        tone = "plain" if kind == "passed" else "bad"
    elif kind in ("alarm", "fault"):
        words, tone = say(kind, reason=event["reason"]), "bad"
    else:
        words, tone = say(kind), "bad" if kind == "emergency" else "plain"
    if persons and persons > 1:
        words += ", " + say("persons", n=persons)
    return {"time": clock(event["at_ms"]), "words": words, "tone": tone}
