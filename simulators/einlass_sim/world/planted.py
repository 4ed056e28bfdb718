"""Bugs planted on purpose, one at a time, in the shipped code's place: a world is worth what it finds.

Each is a shortcut that looks harmless (docs/protocol.md says why it is none). They live here only: the product has no
switch for any of them. `hours`, `faults`, `seeds`: the runs in which it must be found. Vouchers and money are not in
the world of lanes: what is planted there the town of tills must find (tills/planted.py), or other layers (layers.py).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from einlass_controller.domain import occupancy, recount, voucher_owner
from einlass_controller.steps import alone, events, old_images, voucher_payments
from einlass_core import allowlist, gate, lease, signed, signed_alone
from einlass_core.effects import Record, SetBolt
from einlass_core.events import EXIT
from einlass_edge import signed_tickets
from einlass_sim.tills import drawn as town_drawn
from einlass_sim.tills import planted as in_tills
from einlass_sim.tills import runs as town_runs
from einlass_sim.world import lane as world_lane
from einlass_sim.world import layers, runs
from einlass_sim.world import office as world_office
from einlass_sim.world.drawn import FAULTS, draw
from einlass_sim.world.watch import WATCHED

SEEDS_MAX = 20
HOURS = 3.0


@dataclass(frozen=True)
class Bug:
    """What is broken, and where it must show."""

    what: str
    patches: Callable[[], list[Any]]
    hours: float = HOURS
    faults: frozenset[str] = frozenset(FAULTS)
    seeds: int = SEEDS_MAX
    in_world: bool = True  # whether the world has what it is about
    in_town: bool = False  # whether the town of tills has

    @property
    def is_simulated(self) -> bool:
        """Whether one of the simulations must find it, and not only some layer."""
        return self.in_world or self.in_town

    def play(self, seed: int) -> str:
        """What a seed breaks."""
        if self.in_town:
            return town_runs.play(town_drawn.draw(seed, self.hours, frozenset(town_drawn.FAULTS))).violation
        return runs.play(draw(seed, self.hours, self.faults)).violation


@dataclass
class Hunt:
    """What was found. caught: (seed, violation) by bug, in the world; elsewhere: bugs by other layers."""

    names: list[str] = field(default_factory=list)
    caught: dict[str, tuple[int, str]] = field(default_factory=dict)
    elsewhere: dict[str, list[str]] = field(default_factory=dict)

    @property
    def found(self) -> list[str]:
        """By whatever layer."""
        others = {name for found in self.elsewhere.values() for name in found}
        return [name for name in self.names if name in self.caught or name in others]

    @property
    def missed(self) -> list[str]:
        """What no layer found, and what the world should have found and did not."""
        found = self.found
        return [name for name in self.names if name not in (self.caught if BUGS[name].is_simulated else found)]

    def as_dict(self) -> dict[str, Any]:
        """As it is printed. `world`: any of the layers of the world itself, which follow it."""
        in_world = [name for name in self.caught if not BUGS[name].in_town]
        by_layer: dict[str, list[str]] = {"world": in_world}
        for name in in_world:
            by_layer.setdefault(layer_of(self.caught[name][1]), []).append(name)
        by_layer["town of tills"] = [name for name in self.caught if BUGS[name].in_town]
        return {
            "planted": len(self.names),
            "found": len(self.found),
            "missed": self.missed,
            "by_layer": by_layer | self.elsewhere,
            "seeds": {name: seed for name, (seed, _) in self.caught.items()},
        }


def layer_of(what: str) -> str:
    """Who noticed: the books themselves, the watch at the lane, the truth while it ran, or the last comparison."""
    name = what.partition(":")[0]
    if name == "controller_fault":
        return "world: invariants of the books"
    if name in WATCHED:
        return "world: watch at the lane"
    healed = (
        *("counts_differ", "records_missing", "records_lost", "accounts_differ", "not_back", "no_lease"),
        *("conflict_not_reported", "used_twice_online", "nonce_reused", "list_differs", "not_as_usual"),
        "no_old_image",
    )
    return "world: counts after healing" if name in healed else "world: truth at every event"


def _swap(where: Any, name: str, value: Any) -> Any:
    return mock.patch.object(where, name, value)


def _exposure_of_the_newest(self: occupancy.Account) -> int:
    return max(self.balance, self.sent[-1][1])


def _renew_without_ghosts(self: occupancy.Books, name: str, inc: str) -> int:
    account = self.accounts[name]
    self._add(account, -1)
    self.accounts[name] = occupancy.Account(name, account.zones, inc, account.epoch, leaves=account.leaves)
    self._add(self.accounts[name], 1)
    return 0


def _renew_ghosts_unsigned(self: occupancy.Books, name: str, inc: str) -> int:
    account = self.accounts[name]
    ghosts = max(0, account.balance)
    self._add(account, -1)
    for zone in self._zones(account):
        zone.ghosts += ghosts
    self.accounts[name] = occupancy.Account(name, account.zones, inc, account.epoch, leaves=account.leaves)
    self._add(self.accounts[name], 1)
    return ghosts


_grant = occupancy.Books.grant


def _grant_without_looking(self: occupancy.Books, name: str, persons: int, keep: Any = None) -> Any:
    with mock.patch.object(occupancy.Books, "_has_room", return_value=True):
        return _grant(self, name, persons)


def _take_in_order_of_arrival(self: lease.Account, limit: lease.Limit) -> bool:
    self.version = max(self.version, limit.version)
    self.ceiling = limit.ceiling
    return True


def _take_as_difference(self: lease.Account, limit: lease.Limit) -> bool:
    more = max(0, limit.ceiling - self.balance)
    self.version = max(self.version, limit.version)
    self.ceiling = max(self.ceiling, self.balance) + more
    return True


def _renew_from_arrival(self: lease.Account, now_ms: int, from_ms: int, lease_ms: int) -> None:
    if lease_ms:
        self.until_ms = now_ms + lease_ms


def _renew_late(self: lease.Account, now_ms: int, from_ms: int, lease_ms: int) -> None:
    self.until_ms = max(self.until_ms, from_ms + lease_ms)


def _take_an_epoch_at_once(self: lease.Account, limit: lease.Limit) -> bool:
    if (limit.epoch, limit.version) <= (self.epoch, self.version):
        return False
    if limit.epoch != self.epoch:
        self.epoch, self.balance = limit.epoch, 0
    self.version, self.ceiling = limit.version, limit.ceiling
    return True


_report = occupancy.Books.report


def _report_last_received(self: occupancy.Books, name: str, report: occupancy.Report) -> occupancy.Taken:
    account = self.accounts[name]
    account.seq = min(account.seq, report.seq)
    return _report(self, name, report._replace(version=max(report.version, account.version)))


_persons = allowlist.AllowList.persons


def _whoever_shows_a_code(self: allowlist.AllowList, digest: str) -> int:
    return _persons(self, digest) or 1


_release = gate.Gate._release


def _release_first(self: gate.Gate, now_ms: int, fields: dict[str, Any], effects: list[Any]) -> None:
    found: list[Any] = []
    _release(self, now_ms, fields, found)
    effects += [item for item in found if isinstance(item, SetBolt)]
    effects += [item for item in found if not isinstance(item, SetBolt)]


_exit_scanned = gate.Gate._exit_scanned


def _credit_at_the_scan(self: gate.Gate, now_ms: int, code: str, effects: list[Any]) -> None:
    before = len(effects)
    _exit_scanned(self, now_ms, code, effects)
    if any(isinstance(item, Record) and item.kind == "exit" for item in effects[before:]):
        self.account.leave(1)


_started = gate.Gate._started


def _refund_after_a_crash(self: gate.Gate, now_ms: int, event: Any, effects: list[Any]) -> None:
    self.account.refund(self.account.pending)
    _started(self, now_ms, event, effects)


_settled = gate.Gate._settled


def _refund_in_doubt(self: gate.Gate, now_ms: int, effects: list[Any]) -> None:
    self._busy_since = None
    _settled(self, now_ms, effects)


def _crash_sending_first(self: world_office.Office, batch: Any, after_commit: bool) -> None:
    saved = bytes(self.raw.serialize())
    begun = self.engine.begin(batch, self.now_ms())
    if begun is not None:
        self.send(begun())
    self.raw.deserialize(saved)
    self.stop()


def _list_never_struck(self: allowlist.AllowList, kind: str, fields: Any) -> None:
    return None


_take_list = allowlist.AllowList.take


def _list_without_order(self: allowlist.AllowList, fields: dict[str, Any], now_ms: int = 0) -> bool:
    if not (fields.get("start") or fields.get("end") or not fields["to"]["added"]):
        fields = {**fields, "since": self.version()}
    return _take_list(self, fields, now_ms)


_tick = world_office.Office.tick


def _reclaim_by_the_clock(self: world_office.Office) -> None:
    live = self.engine.live
    for name, account in live.books.accounts.items():
        node = live.nodes[live.lanes[name].node] if live.lanes[name].node else None
        if node is not None and node.inc and not node.online and account.spare:
            before = occupancy._sums(account)
            account.sent = [(account.version_sent, account.balance)]
            account.version = account.lowering = account.version_sent
            live.books._moved(account, before)
    _tick(self)


def _event_despite_a_gap(batch: Any, message: Any) -> None:
    node = batch.live.nodes.get(message.node)
    if node is not None and message.inc == node.inc and message.seq > node.applied + 1:
        node.applied = message.seq - 1
    _event(batch, message)


_event = events.event


class _OneNonce(gate.Gate):
    """Numbers every scan from one, whatever the incarnation and the boot."""

    def _next_nonce(self) -> str:
        self._scans += 1
        return f"n.1.{self._scans}"


_passed = gate.Gate._passed


def _no_forced_bodies(self: gate.Gate, now_ms: int, side: str, effects: list[Any]) -> None:
    if side == EXIT or (self.entry in (gate.RELEASED, gate.SETTLING) and self._left):
        _passed(self, now_ms, side, effects)


def _engine_steps(name: type, step: Any) -> Any:
    from einlass_controller import engine

    return mock.patch.dict(engine._STEPS, {name: step})


def _holds_to_the_last_second(self: gate.Gate, now_ms: int, refusal: str, effects: list[Any]) -> None:
    until_ms = self.account.until_ms
    if now_ms <= until_ms:
        self.account.until_ms = until_ms + 10 * 60_000
    try:
        _alone(self, now_ms, refusal, effects)
    finally:
        self.account.until_ms = until_ms


_alone = gate.Gate._alone


def _whoever_has_the_name(voucher: Any, asker: voucher_owner.Asker) -> bool:
    return bool(voucher.owner == asker.node) and voucher.owner != voucher_owner.CONTROLLER


def _give_back_whenever(voucher: Any, by: voucher_owner.Asker, version: int) -> int:
    return voucher_owner._take(voucher)


_open_payment = voucher_payments._open


def _held_by_the_clock(batch: Any, order: Any, payment: Any) -> str:
    key = _open_payment(batch, order, payment)
    batch.live.vouchers.timed.setdefault(key, batch.now_ms + voucher_payments.HOLD_MS)
    return key


_payment = voucher_payments.payment_of


def _payment_forgotten(batch: Any, key: str) -> Any:
    found = _payment(batch, key)
    return None if found is None else replace(found, state="open")


def _node_event() -> type:
    from einlass_controller.messages import NodeEvent

    return NodeEvent


_signed_recorded = signed_tickets.SignedTickets.recorded


def _condemn(batch: Any, node: Any, _lane: Any, _report: Any) -> None:
    old_images.is_an_old_image(batch, node, "three words of before")


def _forget_once_inside(self: signed_tickets.SignedTickets, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    found = _signed_recorded(self, kind, fields)
    if kind == "passed" and fields["side"] != EXIT:
        self._database.write("DELETE FROM used")
    return found


_as_text = signed_alone.Trust.as_text


def _nothing_revoked(self: signed_alone.Trust) -> str:
    ring = {name: signed.PublicKey(key.id, key.public, key.verify_until_ms) for name, key in self.ring.items()}
    return _as_text(signed_alone.Trust(self.zones, ring, self.alone, self.products))


BUGS: dict[str, Bug] = {
    "limit_as_difference": Bug(
        "a limit is taken as so many more", lambda: [_swap(lease.Account, "take", _take_as_difference)]
    ),
    "limit_last_received": Bug(
        "the limit that arrived last counts", lambda: [_swap(lease.Account, "take", _take_in_order_of_arrival)]
    ),
    "places_free_before_acknowledged": Bug(
        "a lowered ceiling frees places at once",
        lambda: [_swap(occupancy.Account, "exposure", property(_exposure_of_the_newest))],
    ),
    "no_ghosts": Bug(
        "a lost journal's places are free again",
        lambda: [_swap(occupancy.Books, "renew", _renew_without_ghosts)],
        4.0,
        frozenset(("wipe",)),
    ),
    "ghosts_without_a_sign": Bug(
        "a lost journal's balance counts only if positive",
        lambda: [_swap(occupancy.Books, "renew", _renew_ghosts_unsigned)],
        4.0,
        frozenset(("wipe",)),
        40,
    ),
    "reclaimed_by_the_clock": Bug(
        "a lane that is not heard of loses its places to others",
        lambda: [_swap(world_office.Office, "tick", _reclaim_by_the_clock)],
    ),
    "release_before_record": Bug(
        "the bolt first, the journal then", lambda: [_swap(gate.Gate, "_release", _release_first)]
    ),
    "exit_credited_at_the_scan": Bug(
        "an exit scan frees a place", lambda: [_swap(gate.Gate, "_exit_scanned", _credit_at_the_scan)]
    ),
    "sent_before_stored": Bug(
        "answers go out before the commit", lambda: [_swap(world_office.Office, "crash", _crash_sending_first)]
    ),
    "any_incarnation": Bug(
        "a message for an earlier journal is obeyed",
        lambda: [_swap(world_lane.Lane, "is_for_me", lambda *_: True)],
        hours=8.0,
    ),
    "lease_from_arrival": Bug(
        "a lease counts from its arrival", lambda: [_swap(lease.Account, "renew", _renew_from_arrival)]
    ),
    "renewed_late": Bug(
        "a lease that was over goes on by a request from before",
        lambda: [_swap(lease.Account, "renew", _renew_late)],
    ),
    "epoch_taken_with_a_passage_pending": Bug(
        "a lane begins a new count while somebody is between its sensors",
        lambda: [_swap(lease.Account, "take", _take_an_epoch_at_once)],
        8.0,
        frozenset(("restore", "step_back", "linger")),
    ),
    "counted_while_a_lane_is_open": Bug(
        "a count is taken while lanes go on with the old one, or have somebody under way",
        lambda: [_swap(recount, "waiting", lambda *_: [])],
        8.0,
        frozenset(("restore", "step_back", "linger", "loss", "delay")),
        seeds=40,
    ),
    "restored_and_went_on": Bug(
        "a controller on an older database goes on as if nothing had happened",
        lambda: [_swap(world_office, "older", lambda *_: "")],
    ),
    "report_last_received": Bug(
        "the controller believes what it heard last of a lane, not the newest",
        lambda: [_swap(occupancy.Books, "report", _report_last_received)],
    ),
    "list_not_looked_at": Bug(
        "alone, whatever looks like a code is let in",
        lambda: [_swap(allowlist.AllowList, "persons", _whoever_shows_a_code)],
    ),
    "lease_forgets_the_passage": Bug(
        "a lease need not cover the passage", lambda: [_swap(gate.Gate, "_alone", _holds_to_the_last_second)]
    ),
    "refund_after_a_crash": Bug(
        "who was under way when the power went is taken not to have passed",
        lambda: [_swap(gate.Gate, "_started", _refund_after_a_crash)],
    ),
    "refund_in_doubt": Bug(
        "somebody between the sensors is taken not to have passed",
        lambda: [_swap(gate.Gate, "_settled", _refund_in_doubt)],
    ),
    "nonces_reused": Bug("scans are numbered anew after a restart", lambda: [_swap(world_lane, "Gate", _OneNonce)]),
    "list_not_struck": Bug(
        "a ticket stays on the list that let it in",
        lambda: [_swap(allowlist.AllowList, "recorded", _list_never_struck)],
    ),
    "gap_jumped": Bug(
        "a record is applied though one before it is missing",
        lambda: [_engine_steps(_node_event(), _event_despite_a_gap)],
    ),
    "forced_bodies_not_counted": Bug(
        "a body without a release is not counted",
        lambda: [_swap(gate.Gate, "_passed", _no_forced_bodies)],
        faults=frozenset(("tailgate",)),
    ),
    "cap_not_looked_at": Bug(
        "the controller grants without looking", lambda: [_swap(occupancy.Books, "grant", _grant_without_looking)]
    ),
    "conflicts_not_reported": Bug(
        "a second use alone is kept quiet about", lambda: [_swap(alone, "_report", lambda *_: None)], seeds=60
    ),
    "old_image_believed": Bug(
        "a node with an old copy of its journal in it goes on",
        lambda: [_swap(occupancy.Books, "freeze", lambda *_: None)],
        faults=frozenset(("old_image",)),
    ),
    "late_words_condemn": Bug(
        "three words that newer ones have overtaken are an old image",
        lambda: [_swap(old_images, "_ask", _condemn)],
        faults=frozenset(("cut", "delay", "old_copy")),
    ),
    "signed_again_and_again": Bug(
        "on a signature alone somebody is let in each time",
        lambda: [_swap(signed_tickets.SignedTickets, "_seen", lambda *_: 0)],
        seeds=40,
    ),
    "signed_forgotten_too_early": Bug(
        "whom a signature let in is forgotten once inside, not when the controller's list says it",
        lambda: [_swap(signed_tickets.SignedTickets, "recorded", _forget_once_inside)],
        seeds=40,
    ),
    "revoked_key_counts": Bug(
        "that a key was revoked is told, and not looked at",
        lambda: [_swap(signed_alone.Trust, "as_text", _nothing_revoked)],
        seeds=40,
    ),
    "voucher_of_any_incarnation": Bug(
        "a voucher belongs to whoever has the node's name, wiped or not",
        lambda: [_swap(voucher_owner, "owns", _whoever_has_the_name)],
        in_world=False,
    ),
    "voucher_without_a_version": Bug(
        "a voucher is given back by an old message",
        lambda: [_swap(voucher_owner, "give_back", _give_back_whenever)],
        in_world=False,
    ),
    "voucher_back_by_the_clock": Bug(
        "what a machine that was cut off holds is free again after a while",
        lambda: [_swap(voucher_payments, "_open", _held_by_the_clock)],
        in_world=False,
    ),
    "payment_told_twice": Bug(
        "a payment that is told again is done again",
        lambda: [_swap(voucher_payments, "payment_of", _payment_forgotten)],
        in_world=False,
    ),
}


_ACTIVE: list[Any] = []
_CLEAN: dict[tuple[int, float, frozenset[str], bool], str] = {}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The shipped code with this bug in it."""
    patches = BUGS[name].patches()
    for patch in patches:
        patch.start()
    _ACTIVE.extend(patches)
    try:
        yield
    finally:
        _ACTIVE.clear()
        for patch in reversed(patches):
            patch.stop()


