"""The echo, a process of its own: what comes on `up/echo/x` goes back on `down/echo`, through the client under test.

No decision, no store: what is left is the broker, the network and the client. `own` is the client of the controller.
"""

import asyncio
import functools
import sys
from typing import Any

from einlass_core import wire

READY = "ready"
CLIENTS = ("own", "gmqtt", "paho")
USER = "echo"
PASSWORD_LENGTH = 24


def up(site: str) -> str:
    """What the echo listens to; one level deeper than what the controller does."""
    return wire.topic_up(site, "+", "echo/x")


@functools.cache
def _back(topic: str) -> str:
    levels = topic.split("/")
    return wire.topic_down(levels[2], levels[3], "echo")


def main() -> None:
    """Arguments: client, host, port, site; the password comes on standard input. Ends when it is killed."""
    client, host, port, site = sys.argv[1:5]
    password = sys.stdin.readline().strip()
    {"own": _own, "gmqtt": _gmqtt, "paho": _paho}[client](host, int(port), site, password)


def _ready() -> None:
    print(READY, flush=True)


def _gmqtt(host: str, port: int, site: str, password: str) -> None:
    import logging

    from gmqtt import Client  # of the development tools only
    from gmqtt.mqtt.constants import MQTTv311

    logging.getLogger("gmqtt").setLevel(logging.CRITICAL)

    async def run() -> None:
        client = Client(USER)
        client.set_auth_credentials(USER, password)
        client.on_message = lambda _c, topic, payload, _q, _p: client.publish(_back(topic), payload, qos=1)
        subscribed = asyncio.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        await client.connect(host, port, keepalive=30, version=MQTTv311)
        client.subscribe(up(site), qos=1)
        await subscribed.wait()
        _ready()
        await asyncio.Event().wait()

    asyncio.run(run())


def _paho(host: str, port: int, site: str, password: str) -> None:
    import socket

    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    client = paho.Client(CallbackAPIVersion.VERSION2, USER)
    client.username_pw_set(USER, password)
    client.max_inflight_messages_set(0)

    def nodelay(_client: Any, _data: Any, link: Any) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    client.on_socket_open = nodelay

    def connected(*_: Any) -> None:
        client.subscribe(up(site), 1)

    def heard(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        client.publish(_back(message.topic), message.payload, 1)

    client.on_connect = connected
    client.on_subscribe = lambda *_: _ready()
    client.on_message = heard
    client.connect(host, port)
    client.loop_forever()


def _own(host: str, port: int, site: str, password: str) -> None:
    from einlass_controller.mqtt import Client, Publication

    async def run() -> None:
        lost = asyncio.Event()

        def heard(found: list[Publication]) -> None:
            client.publish([(_back(topic), payload) for topic, payload, _ in found])

        client = Client(heard, lambda _: lost.set())
        await client.connect(host, port, name=USER, user=USER, password=password, keepalive_s=30, clean=True)
        await client.subscribe([up(site)])
        _ready()
        await lost.wait()

    asyncio.run(run())


if __name__ == "__main__":
    main()
