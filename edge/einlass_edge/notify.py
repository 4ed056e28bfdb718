"""Tells systemd that the node is ready and alive (sd_notify(3)); does nothing where systemd did not ask."""

import asyncio
import contextlib
import os
import socket

MICROSECONDS_A_SECOND = 1_000_000


def notify(state: str) -> None:
    """Send one state, such as READY=1; a supervisor that is gone is no fault of ours."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


async def watchdog() -> None:
    """Feed systemd's watchdog from the event loop, until cancelled: a node that hangs is started again."""
    period_us = os.environ.get("WATCHDOG_USEC", "")
    if not period_us.isdigit() or not int(period_us):
        return
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(int(period_us) / MICROSECONDS_A_SECOND / 3)
