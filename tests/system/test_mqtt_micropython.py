"""The node's MQTT client under the real MicroPython, against both real brokers.

Counting what a broker delivers, never what it acknowledges.
"""

import asyncio
import random
import signal
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from einlass_node import mqtt as node_mqtt
from einlass_sim.brokers import Broker, BrokerKind, start_broker
from einlass_sim.processes import wait_until
from mqtt_bench import (
    CONTROLLER,
    DEADLINE_S,
    DOWN,
    ECHO_QUARTER_MS_MAX,
    ECHOES,
    GATE,
    SMALLEST_HEAP,
    STATE,
    UP,
    WILL,
    Node,
)

DOWN_S = 2.0  # how long the broker is away: that is the test


def _send_at_once(_client: mqtt.Client, _data: object, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Controller:
    """paho with everything that the node said, in order of first arrival."""

    def __init__(self, broker: Broker) -> None:
        self.got: list[str] = []
        self.states: list[str] = []
        self._subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="controller", clean_session=False)
        self.client.username_pw_set(CONTROLLER.name, CONTROLLER.password)
        self.client.reconnect_delay_set(min_delay=1, max_delay=1)
        self.client.on_message = self._message
        self.client.on_connect = lambda client, *_: client.subscribe([(UP, 1), (STATE, 1)])
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_socket_open = _send_at_once
        self.client.connect(broker.host, broker.port, keepalive=30)
        self.client.loop_start()
        assert self._subscribed.wait(DEADLINE_S)

    def _message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        (self.states if message.topic == STATE else self.got).append(message.payload.decode())

    def wait_for(self, texts: Sequence[str]) -> None:
        wait_until(lambda: set(texts) <= set(self.got), DEADLINE_S, f"{texts} arrive, so far {self.got}")

    def first_arrivals(self) -> list[str]:
        return list(dict.fromkeys(self.got))

    def publish(self, payload: str | bytes) -> None:
        self.client.publish(DOWN, payload, qos=1).wait_for_publish(DEADLINE_S)

    def wait_reconnected(self) -> None:
        self._subscribed.clear()
        assert self._subscribed.wait(DEADLINE_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(params=[pytest.param("mosquitto", marks=pytest.mark.needs("mosquitto")), "nats"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    kind: BrokerKind = request.param
    with start_broker(kind, tmp_path / "broker", [CONTROLLER, GATE]) as running:
        yield running


@pytest.fixture
def controller(broker: Broker) -> Iterator[Controller]:
    controller = Controller(broker)
    yield controller
    controller.close()


# ---- real brokers ----------------------------------------------------------------------------------------------------


def test_round_trip_of_both_qualities(broker: Broker, controller: Controller) -> None:
    with Node(broker.port) as node:
        node.expect("link", True)
        assert node.ask("subscribe", DOWN, 1) is True
        assert node.publish("one", 1)
        assert node.publish("null", 0)
        controller.wait_for(["one", "null"])
        controller.publish("answer")
        node.expect("message", DOWN, 6, "answer")
        stats = node.ask("stats")
        assert (stats["pending"], stats["links"], stats["resent"], stats["last_error"]) == (0, 1, 0, "None")


def test_it_also_runs_on_cpython(broker: Broker, controller: Controller) -> None:
    async def scene() -> None:
        got: list[tuple[str, bytes]] = []
        client = node_mqtt.Client(
            broker.host,
            broker.port,
            GATE.name,
            GATE.name,
            GATE.password,
            on_message=lambda topic, payload: got.append((topic, payload)),
            random01=random.Random(1).random,
        )
        client.subscribe(DOWN)
        task = asyncio.create_task(client.run())
        assert client.publish(UP, "from CPython")
        end = time.monotonic() + DEADLINE_S
        while not got and time.monotonic() < end:
            if "from CPython" in controller.got:
                await asyncio.to_thread(controller.publish, "to CPython")
            await asyncio.sleep(0.02)
        assert got[0] == (DOWN, b"to CPython")
        client.close()
        await asyncio.wait_for(task, DEADLINE_S)

    asyncio.run(scene())


def test_round_trip_in_the_smallest_heap(broker: Broker, controller: Controller) -> None:
    with Node(broker.port, heap=SMALLEST_HEAP) as node:
        node.expect("link", True)
        assert node.ask("subscribe", DOWN, 1) is True
        assert node.publish("small")
        controller.wait_for(["small"])
        controller.publish("answer")
        node.expect("message", DOWN, 6, "answer")


def test_wrong_password_is_reported_and_tried_again(broker: Broker) -> None:
    with Node(broker.port, password="wrong-password", backoff_ms=[50, 100]) as node:
        wait_until(lambda: "refused" in node.ask("stats")["last_error"], DEADLINE_S, "the refusal is reported")
        stats = node.ask("stats")
        assert not stats["up"]
        assert stats["links"] == 0
        assert node.process.poll() is None


def test_nothing_is_lost_while_the_broker_is_killed_for_two_seconds(broker: Broker, controller: Controller) -> None:
    texts = [f"m{number}" for number in range(30)]
    with Node(broker.port, pending_max=20) as node:
        node.expect("link", True)
        assert node.ask("subscribe", DOWN, 1) is True
        for text in texts[:10]:
            assert node.publish(text)
        controller.wait_for(texts[:10])
        broker.kill()
        node.expect("link", False)
        for text in texts[10:]:
            assert node.publish(text)
        assert node.publish("one too many") is False
        time.sleep(DOWN_S)
        # A killed broker may have forgotten who listens: the node waits until the controller does again.
        node.process.send_signal(signal.SIGSTOP)
        broker.start()
        controller.wait_reconnected()
        node.process.send_signal(signal.SIGCONT)
        node.expect("link", True)
        controller.wait_for(texts)
        assert controller.first_arrivals() == texts
        wait_until(lambda: node.ask("stats")["pending"] == 0, DEADLINE_S, "all are acknowledged")
        # The killed broker has forgotten the subscription, or not: it is in force again.
        controller.publish("answer")
        node.expect("message", DOWN, 6, "answer")


def test_frozen_broker_is_noticed_and_nothing_is_lost(broker: Broker, controller: Controller) -> None:
    texts = [f"m{number}" for number in range(12)]
    with Node(broker.port) as node:
        node.expect("link", True)
        for text in texts[:4]:
            assert node.publish(text)
        broker.process.signal(signal.SIGSTOP)
        start = time.monotonic()
        for text in texts[4:]:
            assert node.publish(text)
        node.expect("link", False)  # after one second without the answer, and a tick
        time.sleep(max(0.0, 4.0 - (time.monotonic() - start)))
        broker.process.signal(signal.SIGCONT)
        node.expect("link", True)
        controller.wait_for(texts)
        assert controller.first_arrivals() == texts
        wait_until(lambda: node.ask("stats")["pending"] == 0, DEADLINE_S, "all are acknowledged")


def test_session_outlives_the_node(broker: Broker, controller: Controller) -> None:
    with Node(broker.port) as node:
        node.expect("link", True)
        assert node.ask("subscribe", DOWN, 1) is True
        node.process.kill()
    controller.publish("while you were away")
    with Node(broker.port) as node:
        assert node.expect("link", True)[2] is True
        node.expect("message", DOWN, 19, "while you were away")


def test_will_is_sent_after_kill_and_not_after_goodbye(broker: Broker, controller: Controller) -> None:
    with Node(broker.port, will=WILL) as node:
        node.expect("link", True)
        node.tell("close")
        node.expect("returned")
    with Node(broker.port, will=WILL) as node:
        node.expect("link", True)
        node.publish("a message later than any will", topic=UP)
        controller.wait_for(["a message later than any will"])
        assert controller.states == []
        node.process.kill()
        wait_until(lambda: controller.states == ['{"online":false}'], DEADLINE_S, "the will")


def test_oversize_message_is_skipped_and_the_link_stays(broker: Broker, controller: Controller) -> None:
    with Node(broker.port, inbound_max=1024) as node:
        node.expect("link", True)
        assert node.ask("subscribe", DOWN, 1) is True
        controller.publish(b"x" * 15_000)
        controller.publish("short")
        node.expect("message", DOWN, 5, "short")
        stats = node.ask("stats")
        assert (stats["oversize"], stats["links"]) == (1, 1)


def test_fault_in_a_callback_is_counted_and_the_link_stays(broker: Broker, controller: Controller) -> None:
    with Node(broker.port) as node:
        node.expect("link", True)
        assert node.ask("subscribe", DOWN, 1) is True
        node.tell("fail", True)
        controller.publish("falls")
        wait_until(lambda: node.ask("stats")["callback_errors"] == 1, DEADLINE_S, "the fault is counted")
        node.tell("fail", False)
        controller.publish("stands")
        node.expect("message", DOWN, 6, "stands")
        stats = node.ask("stats")
        assert (stats["links"], stats["last_error"]) == (1, "planted fault")


def test_echo_is_quick(broker: Broker, controller: Controller) -> None:
    with Node(broker.port) as node:
        node.expect("link", True)
        assert node.ask("subscribe", DOWN, 1) is True
        node.tell("echo", UP)
        took_ms = []
        for number in range(ECHOES):
            start = time.monotonic()
            controller.client.publish(DOWN, f"e{number}", qos=1)
            while f"e{number}" not in controller.got:
                assert time.monotonic() < start + DEADLINE_S
                time.sleep(0.0002)
            took_ms.append((time.monotonic() - start) * 1000)
        print(f"echo p50 {statistics.median(took_ms):.1f} ms, slowest {max(took_ms):.1f} ms")
        assert statistics.quantiles(took_ms, n=4)[0] < ECHO_QUARTER_MS_MAX, took_ms
