"""Makes the stand-ins of simulators/unix_port small: a real board's own modules cost its heap nothing."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from einlass_hardware.bundle import plain
from einlass_hardware.firmware import byte_code
from einlass_hardware.shorten import shorten

SOURCE = Path(__file__).resolve().parents[2] / "unix_port"
START = "start"  # what MicroPython runs: it takes no byte code there


@functools.cache
def stand_ins() -> Path:
    """The folder with the stand-ins as byte code, made once a process. BuildError when one does not compile."""
    folder = Path(tempfile.mkdtemp(prefix="einlass-stand-ins-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    modules = {path.stem: plain(path) for path in SOURCE.glob("*.py")}
    shorten({name: tree.body for name, tree in modules.items()}, {}, used_outside=True)
    for name, tree in modules.items():
        if name == START:
            shutil.copy(SOURCE / f"{name}.py", folder)
        else:
            byte_code(name, tree, folder)
    return folder
