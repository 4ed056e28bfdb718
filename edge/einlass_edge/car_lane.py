"""What a lane for cars has otherwise than a turnstile: which gate, which loops, the ticket column, the display."""

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Any

from einlass_core.car_gate import CarGate
from einlass_core.events import ENTRY, EXIT
from einlass_core.gate import LOCKED, RELEASED, SECURE, SETTLING, Gate, GateSettings
from einlass_core.journal import Journal
from einlass_core.passage import Passage
from einlass_edge import lane_words
from einlass_edge.config import NodeConfig
from einlass_edge.config_car import BarrierConfig, DisplayConfig, TicketConfig
from einlass_edge.drivers.boom import CarPassage
from einlass_edge.drivers.customer_display import CustomerDisplay
from einlass_edge.drivers.driver import Trouble
from einlass_edge.drivers.printer import ReceiptPrinter
from einlass_edge.drivers.sensors import TellsPassages


def is_car_exit(config: NodeConfig) -> bool:
    """Whether this lane is a barrier that cars leave by."""
    return isinstance(config.turnstile, BarrierConfig) and config.exit is not None


def gate_for(config: NodeConfig, settings: GateSettings, journal: Journal, listed: Callable[[str], int | str]) -> Gate:
    """The state machine of this lane: a car park's exit asks, every other lane is as gate.py says."""
    prefix = journal.prefix
    if is_car_exit(config):
        policy = config.lane.exit_cut_off
        settings.cut_off = SECURE  # Nobody drives in here: places lent to this lane would be kept from others.
        return CarGate(settings, journal.account, prefix, journal.emergency, listed, policy)
    return Gate(settings, journal.account, prefix, journal.emergency, listed)


def passage_for(config: NodeConfig) -> Callable[[int], TellsPassages]:
    """What tells who went where, from its debounce time."""
    if not isinstance(config.turnstile, BarrierConfig):
        return Passage
    return functools.partial(CarPassage, ahead=EXIT if is_car_exit(config) else ENTRY)


def at_rest(gate: Gate) -> bool:
    """Whether neither side has a release open or settling."""
    return gate.entry not in (RELEASED, SETTLING) and not (
        isinstance(gate, CarGate) and gate.exit in (RELEASED, SETTLING)
    )


def state_of(gate: Gate) -> str:
    """The lane's state for a status: of the side that cars use."""
    return gate.exit if isinstance(gate, CarGate) and gate.entry == LOCKED else gate.entry


def ticket_printer(config: TicketConfig, port: str, trouble: Trouble) -> ReceiptPrinter:
    """The driver of the printer in the column."""
    return ReceiptPrinter(
        port, config.baud, trouble, code_page=config.code_page, raster=config.raster, marks=config.marks
    )


class LaneDisplay:
    """Shows the lane's decisions and states in words; hint() only for a while."""

    def __init__(self, config: NodeConfig, display: DisplayConfig, port: str, trouble: Trouble) -> None:
        self._device = CustomerDisplay(port, display.baud, trouble, display.code_page)
        self._language = display.language
        self._place = EXIT if config.exit is not None else ENTRY
        if config.entry is not None and config.entry.ticket is not None:
            self._place = "ticket"
        self._shown: tuple[str, Mapping[str, Any]] = ("error", {})
        self._over: asyncio.TimerHandle | None = None

    def show(self, code: str, values: Mapping[str, Any]) -> None:
        """From now on."""
        self._end_hint()
        self._shown = (code, values)
        self._device.show(*lane_words.lines(code, values, self._place, self._language))

    def hint(self, code: str, for_s: float | None = None) -> None:
        """In place of what is shown: for so long, or until something else is."""
        self._end_hint()
        self._device.show(*lane_words.lines(code, {}, self._place, self._language))
        if for_s is not None:
            self._over = asyncio.get_running_loop().call_later(for_s, lambda: self.show(*self._shown))

    async def run(self) -> None:
        """Until cancelled."""
        await self._device.run()

    def _end_hint(self) -> None:
        if self._over is not None:
            self._over.cancel()
            self._over = None
