"""The simulated board: a tiny firmware of the test's own, on a real flash image, under the real MicroPython."""

import asyncio
import os
import pty
import resource
import signal
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from einlass_sim.devices.board import HARD_RESET, POWER_ON_RESET, SOFT_RESET, WATCHDOG_RESET, Board
from einlass_sim.devices.pins import PinServer
from einlass_sim.processes import ProcessError

SILENT_S = 0.5  # longer than the watchdog of the test
WATCHED_S = 1.0  # over which processor time is taken
DEADLINE_S = 30.0
OUT = 25
IN = 32


@dataclass
class Bench:
    """A firmware folder to fill, and the boards that were made from it."""

    directory: Path
    boards: list[Board] = field(default_factory=list)

    def board(self, main: str, *, boot: str = "", files: dict[str, bytes] | None = None, **options: object) -> Board:
        firmware = self.directory / "firmware"
        firmware.mkdir(exist_ok=True)
        (firmware / "boot.py").write_text(boot)
        (firmware / "main.py").write_text(main)
        board = Board("board", self.directory, firmware=firmware, files=files or {}, **options)  # type: ignore[arg-type]
        self.boards.append(board)
        return board


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for board in bench.boards:
        board.stop()


async def until(predicate: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not predicate():
        assert time.monotonic() < end, f"not within {DEADLINE_S:g} s: {what}"
        await asyncio.sleep(0.005)


async def said(board: Board, text: str, count: int = 1) -> None:
    def heard() -> bool:
        return board.log_path.exists() and board.log_path.read_text().count(text) >= count

    try:
        await until(heard, text)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{board.log_tail()}") from None


ECHO = """
import asyncio
from machine import Pin
out = Pin(25, Pin.OUT, value=1)
button = Pin(32, Pin.IN, Pin.PULL_UP)
edges = []
flag = asyncio.ThreadSafeFlag()
def on_edge(pin):
    edges.append(pin.value())
    flag.set()
button.irq(on_edge, Pin.IRQ_RISING | Pin.IRQ_FALLING)
print("level", button.value())
async def main():
    while True:
        await flag.wait()
        while edges:
            out.value(edges.pop(0))
asyncio.run(main())
"""


def test_output_is_seen_and_input_interrupts_at_once(bench: Bench) -> None:
    async def scene() -> None:
        seen: list[tuple[int, int]] = []
        pins = PinServer(on_pin=lambda id, level: seen.append((id, level)))
        board = bench.board(ECHO, pins=await pins.start(bench.directory / "pins"))
        pins.set_pin(IN, 1)
        board.start()
        await said(board, "level 1")
        assert pins.outputs == {OUT: 1}
        took_s = []
        for level in (0, 1) * 20:
            start = time.monotonic()
            count = len(seen)
            pins.set_pin(IN, level)
            await until(lambda count=count: len(seen) > count, "an answer to the edge")  # type: ignore[misc]
            took_s.append(time.monotonic() - start)
            assert seen[-1] == (OUT, level)
        # Event-driven: half of the edges within a few milliseconds, also on a busy machine.
        assert sorted(took_s)[20] < 0.05, took_s
        assert pins.faults == 0
        await pins.stop()

    asyncio.run(scene())


def test_a_burst_of_edges_arrives_in_order(bench: Bench) -> None:
    async def scene() -> None:
        seen: list[int] = []
        pins = PinServer(on_pin=lambda _, level: seen.append(level))
        board = bench.board(ECHO, pins=await pins.start(bench.directory / "pins"))
        pins.set_pin(IN, 1)
        board.start()
        await said(board, "level 1")
        seen.clear()
        for level in (0, 1) * 50:
            pins.set_pin(IN, level)
        await until(lambda: len(seen) >= 100, "100 edges")
        assert seen == [0, 1] * 50
        await pins.stop()

    asyncio.run(scene())


def test_inputs_are_driven_again_after_a_restart(bench: Bench) -> None:
    async def scene() -> None:
        links: list[bool] = []
        pins = PinServer(on_link=links.append)
        board = bench.board(ECHO, pins=await pins.start(bench.directory / "pins"))
        pins.set_pin(IN, 0)
        board.start()
        await until(lambda: OUT in pins.outputs, "outputs are set")
        board.kill()
        await until(lambda: links == [True, False], "the plant notices the power cut")
        assert pins.outputs == {}, "a board without power drives nothing"
        board.start()
        await said(board, "level 0", count=2)
        await pins.stop()

    asyncio.run(scene())


def test_absent_and_input_only_pins_are_refused(bench: Bench) -> None:
    main = """
from machine import Pin
for number, mode in ((24, Pin.IN), (40, Pin.IN), (34, Pin.OUT)):
    try:
        Pin(number, mode)
        print("taken", number)
    except ValueError as error:
        print("refused", number, error)
Pin(34, Pin.IN)
print("done")
"""
    board = bench.board(main).start()
    asyncio.run(said(board, "done"))
    assert board.log_path.read_text().count("refused") == 3


UART = """
import asyncio
from machine import UART
uart = UART(1, 9600, tx=17, rx=16, timeout=0)
stream = asyncio.StreamReader(uart)
async def main():
    print("reads")
    while True:
        line = await stream.readline()
        uart.write(b"<" + line.strip() + b">")
asyncio.run(main())
"""


def test_uart_line_comes_from_the_tty_and_an_answer_goes_back(bench: Bench) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    board = bench.board(UART, uarts={1: os.ttyname(slave)}).start()
    asyncio.run(said(board, "reads"))
    # Binary bytes and a line that comes in two parts.
    os.write(master, b"\x00\xff\x03\x04E1:")
    time.sleep(0.05)
    os.write(master, b"CODE\r\n")
    answer = b""
    while not answer.endswith(b">"):
        answer += os.read(master, 64)
    assert answer == b"<\x00\xff\x03\x04E1:CODE>"
    board.stop()
    os.close(master)
    os.close(slave)


def test_uart_without_anybody_is_silent_and_idle(bench: Bench) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    board = bench.board(UART, uarts={1: os.ttyname(slave)}).start()
    asyncio.run(said(board, "reads"))
    os.close(slave)
    os.close(master)
    before_s = _cpu_s(board.pid)
    time.sleep(WATCHED_S)
    assert board.alive
    assert _cpu_s(board.pid) - before_s < 0.4, "a line that is gone must not keep the processor busy"


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


COUNTER = """
import os
try:
    with open("count") as file:
        count = int(file.read())
except OSError:
    count = 0
print("found", count)
while True:
    count += 1
    with open("count.new", "w") as file:
        file.write("%d" % count)
    os.rename("count.new", "count")
    print("kept", count)
"""


WRITER = """
import time
number = 0
while True:
    number += 1
    try:
        with open("/count", "w") as file:
            file.write(str(number))
        with open("/count") as file:
            print("kept", file.read())
    except OSError as error:
        print("errno", error.errno)
    time.sleep_ms(20)
"""


def test_a_flash_that_is_full_is_an_error_for_the_firmware_and_not_its_end(bench: Bench) -> None:
    async def scene() -> None:
        board = bench.board(WRITER)
        with board:
            await said(board, "kept 3")
            soft, hard = resource.prlimit(board.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(board.pid, resource.RLIMIT_FSIZE, (1, hard))
            await said(board, "errno 28", 5)
            resource.prlimit(board.pid, resource.RLIMIT_FSIZE, (soft, hard))
            kept = board.log_path.read_text().count("kept")
            await said(board, "kept", kept + 3)
            assert board.starts == 1

    asyncio.run(scene())


def _numbers(board: Board, word: str) -> list[int]:
    lines = board.log_path.read_text().splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith(word + " ") and line.split()[1:]]


def test_flash_survives_a_power_cut(bench: Bench) -> None:
    board = bench.board(COUNTER).start()
    for round_ in range(1, 4):
        asyncio.run(said(board, "kept", count=20 * round_))
        board.kill()
        kept = max(_numbers(board, "kept"))
        # What was said to be kept is there; the one write under way may be, too.
        assert int(board.read_file("count")) in (kept, kept + 1)
        board.start()
    asyncio.run(said(board, "found", count=4))
    assert _numbers(board, "found")[1:] == sorted(_numbers(board, "found")[1:])


@pytest.mark.parametrize("cut_after_writes", [1, 2, 3, 5, 8, 13, 21, 34, 55, 89])
def test_flash_that_stops_in_mid_write_keeps_the_old_or_the_new(bench: Bench, cut_after_writes: int) -> None:
    board = bench.board(COUNTER, files={"count": b"1000"}, cut_after_writes=cut_after_writes)
    board.start()
    asyncio.run(until(lambda: not board.alive, "the power is cut"))
    board.kill()
    kept = max(_numbers(board, "kept"), default=1000)
    board.cut_after_writes = None
    assert int(board.read_file("count")) in (kept, kept + 1)
    board.start()
    asyncio.run(said(board, "kept", count=len(_numbers(board, "kept")) + 1))
    assert _numbers(board, "found")[-1] in (kept, kept + 1)


CAUSES = """
import machine, time
from esp32 import NVS
nvs = NVS("boot")
try:
    starts = nvs.get_i32("starts")
except OSError:
    starts = 0
nvs.set_i32("starts", starts + 1)
nvs.commit()
print("cause", machine.reset_cause())
print("starts", starts + 1)
print("memory", len(machine.RTC().memory()))
machine.RTC().memory(b"kept")
if starts == 0:
    try:
        machine.reset()
    finally:
        print("a chip that resets runs nothing more")
if starts == 1:
    machine.soft_reset()
while True:
    time.sleep(1)
"""


def test_each_start_knows_its_cause(bench: Bench) -> None:
    board = bench.board(CAUSES).start()
    asyncio.run(said(board, "memory", count=3))
    board.bite()
    asyncio.run(said(board, "memory", count=4))
    board.power_cut()
    board.start()
    asyncio.run(said(board, "memory", count=5))
    assert _numbers(board, "cause") == [POWER_ON_RESET, HARD_RESET, SOFT_RESET, WATCHDOG_RESET, POWER_ON_RESET]
    assert _numbers(board, "starts") == [1, 2, 3, 4, 5], "NVS outlives everything"
    assert _numbers(board, "memory") == [0, 4, 4, 4, 0], "RTC memory outlives resets, but no power cut"
    assert "nothing more" not in board.log_path.read_text()
    assert board.starts == 5


WATCHDOG = """
import machine, time
from machine import Pin
print("cause", machine.reset_cause())
button = Pin(32, Pin.IN, Pin.PULL_UP)
dog = machine.WDT(timeout=300)
while button.value():
    dog.feed()
    time.sleep_ms(50)
print("hangs")
while True:
    pass
"""


def test_watchdog_bites_only_when_the_feeds_stop(bench: Bench) -> None:
    async def scene() -> None:
        feeds: list[float] = []
        pins = PinServer(on_feed=lambda: feeds.append(time.monotonic()), on_bite=lambda: board.bite())
        board = bench.board(WATCHDOG, pins=await pins.start())
        pins.set_pin(IN, 1)
        board.start()
        await until(lambda: len(feeds) > 20, "a second of feeds")
        assert pins.bites == 0
        assert board.starts == 1
        pins.set_pin(IN, 0)
        await said(board, "hangs")
        pins.set_pin(IN, 1)
        await said(board, "cause 3")
        assert pins.bites == 1
        fed = len(feeds)
        await until(lambda: len(feeds) > fed + 5, "it feeds again")
        board.kill()
        await asyncio.sleep(SILENT_S)
        assert pins.bites == 1, "a board without power has no watchdog"
        await pins.stop()

    asyncio.run(scene())


def test_main_that_raises_leaves_the_board_standing(bench: Bench) -> None:
    board = bench.board("raise ValueError('planted')", boot="print('boots')").start()
    asyncio.run(said(board, "ValueError: planted"))
    assert board.alive
    assert board.starts == 1


def test_out_of_memory_is_an_exception_and_the_heap_is_bounded(bench: Bench) -> None:
    board = bench.board("x = []\nwhile True:\n    x.append(bytearray(1024))\n").start()
    asyncio.run(said(board, "MemoryError"))
    assert board.alive


def test_board_dies_with_its_plant_and_stays_off(bench: Bench) -> None:
    async def scene() -> None:
        pins = PinServer()
        board = bench.board(ECHO, pins=await pins.start())
        board.start()
        await until(lambda: OUT in pins.outputs, "it runs")
        await pins.stop()
        await until(lambda: not board.alive, "no plant, no power")
        assert board.starts == 1

    asyncio.run(scene())


def test_plant_survives_garbage_and_bad_messages(bench: Bench) -> None:
    async def scene() -> None:
        pins = PinServer()
        address = await pins.start(bench.directory / "pins")
        _, writer = await asyncio.open_unix_connection(address)
        lines = [b"\xff\xfe", b"[]", b"{}", b'{"t":"pin"}', b'{"t":"pin","id":"x","v":1}', b'{"t":"what"}', b"x" * 9000]
        writer.write(b"\n".join(lines) + b'\n{"t":"pin","id":4,"v":1}\n')
        await until(lambda: pins.outputs == {4: 1}, "the good line after the bad ones")
        assert pins.faults == len(lines)
        writer.close()
        await pins.stop()

    asyncio.run(scene())


def test_wrong_uses_are_refused_with_a_reason(bench: Bench) -> None:
    board = bench.board("")
    board.start()
    with pytest.raises(ProcessError, match="switch it off"):
        board.deploy()
    with pytest.raises(ProcessError, match="switch it off"):
        board.start()
    with pytest.raises(ValueError, match="12 hex digits"):
        Board("x", bench.directory, mac="240ac4")
    board.kill()
    with pytest.raises(ProcessError, match="switched off"):
        _ = board.pid


def test_frozen_board_is_bitten_too(bench: Bench) -> None:
    async def scene() -> None:
        pins = PinServer(on_bite=lambda: board.bite())
        board = bench.board(WATCHDOG, pins=await pins.start())
        pins.set_pin(IN, 1)
        board.start()
        await said(board, "cause 1")
        os.kill(board.pid, signal.SIGSTOP)
        await said(board, "cause 3")
        await pins.stop()

    asyncio.run(scene())
