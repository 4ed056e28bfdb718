"""Partners, their accounts and statistics. A partner's key sees its own."""

import asyncio
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Response
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, select

from einlass_controller import account_files
from einlass_controller.api import voucher_models as models
from einlass_controller.api.access import Caller, ClientOf, ControllerOf, PartnerOrStaff
from einlass_controller.api.house import now_ms, read, unix_ms
from einlass_controller.api.models import Instant
from einlass_controller.api.vouchers import do
from einlass_controller.domain.voucher_account import MONTH_PATTERN, account, month_bounds, statistics
from einlass_controller.domain.vouchers import Lot, Partner, Voucher
from einlass_controller.orders_vouchers import CloseMonth, SetPartner
from einlass_controller.pages.words import instant_writer
from einlass_controller.runtime import Controller
from einlass_controller.steps.vouchers import RANGE_MAX
from einlass_controller.store.schema import VOUCHER
from einlass_controller.store.vouchers import VOUCHER_COLUMNS, vouchers_of

CSV = "text/csv"
PDF = "application/pdf"
DAYS_SHOWN = 30

router = APIRouter(tags=["partners"])

PartnerPath = Annotated[str, Path(max_length=32)]
Month = Annotated[str, Query(pattern=MONTH_PATTERN, description="such as 2026-05")]


@router.get("/partners")
async def partners(caller: PartnerOrStaff, controller: ControllerOf) -> list[models.PartnerOut]:
    """All partners; of a partner's key itself."""
    known = controller.live.vouchers.partners.values()
    return [_out(partner) for partner in known if caller.partner in ("", partner.id)]


@router.post("/partners", status_code=201)
async def add(order: models.PartnerOrder, client: ClientOf, controller: ControllerOf) -> models.PartnerOut:
    """A new partner. Its key: POST /api/v1/keys with the scope `partner`."""
    return _out(await do(controller, SetPartner(Partner(order.id, order.name), True, client)))


@router.post("/partners/{partner_id}/change")
async def change(
    partner_id: PartnerPath, order: models.PartnerChange, client: ClientOf, controller: ControllerOf
) -> models.PartnerOut:
    """Another name; or nothing new is sold to it any more."""
    known = _partner(controller, partner_id, Caller(client, ""))
    name = known.name if order.name is None else order.name
    is_active = known.is_active if order.is_active is None else order.is_active
    return _out(await do(controller, SetPartner(Partner(known.id, name, is_active), False, client, order.reason)))


@router.get(
    "/partners/{partner_id}/settlement",
    response_model=models.AccountOut,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}, PDF: {}}}},
)
async def settlement(
    partner_id: PartnerPath,
    month: Month,
    caller: PartnerOrStaff,
    controller: ControllerOf,
    form: Annotated[Literal["json", "csv", "pdf"], Query(alias="format")] = "json",
    language: Annotated[Literal["de", "en"], Query()] = "de",
) -> Response:
    """A partner's account of a month: what was used, what it was worth, what is due."""
    partner = _partner(controller, partner_id, caller)
    bounds = month_bounds(month, controller.live.clocks)
    at_ms, found = now_ms(), await vouchers_of_partner(controller, partner.id)
    lines = await asyncio.to_thread(account, _lots(controller), found, month, *bounds, at_ms)
    site = controller.site.name_en if language == "en" else controller.site.name
    instant = instant_writer(controller.site.time_zone)
    whole = account_files.Account(partner, month, lines, site, at_ms, instant, language)
    name = f'attachment; filename="{partner.id}-{month}.{form}"'
    if form == "csv":
        text = account_files.account_csv(whole)
        return Response(text, media_type=CSV + "; charset=utf-8", headers={"Content-Disposition": name})
    if form == "pdf":
        page = await asyncio.to_thread(account_files.account_pdf, whole)
        return Response(page, media_type=PDF, headers={"Content-Disposition": name})
    lots = []
    for line in lines:
        values = {key: getattr(line, key) for key in models.LotAccountOut.model_fields if hasattr(line, key)}
        same = {key: getattr(line.lot, key) for key in ("name", "kind", "value", "terms", "price_cents")}
        lots.append(models.LotAccountOut(**{**values, **same, "lot": line.lot.id}))
    due, owed = sum(line.due_cents for line in lines), sum(line.owed_cents for line in lines)
    told = {"partner": partner.id, "month": month, "as_of_ms": at_ms, "due_cents": due, "owed_cents": owed}
    return JSONResponse(models.AccountOut(**told, lots=lots).model_dump())


