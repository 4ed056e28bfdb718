"""The keys that sign tickets: list, make a new one, revoke one. Private halves never leave their file."""

import asyncio
import time

from fastapi import APIRouter, HTTPException

from einlass_controller.api import models
from einlass_controller.api.access import Anybody, ClientOf, ControllerOf
from einlass_controller.orders import AddSigningKey, RevokeSigningKey
from einlass_controller.runtime import Controller
from einlass_core.signed import PublicKey

router = APIRouter(tags=["signing keys"])


@router.get("/signing-keys")
async def listed(client: Anybody, controller: ControllerOf) -> list[models.SigningKey]:
    """All keys, those that count no more too."""
    return [_shown(controller, key) for key in sorted(controller.live.ring.values(), key=lambda key: key.id)]


@router.post("/signing-keys", status_code=201)
async def rotate(order: models.Rotation, client: ClientOf, controller: ControllerOf) -> models.SigningKey:
    """A new key signs from now on; tickets of the others count until `old_until`."""
    old_until_ms = None if order.old_until is None else int(order.old_until.timestamp() * 1000)
    return _shown(controller, await _add(controller, client, old_until_ms))


@router.post("/signing-keys/{key}/revoke")
async def revoke(key: int, why: models.ReasonIn, client: ClientOf, controller: ControllerOf) -> models.SigningKey:
    """What this key has signed counts no more, at once and for good."""
    if not await controller.writer.submit(RevokeSigningKey(key, why.reason, client)):
        raise HTTPException(404, "no such key")
    return _shown(controller, controller.live.ring[key])


async def key_that_signs(controller: Controller, client: str) -> PublicKey:
    """The newest key that counts and whose private half is here; the first one is made when it is needed."""
    now_ms = time.time_ns() // 1_000_000
    for key in sorted(controller.live.ring.values(), key=lambda key: -key.id):
        counts = key.revoked_ms is None and (key.verify_until_ms is None or key.verify_until_ms > now_ms)
        if counts and controller.signer.has(key.public):
            return key
    return await _add(controller, client, None)


async def _add(controller: Controller, client: str, old_until_ms: int | None) -> PublicKey:
    if not controller.signer.can_keep:
        raise HTTPException(409, "no place for private keys: set state_dir in controller.toml")
    public = await asyncio.to_thread(controller.signer.make)
    name = await controller.writer.submit(AddSigningKey(public, old_until_ms, client))
    if not isinstance(name, int):
        raise HTTPException(503, "the key could not be stored: try again", {"Retry-After": "1"})
    return controller.live.ring[name]


def _shown(controller: Controller, key: PublicKey) -> models.SigningKey:
    return models.SigningKey(
        id=key.id,
        public=key.public.hex(),
        verify_until_ms=key.verify_until_ms,
        revoked_ms=key.revoked_ms,
        can_sign=controller.signer.has(key.public),
    )
