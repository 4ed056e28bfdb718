"""Lots, cards, digital vouchers, ranges, public codes. A partner's key sees and hands out what is its own."""

import asyncio
import base64
import hashlib
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from sqlalchemy import Connection, func, select

from einlass_controller import voucher_paper
from einlass_controller.api import voucher_models as models
from einlass_controller.api.access import (
    Caller,
    ClientOf,
    ControllerOf,
    PartnerOrOffice,
    PartnerOrSeller,
    PartnerOrStaff,
    Seller,
    Supervisor,
    Watcher,
)
from einlass_controller.api.house import now_ms, read, unix_ms
from einlass_controller.api.models import CodeIn
from einlass_controller.api.state import PAGE_MAX
from einlass_controller.domain import vouchers
from einlass_controller.domain.decision import Text
from einlass_controller.domain.public_codes import FREE, PublicCode, normal
from einlass_controller.domain.vouchers import STATE_WORDS, Limits, Lot, Voucher
from einlass_controller.issuing import new_code
from einlass_controller.messages import Declined
from einlass_controller.orders import OfficeOrder
from einlass_controller.orders_vouchers import (
    BlockPublicCode,
    ChangeVouchers,
    HandOver,
    MakeLot,
    MakeVouchers,
    SetPublicCode,
)
from einlass_controller.pages.words import instant_writer
from einlass_controller.runtime import Controller
from einlass_controller.steps.vouchers import RANGE_MAX, SERIAL_MAX
from einlass_controller.store.schema import VOUCHER
from einlass_controller.store.vouchers import VOUCHER_COLUMNS, vouchers_of
from einlass_core import codes

LOT_MAX = 1_000_000

router = APIRouter(tags=["vouchers"])

LotId = Annotated[int, Path(ge=1, le=LOT_MAX)]


@router.get("/lots")
async def lots(caller: PartnerOrStaff, controller: ControllerOf) -> list[models.LotOut]:
    """All lots; of a partner's key its own."""
    counted = select(VOUCHER.c.lot, VOUCHER.c.state, func.count()).group_by(VOUCHER.c.lot, VOUCHER.c.state)
    rows = await read(controller.database, lambda connection: list(connection.execute(counted).all()))
    counts: dict[int, dict[str, int]] = {}
    for lot, state, count in rows:
        counts.setdefault(int(lot), {})[str(state)] = int(count)
    known = controller.live.vouchers.lots.values()
    return [_lot_out(lot, counts.get(lot.id, {})) for lot in known if caller.partner in ("", lot.partner)]


@router.post("/lots", status_code=201)
async def make_lot(order: models.LotOrder, client: ClientOf, controller: ControllerOf) -> models.LotOut:
    """A new lot: its serial numbers are reserved, its codes are made when they are printed or handed out."""
    if order.value > vouchers.WORTH_MAX[order.kind]:
        raise HTTPException(422, f"value: at most {vouchers.WORTH_MAX[order.kind]} {order.kind}")
    if order.medium == vouchers.DIGITAL and not order.partner:
        raise HTTPException(422, "partner: digital vouchers are handed out by the partner that they belong to")
    first_ms, last_ms = _ms(order.valid_from), _ms(order.valid_until)
    if first_ms is not None and last_ms is not None and first_ms > last_ms:
        raise HTTPException(422, "valid_from is after valid_until")
    lot = Lot(
        id=0,
        partner=order.partner,
        kind=order.kind,
        value=order.value,
        medium=order.medium,
        first=0,
        last=0,
        made=0,
        terms=order.terms,
        price_cents=order.price_cents,
        valid_from_ms=first_ms,
        valid_until_ms=last_ms,
        limits=limits_of(order.limits, controller),
        while_cut_off=order.while_cut_off,
        name=order.name,
    )
    return _lot_out(await do(controller, MakeLot(lot, order.size, client)), {})


