"""The journal's store on the board's LittleFS: small files of framed lines, each record synced before append() returns.

A sync copies the last flash block of the file, so files are kept short; whole files are deleted when all in them is
acknowledged. A torn last line (it cannot happen on LittleFS, it can on others) is cut off when the store is opened.
"""

import errno
import os

from einlass_core.journal import JournalError, frame, unframe
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

RECORDS_PER_FILE = 64
FILES_MAX = 48
ENOSPC = 28  # MicroPython's errno does not name it
_SUFFIX = ".jnl"


class FileStore:
    """bounds, append, read and drop for einlass_core.journal, in one folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._file: "Any" = None
        self._in_file = 0
        self._last = 0
        try:
            os.mkdir(folder)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
        self._starts = sorted(int(name[: -len(_SUFFIX)]) for name in os.listdir(folder) if name.endswith(_SUFFIX))
        self._open_last()

    def bounds(self) -> "tuple[int, int]":
        """(first, last) number on flash, (0, 0) when there is none."""
        return (self._starts[0], self._last) if self._starts else (0, 0)

    def append(self, seq: int, text: str) -> None:
        """Durable when it returns; OSError when the flash is full or broken."""
        file = self._file_for(seq)
        try:
            file.write(frame(text))
            file.flush()
        except OSError:
            self._reopen()
            raise
        self._in_file += 1
        self._last = seq

    def read(self, seq: int, count_max: int) -> "list[tuple[int, str]]":
        """Records from a number on, at most count_max and none from a second file (ask again for those)."""
        start = 0
        for candidate in self._starts:
            if candidate <= seq:
                start = candidate
        records: "list[tuple[int, str]]" = []
        if not start:
            return records
        number = start
        with open(self._path(start), "rb") as file:
            for line in file:
                if number >= seq:
                    text = unframe(line)
                    if text is None:
                        raise JournalError(
                            "journal record %d is damaged: recount the zone and clear the journal" % number
                        )
                    records.append((number, text))
                    if len(records) >= count_max:
                        break
                number += 1
        return records

    def drop(self, through_seq: int) -> None:
        """Deletes the files in which nothing is after through_seq."""
        while len(self._starts) > 1 and self._starts[1] <= through_seq + 1:
            os.remove(self._path(self._starts[0]))
            self._starts.pop(0)

    def _path(self, start: int) -> str:
        return "%s/%08d%s" % (self._folder, start, _SUFFIX)

    def _file_for(self, seq: int) -> "Any":
        if self._file is not None and self._in_file < RECORDS_PER_FILE:
            return self._file
        if len(self._starts) >= FILES_MAX:
            raise OSError(ENOSPC)
        if self._file is not None:
            self._file.close()
            self._file = None
        self._file = open(self._path(seq), "ab")
        self._in_file = 0
        if seq not in self._starts:
            self._starts.append(seq)
        return self._file

    def _open_last(self) -> None:
        """Goes on behind the last whole record; a file that was made but holds none is removed."""
        while self._starts:
            start = self._starts[-1]
            whole, torn = self._whole_lines(start)
            if torn:
                self._cut(start, whole)
            if whole:
                self._file = open(self._path(start), "ab")
                self._in_file = whole
                self._last = start + whole - 1
                return
            os.remove(self._path(start))
            self._starts.pop()

    def _whole_lines(self, start: int) -> "tuple[int, bool]":
        whole = 0
        with open(self._path(start), "rb") as file:
            for line in file:
                if unframe(line) is None:
                    return whole, True
                whole += 1
        return whole, False

    def _cut(self, start: int, whole: int) -> None:
        temporary = self._folder + "/cut.tmp"
        with open(self._path(start), "rb") as damaged, open(temporary, "wb") as kept:
            for _ in range(whole):
                kept.write(damaged.readline())
        os.rename(temporary, self._path(start))

    def _reopen(self) -> None:
        """After a failed write nobody knows what the file holds: read it again."""
        try:
            self._file.close()
        except OSError:
            pass
        self._file = None
        try:
            self._open_last()
        except OSError:
            self._file = None
            self._in_file = RECORDS_PER_FILE
