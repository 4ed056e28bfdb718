"""Signing in with an API key, and out again."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from einlass_controller.api.access import KEY_LENGTH_MAX, ControllerOf, KeysOf
from einlass_controller.domain.rate import Bucket
from einlass_controller.pages.sessions import (
    COOKIE,
    PAGES,
    Sessions,
    check_form,
    check_origin,
    set_cookie,
    visitor_of,
)
from einlass_controller.pages.shell import Accepted, Lang, show
from einlass_controller.pages.words import language_of
from einlass_controller.setup import PARTNER, hash_api_key

# Keys have 192 random bits: this only keeps a flood away.
TRIES_PER_S = 10

router = APIRouter(include_in_schema=False)
_bucket = Bucket(TRIES_PER_S, 0)


@router.get("/login")
async def ask(
    controller: ControllerOf, next: str = "", lang: Lang = None, accept_language: Accepted = None
) -> Response:
    """The form."""
    language = language_of(lang, accept_language)
    return show(controller, "login.html", language, "/login", onward=next if next in PAGES else "", wrong="")


@router.post("/login")
async def sign_in(
    request: Request,
    controller: ControllerOf,
    keys: KeysOf,
    key: Annotated[str, Form(max_length=KEY_LENGTH_MAX)] = "",
    next: Annotated[str, Form(max_length=100)] = "",
    lang: Lang = None,
    accept_language: Accepted = None,
) -> Response:
    """A session for a known key."""
    check_origin(request)
    language = language_of(lang, accept_language)
    onward = next if next in PAGES else ""
    values: dict[str, Any] = {"onward": onward, "wrong": "wrong_key"}
    if _bucket.take(time.monotonic_ns() // 1_000_000):
        return show(controller, "login.html", language, "/login", status=503, **(values | {"wrong": "too_many"}))
    found = await keys.find(key.strip())
    if found is None:
        return show(controller, "login.html", language, "/login", status=403, **values)
    sessions = request.app.state.sessions
    assert isinstance(sessions, Sessions)
    token, _ = sessions.begin(hash_api_key(key.strip()))
    target = onward or ("/partner" if PARTNER in found.scopes else "/tariff/own")
    response = RedirectResponse(f"{target}?lang={language}", 303)
    set_cookie(request, response, token)
    return response


@router.post("/logout")
async def sign_out(request: Request, form_token: Annotated[str, Form(max_length=100)] = "") -> Response:
    """The session ends."""
    visitor = await visitor_of(request)
    if visitor is not None:
        check_form(request, visitor, form_token)
        request.app.state.sessions.end(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/tariff", 303)
    response.delete_cookie(COOKIE, path="/")
    return response
