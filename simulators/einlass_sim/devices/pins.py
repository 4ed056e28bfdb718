"""The plant's end of a simulated board's pins: a socket server that takes outputs and drives inputs.

    pins = PinServer(on_pin=bolt_moves, on_bite=board.bite)
    address = await pins.start(directory / "pins")     # what the board gets as BOARD_SIM
    pins.set_pin(32, 0)                                # driven now, and again whenever the board starts

Lines of JSON, one a message. Board to plant: pin, pinmode, pwm, wdt, feed, reset; plant to board: pin, wifi, ready.
The watchdog lives here, as it is hardware: armed by the board, it bites when no feed came in time.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

LINE_BYTES_MAX = 4_096
PATH_BYTES_MAX = 100  # sockaddr_un holds 108
SEND_BYTES_MAX = 65_536
LOOPBACK = "127.0.0.1"


class PinServer:
    """Serves one board at a time; a newer connection replaces an older one. Callbacks are plain functions.

    `on_pin(id, level)`: an output has that level now. `on_link(up)`: the board has come, or has lost its power or was
    reset, and drives nothing any more. `on_feed()`: the watchdog was fed. `on_bite()`: it was not fed in time.
    `on_pwm(id, freq_hz, duty_u16)`: a buzzer or the like. `on_mode(id, message)`: a pin was set up.
    """

    def __init__(
        self,
        on_pin: Callable[[int, int], None] | None = None,
        on_feed: Callable[[], None] | None = None,
        on_bite: Callable[[], None] | None = None,
        on_link: Callable[[bool], None] | None = None,
        on_pwm: Callable[[int, int, int], None] | None = None,
        on_mode: Callable[[int, dict[str, Any]], None] | None = None,
    ) -> None:
        self.outputs: dict[int, int] = {}
        self.inputs: dict[int, int] = {}
        self.faults = 0  # lines that were no message
        self.bites = 0
        self._wifi: dict[str, int] = {}
        self._on_pin = on_pin
        self._on_feed = on_feed
        self._on_bite = on_bite
        self._on_link = on_link
        self._on_pwm = on_pwm
        self._on_mode = on_mode
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._board: asyncio.StreamWriter | None = None
        self._watchdog_s: float | None = None
        self._watchdog: asyncio.TimerHandle | None = None

    async def start(self, path: Path | None = None) -> str:
        """Listen on that unix-domain socket, or on a free TCP port of 127.0.0.1; returns the value for BOARD_SIM."""
        if path is None:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, 0, limit=LINE_BYTES_MAX)
            port: int = self._server.sockets[0].getsockname()[1]
            return f"{LOOPBACK}:{port}"
        self._path = _free_path(path)
        self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=LINE_BYTES_MAX)
        return str(self._path)

    async def stop(self) -> None:
        """Stop listening and cut the board off: without a plant it has no power."""
        if self._server is not None:
            self._server.close()
        self._drop()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
        if self._path is not None:
            _free_path(self._path)

    @property
    def connected(self) -> bool:
        """Whether a board is powered and running."""
        return self._board is not None

    def set_pin(self, id: int, value: int) -> None:
        """Drive an input; kept, and driven again when the board restarts."""
        self.inputs[id] = 1 if value else 0
        self._send({"t": "pin", "id": id, "v": self.inputs[id]})

    def set_wifi(self, up: bool, rssi: int = -60) -> None:
        """What the board's station interface says of the access point."""
        self._wifi = {"up": int(up), "rssi": rssi}
        self._send({"t": "wifi", **self._wifi})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._drop()
        self._board = writer
        sock: socket.socket = writer.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._on_link is not None:
            self._on_link(True)
        for id, value in self.inputs.items():
            self._send({"t": "pin", "id": id, "v": value})
        if self._wifi:
            self._send({"t": "wifi", **self._wifi})
        self._send({"t": "ready"})
        try:
            while line := await self._line(reader):
                self._take(line)
        except (OSError, asyncio.CancelledError):
            pass  # The board lost its power, or the plant is being stopped.
        finally:
            if self._board is writer:
                self._drop()
            writer.close()

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        while True:
            try:
                return await reader.readline()
            except ValueError:  # over LINE_BYTES_MAX; readline has thrown it away
                self.faults += 1

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            kind = message["t"]
            if kind == "pin":
                self._output(int(message["id"]), 1 if message["v"] else 0)
            elif kind == "pinmode":
                if self._on_mode is not None:
                    self._on_mode(int(message["id"]), message)
            elif kind == "pwm":
                if self._on_pwm is not None:
                    self._on_pwm(int(message["id"]), int(message["freq"]), int(message["duty"]))
            elif kind == "wdt":
                self._watchdog_s = int(message["timeout_ms"]) / 1000
                self._wind()
            elif kind == "feed":
                self._wind()
                if self._on_feed is not None:
                    self._on_feed()
            elif kind != "reset":  # what follows a reset is the end of the connection
                self.faults += 1
        except (ValueError, KeyError, TypeError):
            self.faults += 1

    def _output(self, id: int, value: int) -> None:
        self.outputs[id] = value
        if self._on_pin is not None:
            self._on_pin(id, value)

    def _wind(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        if self._watchdog_s is not None:
            self._watchdog = asyncio.get_running_loop().call_later(self._watchdog_s, self._bite)

    def _bite(self) -> None:
        self._watchdog = None
        self.bites += 1
        if self._on_bite is not None:
            self._on_bite()

    def _send(self, message: dict[str, object]) -> None:
        board = self._board
        if board is None:
            return
        # A board that hangs does not read; what it missed it gets when it restarts.
        if board.transport.get_write_buffer_size() < SEND_BYTES_MAX:
            board.write(json.dumps(message).encode() + b"\n")

    def _drop(self) -> None:
        board, self._board = self._board, None
        self.outputs.clear()
        self._watchdog_s = None
        self._wind()
        if board is not None:
            with contextlib.suppress(OSError):
                board.close()
            if self._on_link is not None:
                self._on_link(False)


def _free_path(path: Path) -> Path:
    """Absolute, and nothing left there of an earlier socket. ValueError if it is too long for a socket."""
    absolute = path.absolute()
    if len(bytes(absolute)) > PATH_BYTES_MAX:
        raise ValueError(f"the path of a socket holds at most {PATH_BYTES_MAX} bytes, use a shorter one: {absolute}")
    absolute.unlink(missing_ok=True)
    return absolute
