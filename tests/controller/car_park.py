"""What tests of a car park share: its plan, an entry, an exit, a scripted till, and what its money must add up to."""

import json
from pathlib import Path
from typing import Any

from tests.controller.conftest import Bench, Gate

from einlass_core import codes, wire

TARIFF = Path(__file__).parent / "parkplatz.toml"
HOUR = 60 * 60_000


def plan(cap: int = 5, **zone: Any) -> dict[str, Any]:
    """A car park beside a pool."""
    park = {"id": "park", "name": "Parkplatz", "cap": cap, "tariff": str(TARIFF), "lost_ticket_cents": 2000, **zone}
    return {
        "site": {"id": "pool", "name": "Bad", "name_en": "Pool"},
        "zone": [{"id": "bath", "name": "Becken", "cap": 50}, park],
        "node": [{"id": name} for name in ("gate-1", "in", "out", "till", "sign")],
        "lane": [
            {"id": "east", "zone": "bath", "node": "gate-1", "name": "Ost"},
            {"id": "in", "zone": "park", "node": "in", "name": "Einfahrt", "issues": "parkschein"},
            {"id": "out", "zone": "park", "node": "out", "name": "Ausfahrt"},
        ],
        "till": [{"id": "kasse", "node": "till", "zone": "park", "name": "Kasse"}],
        "sign": [{"node": "sign", "zone": "park"}],
    }


class Entry(Gate):
    """Makes tickets by itself, as a lane with a button and a printer."""

    printed = 0

    def code(self) -> str:
        Entry.printed += 1
        return codes.opaque(5_000_000 + Entry.printed)

    def drive_in(self, code: str = "") -> str:
        code = code or self.code()
        answer = self.ask(code)
        assert answer["code"] in ("ok", "ok_reentry"), answer
        self.release(answer)
        self.walk_in(answer)
        return code

    def alone(self, code: str, **more: Any) -> None:
        """Cut off: the car is let in and told later, by the digest of its ticket."""
        self.scans += 1
        nonce = f"{self.inc}.{self.boot}.{self.scans}"
        self.account["balance"] += 1
        self.event(
            "released", nonce=nonce, side="entry", persons=1, digest=codes.digest(code), reason="free-flow", **more
        )
        self.event("passed", nonce=nonce, side="entry", persons=1)


class Exit(Gate):
    """Asks whether a car may leave."""

    def ask_out(self, code: str) -> dict[str, Any]:
        self.scans += 1
        nonce = f"{self.inc}.{self.boot}.{self.scans}"
        sent = self.bench.run(self.message("ask", nonce=nonce, side="exit", code=code))
        return next(item for item in sent if item["kind"] == "answer")

    def drive_out(self, code: str) -> dict[str, Any]:
        answer = self.ask_out(code)
        assert answer["code"] == "ok_exit", answer
        self.pass_out(answer["nonce"])
        return answer

    def pass_out(self, nonce: str) -> None:
        self.account["balance"] -= 1
        self.event("passed", side="exit", persons=1, nonce=nonce)

    def alone(self, code: str) -> None:
        """Cut off and open: out, recorded with the digest."""
        self.scans += 1
        nonce = f"{self.inc}.{self.boot}.{self.scans}"
        self.event("exit", nonce=nonce, side="exit", digest=codes.digest(code))
        self.pass_out(nonce)


class ScriptedTill(Gate):
    """A ticket machine as its wire shows it: an account where every cent has a name."""

    def __init__(self, bench: Bench, name: str = "till") -> None:
        super().__init__(bench, name)
        self.account = dict.fromkeys(self.account, 0)
        self.books = dict.fromkeys(("taken", "given", "kept", "credit", "change", "owed", "lost"), 0)
        self.sale = self.questions = 0
        self.subject = self.what = ""

    def begin(self, subject: str, what: str = "exit") -> None:
        self.sale += 1
        self.subject, self.what = subject, what

    def price_message(self, cards: tuple[str, ...] = (), nonce: str = "", paid: int = 0) -> Any:
        if not nonce:
            self.questions += 1
            nonce = f"{self.inc}.{self.boot}.{self.questions}"
        fields = {"sale": self.sale, "what": self.what, "subject": self.subject, "cards": " ".join(cards)}
        return self.message("price", nonce=nonce, paid=paid, **fields)

    def price(self, *cards: str, **more: Any) -> dict[str, Any]:
        sent = self.bench.run(self.price_message(cards, **more))
        return next(item for item in sent if item["kind"] == "priced")

    def record(self, kind: str, sale: dict[str, Any] | None = None, **more: Any) -> list[dict[str, Any]]:
        return self.event(kind, till={**self.books, "sale": self.sale, **more}, sale=sale or {})

    def paid_record(self, priced: dict[str, Any], cards: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
        held = [cards[int(place)] for place in priced["held"].split()]
        said = {
            "sale": self.sale,
            "what": self.what,
            "subject": codes.digest(self.subject),
            "due": priced["due"],
            "coins": priced["due"],
            "by_card": 0,
            "ref": "",
            "used": [codes.digest(card) for card in held],
            "until": priced["until"],
            **more,
        }
        self.books["taken"] += said["coins"]
        self.books["kept"] += said["coins"]
        return said

    def pay(self, priced: dict[str, Any], *cards: str, **more: Any) -> dict[str, Any]:
        said = self.paid_record(priced, cards, **more)
        self.record("paid", said)
        return said

    def sell(self, subject: str, *cards: str) -> dict[str, Any]:
        self.begin(subject)
        priced = self.price(*cards)
        assert priced["code"] == "ok", priced
        self.pay(priced, *cards)
        return priced


def places(sent: list[dict[str, Any]]) -> list[int]:
    return [item["free"] for item in sent if item["kind"] == "places"]


def stay(bench: Bench) -> dict[str, Any]:
    """The newest stay."""
    with bench.database.connect() as connection:
        row = connection.exec_driver_sql("SELECT * FROM stay ORDER BY entered_ms DESC LIMIT 1").mappings().one()
    return dict(row)


def takings(bench: Bench) -> int:
    """The cents of all sales, and that the ledger says the same."""
    ((total,),) = bench.rows("SELECT coalesce(sum(coins_cents + card_cents), 0) FROM parking_sale WHERE state = 'paid'")
    told = [entry for entry in bench.ledger("paid") if "till" in entry]
    assert sum(entry["coins_cents"] + entry["card_cents"] for entry in told) == total
    return int(total)


def price_bytes(sent: Any) -> list[bytes]:
    return [item.payload for item in sent.outbound if wire.kind_of(item.topic) == "priced"]


def as_json(text: str) -> Any:
    return json.loads(text)
