"""What pages with forms share: templates, languages, headers."""

from pathlib import Path
from typing import Annotated, Any

import jinja2
from fastapi import Header, Query
from fastapi.responses import HTMLResponse

from einlass_controller.pages.sessions import Visitor
from einlass_controller.pages.words_forms import WORDS
from einlass_controller.runtime import Controller
from einlass_tariff.lines import money

Lang = Annotated[str | None, Query(max_length=8)]
Accepted = Annotated[str | None, Header(alias="accept-language")]

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def show(
    controller: Controller,
    template: str,
    language: str,
    path: str,
    visitor: Visitor | None = None,
    status: int = 200,
    **values: Any,
) -> HTMLResponse:
    """A page in one language. path: its own address, for the link to the other language."""
    number = 0 if language == "de" else 1
    html = _templates.get_template(template).render(
        w={key: words[number] for key, words in WORDS.items()},
        language=language,
        other="en" if language == "de" else "de",
        site=controller.site.name_en if language == "en" else controller.site.name,
        path=path,
        visitor=visitor,
        form_token=visitor.session.form_token if visitor else "",
        euros=lambda cents: money(cents, language),
        **values,
    )
    # With `no-referrer` a browser would not even tell us that a form is our own (sessions.check_origin).
    headers = {"Referrer-Policy": "same-origin"}
    headers |= {"Cache-Control": "no-store", "Vary": "Accept-Language, Cookie", "Content-Language": language}
    return HTMLResponse(html, status, headers)
