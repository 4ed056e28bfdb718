"""Who may use the API: a key in the Authorization header, known to the database only as a hash."""

import asyncio
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Engine as Database
from sqlalchemy import select

from einlass_controller.runtime import Controller
from einlass_controller.setup import hash_api_key
from einlass_controller.store.schema import API_KEY

KEY_LENGTH_MAX = 200
CLIENT_PREFIX = "api:"

_bearer = HTTPBearer(auto_error=False, description="The key that the set-up saved in the file `api-key`")


def controller_of(request: Request) -> Controller:
    """The controller that this application serves."""
    controller = request.app.state.controller
    assert isinstance(controller, Controller)
    return controller


ControllerOf = Annotated[Controller, Depends(controller_of)]


async def client_of(
    controller: ControllerOf, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> str:
    """The client's name, "api:" and the key's; 401 without a key that is known."""
    name = None
    if given is not None and len(given.credentials) <= KEY_LENGTH_MAX:
        name = await asyncio.to_thread(_name_of, controller.database, hash_api_key(given.credentials))
    if name is None:
        raise HTTPException(401, "send `Authorization: Bearer KEY` with a known key", {"WWW-Authenticate": "Bearer"})
    return CLIENT_PREFIX + name


ClientOf = Annotated[str, Depends(client_of)]


def _name_of(database: Database, key_sha256: str) -> str | None:
    with database.connect() as connection:
        return connection.execute(select(API_KEY.c.name).where(API_KEY.c.key_sha256 == key_sha256)).scalar()
