"""What really happened (bodies, from the plants) and what was decided (from the ledger): never mixed."""

from collections import Counter, deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from einlass_core.events import EXIT
from einlass_sim.demo.panel_words import words
from einlass_sim.devices.lane import Scan, SimulatedLane
from einlass_sim.plant import BodyWentIn, BodyWentOut

LOG_KEPT = 50
ADMITTED = ("ok", "ok_reentry")
_GERMAN, _ENGLISH = words("de"), words("en")
_WORDS = {
    "decision": ("{lane}: {code_de}", "{lane}: {code_en}"),
    "passed": ("{lane}: {persons} {way_de}", "{lane}: {persons} {way_en}"),
    "forced": ("{lane}: {persons} {way_de}, ohne Freigabe", "{lane}: {persons} {way_en}, without a release"),
    "unused": ("{lane}: Freigabe nicht benutzt", "{lane}: release not used"),
    "refused": ("{lane}: am Gerät abgewiesen: {code_de}", "{lane}: refused at the node: {code_en}"),
    "uncertain": ("{lane}: nach Stromausfall unsicher", "{lane}: uncertain after a power cut"),
    "emergency": ("{lane}: NOTFALL", "{lane}: EMERGENCY"),
    "rearmed": ("{lane}: wieder scharf, durch {by}", "{lane}: re-armed by {by}"),
    "fault": ("{lane}: Störung {reason}", "{lane}: fault {reason}"),
    "paid": ("{till}: {euros} € bezahlt{cards_de}", "{till}: {euros} € paid{cards_en}"),
    "parking_ticket_replaced": ("Parkplatz: Ersatz für ein verlorenes Ticket", "car park: a lost ticket replaced"),
    "left_unpaid": ("Parkplatz: unbezahlt ausgefahren", "car park: left unpaid"),
}


class Truth:
    """Bodies inside, counted where they walk. The code under test cannot see this."""

    def __init__(self, lanes: Iterable[SimulatedLane]) -> None:
        self.inside = 0
        self.inside_max = 0
        self.bodies_in = 0
        self.forced = 0
        for lane in lanes:
            lane.on_output.append(self._happened)

    def _happened(self, output: object) -> None:
        if isinstance(output, BodyWentIn):
            self.inside += 1
            self.bodies_in += 1
            self.forced += output.forced
            self.inside_max = max(self.inside_max, self.inside)
        elif isinstance(output, BodyWentOut):
            self.inside -= 1


class Decided:
    """Counts of the pool's decisions, and a log in plain words of all, from the ledger's entries as they come.

    lanes: those of the pool; empty: all.
    """

    def __init__(self, lanes: Iterable[str] = ()) -> None:
        self._lanes = frozenset(lanes)
        self.number = 0
        self.admitted = 0
        self.refused: Counter[str] = Counter()
        self.shown: dict[str, str] = {}
        self.log: deque[dict[str, str]] = deque(maxlen=LOG_KEPT)

    def take(self, entries: list[dict[str, Any]]) -> None:
        """Entries after `number`, in order."""
        for entry in entries:
            self.number = entry["number"]
            body = entry["body"]
            if self._lanes and body.get("lane", "") not in self._lanes:
                pass
            elif entry["kind"] == "decision":
                self._decision(body)
            elif entry["kind"] == "refused":
                self.refused[body.get("code", "invalid")] += 1
            self._log(entry["at_ms"], entry["kind"], body)

    def _decision(self, body: dict[str, Any]) -> None:
        code = body["code"]
        self.shown[body.get("lane", "")] = code
        if code in ADMITTED:
            self.admitted += 1
        else:
            self.refused[code] += 1

    def _log(self, at_ms: int, kind: str, body: dict[str, Any]) -> None:
        words = _WORDS.get(kind)
        if words is None:
            return
        values = {"lane": "", "code": "", "persons": 1, "side": "", "by": "", "reason": "", "till": ""} | body
        key = f"shown_{values['code']}"
        values["code_de"], values["code_en"] = _GERMAN.get(key, values["code"]), _ENGLISH.get(key, values["code"])
        out = values["side"] == EXIT
        if kind == "paid":
            values |= _paid(values)
        values["way_de"], values["way_en"] = ("hinaus", "out") if out else ("hinein", "in")
        at = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%H:%M:%S")
        german, english = (text.format(**values) for text in words)
        self.log.append({"at": at, "text_de": german, "text_en": english})


def _paid(body: dict[str, Any]) -> dict[str, str]:
    cents, cards = body.get("coins_cents", 0) + body.get("card_cents", 0), len(body.get("vouchers", ()))
    return {
        "euros": f"{cents // 100},{cents % 100:02d}",
        "cards_de": f", {cards} Gutscheine" if cards > 1 else ", 1 Gutschein" if cards else "",
        "cards_en": f", {cards} vouchers" if cards > 1 else ", 1 voucher" if cards else "",
    }


def percentiles(scans: Iterable[Scan]) -> dict[str, float] | None:
    """p50 and p99 of scan to bolt in ms (nearest rank); None when nothing was released."""
    times = sorted(scan.latency_ms for scan in scans if scan.latency_ms is not None)
    if not times:
        return None
    return {f"p{share}": round(times[max(0, -(-len(times) * share // 100) - 1)], 1) for share in (50, 99)}
