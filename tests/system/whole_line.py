"""The whole line for tests (einlass_sim.line), and somebody who has a node's credentials."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from einlass_controller.broker import BrokerUser, node_user
from einlass_core.wire import topic_down
from einlass_sim.brokers import Broker, BrokerKind
from einlass_sim.demo.parts import SITE
from einlass_sim.line import whole
from einlass_sim.line.whole import LANE_MS, LOOK_S, NODES, SCENE_S_MAX, STRANGER, WAIT_S_MAX, brisk_people
from einlass_sim.tap import Said

__all__ = ["BROKERS", "LANE_MS", "LOOK_S", "NODES", "SCENE_S_MAX", "STRANGER", "WAIT_S_MAX", "Line", "open_line"]


class Line(whole.Line):
    """The line, and impostors on it."""

    def impostor(self, node: str) -> "Impostor":
        """Connected straight to the broker, as that node."""
        return Impostor(self.broker, node_user(SITE, node, self.passwords[node]))


class Impostor:
    """A plain MQTT client with a node's real name and password, that says whatever it likes."""

    def __init__(self, broker: Broker, user: BrokerUser) -> None:
        self.got: list[Said] = []
        self.acknowledged: set[int] = set()
        self.connects = 0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, user.name, clean_session=True)
        self._client.username_pw_set(user.name, user.password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._connected
        self._client.on_message = lambda _client, _data, message: self.got.append(
            Said(user.name, False, message.topic, bytes(message.payload))
        )
        self._client.on_publish = lambda _client, _data, mid, *_: self.acknowledged.add(mid)
        self._down = topic_down(SITE, user.node, "#")
        self._subscribed = False
        self._client.on_subscribe = self._granted
        self._client.connect(broker.host, broker.port, keepalive=10)
        self._client.loop_start()

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        self.connects += 1
        client.subscribe(self._down, qos=1)

    def _granted(self, *_: Any) -> None:
        self._subscribed = True

    async def says(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish; returns when the broker has it."""
        await self._until(lambda: self._subscribed, "subscribed")
        mid = self._client.publish(topic, payload, qos=1, retain=retain).mid
        await self._until(lambda: mid in self.acknowledged, f"{topic} acknowledged")

    def says_in_vain(self, topic: str, payload: bytes) -> None:
        """Publish something that the broker may answer by hanging up."""
        self._client.publish(topic, payload, qos=0)

    async def answer(self, nonce: str, after: int = 0) -> Said:
        """The answer to a scan, not among the first `after` messages."""

        def find() -> Said | None:
            fits = [said for said in self.got[after:] if said.kind == "answer" and said.fields.get("nonce") == nonce]
            return fits[0] if fits else None

        await self._until(lambda: find() is not None, f"an answer to {nonce}")
        found = find()
        assert found is not None
        return found

    def leave(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    async def _until(self, ready: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + WAIT_S_MAX
        while not ready():
            assert time.monotonic() < end, f"not within {WAIT_S_MAX:g} s: {what}"
            await asyncio.sleep(LOOK_S)


BROKERS = [pytest.param("mosquitto", marks=pytest.mark.needs("mosquitto")), "nats"]


@contextmanager
def open_line(kind: BrokerKind, directory: Path, cap: int) -> Iterator[Line]:
    """A line that runs, with brisk people."""
    with brisk_people():
        line = Line(directory, kind, cap)
        line.open()
        try:
            yield line
        finally:
            line.close()
