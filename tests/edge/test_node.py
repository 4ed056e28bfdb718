"""The whole node as a process: real broker, simulated turnstile and scanners, and a controller that speaks wire.py.

The controller here decides by a table; what is proved is the node: nothing opens unasked, every fact arrives in order,
and nothing is lost whatever is killed.
"""

import asyncio
import contextlib
import json
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from einlass_controller.broker import controller_user, new_password, node_user
from einlass_core import wire
from einlass_core.codes import digest, opaque
from einlass_core.effects import Record
from einlass_core.events import ENTRY, EXIT
from einlass_core.lease import Limit
from einlass_edge.config import read_config
from einlass_edge.journal_store import JournalStore
from einlass_edge.node import Node
from einlass_sim.brokers import Broker, start_broker
from einlass_sim.devices.io_board import COIL_ENTRY, COIL_EXIT, INPUT_BOLT_ENTRY, IoBoard
from einlass_sim.devices.lane import SimulatedLane, pi_lane
from einlass_sim.plant import BodyWentIn, BodyWentOut
from einlass_sim.processes import Process
from scripted import ScriptedController, unix_ms

pytestmark = pytest.mark.needs("mosquitto")

SITE, NODE_ID = "pool", "west"
LATE_S = 2.5  # longer than ask_ms
NOISE_S = 1.0  # the lane records noise once in this time, whatever the test does
DEADLINE_S = 20.0
CONTROLLER = controller_user(new_password())
USER = node_user(SITE, NODE_ID, new_password())
GOOD, FAMILY, USED = opaque(1), opaque(2), opaque(3)
TABLE = {GOOD: ("ok", 1), FAMILY: ("ok", 3), USED: ("used_up", 0)}

CONFIG = """
site = "pool"
node = "west"
journal = "journal.db"
[broker]
host = "127.0.0.1"
port = {broker_port}
password_file = "password"
[lane]
ask_ms = {ask_ms}
release_ms = {release_ms}
show_ms = 500
busy_ms = 1500
doubt_ms = 1500
same_code_ms = 100
bolt_sensed = true
[entry]
serial = "west-entry"
[exit]
serial = "west-exit"
[turnstile]
kind = "modbus"
host = "127.0.0.1"
port = {board_port}
"""


class Controller(ScriptedController):
    """Asks are answered by TABLE and events acknowledged, as the contract says; both can be held back."""

    def __init__(self, broker: Broker) -> None:
        self.asks: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.others: list[tuple[str, dict[str, Any]]] = []
        self.states: list[dict[str, Any]] = []
        self.answering = True
        self.acknowledging = True
        self.account: dict[str, Any] = {}
        self._lock = threading.Lock()
        super().__init__(broker, CONTROLLER, SITE)

    @property
    def inc(self) -> str:
        return str(self.last("hello")["inc"])

    def last(self, kind: str) -> dict[str, Any]:
        return [fields for seen, fields in self.others if seen == kind][-1]

    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.events]

    def has(self, kind: str) -> bool:
        return any(seen == kind for seen, _ in self.others)

    def send(self, kind: str, fields: dict[str, Any]) -> None:
        self.publish(wire.topic_down(SITE, NODE_ID, kind), wire.encode(kind, fields))

    def answer(self, ask: dict[str, Any]) -> None:
        code, persons = TABLE.get(ask["code"], ("invalid", 0))
        account = ask["account"]
        fields = {"inc": ask["inc"], "nonce": ask["nonce"], "id": ask["nonce"], "code": code, "persons": persons}
        if code == "ok":
            version = account["version"] + 1
            ceiling = account["balance"] + persons
            fields["limit"] = {"epoch": account["epoch"], "version": version, "ceiling": ceiling}
        self.send("answer", {**fields, "values": {}})

    def command(self, command_id: str, do: str, by: str, valid_ms: int = 30_000) -> dict[str, Any]:
        now = unix_ms()
        fields = {"id": command_id, "inc": self.inc, "do": do, "by": by, "issued_ms": now, "expires_ms": now + valid_ms}
        self.send("command", fields)
        return fields

    def heard(self, message: mqtt.MQTTMessage) -> None:
        kind = wire.kind_of(message.topic)
        if kind == "state":
            self.states.append(wire.decode(kind, bytes(message.payload)))
            return
        if "/up/" not in message.topic:
            return
        fields = wire.decode(kind, bytes(message.payload))
        with self._lock:
            if kind == "ask":
                self.asks.append(fields)
                if self.answering:
                    self.answer(fields)
            elif kind == "event":
                self._take_event(fields)
            else:
                self.others.append((kind, fields))
                if kind == "hello":
                    self.tell_time()

    def _take_event(self, fields: dict[str, Any]) -> None:
        if fields["seq"] == len(self.events) + 1:
            self.events.append(fields)
            self.account = fields["account"]
        if self.acknowledging:
            self.send("ack", {"inc": fields["inc"], "seq": len(self.events)})


