"""A keypad on a pseudo terminal: one ASCII character for each key, as the front of a ticket machine has it.

async with Keypad(link) as keypad:
    keypad.path                    # a tty for the driver
    keypad.press("B-X 1\\r")        # CR is OK, ESC cancels, `*` card, `#` language, `?` lost ticket
"""

import contextlib
import os
from types import TracebackType

from einlass_sim.devices.pty_end import PtyEnd


class Keypad(PtyEnd):
    """One keypad on its line. It hears nothing."""

    async def __aenter__(self) -> "Keypad":
        self._plug_in()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deafen()
        self._unplug()

    def press(self, keys: str) -> None:
        """One key after the other; what the line does not take is lost, as with a key that is hit too fast."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, keys.encode("ascii"))

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.read(self._master, 4096)
