"""Where einlass_core.allowlist keeps its files: a folder beside the journal."""

import os
from pathlib import Path
from typing import Any


class ListFiles:
    """The folder is made when it is not there; OSError when it cannot be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def open(self, name: str, mode: str) -> Any:
        """As the built-in open()."""
        return open(self._folder / name, mode)

    def rename(self, old: str, new: str) -> None:
        """Durable when it returns; `new` is either what it was or what `old` was."""
        os.replace(self._folder / old, self._folder / new)
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync(self, file: Any) -> None:
        """What was written to it is on the disk when this returns."""
        file.flush()
        os.fsync(file.fileno())
