"""Scan to price: a ticket at the reader of a till until its fee is on the display.

serial reader (9600 baud) -> node -> broker -> controller: tariff, durable answer -> broker -> node -> display. Measured
from the code's last byte to the display's; the display's own line (its text takes 50 ms at 9600 baud) is not slowed
down. Beside it: a code that no till can read, which the node answers alone.
"""

import asyncio
import random
import shutil
import tempfile
import time
from pathlib import Path

from einlass_sim.till_site import SiteError, TillSite

SEED = 7
TICKETS = 8
SCAN_S_MAX = 20.0
LOOK_S = 0.001
UNREADABLE = b"\xff\xfe"
PRICE, MISREAD, IDLE = "Zu zahlen", "nicht lesbar", "Bitte Parkschein"
CANCEL = "\x1b"
EXTRA = "show_ms = 500\n"


def measure(scans: int) -> dict[str, object]:
    """scans: how many of each kind. SiteError, ProcessError, BrokerMissingError."""
    directory = Path(tempfile.mkdtemp(prefix="einlass-bench-"))
    try:
        return asyncio.run(_measure(directory, scans))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _measure(directory: Path, scans: int) -> dict[str, object]:
    chance = random.Random(SEED)
    priced: list[float] = []
    alone: list[float] = []
    async with TillSite(directory, extra=EXTRA) as site:
        tickets = [await site.drive_in(30 + 60 * number) for number in range(TICKETS)]
        await site.shows(IDLE)
        for number in range(scans):
            priced.append(await _scan(site, tickets[number % TICKETS].encode(), PRICE))
            site.stand.keypad.press(CANCEL)
            await site.shows(IDLE)
            alone.append(await _scan(site, UNREADABLE + chance.randbytes(4).hex().encode(), MISREAD))
            await site.shows(IDLE)
        broker = site.broker.kind
    return {
        "scans": scans,
        "p50_ms": _at(priced, 0.5),
        "p99_ms": _at(priced, 0.99),
        "node_alone_p50_ms": _at(alone, 0.5),
        "node_alone_p99_ms": _at(alone, 0.99),
        "broker": broker,
        "database": "sqlite",
    }


async def _scan(site: TillSite, code: bytes, shown: str) -> float:
    """Milliseconds from the code's last byte to the display's."""
    typed = await site.stand.scanner.hold(code)
    end_s = time.monotonic() + SCAN_S_MAX
    while shown not in site.stand.shown:
        if time.monotonic() > end_s:
            raise SiteError(f"{shown!r} was never shown: {site.stand.shown!r}\n{site.node.log_tail(15)}")
        await asyncio.sleep(LOOK_S)
    return (site.stand.display.changed_s - typed.last_byte_s) * 1000


def _at(found: list[float], share: float) -> float:
    ordered = sorted(found)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)
