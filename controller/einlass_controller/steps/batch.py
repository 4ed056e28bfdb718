"""The workbench of one batch: state, rows, what to publish, what to write down. Nothing leaves it before the commit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from typing import Any

import structlog
from sqlalchemy import delete, insert

from einlass_controller import fastwire
from einlass_controller.compact import compact_sorted
from einlass_controller.domain import ledger, recount, snapshot, visits
from einlass_controller.domain.admission import Moment, moment
from einlass_controller.domain.catalogue import Catalogue, in_force
from einlass_controller.domain.occupancy import Account, Limit, Report
from einlass_controller.domain.parking import ParkingStay, said_of_stay
from einlass_controller.domain.shares import ends_ms
from einlass_controller.domain.tickets import Ticket
from einlass_controller.domain.visits import Visit
from einlass_controller.live import Lane, Live, Node, next_range
from einlass_controller.messages import Outbound
from einlass_controller.store.schema import EPOCH
from einlass_controller.store.work import Rows
from einlass_core import wire

LETTERS_A_BATCH_MAX = 100
LETTER_BYTES_MAX = 1024
REASON_LENGTH_MAX = 300
# The line of the ledger that says what a batch has changed; for replay, not for screens.
CHANGES = snapshot.CHANGES
# The policy of a lane that uses places it was lent (einlass_core.gate).
LEASED = "leased"

log = structlog.get_logger("einlass.engine")


_topic_down = cache(wire.topic_down)  # of known nodes only


class Batch:
    """Passed to every step. now_ms: Unix milliseconds of the controller's clock, the same for the whole batch.

    steady_ms: the clock that leases are counted by, which no jump of the other one moves (steady.py).
    """

    def __init__(self, live: Live, rows: Rows, now_ms: int, steady_ms: int) -> None:
        self.live = live
        self.rows = rows
        self.now_ms = now_ms
        self.steady_ms = steady_ms
        self.outbound: list[Outbound] = []
        self.recent: list[dict[str, Any]] = []
        self.lanes: set[str] = set()
        self.nodes: set[str] = set()
        self.zones: set[str] = set()
        self.acks: dict[str, Node] = {}
        self.list_number = live.list_number  # of the lists' last change that is written: this batch's own are not yet
        self.vouchers: dict[str, dict[str, Any]] = {}  # what the ledger says of those that changed, by serial number
        self.stays: dict[str, ParkingStay] = {}  # that were asked for
        self.new_stays: set[str] = set()
        self.changed_stays: set[str] = set()
        self.is_late = False  # what is judged happened earlier, see as_of()
        self.short: dict[str, int] = {}  # persons refused for want of a place, by zone
        self._letters = 0
        self._moment: Moment | None = None
        self._catalogue: Catalogue | None = None

    @property
    def moment(self) -> Moment:
        """Now, by the clocks on the site's walls."""
        if self._moment is None:
            self._moment = moment(self.now_ms, self.live.clocks)
        return self._moment

    @property
    def catalogue(self) -> Catalogue:
        """The house's rules that hold now."""
        if self._catalogue is None:
            self._catalogue = in_force(self.live.catalogues, self.now_ms)
        return self._catalogue

    def rules_changed(self) -> None:
        """Look again which rules hold."""
        self._catalogue = None

    @contextmanager
    def as_of(self, at_ms: int) -> Iterator[None]:
        """Judge something that happened earlier by what held then."""
        kept = self.now_ms, self._moment, self._catalogue, self.is_late
        self.now_ms, self._moment, self._catalogue, self.is_late = min(at_ms, self.now_ms), None, None, True
        try:
            yield
        finally:
            self.now_ms, self._moment, self._catalogue, self.is_late = kept

    def record(self, kind: str, at_ms: int | None = None, /, **body: Any) -> None:
        """Append to the ledger. at_ms: when it happened, if that is not now."""
        live = self.live
        when = self.now_ms if at_ms is None else at_ms
        entry = ledger.link(live.ledger_hash, live.ledger_number + 1, when, kind, compact_sorted(body))
        live.ledger_number, live.ledger_hash = entry.number, entry.hash
        self.rows.add_entry(entry)
        if kind != CHANGES:
            self.recent.append({"number": entry.number, "at_ms": when, "kind": kind, "body": body})

    def record_changes(self, tickets: list[Ticket], fresh: list[Visit], stays: list[Visit]) -> None:
        """What the batch has changed, in absolute terms: the ledger alone is enough to have it all again.

        What rows.touched() says: tickets that changed, new visits, visits that changed.
        """
        parked = self.new_stays | self.changed_stays
        if not (tickets or fresh or stays or self.lanes or self.zones or self.vouchers or parked):
            return
        books = self.live.books
        body: dict[str, Any] = {
            "tickets": {ticket.id: snapshot.state_of(ticket) for ticket in tickets},
            "visits": {visit.key: snapshot.visit_row_of(visit) for visit in fresh}
            | {visit.key: snapshot.visit_state_of(visit) for visit in stays},
            "accounts": {name: snapshot.account_row_of(books.accounts[name]) for name in self.lanes},
            "zones": {name: snapshot.zone_row_of(books.zones[name]) for name in self.zones},
            "vouchers": self.vouchers,
            "stays": {name: said_of_stay(asdict(self.stays[name])) for name in sorted(parked)},
        }
        if any(body.values()):
            self.record(CHANGES, **{name: found for name, found in body.items() if found})

    def send(self, node: str, kind: str, fields: dict[str, Any]) -> bytes:
        """Publish to one node after the commit; returns the bytes."""
        payload = fastwire.encode(kind, fields)
        self.resend(node, kind, payload)
        return payload

    def resend(self, node: str, kind: str, payload: bytes) -> None:
        """Publish these bytes to one node after the commit."""
        self.outbound.append(Outbound(_topic_down(self.live.site.id, node, kind), payload))

    def send_limit(self, lane: Lane, limit: Limit) -> None:
        """Tell a lane its ceiling; it is told again until it says that it took it."""
        account = self.live.books.accounts[lane.id]
        if lane.node and account.inc:
            fields = {"inc": account.inc, "limit": limit._asdict(), **self._lease(lane)}
            self.send(lane.node, "limit", fields)
            self.live.limit_sent_ms[lane.id] = self.now_ms

    def _lease(self, lane: Lane) -> dict[str, int]:
        """The lane may use its ceiling alone, from its last request on; here it counts from now, which is longer."""
        node, account = self.live.nodes[lane.node], self.live.books.accounts[lane.id]
        boot, from_ms = node.wish
        lease_ms = self.lease_ms(lane)
        if node.cut_off != LEASED or not boot or not lease_ms or node.inc != account.inc:
            return {}
        node.leased = node.wish
        account.leased_until_ms = max(account.leased_until_ms, ends_ms(self.steady_ms, lease_ms))
        self.touch(lane)
        return {"boot": boot, "from_ms": from_ms, "lease_ms": lease_ms}

    def lease_ms(self, lane: Lane) -> int:
        """For how long a lane may be lent places now: not beyond the hour at which it is to let nobody in any more."""
        live, ends = self.live, self.now_ms + self.live.leasing.lease_ms
        if live.recount:
            return 0
        account = live.books.accounts[lane.id]
        if account.is_lowering and account.leased_until_ms <= self.steady_ms:
            return 0  # what it may still hold was given to others when its lease ended: first it takes its ceiling
        if account.leased_until_ms <= self.steady_ms and not self._is_covered(lane, account):
            return 0
        for name in lane.zones:
            ends = min(ends, live.lets_in_until(name, self.now_ms) or ends)
        return max(0, ends - self.now_ms)

    def _is_covered(self, lane: Lane, account: Account) -> bool:
        """Whether what it may use under its ceiling is in the books.

        Who left by it before people were counted, and is not told yet, is in neither: as many could come in there.
        When all is told that ceiling may be beyond the cap, since nothing was kept for a lease that was over.
        """
        zones = [self.live.books.zones[name] for name in lane.zones]
        return self.live.has_told(lane) and not (account.spare and any(zone.committed > zone.cap for zone in zones))

    def send_time(self) -> None:
        """Tell every node the time."""
        self.tell_all("time", {"unix_ms": self.now_ms})

    def tell_all(self, kind: str, fields: dict[str, Any]) -> None:
        """Publish to every node of the site after the commit."""
        self.outbound.append(Outbound(wire.topic_all(self.live.site.id, kind), fastwire.encode(kind, fields)))

    def letter(self, origin: str, reason: str, payload: bytes = b"") -> None:
        """A message that cannot be used: a log line and, bounded, a row for the technician."""
        self._letters += 1
        if self._letters > LETTERS_A_BATCH_MAX:
            return
        log.warning("dead_letter", origin=origin, reason=reason, payload_bytes=len(payload))
        self.live.letter_number += 1
        self.rows.add_letter(
            {
                "number": self.live.letter_number,
                "at_ms": self.now_ms,
                "origin": origin[:REASON_LENGTH_MAX],
                "reason": reason[:REASON_LENGTH_MAX],
                "payload": payload[:LETTER_BYTES_MAX],
            }
        )

    def alarm(self, node: Node, reason: str) -> None:
        """Something a person should look at: log, ledger, and the node's line on the screens."""
        log.error("alarm", node=node.id, reason=reason)
        node.alarm = reason[:REASON_LENGTH_MAX]
        self.nodes.add(node.id)
        self.record("alarm", node=node.id, reason=node.alarm)

    def take(self, node: Node, report: Report) -> bool:
        """Believe what a node says of its lane's account, if it is not older than what is known."""
        lane = self.live.lane_of_node.get(node.id)
        if lane is None:
            return False
        account = self.live.books.accounts[lane.id]
        if recount.knows_more(account, report.inc, report.epoch, report.version):
            limit = f"epoch {report.epoch}, version {report.version}"
            self.need_recount(f"{node.id} has a ceiling that was never sent: {limit}", report.epoch + 1)
            return False
        if report.seq > node.applied and not self.live.recount:
            return False  # each record says what it changed: what a count has in it already must not be taken before it
        known = (account.seq, account.version, account.balance, account.pending)
        taken = self.live.books.report(lane.id, report)
        if not taken.accepted:
            return False
        if known != (account.seq, account.version, account.balance, account.pending):
            self.touch(lane)
        if taken.raised:
            self.record("over_ceiling", node=node.id, lane=lane.id, persons=taken.raised)
        return True

    def lowers(self, node: Node, report: Report) -> bool:
        """Whether places come back by what a node says."""
        lane = self.live.lane_of_node.get(node.id)
        return lane is not None and report.balance < self.live.books.accounts[lane.id].balance

    def need_recount(self, reason: str, epoch: int) -> None:
        """These books are older than reality: every lane begins a new epoch with nothing, and people must count."""
        live = self.live
        live.epoch = max(epoch, live.epoch + 1, *(account.epoch + 1 for account in live.books.accounts.values()))
        live.books = recount.restart(live.books, live.epoch)
        live.recount = live.recount or reason[:REASON_LENGTH_MAX]
        live.list_number = next_range(live.list_number, live.epoch)
        live.vouchers.list_number = next_range(live.vouchers.list_number, live.epoch)
        log.error("recount_needed", reason=reason, epoch=live.epoch)
        for lane in live.lanes.values():
            if lane.node:  # older books do not know what was lent since, to whom, and when
                self.may_hold_a_lease(lane)
        self.keep_epoch()
        self.touch_all()
        self.record("recount_needed", reason=reason[:REASON_LENGTH_MAX], epoch=live.epoch)
        self.record("alarm", node="", reason=f"recount_needed: {reason}"[:REASON_LENGTH_MAX])
        for lane in live.lanes.values():
            if live.books.accounts[lane.id].unacknowledged:
                self.send_limit(lane, live.books.accounts[lane.id].newest)

    def may_hold_a_lease(self, lane: Lane) -> None:
        """Nobody knows when this lane was lent something: it may have been just now."""
        account = self.live.books.accounts[lane.id]
        ends = ends_ms(self.steady_ms, self.live.leasing.lease_ms)
        account.leased_until_ms = max(account.leased_until_ms, ends)
        self.touch(lane)

    def keep_epoch(self) -> None:
        """Write down which count this is."""
        self.rows.execute(delete(EPOCH))
        row = {"id": 1, "epoch": self.live.epoch, "recount": self.live.recount, "since_ms": self.now_ms}
        self.rows.execute(insert(EPOCH), [row])

    def touch_all(self) -> None:
        """All books may have changed."""
        self.lanes.update(self.live.lanes)
        self.zones.update(self.live.areas)

    def touch(self, lane: Lane) -> None:
        """This lane's books (and with them its zones') may have changed: they are written, and lowered if need be."""
        self.lanes.add(lane.id)
        self.zones.update(lane.zones)
        self.zones.update(lane.leaves)

    def settle(self, visit: Visit) -> None:
        """A visit leaves `reserved`: whatever comes of it, its grant is no longer open."""
        if visit.state == visits.RESERVED and visit.lane in self.live.lanes:
            self.live.books.settle(visit.lane, visit.persons)
            self.touch(self.live.lanes[visit.lane])

    def ticket_of(self, visit: Visit) -> Ticket | None:
        """The ticket of a visit."""
        return self.rows.tickets.get(visit.ticket)

    def annul(self, visit: Visit) -> bool:
        """Nobody went through on this visit, and nobody will. False: that is not so, or was known already."""
        self.settle(visit)
        ticket = self.ticket_of(visit)
        self.rows.changed(visit, ticket)
        return visits.annul(visit, ticket, self.now_ms)
