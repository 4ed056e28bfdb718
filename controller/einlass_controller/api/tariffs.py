"""Tariffs: what parking costs here, for everybody; and any tariff tried, compared, for whoever may read."""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import JSONResponse

from einlass_controller.api import tariff_models as models
from einlass_controller.api.access import ControllerOf, Watcher
from einlass_controller.api.house import read
from einlass_controller.domain.rate import Bucket
from einlass_controller.runtime import Controller
from einlass_controller.site_tariffs import Books, SiteTariff, site_tariffs
from einlass_controller.tariff_questions import about, fee_of, time_of
from einlass_controller.tariff_worker import WorkerError, Workers
from einlass_controller.tariffs import instant_of
from einlass_tariff.book import Book
from einlass_tariff.buy import CENTS_MAX
from einlass_tariff.problems import StayError, TariffError
from einlass_tariff.result import CARDS_MAX

# Everybody may ask what parking costs here: so many a second, and for stays of a month. Whoever may read asks for more.
PUBLIC_PER_S = 20
PUBLIC_STAY_DAYS_MAX = 31
_DAY_S = 86_400

router = APIRouter(tags=["tariffs"])


class Desk:
    """Where tariffs are worked out for this application."""

    def __init__(self) -> None:
        self.workers = Workers()
        self.books = Books()
        self.bucket = Bucket(PUBLIC_PER_S, 0)

    async def public(
        self, tariff: SiteTariff, question: Callable[[Book, dict[str, Any]], dict[str, Any]], values: dict[str, Any]
    ) -> dict[str, Any]:
        """A short question about the site's own tariff. StayError; 503 when too many ask."""
        if self.bucket.take(time.monotonic_ns() // 1_000_000):
            raise HTTPException(503, "too many are asking: try again", {"Retry-After": "1"})

        def work(book: Book) -> dict[str, Any]:
            if "to" in values:
                _not_too_long(values, book)
            return question(book, values)

        return await asyncio.to_thread(self.books.ask, tariff, work)


async def desk_of(request: Request) -> Desk:
    """This application's desk."""
    desk = request.app.state.tariff_desk
    assert isinstance(desk, Desk)
    return desk


DeskOf = Annotated[Desk, Depends(desk_of)]
TariffName = Annotated[str, Path(max_length=models.NAME_LENGTH_MAX)]
Moment = Annotated[str, Query(max_length=models.MOMENT_LENGTH_MAX, description="such as 2026-05-12T10:00, local")]
ShortName = Annotated[str, Query(max_length=models.NAME_LENGTH_MAX)]


async def known_tariffs(controller: Controller) -> dict[str, SiteTariff]:
    """The site's tariffs by name."""
    return await read(controller.database, site_tariffs)


@router.get("/public/tariffs")
async def listed(controller: ControllerOf, desk: DeskOf) -> list[models.SiteTariffOut]:
    """What parking costs here, in words; everybody may ask."""
    made = []
    for name, tariff in (await known_tariffs(controller)).items():
        said = await desk.public(tariff, lambda book, _: about(book), {})
        zones = [zone.zone for zone in controller.live.parking.zones.values() if zone.tariff == name]
        made.append(models.SiteTariffOut(**said, zones=zones))
    return made


@router.get("/public/tariffs/{name}/fee", response_model=models.Answer)
async def fee(
    name: TariffName,
    controller: ControllerOf,
    desk: DeskOf,
    from_: Annotated[str, Query(alias="from", max_length=models.MOMENT_LENGTH_MAX, description="local, or an offset")],
    to: Moment,
    vouchers: Annotated[int, Query(ge=0, le=CARDS_MAX)] = 0,
    paid_cents: Annotated[int | None, Query(ge=0, le=CENTS_MAX)] = None,
    pass_: Annotated[str, Query(alias="pass", max_length=models.NAME_LENGTH_MAX)] = "",
    ticket: ShortName = "",
) -> Any:
    """What a stay of up to a month costs here, line by line; everybody may ask."""
    values = {"from": from_, "to": to, "vouchers": vouchers, "paid_cents": paid_cents, "pass": pass_, "ticket": ticket}
    return await _public(controller, desk, name, fee_of, values)


@router.get("/public/tariffs/{name}/time", response_model=models.Answer)
async def bought(
    name: TariffName,
    controller: ControllerOf,
    desk: DeskOf,
    from_: Annotated[str, Query(alias="from", max_length=models.MOMENT_LENGTH_MAX, description="local, or an offset")],
    cents: Annotated[int, Query(ge=0, le=CENTS_MAX)],
    pass_: Annotated[str, Query(alias="pass", max_length=models.NAME_LENGTH_MAX)] = "",
    ticket: ShortName = "",
) -> Any:
    """How long an amount of money lasts here; everybody may ask."""
    return await _public(
        controller, desk, name, time_of, {"from": from_, "cents": cents, "pass": pass_, "ticket": ticket}
    )


@router.post("/tariffs/check", response_model=models.Answer, max_body_size=models.TRY_BODY_BYTES_MAX)
async def check(order: models.CheckOrder, client: Watcher, desk: DeskOf) -> Any:
    """Is this a tariff? 422 with every slip and its line; or what it says, in words."""
    return await _private(desk, "check", order.versions)


@router.post("/tariffs/try", response_model=models.Answer, max_body_size=models.TRY_BODY_BYTES_MAX)
async def try_(order: models.TryOrder, client: Watcher, desk: DeskOf) -> Any:
    """What a stay costs by any tariff, line by line."""
    return await _private(desk, "try", order.versions, order.model_dump(by_alias=True, exclude={"versions"}))


@router.post("/tariffs/buy", response_model=models.Answer, max_body_size=models.TRY_BODY_BYTES_MAX)
async def buy(order: models.BuyOrder, client: Watcher, desk: DeskOf) -> Any:
    """How long money lasts by any tariff."""
    return await _private(desk, "buy", order.versions, order.model_dump(by_alias=True, exclude={"versions"}))


@router.post("/tariffs/compare", response_model=models.Answer, max_body_size=models.BODY_BYTES_MAX)
async def compare(order: models.CompareOrder, client: Watcher, desk: DeskOf) -> Any:
    """What a new version would have brought, against stays that were."""
    source = {"stays": order.stays, "invented_seed": order.invented_seed}
    return await _private(desk, "compare", order.old, {"new": texts_of(order.new), **source})


def texts_of(versions: list[models.TariffTextIn]) -> list[dict[str, Any]]:
    """Texts as a question has them."""
    return [{"text": one.text, "json": one.format == "json"} for one in versions]


async def _private(
    desk: Desk, do: str, versions: list[models.TariffTextIn], values: dict[str, Any] | None = None
) -> Any:
    try:
        found = await desk.workers.ask({"do": do, "texts": texts_of(versions), **(values or {})})
    except WorkerError as error:
        status = 503 if error.is_busy else 422
        raise HTTPException(status, str(error), {"Retry-After": "5"} if error.is_busy else None) from error
    return _told(found)


async def _public(
    controller: Controller,
    desk: Desk,
    name: str,
    question: Callable[[Book, dict[str, Any]], dict[str, Any]],
    values: dict[str, Any],
) -> Any:
    known = await known_tariffs(controller)
    if name not in known:
        raise HTTPException(404, f"there is no tariff {name[:40]!r} here: see /api/v1/public/tariffs")
    try:
        return {"answer": await desk.public(known[name], question, values)}
    except StayError as error:
        return _told({"refused": {"de": error.words[0], "en": error.words[1]}})
    except TariffError as error:  # a version that a newer reader refuses
        raise HTTPException(409, f"the tariff can't be read any more: {error}") from error


def _told(found: dict[str, Any]) -> Any:
    wrong = found.get("problems") or found.get("answer", {}).get("new_problems")
    if wrong:
        lines = [
            {"line": one["line"], "text_de": f"{one['path'] or 'tariff'}: {one['de']}"}
            | {"text_en": f"{one['path'] or 'tariff'}: {one['en']}"}
            for one in wrong
        ]
        return _refused("the text is no tariff", "Der Text ist kein Tarif", "the text is no tariff", lines)
    if "refused" in found:
        words = found["refused"]
        return _refused(words["en"], words["de"], words["en"], [])
    return found


def _refused(detail: str, german: str, english: str, lines: list[dict[str, Any]]) -> JSONResponse:
    return JSONResponse({"detail": detail, "text_de": german, "text_en": english, "faults": lines}, 422)


def _not_too_long(values: dict[str, Any], book: Book) -> None:
    first, last = (instant_of(values[name], book.days) for name in ("from", "to"))
    if last - first > PUBLIC_STAY_DAYS_MAX * _DAY_S:
        raise StayError(
            f"more than {PUBLIC_STAY_DAYS_MAX} days: too long for this page; `einlass tariff try` works it out",
            f"mehr als {PUBLIC_STAY_DAYS_MAX} Tage: zu lang für diese Seite; `einlass tariff try` rechnet es aus",
        )
