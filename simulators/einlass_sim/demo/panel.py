"""The demonstration's page: the pool, every lane as it moves, and a person's own hand in it.

    app = panel_app(stage)      # serve it with uvicorn, inside the loop that the stage runs in
    app.state.stopping.set()    # ends the open event streams, so that the server can stop

GET / (?lang=de|en), GET /events (server-sent events, "view"), GET /api/view, and one POST for every verb of Stage, with
JSON in and out. Errors are {"detail": "a sentence"}: 409 when the stage cannot do it, 413 and 422 for a bad request.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterable, Awaitable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import jinja2
from fastapi import APIRouter, FastAPI, Header, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from einlass_controller.pages.words import language_of
from einlass_sim.demo.panel_words import words
from einlass_sim.demo.stage import Stage, StageError
from einlass_sim.devices.camera import FRAME_BYTES_MAX

FRAMES_A_SECOND = 5
REPEAT_AFTER_S = 5.0
RETRY_MS = 1_000
WATCHERS_MAX = 50
PERSONS_MAX = 6
CODE_BYTES_MAX = 16 * 1024
NAME_LENGTH_MAX = 80
ARRIVALS_A_MINUTE_MAX = 240
VERB_S_MAX = 60.0

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_HERE = Path(__file__).parent
_T = TypeVar("_T")
_Side = Literal["entry", "exit"]
_Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH_MAX)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TicketWish(_Body):
    """How many persons the ticket is for."""

    persons: Annotated[int, Field(ge=1, le=PERSONS_MAX)] = 1


class HoldWish(_Body):
    """What is held before which reader: a text, or any bytes as hex."""

    side: _Side
    code: Annotated[str | None, Field(max_length=CODE_BYTES_MAX)] = None
    code_hex: Annotated[str | None, Field(max_length=2 * CODE_BYTES_MAX)] = None

    def code_bytes(self) -> bytes:
        """The code; HTTPException 422 when there is not exactly one, or it is too long or no hex."""
        if (self.code is None) == (self.code_hex is None):
            raise HTTPException(422, "give either code (text) or code_hex (bytes as hex), one of the two")
        try:
            code = self.code.encode() if self.code is not None else bytes.fromhex(self.code_hex or "")
        except ValueError as error:
            raise HTTPException(
                422, "code_hex takes pairs of hexadecimal digits, code takes whole characters"
            ) from error
        if not 0 < len(code) <= CODE_BYTES_MAX:
            raise HTTPException(422, f"a code has 1 to {CODE_BYTES_MAX} bytes, this one has {len(code)}")
        return code


class GoWish(_Body):
    """Who goes to the arm, and how."""

    side: _Side
    behaviour: Literal["walk", "tailgate", "step_back", "hesitate", "force"] = "walk"


class EmergencyWish(_Body):
    """The button beside the lane."""

    pressed: bool


class RearmWish(_Body):
    """The two people who end an emergency."""

    first: _Name
    second: _Name


class CrowdWish(_Body):
    """Whether people come, and how many."""

    running: bool
    arrivals_a_minute: Annotated[float, Field(gt=0, le=ARRIVALS_A_MINUTE_MAX, allow_inf_nan=False)]


def panel_app(stage: Stage) -> FastAPI:
    """The page of one stage. Nothing is served to other sites, and nothing is fetched from them."""
    # Without API pages: their stock scripts come from a foreign host.
    app = FastAPI(title="Einlass demo", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.stopping = asyncio.Event()
    app.include_router(_looking(stage, app.state.stopping))
    app.include_router(_doing(stage), prefix="/api")
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    app.add_exception_handler(StageError, _cannot)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(Exception, _broken)
    app.add_middleware(_Guard)
    return app


def _looking(stage: Stage, stopping: asyncio.Event) -> APIRouter:
    router = APIRouter()
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    watching: set[object] = set()

    @router.get("/", response_class=HTMLResponse)
    async def page(
        lang: Annotated[str | None, Query(max_length=8)] = None,
        accept_language: Annotated[str | None, Header()] = None,
    ) -> HTMLResponse:
        language = language_of(lang, accept_language)
        html = templates.get_template("panel.html").render(
            say=words(language),
            language=language,
            other="en" if language == "de" else "de",
            persons_max=PERSONS_MAX,
            arrivals_a_minute_max=ARRIVALS_A_MINUTE_MAX,
            name_length_max=NAME_LENGTH_MAX,
            view=stage.view(),
        )
        headers = {"Cache-Control": "no-store", "Vary": "Accept-Language", "Content-Language": language}
        return HTMLResponse(html, headers=headers)

    @router.get("/events", response_class=EventSourceResponse)
    async def events() -> AsyncIterable[ServerSentEvent]:
        watcher = object()
        watching.add(watcher)
        try:
            # An error after the first byte can't be a status any more; the page says what this event means.
            if len(watching) > WATCHERS_MAX:
                yield ServerSentEvent(event="full", data=WATCHERS_MAX, retry=30 * RETRY_MS)
                return
            yield ServerSentEvent(comment="hello", retry=RETRY_MS)
            sent, sent_s = "", 0.0
            while not stopping.is_set():
                view = json.dumps(stage.view(), separators=(",", ":"))
                if view != sent or time.monotonic() - sent_s >= REPEAT_AFTER_S:
                    sent, sent_s = view, time.monotonic()
                    yield ServerSentEvent(event="view", raw_data=view)
                await asyncio.sleep(1 / FRAMES_A_SECOND)
        finally:
            watching.discard(watcher)

    @router.get("/api/view")
    async def view() -> dict[str, Any]:
        return stage.view()

    @router.get("/favicon.ico")
    async def favicon() -> Response:
        return Response(status_code=204, headers={"Cache-Control": "max-age=86400"})

    return router


def _doing(stage: Stage) -> APIRouter:
    router = APIRouter()

    @router.post("/tickets")
    async def new_ticket(wish: TicketWish) -> dict[str, str]:
        return await _in_time(stage.new_ticket(wish.persons))

    @router.post("/lanes/{lane}/hold")
    async def hold(lane: str, wish: HoldWish) -> dict[str, Any]:
        return await _in_time(stage.hold(lane, wish.side, wish.code_bytes()))

    @router.post("/lanes/{lane}/go")
    async def go(lane: str, wish: GoWish) -> dict[str, str]:
        return await _in_time(stage.go(lane, wish.side, wish.behaviour))

    @router.post("/lanes/{lane}/frame", status_code=204)
    async def frame(lane: str, request: Request) -> None:
        stage.push_frame(lane, await _jpeg(request))

    @router.post("/lanes/{lane}/emergency", status_code=204)
    async def emergency(lane: str, wish: EmergencyWish) -> None:
        stage.press_emergency(lane, wish.pressed)

    @router.post("/lanes/{lane}/rearm", status_code=204)
    async def rearm(lane: str, wish: RearmWish) -> None:
        first, second = wish.first.strip(), wish.second.strip()
        if not first or not second or first.casefold() == second.casefold():
            raise StageError("an emergency is ended by two different people: give both names")
        await _in_time(stage.rearm(lane, first, second))

    @router.post("/parts/{part}/pull", status_code=204)
    async def pull(part: str) -> None:
        await _in_time(stage.pull_the_plug(part))

    @router.post("/crowd", status_code=204)
    async def crowd(wish: CrowdWish) -> None:
        stage.set_crowd(wish.running, wish.arrivals_a_minute)

    return router


async def _in_time(verb: Awaitable[_T]) -> _T:
    try:
        async with asyncio.timeout(VERB_S_MAX):
            return await verb
    except TimeoutError as error:
        raise HTTPException(504, f"that took longer than {VERB_S_MAX:.0f} s: look at the log and try again") from error


async def _jpeg(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "image/jpeg":
        raise HTTPException(415, "send the frame as the body, with Content-Type: image/jpeg")
    frame = bytearray()
    async for chunk in request.stream():
        frame += chunk
        if len(frame) > FRAME_BYTES_MAX:
            raise HTTPException(413, f"a frame has at most {FRAME_BYTES_MAX} bytes: send a smaller picture")
    if not frame.startswith(b"\xff\xd8"):
        raise HTTPException(422, "the body is no JPEG")
    return bytes(frame)


async def _cannot(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 409)


async def _malformed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return JSONResponse({"detail": f"{where}: {first['msg']}" if where else first["msg"]}, 422)


async def _broken(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": f"the demonstration failed at this ({type(error).__name__}): see its log"}, 500)


class _Guard:
    """Security headers on every answer, and no verb for pages of other sites (a visited page could kill a process)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                # Scripts and styles change with the product: ask each time, answered by 304.
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        if scope["method"] == "POST" and Headers(scope=scope).get("sec-fetch-site", "none") not in (
            "none",
            "same-origin",
        ):
            refusal = JSONResponse({"detail": "this can only be asked by the demonstration's own page"}, 403)
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)
