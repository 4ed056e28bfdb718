"""What every simulated node's shell does around the shipped core: steps, ticks, its link, and what it sends by it.

It does what einlass_node and einlass_edge do, and nothing else: carries effects out in order, sends, obeys. Between any
two of its steps the power may go.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from einlass_controller import fastwire
from einlass_core import VERSION, messages, wire
from einlass_core.effects import Effect, Record
from einlass_core.events import Event, NotRecorded, Ticked
from einlass_core.journal import Journal, event_fields
from einlass_core.upload import Upload
from einlass_sim.world.disk import Disk, PowerCutError

if TYPE_CHECKING:
    from einlass_core.gate import Gate
    from einlass_core.till import Till
    from einlass_sim.world.network import Network

KEEPALIVE_MS = 15_000
LOOKS_FIRST_MS = 100  # after a start
WAKE_MS_MIN = 200


class Node(ABC):
    """number, name; boot() makes core, journal and upload from what its disk says."""

    status_every_ms: ClassVar[int]
    crash_fault: ClassVar[str]  # what it is counted as when the power goes between two steps
    tick_late_ms: ClassVar[int] = 0  # so much after its time a tick comes
    core: "Gate | Till"
    journal: Journal
    upload: Upload

    def __init__(self, world: "Network[Any]", number: int, name: str, rate: float = 1.0) -> None:
        self.world = world
        self.number = number
        self.name = name
        self.rate = rate
        self.topics = {kind: wire.topic_up("pool", name, kind) for kind in wire.UP}
        self.topics["state"] = wire.topic_state("pool", name)
        self.disk = Disk(self._io)
        self.powered = self.linked = False
        self.boots = 0
        self.session = 0  # of the link; what was sent in an earlier one is lost with it
        self.started_ms = self.unix_offset_ms = 0
        self.cut_up = self.cut_down = 0  # how many faults cut each direction now
        self.cut_since_ms: int | None = None
        self.crash_in = -1  # steps until the power goes; below 0: it does not
        self.paused_until_ms = 0  # until then its process stands still
        self.arrives_ms = 0  # when the last message that nothing held back reaches the controller
        self.status_due_ms = 0
        self.tick_at: int | None = None
        self.wake_at: int | None = None
        self.shown = ""

    # -- what each kind of node does in its own way

    @abstractmethod
    def _begin(self) -> None:
        """Core, journal and upload from what the disk says, and the first step."""

    @abstractmethod
    def lose_power(self) -> None:
        """Nothing runs until it starts again."""

    @abstractmethod
    def step(self, event: Event) -> None:
        """One event, now."""

    @abstractmethod
    def receive(self, kind: str, payload: bytes) -> None:
        """A message from the controller."""

    @abstractmethod
    def _perform(self, effect: Effect) -> bool:
        """False: a record was not kept, so nothing that follows is done."""

    @abstractmethod
    def _status(self, now_ms: int) -> dict[str, Any]:
        """What it says about itself from time to time."""

    @abstractmethod
    def _link_changed(self) -> None:
        """`linked` is another now."""

    # -- its clock

    def now_ms(self) -> int:
        """The node's own clock: milliseconds since its start."""
        return self.world.now_ms - self.started_ms

    def unix_ms(self) -> int:
        """The time as told by the controller."""
        return self.unix_offset_ms + self.now_ms() if self.unix_offset_ms else 0

    # -- power

    def boot(self) -> None:
        """The node starts, with what its disk says."""
        if self.powered:
            return
        self.boots += 1
        self.powered, self.linked = True, False
        self.started_ms, self.unix_offset_ms, self.status_due_ms = self.world.now_ms, 0, 0
        self.tick_at = self.wake_at = None
        try:
            self._begin()
        except (PowerCutError, OSError):  # a full disk that lacks something: the process ends, and is started again
            self.lose_power()
            return
        if self.powered:
            self.world.after(LOOKS_FIRST_MS, self.look_at_link)

    def _go_dark(self) -> None:
        self.powered = self.linked = False
        self.crash_in = -1
        self.session += 1

    # -- steps

    def _io(self) -> None:
        """A step of the shell is about to be done. Raises PowerCutError."""
        if self.crash_in >= 0:
            self._crash_soon()

    def _crash_soon(self) -> None:
        self.crash_in -= 1
        if self.crash_in < 0:
            self.world.count(self.crash_fault)
            raise PowerCutError

    def _carry_out(self, event: Event) -> bool:
        """All that follows from an event, effect by effect. False: the power went meanwhile."""
        self.world.hash(self, type(event).__name__)
        waiting: list[Event] = [event]
        try:
            while waiting:
                failed = False
                for effect in self.core.step(self.now_ms(), waiting.pop(0)):
                    if failed or not self._perform(effect):
                        failed = True
                        if isinstance(effect, Record):
                            waiting.append(NotRecorded(effect.kind, effect.fields))
        except PowerCutError:
            self.lose_power()
            return False
        return True

    def _plan_tick(self) -> None:
        due = self.core.deadline_ms
        if due is None:
            return
        at = self.world.now_ms + max(0, int((due - self.now_ms()) / self.rate) + self.tick_late_ms)
        if self.tick_at is None or at < self.tick_at or self.tick_at <= self.world.now_ms:
            self.tick_at = at
            self.world.at(at, lambda: self._tick(at))

    def _tick(self, at: int) -> None:
        if self.tick_at != at or not self.powered:
            return
        self.tick_at = None
        if self.core.deadline_ms is not None and self.now_ms() >= self.core.deadline_ms:
            self.step(Ticked())
        else:
            self._plan_tick()

    # -- the link

    @property
    def reachable(self) -> bool:
        """Whether both directions work now."""
        return not self.cut_up and not self.cut_down

    def look_at_link(self) -> None:
        """As an MQTT client does: notices after a while that nobody answers, and connects when somebody does."""
        if not self.powered:
            return
        if self.linked and not self.reachable:
            since = self.cut_since_ms if self.cut_since_ms is not None else self.world.now_ms
            if self.world.now_ms - since >= KEEPALIVE_MS:
                self.drop_link()
        elif not self.linked and self.reachable:
            self.connect()

    def connect(self) -> None:
        """A new session: hello, and the journal from what is acknowledged."""
        self.linked = True
        self.session += 1
        self.upload.reset()
        self.world.note(self, "connected")
        self.publish("hello", messages.hello(self.journal, VERSION, "sim", "power"))
        self.publish(
            "state",
            {"online": True, "inc": self.journal.incarnation, "boot": self.journal.boot, "software": VERSION},
        )
        self.status_due_ms = 0
        self._link_changed()

    def drop_link(self) -> None:
        """The client gave the connection up."""
        self.linked = False
        self.session += 1
        self.world.note(self, "cut off")
        self._link_changed()

    def is_for_me(self, fields: dict[str, Any]) -> bool:
        """Every message names the incarnation that it is meant for."""
        return bool(fields.get("inc") == self.journal.incarnation)

    # -- what it sends

    def send_what_is_due(self) -> None:
        """Status and journal, as the links of both shells do."""
        if not (self.powered and self.linked) or self.paused_until_ms > self.world.now_ms:
            return
        now_ms = self.now_ms()
        if now_ms >= self.status_due_ms:
            self.status_due_ms = now_ms + self.status_every_ms
            self.publish("status", self._status(now_ms))
        for seq, text in self.upload.next(now_ms):
            self.publish("event", event_fields(text))
            self.upload.sent(seq)
        due = self.status_due_ms
        if self.upload.deadline_ms is not None:
            due = min(due, self.upload.deadline_ms)
        at = self.world.now_ms + max(WAKE_MS_MIN, int((due - now_ms) / self.rate) + 1)
        if self.wake_at is None or at < self.wake_at or self.wake_at <= self.world.now_ms:
            self.wake_at = at
            self.world.at(at, lambda: self._wake(at))

    def _send_status_now(self) -> None:
        self.status_due_ms = 0
        self.send_what_is_due()

    def _wake(self, at: int) -> None:
        if self.wake_at == at:
            self.wake_at = None
            self.send_what_is_due()

    def publish(self, kind: str, fields: dict[str, Any]) -> None:
        """To the controller, if the network lets it through."""
        self.world.send_up(self, kind, fastwire.encode(kind, fields))
