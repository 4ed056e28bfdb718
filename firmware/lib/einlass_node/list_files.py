"""Where einlass_core.allowlist keeps its files on a board: at the root of the flash, whose renames are atomic."""

import os

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class ListFiles:
    """OSError for a flash that is full or broken."""

    def open(self, name: str, mode: str) -> "Any":
        """As the built-in open()."""
        return open("/" + name, mode)

    def rename(self, old: str, new: str) -> None:
        """Durable when it returns."""
        os.rename("/" + old, "/" + new)

    def sync(self, file: "Any") -> None:
        """Durable when it returns."""
        file.flush()
