"""Reads a ledger as a stranger would, from its lines alone: who was let in twice, what is missing.

Knows nothing of the controller's own books; used to check them. For single-entry tickets.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ADMITTING = ("ok", "ok_reentry")
ENTRY = "entry"


@dataclass(slots=True)
class _Grant:
    ticket: str
    persons: int
    passed: int = 0
    unused: int = 0
    released: int = 0
    back: bool = False  # nobody went through and nobody will: the entry was given back

    @property
    def open(self) -> bool:
        return not self.back


def double_admissions(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is wrong with who was let in, in words; empty: nothing. entries: {"number", "kind", "body"}, in order.

    A single-entry ticket is granted again only after its last grant was given back; more bodies than persons granted
    never go through on one grant; a grant is released once.
    """
    return _Reader().read(entries)


class _Reader:
    def __init__(self) -> None:
        self._wrong: list[str] = []
        self._grants: dict[tuple[str, str], _Grant] = {}
        self._of_ticket: defaultdict[str, list[_Grant]] = defaultdict(list)

    def read(self, entries: Iterable[Mapping[str, Any]]) -> list[str]:
        for entry in entries:
            body = entry["body"]
            step = getattr(self, f"_{entry['kind']}", None)
            if step is not None and body.get("side", ENTRY) == ENTRY:
                step(entry["number"], body)
        return self._wrong

    def _decision(self, number: int, body: Mapping[str, Any]) -> None:
        if body["code"] not in ADMITTING:
            return
        ticket = body["ticket"]
        if any(grant.open for grant in self._of_ticket[ticket]):
            self._wrong.append(f"{number}: ticket {ticket} was let in again")
        grant = _Grant(ticket, body["persons"])
        self._grants[body["node"], body["nonce"]] = grant
        self._of_ticket[ticket].append(grant)

    def _released(self, number: int, body: Mapping[str, Any]) -> None:
        grant = self._grant(number, body)
        if grant is not None:
            grant.released += 1
            if grant.released > 1 or grant.back:
                self._wrong.append(f"{number}: ticket {grant.ticket} was released {grant.released} times")

    def _passed(self, number: int, body: Mapping[str, Any]) -> None:
        grant = self._grant(number, body)
        if grant is not None:
            grant.passed += body["persons"]
            if grant.passed + grant.unused > grant.persons or grant.back:
                self._wrong.append(f"{number}: {grant.passed} bodies on {grant.persons} of ticket {grant.ticket}")

    def _unused(self, number: int, body: Mapping[str, Any]) -> None:
        grant = self._grant(number, body)
        if grant is not None:
            grant.unused += body["persons"]
            grant.back = grant.passed == 0 and grant.unused >= grant.persons

    def _given_up(self, _number: int, body: Mapping[str, Any]) -> None:
        # The question itself may never have arrived: then there is nothing to give back.
        grant = self._grants.get((body["node"], body["nonce"]))
        if grant is not None:
            grant.back = True

    def _boot(self, _number: int, body: Mapping[str, Any]) -> None:
        for ticket in body["annulled"]:
            for grant in self._of_ticket[ticket]:
                grant.back = grant.back or not (grant.released or grant.passed)

    def _grant(self, number: int, body: Mapping[str, Any]) -> _Grant | None:
        nonce = body.get("nonce")
        grant = self._grants.get((body["node"], nonce)) if nonce else None
        if nonce and grant is None:
            self._wrong.append(f"{number}: {body['node']} moved on {nonce}, which was never granted")
        return grant


def journals(
    entries: Iterable[Mapping[str, Any]], sent: Iterable[Mapping[str, Any]], quiet: Iterable[str] = ("limit",)
) -> list[str]:
    """Compares the records that nodes put on the wire with the ledger; what is missing, twice or different, in words.

    sent: the fields of every `event`, with "node", repeats included; one incarnation a node. quiet: kinds that the
    ledger does not write down.
    """
    wrong: list[str] = []
    kept = Counter((e["body"]["node"], e["body"]["seq"], e["kind"]) for e in entries if "seq" in e["body"])
    told = {(fields["node"], fields["seq"]): fields["kind"] for fields in sent}
    for node in sorted({node for node, _ in told}):
        numbers = sorted(seq for name, seq in told if name == node)
        missing = sorted(set(range(1, numbers[-1] + 1)) - set(numbers))
        if missing:
            wrong.append(f"{node}: records {missing} were never sent")
    quiet = set(quiet)
    for (node, seq), kind in sorted(told.items()):
        times = kept.pop((node, seq, kind), 0)
        if times != (kind not in quiet):
            wrong.append(f"{node}: record {seq} ({kind}) is in the ledger {times} times")
    wrong += [f"{node}: the ledger has a record {seq} ({kind}) that was never sent" for node, seq, kind in kept]
    return wrong
