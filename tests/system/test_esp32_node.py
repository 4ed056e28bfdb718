"""The firmware as it is flashed, in the heap it must run in, on a simulated board and lane, against a real broker."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from einlass_controller.broker import PACKET_BYTES_MAX
from einlass_core.events import ENTRY, EXIT
from einlass_sim.bench_firmware import measure_heap
from einlass_sim.bench_node import BenchNode, bench_node
from einlass_sim.devices.board import HEAP, WATCHDOG_RESET

SCENE_S_MAX = 100.0
SOON_S = 15.0
VISITORS = 300
STATUS_EVERY = 5
FREE_BYTES_MIN = 6_500
# What a status finds free differs by what is under way just then; growth by a visitor would show as thousands.
FREE_BYTES_NOISE = 400
ROUND_TRIP_FREE_BYTES_MIN = 2_000
# The broker takes no larger ones from anybody; what the client does with those is in test_mqtt_micropython.py.
PAYLOAD_BYTES_MAX = PACKET_BYTES_MAX - 300
CUTS = (1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 17, 19, 22, 25, 28, 31, 35, 40, 46, 53, 61)


def play(
    directory: Path, scene: Callable[[BenchNode], Coroutine[Any, Any, None]], timeout_s: float = SCENE_S_MAX, **how: Any
) -> None:
    async def whole() -> None:
        async with bench_node(directory, **how) as bench, asyncio.timeout(timeout_s):
            await scene(bench)
        assert not bench.controller.faults, "a message that breaks the contract"

    asyncio.run(whole())


def assert_alive(bench: BenchNode, starts: int = 1) -> None:
    log = bench.board.log_path.read_text(errors="replace")
    assert bench.board.alive, log[-2000:]
    assert bench.board.starts == starts, log[-2000:]
    assert "MemoryError" not in log, log[-2000:]
    assert "Traceback" not in log, log[-2000:]


def test_the_heap_is_the_one_that_was_promised() -> None:
    assert HEAP == "120K"


def test_says_hello_and_lets_people_in_and_out_in_order(tmp_path: Path) -> None:
    async def scene(bench: BenchNode) -> None:
        hello = await bench.start()
        assert (hello["boot"], hello["reason"], hello["hardware"]) == (1, "power", "esp32")
        assert bench.controller.last("state")["online"] is True
        scan = await bench.lane.hold(ENTRY, "ticket-1")
        assert await scan.released(SOON_S)
        assert await bench.lane.wait_lamp(True, SOON_S) == "green"
        await bench.lane.person_goes(ENTRY)
        await bench.lane.hold(EXIT, "ticket-1")
        await bench.lane.person_goes(EXIT)
        await bench.until("all events", lambda: len(bench.events) >= 5)
        assert bench.kinds() == ["boot", "released", "passed", "exit", "passed"]
        assert [event["seq"] for event in bench.events] == [1, 2, 3, 4, 5]
        assert [event.get("side") for event in bench.events] == [None, ENTRY, ENTRY, EXIT, EXIT]
        assert bench.events[1]["nonce"] == bench.events[2]["nonce"] == bench.controller.last("ask")["nonce"]
        assert [event["account"]["balance"] for event in bench.events] == [0, 1, 1, 1, 0]
        assert (await bench.status())["waiting"] == 0
        assert_alive(bench)

    play(tmp_path, scene)


def test_a_refused_code_opens_nothing(tmp_path: Path) -> None:
    async def scene(bench: BenchNode) -> None:
        await bench.start()
        scan = await bench.lane.hold(ENTRY, "BAD-1")
        await bench.until("red", lambda: bench.lane.lamp == "red")
        assert scan.bolt_at_s is None
        assert not bench.lane.signals["bolt_entry"]
        assert bench.kinds() == ["boot"], "a refusal is the controller's own fact"
        await bench.visit("ticket-1")
        assert_alive(bench)

    play(tmp_path, scene)


def test_emergency_frees_the_exit_until_two_people_rearm(tmp_path: Path) -> None:
    async def scene(bench: BenchNode) -> None:
        await bench.start()
        bench.lane.press_emergency(True)
        await bench.until("the emergency", lambda: "emergency" in bench.kinds())
        assert bench.lane.signals["bolt_exit"]
        assert not bench.lane.signals["bolt_entry"]
        await bench.lane.hold(ENTRY, "ticket-1")
        assert (await bench.status())["emergency"] is True
        assert bench.controller.count("ask") == 0
        # A restart does not end it, nor does one person.
        bench.board.kill()
        await bench.start()
        assert bench.controller.last("status")["emergency"] is True
        bench.lane.press_emergency(False)
        # It reads the button again at its start; then the input is healthy.
        await bench.until(
            "healthy again", lambda: bench.kinds()[-1:] == ["emergency"] and bench.kinds().count("emergency") > 2
        )
        bench.controller.command("rearm", "anna")
        await bench.until("an answer", lambda: bench.controller.count("reply") == 1)
        assert (await bench.status())["emergency"] is True
        bench.controller.command("rearm", "anna, bert")
        await bench.until("re-armed", lambda: "rearmed" in bench.kinds())
        await bench.visit("ticket-2")
        assert_alive(bench, starts=2)

    play(tmp_path, scene)


def test_kill_in_mid_release_counts_as_inside_and_goes_on_without_a_gap(tmp_path: Path) -> None:
    async def scene(bench: BenchNode) -> None:
        first = await bench.start()
        scan = await bench.lane.hold(ENTRY, "ticket-1")
        assert await scan.released(SOON_S)
        bench.board.kill()
        await bench.until("no power: the way out is free", lambda: bench.lane.plant.bolt_free(EXIT))
        assert not bench.lane.plant.bolt_free(ENTRY)
        again = await bench.start()
        assert (again["inc"], again["boot"]) == (first["inc"], 2)
        await bench.until("what became of it", lambda: "uncertain" in bench.kinds())
        assert bench.kinds() == ["boot", "released", "boot", "uncertain"]
        account = bench.events[-1]["account"]
        assert (account["balance"], account["pending"]) == (1, 0)
        await bench.visit("ticket-2")
        await bench.until("the passage", lambda: "passed" in bench.kinds())
        assert [event["seq"] for event in bench.events] == [1, 2, 3, 4, 5, 6]
        assert_alive(bench, starts=2)

    play(tmp_path, scene)


def test_a_wiped_flash_is_a_new_incarnation(tmp_path: Path) -> None:
    async def scene(bench: BenchNode) -> None:
        old = await bench.start()
        await bench.visit("ticket-1")
        bench.board.kill()
        bench.board.deploy()
        new = await bench.start()
        assert new["inc"] != old["inc"]
        assert (new["boot"], new["seq"], new["account"]["balance"]) == (1, 1, 0)
        await bench.visit("ticket-1")
        await bench.until("its events", lambda: len(bench.events) == 3)

    play(tmp_path, scene)


def test_no_scan_can_kill_it(tmp_path: Path) -> None:
    garbage = [
        b"x" * 10_240,
        b"\xff\xfe\x80\x00\x01",
        "schöne Grüße ☃".encode(),
        b"\x02\x00\x00\x40",  # the head of a reply that never comes
        b"{" * 200,
        b"\x00" * 300,
        b" ",
        b"E1:0000000000000000",
        b"'; DROP TABLE tickets; --",
    ]

    async def scene(bench: BenchNode) -> None:
        await bench.start()
        for code in garbage:
            for side in (ENTRY, EXIT):
                await bench.lane.hold(side, code)
                await bench.lane.readers[side].noise(code + b"\r\n")
        await bench.lane.readers[ENTRY].noise(bytes(range(256)) * 8)
        await bench.lane.readers[ENTRY].noise(b"\r\n" * 200)
        free = (await bench.status())["heap_free_bytes"]
        assert free > ROUND_TRIP_FREE_BYTES_MIN
        refused = [event for event in bench.events if event["kind"] == "refused"]
        assert {event.get("reason") for event in refused} <= {"too_long", "not_text", "misread", "empty", None}
        await _idle(bench)
        await bench.visit("ticket-1")
        assert_alive(bench)

    play(tmp_path, scene)


async def _idle(bench: BenchNode) -> None:
    """Until what strange codes have begun is over."""
    end = time.monotonic() + 2 * SOON_S
    while (await bench.status())["lane"] != "locked":
        assert time.monotonic() < end, bench.board.log_tail()


def test_no_message_can_kill_it(tmp_path: Path) -> None:
    deep = b"[" * 900 + b"]" * 100
    garbage = [b"", b"\x00", b"\xff\xfe", b"null", b"[]", b"{}", b'{"inc":', deep, b'{"a":1}' * 100, b"9" * 1000]

    async def scene(bench: BenchNode) -> None:
        inc = (await bench.start())["inc"]
        strange = [
            {"inc": inc, "nonce": 5, "id": "x", "code": "ok", "persons": 1, "values": {}},
            {"inc": inc, "nonce": "n", "id": "x", "code": "ok", "persons": 10**9, "values": {}},
            {"inc": inc, "nonce": "n", "id": "x", "code": "ok", "persons": True, "values": {}, "limit": None},
            {"inc": inc, "nonce": "n", "id": "x", "code": "ok", "persons": 1, "values": {}, "limit": {"epoch": -1}},
            {"inc": inc, "seq": -1},
            {"inc": inc, "seq": 2**70},
            {"inc": inc, "limit": {"epoch": 0, "version": 10**9, "ceiling": -(10**9)}, "x": ["y"] * 100},
            {"inc": "OTHER", "nonce": "n", "id": "x", "code": "ok", "persons": 1, "values": {}},
        ]
        payloads = [*garbage, *[json.dumps(fields).encode() for fields in strange]]
        payloads += [b"z" * size for size in (1_025, 1_500, PAYLOAD_BYTES_MAX)]
        for kind in ("answer", "ack", "command", "time", "no-such-kind", "x" * 200):
            for payload in payloads:
                bench.controller.send_raw(kind, payload)
        # Behind all of it: what was sent before is dealt with once this is.
        await bench.status()
        await bench.visit("ticket-1")
        await bench.until("its events", lambda: bench.kinds() == ["boot", "released", "passed"])
        assert_alive(bench)

    play(tmp_path, scene)


def test_a_full_journal_comes_up_when_the_controller_is_back(tmp_path: Path) -> None:
    async def scene(bench: BenchNode) -> None:
        await bench.start()
        await bench.until("acknowledged", lambda: len(bench.events) == 1)
        bench.controller.deaf = True
        for _ in range(60):
            await bench.passes(EXIT)
        await bench.until("they wait", lambda: bench.controller.said and bench.controller.count("event") > 16)
        bench.controller.deaf = False
        kept = (await bench.status())["seq"]
        await bench.until("all have come", lambda: len(bench.events) == kept)
        # 60, unless the machine was too busy for the node to look at every one: what it saw, it kept and told.
        assert 30 < kept <= 61
        assert bench.kinds() == ["boot"] + ["passed"] * (kept - 1)
        assert_alive(bench)

    play(tmp_path, scene)


@pytest.mark.timeout(270)
def test_no_power_cut_loses_what_was_acknowledged_or_bricks_it(tmp_path: Path) -> None:
    async def scene(bench: BenchNode) -> None:
        for number, cut in enumerate(CUTS):
            bench.board.deploy()
            bench.board.cut_after_writes = cut
            bench.board.start()
            visitor = 0
            while bench.board.alive:
                visitor += 1
                scan = await bench.lane.hold(ENTRY, f"ticket-{visitor}")
                if await scan.released(0.2):
                    await bench.passes(ENTRY)
            bench.board.kill()
            before = {inc: len(events) for inc, events in bench.controller.events.items()}
            bench.board.cut_after_writes = None
            hello = await bench.start()
            kept = before.get(hello["inc"], 0)
            assert hello["seq"] >= kept, f"cut at write {cut}: {kept} acknowledged, {hello['seq']} left"
            assert kept or number < len(CUTS) // 2, "the later cuts must come after a record was acknowledged"
            events = len(bench.events)
            await bench.visit("ticket-after")
            await bench.until(
                "it goes on",
                lambda events=events: bench.kinds(events)[-2:] == ["released", "passed"],  # type: ignore[misc]
            )
            assert [event["seq"] for event in bench.events] == list(range(1, len(bench.events) + 1))
            bench.board.kill()

    play(tmp_path, scene, timeout_s=240.0)


def test_a_board_that_hangs_is_restarted_by_its_watchdog(tmp_path: Path) -> None:
    async def scene(bench: BenchNode) -> None:
        await bench.start()
        hellos = bench.controller.count("hello")
        os.kill(bench.board.pid, signal.SIGSTOP)
        await bench.until("it is bitten and comes back", lambda: bench.controller.count("hello") > hellos, 30.0)
        assert bench.controller.last("hello")["reason"] == "watchdog"
        assert bench.board.reset_cause == WATCHDOG_RESET

    play(tmp_path, scene)


@pytest.mark.timeout(330)
def test_a_day_of_visitors_does_not_use_up_the_heap(tmp_path: Path) -> None:
    free: list[int] = []

    async def scene(bench: BenchNode) -> None:
        await bench.start()
        for visitor in range(VISITORS):
            await bench.visit(f"ticket-{visitor}")
            if visitor % 3 == 0:
                await bench.leave(f"ticket-{visitor}")
            if visitor % STATUS_EVERY == 0:
                free.append((await bench.status())["heap_free_bytes"])
        assert bench.kinds().count("passed") == VISITORS + VISITORS // 3
        assert [event["seq"] for event in bench.events] == list(range(1, len(bench.events) + 1))
        assert bench.events[-1]["account"]["balance"] == VISITORS - VISITORS // 3
        assert_alive(bench)

    play(tmp_path, scene, timeout_s=300.0)
    third = len(free) // 3
    first, last = sorted(free[:third]), sorted(free[-third:])
    assert min(free) >= FREE_BYTES_MIN, free
    assert last[third // 2] >= first[third // 2] - FREE_BYTES_NOISE, f"it loses memory: {free}"


def test_the_bench_reports_the_heap() -> None:
    found = measure_heap(visitors=10)
    assert (found["heap_bytes"], found["visitors"]) == (120 * 1024, 10)
    assert FREE_BYTES_MIN <= found["free_min"] <= found["free_after_boot"]
    assert found["free_min"] <= found["free_end"]
