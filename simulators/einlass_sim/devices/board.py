"""A simulated ESP32: the firmware as it is under MicroPython as a program, on a flash image that outlives power cuts.

    board = Board("gate-1", directory, pins=address, uarts={1: scanner.path}, files={"config.json": b"..."})
    with board:                # deploys and switches on
        board.power_cut()      # kill -9; the flash keeps what was written
        board.start()          # on the same flash

The stand-ins for machine, network and esp32 are in simulators/unix_port. A board that calls machine.reset() is started
again at once, as is one that the watchdog has bitten; each start knows its cause (machine.reset_cause).
"""

import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from littlefs import LittleFS

from einlass_sim.devices.stand_ins import stand_ins
from einlass_sim.processes import Process, ProcessError

ROOT = Path(__file__).resolve().parents[3]
FIRMWARE = ROOT / "firmware"
DEPLOYED = ("boot.py", "main.py", "lib/**/*.py", "lib/**/*.mpy")

HEAP = "120K"  # one and a half times the budget on a board, whose pointers are half as long, plus the stand-ins' 21 KB
FLASH_BLOCKS = 512  # 2 MB, as in the stock 4 MB layout
BLOCK_BYTES = 4_096
PROGRAM_BYTES = 32
LITTLEFS_VERSION = 0x0002_0001  # what MicroPython 1.29 writes; a newer one it would refuse to mount
MAC_DEFAULT = "240ac4000001"
POLL_S = 0.01

POWER_ON_RESET = 1
HARD_RESET = 2
WATCHDOG_RESET = 3
SOFT_RESET = 5
_CAUSES = {-signal.SIGUSR1: HARD_RESET, -signal.SIGUSR2: SOFT_RESET}


