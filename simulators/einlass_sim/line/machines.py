"""What a machine does to the programs on it: its wall clock is set, it starts anew with a clock that begins again, its
kernel drops what is sent to an address.
"""

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

SEAM = Path(__file__).with_name("wall_clock")
PROBE_S_MAX = 10.0
# Where the clients' packets come from, as the broker sees them: all of 127.0.0.0/8 is this machine.
CLIENTS_ADDRESS = "127.0.0.77"
OWN_NETWORK = "EINLASS_OWN_NETWORK"
_SHIFT = struct.Struct("<q")


class WallClock:
    """The wall clock of one program; env() is what it has to be started with."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._path.write_bytes(_SHIFT.pack(0))

    def env(self) -> dict[str, str]:
        """For the program's environment."""
        path = os.pathsep.join(filter(None, (str(SEAM), os.environ.get("PYTHONPATH", ""))))
        return {"PYTHONPATH": path, "WALL_CLOCK": str(self._path)}

    def set(self, shift_ms: int) -> None:
        """From now on it is off by so much; the program sees it at its next look."""
        with self._path.open("r+b") as file:
            file.write(_SHIFT.pack(shift_ms))


@cache
def can_begin_clocks() -> bool:
    """Whether this machine lets us start programs whose counting clocks begin anew (time namespaces of the kernel)."""
    if shutil.which("unshare") is None:
        return False
    try:
        done = subprocess.run(begun_anew(1, ["true"]), capture_output=True, timeout=PROBE_S_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def begun_anew(since_start_s: int, command: list[str]) -> list[str]:
    """The command on a machine that was started so many seconds ago."""
    offset = str(since_start_s - int(float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])))
    clocks = ["--boottime", offset, "--monotonic", offset]
    return ["unshare", "--user", "--map-root-user", "--time", "--kill-child", *clocks, *command]


def program_of(pid: int) -> int:
    """The process that does the work: `unshare` waits for a child of its own."""
    name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return int(children[0]) if name == "unshare" and children else pid


def can_drop_packets() -> bool:
    """Whether this is a network namespace that own_network() made: elsewhere routes are others' business."""
    return os.environ.get(OWN_NETWORK) == "1" and shutil.which("ip") is not None


def own_network(command: list[str]) -> list[str]:
    """The command in a network namespace of its own."""
    there = f'ip link set lo up && {OWN_NETWORK}=1 exec "$@"'
    return ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", there, "sh", *command]


@contextmanager
def packets_dropped() -> Iterator[None]:
    """No packet reaches CLIENTS_ADDRESS, and nobody is told. Connections go on afterwards where they were."""
    road = ["blackhole", f"{CLIENTS_ADDRESS}/32", "table", "local"]
    subprocess.run(["ip", "route", "add", *road], timeout=PROBE_S_MAX, check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "route", "del", *road], timeout=PROBE_S_MAX, check=True)