def hunt(names: list[str], also: Iterable[str] = ()) -> Hunt:
    """Each bug alone, seed by seed until it is found or its seeds are used up; and by these other layers.

    Raises layers.LayerError when one of them is not quiet without a bug.
    """
    found = Hunt(names)
    for layer in also:
        if layers.finds(layer, ""):
            raise layers.LayerError(f"{layer}: something fails that nobody has broken")
        found.elsewhere[layer] = [name for name in names if layers.finds(layer, name)]
    for name in names:
        bug = BUGS[name]
        if bug.is_simulated:
            with planted(name):
                caught = _first(bug)
            if caught is not None:
                found.caught[name] = caught
    return found


def _first(bug: Bug) -> tuple[int, str] | None:
    for seed in range(1, bug.seeds + 1):
        try:
            what = bug.play(seed)
        except Exception as error:  # a bug may also end in a plain error: that is found, too
            what = f"crashed: {type(error).__name__}: {error}"
        if what and what != _clean(seed, bug):
            return seed, what
    return None


def _clean(seed: int, bug: Bug) -> str:
    """What the shipped code itself breaks with this seed: nothing that counts as found."""
    key = (seed, bug.hours, bug.faults, bug.in_town)
    if key not in _CLEAN:
        for patch in _ACTIVE:
            patch.stop()
        try:
            _CLEAN[key] = bug.play(seed)
        finally:
            for patch in _ACTIVE:
                patch.start()
    return _CLEAN[key]


BUGS |= {name: Bug(what, patches, in_world=False, in_town=True) for name, (what, patches) in in_tills.BUGS.items()}
