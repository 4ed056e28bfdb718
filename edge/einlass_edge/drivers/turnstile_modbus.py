"""A turnstile behind a Modbus relay board with inputs, by TCP or RTU.

Coils: 0 entry release, 1 exit lock (power locks), 2 green, 3 red, 4 yellow, 5 buzzer. Discrete inputs: 0 barrier A,
1 barrier B, 2 emergency (1 = pressed), 3 bolt contact of the entry (1 = free). Holding register 0: the board's watchdog
in milliseconds; when nobody talks to it for that long, it drops all coils, which is the mechanics' safe state.

One task talks to the board, so no command overtakes another; what is written is worked out at the moment of writing.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from pymodbus import ModbusException, pymodbus_apply_logging_config
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from einlass_edge.drivers.driver import Backoff, Now, Trouble
from einlass_edge.drivers.outputs import SAFE, Outputs, Wanted
from einlass_edge.drivers.sensors import Levels, Sensors
from einlass_edge.tasks import insisting

POLL_MS = 20
COILS_CHECK_MS = 500
ANSWER_S_MAX = 0.3
LEAVE_S_MAX = 1.0
WATCHDOG_REGISTER = 0
INPUTS = 4
TROUBLE = "turnstile_lost"

log = structlog.get_logger(__name__)
Client = AsyncModbusTcpClient | AsyncModbusSerialClient


class BoardError(OSError):
    """The board answered with a Modbus exception; the text has its number."""


def tcp_client(host: str, port: int) -> Client:
    """A client for a board with Ethernet; reconnecting is the driver's."""
    return AsyncModbusTcpClient(host, port=port, timeout=ANSWER_S_MAX, retries=0, reconnect_delay=0)


def serial_client(port: str, baud: int) -> Client:
    """A client for a board on RS-485 (RTU, 8N1)."""
    return AsyncModbusSerialClient(port, baudrate=baud, timeout=ANSWER_S_MAX, retries=0, reconnect_delay=0)


