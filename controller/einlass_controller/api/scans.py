"""Scans by hand, over HTTP: the same engine, the same decisions. A refusal is an answer (200), not an error."""

import json
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse

from einlass_controller.api import models
from einlass_controller.api.access import ControllerOf, Scanner
from einlass_controller.domain.decision import Text, sentence
from einlass_controller.lane_changes import DESK_PREFIX
from einlass_controller.messages import Proof, Redeem, Redeemed
from einlass_controller.pages.words import instant_writer
from einlass_controller.runtime import Controller

router = APIRouter(tags=["scans"])


@router.post("/redeem", response_model=models.DecisionOut, responses={409: {"description": "nonce used otherwise"}})
async def redeem(order: models.RedeemOrder, client: Scanner, controller: ControllerOf) -> JSONResponse:
    """A scan where staff stands: decision, release and passage in one. 409: this nonce was for another scan."""
    lane = _lane(controller, order)
    proof = controller.intake.prove(order.code.encode(errors="replace"))
    result = await controller.writer.submit(_scan(order, client, lane, proof))
    if not isinstance(result, Redeemed):
        raise HTTPException(503, "the scan could not be decided: try again", {"Retry-After": "1"})
    if result.conflict:
        raise HTTPException(409, "this nonce was used for another scan: make a new one for every scan")
    return JSONResponse(_with_words(controller, json.loads(result.answer)))


def _scan(order: models.RedeemOrder, client: str, lane: str, proof: Proof) -> Redeem:
    said = (order.persons, order.proof_seen, order.paid_cents)
    return Redeem(client, lane, order.side, order.nonce, proof, *said)


def _lane(controller: Controller, order: models.RedeemOrder) -> str:
    zones = list(controller.live.areas)
    if not order.lane and not order.zone and len(zones) > 1:
        raise HTTPException(422, f"say which zone: {', '.join(zones)}")
    name = order.lane or DESK_PREFIX + (order.zone or zones[0])
    lane = controller.live.lanes.get(name)
    if lane is None:
        raise HTTPException(422, f"lane {name!r} is not known")
    if lane.node:
        raise HTTPException(422, f"lane {name!r} is driven by node {lane.node!r}: scan there, or use a desk")
    return name


def _with_words(controller: Controller, decision: dict[str, Any]) -> dict[str, Any]:
    instant = instant_writer(controller.site.time_zone)
    own = decision.pop("text", None)
    text = Text(**own) if own else None
    for language in ("de", "en"):
        decision[f"text_{language}"] = sentence(decision["code"], decision["values"], language, instant, text)
    return decision
