"""The serial scanner's driver against the simulated GM65 on a pseudo terminal, and against plain nonsense."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from einlass_core.codes import CODE_LENGTH_MAX, opaque
from einlass_core.events import ENTRY, Event, Scanned
from einlass_edge.drivers import scanner_serial
from einlass_edge.drivers.scanner_serial import SerialScanner
from einlass_sim.devices.scanner import Scanner

DROPPED_S = 0.1  # the driver reads and drops for so long; nothing tells when
DEADLINE_S = 30.0
CODE = opaque(7)


class Bench:
    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self.seen: list[bytes] = []
        self.troubles: list[tuple[str, bool]] = []
        self.full = False

    def feed(self, event: Event) -> bool:
        if self.full:
            return False
        assert isinstance(event, Scanned)
        assert event.side == ENTRY
        self.seen.append(event.raw)
        return True

    async def until(self, true: Callable[[], bool], what: str = "it") -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < end_s, f"never: {what}; {self.seen} {self.troubles}"
            await asyncio.sleep(0.002)

    async def ready(self) -> None:
        await self.until(lambda: not self.scanner.module.setting_codes_open, "setting codes closed")


@contextlib.asynccontextmanager
async def bench(link: Path, is_gm65: bool = True) -> AsyncIterator[Bench]:
    async with Scanner(link, real_pacing=False) as scanner:
        it = Bench(scanner)
        driver = SerialScanner(
            ENTRY, str(link), 9600, is_gm65, it.feed, lambda reason, began: it.troubles.append((reason, began))
        )
        task = asyncio.create_task(driver.run())
        await asyncio.sleep(0)  # It opens the port at its first step, and what was on the line before is no scan.
        try:
            yield it
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def on(link: Path, work: Callable[[Bench], Awaitable[None]], is_gm65: bool = True) -> None:
    async def run() -> None:
        async with bench(link, is_gm65) as it:
            await work(it)

    asyncio.run(asyncio.wait_for(run(), 40))


def test_codes_arrive_and_no_answer_is_taken_for_one(tmp_path: Path) -> None:
    async def work(it: Bench) -> None:
        await it.scanner.noise(CODE.encode() + b"\r")  # read while it is being set up
        await it.ready()
        await it.scanner.hold(opaque(8))
        await it.until(lambda: len(it.seen) == 2)
        assert it.seen == [CODE.encode(), opaque(8).encode()]

    on(tmp_path / "tty", work)


def test_a_visitors_setting_code_does_nothing_but_be_refused(tmp_path: Path) -> None:
    async def work(it: Bench) -> None:
        assert it.scanner.module.setting_codes_open
        await it.ready()
        await it.scanner.hold(b"_SET_0060_60")  # would take the ending off every code
        await it.scanner.hold(CODE)
        await it.until(lambda: len(it.seen) == 2)
        assert it.seen == [b"_SET_0060_60", CODE.encode()]

    on(tmp_path / "tty", work)


def test_a_scanner_in_command_mode_is_set_to_read_by_itself(tmp_path: Path) -> None:
    async def work(it: Bench) -> None:
        await it.ready()
        assert it.scanner.module.continuous

    async def run() -> None:
        async with Scanner(tmp_path / "tty", real_pacing=False) as scanner:
            scanner.module.registers[0] = 0xD5  # by command, with its light settings
            it = Bench(scanner)
            driver = SerialScanner(ENTRY, str(tmp_path / "tty"), 9600, True, it.feed, lambda *_: None)
            task = asyncio.create_task(driver.run())
            await work(it)
            assert scanner.module.registers[0] == 0xD6
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 40))


def test_overlong_codes_arrive_cut_and_what_follows_is_whole(tmp_path: Path) -> None:
    async def work(it: Bench) -> None:
        await it.ready()
        for start in range(0, 10_000, 1000):
            await it.scanner.noise(b"%04d" % start + b"x" * 996)
        await it.scanner.noise(b"\r")
        await it.scanner.hold(CODE)
        await it.until(lambda: it.seen[-1:] == [CODE.encode()])
        assert len(it.seen) == 2
        assert len(it.seen[0]) == CODE_LENGTH_MAX + 1

    on(tmp_path / "tty", work)


def test_garbage_is_passed_on_as_it_is(tmp_path: Path) -> None:
    async def work(it: Bench) -> None:
        await it.ready()
        junk = bytes(value for value in range(1, 256) if value not in (10, 13)) + b"\x02\x00\x00\x01\x00\x33\x31"
        await it.scanner.noise(junk[:150] + b"\r\n" + junk[150:] + b"\r\n")
        await it.until(lambda: len(it.seen) == 2)
        assert b"".join(it.seen) == junk

    on(tmp_path / "tty", work)


def test_a_code_without_an_ending_is_a_code_after_a_pause(tmp_path: Path) -> None:
    async def work(it: Bench) -> None:
        await it.ready()
        await it.scanner.noise(CODE.encode())
        await it.until(lambda: it.seen == [CODE.encode()])

    on(tmp_path / "tty", work)


def test_a_lane_that_is_behind_loses_codes_but_the_driver_lives(tmp_path: Path) -> None:
    async def work(it: Bench) -> None:
        await it.ready()
        it.full = True
        await it.scanner.noise(b"1\r" * 500)
        await asyncio.sleep(DROPPED_S)  # they are read and dropped: a visitor holds the code again
        it.full = False
        await it.scanner.hold(CODE)
        await it.until(lambda: it.seen[-1:] == [CODE.encode()])

    on(tmp_path / "tty", work)


def test_an_unplugged_scanner_is_trouble_until_it_is_back(tmp_path: Path) -> None:
    async def work(it: Bench) -> None:
        await it.ready()
        await it.scanner.close()
        await it.until(lambda: it.troubles == [("entry_scanner_lost", True)], "trouble, told once")
        await it.scanner.open()
        it.scanner.module.power_cycle()
        await it.until(lambda: it.troubles[-1] == ("entry_scanner_lost", False), "back")
        await it.ready()
        await it.scanner.hold(CODE)
        await it.until(lambda: it.seen == [CODE.encode()])

    on(tmp_path / "tty", work)


def test_a_scanner_that_cannot_be_set_up_still_reads_and_is_reported(tmp_path: Path) -> None:
    async def work(it: Bench) -> None:
        it.scanner.module.received = lambda now_ms, data: b""  # type: ignore[method-assign]  # another make
        await it.scanner.hold(CODE)
        await it.until(lambda: it.seen == [CODE.encode()])
        await it.until(lambda: it.troubles == [("entry_scanner_setup", True)], "reported")

    assert scanner_serial.ANSWER_S_MAX * scanner_serial.SETUP_TRIES < DEADLINE_S
    on(tmp_path / "tty", work)


def test_a_plain_scanner_is_sent_nothing(tmp_path: Path) -> None:
    async def work(it: Bench) -> None:
        await it.scanner.hold(CODE)
        await it.until(lambda: it.seen == [CODE.encode()])
        assert it.scanner.module.setting_codes_open

    on(tmp_path / "tty", work, is_gm65=False)
