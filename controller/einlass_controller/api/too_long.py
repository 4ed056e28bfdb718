"""A body that is too long is refused like anything else: the limit itself answers in plain text, to browsers, too."""

from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOO_LONG = 413
DETAIL = "the body is too long"

Refuse = Callable[[Request, Exception], Awaitable[Response]]


class TooLong:
    """Outside of the limit on bodies. refuse: makes the answer of an HTTPException."""

    def __init__(self, app: ASGIApp, refuse: Refuse) -> None:
        self._app = app
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        is_refused = False

        async def send_or_refuse(message: Message) -> None:
            nonlocal is_refused
            if is_refused:
                return  # what is left of the plain text
            if _is_refusal(message):
                is_refused = True
                answer = await self._refuse(Request(scope), HTTPException(TOO_LONG, DETAIL))
                await answer(scope, receive, send)
            else:
                await send(message)

        await self._app(scope, receive, send_or_refuse if scope["type"] == "http" else send)


def _is_refusal(message: Message) -> bool:
    """Whether the limit begins its answer; those of ours are JSON or a page."""
    if message["type"] != "http.response.start" or message["status"] != TOO_LONG:
        return False
    return Headers(raw=message["headers"]).get("content-type", "").startswith("text/plain")
