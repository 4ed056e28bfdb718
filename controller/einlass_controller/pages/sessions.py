"""Who looks at a page: whoever has shown an API key, for a working day, by a cookie that no script reads."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, Response

from einlass_controller.api.access import Key, Keys, Needs
from einlass_controller.setup import PARTNER

COOKIE = "einlass-session"
SESSION_S = 10 * 3600
SESSIONS_MAX = 500
TOKEN_BYTES = 32
TOKEN_LENGTH_MAX = 100
# Pages to go to after the sign-in; any other address is not followed.
PAGES = ("/tariff", "/tariff/own", "/tariff/compare", "/partner")


@dataclass(frozen=True, slots=True)
class Session:
    """One browser. form_token: what its forms carry, so that no foreign page can send them."""

    key_sha256: str
    form_token: str
    ends_s: float


@dataclass(frozen=True, slots=True)
class Visitor:
    """A session with the key that it was opened with, as that is now."""

    session: Session
    key: Key

    @property
    def partner(self) -> str:
        """Whose vouchers it is about; "": the house's."""
        return self.key.partner if PARTNER in self.key.scopes else ""


class Sessions:
    """Open sessions, by the hash of their cookie. They are not stored: after a restart people sign in again."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}

    def begin(self, key_sha256: str) -> tuple[str, Session]:
        """(the cookie, the session). The oldest one ends when there are too many."""
        now_s = time.monotonic()
        self._open = {name: one for name, one in self._open.items() if one.ends_s > now_s}
        while len(self._open) >= SESSIONS_MAX:
            self._open.pop(next(iter(self._open)))
        token = secrets.token_urlsafe(TOKEN_BYTES)
        session = Session(key_sha256, secrets.token_urlsafe(TOKEN_BYTES), now_s + SESSION_S)
        self._open[_hashed(token)] = session
        return token, session

    def find(self, token: str) -> Session | None:
        """The session of a cookie, if it has not ended."""
        if not token or len(token) > TOKEN_LENGTH_MAX:
            return None
        found = self._open.get(_hashed(token))
        return found if found is not None and found.ends_s > time.monotonic() else None

    def end(self, token: str) -> None:
        """It counts no more."""
        self._open.pop(_hashed(token), None)


async def visitor_of(request: Request) -> Visitor | None:
    """Who has signed in; nobody once the key is revoked."""
    sessions, keys = request.app.state.sessions, request.app.state.keys
    assert isinstance(sessions, Sessions)
    assert isinstance(keys, Keys)
    session = sessions.find(request.cookies.get(COOKIE, ""))
    key = await keys.of_hash(session.key_sha256) if session else None
    return Visitor(session, key) if session and key else None


class NeedsSession(Needs):
    """A dependency: the Visitor, if he has signed in with a key of one of these scopes (or admin); else: sign in."""

    async def __call__(self, request: Request) -> Visitor:  # type: ignore[override]
        """See the class. Keys have their rate here, too."""
        visitor = await visitor_of(request)
        if visitor is None:
            path = request.url.path if request.url.path in PAGES else ""
            raise HTTPException(303, "sign in", {"Location": f"/login?next={path}"})
        if not visitor.key.scopes & self.scopes:
            wanted = " or ".join(sorted(self.scopes))
            raise HTTPException(403, f"this key may not do that: it needs the scope {wanted}")
        keys = request.app.state.keys
        wait_ms = keys.wait_ms(visitor.key)
        if wait_ms:
            raise HTTPException(429, "too many requests with this key", {"Retry-After": str(-(-wait_ms // 1000))})
        return visitor


def check_origin(request: Request) -> None:
    """403 for a form that a foreign page sends. Browsers say where a form comes from."""
    origin = request.headers.get("origin", "")
    if origin and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise HTTPException(403, "this form comes from another site")


def check_form(request: Request, visitor: Visitor, token: object) -> None:
    """403 for a form that is not one of ours of this session."""
    check_origin(request)
    if not isinstance(token, str) or not hmac.compare_digest(token.encode(), visitor.session.form_token.encode()):
        raise HTTPException(403, "this form is out of date: go back and load the page again")


def set_cookie(request: Request, response: Response, token: str) -> None:
    """Give a browser its session; over HTTPS only where it came over HTTPS."""
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, token, max_age=SESSION_S, httponly=True, samesite="strict", secure=secure, path="/")


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
