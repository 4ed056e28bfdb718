"""The HTTP application: API, pages, their headers, and errors that say what to do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeGuard

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from einlass_controller.api import (
    commands,
    exchange,
    house,
    keys,
    parking,
    partners,
    recount,
    scans,
    signing_keys,
    state,
    tariffs,
    ticket_life,
    tickets,
    voucher_payments,
    vouchers,
)
from einlass_controller.api.access import Keys
from einlass_controller.api.models import PROBLEMS, Contradiction
from einlass_controller.api.too_long import TooLong
from einlass_controller.domain.life import LifeError
from einlass_controller.engine import StoreError
from einlass_controller.pages import board, login, partner, voucher
from einlass_controller.pages import tariff as tariff_page
from einlass_controller.pages.refusals import is_for_a_browser, refusal
from einlass_controller.pages.sessions import Sessions
from einlass_controller.runtime import Controller
from einlass_controller.writer import Overloaded

BODY_BYTES_MAX = 64 * 1024
BAD_REQUEST = 400
STATIC = Path(__file__).parent.parent / "pages" / "static"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def make_app(controller: Controller) -> FastAPI:
    """The application of one controller, which starts and stops with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with controller:
            yield
        await app.state.tariff_desk.workers.close()

    app = FastAPI(
        title="Einlass",
        description="Tickets, scans, counts and nodes of one site.",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # the stock pages load their scripts from a foreign host
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.controller = controller
    app.state.keys = Keys(controller.database)
    app.state.tariff_desk = tariffs.Desk()
    app.state.sessions = Sessions()
    parts = (scans, exchange, tickets, ticket_life, state, commands, house, signing_keys, keys, recount)
    for part in (*parts, voucher_payments, vouchers, partners, parking, tariffs):
        app.include_router(part.router, prefix="/api/v1", responses=PROBLEMS)
    app.include_router(state.health)
    app.include_router(board.router)
    app.include_router(voucher.router)
    app.include_router(login.router)
    app.include_router(tariff_page.router)
    app.include_router(partner.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(StoreError, _try_again)
    app.add_exception_handler(Overloaded, _try_again)
    app.add_exception_handler(LifeError, _contradiction)
    app.add_exception_handler(Contradiction, _contradiction)
    app.add_exception_handler(RequestValidationError, _mistaken)
    app.add_exception_handler(RecursionError, _mistaken)
    # Each is outside of those before it.
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=BODY_BYTES_MAX)
    app.add_middleware(TooLong, refuse=_refused)
    app.add_middleware(_Headers)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code < BAD_REQUEST or not is_for_a_browser(request):
        return await http_exception_handler(request, error)
    return refusal(request, error.status_code, str(error.detail), dict(error.headers or {}))


async def _try_again(request: Request, error: Exception) -> Response:
    if is_for_a_browser(request):
        return refusal(request, 503, str(error), {"Retry-After": "1"})
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "1"})


async def _contradiction(request: Request, error: Exception) -> Response:
    assert isinstance(error, LifeError | Contradiction)
    if is_for_a_browser(request):
        return refusal(request, 409, str(error))
    return JSONResponse({"detail": str(error), "text_de": error.text.de, "text_en": error.text.en}, 409)


async def _mistaken(request: Request, error: Exception) -> Response:
    """What is wrong, but not what was sent: it may be a code, or bytes that are no text."""
    if is_for_a_browser(request):
        fields = [".".join(map(str, item["loc"])) for item in error.errors()] if _is_of_fields(error) else []
        return refusal(request, 422, ", ".join(fields))
    if not isinstance(error, RequestValidationError):
        return JSONResponse({"detail": "nested too deeply"}, 422)
    found = [{"loc": list(item["loc"]), "msg": item["msg"], "type": item["type"]} for item in error.errors()]
    return JSONResponse({"detail": found}, 422)


def _is_of_fields(error: Exception) -> TypeGuard[RequestValidationError]:
    return isinstance(error, RequestValidationError)


class _Headers:
    """Puts the security headers on every answer, streams included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
