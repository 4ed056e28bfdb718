"""The controller as a process on a real broker: killed, cut off, fed with garbage; a gate speaks to it over MQTT."""

import json
import queue
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from einlass_controller.broker import controller_user, node_user
from einlass_controller.plan import plan_of
from einlass_controller.setup import Prepared, set_up
from einlass_core import wire
from einlass_sim.brokers import Broker, start_broker
from einlass_sim.processes import Process, free_port, wait_until

DEADLINE_S = 30.0
ANSWER_S = 4.0
RUN = "from einlass_controller.cli import controller; controller()"

pytestmark = pytest.mark.needs("mosquitto")


AGAIN_S = 0.2  # between two tries to send, as a node does it


class LineGate:
    """Asks over the real broker, with a nonce kept through retries, and reports what it does."""

    def __init__(self, port: int, password: str) -> None:
        self.inc = f"inc{time.time_ns()}"
        self.seq = self.scans = self.acked = 0
        self.account = {"epoch": 0, "version": 0, "ceiling": 0, "balance": 0, "pending": 0}
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.records: list[bytes] = []
        self.lock = threading.RLock()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, "gate-1", clean_session=False)
        self.client.username_pw_set("gate-1", password)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._connected
        self.client.on_message = self._heard
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(wire.topic_down("pool", "gate-1", "#"), 1)
        self.say("hello", software="1", hardware="sim", reason="link")

    def say(self, topic_kind: str, **fields: Any) -> bytes:
        with self.lock:
            identity = {"inc": self.inc, "boot": 1, "seq": self.seq, "account": self.account}
            payload = wire.encode(topic_kind, {**identity, **fields})
        self.publish(topic_kind, payload)
        return payload

    def publish(self, topic_kind: str, payload: bytes) -> None:
        self.client.publish(wire.topic_up("pool", "gate-1", topic_kind), payload, 1)

    def _heard(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        kind = wire.kind_of(message.topic)
        fields = wire.decode(kind, bytes(message.payload))
        if fields.get("inc") != self.inc:
            return
        limit = fields.get("limit")
        with self.lock:
            if limit and limit["version"] > self.account["version"]:
                self.account.update(version=limit["version"], ceiling=limit["ceiling"])
        if kind == "answer":
            self.answers.put(fields)
        elif kind == "limit":
            self.say("status", ms=1, lane="locked", waiting=self.seq - self.acked, emergency=False)
        elif kind == "ack":
            self.acked = max(self.acked, fields["seq"])

    def record(self, kind: str, **fields: Any) -> None:
        with self.lock:
            self.seq += 1
            self.records.append(self.say("event", kind=kind, ms=1, unix_ms=0, **fields))

    def settle(self) -> None:
        """Send what is not acknowledged until it is."""

        def all_kept() -> bool:
            if self.acked < self.seq:
                for payload in self.records[self.acked : self.acked + 16]:
                    self.publish("event", payload)
                time.sleep(AGAIN_S)
            return self.acked >= self.seq

        wait_until(all_kept, DEADLINE_S, "all records acknowledged")

    def scan(self, code: str) -> str:
        """Ask until there is an answer, always with the same nonce; go through when let in."""
        self.scans += 1
        nonce = f"{self.inc}.1.{self.scans}"
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            self.say("ask", nonce=nonce, side="entry", code=code)
            until = time.monotonic() + ANSWER_S
            while time.monotonic() < until:
                try:
                    answer = self.answers.get(timeout=0.1)
                except queue.Empty:
                    continue
                if answer["nonce"] == nonce:
                    return self._go(answer)
        raise AssertionError("no answer")

    def _go(self, answer: dict[str, Any]) -> str:
        persons = answer["persons"]
        if answer["code"] == "ok":
            with self.lock:
                assert self.account["balance"] + persons <= self.account["ceiling"]
                self.account["balance"] += persons
                self.record("released", nonce=answer["nonce"], side="entry", persons=persons)
            self.record("passed", nonce=answer["nonce"], side="entry", persons=persons)
        return str(answer["code"])


class Line:
    """Broker, controller and one gate."""

    def __init__(self, made: Prepared, broker: Broker, http_port: int) -> None:
        self.made, self.broker, self.http_port = made, broker, http_port
        self.controller = Process(
            "controller", [sys.executable, "-c", RUN, "run", "--dir", str(made.directory)], directory=made.directory
        )
        self.gate: LineGate | None = None

    def start(self) -> None:
        self.controller.start()
        wait_until(self.healthy, DEADLINE_S, "the controller is healthy")

    def healthy(self) -> bool:
        try:
            return bool(self.get("/healthz")["ok"])
        except OSError:
            return False

    def get(self, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.made.api_key}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def codes(self, n: int) -> list[str]:
        return [item["code"] for item in self.get("/api/v1/tickets", {"n": n})["tickets"]]

    def zone(self) -> dict[str, Any]:
        return dict(self.get("/api/v1/zones")["zones"][0])


@pytest.fixture
def line(tmp_path: Path, plan_values: dict[str, Any]) -> Iterator[Line]:
    plan_values["zone"][0]["cap"] = 12
    mqtt_port, http_port = free_port(), free_port()
    made = set_up(plan_of(plan_values), tmp_path / "site", mqtt_port=mqtt_port, http_port=http_port)
    users = [controller_user(made.passwords["controller"])]
    users += [node_user("pool", name, made.passwords[name]) for name in ("gate-1", "gate-2")]
    with start_broker("mosquitto", tmp_path / "broker", users, mqtt_port) as broker:
        line = Line(made, broker, http_port)
        try:
            line.start()
            line.gate = LineGate(mqtt_port, made.passwords["gate-1"])
            yield line
        finally:
            if line.gate is not None:
                line.gate.stop()
            line.controller.kill()


def test_kill_9_of_the_controller_in_mid_decision_loses_and_doubles_nothing(line: Line) -> None:
    gate = line.gate
    assert gate is not None
    found = []
    for number, code in enumerate(line.codes(16)):
        if number % 6 == 2:
            # the question is on its way when the controller dies
            gate.say("ask", nonce=f"{gate.inc}.1.{gate.scans + 1}", side="entry", code=code)
            line.controller.kill()
            line.start()
        found.append(gate.scan(code))
    assert found == ["ok"] * 12 + ["zone_full"] * 4
    gate.settle()
    wait_until(lambda: line.zone()["present"] == 12, DEADLINE_S, "twelve inside")
    zone = line.zone()
    assert (zone["reserved"], zone["leased"], zone["free"]) == (0, 0, 0)
    assert line.controller.log_tail().count("Traceback") == 0


def test_what_the_broker_kept_for_a_controller_that_was_down_is_answered_once(line: Line) -> None:
    gate = line.gate
    assert gate is not None
    (code,) = line.codes(1)
    line.controller.kill()
    gate.say("ask", nonce=f"{gate.inc}.1.1", side="entry", code=code)
    line.start()
    assert gate.answers.get(timeout=DEADLINE_S)["code"] == "ok", "nobody asked again"


def test_kill_9_of_the_broker_is_survived(line: Line) -> None:
    gate, codes = line.gate, line.codes(4)
    assert gate is not None
    assert gate.scan(codes[0]) == "ok"
    line.broker.restart(clean=False)
    assert gate.scan(codes[1]) == "ok"
    wait_until(line.healthy, DEADLINE_S, "the controller is connected again")
    assert gate.scan(codes[0]) == "already_inside"
    gate.settle()
    wait_until(lambda: line.zone()["present"] == 2, DEADLINE_S, "two inside")


def test_garbage_over_the_wire_stops_nothing(line: Line) -> None:
    gate = line.gate
    assert gate is not None
    for payload in (b"", b"\xff\xfe", b"{", b"[" * 900, b"x" * 10_000, b'{"inc":1}', b"\x00" * 500):
        for kind in ("ask", "event", "hello", "status", "alarm", "reply"):
            gate.publish(kind, payload)
    assert gate.scan("E1:" + "\x07" * 20) == "invalid"
    assert gate.scan("<b>" * 60) == "invalid"
    assert gate.scan(line.codes(1)[0]) == "ok"
    letters = line.get("/api/v1/dead-letters?limit=500")
    assert len(letters) >= 30
    assert line.healthy()


def test_a_broker_that_accepts_and_stays_silent_is_given_up_and_tried_again(
    tmp_path: Path, plan_values: dict[str, Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE_S)
        made = set_up(plan_of(plan_values), tmp_path / "site", mqtt_port=server.getsockname()[1], http_port=free_port())
        process = Process(
            "controller", [sys.executable, "-c", RUN, "run", "--dir", str(made.directory)], directory=made.directory
        )
        with process:
            first, _ = server.accept()
            second, _ = server.accept()
            first.close()
            second.close()


def test_told_to_stop_it_ends_well(line: Line) -> None:
    line.controller.terminate()
    assert line.controller.returncode == 0
