"""Files of the host machine for the stand-ins, out of the firmware's sight: its / is the flash image."""

import vfs

_host = vfs.VfsPosix()


def open_host(path, mode):
    """As `open`, for an absolute path of the host."""
    return _host.open(path, mode)


def size_bytes(path):
    """OSError if it is not there."""
    return _host.stat(path)[6]


def read(path):
    """The whole file, or None if it is not there."""
    try:
        with open_host(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def replace(path, data):
    """The new content or the old one, whenever the power goes."""
    with open_host(path + ".new", "wb") as file:
        file.write(data)
    _host.rename(path + ".new", path)