@router.post("/partners/{partner_id}/settlement")
async def close(
    partner_id: PartnerPath, order: models.MonthOrder, client: ClientOf, controller: ControllerOf
) -> models.MonthClosed:
    """Close a month: what was used until its end is settled, once. What is told later comes into the next account."""
    partner = _partner(controller, partner_id, Caller(client, ""))
    _, until_ms = month_bounds(order.month, controller.live.clocks)
    if until_ms > now_ms():
        raise HTTPException(409, "this month is not over yet")
    settled = 0
    while True:
        # In small steps: tills go on between them.
        done = int(await do(controller, CloseMonth(partner.id, order.month, until_ms, client)))
        settled += done
        if done < RANGE_MAX:
            return models.MonthClosed(partner=partner.id, month=order.month, vouchers=settled)


@router.get(
    "/voucher-statistics",
    response_model=models.StatisticsOut,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
async def figures(
    caller: PartnerOrStaff,
    controller: ControllerOf,
    partner: Annotated[str, Query(max_length=32)] = "",
    from_: Annotated[Instant | None, Query(alias="from", description="default: 30 days ago")] = None,
    until: Annotated[Instant | None, Query(description="default: now")] = None,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response:
    """Vouchers used in a time: by area, hour, weekday and lot; how soon after handing out; how many of those given."""
    until_ms = now_ms() if until is None else unix_ms(until)
    days_ms = int(timedelta(days=DAYS_SHOWN).total_seconds()) * 1000
    from_ms = until_ms - days_ms if from_ is None else unix_ms(from_)
    if from_ms > until_ms:
        raise HTTPException(422, "from is after until")
    whose = caller.partner or partner
    if whose:
        whose = _partner(controller, whose, caller).id
    found = await vouchers_of_partner(controller, whose)
    made = await asyncio.to_thread(statistics, _lots(controller), found, from_ms, until_ms, controller.live.clocks)
    if form == "csv":
        headers = {"Content-Disposition": 'attachment; filename="voucher-statistics.csv"'}
        return Response(account_files.statistics_csv(made), media_type=CSV + "; charset=utf-8", headers=headers)
    values = {key: getattr(made, key) for key in models.StatisticsOut.model_fields if hasattr(made, key)}
    told = values | {
        "from_ms": from_ms,
        "until_ms": until_ms,
        "by_area": dict(made.by_area),
        "by_hour": [made.by_hour[hour] for hour in range(24)],
        "by_weekday": [made.by_weekday[day] for day in range(7)],
        "by_lot": {str(lot): count for lot, count in made.by_lot.items()},
    }
    return JSONResponse(models.StatisticsOut(**told).model_dump())


def _partner(controller: Controller, name: str, caller: Caller) -> Partner:
    known = controller.live.vouchers.partners.get(name)
    if known is None or caller.partner not in ("", known.id):
        raise HTTPException(404, "no such partner")
    return known


def _lots(controller: Controller) -> dict[int, Lot]:
    return dict(controller.live.vouchers.lots)


async def vouchers_of_partner(controller: Controller, partner: str) -> list[Voucher]:
    """All vouchers that are a partner's; "": all that there are."""
    mine = (VOUCHER.c.partner == partner,) if partner else ()
    statement = select(*VOUCHER_COLUMNS).where(*mine)

    def load(connection: Connection) -> list[Voucher]:
        return vouchers_of(connection.execute(statement))

    return await read(controller.database, load)


def _out(partner: Partner) -> models.PartnerOut:
    return models.PartnerOut(id=partner.id, name=partner.name, is_active=partner.is_active)
