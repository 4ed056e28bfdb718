"""The node's end of the wire: hello, asks and journal up; answers, ceilings, acknowledgements and commands down."""

from einlass_core import VERSION, messages, wire
from einlass_core.commands import OK, UNKNOWN, Commands, two_names
from einlass_core.events import Linked, Rearmed
from einlass_core.journal import event_fields
from einlass_core.record import TYPE_CHECKING
from einlass_core.upload import Upload
from einlass_node.mqtt import Client

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from einlass_core.allowlist import AllowList
    from einlass_core.board import NodeConfig
    from einlass_core.effects import Ask
    from einlass_core.events import Event
    from einlass_core.gate import Gate
    from einlass_core.journal import Journal
    from einlass_node.clock import Clock
    from einlass_node.inputs import Contacts

STATUS_EVERY_MS = 10_000
UPLOAD_LOOK_MS = 1_000
KEEPALIVE_S = 10
BACKOFF_MS = (200, 5_000)
TOPIC_BYTES_MAX = 128  # two names and four words, and MQTT's own
PENDING_MAX = 8  # messages waiting for the broker's acknowledgement, half a kilobyte each
EVENTS_PENDING_MAX = 5  # the rest is for what cannot wait: asks and replies


class Link:
    """look() and client.run() do the work. happened: told what happens to the lane; it returns when that is dealt with.

    Everything here survives the link: what is not acknowledged is sent again from the journal.
    """

    def __init__(
        self,
        config: "NodeConfig",
        hardware: str,
        reason: str,
        journal: "Journal",
        gate: "Gate",
        allow_list: "AllowList",
        contacts: "Contacts",
        happened: "Callable[[Event], None]",
        clock: "Clock",
        health: "Callable[[], dict[str, Any]]",
        ssl: "Any",
        random01: "Callable[[], float]",
    ) -> None:
        self._site = config.site
        self._node = config.node
        self._hardware = hardware
        self._reason = reason
        self._journal = journal
        self._gate = gate
        self._list = allow_list
        self._contacts = contacts
        self._happened = happened
        self._clock = clock
        self._health = health
        self._upload = Upload(journal)
        self._commands = Commands()
        self._status_due_ms = 0
        self._look_ms = 0
        self._hello_due = False
        self.rejected = 0  # messages down that could not be used
        self.client = Client(
            config.host,
            config.port,
            config.node,
            config.node,
            config.password,
            will=(wire.topic_state(self._site, self._node), wire.encode("state", {"online": False}), 1, True),
            keepalive_s=KEEPALIVE_S,
            on_message=self._received,
            on_link=self._changed,
            ssl=ssl,
            inbound_max=wire.MESSAGE_BYTES_MAX + TOPIC_BYTES_MAX,
            pending_max=PENDING_MAX,
            random01=random01,
            backoff_ms=BACKOFF_MS,
        )
        self.client.subscribe(wire.topic_down(self._site, self._node, "#"))
        self.client.subscribe(wire.topic_all(self._site, "#"))

    def look(self, now_ms: int) -> None:
        """Call it often: sends what is due, or has its time (a status, a second sending) now."""
        if now_ms >= self._look_ms and self.client.up:
            self._look_ms = now_ms + UPLOAD_LOOK_MS
            try:
                self._send_what_is_due()
            except MemoryError as error:
                print("link", error)  # What was not sent is still due at the next look.

    def ask(self, effect: "Ask") -> None:
        """Send a scan. Cut off or queue full: the lane's own deadline deals with it."""
        if self.client.up:
            self._publish("ask", messages.ask(self._journal, effect))

    def tell(self) -> None:
        """A status is wanted now."""
        self._status_due_ms = self._look_ms = 0

    def recorded(self) -> None:
        """The journal has grown."""
        self._look_ms = 0

    def _send_what_is_due(self) -> None:
        now_ms = self._clock.now_ms()
        if self._hello_due:
            hello = messages.hello(self._journal, VERSION, self._hardware, self._reason)
            if not self._publish("hello", hello):
                return
            self._hello_due = False
            state = {"online": True, "inc": self._journal.incarnation, "boot": self._journal.boot, "software": VERSION}
            self.client.publish(wire.topic_state(self._site, self._node), wire.encode("state", state), 1, True)
            self._happened(Linked(True))
        if now_ms >= self._status_due_ms:
            fields = messages.status(self._journal, self._gate, now_ms)
            fields.update(self._health())
            fields["list"] = self._list.status(now_ms)
            fields["link_drops"] = max(0, self.client.links - 1)
            if self._publish("status", fields):
                self._status_due_ms = now_ms + STATUS_EVERY_MS
        while self.client.pending < EVENTS_PENDING_MAX:
            records = self._upload.next(now_ms, 1)
            if not records or not self._publish("event", event_fields(records[0][1])):
                break
            self._upload.sent(records[0][0])

    def _publish(self, kind: str, fields: "dict[str, Any]") -> bool:
        return self.client.publish(wire.topic_up(self._site, self._node, kind), wire.encode(kind, fields), 1)

    def _changed(self, up: bool, session_present: bool) -> None:
        if up:
            self._upload.reset()
            self._hello_due = True
        else:
            print("link", self.client.last_error)
            self._happened(Linked(False))
        self._look_ms = 0

    def _received(self, topic: str, payload: bytes) -> None:
        kind = wire.kind_of(topic)
        try:
            fields = wire.decode(kind, payload)
            self._obey(kind, fields)
        except wire.WireError as error:
            self.rejected += 1
            print("rejected", error)

    def _obey(self, kind: str, fields: "dict[str, Any]") -> None:
        if kind == "time":
            self._clock.trust(fields["unix_ms"])
            return
        if kind == "emergency":
            self._contacts.site = fields["on"]
            return
        if fields.get("inc") != self._journal.incarnation:
            self.rejected += 1  # For a journal this node no longer has.
            return
        event = messages.event_of(kind, fields, self._journal.boot)
        if event is not None:
            self._happened(event)
        elif kind == "ack":
            self._journal.acknowledge(fields["seq"])
            self._look_ms = 0
        elif kind == "command":
            self._command(fields)
        elif kind == "list":
            self._take_list(fields)

    def _take_list(self, fields: "dict[str, Any]") -> None:
        taken = self._list.take(fields, self._clock.now_ms())
        if fields["entries"] or not taken:
            self.tell()

    def _command(self, fields: "dict[str, Any]") -> None:
        code = self._commands.judge(fields, self._clock.unix_ms(), self._clock.started_unix_ms())
        if code == OK:
            if fields["do"] == "rearm":
                first, second = two_names(fields["by"])
                self._happened(Rearmed(first, second))
            else:
                code = UNKNOWN
        self._publish("reply", {"id": fields["id"], "code": code})
