"""Starts a simulated board: the flash image becomes /, then boot.py and main.py run as the ESP32 port runs them.

Run by the MicroPython unix port with this folder on MICROPYPATH. Environment: BOARD_FLASH (image file), BOARD_SIM,
BOARD_UART1, BOARD_UART2, BOARD_MAC, BOARD_RESET_CAUSE, BOARD_CUT_AFTER_WRITES; each is described where it is used.
"""

import machine  # While the host's files can be seen: from the flash's root this port's own would be found.
import os
import sys
import time
import vfs
from micropython import const

import power_on

_PROMPT_S = const(3600)
# Where a board finds the stand-ins that are loaded only when asked for (network, esp32, the rest of machine).
_STAND_INS = const("/.stand_ins")


def run(name):
    """A file of the flash as the main program; what it raises is printed, and the board goes on."""
    try:
        with open(name) as file:
            source = file.read()
    except OSError:
        return
    try:
        code = compile(source, name, "exec")
        source = None
        exec(code, {"__name__": "__main__"})
    except SystemExit:
        machine.soft_reset()
    except BaseException as error:
        sys.print_exception(error)


power_on.link()
stand_ins = vfs.VfsPosix(__file__.rsplit("/", 1)[0])
root = power_on.file_system()
vfs.umount("/")
vfs.mount(root, "/")
vfs.mount(stand_ins, _STAND_INS)
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib", _STAND_INS]
sys.argv[:] = []
del root, stand_ins, power_on, sys.modules["power_on"]
run("boot.py")
run("main.py")
# What stands at a prompt is left standing: a watchdog that is on will bite.
print("main.py has ended")
while True:
    time.sleep(_PROMPT_S)
