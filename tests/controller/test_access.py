"""Who may ask for what, and how often."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.routing import Mount, Route

from einlass_controller.api.access import OPEN_ROUTES, Needs
from einlass_controller.api.app import make_app
from einlass_controller.domain.rate import Bucket
from einlass_controller.runtime import open_controller
from einlass_controller.setup import SCOPES


@pytest.fixture
def admin(bench: Any) -> Iterator[TestClient]:
    bench.close()
    with TestClient(make_app(open_controller(bench.settings))) as client:
        client.headers["Authorization"] = f"Bearer {bench.prepared.api_key}"
        yield client


def routes(app: Any) -> Iterator[Any]:
    """Every route, those of included routers too."""
    for route in app.routes:
        inner = getattr(route, "effective_candidates", None)
        if inner is not None:
            yield from inner()
        else:
            yield route


def scope_rules(dependant: Any) -> Iterator[Needs]:
    for inner in dependant.dependencies:
        if isinstance(inner.call, Needs):
            yield inner.call
        yield from scope_rules(inner)


def forgotten() -> str:
    return "nobody thought of who may ask"


def unguarded(app: Any) -> list[str]:
    """Routes that neither say who may use them nor are meant for everybody."""
    found = []
    for route in routes(app):
        path = route.path
        if path in OPEN_ROUTES:
            continue
        dependant = getattr(route, "dependant", None)
        if dependant is None or not any(scope_rules(dependant)):
            found.append(path)
    return found


def test_every_route_says_who_may_use_it(bench: Any) -> None:
    bench.close()
    controller = open_controller(bench.settings)
    app = make_app(controller)
    paths = {route.path for route in routes(app)}
    assert {"/api/v1/redeem", "/api/v1/tickets/{ticket_id}/annul", "/", "/static"} <= paths
    assert unguarded(app) == [], "name its scopes with Needs(...), or put it into OPEN_ROUTES with a reason"
    app.add_api_route("/api/v1/forgotten", forgotten)
    assert unguarded(app) == ["/api/v1/forgotten"], "the rule sees a new route"
    assert all(isinstance(route, APIRoute | Route | Mount) or hasattr(route, "dependant") for route in routes(app))
    controller.close()


def client_with(admin: TestClient, name: str, *scopes: str, rate: int = 0) -> dict[str, str]:
    more = {"partner": "baker"} if "partner" in scopes else {}
    answer = admin.post("/api/v1/keys", json={"name": name, "scopes": scopes, "rate_per_s": rate, **more})
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['key']}"}


def test_a_key_opens_what_its_scopes_say(admin: TestClient) -> None:
    asked: dict[str, tuple[str, str, Any]] = {
        "sell": ("POST", "/api/v1/tickets", {}),
        "scan": ("POST", "/api/v1/redeem", {"code": "x", "nonce": "n"}),
        "supervise": ("POST", "/api/v1/tickets/NOBODY/annul", {"reason": "x"}),
        "read": ("GET", "/api/v1/zones", None),
        "partner": ("POST", "/api/v1/lots/1/hand-out", None),
        "admin": ("GET", "/api/v1/keys", None),
    }
    admin.post("/api/v1/partners", json={"id": "baker", "name": "Baker"})
    assert set(asked) == set(SCOPES)
    headers = {scope: client_with(admin, scope, scope) for scope in SCOPES}
    for scope, (method, path, body) in asked.items():
        for holder, header in headers.items():
            status = admin.request(method, path, json=body, headers=header).status_code
            allowed = holder in (scope, "admin") or (scope, holder) in (
                ("read", "supervise"),
                ("partner", "sell"),
            )
            assert (status != 403) == allowed, (scope, holder, status)


def test_a_revoked_key_opens_nothing(admin: TestClient) -> None:
    header = client_with(admin, "shop", "read")
    assert admin.get("/api/v1/zones", headers=header).status_code == 200
    assert admin.post("/api/v1/keys/shop/revoke").json()["revoked_ms"] is not None
    assert admin.get("/api/v1/zones", headers=header).status_code == 401
    assert admin.post("/api/v1/keys/nobody/revoke").status_code == 404
    names = [(item["name"], item["revoked_ms"] is None) for item in admin.get("/api/v1/keys").json()]
    assert names == [("first", True), ("shop", False)]


def test_too_many_requests_are_told_when_to_come_back(admin: TestClient) -> None:
    header = client_with(admin, "shop", "read", rate=1)
    found = [admin.get("/api/v1/zones", headers=header) for _ in range(4)]
    assert [answer.status_code for answer in found[:2]] == [200, 200]
    late = next(answer for answer in found if answer.status_code == 429)
    assert int(late.headers["retry-after"]) >= 1
    assert admin.get("/api/v1/zones").status_code == 200, "others are not held up"
    deadline = time.monotonic() + 10
    while admin.get("/api/v1/zones", headers=header).status_code == 429:
        assert time.monotonic() < deadline


def test_a_bucket_fills_up_again_and_not_beyond() -> None:
    bucket = Bucket(10, 0)
    assert [bucket.take(0) for _ in range(21)] == [0] * 20 + [100]
    assert bucket.take(99) == 1
    assert bucket.take(100) == 0
    assert bucket.take(100) == 100
    assert [bucket.take(1_000_000) for _ in range(21)] == [0] * 20 + [100]
    assert bucket.take(0) == 100, "a clock that goes back gives nothing"
    assert [Bucket(0, 0).take(0) for _ in range(100)] == [0] * 100
