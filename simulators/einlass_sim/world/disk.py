"""A lane's disk: the journal's lines and the list's files in memory, with power cuts in the middle of a write."""

from collections.abc import Callable

from einlass_core.journal import frame, unframe
from einlass_sim.world.table import ENOSPC, Table

ENOENT = 2
# Lines, the first one's number, files, and what is in the tables.
Image = tuple[list[bytes], int, dict[str, bytes], bytes]


class PowerCutError(Exception):
    """The lane's power went: nothing after this was done."""


class Disk:
    """step() is called before every write that must last; it may raise PowerCutError. torn: then half is written."""

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step
        self.table = Table(step)
        self.torn = 0  # writes that were cut in the middle
        self.lines: list[bytes] = []
        self.first = 1
        self.files: dict[str, bytes] = {}

    @property
    def full(self) -> bool:
        """Whether it takes nothing more."""
        return self.table.full

    @full.setter
    def full(self, is_full: bool) -> None:
        self.table.full = is_full

    def wipe(self) -> None:
        """A new one."""
        self.lines, self.first, self.files = [], 1, {}
        self.table.wipe()

    def image(self) -> Image:
        """A copy of all that is on it."""
        return list(self.lines), self.first, dict(self.files), self.table.image()

    def restore(self, image: Image) -> None:
        """Put an old copy back."""
        self.lines, self.first, self.files = list(image[0]), image[1], dict(image[2])
        self.table.restore(image[3])

    # -- what einlass_core.journal asks of a store

    def bounds(self) -> tuple[int, int]:
        """First and last number; a torn end is cut off."""
        while self.lines and unframe(self.lines[-1]) is None:
            self.lines.pop()
        return (self.first, self.first + len(self.lines) - 1) if self.lines else (0, 0)

    def append(self, seq: int, text: str) -> None:
        """Durable when it returns."""
        if self.full:
            raise OSError(ENOSPC, "full")
        line = frame(text)
        try:
            self._step()
        except PowerCutError:
            if seq % 2:  # now nothing of it is there, now half
                self.torn += 1
                self.lines.append(line[: len(line) // 2])
            raise
        if not self.lines:
            self.first = seq
        self.lines.append(line)

    def read(self, seq: int, count_max: int) -> list[tuple[int, str]]:
        """Records from a number on."""
        found = []
        for number in range(max(seq, self.first), min(seq + count_max, self.first + len(self.lines))):
            text = unframe(self.lines[number - self.first])
            if text is None:
                raise OSError(5, "damaged")
            found.append((number, text))
        return found

    def drop(self, through_seq: int) -> None:
        """Forget records up to a number."""
        count = through_seq - self.first + 1
        if count > 0:
            del self.lines[:count]
            self.first += count

    # -- what einlass_core.allowlist asks

    def open(self, name: str, mode: str) -> "_File":
        """A file, as the built-in open()."""
        if mode == "rb" and name not in self.files:
            raise OSError(ENOENT, name)
        if mode == "wb":
            self.files[name] = b""
        return _File(self, name)

    def rename(self, old: str, new: str) -> None:
        """All or nothing."""
        self._step()
        self.files[new] = self.files.pop(old)

    def sync(self, file: "_File") -> None:
        """What was written stays."""
        self._step()


class _File:
    def __init__(self, disk: Disk, name: str) -> None:
        self._disk = disk
        self._name = name
        self._at = 0

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        """Nothing is held back."""

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (len(self._disk.files.get(self._name, b"")) if whence == 2 else 0)
        return self._at

    def read(self, size: int = -1) -> bytes:
        data = self._disk.files.get(self._name, b"")
        found = data[self._at :] if size < 0 else data[self._at : self._at + size]
        self._at += len(found)
        return found

    def write(self, data: bytes) -> int:
        if self._disk.full:
            raise OSError(ENOSPC, "full")
        self._disk.files[self._name] = self._disk.files.get(self._name, b"") + data
        return len(data)
