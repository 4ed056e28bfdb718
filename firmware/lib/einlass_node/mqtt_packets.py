"""Bytes of MQTT 3.1.1 (OASIS standard, sections 2 and 3): what a client writes, and checks on what it reads."""

CONNECT = 0x10
CONNACK = 0x20
PUBLISH = 0x30
PUBACK = 0x40
SUBSCRIBE = 0x80
SUBACK = 0x90
PINGREQ = 0xC0
PINGRESP = 0xD0
DISCONNECT = 0xE0

DUP_FLAG = 0x08
SUBACK_REFUSED = 0x80
TEXT_BYTES_MAX = 65535
LENGTH_BYTES_MAX = 4

# Return codes of CONNACK from 1 on (section 3.2.2.3).
REFUSALS = (
    "protocol version not supported,client id not allowed,server unavailable,bad user name or password,not authorised"
)


class MqttError(Exception):
    """The other side broke the protocol, refused, or fell silent; the message says which."""


def text(value: "str | bytes") -> bytes:
    """A length-prefixed field. ValueError over 65,535 bytes."""
    data = value.encode() if isinstance(value, str) else value
    if len(data) > TEXT_BYTES_MAX:
        raise ValueError("an MQTT field holds at most %d bytes, not %d" % (TEXT_BYTES_MAX, len(data)))
    return len(data).to_bytes(2, "big") + data


def packet(kind: int, *parts: bytes) -> bytearray:
    """A whole packet; a bytearray, so that DUP can be set in place."""
    left = 0
    for part in parts:
        left += len(part)
    data = bytearray((kind,))
    while True:
        low = left & 127
        left >>= 7
        data.append(low | 128 if left else low)
        if not left:
            break
    for part in parts:
        data.extend(part)
    return data


def connect(
    client_id: str,
    user: "str | None",
    password: "str | None",
    will: "tuple[str, str | bytes, int, bool] | None",
    keepalive_s: int,
) -> bytearray:
    """CONNECT with a persistent session; `will` is (topic, payload, qos, retain)."""
    flags = 0
    fields = b""
    if will is not None:
        topic, payload, qos, retain = will
        flags |= 0x04 | qos << 3 | (0x20 if retain else 0)
        fields += text(topic) + text(payload)
    if user is not None:
        flags |= 0x80
        fields += text(user)
        # A password without a user name is not allowed (section 3.1.2.9).
        if password is not None:
            flags |= 0x40
            fields += text(password)
    head = b"\x00\x04MQTT\x04" + bytes((flags,)) + keepalive_s.to_bytes(2, "big")
    return packet(CONNECT, head, text(client_id), fields)


def publish(topic: str, payload: bytes, packet_id: int, retain: bool) -> bytearray:
    """PUBLISH; QoS 1 with a packet id, QoS 0 with packet id 0."""
    kind = PUBLISH | (2 if packet_id else 0) | (1 if retain else 0)
    return packet(kind, text(topic), packet_id.to_bytes(2, "big") if packet_id else b"", payload)


def subscribe(topic: str, qos: int, packet_id: int) -> bytearray:
    """SUBSCRIBE to one topic filter."""
    return packet(SUBSCRIBE | 2, packet_id.to_bytes(2, "big"), text(topic), bytes((qos,)))


def check_topic(topic: str) -> None:
    """ValueError unless a message may be published to it (section 4.7)."""
    if not topic or "+" in topic or "#" in topic or "\x00" in topic:
        raise ValueError("cannot publish to %r: a topic is not empty and has no '+', '#' or NUL" % topic)


def connack_session(body: "memoryview") -> bool:
    """Whether the broker still had our session. MqttError if it refused us."""
    if len(body) != 2 or body[0] > 1:
        raise MqttError("malformed CONNACK")
    if body[1]:
        reasons = REFUSALS.split(",")
        raise MqttError("refused: %s" % (reasons[body[1] - 1] if body[1] <= len(reasons) else "code %d" % body[1]))
    return body[0] == 1


def acknowledged(body: "memoryview") -> int:
    """Packet id of a PUBACK."""
    if len(body) != 2:
        raise MqttError("malformed PUBACK")
    return body[0] << 8 | body[1]


def subscribed(body: "memoryview") -> "tuple[int, bool]":
    """Packet id and whether the one topic filter was granted."""
    if len(body) != 3 or body[2] not in (0, 1, 2, SUBACK_REFUSED):
        raise MqttError("malformed SUBACK")
    return body[0] << 8 | body[1], body[2] != SUBACK_REFUSED


def topic_end(body: "memoryview", flags: int, length: int) -> int:
    """Where the topic of a PUBLISH of `length` bytes ends, from its first two bytes; the packet id fits behind it."""
    end = 2 + (body[0] << 8 | body[1]) if len(body) >= 2 else 0
    if flags & 0x06 > 0x02:
        raise MqttError("PUBLISH with QoS %d, at most 1 was asked for" % (flags >> 1 & 3))
    if end <= 2 or end + (2 if flags & 0x02 else 0) > length:
        raise MqttError("malformed PUBLISH: a topic of %d bytes in a packet of %d" % (end - 2, length))
    return end
