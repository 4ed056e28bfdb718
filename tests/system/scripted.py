"""A controller's place at a real broker, for tests that say themselves what it answers."""

import socket
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from einlass_controller.broker import BrokerUser
from einlass_core import wire
from einlass_sim.brokers import Broker


def unix_ms() -> int:
    return time.time_ns() // 1_000_000


class ScriptedController:
    """Hears all that nodes of a site say; `listening` from when the broker has taken its subscription.

    A subclass has made what heard() needs before it calls this.
    """

    def __init__(self, broker: Broker, user: BrokerUser, site: str) -> None:
        self.listening = threading.Event()
        self._site = site
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, user.name)
        self._client.username_pw_set(user.name, user.password)
        self._client.on_connect = lambda client, *_: client.subscribe(f"einlass/1/{site}/#", 1)
        self._client.on_message = lambda _client, _data, message: self.heard(message)
        self._client.on_subscribe = lambda *_: self.listening.set()
        self._client.on_socket_open = _send_at_once
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> mqtt.MQTTMessageInfo:
        return self._client.publish(topic, payload, 1, retain)

    def tell_time(self) -> None:
        self.publish(wire.topic_all(self._site, "time"), wire.encode("time", {"unix_ms": unix_ms()}))

    def heard(self, message: mqtt.MQTTMessage) -> None:
        """On the client's own thread."""
        raise NotImplementedError


def _send_at_once(client: mqtt.Client, userdata: object, connection: object) -> None:
    # paho leaves Nagle's algorithm on, which costs the same 44 ms as a broker without set_tcp_nodelay.
    assert isinstance(connection, socket.socket)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
