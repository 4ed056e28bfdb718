"""Who may use the API for what: a key in the Authorization header, its scopes, and how often it may ask.

Every route either names the scopes that open it (Needs) or stands in OPEN_ROUTES; a test looks at all of them.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPBearer
from sqlalchemy import Engine as Database
from sqlalchemy import select

from einlass_controller.domain.rate import Bucket
from einlass_controller.runtime import Controller
from einlass_controller.setup import ADMIN, PARTNER, READ, SCAN, SELL, SUPERVISE, hash_api_key
from einlass_controller.store.schema import API_KEY

KEY_LENGTH_MAX = 200
CLIENT_PREFIX = "api:"
# A key that another process added or revoked counts from then on.
KEYS_AGE_MAX_S = 1.0
OPEN_ROUTES = frozenset(
    (
        *("/", "/live", "/favicon.ico", "/healthz", "/static", "/api/v1/public", "/api/v1/openapi.json"),
        # Whoever has a digital voucher's link sees his own voucher; codes nobody can guess are the key.
        *("/voucher", "/voucher/picture"),
        # What parking costs here is on the sign at the entrance, too.
        *(
            "/tariff",
            # Where a key is shown to get a session, and given back.
            "/login",
            "/logout",
            "/api/v1/public/tariffs",
            "/api/v1/public/tariffs/{name}/fee",
            "/api/v1/public/tariffs/{name}/time",
        ),
    ),
)

_KEY_WORDS = "The key that the set-up saved in the file `api-key`, or another"


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as it is stored. partner: whose own vouchers it is for; "": the house's."""

    name: str
    scopes: frozenset[str]
    rate_per_s: int
    partner: str = ""


class Keys:
    """The keys that count now, and what is left of each one's rate."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, Key] = {}
        self._buckets: dict[str, Bucket] = {}
        self._read_at_s: float | None = None
        self._lock = asyncio.Lock()

    def forget(self) -> None:
        """Something has changed: read them again before the next request."""
        self._read_at_s = None

    async def find(self, key: str) -> Key | None:
        """The key, if it is known and not revoked."""
        return await self.of_hash(hash_api_key(key))

    async def of_hash(self, key_sha256: str) -> Key | None:
        """The same by what is stored of it."""
        async with self._lock:
            if self._read_at_s is None or time.monotonic() - self._read_at_s > KEYS_AGE_MAX_S:
                self._known = await asyncio.to_thread(self._read)
                self._read_at_s = time.monotonic()
        return self._known.get(key_sha256)

    def wait_ms(self, key: Key) -> int:
        """0: go on; else how long until this key may ask again."""
        now_ms = time.monotonic_ns() // 1_000_000
        bucket = self._buckets.get(key.name)
        if bucket is None or bucket.rate_per_s != key.rate_per_s:
            bucket = self._buckets[key.name] = Bucket(key.rate_per_s, now_ms)
        return bucket.take(now_ms)

    def _read(self) -> dict[str, Key]:
        columns = (API_KEY.c.key_sha256, API_KEY.c.name, API_KEY.c.scopes, API_KEY.c.rate_per_s, API_KEY.c.partner)
        with self._database.connect() as connection:
            rows = connection.execute(select(*columns).where(API_KEY.c.revoked_ms.is_(None)))
            return {row[0]: Key(row[1], frozenset(row[2].split()), row[3], row[4]) for row in rows}


# async: a plain function would be sent to a thread for every request.
async def controller_of(request: Request) -> Controller:
    """The controller that this application serves."""
    controller = request.app.state.controller
    assert isinstance(controller, Controller)
    return controller


async def keys_of(request: Request) -> Keys:
    """The keys of this application."""
    return _keys_of(request)


def _keys_of(request: Request) -> Keys:
    keys = request.app.state.keys
    assert isinstance(keys, Keys)
    return keys


ControllerOf = Annotated[Controller, Depends(controller_of)]
KeysOf = Annotated[Keys, Depends(keys_of)]


class Needs(HTTPBearer):
    """A dependency: the client's name ("api:" and its key's), if the key has one of these scopes (or is admin).

    401 without a known key, 429 when it asks too often, 403 without the scope. It has no dependencies of its own: each
    would cost every request as much as looking up the key.
    """

    def __init__(self, *scopes: str) -> None:
        super().__init__(auto_error=False, scheme_name="HTTPBearer", description=_KEY_WORDS)
        self.scopes = frozenset((*scopes, ADMIN))

    async def __call__(self, request: Request) -> str:  # type: ignore[override]
        """See the class."""
        return CLIENT_PREFIX + (await self.key(request)).name

    async def key(self, request: Request) -> Key:
        """The key that asks, if it may."""
        given, keys, key = await super().__call__(request), _keys_of(request), None
        if given is not None and len(given.credentials) <= KEY_LENGTH_MAX:
            key = await keys.find(given.credentials)
        if key is None:
            how = "send `Authorization: Bearer KEY` with a known key"
            raise HTTPException(401, how, {"WWW-Authenticate": "Bearer"})
        wait_ms = keys.wait_ms(key)
        if wait_ms:
            seconds = -(-wait_ms // 1000)
            raise HTTPException(429, f"more than {key.rate_per_s} requests a second", {"Retry-After": str(seconds)})
        if not key.scopes & self.scopes:
            wanted = " or ".join(sorted(self.scopes))
            raise HTTPException(403, f"this key may not do that: it needs the scope {wanted}")
        return key


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks about vouchers. partner: only about its own; "": about everybody's."""

    client: str
    partner: str


class NeedsPartnerOr(Needs):
    """A dependency: the Caller, if the key is a partner's or has one of these scopes (or is admin)."""

    def __init__(self, *scopes: str) -> None:
        super().__init__(PARTNER, *scopes)

    async def __call__(self, request: Request) -> Caller:  # type: ignore[override]
        """See the class. A key with the scope `partner` has no other one (api/keys.py)."""
        key = await self.key(request)
        return Caller(CLIENT_PREFIX + key.name, key.partner if PARTNER in key.scopes else "")


# Without a scope of its own a route is for administrators.
ClientOf = Annotated[str, Depends(Needs())]
Seller = Annotated[str, Depends(Needs(SELL))]
Scanner = Annotated[str, Depends(Needs(SCAN))]
Supervisor = Annotated[str, Depends(Needs(SUPERVISE))]
Reader = Annotated[str, Depends(Needs(READ))]
Watcher = Annotated[str, Depends(Needs(READ, SUPERVISE))]
Office = Annotated[str, Depends(Needs(SELL, SUPERVISE))]
Anybody = Annotated[str, Depends(Needs(SELL, SCAN, SUPERVISE, READ))]
PartnerOrSeller = Annotated[Caller, Depends(NeedsPartnerOr(SELL))]
PartnerOrOffice = Annotated[Caller, Depends(NeedsPartnerOr(SELL, SUPERVISE))]
PartnerOrStaff = Annotated[Caller, Depends(NeedsPartnerOr(SELL, SUPERVISE, READ))]
