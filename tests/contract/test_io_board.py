"""The simulated IO board, met by the Modbus client that the Raspberry Pi uses, and by somebody who cannot speak."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus import ModbusException, pymodbus_apply_logging_config
from pymodbus.client import AsyncModbusTcpClient

from einlass_sim.devices import io_board
from einlass_sim.devices.io_board import IoBoard

DEADLINE_S = 20.0
QUICK_S = 0.2

pymodbus_apply_logging_config("CRITICAL")


def with_board(talk: Callable[[IoBoard, AsyncModbusTcpClient], Awaitable[None]], watchdog_ms: int = 0) -> None:
    async def run() -> None:
        async with IoBoard(watchdog_ms=watchdog_ms) as board:
            client = client_of(board)
            assert await client.connect()
            try:
                await talk(board, client)
            finally:
                client.close()

    asyncio.run(asyncio.wait_for(run(), 30))


def client_of(board: IoBoard, timeout_s: float = DEADLINE_S) -> AsyncModbusTcpClient:
    return AsyncModbusTcpClient(board.host, port=board.port, timeout=timeout_s, retries=0, reconnect_delay=0)


async def until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end_s, "it never happened"
        await asyncio.sleep(0.005)


def test_a_relay_is_seen_to_move_before_its_write_is_confirmed() -> None:
    async def talk(board: IoBoard, client: AsyncModbusTcpClient) -> None:
        moves: list[tuple[int, bool]] = []
        board.on_coil = lambda coil, value, at_s: moves.append((coil, value))
        before_s = time.monotonic()
        assert not (await client.write_coil(0, True, device_id=1)).isError()
        assert moves == [(0, True)]
        assert not (await client.write_coils(1, [False, True, True], device_id=1)).isError()
        assert moves == [(0, True), (2, True), (3, True)], "only what changed"
        answer = await client.read_coils(0, count=6, device_id=1)
        assert answer.bits[:6] == [True, False, True, True, False, False]
        assert time.monotonic() - before_s < DEADLINE_S

    with_board(talk)


def test_inputs_can_change_at_any_time() -> None:
    async def talk(board: IoBoard, client: AsyncModbusTcpClient) -> None:
        for value in (True, False, True):
            board.set_input(io_board.INPUT_EMERGENCY, value)
            answer = await client.read_discrete_inputs(0, count=4, device_id=1)
            assert answer.bits[:4] == [False, False, value, False]

    with_board(talk)


def test_a_silent_master_lets_all_coils_fall() -> None:
    async def talk(board: IoBoard, client: AsyncModbusTcpClient) -> None:
        powers: list[bool] = []
        board.on_power = lambda: powers.append(board.fallen)
        await client.write_register(0, 60, device_id=1)
        await client.write_coils(0, [True] * 6, device_id=1)
        for _ in range(10):
            await client.read_discrete_inputs(0, count=4, device_id=1)
            await asyncio.sleep(0.01)
        assert all(board.coils), "reading is talking, too"
        await until(lambda: board.fallen)
        assert not any(board.coils)
        answer = await client.read_holding_registers(0, count=2, device_id=1)
        assert answer.registers == [60, 1]
        assert board.fallen
        await client.write_coil(1, False, device_id=1)
        assert not board.fallen
        assert powers == [True, False]
        await client.write_register(0, 0, device_id=1)
        assert board.watchdog_ms == 0

    with_board(talk)


def test_without_power_coils_fall_and_connections_die() -> None:
    async def talk(board: IoBoard, client: AsyncModbusTcpClient) -> None:
        await client.write_registers(0, [1000], device_id=1)
        await client.write_coil(0, True, device_id=1)
        board.power(False)
        assert not any(board.coils)
        quick = client_of(board, QUICK_S)
        if await quick.connect():
            with pytest.raises(ModbusException):
                await quick.read_coils(0, count=6, device_id=1)
        quick.close()
        board.power(True)
        again = client_of(board)
        assert await again.connect()
        answer = await again.read_holding_registers(0, count=2, device_id=1)
        assert answer.registers == [0, 0]
        again.close()
        await until(lambda: not client.connected)

    with_board(talk)


def test_a_silent_board_answers_nothing_and_does_nothing() -> None:
    async def talk(board: IoBoard, client: AsyncModbusTcpClient) -> None:
        board.silent = True
        quick = client_of(board, QUICK_S)
        assert await quick.connect()
        with pytest.raises(ModbusException):
            await quick.write_coil(0, True, device_id=1)
        quick.close()
        board.silent = False
        assert not (await client.read_coils(0, count=1, device_id=1)).bits[0]

    with_board(talk)


def test_a_slow_board_answers_late() -> None:
    async def talk(board: IoBoard, client: AsyncModbusTcpClient) -> None:
        board.delay_s = 0.1
        start_s = time.monotonic()
        await client.write_coil(0, True, device_id=1)
        assert time.monotonic() - start_s >= 0.1
        assert board.coils[0]

    with_board(talk)


def test_refusals_have_their_codes() -> None:
    async def talk(board: IoBoard, client: AsyncModbusTcpClient) -> None:
        assert (await client.read_coils(4, count=3, device_id=1)).exception_code == io_board.ILLEGAL_ADDRESS
        assert (await client.write_coil(6, True, device_id=1)).exception_code == io_board.ILLEGAL_ADDRESS
        assert (await client.write_register(1, 5, device_id=1)).exception_code == io_board.ILLEGAL_ADDRESS
        assert (await client.read_input_registers(0, count=1, device_id=1)).exception_code == io_board.ILLEGAL_FUNCTION
        assert (await client.read_coils(0, count=1, device_id=9)).exception_code == io_board.NO_SUCH_UNIT
        board.exception = io_board.DEVICE_BUSY
        assert (await client.write_coil(0, True, device_id=1)).exception_code == io_board.DEVICE_BUSY
        assert not board.coils[0]

    with_board(talk)


def test_what_is_not_modbus_is_hung_up_on_and_harms_nobody() -> None:
    async def talk(board: IoBoard, client: AsyncModbusTcpClient) -> None:
        def shout() -> bytes:
            with socket.create_connection((board.host, board.port), timeout=DEADLINE_S) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                try:
                    return stranger.recv(100)
                except ConnectionResetError:
                    return b""

        assert await asyncio.to_thread(shout) == b""
        assert not (await client.read_coils(0, count=6, device_id=1)).isError()

    with_board(talk)


@given(st.binary(max_size=253))
def test_any_request_gets_an_answer(pdu: bytes) -> None:
    async def run() -> None:
        board = IoBoard()
        answer = board.answer(1, pdu)
        assert answer[0] & 0x7F == (pdu[0] & 0x7F if pdu else 0)
        assert not board.coils[io_board.COIL_ENTRY] or pdu[0] in (io_board.WRITE_COIL, io_board.WRITE_COILS)
        await board.stop()

    asyncio.run(run())