class Bench:
    """Everything around one node."""

    def __init__(self, broker: Broker, lane: SimulatedLane, directory: Path, ask_ms: int, release_ms: int) -> None:
        assert lane.board is not None
        self.broker = broker
        self.lane = lane
        self.board: IoBoard = lane.board
        self.controller = Controller(broker)
        (directory / "password").write_text(USER.password + "\n")
        config = directory / "node.toml"
        config.write_text(
            CONFIG.format(broker_port=broker.port, board_port=self.board.port, ask_ms=ask_ms, release_ms=release_ms)
        )
        command = [sys.executable, "-m", "einlass_edge.cli", "--config", str(config)]
        self.node = Process("node", command, directory=directory)

    async def start(self) -> None:
        hellos = sum(kind == "hello" for kind, _ in self.controller.others)
        await self.until(self.controller.listening.is_set, "the controller listens")
        requests = self.board.requests
        self.node.start()
        await self.until(lambda: sum(kind == "hello" for kind, _ in self.controller.others) > hellos, "hello")
        # Only a node that has read its sensors takes passages for what they are.
        await self.until(lambda: self.board.requests > requests + 5, "the board is polled")

    async def until(self, true: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
        end_s = time.monotonic() + deadline_s
        while not true():
            assert time.monotonic() < end_s, f"never: {what}\n{self.controller.kinds()}\n{self.node.log_tail()}"
            await asyncio.sleep(0.005)

    async def admit(self, code: str = GOOD) -> None:
        """One visitor all the way through; the code is held as often as a patient visitor does."""
        passed = self.controller.kinds().count("passed")
        end_s = time.monotonic() + DEADLINE_S
        # A scanner does not type the same code twice within a second.
        while not await (await self.lane.hold(ENTRY, code)).released(1.5):
            assert time.monotonic() < end_s, f"never let in\n{self.node.log_tail()}"
        assert isinstance(await self.lane.person_goes(ENTRY), BodyWentIn)
        await self.until(lambda: self.controller.kinds().count("passed") == passed + 1, "passed")

    def replies(self) -> dict[str, str]:
        return {fields["id"]: fields["code"] for kind, fields in self.controller.others if kind == "reply"}

    def drive(self, number: signal.Signals) -> None:
        self.node.signal(number)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = start_broker("mosquitto", tmp_path / "broker", [CONTROLLER, USER])
    try:
        yield broker
    finally:
        broker.stop()


@contextlib.asynccontextmanager
async def bench(broker: Broker, directory: Path, ask_ms: int = 2000, release_ms: int = 4000) -> AsyncIterator[Bench]:
    async with pi_lane("west", directory, rng=random.Random(7)) as lane:
        parts = Bench(broker, lane, directory, ask_ms, release_ms)
        try:
            await parts.start()
            yield parts
        finally:
            parts.node.kill()
            parts.controller.stop()


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 50))


def test_a_visitor_goes_in_and_out_and_every_fact_arrives(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path) as it:
            await it.admit()
            await it.until(lambda: it.controller.kinds() == ["boot", "released", "passed"], "three events")
            assert not it.board.coils[COIL_ENTRY]
            released, passed = it.controller.events[1:]
            assert released["nonce"] == passed["nonce"] == it.controller.asks[0]["nonce"]
            assert passed["account"] == {"epoch": 0, "version": 1, "ceiling": 1, "balance": 1, "pending": 0}
            await it.until(lambda: it.controller.events[-1]["unix_ms"] > 0 or it.controller.has("status"), "time")

            await it.lane.hold(EXIT, GOOD)
            assert isinstance(await it.lane.person_goes(EXIT), BodyWentOut)
            await it.until(lambda: it.controller.kinds()[3:] == ["exit", "passed"], "exit and passage")
            left = it.controller.events[-2:]
            assert left[0]["digest"] == digest(GOOD)
            assert left[1]["side"] == EXIT
            assert left[1]["nonce"] == left[0]["nonce"]
            assert it.controller.account["balance"] == 0

    run(work)


