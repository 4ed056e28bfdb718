"""A device that comes and goes: opened again, for ever, and told about once each time it is lost and found."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from einlass_edge.drivers.driver import Backoff, Trouble

log = structlog.get_logger(__name__)


async def lasting(
    serve: Callable[[Callable[[], None]], Awaitable[None]], reason: str, place: str, trouble: Trouble
) -> None:
    """Until cancelled. `serve` opens the device, calls what it is given when it works, and ends by OSError.

    reason: of the trouble, while the device is lost; place: where it should be, for the log.
    """
    backoff = Backoff()
    is_lost = False

    def works() -> None:
        nonlocal is_lost
        if is_lost:
            is_lost = False
            trouble(reason, False)
        backoff.reset()

    while True:
        try:
            await serve(works)
        except OSError as error:  # serial.SerialException and TimeoutError are some
            if not is_lost:
                is_lost = True
                log.warning("device_lost", reason=reason, place=place, error=str(error) or "nothing came in time")
                trouble(reason, True)
        await asyncio.sleep(backoff.next_s())
