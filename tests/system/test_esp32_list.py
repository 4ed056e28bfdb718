"""The list of valid tickets on an ESP32, in its heap and on its flash: 50,000 tickets, pieces, changes, power cuts."""

import asyncio
import binascii
import hashlib
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from einlass_core import codes
from einlass_core.events import ENTRY
from einlass_sim.bench_list import measure_lookup
from einlass_sim.bench_node import BenchNode, bench_node
from einlass_sim.devices.board import HEAP

SCENE_S_MAX = 100.0
SOON_S = 15.0
TICKETS = 50_000
ENTRIES_MAX = 40  # in a message, as the controller sends them
FREE_BYTES_MIN = 6_500
LANE = {"ask_ms": 300, "cut_off": "leased"}

Version = tuple[int, int]


def play(directory: Path, scene: Callable[[BenchNode], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with bench_node(directory, lane_settings=LANE) as bench, asyncio.timeout(SCENE_S_MAX):
            await scene(bench)
            log = bench.board.log_path.read_text(errors="replace")
            assert bench.board.alive, log[-2000:]
            assert "MemoryError" not in log, log[-2000:]
            assert "Traceback" not in log, log[-2000:]
        assert not bench.controller.faults

    assert HEAP == "120K"
    asyncio.run(whole())


def code(number: int) -> str:
    return f"ticket-{number}"


def entry(number: int, persons: int = 1) -> str:
    return f"{codes.digest(code(number))}{persons:02x}"


def list_file(numbers: range, version: Version) -> bytes:
    entries = b"".join(sorted(hashlib.sha256(code(n).encode()).digest()[:8] + b"\x01" for n in numbers))
    trailer = struct.pack(">4sII", b"EL1\n", *version)
    return entries + trailer + struct.pack(">I", binascii.crc32(trailer))


def entries_of(file: bytes) -> dict[str, int]:
    return {file[at : at + 8].hex(): file[at + 8] for at in range(0, len(file) - 16, 9)}


def version_of(bench: BenchNode) -> Version:
    listed = bench.controller.last("status")["list"]
    return listed["added"], listed["removed"]


async def tell(bench: BenchNode, to: Version, entries: list[str], **marks: bool) -> None:
    """One message, and again when nothing comes of it, as the controller does."""
    fields = {
        "inc": bench.controller.last("hello")["inc"],
        "since": dict(zip(("added", "removed"), version_of(bench), strict=True)),
        "to": dict(zip(("added", "removed"), to, strict=True)),
        "entries": "".join(entries),
        **marks,
    }
    for _ in range(10):
        bench.controller.send("list", fields)
        try:
            return await bench.until("it has it", lambda: version_of(bench) == to, SOON_S / 5)
        except AssertionError:
            await bench.status()
    raise AssertionError(f"{version_of(bench)} instead of {to}: {bench.board.log_tail()}")


async def whole_list(bench: BenchNode, numbers: range, version: Version, pieces_max: int = 1000) -> None:
    """As the controller sends one; only so many pieces."""
    entries = sorted(entry(n) for n in numbers)
    pieces = [entries[at : at + ENTRIES_MAX] for at in range(0, len(entries), ENTRIES_MAX)]
    for number, piece in enumerate(pieces[:pieces_max], 1):
        marks = {"start": True} if number == 1 else {}
        if number == len(pieces):
            marks["end"] = True
        await tell(bench, version if "end" in marks else (0, number), piece, **marks)


async def alone(bench: BenchNode, number: int) -> bool:
    """Somebody shows a ticket and the controller does not answer: let in (and gone through), or not."""
    before = len(bench.events)
    await bench.lane.hold(ENTRY, code(number))
    await bench.until("a decision", lambda: {"released", "given_up"} & set(bench.kinds(before)), SOON_S)
    event = next(event for event in bench.events[before:] if event["kind"] in ("released", "given_up"))
    assert event["digest"] == codes.digest(code(number))
    if event["kind"] == "given_up":
        assert event["code"] == "offline_not_here", event
        return False
    await bench.passes(ENTRY)
    await bench.until("the end of it", lambda: {"passed", "unused"} & set(bench.kinds(before)), SOON_S)
    assert event["reason"] == "leased"
    return True


def test_50_000_tickets_are_found_and_merged_in_the_heap_of_a_board(tmp_path: Path) -> None:
    async def scene(bench: BenchNode) -> None:
        bench.board.deploy()
        bench.board.write_file("list", list_file(range(TICKETS), (9, 3)))
        await bench.start()
        assert version_of(bench) == (9, 3)
        bench.controller.silent = True
        bench.controller.lend(20)
        await bench.status()
        for number in (0, TICKETS // 2, TICKETS - 1):
            assert await alone(bench, number), number
        assert not await alone(bench, TICKETS)
        assert not await alone(bench, 0), "let in once already"
        free: list[int] = []
        added, removed = version_of(bench)
        for start in range(TICKETS, TICKETS + 4 * ENTRIES_MAX, ENTRIES_MAX):
            removed += 1
            await tell(
                bench, (added, removed), [entry(n, 0) for n in range(start - TICKETS + 10, start - TICKETS + 20)]
            )
            added += 1
            await tell(bench, (added, removed), [entry(n, 2) for n in range(start, start + ENTRIES_MAX)])
            free.append((await bench.status())["heap_free_bytes"])
        assert min(free) >= FREE_BYTES_MIN, free
        assert not await alone(bench, 10)
        assert await alone(bench, TICKETS + 1)
        bench.board.kill()
        await bench.start()
        assert version_of(bench) == (added, removed)
        bench.board.kill()
        file, news = bench.board.read_file("list"), bench.board.read_file("list.news")
        assert len(news) < 3_000, "the rest is merged"
        entries = entries_of(file)
        assert list(entries) == sorted(entries)
        assert len(entries) > TICKETS
        await bench.start()
        bench.controller.lend(20)
        await bench.status()
        for number, listed in ((0, False), (10, False), (11, False), (70, True), (TICKETS + 150, True)):
            assert await alone(bench, number) is listed, number

    play(tmp_path, scene)


def test_a_list_in_pieces_a_torn_one_and_what_was_used_before_a_power_cut(tmp_path: Path) -> None:
    async def scene(bench: BenchNode) -> None:
        await bench.start()
        assert version_of(bench) == (0, 0)
        bench.controller.silent = True
        await whole_list(bench, range(400), (5, 5), pieces_max=4)
        assert version_of(bench) == (0, 4)
        bench.board.kill()
        await bench.start()
        assert version_of(bench) == (0, 0), "half a list is none"
        await whole_list(bench, range(400), (5, 5))
        free = (await bench.status())["heap_free_bytes"]
        assert free >= FREE_BYTES_MIN
        bench.controller.lend(3)
        await bench.status()
        assert await alone(bench, 399)
        bench.board.kill()
        await bench.start()
        bench.controller.lend(3)
        await bench.status()
        assert not await alone(bench, 399), "used before the power went"
        assert await alone(bench, 398)

    play(tmp_path, scene)


def test_an_emergency_of_the_whole_site_frees_the_exit_until_two_people_rearm(tmp_path: Path) -> None:
    async def scene(bench: BenchNode) -> None:
        await bench.start()
        bench.controller.send_to_all("emergency", {"on": True, "by": "anna"})
        await bench.until("the emergency", lambda: "emergency" in bench.kinds())
        assert bench.lane.signals["bolt_exit"]
        assert (await bench.status())["emergency"] is True
        bench.controller.command("rearm", "anna, bert")
        await bench.until("an answer", lambda: bench.controller.count("reply") == 1)
        assert (await bench.status())["emergency"] is True, "it lasts"
        bench.controller.send_to_all("emergency", {"on": False, "by": "anna"})
        await bench.until("it is over", lambda: bench.kinds().count("emergency") == 2)
        assert (await bench.status())["emergency"] is True, "nobody has looked yet"
        bench.controller.command("rearm", "anna, bert")
        await bench.until("re-armed", lambda: "rearmed" in bench.kinds())
        await bench.visit("ticket-1")

    play(tmp_path, scene)


def test_a_look_up_needs_no_more_reads_than_a_bisection() -> None:
    found = measure_lookup(tickets=5_000)
    assert 1 <= found["reads"] <= 13
