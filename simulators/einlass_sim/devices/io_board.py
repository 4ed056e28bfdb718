"""A Modbus TCP board with relays and inputs, the device's side: an own small server, because a relay must be seen to
move at the moment it does, and because a board can be slow, silent, busy or without power.

    board = IoBoard(on_coil=lambda coil, value, at_s: ...)   # at_s on the clock of time.monotonic()
    await board.start()                                      # board.host, board.port
    board.set_input(0, True)
    board.power(False)          # coils fall; connections hang, new ones are refused, until power(True)
    board.silent = True         # takes requests, answers nothing, does nothing
    board.delay_s = 0.2         # answers, and acts, that late
    board.exception = DEVICE_BUSY   # answers every request with this exception code

Coils 0-5, discrete inputs 0-3 (or more, by `inputs`), unit 1: see IoBoard. Functions 1, 2, 3, 5, 6, 15, 16.
Holding register 0: watchdog in ms, 0 = off, as such boards come from the factory. No request within it: all coils fall
to 0, and `fallen` stays true until the next write to a coil. Register 1: falls since power-on, to be read only.
"""

import asyncio
import struct
import time
from collections.abc import Callable
from types import TracebackType

LOOPBACK = "127.0.0.1"
UNIT_ID = 1

COIL_ENTRY, COIL_EXIT, COIL_GREEN, COIL_RED, COIL_YELLOW, COIL_BUZZER = range(6)
INPUT_BARRIER_A, INPUT_BARRIER_B, INPUT_EMERGENCY, INPUT_BOLT_ENTRY = range(4)
COILS = 6
INPUTS = 4
WATCHDOG_REGISTER, FALLS_REGISTER = range(2)
REGISTERS = 2

READ_COILS, READ_INPUTS, READ_REGISTERS = 1, 2, 3
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 5, 6, 15, 16

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
DEVICE_BUSY = 6
NO_SUCH_UNIT = 11

HEADER_BYTES = 7
PDU_BYTES_MAX = 253
CONNECTIONS_MAX = 8
QUEUED_REQUESTS_MAX = 64

CoilCallback = Callable[[int, bool, float], None]


