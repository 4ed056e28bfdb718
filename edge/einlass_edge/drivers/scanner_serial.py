"""A scanner on a serial line: GM65 family (set up at every start), or any that types a code and CR or LF."""

import asyncio
import contextlib
from collections.abc import Callable

import serial
import structlog

from einlass_core.events import Scanned
from einlass_core.gm65 import REGISTER_SETTING_CODES, SETTING_CODES_OFF, Splitter, provision, write_register
from einlass_edge.drivers.driver import Feed, Trouble
from einlass_edge.drivers.gm65 import MODE, MODE_CONTINUOUS, MODE_MASK, Answer, answer_of, read_register
from einlass_edge.drivers.lasting import lasting

READ_BYTES_MAX = 4096
# At 9600 baud a byte takes 1 ms and a USB adapter hands over every 16 ms: a longer pause ends a code.
PAUSE_S = 0.1
ANSWER_S_MAX = 0.5
SETUP_TRIES = 3
SETUP_AGAIN_S = 60.0

log = structlog.get_logger(__name__)


class SetupError(OSError):
    """The scanner does not answer, or not as one of its family does."""


class SerialScanner:
    """See Reader. Overlong codes arrive cut, one byte longer than a code may be, so that they are refused as such."""

    def __init__(self, side: str, port: str, baud: int, is_gm65: bool, feed: Feed, trouble: Trouble) -> None:
        self._side = side
        self._port = port
        self._baud = baud
        self._is_gm65 = is_gm65
        self._feed = feed
        self._trouble = trouble
        self._splitter = Splitter()
        self._tty: serial.Serial | None = None
        self._failed: asyncio.Future[None] | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._pause: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """See Reader."""
        await lasting(self._serve, f"{self._side}_scanner_lost", self._port, self._trouble)

    async def _serve(self, works: Callable[[], None]) -> None:
        with serial.Serial(self._port, self._baud, timeout=0, write_timeout=0, exclusive=True) as tty:
            works()
            await self._read(tty)

    async def _read(self, tty: serial.Serial) -> None:
        loop = asyncio.get_running_loop()
        self._tty = tty
        self._splitter = Splitter()
        self._failed = loop.create_future()
        loop.add_reader(tty.fileno(), self._readable)
        setup = asyncio.create_task(self._set_up()) if self._is_gm65 else None
        try:
            await self._failed
        finally:
            loop.remove_reader(tty.fileno())
            self._cancel_pause()
            if setup is not None:
                setup.cancel()
                await asyncio.gather(setup, return_exceptions=True)

    def _readable(self) -> None:
        assert self._tty is not None
        assert self._failed is not None
        try:
            data = self._tty.read(READ_BYTES_MAX)
        except (OSError, TypeError) as error:  # TypeError: the port was closed under pyserial's hands
            if not self._failed.done():
                self._failed.set_exception(OSError(str(error)))
                asyncio.get_running_loop().remove_reader(self._tty.fileno())
            return
        self._cancel_pause()
        codes, replies = self._splitter.feed(data)
        self._take(codes)
        if replies and self._answer is not None and not self._answer.done():
            self._answer.set_result(answer_of(replies[0]))
        if self._splitter.waiting:
            self._pause = asyncio.get_running_loop().call_later(PAUSE_S, self._paused)

    def _paused(self) -> None:
        self._pause = None
        self._take(self._splitter.paused())

    def _cancel_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _take(self, codes: list[bytes]) -> None:
        unheard = sum(not self._feed(Scanned(self._side, code)) for code in codes)
        if unheard:
            log.warning("scans_dropped", side=self._side, count=unheard)

    async def _set_up(self) -> None:
        """Until it has worked once: a scanner that reads but can be reconfigured by visitors is trouble, not an end."""
        reason = f"{self._side}_scanner_setup"
        refused = False
        while True:
            try:
                await self._close_setting_codes()
            except OSError as error:
                if not refused:
                    refused = True
                    log.warning("scanner_not_set_up", side=self._side, error=str(error))
                    self._trouble(reason, True)
                await asyncio.sleep(SETUP_AGAIN_S)
                continue
            if refused:
                self._trouble(reason, False)
            log.info("scanner_set_up", side=self._side)
            return

    async def _close_setting_codes(self) -> None:
        mode = await self._command(read_register(MODE))
        await self._command(write_register(MODE, mode & ~MODE_MASK | MODE_CONTINUOUS))
        await self._command(provision())
        if not await self._command(read_register(REGISTER_SETTING_CODES)) & SETTING_CODES_OFF:
            raise SetupError(
                "it keeps its setting codes open: a visitor could reconfigure it; close them by its manual"
            )

    async def _command(self, frame: bytes) -> int:
        """First byte of the answer."""
        assert self._tty is not None
        for _ in range(SETUP_TRIES):
            self._answer = asyncio.get_running_loop().create_future()
            self._splitter.awaits_reply = True
            try:
                self._tty.write(frame)
                with contextlib.suppress(asyncio.TimeoutError):
                    async with asyncio.timeout(ANSWER_S_MAX):
                        answer = await self._answer
                    if answer.ok and answer.data:
                        return answer.data[0]
            finally:
                self._splitter.awaits_reply = False
                self._answer = None
        raise SetupError(f"no answer to {frame.hex(' ')}: is it a GM65, at {self._baud} baud?")
