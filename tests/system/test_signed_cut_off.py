"""Signed tickets at a real Raspberry Pi node whose line is cut: judged by the keys it was told, and told afterwards."""

from collections.abc import Iterator
from typing import Any

import pytest

from einlass_controller.issuing import sign_ticket
from einlass_controller.signing import Signer
from einlass_core.signed import PublicKey
from einlass_sim.demo.parts import ESP32_NODE, PI_NODE
from einlass_sim.line import whole
from whole_line import Line, open_line

CAP = 20
ALONE_MAX = 3
HOUR_MS = 3_600_000

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def line(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(Line, "cut_off", "leased")
    monkeypatch.setattr(whole, "PI_LANE", {"alone_max": ALONE_MAX})
    monkeypatch.setattr(Line, "settled", _arrived)
    with open_line("nats", tmp_path, CAP) as line:
        yield line


async def _arrived(line: Line) -> None:
    """As Line.settled, but places may be lent."""
    await line.until("the controller's count is the truth", line.counts_agree)


class Shop:
    """Signs with the site's key, and tells the database nothing."""

    def __init__(self, line: Line, key: dict[str, Any]) -> None:
        self._signer = Signer(line.prepared)
        self._key = PublicKey(key["id"], bytes.fromhex(key["public"]))

    def sign(self, last_ms: int | None = None, zone: str = "") -> tuple[str, str]:
        """Code and ticket id."""
        terms: Any = {"persons": 1, "zone": zone, "valid_from_ms": None, "valid_until_ms": last_ms}
        code, ticket = sign_ticket(self._signer, self._key, **terms)
        return code, ticket.id


async def _pi(line: Line) -> dict[str, Any]:
    return next(node for node in await line.office.nodes() if node["id"] == PI_NODE)


async def _knows_all(line: Line, removed_after: int = 0, added_after: int = 0) -> None:
    async def look() -> bool:
        pi = await _pi(line)
        added, removed = pi["list_version"] or (0, 0)
        return bool(pi["signed_current"] and removed > removed_after and added > added_after and pi["lent"])

    await line.until("the Pi has the keys, the list and places", look)


async def _cut(line: Line, is_cut: bool) -> None:
    """Only the Pi's line, or mended."""
    line.tap.weather(PI_NODE).refused = is_cut
    if not is_cut:
        await line.settled()
        return
    downs = line.log(PI_NODE).count("link_down")
    line.tap.reset(PI_NODE)

    async def is_down() -> bool:
        return line.log(PI_NODE).count("link_down") > downs

    await line.until("the Pi has noticed", is_down)


async def _said(line: Line, after: int) -> list[str]:
    """Why the Pi refused, in order, as it was told afterwards."""
    found = [entry for entry in await line.ledger() if entry["number"] > after and entry["kind"] == "refused"]
    return [entry["body"]["code"] for entry in found if entry["body"]["node"] == PI_NODE]


def test_signed_tickets_while_the_line_is_cut(line: Line) -> None:
    async def scene() -> None:
        shop = Shop(line, await line.office._call("POST", "/api/v1/signing-keys", {}))
        fresh, lost, seen, twice, late = (shop.sign() for _ in range(5))
        await line.office._call("POST", f"/api/v1/tickets/{lost[1]}/change", {"do": "block", "reason": "lost"})
        await _knows_all(line)
        before = (await _pi(line))["list_version"][1]
        await line.enters(ESP32_NODE, seen[0])  # online a signature counts at a board, too
        await _knows_all(line, before)
        start = await line.last()

        await _cut(line, True)
        await line.enters(PI_NODE, fresh[0])
        forged = fresh[0][:40] + ("0" if fresh[0][40] != "0" else "1") + fresh[0][41:]
        long_ago = shop.sign(last_ms=HOUR_MS)
        for code in (fresh[0], lost[0], seen[0], forged, long_ago[0], shop.sign(zone="sauna")[0]):
            await line.refused(PI_NODE, code)
        await line.enters(PI_NODE, twice[0])
        await line.enters(ESP32_NODE, twice[0])  # the controller has not heard of the first time
        await line.kill(PI_NODE)
        await line.start(PI_NODE)

        async def restarted() -> bool:
            return line.log(PI_NODE).count("node_starts") == 2

        await line.until("the Pi is back, without a line", restarted)
        await line.refused(PI_NODE, fresh[0])
        await line.refused(PI_NODE, late[0])  # a restart ends the lease: there is no place, however good the signature
        await _cut(line, False)

        why = ["already_inside", "blocked", "already_inside", "invalid", "expired", "wrong_zone", "already_inside"]
        assert await _said(line, start) == [*why, "lease_exhausted"]
        ledger = [entry for entry in await line.ledger() if entry["number"] > start]
        assert [e["body"]["ticket"] for e in ledger if e["kind"] == "first_seen"] == [twice[1], fresh[1]]
        alone = [e["body"] for e in ledger if e["kind"] == "decision" and e["body"].get("offline")]
        assert [(body["ticket"], body["node"]) for body in alone] == [(fresh[1], PI_NODE), (twice[1], PI_NODE)]
        (conflict,) = [e["body"] for e in ledger if e["kind"] == "conflict"]
        assert (conflict["ticket"], conflict["would_have_been"]) == (twice[1], "already_inside")
        assert conflict["other"][0]["lane"] == "ost"
        assert line.truth.inside == 4 == (await line.zone())["present"]

        await line.office._call("POST", "/api/v1/signing-keys/1/revoke", {"reason": "stolen"})
        added = (await _pi(line))["list_version"][0]
        plain = [(await line.ticket())["code"] for _ in range(ALONE_MAX + 1)]
        await _knows_all(line, added_after=added + ALONE_MAX)
        start = await line.last()
        await _cut(line, True)
        await line.refused(PI_NODE, late[0])
        for code in plain[:-1]:  # the controller was told of all before: so many may come again
            await line.enters(PI_NODE, code)
        await line.refused(PI_NODE, plain[-1])
        await _cut(line, False)
        assert await _said(line, start) == ["revoked", "offline_not_here"]

    line.run(scene(), 200)
