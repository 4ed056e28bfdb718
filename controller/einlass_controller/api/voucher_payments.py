"""A cashier's till takes vouchers: hold, commit with the payment, release. A refusal is an answer (200), not an error.

Over HTTP a till serves nobody before it was answered, so that a hold may end by the clock.
"""

import json
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, select

from einlass_controller.api import voucher_models as models
from einlass_controller.api.access import ControllerOf, Office, Seller, Supervisor
from einlass_controller.api.house import read
from einlass_controller.api.vouchers import check_area, do
from einlass_controller.domain.decision import sentence
from einlass_controller.domain.public_codes import normal
from einlass_controller.domain.vouchers import ANSWERS, HELD
from einlass_controller.orders import OfficeOrder
from einlass_controller.orders_vouchers import CommitPayment, EndPayment, HoldVoucher, ReleasePayment, Till, Use
from einlass_controller.pages.words import instant_writer
from einlass_controller.runtime import Controller
from einlass_controller.store.schema import PAYMENT, VOUCHER
from einlass_controller.voucher_book import OPEN

PAYMENTS_SHOWN_MAX = 500

router = APIRouter(tags=["vouchers"])


@router.post("/vouchers/hold", response_model=models.Held)
async def hold(order: models.HoldOrder, client: Seller, controller: ControllerOf) -> JSONResponse:
    """Hold a voucher (or a public code) for a payment, 60 seconds at most; the answer says what it is worth."""
    check_area(order.area, controller)
    proof = controller.intake.prove(order.code.encode(errors="replace"))
    plate = "".join(order.plate.upper().split()).replace("-", "")
    message = HoldVoucher(
        _till(client, order.inc),
        order.number,
        order.payment,
        proof,
        normal(order.code),
        order.area,
        order.stay,
        controller.intake.mask(plate.encode()) if plate else "",
    )
    said = await _ask(controller, message)
    instant = instant_writer(controller.site.time_zone)
    for language in ("de", "en"):
        said[f"text_{language}"] = sentence(said["code"], said["values"], language, instant, ANSWERS[said["code"]])
    return JSONResponse(said)


@router.post("/vouchers/commit", response_model=models.Committed)
async def commit(order: models.CommitOrder, client: Seller, controller: ControllerOf) -> JSONResponse:
    """The payment was made: what it used is used, what else it held is free. 409: it does not hold that (any more)."""
    uses = tuple(Use(item.serial, normal(item.code), item.value, item.saved_cents) for item in order.uses)
    if any(bool(item.serial) == bool(item.code) for item in uses):
        raise HTTPException(422, "uses: each has a serial number or a public code")
    money = (order.fee_cents, order.paid_cents)
    return JSONResponse(await _ask(controller, CommitPayment(_till(client, order.inc), order.payment, uses, *money)))


@router.post("/vouchers/release", response_model=models.Released)
async def release(order: models.ReleaseOrder, client: Seller, controller: ControllerOf) -> JSONResponse:
    """The payment was broken off: all that it held is free."""
    return JSONResponse(await _ask(controller, ReleasePayment(_till(client, order.inc), order.payment)))


@router.get("/voucher-payments")
async def payments(client: Office, controller: ControllerOf) -> list[models.PaymentOut]:
    """Payments that hold vouchers now, the oldest first."""
    columns = (PAYMENT.c.key, PAYMENT.c.node, PAYMENT.c.area, PAYMENT.c.opened_ms, PAYMENT.c.until_ms)
    statement = select(*columns).where(PAYMENT.c.state == OPEN).order_by(PAYMENT.c.opened_ms).limit(PAYMENTS_SHOWN_MAX)
    open_now = select(PAYMENT.c.key).where(PAYMENT.c.state == OPEN)
    held = select(VOUCHER.c.payment, VOUCHER.c.serial).where(VOUCHER.c.state == HELD, VOUCHER.c.payment.in_(open_now))

    def load(connection: Connection) -> list[models.PaymentOut]:
        serials: dict[str, list[int]] = {}
        for key, serial in connection.execute(held.order_by(VOUCHER.c.serial)):
            serials.setdefault(str(key), []).append(int(serial))
        rows = connection.execute(statement).mappings()
        return [models.PaymentOut(**row, held=serials.get(row["key"], [])) for row in rows]

    return await read(controller.database, load)


@router.post("/voucher-payments/end", response_model=models.Released)
async def end(order: models.EndOrder, client: Supervisor, controller: ControllerOf) -> JSONResponse:
    """Decide that the till of a payment will not come back and has used nothing: what it holds is free."""
    by = f"{client}: {order.by}" if order.by else client
    return JSONResponse(await _ask(controller, EndPayment(order.key, order.reason, by)))


def _till(client: str, inc: str) -> Till:
    return Till(client, inc, asks_first=True)


async def _ask(controller: Controller, message: OfficeOrder) -> dict[str, Any]:
    found = await do(controller, message)
    if found.conflict:
        raise HTTPException(409, "this number was used for something else: count on for every question and payment")
    return dict(json.loads(found.answer))
