"""The node: watchdog, profile, drivers, pump. A fault that is not a wrong configuration restarts the board."""

import gc
import machine
import sys
import time

WATCHDOG_MS = 10_000  # longer than the longest thing that may block: a DNS look-up and a TLS handshake
FAULT_PAUSE_MS = 2_000  # so that a technician can read the message and break in


def settings(watchdog):
    """What the files say; a wrong one is reported for ever, with the console open: a restart would not mend it."""
    from einlass_node import setting

    try:
        found = setting.read()
    except ValueError as error:
        print("configuration:", error)
        while True:
            watchdog.feed()
            time.sleep_ms(1000)
    setting.forget()
    return found


def main():
    """Runs for ever."""
    watchdog = machine.WDT(timeout=WATCHDOG_MS)
    try:
        found = settings(watchdog)
        gc.collect()
        from einlass_node import node

        node.run(*found, watchdog)
    except KeyboardInterrupt:
        raise
    except Exception as error:
        sys.print_exception(error)
    time.sleep_ms(FAULT_PAUSE_MS)
    machine.reset()


main()
