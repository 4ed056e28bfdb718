"""Starts the node in a heap that it just fits into: one part after the other, and each leaves nothing behind.

While a module is loaded it needs half as much again, and whatever lies between what it leaves is too small for anything
else. So the checking of the files comes first and is forgotten, and after each part the garbage is collected, for the
next one to be put where it was.
"""

import gc
import sys
import time

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

# Collect after so much, not only when the heap is full: else garbage lies everywhere, and what stays is put behind it.
COLLECT_EVERY_BYTES = 4096


def node(watchdog: "Any") -> "Any":
    """The node, ready to run; OSError or the like when a driver cannot be made."""
    gc.threshold(COLLECT_EVERY_BYTES)
    from einlass_core import board, gate  # noqa: F401

    found = [_settings(watchdog)]
    _join_wifi(found[0][0])
    gc.collect()
    from einlass_node import mqtt  # noqa: F401

    gc.collect()
    from einlass_node import link  # noqa: F401

    gc.collect()
    from einlass_node.node import Node

    gc.collect()
    made = Node(*found.pop())  # Not kept here: what the files said is in the node's parts now.
    for name in ("einlass_core.board", "einlass_node.start"):
        _forget(name)
    return made


def _settings(watchdog: "Any") -> "tuple[Any, ...]":
    """What the files say; a wrong one is reported for ever, with the console open: a restart would not mend it."""
    from einlass_node import setting

    try:
        found = setting.read()
    except ValueError as error:
        print("configuration:", error)
        while True:
            watchdog.feed()
            time.sleep_ms(1000)
    for name in ("einlass_core.profile", "einlass_node.setting"):
        _forget(name)
    return found


def _join_wifi(config: "Any") -> None:
    if config.wifi_ssid:
        from einlass_node.wifi import join

        join(config)
        _forget("einlass_node.wifi")


def _forget(name: str) -> None:
    """Let the next collection free a module that nothing refers to any more."""
    package, _, module = name.rpartition(".")
    if sys.modules.pop(name, None) is not None:
        delattr(sys.modules[package], module)
