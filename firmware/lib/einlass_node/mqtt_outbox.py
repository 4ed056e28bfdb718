"""What an MQTT client has to send, in order, and what it waits to have acknowledged. Pure bookkeeping, no waiting."""

from einlass_core.record import TYPE_CHECKING
from einlass_node import mqtt_packets as packets

if TYPE_CHECKING:
    from collections.abc import Callable

CONTROL_PACKETS_MAX = 16
PACKET_ID_MAX = 0xFFFF


class Pending:
    """A publish of QoS 1 that the broker has not acknowledged."""

    def __init__(self, packet_id: int, packet: bytearray) -> None:
        self.packet_id = packet_id
        self.packet = packet
        self.sent_before = False
        self.sent_ms: "int | None" = None  # on this link


class Subscription:
    """A topic filter that is to be subscribed for good."""

    def __init__(self, topic: str, qos: int) -> None:
        self.topic = topic
        self.qos = qos
        self.packet_id = 0  # of the SUBSCRIBE on this link
        self.sent_ms: "int | None" = None  # while its answer is waited for
        self.granted: "bool | None" = None  # None: not known (any more)


class Outbox:
    """Pending table (`pending_max` messages), subscriptions, and the packets that die with the link."""

    def __init__(self, pending_max: int, difference_ms: "Callable[[int, int], int]") -> None:
        self.pending: "list[Pending]" = []
        self.subscriptions: "list[Subscription]" = []
        self.control: "list[bytearray]" = []
        self.resent = 0
        self._pending_max = pending_max
        self._difference_ms = difference_ms
        self._packet_id = 0

    def link_up(self, session_present: bool) -> None:
        """A new link: everything pending is to be sent again, and what the broker has forgotten."""
        self.control.clear()
        for message in self.pending:
            message.sent_ms = None
        for one in self.subscriptions:
            one.packet_id = 0
            one.sent_ms = None
            if not session_present or not one.granted:
                one.granted = None

    def put(self, topic: str, payload: bytes, retain: bool) -> bool:
        """A publish of QoS 1; False if the pending table is full. May raise MemoryError, and then nothing was taken."""
        if len(self.pending) >= self._pending_max:
            return False
        packet_id = self._next_packet_id()
        self.pending.append(Pending(packet_id, packets.publish(topic, payload, packet_id, retain)))
        return True

    def subscription(self, topic: str, qos: int) -> Subscription:
        """The subscription to this topic; asked for anew unless it is in force just so."""
        for one in self.subscriptions:
            if one.topic == topic:
                if one.qos != qos or not one.granted:
                    one.qos = qos
                    one.sent_ms = one.granted = None
                return one
        self.subscriptions.append(Subscription(topic, qos))
        return self.subscriptions[-1]

    def next_packet(self, now_ms: int) -> "tuple[bytearray, bool] | None":
        """The next packet to send, and whether it asks for an answer.

        Subscriptions go before publishes: the answer to a publish must find them in place.
        """
        if self.control:
            packet = self.control.pop(0)
            return packet, packet[0] == packets.PINGREQ
        for one in self.subscriptions:
            if one.sent_ms is None and one.granted is None:
                one.packet_id = self._next_packet_id()
                one.sent_ms = now_ms
                return packets.subscribe(one.topic, one.qos, one.packet_id), True
        for message in self.pending:
            if message.sent_ms is None:
                if message.sent_before:
                    message.packet[0] |= packets.DUP_FLAG
                    self.resent += 1
                message.sent_before = True
                message.sent_ms = now_ms
                return message.packet, True
        return None

    def acknowledged(self, packet_id: int) -> None:
        """PUBACK came. One for a message that is still to be sent on this link answers nothing."""
        for i in range(len(self.pending)):
            if self.pending[i].packet_id == packet_id:
                if self.pending[i].sent_ms is not None:
                    del self.pending[i]
                return

    def answered(self, packet_id: int, granted: bool) -> "Subscription | None":
        """SUBACK came: the subscription that it was for."""
        for one in self.subscriptions:
            if one.packet_id == packet_id and one.sent_ms is not None:
                one.sent_ms = None
                one.granted = granted
                return one
        return None

    def oldest_ms(self, now_ms: int) -> int:
        """For how long the oldest question of this link has had no answer of its own."""
        oldest_ms = 0
        for waiting in (self.pending, self.subscriptions):
            for one in waiting:
                if one.sent_ms is not None:
                    oldest_ms = max(oldest_ms, self._difference_ms(now_ms, one.sent_ms))
        return oldest_ms

    def _next_packet_id(self) -> int:
        used = [message.packet_id for message in self.pending]
        used.extend([one.packet_id for one in self.subscriptions])
        while True:
            self._packet_id = self._packet_id % PACKET_ID_MAX + 1
            if self._packet_id not in used:
                return self._packet_id