class _Refusal(Exception):
    """A Modbus exception code instead of an answer."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class IoBoard:
    """One board. on_coil is called in the event loop, before the answer to the write leaves."""

    def __init__(self, on_coil: CoilCallback | None = None, watchdog_ms: int = 0, inputs: int = INPUTS) -> None:
        self.coils = [False] * COILS
        self.inputs = [False] * inputs
        self.powered = True
        self.fallen = False
        self.falls = 0
        self.silent = False
        self.delay_s = 0.0
        self.exception: int | None = None
        self.requests = 0
        self.host = LOOPBACK
        self.port = 0
        self.on_coil = on_coil
        self.on_power: Callable[[], None] | None = None  # powered or fallen has changed
        self._watchdog_ms_at_start = watchdog_ms
        self._watchdog_ms = watchdog_ms
        self._watchdog: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1; port 0: a free one. OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), LOOPBACK, port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._pet()

    async def stop(self) -> None:
        """Take it off the network; coils fall."""
        if self._server:
            self._server.close()
            self._server = None
        self._drop_connections()
        self._fall()
        if self._watchdog:
            self._watchdog.cancel()

    async def __aenter__(self) -> "IoBoard":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def watchdog_ms(self) -> int:
        """What the master has set; 0: no watchdog."""
        return self._watchdog_ms

    def set_input(self, index: int, value: bool) -> None:
        """Drive a discrete input from outside. IndexError beyond the board's inputs."""
        self.inputs[index] = value

    def power(self, on: bool) -> None:
        """Pull or return the plug. Coming back, it has forgotten its registers and resets all connections."""
        if on == self.powered:
            return
        self.powered = on
        if on:
            self._watchdog_ms, self.falls, self.fallen = self._watchdog_ms_at_start, 0, False
            self._drop_connections()
            self._pet()
        else:
            self._fall()
            if self._watchdog:
                self._watchdog.cancel()
        if self.on_power:
            self.on_power()

    def answer(self, unit: int, pdu: bytes) -> bytes:
        """Carry out one request and say how it went; never raises for what a master may send."""
        self.requests += 1
        function = pdu[0] if pdu else 0
        try:
            if unit != UNIT_ID:
                raise _Refusal(NO_SUCH_UNIT)
            if self.exception is not None:
                raise _Refusal(self.exception)
            answer = self._carry_out(function, pdu[1:])
        except _Refusal as refusal:
            return bytes([function | 0x80, refusal.code])
        except struct.error:
            return bytes([function | 0x80, ILLEGAL_VALUE])
        self._pet()
        return bytes([function]) + answer

    def _carry_out(self, function: int, data: bytes) -> bytes:
        if function in (READ_COILS, READ_INPUTS):
            bits = self.coils if function == READ_COILS else self.inputs
            first, count = self._range(data, len(bits))
            return _packed(bits[first : first + count])
        if function == READ_REGISTERS:
            first, count = self._range(data, REGISTERS)
            values = (self._watchdog_ms, self.falls & 0xFFFF)[first : first + count]
            return bytes([2 * count]) + struct.pack(f">{count}H", *values)
        if function == WRITE_COIL:
            coil, value = struct.unpack(">HH", data)
            if coil >= COILS:
                raise _Refusal(ILLEGAL_ADDRESS)
            if value not in (0x0000, 0xFF00):
                raise _Refusal(ILLEGAL_VALUE)
            self._set_coils(coil, [value == 0xFF00])
            return data
        if function == WRITE_REGISTER:
            register, value = struct.unpack(">HH", data)
            self._set_watchdog(register, value)
            return data
        if function == WRITE_COILS:
            first, count = self._range(data[:4], COILS)
            if len(data) < 6 or data[4] != (count + 7) // 8 or len(data) != 5 + data[4]:
                raise _Refusal(ILLEGAL_VALUE)
            self._set_coils(first, [bool(data[5 + place // 8] >> place % 8 & 1) for place in range(count)])
            return data[:4]
        if function == WRITE_REGISTERS:
            first, count = self._range(data[:4], REGISTERS)
            if len(data) != 5 + 2 * count or data[4] != 2 * count:
                raise _Refusal(ILLEGAL_VALUE)
            if count > 1:
                raise _Refusal(ILLEGAL_ADDRESS)
            self._set_watchdog(first, int.from_bytes(data[5:7], "big"))
            return data[:4]
        raise _Refusal(ILLEGAL_FUNCTION)

    @staticmethod
    def _range(data: bytes, size: int) -> tuple[int, int]:
        first, count = struct.unpack(">HH", data)
        if not count:
            raise _Refusal(ILLEGAL_VALUE)
        if first + count > size:
            raise _Refusal(ILLEGAL_ADDRESS)
        return first, count

    def _set_watchdog(self, register: int, value_ms: int) -> None:
        if register != WATCHDOG_REGISTER:
            raise _Refusal(ILLEGAL_ADDRESS)
        self._watchdog_ms = value_ms

    def _set_coils(self, first: int, values: list[bool]) -> None:
        was_fallen, self.fallen = self.fallen, False
        self._change(first, values)
        if was_fallen and self.on_power:
            self.on_power()

    def _change(self, first: int, values: list[bool]) -> None:
        at_s = time.monotonic()
        for coil, value in enumerate(values, first):
            if self.coils[coil] != value:
                self.coils[coil] = value
                if self.on_coil:
                    self.on_coil(coil, value, at_s)

    def _pet(self) -> None:
        if self._watchdog:
            self._watchdog.cancel()
            self._watchdog = None
        if self._watchdog_ms and self.powered:
            loop = asyncio.get_running_loop()
            self._watchdog = loop.call_later(self._watchdog_ms / 1000, self._bite)

    def _bite(self) -> None:
        self._watchdog = None
        self.fallen = True
        self.falls += 1
        self._fall()
        if self.on_power:
            self.on_power()

    def _fall(self) -> None:
        self._change(0, [False] * COILS)

    def _drop_connections(self) -> None:
        for connection in list(self._connections):
            connection.abort()


class _Connection(asyncio.Protocol):
    """One master. Requests are answered in order, each after the board's delay."""

    def __init__(self, board: IoBoard) -> None:
        self._board = board
        self._transport: asyncio.Transport | None = None
        self._input = bytearray()
        self._waiting = 0
        self._free_at_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._board.powered or len(self._board._connections) >= CONNECTIONS_MAX:
            transport.abort()
            return
        self._board._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's."""
        self._transport = None
        self._board._connections.discard(self)

    def abort(self) -> None:
        """Reset the connection."""
        if self._transport:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        self._input += data
        while len(self._input) >= HEADER_BYTES:
            transaction, protocol, length, unit = struct.unpack(">HHHB", self._input[:HEADER_BYTES])
            if protocol or not 2 <= length <= PDU_BYTES_MAX + 1:
                self.abort()  # Not Modbus, or out of step: there is no way to find the next request.
                return
            if len(self._input) < HEADER_BYTES - 1 + length:
                return
            pdu = bytes(self._input[HEADER_BYTES : HEADER_BYTES - 1 + length])
            del self._input[: HEADER_BYTES - 1 + length]
            self._take(transaction, unit, pdu)

    def _take(self, transaction: int, unit: int, pdu: bytes) -> None:
        board = self._board
        if board.silent or not board.powered:
            return
        if not board.delay_s and not self._waiting:
            self._answer(transaction, unit, pdu)
            return
        if self._waiting >= QUEUED_REQUESTS_MAX:
            self.abort()
            return
        loop = asyncio.get_running_loop()
        self._waiting += 1
        self._free_at_s = max(self._free_at_s, loop.time()) + board.delay_s
        loop.call_at(self._free_at_s, self._answer_late, transaction, unit, pdu)

    def _answer_late(self, transaction: int, unit: int, pdu: bytes) -> None:
        self._waiting -= 1
        if self._board.powered and not self._board.silent and self._transport:
            self._answer(transaction, unit, pdu)

    def _answer(self, transaction: int, unit: int, pdu: bytes) -> None:
        answer = self._board.answer(unit, pdu)
        if self._transport:
            self._transport.write(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)


def _packed(bits: list[bool]) -> bytes:
    packed = bytearray((len(bits) + 7) // 8)
    for place, bit in enumerate(bits):
        packed[place // 8] |= bit << place % 8
    return bytes([len(packed)]) + bytes(packed)
