"""The board's flash: an image file with the ESP32's geometry, and a power cut on demand.

The n-th write or erase since the start is then only half done and takes the board's power: the process ends by SIGKILL.
"""
# ruff: noqa: D102 - the methods are MicroPython's, whose documentation says what they do.

from micropython import const

import board_link
import host_files

_BLOCK_BYTES = const(4096)
_ERASED_BYTES = const(256)
_NO_SPACE = const(28)  # as a driver says it: an exception would jump through the file system and leave it half way


class Flash:
    """Block device with the extended interface (offsets within a block). cut_after_writes None: never."""

    def __init__(self, path, cut_after_writes):
        self._blocks = host_files.size_bytes(path) // _BLOCK_BYTES
        self._file = host_files.open_host(path, "r+b")
        self._writes_left = cut_after_writes

    def readblocks(self, block, buffer, offset=0):
        self._file.seek(block * _BLOCK_BYTES + offset)
        self._file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=None):
        if offset is None:
            self._erase(block)
            offset = 0
        cut = self._is_cut()
        self._file.seek(block * _BLOCK_BYTES + offset)
        try:
            self._file.write(memoryview(buffer)[: len(buffer) // 2] if cut else buffer)
        except OSError:
            return -_NO_SPACE
        if cut:
            board_link.die("KILL")

    def ioctl(self, operation, argument):
        if operation == 4:
            return self._blocks
        if operation == 5:
            return _BLOCK_BYTES
        if operation == 6:
            try:
                self._erase(argument)
            except OSError:
                return -_NO_SPACE
        return 0

    def _erase(self, block):
        cut = self._is_cut()
        self._file.seek(block * _BLOCK_BYTES)
        for _ in range(_BLOCK_BYTES // _ERASED_BYTES // (2 if cut else 1)):
            self._file.write(b"\xff" * _ERASED_BYTES)
        if cut:
            board_link.die("KILL")

    def _is_cut(self):
        if self._writes_left is None:
            return False
        self._writes_left -= 1
        return self._writes_left <= 0
