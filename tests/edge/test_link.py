"""The line to a real mosquitto: what is obeyed, what is ignored, what happens when it breaks."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from einlass_controller.broker import BrokerUser, controller_user, new_password, node_user
from einlass_core import wire
from einlass_edge.link import RETRY_S_MAX, Link
from einlass_sim.brokers import Broker, start_broker
from scripted import ScriptedController

pytestmark = pytest.mark.needs("mosquitto")

TRIES_S = 1.0  # long enough for several tries
DEADLINE_S = 30.0
CONTROLLER = controller_user(new_password())
GATE = node_user("pool", "gate-1", new_password())
INC = "0123456789abcdef"
ACCOUNT = {"epoch": 0, "version": 0, "ceiling": 0, "balance": 0, "pending": 0}
DOWN = "einlass/1/pool/gate-1/down/"


class Node:
    """Hears what the link says."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.changes: list[bool] = []
        self.fails_on = ""

    def received(self, kind: str, fields: dict[str, Any]) -> None:
        if kind == self.fails_on:
            raise RuntimeError("a fault in the node")
        self.heard.append((kind, fields))

    def link_changed(self, up: bool) -> None:
        self.changes.append(up)

    def identity(self) -> dict[str, Any]:
        return {"inc": INC, "boot": 1, "seq": 0, "account": ACCOUNT}


class Controller(ScriptedController):
    def __init__(self, broker: Broker) -> None:
        self.got: list[tuple[str, bytes, bool]] = []
        super().__init__(broker, CONTROLLER, "pool")

    def heard(self, message: mqtt.MQTTMessage) -> None:
        self.got.append((message.topic, bytes(message.payload), message.retain))

    def say(self, kind: str, payload: bytes, retain: bool = False) -> None:
        self.publish(DOWN + kind, payload, retain).wait_for_publish(DEADLINE_S)

    def topics(self) -> list[str]:
        return [topic.rpartition("gate-1/")[2] for topic, _, _ in self.got]


def link_to(node: Node, host: str, port: int, user: BrokerUser = GATE, site: str = "pool") -> Link:
    return Link(
        node,
        site=site,
        node=user.name,
        host=host,
        port=port,
        password=user.password,
        ca=None,
        software="test",
        hardware="test",
        reason="test",
    )


