"""API keys: who may use the API for what, and how often."""

import asyncio
from typing import Any

from fastapi import APIRouter, HTTPException
from sqlalchemy import Engine as Database
from sqlalchemy import select

from einlass_controller.api import models
from einlass_controller.api.access import ClientOf, ControllerOf, KeysOf
from einlass_controller.orders import AddApiKey, RevokeApiKey
from einlass_controller.setup import PARTNER, hash_api_key, new_api_key
from einlass_controller.store.schema import API_KEY

NAME_LENGTH_MAX = 32

router = APIRouter(tags=["keys"])


@router.get("/keys")
async def listed(client: ClientOf, controller: ControllerOf) -> list[models.ApiKey]:
    """All keys, without the keys themselves."""
    return [_shown(row) for row in await asyncio.to_thread(_rows, controller.database)]


@router.post("/keys", status_code=201)
async def add(order: models.KeyOrder, client: ClientOf, controller: ControllerOf, keys: KeysOf) -> models.NewApiKey:
    """A new key; it is told in this answer and never again."""
    made = new_api_key()
    scopes = tuple(sorted(set(order.scopes)))
    if (PARTNER in scopes) != bool(order.partner) or (PARTNER in scopes and len(scopes) > 1):
        raise HTTPException(
            422, "a key with the scope partner has a partner and no other scope; others have no partner"
        )
    if order.partner and order.partner not in controller.live.vouchers.partners:
        raise HTTPException(422, f"partner {order.partner!r} is not known")
    message = AddApiKey(order.name, hash_api_key(made), scopes, order.rate_per_s, client, order.partner)
    if not await controller.writer.submit(message):
        raise HTTPException(409, f"a key is called {order.name!r} already: names are not used twice")
    keys.forget()
    return models.NewApiKey(name=order.name, key=made, scopes=list(scopes), rate_per_s=order.rate_per_s)


@router.post("/keys/{name}/revoke")
async def revoke(name: str, client: ClientOf, controller: ControllerOf, keys: KeysOf) -> models.ApiKey:
    """This key opens nothing any more, at once and for good."""
    if not await controller.writer.submit(RevokeApiKey(name[:NAME_LENGTH_MAX], client)):
        raise HTTPException(404, "no such key")
    keys.forget()
    rows = await asyncio.to_thread(_rows, controller.database, API_KEY.c.name == name[:NAME_LENGTH_MAX])
    return _shown(rows[0])


def _rows(database: Database, *conditions: Any) -> list[Any]:
    columns = (API_KEY.c.name, API_KEY.c.scopes, API_KEY.c.rate_per_s, API_KEY.c.created_ms, API_KEY.c.revoked_ms)
    with database.connect() as connection:
        return list(
            connection.execute(select(*columns, API_KEY.c.partner).where(*conditions).order_by(API_KEY.c.name)).all()
        )


def _shown(row: Any) -> models.ApiKey:
    return models.ApiKey(
        name=row.name,
        scopes=row.scopes.split(),
        rate_per_s=row.rate_per_s,
        created_ms=row.created_ms,
        revoked_ms=row.revoked_ms,
        partner=row.partner,
    )