def test_a_family_passes_under_one_release(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path) as it:
            await it.admit(FAMILY)
            for expected in (2, 3):
                assert isinstance(await it.lane.person_goes(ENTRY), BodyWentIn)
                await it.until(lambda n=expected: it.controller.kinds().count("passed") == n, "next one")  # type: ignore[misc]
            await it.until(lambda: not it.board.coils[COIL_ENTRY], "locked after the last")
            assert (it.controller.account["balance"], it.controller.account["pending"]) == (3, 0)
            assert "forced" not in it.controller.kinds()

    run(work)


def test_a_refused_or_unreadable_code_opens_nothing_and_is_told(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path) as it:
            scan = await it.lane.hold(ENTRY, USED)
            await it.until(lambda: it.lane.lamp == "red", "a refusal is shown")
            for raw, reason in ((b"x" * 4000, "too_long"), (b"\xff\xfe\x80 bin\x01", "not_text")):
                await it.lane.readers[ENTRY].noise(raw + b"\r")
                await it.until(lambda r=reason: _has(it, "refused", "reason", r), reason)  # type: ignore[misc]
                await asyncio.sleep(NOISE_S)  # the lane records noise once a second, whatever the test does
            assert scan.bolt_at_s is None
            assert [ask["code"] for ask in it.controller.asks] == [USED]
            await it.admit()
            log = it.node.log_path.read_text()
            assert GOOD not in log
            assert USED not in log

    run(work)


def test_nobody_passes_and_the_place_comes_back(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path, release_ms=500) as it:
            await it.lane.hold(ENTRY, GOOD)
            await it.until(lambda: it.controller.kinds() == ["boot", "released", "unused"], "unused")
            assert it.controller.account["balance"] == 0

    run(work)


def test_a_bolt_jammed_open_is_a_fault_and_who_walks_through_it_is_counted(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path) as it:
            scan = await it.lane.hold(ENTRY, GOOD)
            assert await scan.released(DEADLINE_S)
            await it.until(lambda: it.board.inputs[INPUT_BOLT_ENTRY], "the bolt has moved")
            it.lane.jam_bolt(ENTRY, True)
            assert isinstance(await it.lane.person_goes(ENTRY), BodyWentIn)
            await it.until(lambda: _has(it, "fault", "reason", "bolt_stuck_open"), "the fault")
            assert isinstance(await it.lane.person_goes(ENTRY), BodyWentIn)
            await it.until(lambda: "forced" in it.controller.kinds(), "forced")
            assert it.controller.account["balance"] == 2
            it.lane.jam_bolt(ENTRY, False)
            await it.until(lambda: "fault_over" in it.controller.kinds(), "repaired")
            await it.admit()

    run(work)


def test_an_answer_that_comes_late_meets_a_locked_lane(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path, ask_ms=200) as it:
            it.controller.answering = False
            scan = await it.lane.hold(ENTRY, GOOD)
            await it.until(lambda: "given_up" in it.controller.kinds(), "given up")
            it.controller.answer(it.controller.asks[0])
            await it.until(lambda: "limit" in it.controller.kinds(), "the ceiling is taken over")
            assert scan.bolt_at_s is None
            it.controller.answering = True
            await it.admit()

    run(work)


def test_malformed_messages_are_ignored_and_the_lane_goes_on(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path) as it:
            down = f"einlass/1/{SITE}/{NODE_ID}/down/"
            good = {"inc": it.controller.inc, "seq": 1}
            for kind, payload in (
                ("ack", b'{"inc":'),
                ("ack", b"\xff\xfe"),
                ("ack", json.dumps({**good, "inc": "somebody else", "seq": 999}).encode()),
                ("ack", json.dumps({**good, "seq": "1"}).encode()),
                ("ack", json.dumps({**good, "pad": "x" * 5000}).encode()),
                ("answer", b"[" * 900),
                ("answer", b"{}"),
                ("limit", b"null"),
                ("config", b"{}"),
                ("nonsense/deeper", b""),
            ):
                it.controller.publish(down + kind, payload)
            await it.admit()
            assert it.node.alive
            assert "message_ignored" in it.node.log_path.read_text()

    run(work)


