"""The board's flash: a LittleFS image file with the ESP32's geometry, and a power cut on demand.

BOARD_FLASH names the image. With BOARD_CUT_AFTER_WRITES=n the n-th write or erase since the start is only half done and
takes the board's power: the process ends by SIGKILL.
"""
# ruff: noqa: D102 - the methods are MicroPython's, whose documentation says what they do.

import os
import vfs

import board_link
import host_files

BLOCK_BYTES = 4096
# As the ESP32 port mounts its flash.
PROGRAM_BYTES = 32
LOOKAHEAD_BYTES = 32
_ERASED = b"\xff" * 256


class Flash:
    """Block device with the extended interface (offsets within a block)."""

    def __init__(self, path, cut_after_writes):
        self._blocks = host_files.size_bytes(path) // BLOCK_BYTES
        self._file = host_files.open_host(path, "r+b")
        self._writes_left = cut_after_writes

    def readblocks(self, block, buffer, offset=0):
        self._file.seek(block * BLOCK_BYTES + offset)
        self._file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=None):
        if offset is None:
            self._erase(block)
            offset = 0
        cut = self._is_cut()
        self._file.seek(block * BLOCK_BYTES + offset)
        self._file.write(memoryview(buffer)[: len(buffer) // 2] if cut else buffer)
        if cut:
            board_link.die("KILL")

    def ioctl(self, operation, argument):
        if operation == 4:
            return self._blocks
        if operation == 5:
            return BLOCK_BYTES
        if operation == 6:
            self._erase(argument)
        return 0

    def _erase(self, block):
        cut = self._is_cut()
        self._file.seek(block * BLOCK_BYTES)
        for _ in range(BLOCK_BYTES // len(_ERASED) // (2 if cut else 1)):
            self._file.write(_ERASED)
        if cut:
            board_link.die("KILL")

    def _is_cut(self):
        if self._writes_left is None:
            return False
        self._writes_left -= 1
        return self._writes_left <= 0


def file_system():
    """The file system in BOARD_FLASH, made anew if there is none in it (as the ESP32 port does on its first start)."""
    cut = os.getenv("BOARD_CUT_AFTER_WRITES")
    device = Flash(os.getenv("BOARD_FLASH"), int(cut) if cut else None)
    sizes = {"readsize": PROGRAM_BYTES, "progsize": PROGRAM_BYTES, "lookahead": LOOKAHEAD_BYTES}
    try:
        return vfs.VfsLfs2(device, **sizes)
    except OSError:
        vfs.VfsLfs2.mkfs(device, **sizes)
        return vfs.VfsLfs2(device, **sizes)
