"""The device's end of a serial line: a pseudo terminal whose other end a driver opens like any tty."""

import asyncio
import os
import tty
from pathlib import Path


class PtyEnd:
    """What every simulated serial device is plugged into. `path` is the driver's end; `link` leads there, if given."""

    def __init__(self, link: Path | None) -> None:
        self.path = ""
        self._link = link
        self._master = self._slave = -1

    def _plug_in(self) -> None:
        """Make the line and read it. OSError when the machine has no more ptys or the link's place is taken."""
        self._master, self._slave = os.openpty()
        # Raw from the start: an echoing tty would send our words back to us as commands.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        if self._link:
            if self._link.is_symlink():
                self._link.unlink()
            self._link.symlink_to(self.path)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def _deafen(self) -> None:
        """Nothing is read any more; answers under way may still be written."""
        asyncio.get_running_loop().remove_reader(self._master)

    def _unplug(self) -> None:
        """The driver's reads fail from now on, as with a pulled USB adapter."""
        os.close(self._master)
        os.close(self._slave)
        if self._link and self._link.is_symlink():
            self._link.unlink()

    def _read(self) -> None:
        """Something can be read from `_master`."""
        raise NotImplementedError
