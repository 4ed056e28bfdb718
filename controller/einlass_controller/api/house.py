"""What the people who run the house order over HTTP: rules and their preview, counts, closing, lockdown, muster."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Path
from sqlalchemy import Connection, select
from sqlalchemy import Engine as Database

from einlass_controller.api import models
from einlass_controller.api.access import Anybody, ClientOf, ControllerOf, Scanner, Supervisor, Watcher
from einlass_controller.domain.catalogue import Catalogue, read_catalogue
from einlass_controller.domain.decision import sentence
from einlass_controller.domain.preview import Change, preview
from einlass_controller.domain.rules import RulesError
from einlass_controller.messages import Correct, Declined, Done, SetMode, SetRules, Shut, Vouch
from einlass_controller.pages.words import instant_writer
from einlass_controller.runtime import Controller
from einlass_controller.store.reading import inside, past_scans, rules_in_force
from einlass_controller.store.schema import RULES

BY_LENGTH_MAX = 100
VERSION_MAX = 1_000_000

router = APIRouter(tags=["house"])

T = TypeVar("T")
Version = Annotated[int, Path(ge=0, le=VERSION_MAX)]
ZoneId = Annotated[str, Path(max_length=40)]
TicketId = Annotated[str, Path(max_length=40)]


@router.get("/products")
async def products(client: Anybody, controller: ControllerOf) -> models.Products:
    """What can be sold now."""
    catalogue = await read(controller.database, lambda connection: rules_in_force(connection, now_ms()))
    return models.Products(
        version=catalogue.version,
        products=[
            models.ProductOut(
                id=item.id,
                name=item.name,
                name_en=item.name_en,
                persons=item.persons,
                entries=item.entries,
                group=item.group,
                slot_minutes=None if item.slots is None else item.slots.minutes,
                rules=[rule.id for rule in item.rules],
            )
            for item in catalogue.products.values()
        ],
    )


@router.get("/rules")
async def versions(client: Watcher, controller: ControllerOf) -> list[models.RulesVersion]:
    """Every version of the house's rules, oldest first. Version 0, which is built in, is not among them."""

    def load(connection: Connection) -> list[models.RulesVersion]:
        columns = (RULES.c.version, RULES.c.valid_from_ms, RULES.c.created_ms, RULES.c.by, RULES.c.reason)
        holds = rules_in_force(connection, now_ms()).version
        rows = connection.execute(select(*columns).order_by(RULES.c.version)).mappings()
        return [models.RulesVersion(**row, in_force=row["version"] == holds) for row in rows]

    return await read(controller.database, load)


@router.get("/rules/{version}")
async def one_version(version: Version, client: Watcher, controller: ControllerOf) -> models.RulesText:
    """The text of a version, as it was given."""
    statement = select(RULES.c.body).where(RULES.c.version == version)
    body = await read(controller.database, lambda connection: connection.execute(statement).scalar())
    if body is None:
        raise HTTPException(404, f"there is no version {version}: see /api/v1/rules")
    return models.RulesText.model_validate_json(f'{{"version":{version},"rules":{body}}}')


@router.post("/rules/preview")
async def try_rules(order: models.RulesTrial, client: Supervisor, controller: ControllerOf) -> models.PreviewOut:
    """What these rules would have decided otherwise in the last scans. Changes nothing."""
    catalogue = _read(order.rules)
    zones_of = {lane.id: lane.zones for lane in controller.live.lanes.values()}
    found = await read(
        controller.database,
        lambda connection: preview(catalogue, past_scans(connection, zones_of, order.last), controller.live.clocks),
    )
    return models.PreviewOut(
        scans=found.scans,
        changed=[
            models.DecidedOtherwise(before=before, after=after, scans=count)
            for (before, after), count in found.changed.most_common()
        ],
        samples=[_sample(controller, change) for change in reversed(found.samples)],
    )


@router.post("/rules", status_code=201, responses={409: {"description": "it cannot replace what holds now"}})
async def put_rules(order: models.RulesOrder, client: ClientOf, controller: ControllerOf) -> models.RulesTaken:
    """A new version of the house's rules, from `valid_from` on (default: at once)."""
    _read(order.rules)
    valid_from_ms = 0 if order.valid_from is None else unix_ms(order.valid_from)
    done = await submit(controller, SetRules(order.rules, valid_from_ms, _by(client, order.by), order.reason))
    return models.RulesTaken(**done)


@router.post("/zones/{zone}/count", responses={404: {"description": "no such zone"}})
async def correct(
    zone: ZoneId, order: models.CountOrder, client: Supervisor, controller: ControllerOf
) -> models.CountTaken:
    """So many people are inside: staff counted them. The ledger keeps who said so and why."""
    done = await submit(controller, Correct(zone, order.count, order.seen, _by(client, order.by), order.reason))
    picture = await controller.writer.look()
    cut_off = next(item["lanes_cut_off"] for item in picture["zones"] if item["id"] == zone)
    return models.CountTaken(**done, lanes_cut_off=cut_off)


