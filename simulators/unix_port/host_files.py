"""Files of the host machine for the stand-ins, out of the firmware's sight: its / is the flash image."""

import vfs

_host = vfs.VfsPosix()


def open_host(path, mode):
    """As `open`, for an absolute path of the host."""
    return _host.open(path, mode)


def size_bytes(path):
    """OSError if it is not there."""
    return _host.stat(path)[6]


def rename(path, new):
    """As `os.rename`, for absolute paths of the host."""
    _host.rename(path, new)