def test_emergency_shuts_the_entry_and_needs_two_people_once(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path) as it:
            it.lane.press_emergency(True)
            await it.until(lambda: "emergency" in it.controller.kinds(), "emergency")
            assert not it.board.coils[COIL_EXIT]  # this coil locks
            scan = await it.lane.hold(ENTRY, GOOD)

            it.controller.command("c0", "rearm", "Ann, Bob")
            await it.until(lambda: it.replies().get("c0") == "refused", "still pressed")
            it.lane.press_emergency(False)
            await it.until(lambda: it.controller.kinds().count("emergency") == 2, "healthy again")
            it.controller.command("c1", "rearm", "Ann, Ann")
            await it.until(lambda: it.replies().get("c1") == "refused", "one person is not two")
            it.controller.command("c2", "rearm", "Ann, Bob", valid_ms=-5000)
            await it.until(lambda: it.replies().get("c2") == "expired", "too late")

            old = it.controller.command("c2b", "rearm", "Ann, Ann")
            await it.until(lambda: "c2b" in it.replies(), "taken")

            # Killed in an emergency it stays in it.
            it.node.kill()
            await it.start()
            it.controller.command("c3", "rearm", "Ann, Bob")
            await it.until(lambda: it.replies().get("c3") == "ok", "rearmed")
            await it.until(lambda: it.controller.events[-1]["kind"] == "rearmed", "the record of it, sent apart")
            assert it.controller.events[-1]["by"] == "Ann, Bob"
            it.controller.send("command", old)
            await it.until(lambda: it.replies().get("c2b") == "expired", "a command from before the start")
            twice = it.controller.command("c3b", "identify", "Ann")
            it.controller.send("command", twice)
            await it.until(lambda: it.replies().get("c3b") == "repeated", "a command is taken once")
            it.controller.command("c4", "identify", "Ann")
            await it.until(lambda: it.replies().get("c4") == "ok", "identified")
            await it.until(lambda: it.lane.lamp == "yellow", "it blinks")
            assert scan.bolt_at_s is None

    run(work)


def test_killed_between_release_and_passage_it_counts_them_as_inside(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path) as it:
            scan = await it.lane.hold(ENTRY, FAMILY)
            assert await scan.released(DEADLINE_S)
            it.node.kill()
            # Nobody feeds the board's watchdog: the bolt falls by itself.
            await it.until(lambda: not it.board.coils[COIL_ENTRY], "the board's watchdog locks the entry")
            await it.start()
            await it.until(lambda: "uncertain" in it.controller.kinds(), "uncertain")
            assert it.controller.kinds() == ["boot", "released", "boot", "uncertain"]
            assert [event["seq"] for event in it.controller.events] == [1, 2, 3, 4]
            assert len({event["inc"] for event in it.controller.events}) == 1
            assert [event["boot"] for event in it.controller.events] == [1, 1, 2, 2]
            assert it.controller.events[-1]["persons"] == 3
            assert (it.controller.account["balance"], it.controller.account["pending"]) == (3, 0)
            await it.admit()

    run(work)


def test_killed_while_asking_it_forgets_the_question_and_asks_anew(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path) as it:
            it.controller.answering = False
            scan = await it.lane.hold(ENTRY, GOOD)
            await it.until(lambda: len(it.controller.asks) == 1, "asked")
            it.node.kill()
            it.controller.answer(it.controller.asks[0])  # waits for it in the broker
            await it.start()
            await it.until(lambda: "limit" in it.controller.kinds(), "the place it brought is taken over")
            assert scan.bolt_at_s is None
            it.controller.answering = True
            await it.admit()
            nonces = [ask["nonce"] for ask in it.controller.asks]
            assert len(set(nonces)) == 2

    run(work)


def test_a_broker_killed_loses_nothing(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path) as it:
            it.controller.acknowledging = False
            await it.admit()
            await asyncio.to_thread(broker.kill)
            assert isinstance(await it.lane.person_goes(EXIT), BodyWentOut)
            await it.lane.hold(ENTRY, GOOD)
            await it.until(lambda: it.lane.lamp == "yellow", "cut off it says so")
            hellos = len(it.controller.others)
            it.controller.acknowledging = True
            await asyncio.to_thread(broker.start)
            await it.until(lambda: len(it.controller.others) > hellos, "it is back")
            await it.until(lambda: it.controller.kinds()[-2:] == ["passed", "refused"], "what happened meanwhile")
            assert it.controller.events[-1]["code"] == "offline_not_here"
            assert it.controller.account["balance"] == 0
            await it.admit()

    run(work)