@router.post(
    "/lots/{lot_id}/print",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
async def print_cards(lot_id: LotId, order: models.PrintOrder, client: Seller, controller: ControllerOf) -> Response:
    """Make the next vouchers and draw them as checkcard sheets. Their codes are in this answer and nowhere else."""
    lot = _lot(controller, lot_id, Caller(client, ""))
    if lot.medium != vouchers.CARD:
        raise HTTPException(422, "these vouchers are digital: hand them out")
    made, cards = await _make(controller, lot, order.n, order.activate, Caller(client, ""))
    languages = ("de", "en") if order.language == "both" else (order.language,)
    sheet = sheet_of(controller, made, languages)
    image = await asyncio.to_thread(voucher_paper.pdf, sheet, cards)
    name = f"vouchers-{cards[0].serial}-{cards[-1].serial}.pdf"
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
    headers |= {"Einlass-First": str(cards[0].serial), "Einlass-Last": str(cards[-1].serial)}
    return Response(image, media_type="application/pdf", headers=headers)


@router.post("/lots/{lot_id}/hand-out", status_code=201)
async def hand_out(
    lot_id: LotId, caller: PartnerOrSeller, controller: ControllerOf, request: Request
) -> models.HandedOut:
    """One digital voucher, active at once."""
    lot = _lot(controller, lot_id, caller)
    if lot.medium != vouchers.DIGITAL:
        raise HTTPException(422, "these vouchers are cards: print them")
    made, cards = await _make(controller, lot, 1, True, caller)
    card = cards[0]
    image = await asyncio.to_thread(voucher_paper.png, sheet_of(controller, made, ("de", "en")), card)
    # What stands behind the # is never sent to a server, so that no log has the code.
    link = f"{str(request.base_url).rstrip('/')}/voucher#{codes.in_groups(card.code)}"
    typed, png = codes.in_groups(card.code), base64.b64encode(image).decode()
    return models.HandedOut(serial=card.serial, code=card.code, typed=typed, link=link, png=png)


@router.get("/vouchers")
async def search(
    caller: PartnerOrStaff,
    controller: ControllerOf,
    lot: Annotated[int | None, Query(ge=1, le=LOT_MAX)] = None,
    state: Annotated[
        Literal["printed", "activated", "held", "redeemed", "settled", "blocked", "returned", "voided"] | None, Query()
    ] = None,
    partner: Annotated[str | None, Query(max_length=32)] = None,
    after: Annotated[int, Query(ge=0, le=SERIAL_MAX)] = 0,
    size: Annotated[int, Query(alias="limit", ge=1, le=PAGE_MAX)] = 100,
) -> models.VoucherPage:
    """Vouchers that are all of this, a page at a time."""
    wanted = {VOUCHER.c.lot: lot, VOUCHER.c.state: state, VOUCHER.c.partner: caller.partner or partner}
    conditions = [column == value for column, value in wanted.items() if value is not None]
    found = await _load(controller, size, VOUCHER.c.serial > after, *conditions)
    return models.VoucherPage(vouchers=found, next=found[-1].serial if len(found) == size else None)


@router.get("/vouchers/{serial}")
async def one(
    serial: Annotated[int, Path(ge=1, le=SERIAL_MAX)], caller: PartnerOrStaff, controller: ControllerOf
) -> models.VoucherOut:
    """A voucher by its serial number."""
    return await _one(controller, caller, VOUCHER.c.serial == serial)


@router.post("/vouchers/find")
async def find(given: CodeIn, caller: PartnerOrStaff, controller: ControllerOf) -> models.VoucherOut:
    """A voucher by its code, typed or scanned."""
    proof = controller.intake.prove(given.code.encode(errors="replace"))
    if not proof.digest:
        raise HTTPException(404, "no such voucher")
    return await _one(controller, caller, VOUCHER.c.digest == proof.digest, VOUCHER.c.code_sha256 == proof.sha256)


@router.post("/vouchers/change")
async def change(order: models.RangeOrder, caller: PartnerOrOffice, controller: ControllerOf) -> models.RangeOut:
    """Activate, block, unblock, take back or void a range of serial numbers, for instance a stolen box.

    A partner's key may block its own, and nothing else.
    """
    if caller.partner and order.do != vouchers.BLOCK:
        raise HTTPException(403, "a partner may block its own vouchers; all else is done by the house")
    if order.last < order.first:
        raise HTTPException(422, "last is before first")
    if order.last - order.first >= RANGE_MAX:
        raise HTTPException(422, f"at most {RANGE_MAX} vouchers at once: give smaller ranges")
    if (order.do == vouchers.ACTIVATE) != bool(order.partner):
        raise HTTPException(422, "partner: who buys them, when they are activated, and only then")
    message = ChangeVouchers(
        order.do, order.first, order.last, order.reason, caller.client, order.partner, caller.partner
    )
    found = await do(controller, message)
    values = asdict(found)
    return models.RangeOut(**{**values, "waiting": list(found.waiting)})


@router.post("/vouchers/hand-over")
async def hand_over(order: models.HandOverOrder, client: Supervisor, controller: ControllerOf) -> models.RangeOut:
    """Make a range a till's own, to use while it is cut off; or (without a till) ask for it back; or call it lost."""
    if order.till and order.lost:
        raise HTTPException(422, "lost: it comes back to the controller, without a till")
    by = f"{client}: {order.by}" if order.by else client
    found = await do(controller, HandOver(order.first, order.last, order.till, order.lost, order.reason, by))
    values = asdict(found)
    return models.RangeOut(**values | {"waiting": list(values["waiting"])})


@router.get("/public-codes")
async def public_codes(client: Watcher, controller: ControllerOf) -> list[models.PublicCodeOut]:
    """Codes that anybody may use inside a window."""
    return [_code_out(code) for code in controller.live.vouchers.codes.values()]


@router.post("/public-codes", status_code=201)
async def make_public_code(
    order: models.PublicCodeOrder, client: ClientOf, controller: ControllerOf
) -> models.PublicCodeOut:
    """A new one, as it will stand in the paper. It is no secret."""
    first_ms, last_ms = unix_ms(order.valid_from), unix_ms(order.valid_until)
    if first_ms > last_ms:
        raise HTTPException(422, "valid_from is after valid_until")
    if (order.kind == FREE) != (order.value == 0):
        raise HTTPException(422, "value: how much it is worth; 0 for a free stay, and only then")
    if order.kind != FREE and order.value > vouchers.WORTH_MAX[order.kind]:
        raise HTTPException(422, f"value: at most {vouchers.WORTH_MAX[order.kind]} {order.kind}")
    limits = limits_of(order.limits, controller)
    words = (normal(order.code), order.name, order.kind, order.value, first_ms, last_ms)
    return _code_out(await do(controller, SetPublicCode(PublicCode(*words, limits, order.total_max), client)))


@router.post("/public-codes/{code}/change")
async def change_public_code(
    code: Annotated[str, Path(max_length=16)],
    order: models.PublicCodeChange,
    client: Supervisor,
    controller: ControllerOf,
) -> models.PublicCodeOut:
    """End it before its time, or take that back."""
    return _code_out(await do(controller, BlockPublicCode(normal(code), order.blocked, order.reason, client)))


async def do(controller: Controller, order: OfficeOrder) -> Any:
    """What the engine made of an order; 404 or 409 when it did not do it."""
    found = await controller.writer.submit(order)
    if isinstance(found, Declined):
        raise HTTPException(404 if found.missing else 409, found.reason)
    if found is None:
        raise HTTPException(503, "it could not be stored: try again", {"Retry-After": "1"})
    return found


def limits_of(given: models.LimitsIO, controller: Controller) -> Limits:
    """Limits as the rules have them; 422 for an area that the site does not have."""
    for area in given.areas:
        check_area(area, controller)
    days = tuple(dict.fromkeys(given.weekdays))
    areas = tuple(dict.fromkeys(given.areas))
    return Limits(given.per_stay, given.per_plate_day, given.partner_per_stay, areas, days)


def check_area(area: str, controller: Controller) -> None:
    """422 for an area that the site does not have."""
    if area not in controller.live.areas:
        raise HTTPException(422, f"area {area!r} is not known; known are: {', '.join(controller.live.areas)}")


def sheet_of(controller: Controller, lot: Lot, languages: tuple[str, ...]) -> voucher_paper.Sheet:
    """What stands on the vouchers of a lot."""
    site, live = controller.site, controller.live
    partner = live.vouchers.partners.get(lot.partner)
    areas = tuple(Text(live.areas[area].name, live.areas[area].name_en) for area in lot.limits.areas)
    names = Text(site.name, site.name_en), "" if partner is None else partner.name
    return voucher_paper.Sheet(lot, *names, areas, instant_writer(site.time_zone), languages)


async def _make(
    controller: Controller, lot: Lot, n: int, activate: bool, caller: Caller
) -> tuple[Lot, list[voucher_paper.Card]]:
    made = [new_code() for _ in range(n)]
    proofs = tuple((codes.digest(code), hashlib.sha256(code.encode()).hexdigest()) for code in made)
    serials = await do(controller, MakeVouchers(lot.id, proofs, activate, caller.partner, caller.client))
    cards = [voucher_paper.Card(serial, code) for serial, code in zip(serials, made, strict=True)]
    return controller.live.vouchers.lots[lot.id], cards


def _lot(controller: Controller, name: int, caller: Caller) -> Lot:
    lot = controller.live.vouchers.lots.get(name)
    if lot is None or caller.partner not in ("", lot.partner):
        raise HTTPException(404, "no such lot")
    return lot


async def _one(controller: Controller, caller: Caller, *conditions: Any) -> models.VoucherOut:
    mine = (VOUCHER.c.partner == caller.partner,) if caller.partner else ()
    found = await _load(controller, 1, *conditions, *mine)
    if not found:
        raise HTTPException(404, "no such voucher")
    return found[0]


async def _load(controller: Controller, size: int, *conditions: Any) -> list[models.VoucherOut]:
    statement = select(*VOUCHER_COLUMNS).where(*conditions).order_by(VOUCHER.c.serial).limit(size)

    def load(connection: Connection) -> list[Voucher]:
        return vouchers_of(connection.execute(statement))

    book = controller.live.vouchers
    at_ms = now_ms()
    return [_voucher_out(item, book.lots[item.lot], at_ms) for item in await read(controller.database, load)]


def _voucher_out(item: Voucher, lot: Lot, at_ms: int) -> models.VoucherOut:
    shown = {name: getattr(item, name) for name in models.VoucherOut.model_fields if hasattr(item, name)}
    state = vouchers.seen_as(item, lot, at_ms)
    words = STATE_WORDS[state]
    more = {"kind": lot.kind, "value": lot.value, "state_de": words.de, "state_en": words.en, "state": state}
    window = {"valid_from_ms": lot.valid_from_ms, "valid_until_ms": lot.valid_until_ms}
    return models.VoucherOut(**{**shown, **more, **window})


def _lot_out(lot: Lot, counts: dict[str, int]) -> models.LotOut:
    shown = {name: getattr(lot, name) for name in models.LotOut.model_fields if hasattr(lot, name)}
    return models.LotOut(**{**shown, "limits": _limits_out(lot.limits), "counts": counts})


def _code_out(code: PublicCode) -> models.PublicCodeOut:
    shown = {name: getattr(code, name) for name in models.PublicCodeOut.model_fields}
    return models.PublicCodeOut(**{**shown, "limits": _limits_out(code.limits)})


def _limits_out(limits: Limits) -> models.LimitsIO:
    values = asdict(limits)
    return models.LimitsIO(**{**values, "areas": list(limits.areas), "weekdays": list(limits.weekdays)})


def _ms(instant: Any) -> int | None:
    return None if instant is None else unix_ms(instant)
