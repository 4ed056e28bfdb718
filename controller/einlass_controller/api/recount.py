"""Counting people after a restore: what is waited for, and the count."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import Field

from einlass_controller.api import models
from einlass_controller.api.access import ControllerOf, Supervisor, Watcher
from einlass_controller.domain import recount
from einlass_controller.domain.decision import Text
from einlass_controller.orders import ConfirmRecount, Recounted
from einlass_controller.runtime import Controller

PEOPLE_MAX = 1_000_000
NAMES_MAX = 500

Name = Annotated[str, Field(max_length=40)]
People = Annotated[int, Field(ge=0, le=PEOPLE_MAX)]

WORDS = {
    "not_needed": Text("Es muss nicht gezählt werden.", "No count is needed."),
    "zones": Text(
        "Für jeden Bereich eine Zahl, und nur für diese: {names}", "One figure for each zone and no other: {names}"
    ),
    "waiting": Text(
        "Noch nicht: dort ist jemand unterwegs, oder der Eingang hat noch nicht neu begonnen: {names}",
        "Not yet: somebody is under way there, or the lane has not begun anew: {names}",
    ),
    "unreached": Text(
        "Nicht erreichbar: {names}. Dort von Hand schließen, dann in `without` nennen.",
        "Cannot be reached: {names}. Shut them by hand, then name them in `without`.",
    ),
    "leased": Text(
        "Noch geliehene Plätze: {names}. So lange warten, oder ihre Knoten ausschalten (das beendet, was ihnen geliehen"
        " ist) und in `switched_off` nennen.",
        "May still hold places that were lent to them: {names}. Wait so long, or switch their nodes off (which ends"
        " what was lent to them) and name them in `switched_off`.",
    ),
    "done": Text("Gezählt: Einlass läuft wieder.", "Counted: people are let in again."),
}

router = APIRouter(tags=["recount"])


class Count(models.Model):
    """How many people are in each zone now (those of a zone within it included)."""

    people: dict[Annotated[str, Field(max_length=40)], Annotated[int, Field(ge=0, le=PEOPLE_MAX)]] = Field(
        max_length=500
    )
    without: list[Annotated[str, Field(max_length=40)]] = Field(
        default=[], max_length=500, description="lanes out of reach, shut by hand; not while they may hold lent places"
    )
    switched_off: list[Annotated[str, Field(max_length=40)]] = Field(
        default=[], max_length=500, description="lanes out of reach whose node has been seen to have no power"
    )


class RecountState(models.Model):
    """needed "": no. waiting: lanes that have to begin anew, or where somebody is under way.

    leased_s: those of them that may still let people in with places that were lent to them, and for how many seconds.
    """

    needed: str
    epoch: int
    waiting: list[str]
    leased_s: dict[str, int]


class RecountDone(RecountState):
    """After a count."""

    text_de: str
    text_en: str


@router.get("/recount")
async def read(client: Watcher, controller: ControllerOf) -> RecountState:
    """Whether people must be counted before anybody is let in again, and why."""
    return RecountState(**_state(controller))


@router.post("/recount")
async def confirm(order: Count, client: Supervisor, controller: ControllerOf) -> RecountDone:
    """People were counted; from now on they are let in again. 409 with what is still in the way."""
    done = await controller.writer.submit(_order(order, client))
    if not isinstance(done, Recounted):
        raise HTTPException(503, "the count could not be stored: try again", {"Retry-After": "1"})
    words = WORDS[done.what]
    waits = dict(zip(done.names, done.waits_ms, strict=False))
    names = ", ".join(f"{name} ({_minutes(waits[name])} min)" if name in waits else name for name in done.names)
    text = Text(words.de.format(names=names), words.en.format(names=names))
    if done.what != "done":
        raise models.Contradiction(text)
    return RecountDone(**_state(controller), text_de=text.de, text_en=text.en)


def _state(controller: Controller) -> dict[str, Any]:
    live = controller.live
    waiting = recount.waiting(live.books) if live.recount else []
    waits = recount.leased(live.books, waiting, controller.steady.ms())
    leased_s = {lane: -(-wait_ms // 1000) for lane, wait_ms in waits.items()}
    return {"needed": live.recount, "epoch": live.epoch, "waiting": waiting, "leased_s": leased_s}


def _order(order: Count, client: str) -> ConfirmRecount:
    return ConfirmRecount(order.people, tuple(order.without), client, tuple(order.switched_off))


def _minutes(wait_ms: int) -> int:
    return -(-wait_ms // 60_000)
