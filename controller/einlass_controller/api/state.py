"""How things stand: zones, nodes, the ledger, dead letters, and the figure for everybody."""

import asyncio
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import JSONResponse
from sqlalchemy import Engine as Database
from sqlalchemy import Table, select, text

from einlass_controller.api import models
from einlass_controller.api.access import ControllerOf, Watcher
from einlass_controller.store.schema import DEAD_LETTER, LEDGER

PAGE_MAX = 500
_PUBLIC = ("id", "name", "name_en", "cap", "is_open", "guarded", "opens_ms", "closes_ms")

router = APIRouter(tags=["state"])
health = APIRouter(tags=["health"])

After = Annotated[int, Query(ge=0, description="the number of the last one you have; default: the newest ones")]
Size = Annotated[int, Query(alias="limit", ge=1, le=PAGE_MAX)]


@router.get("/zones")
async def zones(client: Watcher, controller: ControllerOf) -> dict[str, Any]:
    """Every zone: present + reserved + leased + free = cap, and when that was true."""
    picture = await controller.writer.look()
    return {"as_of_ms": picture["as_of_ms"], "zones": picture["zones"]}


@router.get("/nodes")
async def nodes(client: Watcher, controller: ControllerOf) -> dict[str, Any]:
    """Every node: whether it can be reached, when it was last heard of, what it has still to tell."""
    picture = await controller.writer.look()
    return {"as_of_ms": picture["as_of_ms"], "nodes": picture["nodes"]}


@router.get("/engine")
async def engine(client: Watcher, controller: ControllerOf) -> models.EngineOut:
    """What the engine has done since its start, and where its time went."""
    return models.EngineOut(**asdict(controller.writer.spent))


@router.get("/ledger")
async def ledger(
    client: Watcher, controller: ControllerOf, after: After = 0, size: Size = 100
) -> list[models.LedgerEntry]:
    """The newest entries of the ledger, or those after one that you have, oldest first."""
    rows = await asyncio.to_thread(_tail, controller.database, LEDGER, after, size)
    return [models.LedgerEntry(**row) for row in rows]


@router.get("/dead-letters")
async def dead_letters(
    client: Watcher, controller: ControllerOf, after: After = 0, size: Size = 100
) -> list[models.DeadLetter]:
    """Messages that could not be used, oldest first."""
    rows = await asyncio.to_thread(_tail, controller.database, DEAD_LETTER, after, size)
    return [models.DeadLetter(**(row | {"payload": row["payload"].decode(errors="replace")})) for row in rows]


@router.get("/public")
async def public(controller: ControllerOf) -> models.Public:
    """Places for whoever comes now: cap - present - reserved - guarded; what lanes hold is among them."""
    picture = await controller.writer.look()
    return models.Public(
        site=picture["site"]["name"],
        as_of_ms=picture["as_of_ms"],
        age_ms=max(0, time.time_ns() // 1_000_000 - picture["as_of_ms"]),
        zones=[
            models.PublicZone(
                **{name: zone[name] for name in _PUBLIC},
                free=zone["to_come"],
                about=bool(zone["lanes_cut_off"]),
            )
            for zone in picture["zones"]
        ],
    )


@health.get("/healthz", response_model=models.Health, responses={503: {"model": models.Health}})
async def healthz(controller: ControllerOf) -> JSONResponse:
    """200 when the database answers and the broker is connected, else 503 with what is missing."""
    database = controller.writer.store_works and await asyncio.to_thread(_answers, controller.database)
    broker = controller.bus.connected.is_set()
    found = {"ok": database and broker, "live": True, "database": database, "broker": broker}
    return JSONResponse(found, 200 if found["ok"] else 503)


def _tail(database: Database, table: Table, after: int, size: int) -> list[dict[str, Any]]:
    statement = select(table).limit(size)
    if after:
        statement = statement.where(table.c.number > after).order_by(table.c.number)
    else:
        statement = statement.order_by(table.c.number.desc())
    with database.connect() as connection:
        rows = [dict(row) for row in connection.execute(statement).mappings()]
    return rows if after else rows[::-1]


def _answers(database: Database) -> bool:
    try:
        with database.connect() as connection:
            connection.execute(text("SELECT 1"))
    except Exception:  # whatever it is, the database does not answer
        return False
    return True


def check_node(known: dict[str, Any], node: str) -> None:
    """404 for a node that is not of this site."""
    if node not in known:
        raise HTTPException(404, f"no node is called {node[:40]!r}: see /api/v1/nodes")
