"""Promises checked where they would be broken, long before anybody is inside who should not be.

A limit that is not this journal's, a lease that is too long or a refund in doubt does harm only when two or three rare
things come together; so each lane is held to what it may do at the moment when it does it.
"""

from typing import TYPE_CHECKING, Any

from einlass_core.events import Event, PassageBusy

if TYPE_CHECKING:
    from einlass_sim.world.lane import Lane
    from einlass_sim.world.world import World

# What it calls a broken promise.
WATCHED = ("refund_in_doubt", "lease_too_long", "foreign_limit", "older_limit", "epoch_too_early")
Version = tuple[int, int]  # epoch, version


class LaneWatch:
    """What one lane was told, by journal and by boot, and how its barrier is."""

    def __init__(self) -> None:
        self.incarnation = ""
        self.told: dict[Version, int] = {}  # every limit that arrived for this journal: its ceiling
        self.obeys: Version = (0, 0)
        self.lease_end = 0  # on the lane's own clock, by what arrived for this boot
        self.blocked = False
        self.pending = 0  # under way after the last step


class Watch:
    """Called by the lanes; a broken promise ends the run."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._lanes = [LaneWatch() for _ in range(world.drawn.lanes)]

    def booted(self, lane: "Lane") -> None:
        """A restart ends the lease. An old image may obey an older limit, but one of its own."""
        own, account = self._lanes[lane.number], lane.journal.account
        if own.incarnation != lane.journal.incarnation:
            own.incarnation, own.told = lane.journal.incarnation, {(0, 0): account.ceiling}
        own.obeys, own.lease_end, own.blocked, own.pending = (account.epoch, account.version), 0, False, 0

    def arrived(self, lane: "Lane", fields: dict[str, Any]) -> None:
        """A message with a limit reached a lane, for whichever journal."""
        limit = fields.get("limit")
        if not limit or fields["inc"] != lane.journal.incarnation:
            return
        own = self._lanes[lane.number]
        if own.pending and limit["epoch"] > lane.gate.account.epoch:
            self._world.sometimes["a_new_count_met_a_passage"] += 1
        own.told[limit["epoch"], limit["version"]] = limit["ceiling"]
        if fields.get("boot") == lane.journal.boot and fields.get("lease_ms"):
            from_ms = fields["from_ms"]
            if lane.now_ms() < own.lease_end or from_ms >= own.lease_end:  # else it comes too late to renew anything
                own.lease_end = max(own.lease_end, from_ms + fields["lease_ms"])

    def recorded(self, lane: "Lane", kind: str, fields: dict[str, Any]) -> None:
        """Places come back only when surely nobody went through."""
        if kind == "unused" and fields["persons"] and self._lanes[lane.number].blocked:
            self._break(f"refund_in_doubt: {lane.name} gives back {fields['persons']}, somebody is between its sensors")
        if fields.get("doubtful"):
            self._world.sometimes["counted_in_doubt"] += 1

    def stepped(self, lane: "Lane", event: Event) -> None:
        """Whatever it did: it obeys a limit that it was told, each newer than the one before, and no longer lease.

        A new count begins with nobody under way.
        """
        own, account = self._lanes[lane.number], lane.gate.account
        if isinstance(event, PassageBusy):
            own.blocked = event.busy
        if account.until_ms > own.lease_end:
            self._break(f"lease_too_long: {lane.name} takes it to last till {account.until_ms}, not {own.lease_end}")
        pending, own.pending = own.pending, account.pending
        obeys = (account.epoch, account.version)
        if pending and account.pending >= pending and obeys[0] > own.obeys[0]:
            self._break(f"epoch_too_early: {lane.name} begins epoch {obeys[0]}, {pending} are under way")
        if obeys == own.obeys and own.told.get(obeys, account.ceiling) == account.ceiling:
            return
        if own.told.get(obeys) != account.ceiling:
            self._break(f"foreign_limit: {lane.name} obeys {obeys}, {account.ceiling}: told was {own.told.get(obeys)}")
        if obeys < own.obeys:
            self._break(f"older_limit: {lane.name} obeys {obeys} after {own.obeys}")
        own.obeys = obeys

    def _break(self, what: str) -> None:
        self._world.truth.violation(what)
