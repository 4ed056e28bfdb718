"""How long an ESP32 looks for a ticket among 50,000: python -m einlass_sim.bench_list

The firmware's own list on a simulated board's flash, timed by the board. A real one is slower: the estimate takes
MicroPython's own benchmarks (byte code takes 140 times as long at 240 MHz) and 0.1 ms for each read of a file.
"""

import json
import tempfile
from pathlib import Path

from einlass_core.allowlist import LIST, AllowList
from einlass_core.codes import digest
from einlass_edge.list_files import ListFiles
from einlass_hardware.bundle import Bundle
from einlass_hardware.firmware import FIRMWARE, byte_code, modules
from einlass_sim.devices.board import Board
from einlass_sim.processes import wait_until

TICKETS = 50_000
LOOKUPS = 500
PIECE = 1000  # entries
TIMES_SLOWER = 140
READ_MS = 0.1
DEADLINE_S = 60.0
_MAIN = """
import time
from einlass_core.allowlist import AllowList
from einlass_core.codes import digest
from einlass_node.list_files import ListFiles

reads = 0

class File:
    def __init__(self, file):
        self.file = file
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.file.close()
    def seek(self, *where):
        return self.file.seek(*where)
    def read(self, *count):
        global reads
        reads += 1
        return self.file.read(*count)

class Counted(ListFiles):
    def open(self, name, mode):
        return File(open("/" + name, mode))

wanted = [digest("ticket %d" % (number * %STEP%)) for number in range(%LOOKUPS%)]
plain, counted = AllowList(ListFiles()), AllowList(Counted())
reads = 0
found = len([one for one in wanted if counted.persons(one)])
start = time.ticks_us()
for one in wanted:
    plain.persons(one)
print("found", found, time.ticks_diff(time.ticks_us(), start), reads)
"""


def measure_lookup(tickets: int = TICKETS) -> dict[str, float]:
    """Of one look-up: reads of the file, milliseconds here, and what a board is taken to need.

    BuildError, ProcessError, TimeoutError when the board does not run; ValueError when it does not find them all.
    """
    with tempfile.TemporaryDirectory(prefix="einlass-bench-") as name:
        directory = Path(name)
        firmware = directory / "firmware"
        firmware.mkdir()
        (firmware / "boot.py").write_text("")
        step = str(tickets // LOOKUPS)
        main = firmware / "main.py"
        main.write_text(_MAIN.replace("%LOOKUPS%", str(LOOKUPS)).replace("%STEP%", step))
        for module, text in Bundle(main, modules(FIRMWARE / "lib")).texts.items():
            byte_code(module, text, firmware / "lib")
        board = Board("bench", directory, firmware=firmware, heap="1M", files={LIST: _list(directory, tickets)})
        with board:
            wait_until(lambda: "found" in board.log_tail() or not board.alive, DEADLINE_S, "the board has looked")
            said = board.log_tail()
    line = next((line for line in said.splitlines() if line.startswith("found")), "")
    if not line.startswith(f"found {LOOKUPS} "):
        raise ValueError(f"the board has not found its tickets: {said}")
    _, _, took_us, reads = line.split()
    here_ms, reads_each = int(took_us) / 1000 / LOOKUPS, int(reads) / LOOKUPS
    estimate_ms = here_ms * TIMES_SLOWER + reads_each * READ_MS
    return {
        "tickets": tickets,
        "reads": round(reads_each, 1),
        "here_ms": round(here_ms, 3),
        "esp32_ms_estimate": round(estimate_ms, 1),
    }


def _list(directory: Path, tickets: int) -> bytes:
    """The file as a node has it after a whole list."""
    made = AllowList(ListFiles(directory / "list"))
    entries = sorted(digest(f"ticket {number}") + "01" for number in range(tickets))
    for start in range(0, tickets, PIECE):
        ends = start + PIECE >= tickets
        to = {"added": 1, "removed": 1} if ends else {"added": 0, "removed": start // PIECE + 1}
        piece = "".join(entries[start : start + PIECE])
        made.take({"since": made.version(), "to": to, "start": not start, "end": ends, "entries": piece})
    return (directory / "list" / LIST).read_bytes()


if __name__ == "__main__":
    print(json.dumps(measure_lookup()))
