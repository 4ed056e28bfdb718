"""A wall clock that can be set: for one process, from outside, without a line of the program knowing.

Python imports a module of this name from PYTHONPATH before anything else. WALL_CLOCK names a file of eight bytes: by
how many milliseconds time.time() and time.time_ns() are off, looked at on every call. Clocks that only count are left
alone, as a jump of the real one leaves them.
"""

import mmap
import os
import struct
import time

_path = os.environ.get("WALL_CLOCK")
if _path:
    with open(_path, "r+b") as _file:
        _shift = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
    _real_ns = time.time_ns

    def _time_ns() -> int:
        shift_ms: int = struct.unpack("<q", _shift[:8])[0]
        return _real_ns() + shift_ms * 1_000_000

    time.time_ns = _time_ns
    time.time = lambda: _time_ns() / 1e9
