"""The node, under a watchdog. A fault that is not a wrong configuration restarts the board."""

import asyncio
import gc
import machine
import sys
import time

WATCHDOG_MS = 10_000  # longer than the longest thing that may block: a DNS look-up and a TLS handshake
FAULT_PAUSE_MS = 2_000  # so that a technician can read the message and break in


def main():
    """Runs for ever."""
    watchdog = machine.WDT(timeout=WATCHDOG_MS)
    try:
        from einlass_node.start import node  # Only now: the watchdog is to see that, too.

        running = node(watchdog).run(watchdog)
        del node
        gc.collect()
        asyncio.run(running)
    except KeyboardInterrupt:
        raise
    except Exception as error:
        sys.print_exception(error)
    time.sleep_ms(FAULT_PAUSE_MS)
    machine.reset()


main()
