"""What stands beside every figure: how long an fsync takes here and now, and who used the processor."""

import os
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

FSYNCS = 40
BLOCK_BYTES = 4096
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def fsync_ms(directory: Path) -> float:
    """Median of appending one block to a file and having it on disk, in milliseconds."""
    path = directory / "fsync-probe"
    taken_s = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for _ in range(FSYNCS):
            os.write(descriptor, b"\0" * BLOCK_BYTES)
            began_s = time.perf_counter()
            os.fdatasync(descriptor)
            taken_s.append(time.perf_counter() - began_s)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(taken_s) * 1000


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time that these processes have used so far; those that are gone count nothing."""
    total = 0.0
    for pid in pids:
        try:
            values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(values[11]) + int(values[12])) / _TICKS_PER_S
    return total


def memory_mib(pid: int) -> tuple[float, float]:
    """Memory of a process (resident) in MiB: now, and the most it ever was."""
    found = {"VmRSS": 0.0, "VmHWM": 0.0}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) / 1024
    return found["VmRSS"], found["VmHWM"]


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found: list[int] = [pid]
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    for parent in found:
        found.extend(children.get(parent, []))
    return found
