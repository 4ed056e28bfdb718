"""What a browser gets where the API gives a refusal as JSON: a page with a sentence, and the way back."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from einlass_controller.pages.shell import show
from einlass_controller.pages.words import language_of

# Status to the key of its sentence (words_forms.WORDS).
SENTENCES = {
    400: "refusal_form",
    403: "refusal_right",
    404: "refusal_address",
    405: "refusal_address",
    409: "refusal_state",
    413: "refusal_size",
    422: "refusal_field",
    429: "refusal_wait",
    503: "refusal_wait",
}
OTHER = "refusal_other"
DETAIL_LENGTH_MAX = 300


def is_for_a_browser(request: Request) -> bool:
    """Whether somebody looks at it; programs and scripts of pages do not ask for HTML."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def refusal(request: Request, status: int, detail: str = "", headers: dict[str, str] | None = None) -> Response:
    """The page. detail: what a program would be told, for whoever has to ask for help."""
    language = language_of(request.query_params.get("lang"), request.headers.get("accept-language"))
    sentence = SENTENCES.get(status, OTHER)
    values: dict[str, Any] = {"sentence": sentence, "detail": detail[:DETAIL_LENGTH_MAX], "number": status}
    page = show(request.app.state.controller, "refused.html", language, "/login", status=status, **values)
    page.headers.update(headers or {})
    return page