@router.post("/zones/{zone}/close", responses={404: {"description": "no such zone"}})
async def close(
    zone: ZoneId, order: models.CloseOrder, client: Supervisor, controller: ControllerOf
) -> models.ShutTaken:
    """No entries from an instant (default: now) until another (default: until it is opened again)."""
    from_ms = now_ms() if order.at is None else unix_ms(order.at)
    until_ms = None if order.until is None else unix_ms(order.until)
    if until_ms is not None and until_ms <= from_ms:
        raise HTTPException(422, "until is not after the instant from which it is closed")
    done = await submit(controller, Shut(zone, from_ms, until_ms, _by(client, order.by), order.reason))
    return models.ShutTaken(**done)


@router.post("/zones/{zone}/open", responses={404: {"description": "no such zone"}})
async def open_again(
    zone: ZoneId, order: models.Reasoned, client: Supervisor, controller: ControllerOf
) -> models.ShutTaken:
    """Take back an early closing; the opening hours hold again."""
    done = await submit(controller, Shut(zone, 0, 0, _by(client, order.by), order.reason))
    return models.ShutTaken(**done)


@router.post("/site/mode", responses={409: {"description": "it takes two people"}})
async def set_mode(order: models.ModeOrder, client: Supervisor, controller: ControllerOf) -> models.ModeTaken:
    """lockdown: nobody comes in, everybody may leave. evacuation: every lane is told. normal: it is over.

    One person is enough to begin. To end an evacuation takes two; each lane is then re-armed by two as well.
    """
    people = [name.strip() for name in order.by]
    mode = "" if order.mode == "normal" else order.mode
    who = SetMode(mode, _by(client, ", ".join(people)), tuple(people), order.reason)
    done = await submit(controller, who)
    return models.ModeTaken(before=done["before"] or "normal", mode=done["mode"] or "normal")


@router.get("/muster")
async def muster(client: Watcher, controller: ControllerOf) -> models.Muster:
    """Who is inside, zone by zone: bodies that sensors counted, and of them those who came with a ticket."""
    known = await read(controller.database, inside)
    picture = await controller.writer.look()
    zones = []
    for zone in picture["zones"]:
        by_ticket = sum(item.persons for item in known if item.zone == zone["id"])
        zones.append(
            models.MusterZone(
                id=zone["id"],
                parent=zone["parent"],
                name=zone["name"],
                name_en=zone["name_en"],
                inside=max(zone["present"], by_ticket),
                counted=zone["present"],
                by_ticket=by_ticket,
                anonymous=max(0, zone["present"] - by_ticket),
                under_way=zone["reserved"],
                about=bool(zone["lanes_cut_off"]) or zone["ghosts"] != 0,
                tickets=[
                    models.MusterTicket(
                        ticket=item.ticket,
                        persons=item.persons,
                        lane=item.lane,
                        since_ms=item.since_ms,
                        doubtful=item.doubtful,
                    )
                    for item in known
                    if item.zone == zone["id"]
                ][: models.MUSTER_TICKETS_MAX],
            )
        )
    return models.Muster(as_of_ms=picture["as_of_ms"], mode=picture["site"]["mode"] or "normal", zones=zones)


@router.post("/tickets/{ticket_id}/proof", responses={404: {"description": "no such ticket"}})
async def vouch(
    ticket_id: TicketId, order: models.ProofOrder, client: Scanner, controller: ControllerOf
) -> models.ProofTaken:
    """Staff saw the proof: for so many minutes a turnstile need not ask for it."""
    until_ms = now_ms() + int(timedelta(minutes=order.minutes).total_seconds()) * 1000
    done = await submit(controller, Vouch(ticket_id.strip().upper(), until_ms, _by(client, order.by)))
    return models.ProofTaken(**done)


async def submit(controller: Controller, message: SetRules | Correct | Shut | SetMode | Vouch) -> dict[str, Any]:
    """What the engine made of an order; 404, 409 or 503 when it did not do it."""
    found = await controller.writer.submit(message)
    if isinstance(found, Declined):
        raise HTTPException(404 if found.missing else 409, found.reason)
    if not isinstance(found, Done):
        raise HTTPException(503, "it could not be stored: try again", {"Retry-After": "1"})
    return found.values


async def read(database: Database, load: Callable[[Connection], T]) -> T:
    """A short read beside the decision path."""

    def work() -> T:
        with database.connect() as connection:
            return load(connection)

    return await asyncio.to_thread(work)


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def unix_ms(instant: datetime) -> int:
    """Unix milliseconds of an instant."""
    return int(instant.timestamp() * 1000)


def _by(client: str, person: str) -> str:
    return f"{client}: {person}"[:BY_LENGTH_MAX] if person else client


def _read(rules: dict[str, Any]) -> Catalogue:
    try:
        return read_catalogue(rules)
    except RulesError as error:
        raise HTTPException(422, str(error)) from error


def _sample(controller: Controller, change: Change) -> models.Sample:
    instant = instant_writer(controller.site.time_zone)
    verdict = change.after
    words = [sentence(verdict.code, verdict.values, name, instant, verdict.text) for name in ("de", "en")]
    return models.Sample(
        decision=f"d{change.scan.number}",
        at_ms=change.scan.at_ms,
        lane=change.scan.lane,
        ticket=change.scan.ticket,
        product=change.scan.product,
        before=change.scan.code,
        after=verdict.code,
        rule=verdict.rule,
        text_de=words[0],
        text_en=words[1],
    )
