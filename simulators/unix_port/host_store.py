"""Small files of the host in which a stand-in keeps what a board keeps outside its file system."""

import host_files


def read(path):
    """The whole file, or None if it is not there."""
    try:
        with host_files.open_host(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def replace(path, data):
    """The new content or the old one, whenever the power goes."""
    with host_files.open_host(path + ".new", "wb") as file:
        file.write(data)
    host_files.rename(path + ".new", path)