class Board:
    """One board. Thread-safe; also a context manager that deploys, starts and stops.

    `pins` is the plant's address (PinServer.start), `uarts` names a tty for each UART number, `files` are put on the
    flash beside the firmware, `cut_after_writes` ends each run at its n-th flash write. `<name>.log` in `directory` is
    the serial output.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        pins: str | None = None,
        uarts: Mapping[int, str] | None = None,
        files: Mapping[str, bytes] | None = None,
        firmware: Path = FIRMWARE,
        mac: str = MAC_DEFAULT,
        heap: str = HEAP,
        flash_blocks: int = FLASH_BLOCKS,
        cut_after_writes: int | None = None,
    ) -> None:
        if len(bytes.fromhex(mac)) != 6:
            raise ValueError(f"a MAC address is 12 hex digits, not {mac!r}")
        self.name = name
        self.image = directory.resolve() / f"{name}.flash"
        self.starts = 0
        self.reset_cause = POWER_ON_RESET
        self.cut_after_writes = cut_after_writes
        self._directory = directory.resolve()
        self._pins = pins
        self._uarts = dict(uarts or {})
        self._files = dict(files or {})
        self._firmware = firmware
        self._mac = mac
        self._heap = heap
        self._flash_blocks = flash_blocks
        self._process: Process | None = None
        self._powered = False
        self._bitten = False
        self._lock = threading.RLock()
        self._watcher: threading.Thread | None = None

    @property
    def log_path(self) -> Path:
        """Where its serial output goes."""
        return self._directory / f"{self.name}.log"

    @property
    def alive(self) -> bool:
        """Whether the processor runs now (between a reset and the next start it does not)."""
        with self._lock:
            return self._process is not None and self._process.alive

    @property
    def pid(self) -> int:
        """Process id of the present run. ProcessError if it is off."""
        with self._lock:
            if self._process is None:
                raise ProcessError(f"{self.name} is switched off")
            return self._process.pid

    def deploy(self) -> None:
        """A fresh flash image with the firmware and the extra files. ProcessError while the board is on."""
        self._must_be_off()
        self._directory.mkdir(parents=True, exist_ok=True)
        flash = _littlefs(self._flash_blocks)
        for pattern in DEPLOYED:
            for path in sorted(self._firmware.glob(pattern)):
                _put(flash, path.relative_to(self._firmware).as_posix(), path.read_bytes())
        for name, data in self._files.items():
            _put(flash, name, data)
        self.image.write_bytes(flash.context.buffer)
        for suffix in (".nvs", ".rtc"):
            Path(f"{self.image}{suffix}").unlink(missing_ok=True)

    def read_file(self, name: str) -> bytes:
        """A file of the flash, while the board is off. FileNotFoundError if it is not there."""
        self._must_be_off()
        flash = self._mounted()  # kept while the file is open: without it the library reads freed memory
        with flash.open(name, "rb") as file:
            data: bytes = file.read()
            return data

    def write_file(self, name: str, data: bytes) -> None:
        """Put a file on the flash, while the board is off."""
        self._must_be_off()
        flash = self._mounted()
        _put(flash, name, data)
        self.image.write_bytes(flash.context.buffer)

    def start(self) -> Self:
        """Switch the power on; deploys first if there is no flash image yet. ProcessError if it is on."""
        with self._lock:
            self._must_be_off()
            if not self.image.exists():
                self.deploy()
            # Its memory has lost its supply.
            Path(f"{self.image}.rtc").unlink(missing_ok=True)
            self._powered = True
            self._spawn(POWER_ON_RESET)
            self._watcher = threading.Thread(target=self._watch, name=f"board-{self.name}", daemon=True)
            self._watcher.start()
        return self

    def kill(self) -> None:
        """A power cut: kill -9, and it stays off until `start`."""
        with self._lock:
            self._powered = False
            if self._process is not None:
                self._process.kill()
                self._process = None
            watcher, self._watcher = self._watcher, None
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join()

    power_cut = kill
    stop = kill

    def bite(self) -> None:
        """The watchdog's reset: the processor is killed and starts again with that cause."""
        with self._lock:
            if self._process is not None and self._process.alive:
                self._bitten = True
                self._process.signal(signal.SIGKILL)

    def log_tail(self) -> str:
        """The last lines of its serial output."""
        return Process(self.name, [], directory=self._directory).log_tail()

    def __enter__(self) -> Self:
        return self if self._powered else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _spawn(self, cause: int) -> None:
        self.reset_cause = cause
        self.starts += 1
        self._bitten = False
        modules = stand_ins()
        env = {
            "MICROPYPATH": f"{modules}:.frozen",
            "BOARD_FLASH": str(self.image),
            "BOARD_MAC": self._mac,
            "BOARD_RESET_CAUSE": str(cause),
            # Empty is absent: the environment of this program must not reach the board.
            "BOARD_SIM": self._pins or "",
            "BOARD_CUT_AFTER_WRITES": "" if self.cut_after_writes is None else str(self.cut_after_writes),
            **{f"BOARD_UART{number}": self._uarts.get(number, "") for number in (1, 2)},
        }
        # The first tty that a leader of a session opens becomes its terminal, and a scanner that goes would hang it up.
        # A flash that takes no more (RLIMIT_FSIZE of this process) is an error for the firmware, not its end.
        command = [
            "env",
            "--ignore-signal=XFSZ",
            "nohup",
            _micropython(),
            "-X",
            f"heapsize={self._heap}",
            str(modules / "start.py"),
        ]
        process = Process(self.name, command, directory=self._directory, env=env)
        process.start()
        self._process = process

    def _watch(self) -> None:
        """Start it again after a reset; leave it off after anything else."""
        while True:
            with self._lock:
                process = self._process
                if not self._powered or process is None or self._watcher is not threading.current_thread():
                    return
                if not process.alive:
                    process.kill()
                    cause = WATCHDOG_RESET if self._bitten else _CAUSES.get(process.returncode or 0)
                    self._process = None
                    if cause is None:
                        self._powered = False
                        return
                    self._spawn(cause)
            _pause.wait(POLL_S)

    def _mounted(self) -> LittleFS:
        flash = _littlefs(self._flash_blocks, format_it=False)
        flash.context.buffer = bytearray(self.image.read_bytes())
        flash.mount()
        return flash

    def _must_be_off(self) -> None:
        if self._powered:
            raise ProcessError(f"{self.name} is on: switch it off first (kill)")


_pause = threading.Event()  # never set: a sleep that needs no clock of its own


def _micropython() -> str:
    """The `micropython` program that was installed beside this Python. ProcessError if there is none."""
    program = Path(sys.executable).with_name("micropython")
    if not os.access(program, os.X_OK):
        raise ProcessError("MicroPython is not installed beside this Python: install the `demo` extra")
    return str(program)


def _littlefs(blocks: int, format_it: bool = True) -> LittleFS:
    return LittleFS(
        block_size=BLOCK_BYTES,
        block_count=blocks,
        read_size=PROGRAM_BYTES,
        prog_size=PROGRAM_BYTES,
        cache_size=4 * PROGRAM_BYTES,
        lookahead_size=PROGRAM_BYTES,
        disk_version=LITTLEFS_VERSION,
        mount=format_it,
    )


def _put(flash: LittleFS, name: str, data: bytes) -> None:
    parent = PurePosixPath(name).parent
    if str(parent) != ".":
        flash.makedirs(str(parent), exist_ok=True)
    with flash.open(name, "wb") as file:
        file.write(data)
