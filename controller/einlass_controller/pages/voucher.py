"""A digital voucher for whoever has its link: the picture that a machine reads, and whether it still counts."""

import asyncio
import base64
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import jinja2
from fastapi import APIRouter, Header, HTTPException, Query
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection, select

from einlass_controller import voucher_paper
from einlass_controller.api.access import ControllerOf
from einlass_controller.api.house import now_ms, read
from einlass_controller.api.models import CodeIn
from einlass_controller.api.vouchers import sheet_of
from einlass_controller.domain.rate import Bucket
from einlass_controller.domain.vouchers import STATE_WORDS, Voucher, seen_as
from einlass_controller.pages.words import language_of
from einlass_controller.store.schema import VOUCHER
from einlass_controller.store.vouchers import VOUCHER_COLUMNS, vouchers_of
from einlass_core import codes

# Codes have 80 random bits: this only keeps a flood away from the tills.
PICTURES_PER_S = 20
WORDS = {
    "de": {
        "title": "Parkgutschein",
        "wait": "Einen Moment …",
        "picture": "QR-Code des Gutscheins",
        "script": "Diese Seite braucht JavaScript, damit der Code in keinem Protokoll steht.",
        "unknown": "Dieser Gutschein ist hier nicht bekannt.",
        "lost": "Der Gutschein kann gerade nicht gezeigt werden. Bitte gleich noch einmal versuchen.",
        "state": "Dieser Gutschein ist {state}.",
    },
    "en": {
        "title": "Parking voucher",
        "wait": "One moment …",
        "picture": "QR code of the voucher",
        "script": "This page needs JavaScript, so that the code stands in no log.",
        "unknown": "This voucher is not known here.",
        "lost": "The voucher cannot be shown right now. Please try again in a moment.",
        "state": "This voucher is {state}.",
    },
}

router = APIRouter(include_in_schema=False)
_bucket = Bucket(PICTURES_PER_S, 0)
_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)


class PictureOrder(CodeIn):
    """Which voucher, in which language."""

    language: Literal["de", "en"] = "de"


@router.get("/voucher", response_class=HTMLResponse)
async def page(
    controller: ControllerOf,
    lang: Annotated[str | None, Query(max_length=8)] = None,
    accept_language: Annotated[str | None, Header(alias="accept-language")] = None,
) -> HTMLResponse:
    """The page is the same for every voucher: the code stands behind the # of its address."""
    language = language_of(lang, accept_language)
    site = controller.site.name_en if language == "en" else controller.site.name
    html = _templates.get_template("voucher.html").render(site=site, language=language, words=WORDS[language])
    return HTMLResponse(html, headers={"Vary": "Accept-Language", "Content-Language": language})


@router.post("/voucher/picture")
async def picture(order: PictureOrder, controller: ControllerOf) -> dict[str, Any]:
    """The picture of a voucher, and its state in words."""
    if _bucket.take(time.monotonic_ns() // 1_000_000):
        raise HTTPException(503, "too many are asking: try again", {"Retry-After": "1"})
    given = order.code.encode(errors="replace")
    proof = controller.intake.prove(given)
    wanted = VOUCHER.c.digest == proof.digest, VOUCHER.c.code_sha256 == proof.sha256

    def load(connection: Connection) -> list[Voucher]:
        return vouchers_of(connection.execute(select(*VOUCHER_COLUMNS).where(*wanted)))

    found = await read(controller.database, load) if proof.digest else []
    if not found:
        raise HTTPException(404, "no such voucher")
    lot = controller.live.vouchers.lots[found[0].lot]
    words = STATE_WORDS[seen_as(found[0], lot, now_ms())]
    state = words.en if order.language == "en" else words.de
    card = voucher_paper.Card(found[0].serial, codes.read(given))
    image = await asyncio.to_thread(voucher_paper.png, sheet_of(controller, lot, (order.language,)), card)
    said = WORDS[order.language]["state"].format(state=state)
    return {"text": said, "png": base64.b64encode(image).decode()}
