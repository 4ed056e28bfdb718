"""The demonstration's client of the controller: sells tickets, reads counts and the ledger, over HTTP like anybody."""

import asyncio
import json
import urllib.error
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

TIMEOUT_S = 3.0
LEDGER_PAGE = 500


class OfficeError(RuntimeError):
    """The controller did not answer, or refused; the text is its own."""


class Office:
    """Every call is one request; OfficeError while the controller is down."""

    def __init__(self, url: str, api_key: str) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}

    async def ticket(self, persons: int = 1, with_qr: bool = False) -> dict[str, str]:
        """{"id", "code", "typed", "qr_svg"} of a new single ticket."""
        order = {"n": 1, "persons": persons, "with_qr": with_qr}
        issued = await self._call("POST", "/api/v1/tickets", order)
        ticket: dict[str, str] = issued["tickets"][0]
        return ticket

    async def contract(self, product: str, rules: dict[str, Any], zone: str) -> str:
        """The code of a new card for contract parkers, after the house has rules for it."""
        known = {item["id"] for item in (await self._call("GET", "/api/v1/products"))["products"]}
        if product not in known:
            await self._call("POST", "/api/v1/rules", {"rules": rules, "reason": "contract parkers"})
        issued = await self._call("POST", "/api/v1/tickets", {"n": 1, "product": product, "zone": zone})
        code: str = issued["tickets"][0]["code"]
        return code

    async def zones(self) -> list[dict[str, Any]]:
        """The four figures of every zone."""
        zones: list[dict[str, Any]] = (await self._call("GET", "/api/v1/zones"))["zones"]
        return zones

    async def nodes(self) -> list[dict[str, Any]]:
        """Every node as the controller sees it."""
        nodes: list[dict[str, Any]] = (await self._call("GET", "/api/v1/nodes"))["nodes"]
        return nodes

    async def ledger(self, after: int) -> list[dict[str, Any]]:
        """Ledger entries after a number, oldest first, with "body" read."""
        entries = await self._call("GET", f"/api/v1/ledger?after={after}&limit={LEDGER_PAGE}")
        return [entry | {"body": json.loads(entry["body"])} for entry in entries]

    async def rearm(self, node: str, first: str, second: str) -> None:
        """Two people end an emergency."""
        await self._call("POST", f"/api/v1/nodes/{node}/commands", {"do": "rearm", "by": [first, second]})

    async def takings(self) -> dict[str, int]:
        """{"coins", "card"}: cents that all tills took, as booked since yesterday (a run may go on over midnight)."""
        since = datetime.now(UTC).date() - timedelta(days=1)
        rows = await self._call("GET", f"/api/v1/parking/takings?from={since.isoformat()}")
        return {kind: sum(row[f"{kind}_cents"] for row in rows) for kind in ("coins", "card")}

    async def stays_inside(self) -> list[dict[str, Any]]:
        """The stays of cars that are in the car park."""
        stays: list[dict[str, Any]] = await self._call("GET", "/api/v1/parking/stays?state=inside")
        return stays

    async def lot(self, shop: str, name: str, size: int) -> int:
        """A lot of digital cards for this shop, each worth a minute; the shop is made when it is new."""
        if shop not in [partner["id"] for partner in await self._call("GET", "/api/v1/partners")]:
            await self._call("POST", "/api/v1/partners", {"id": shop, "name": name})
        order = {"kind": "minutes", "value": 1, "size": size, "partner": shop, "medium": "digital"}
        number: int = (await self._call("POST", "/api/v1/lots", order))["id"]
        return number

    async def card(self, lot: int) -> str:
        """The code of the next card of a lot."""
        code: str = (await self._call("POST", f"/api/v1/lots/{lot}/hand-out", {}))["code"]
        return code

    async def cards_used(self) -> dict[str, int]:
        """How many cards of each shop were used."""
        used: Counter[str] = Counter()
        for lot in await self._call("GET", "/api/v1/lots"):
            used[lot["partner"]] += lot["counts"].get("redeemed", 0) + lot["counts"].get("settled", 0)
        return dict(used)

    async def ready(self) -> bool:
        """Whether controller, database and broker connection work."""
        try:
            await self._call("GET", "/healthz")
        except OfficeError:
            return False
        return True

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        return await asyncio.to_thread(self._call_now, method, path, body)

    def _call_now(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self._headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise OfficeError(error.read(500).decode(errors="replace")) from error
        except (OSError, ValueError) as error:
            raise OfficeError(f"the controller does not answer: {error}") from error