async def until(true: Callable[[], bool], what: object = "it") -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end_s, f"never: {what}"
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(link: Link) -> AsyncIterator[None]:
    task = asyncio.create_task(link.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = start_broker("mosquitto", tmp_path / "broker", [CONTROLLER, GATE])
    try:
        yield broker
    finally:
        broker.stop()


def on(broker: Broker, work: Callable[[Link, Node, Controller], Awaitable[None]]) -> None:
    async def run() -> None:
        controller = Controller(broker)
        node = Node()
        link = link_to(node, broker.host, broker.port)
        try:
            await until(controller.listening.is_set)
            await work(link, node, controller)
        finally:
            controller.stop()

    asyncio.run(asyncio.wait_for(run(), 45))


def test_state_and_hello_come_before_anything_else_and_goodbye_last(broker: Broker) -> None:
    async def work(link: Link, node: Node, controller: Controller) -> None:
        assert not link.publish("alarm", {"inc": INC, "reason": "too early", "ms": 1})
        async with running(link):
            await until(lambda: node.changes == [True])
            assert link.publish("alarm", {"inc": INC, "reason": "now", "ms": 1})
            await until(lambda: len(controller.got) == 3)
            assert controller.topics() == ["state", "up/hello", "up/alarm"]
        await until(lambda: json.loads(controller.got[-1][1]) == {"online": False})
        assert node.changes == [True, False]

    on(broker, work)


def test_only_what_is_meant_for_this_node_now_is_obeyed(broker: Broker) -> None:
    async def work(link: Link, node: Node, controller: Controller) -> None:
        limit = {"inc": INC, "limit": {"epoch": 1, "version": 1, "ceiling": 9}}
        controller.say("limit", wire.encode("limit", limit), retain=True)
        node.fails_on = "command"
        async with running(link):
            await until(lambda: node.changes == [True])
            for kind, payload in (
                ("ack", wire.encode("ack", {"inc": "other", "seq": 1})),
                ("ack", b"{"),
                ("ack", b"\xff"),
                ("ack", b"[" * 1000),
                ("ack", b" " * 5000),
                ("config", b"{}"),
                ("deeper/ack", b"x"),
                ("hello", b"{}"),
            ):
                controller.say(kind, payload)
            command = {"id": "1", "inc": INC, "do": "x", "issued_ms": 1, "expires_ms": 2, "by": "me"}
            controller.say("command", wire.encode("command", command))
            controller.publish(wire.topic_all("pool", "time"), wire.encode("time", {"unix_ms": 5}))
            controller.say("ack", wire.encode("ack", {"inc": INC, "seq": 7}))
            await until(lambda: len(node.heard) == 2, node.heard)
            assert node.heard == [("time", {"unix_ms": 5}), ("ack", {"inc": INC, "seq": 7})]
            assert link.ignored == 9
            assert node.changes == [True]

    on(broker, work)


def test_what_came_while_the_node_was_away_waits_for_it(broker: Broker) -> None:
    async def work(link: Link, node: Node, controller: Controller) -> None:
        async with running(link):
            await until(lambda: node.changes == [True])
        controller.say("ack", wire.encode("ack", {"inc": INC, "seq": 3}))
        again = link_to(node, broker.host, broker.port)
        async with running(again):
            await until(lambda: node.heard == [("ack", {"inc": INC, "seq": 3})])

    on(broker, work)


def test_a_broker_that_dies_is_told_and_found_again(broker: Broker) -> None:
    async def work(link: Link, node: Node, controller: Controller) -> None:
        async with running(link):
            await until(lambda: node.changes == [True])
            await asyncio.to_thread(broker.kill)
            await until(lambda: node.changes == [True, False])
            assert not link.publish("alarm", {"inc": INC, "reason": "nobody", "ms": 1})
            started_s = time.monotonic()
            await asyncio.to_thread(broker.start)
            await until(lambda: node.changes == [True, False, True])
            assert time.monotonic() - started_s < RETRY_S_MAX + DEADLINE_S
            assert link.drops == 1
            assert b"nobody" not in b"".join(payload for _, payload, _ in controller.got)

    on(broker, work)


def test_a_kicked_node_leaves_its_will_behind(broker: Broker) -> None:
    async def work(link: Link, node: Node, controller: Controller) -> None:
        async with running(link):
            await until(lambda: node.changes == [True])
            thief = mqtt.Client(CallbackAPIVersion.VERSION2, GATE.name)
            thief.username_pw_set(GATE.name, GATE.password)
            thief.connect(broker.host, broker.port)
            thief.loop_start()
            await until(lambda: node.changes[:2] == [True, False])
            thief.loop_stop()
            thief.disconnect()
            await until(lambda: {"online": False} in [_json(payload) for _, payload, _ in controller.got])
            await until(lambda: node.changes[-1], "the node is back")

    on(broker, work)


def test_a_wrong_password_is_refused_and_tried_again_slowly(broker: Broker) -> None:
    async def run() -> None:
        node = Node()
        link = link_to(node, broker.host, broker.port, node_user("pool", "gate-1", new_password()))
        async with running(link):
            await asyncio.sleep(TRIES_S)  # time for several tries
        assert node.changes == []

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_server_that_accepts_and_says_nothing_does_not_hang_the_node() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            node = Node()
            link = link_to(node, "127.0.0.1", silent.getsockname()[1])
            async with running(link):
                ticks = 0
                end_s = time.monotonic() + 1.0
                while time.monotonic() < end_s:
                    await asyncio.sleep(0.01)
                    ticks += 1
            assert ticks > 50
            assert node.changes == []

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_flood_is_refused_at_a_bound_instead_of_being_kept(broker: Broker) -> None:
    async def work(link: Link, node: Node, controller: Controller) -> None:
        async with running(link):
            await until(lambda: node.changes == [True])
            taken = sum(link.publish("alarm", {"inc": INC, "reason": "flood", "ms": n}) for n in range(1000))
            assert 64 <= taken < 300
            await until(lambda: controller.topics().count("up/alarm") == taken)
            assert link.publish("alarm", {"inc": INC, "reason": "room again", "ms": 1})

    on(broker, work)


def test_an_echo_takes_no_delayed_acknowledgement(broker: Broker) -> None:
    """Without TCP_NODELAY every second message would wait 40 ms."""

    async def work(link: Link, node: Node, controller: Controller) -> None:
        async with running(link):
            await until(lambda: node.changes == [True])
            assert link._session is not None
            assert link._session._socket is not None
            assert link._session._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    on(broker, work)


def _json(payload: bytes) -> Any:
    return json.loads(payload)
