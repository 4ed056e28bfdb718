"""Starts a simulated board: the flash image becomes /, then boot.py and main.py run as the ESP32 port runs them.

Run by the MicroPython unix port with this folder on MICROPYPATH. Environment: BOARD_FLASH (image file), BOARD_SIM,
BOARD_UART1, BOARD_UART2, BOARD_MAC, BOARD_RESET_CAUSE, BOARD_CUT_AFTER_WRITES; each is described where it is used.
"""

import esp32  # noqa: F401  The stand-ins must be loaded while this folder can still be seen.
import machine
import network  # noqa: F401
import os
import sys
import time
import vfs

import board_link
import flash

PROMPT_S = 3600


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


board_link.open_link()
root = flash.file_system()
vfs.umount("/")
vfs.mount(root, "/")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]
sys.argv[:] = []
del root
run("boot.py")
run("main.py")
# What stands at a prompt is left standing: a watchdog that is on will bite.
print("main.py has ended")
while True:
    time.sleep(PROMPT_S)
