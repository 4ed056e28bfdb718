"""One lane in the world: the shipped gate, journal, list and messages, with a shell of virtual wires around them.

The shell does what einlass_node and einlass_edge do, and nothing else: carries effects out in order, sends, obeys.
Between any two of its steps the power may go, or the process may stand still.
"""

from typing import TYPE_CHECKING, Any, ClassVar, cast

from einlass_controller import fastwire
from einlass_core import messages
from einlass_core.allowlist import AllowList
from einlass_core.codes import SIGNED_PREFIX
from einlass_core.effects import Ask, Effect, Record, SetBolt, Show, Tell
from einlass_core.events import ENTRY, EXIT, EmergencyInput, Event, Linked, Rearmed, Started
from einlass_core.gate import Gate, GateSettings
from einlass_core.journal import Journal
from einlass_core.signed_alone import NOT_HERE, SEEN
from einlass_core.upload import Upload
from einlass_edge.signed_tickets import SignedTickets
from einlass_sim.world.disk import PowerCutError
from einlass_sim.world.node import Node

if TYPE_CHECKING:
    from einlass_edge.database import Database
    from einlass_sim.world.world import World

BOOT_MS = 3_000
SAME_CODE_MS = 1_000
MERGE_EVERY_MS = 50


class Lane(Node):
    """number, name; `truth_inside` and the like are in Truth: nothing here knows who is inside."""

    status_every_ms: ClassVar[int] = 60_000
    crash_fault: ClassVar[str] = "lane_crash_soon"
    tick_late_ms: ClassVar[int] = 1  # its clock is not the world's
    world: "World"
    gate: Gate

    def __init__(self, world: "World", number: int, policy: str, rate: float) -> None:
        super().__init__(world, number, f"gate-{number}", rate)
        self.id = f"lane-{number}"
        self.policy = policy
        self.pause_in = -1
        self.pause_ms = 0
        self.lag_ms = 0
        self.bolt = {ENTRY: False, EXIT: True}
        self.blind = False  # a barrier is blocked: nobody who goes through is seen
        self.struck = ""
        self.struck_in_vain: set[str] = set()  # off the list for a release that nobody hears of
        self.pressed = self.told_emergency = False
        self.signed: SignedTickets | None = None  # a host judges signatures, a board does not

    # -- power

    def _begin(self) -> None:
        world = self.world
        self.told_emergency = False
        self.lag_ms = self.last_ms = 0
        self.journal = Journal(self.disk, world.new_incarnation())
        self.listed = AllowList(self.disk)
        settings = GateSettings(same_code_ms=SAME_CODE_MS, cut_off=self.policy)
        if world.drawn.hosts[self.number]:
            self.signed = SignedTickets(cast("Database", self.disk.table), self.listed)
        self.gate = self.core = Gate(
            settings, self.journal.account, self.journal.prefix, self.journal.emergency, self._alone
        )
        self.upload = Upload(self.journal)
        world.truth.booted(self)
        world.watch.booted(self)
        self.step(Started("power"))

    def lose_power(self, dark_ms: int = BOOT_MS) -> None:
        """Nothing runs; the entry locks, the exit is free."""
        if not self.powered:
            return
        self.world.note(self, "power lost")
        self._go_dark()
        self.world.truth.power_lost(self)
        self.pause_in = -1
        self.paused_until_ms = 0  # the process that stood still is no more
        self.bolt = {ENTRY: False, EXIT: True}
        self.world.lane_lost_power(self)
        self.world.after(dark_ms, self.boot)

    def now_ms(self) -> int:
        """Milliseconds since its start, at its own rate."""
        now_ms = int((self.world.now_ms - self.started_ms) * self.rate) + self.lag_ms
        self.last_ms = max(self.last_ms, now_ms)
        return self.last_ms

    def _io(self) -> None:
        if self.crash_in >= 0:
            self._crash_soon()
        if self.pause_in >= 0:
            self.pause_in -= 1
            if self.pause_in < 0:
                self.world.count("pause")
                self.world.note(self, f"stands still for {self.pause_ms // 1000} s")
                self.lag_ms += int(self.pause_ms * self.rate)
                self.paused_until_ms = self.world.now_ms + self.pause_ms

    # -- the lane

    def sees(self, *events: Event) -> None:
        """What the barriers would tell; nothing while one of them is blocked."""
        for event in events:
            if self.blind:
                self.world.truth.missed(self, event)
            else:
                self.step(event)

    def step(self, event: Event) -> None:
        """One event, now; if the process stands still, when it goes on."""
        if not self.powered:
            self.world.truth.missed(self, event)
            return
        if self.paused_until_ms > self.world.now_ms:
            boot, session = self.boots, self.session
            self.world.at(self.paused_until_ms, lambda: self._later(boot, session, event))
            return
        self._unpause()
        if self._carry_out(event):
            self.world.watch.stepped(self, event)
            self._plan_tick()
            self.send_what_is_due()

    def _merge_a_little(self, boot: int) -> None:
        """As a board does: a piece at a time, so that the power may go in between."""
        if not self.powered or boot != self.boots:
            return
        try:
            if self.listed.work():
                self.world.after(MERGE_EVERY_MS, lambda: self._merge_a_little(boot))
            elif self.signed is not None:
                self.signed.tidy()
        except PowerCutError:
            self.lose_power()
        except OSError:
            pass

    def _later(self, boot: int, session: int, event: Event) -> None:
        if boot != self.boots:  # what waited for a process that the power cut ended is gone with it
            self.world.truth.missed(self, event)
        elif session == self.session or not isinstance(event, Linked):
            self.step(event)

    def _unpause(self) -> None:
        # The clock went on while the process stood still: what it lagged behind is real time by now.
        if self.lag_ms and self.world.now_ms >= self.paused_until_ms:
            self.lag_ms = 0

    def _perform(self, effect: Effect) -> bool:
        if isinstance(effect, Record):
            return self._record(effect)
        self._io()
        if isinstance(effect, SetBolt):
            # As the drivers do: a release whose time is over is not carried out.
            if not (effect.released and effect.until_ms is not None and self.now_ms() >= effect.until_ms):
                self.bolt[effect.side] = effect.released
                self.world.truth.bolt_set(self, effect)
        elif isinstance(effect, Show):
            self.shown = effect.code
            self.world.people.lamp(self, effect.code)
        elif isinstance(effect, Ask):
            if self.linked:
                self.world.truth.asks(self, effect)
                self.publish("ask", messages.ask(self.journal, effect))
        elif isinstance(effect, Tell):
            self.status_due_ms = 0
        return True

    def _alone(self, digest: str) -> int | str:
        """Who is let in alone: as both shells have it, tickets on the list; on a host signed ones by their keys."""
        persons, code = self.listed.persons(digest), self.gate.code
        if self.signed is None:
            return persons
        if persons >= SEEN:
            return NOT_HERE
        if not code.startswith(SIGNED_PREFIX):
            return persons
        if persons:
            return "revoked" if self.signed.revoked(code) else persons
        return self.signed.judge(code, digest, self.unix_ms())

    def _record(self, effect: Record) -> bool:
        try:
            if effect.kind == "released":
                self.struck = str(effect.fields.get("digest", ""))
            self.listed.recorded(effect.kind, effect.fields)
            fields = effect.fields if self.signed is None else self.signed.recorded(effect.kind, effect.fields)
            self.journal.append(effect.kind, self.now_ms(), self.unix_ms(), fields)
        except OSError:
            return False
        except PowerCutError:
            if effect.kind == "released":
                self.struck_in_vain.add(self.struck)
            raise
        self.world.truth.recorded(self, effect.kind, fields)
        self.world.watch.recorded(self, effect.kind, fields)
        self.listed.kept()
        return True

    # -- emergency: a button, or the controller's word, which counts as one more

    def press(self, pressed: bool) -> None:
        """The button."""
        self.pressed = pressed
        self._emergency()

    def _emergency(self) -> None:
        self.step(EmergencyInput(self.pressed or self.told_emergency))

    def rearm(self) -> None:
        """Two people, when nothing is pressed any more."""
        self._emergency()
        self.step(Rearmed("Ada", "Bea"))

    # -- the wire

    def _link_changed(self) -> None:
        self.step(Linked(self.linked))

    def _status(self, now_ms: int) -> dict[str, Any]:
        fields = messages.status(self.journal, self.gate, now_ms)
        fields["list"] = self.listed.status(now_ms)
        if self.signed is not None:
            fields["trust"] = self.signed.status()
        return fields

    def receive(self, kind: str, payload: bytes) -> None:
        """A message from the controller."""
        if not self.powered or not self.linked:
            return
        if self.paused_until_ms > self.world.now_ms:
            boot = self.boots
            self.world.at(self.paused_until_ms, lambda: self.receive(kind, payload) if boot == self.boots else None)
            return
        self._unpause()
        fields = fastwire.decode(kind, payload)
        if kind in ("answer", "limit"):
            self.world.truth.arrived(self, kind, fields)
            self.world.watch.arrived(self, fields)
        if kind == "time":
            self.unix_offset_ms = fields["unix_ms"] - self.now_ms()
            return
        if kind == "emergency":
            self.told_emergency = fields["on"]
            self._emergency()
            return
        if not self.is_for_me(fields):
            return
        event = messages.event_of(kind, fields, self.journal.boot)
        if event is not None:
            self.step(event)
        elif kind == "ack":
            self.journal.acknowledge(fields["seq"])
            self.send_what_is_due()
        elif kind == "list":
            self._take_list(fields)
        elif kind == "trust" and self.signed is not None:
            self._take_trust(fields)

    def _take_trust(self, fields: dict[str, Any]) -> None:
        assert self.signed is not None
        try:
            if self.signed.take(fields):
                self._send_status_now()
        except PowerCutError:
            self.lose_power()
        except OSError:
            pass

    def _take_list(self, fields: dict[str, Any]) -> None:
        try:
            taken = self.listed.take(fields, self.now_ms())
        except PowerCutError:
            self.lose_power()
            return
        except OSError:
            return
        self._merge_a_little(self.boots)
        if fields["entries"] or not taken:
            self._send_status_now()
