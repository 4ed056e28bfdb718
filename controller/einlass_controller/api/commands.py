"""Commands to nodes: short-lived, run at most once, and two people for what two people must decide."""

import asyncio
import secrets
from typing import Any

from fastapi import APIRouter, HTTPException
from sqlalchemy import Engine as Database
from sqlalchemy import select

from einlass_controller.api import models
from einlass_controller.api.access import ControllerOf, Supervisor, Watcher
from einlass_controller.api.state import check_node
from einlass_controller.messages import Order
from einlass_controller.store.schema import COMMAND

LIFETIME_MS = 15_000
ID_BYTES = 12

router = APIRouter(tags=["nodes"])


@router.post("/nodes/{node}/commands", status_code=202)
async def order(
    node: str, command: models.CommandOrder, client: Supervisor, controller: ControllerOf
) -> models.CommandOut:
    """Send a command; what became of it is at /api/v1/commands/ID a moment later."""
    check_node(controller.live.nodes, node)
    people = [name.strip() for name in command.by]
    if command.do == "rearm" and (len(people) != 2 or people[0].casefold() == people[1].casefold() or "" in people):
        raise HTTPException(422, "rearm needs the names of two different people in `by`")
    name = secrets.token_hex(ID_BYTES)
    sent = await controller.writer.submit(Order(name, node, command.do, ", ".join(people), LIFETIME_MS))
    if not sent:
        raise HTTPException(
            503, f"node {node!r} has never connected: nothing to bind a command to", {"Retry-After": "5"}
        )
    return await _read(controller.database, name)


@router.get("/commands/{command}")
async def read(command: str, client: Watcher, controller: ControllerOf) -> models.CommandOut:
    """A command, and what the node said: ok, expired, refused, repeated."""
    return await _read(controller.database, command[:48])


async def _read(database: Database, name: str) -> models.CommandOut:
    row = await asyncio.to_thread(_load, database, name)
    if row is None:
        raise HTTPException(404, "no such command")
    return models.CommandOut(**{field: row[field] for field in models.CommandOut.model_fields})


def _load(database: Database, name: str) -> dict[str, Any] | None:
    with database.connect() as connection:
        row = connection.execute(select(COMMAND).where(COMMAND.c.id == name)).mappings().first()
    return dict(row) if row is not None else None
