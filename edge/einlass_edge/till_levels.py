"""Looks into the hoppers while nobody pays: nearly empty is told, a full one gets no more coins from the sorter."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from einlass_edge.drivers.coins import CoinAcceptor
from einlass_edge.drivers.driver import Trouble
from einlass_edge.till_payout import Tube

LOOK_S = 30.0

log = structlog.get_logger(__name__)


class Levels:
    """paths: the sorter's path into each hopper by its address (None: none); else coins go to `box`.

    Trouble: `hopper_<address>_low`.
    """

    def __init__(
        self,
        tubes: Sequence[Tube],
        paths: Mapping[int, int | None],
        box: int,
        acceptor: CoinAcceptor,
        at_rest: Callable[[], bool],
        trouble: Trouble,
    ) -> None:
        self._tubes = tubes
        self._paths = paths
        self._box = box
        self._acceptor = acceptor
        self._at_rest = at_rest
        self._trouble = trouble
        self._full: dict[int, bool] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self._at_rest():
                for tube in self._tubes:
                    await self._look(tube)
            await asyncio.sleep(LOOK_S)

    async def _look(self, tube: Tube) -> None:
        try:
            low, full = await tube.hopper.levels()
        except OSError as error:
            log.info("hopper_level_unknown", hopper=tube.address, error=str(error))
            return
        self._trouble(f"hopper_{tube.address}_low", low)
        path = self._paths.get(tube.address)
        if path is not None and full != self._full.get(tube.address, False):
            self._full[tube.address] = full
            self._acceptor.set_path(tube.cents, self._box if full else path)