class ModbusTurnstile:
    """See Turnstile. make_client is called for every new connection; bolt_moved after a coil write was confirmed."""

    trouble_name = TROUBLE

    def __init__(
        self,
        make_client: Callable[[], Client],
        unit: int,
        watchdog_ms: int,
        wanted: Wanted,
        sensors: Sensors,
        now_ms: Now,
        trouble: Trouble,
        bolt_moved: Callable[[bool], None] = lambda free: None,
    ) -> None:
        # The library prints every lost answer; the driver reports a loss once, itself.
        pymodbus_apply_logging_config("CRITICAL")
        self._make_client = make_client
        self._unit = unit
        self._watchdog_ms = watchdog_ms
        self._wanted = wanted
        self._sensors = sensors
        self._now_ms = now_ms
        self._trouble = trouble
        self._bolt_moved = bolt_moved
        self._wake = asyncio.Event()
        self._written: list[bool] | None = None
        self._exchanged_ms = 0

    def set_bolt(self, side: str, released: bool, until_ms: int | None) -> None:
        """See Turnstile."""
        self._wanted.set_bolt(side, released, until_ms)
        self._wake.set()

    def show(self, colour: str, sound: tuple[int, ...]) -> None:
        """See Turnstile."""
        self._wanted.show(self._now_ms(), colour, sound)
        self._wake.set()

    async def run(self) -> None:
        """See Turnstile."""
        try:
            await insisting(self._keep_talking())
        finally:
            self._blind()
            await self._leave_safe()

    # -- what another mechanics behind such a board does otherwise

    def _coils_at(self, now_ms: int) -> list[bool]:
        return _coils(self._wanted.at(now_ms))

    def _safe_coils(self) -> list[bool]:
        return _coils(SAFE)

    def _blind(self) -> None:
        self._sensors.blind()

    async def _read_inputs(self, client: Client) -> None:
        answer = await self._exchange(client.read_discrete_inputs(0, count=INPUTS, device_id=self._unit))
        barrier_a, barrier_b, emergency, entry_free = answer.bits[:INPUTS]
        self._sensors.see(self._now_ms(), Levels(barrier_a, barrier_b, emergency, entry_free))

    # -- talking

    async def _keep_talking(self) -> None:
        backoff = Backoff()
        lost = False
        while True:
            client = self._make_client()
            try:
                await self._open(client)
                if lost:
                    lost = False
                    self._trouble(self.trouble_name, False)
                backoff.reset()
                await self._serve(client)
            except (TimeoutError, ModbusException, OSError) as error:
                self._blind()
                if not lost:
                    lost = True
                    log.warning("turnstile_board_lost", error=str(error))
                    self._trouble(self.trouble_name, True)
            finally:
                client.close()
            await asyncio.sleep(backoff.next_s())

    async def _open(self, client: Client) -> None:
        if not await client.connect():
            raise ConnectionError(f"no connection to the turnstile board {client}")
        self._written = None
        if self._watchdog_ms:
            await self._exchange(client.write_register(WATCHDOG_REGISTER, self._watchdog_ms, device_id=self._unit))

    async def _serve(self, client: Client) -> None:
        poll_ms = check_ms = self._now_ms()
        while True:
            now = self._now_ms()
            if self._watchdog_ms and now - self._exchanged_ms > self._watchdog_ms // 2:
                # Somebody held us up (a paused process): the board may have dropped its coils meanwhile.
                self._written = None
            if self._coils_at(now) != self._written:
                await self._write(client)
            elif now >= poll_ms:
                await self._read_inputs(client)
                poll_ms = max(poll_ms + POLL_MS, now)
            elif now >= check_ms:
                check_ms = now + COILS_CHECK_MS
                await self._check_coils(client)
            else:
                change_ms = self._wanted.change_ms(now)
                await self._sleep((poll_ms if change_ms is None else min(poll_ms, change_ms)) - now)

    async def _sleep(self, length_ms: int) -> None:
        """Until that time has passed or a wish came in."""
        with contextlib.suppress(asyncio.TimeoutError):
            # Not wait_for: in Python 3.11 that loses a cancellation that comes together with the event.
            async with asyncio.timeout(length_ms / 1000):
                await self._wake.wait()
        self._wake.clear()

    async def _write(self, client: Client) -> None:
        before, self._written = self._written, None
        coils = self._coils_at(self._now_ms())
        await self._exchange(client.write_coils(0, coils, device_id=self._unit))
        self._written = coils
        if before is None or before[0] != coils[0]:
            self._bolt_moved(coils[0])

    async def _check_coils(self, client: Client) -> None:
        count = len(self._safe_coils())
        answer = await self._exchange(client.read_coils(0, count=count, device_id=self._unit))
        if self._written is not None and answer.bits[:count] != self._written:
            log.warning("turnstile_coils_changed", by="the board or somebody else")
            self._written = None

    async def _exchange(self, request: Awaitable[Any]) -> Any:
        answer = await request
        if answer.isError():
            raise BoardError(f"the turnstile board refuses: {answer}")
        self._exchanged_ms = self._now_ms()
        return answer

    async def _leave_safe(self) -> None:
        client = self._make_client()
        try:
            async with asyncio.timeout(LEAVE_S_MAX):
                if await client.connect():
                    await self._exchange(client.write_coils(0, self._safe_coils(), device_id=self._unit))
        except (TimeoutError, ModbusException, OSError) as error:
            log.warning("turnstile_left_to_its_watchdog", error=str(error))
        finally:
            client.close()


def _coils(outputs: Outputs) -> list[bool]:
    return [
        outputs.entry_free,
        not outputs.exit_free,  # this coil locks: a board without power leaves the way out free
        outputs.green,
        outputs.red,
        outputs.yellow,
        outputs.buzzer,
    ]