def test_a_board_without_power_in_mid_release_leaves_a_doubtful_passage(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path, release_ms=1500) as it:
            scan = await it.lane.hold(ENTRY, GOOD)
            assert await scan.released(DEADLINE_S)
            it.board.power(False)
            await it.until(lambda: "passed" in it.controller.kinds(), "counted in doubt")
            assert it.controller.events[-1].get("doubtful") or it.controller.events[-2].get("doubtful")
            assert it.controller.account["balance"] == 1
            await it.until(lambda: "fault" in it.controller.kinds(), "the lane is out of service")
            it.board.power(True)
            await it.until(lambda: it.controller.kinds()[-1] == "fault_over", "and back")
            assert not it.board.coils[COIL_ENTRY]
            reasons = [fields["reason"] for kind, fields in it.controller.others if kind == "alarm"]
            assert reasons == ["turnstile_lost", "turnstile_lost_over"]
            await it.admit()

    run(work)


def test_a_paused_node_does_not_release_late(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path, release_ms=500) as it:
            it.controller.answering = False
            scan = await it.lane.hold(ENTRY, GOOD)
            await it.until(lambda: len(it.controller.asks) == 1, "asked")
            it.drive(signal.SIGSTOP)
            it.controller.answer(it.controller.asks[0])
            await asyncio.sleep(LATE_S)  # longer than ask_ms: that is the test
            it.drive(signal.SIGCONT)
            await it.until(lambda: "given_up" in it.controller.kinds(), "it knows that it is late")
            assert scan.bolt_at_s is None
            it.controller.answering = True
            await it.until(lambda: not it.board.fallen, "the coils, which the watchdog dropped, are written again")

    run(work)


def test_sigterm_leaves_bolts_safe_and_says_goodbye(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path) as it:
            scan = await it.lane.hold(ENTRY, GOOD)
            assert await scan.released(DEADLINE_S)
            it.drive(signal.SIGTERM)
            assert await asyncio.to_thread(it.node.wait, DEADLINE_S) == 0, it.node.log_tail()
            assert (it.board.coils[COIL_ENTRY], it.board.coils[COIL_EXIT]) == (False, False)
            await it.until(lambda: it.controller.states[-1] == {"online": False}, "offline")

    run(work)


def test_two_nodes_cannot_share_a_journal(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path) as it:
            second = Process("second", it.node.command, directory=tmp_path).start()
            assert await asyncio.to_thread(second.wait, DEADLINE_S) == 3
            assert "in use" in second.log_tail()
            assert it.node.alive

    run(work)


def test_systemd_hears_that_the_node_is_ready_alive_and_stopping(broker: Broker, tmp_path: Path) -> None:
    async def work() -> None:
        async with bench(broker, tmp_path) as it:
            it.node.kill()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
                supervisor.bind(str(tmp_path / "notify"))
                supervisor.setblocking(False)
                env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "150000"}
                node = Process("watched", it.node.command, directory=tmp_path, env=env).start()
                heard: list[bytes] = []

                def listen() -> bool:
                    with contextlib.suppress(BlockingIOError):
                        heard.append(supervisor.recv(100))
                    return heard.count(b"WATCHDOG=1") >= 3

                await it.until(listen, "fed three times")
                assert b"READY=1" in heard
                node.signal(signal.SIGTERM)
                assert await asyncio.to_thread(node.wait, DEADLINE_S) == 0
                await it.until(lambda: listen() and b"STOPPING=1" in heard, "stopping")

    run(work)


def test_an_account_that_is_not_on_disk_is_told_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "node.toml"
    config.write_text(CONFIG.format(broker_port=1, board_port=1, ask_ms=2000, release_ms=500))
    node = Node(read_config(config), tmp_path, "secret")
    before = dict(node.identity()["account"])

    def full(seq: int, text: str) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(JournalStore, "append", lambda self, seq, text: full(seq, text))
    node._gate.account.take(Limit(0, 5, 7))
    assert not node._perform(Record("limit", {}))
    assert node.identity()["account"] == before
    assert node._journal.account.version == 5


def _has(it: Bench, kind: str, name: str, value: str) -> bool:
    return any(event["kind"] == kind and event.get(name) == value for event in it.controller.events)
