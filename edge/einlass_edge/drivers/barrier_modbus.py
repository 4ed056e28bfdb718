"""A car barrier behind a Modbus relay board with inputs, by TCP or RTU: a Turnstile for cars.

Coils: 0 raise, 1 lower, 2 green, 3 red, 4 yellow, 5 buzzer. Discrete inputs: 0 loop A (before the boom), 1 loop B
(under and behind it), 2 emergency (1 = pressed), 3 boom up, 4 boom down, 5 the button for a ticket, 6 a ticket in the
printer's mouth (read only where there is such a sensor). Holding register 0: the board's watchdog in milliseconds; when
it falls, all coils drop and the boom stays where it is.

Releasing a side raises the boom; it is lowered when neither is free and loop B is (boom.py). A lane whose exit is
always free would hold it up for ever, so a barrier's lane has exit_free = false. The emergency input raises it. A boom
should also have what no program can take away: a light barrier or an edge that stops its motor, and a spring or crank.
"""

from collections.abc import Callable

import structlog

from einlass_edge.drivers.boom import Boom
from einlass_edge.drivers.driver import Now, Trouble
from einlass_edge.drivers.outputs import Wanted
from einlass_edge.drivers.sensors import Levels, Sensors
from einlass_edge.drivers.turnstile_modbus import Client, ModbusTurnstile

INPUTS = 6
CAR_WAITING, BUTTON, PAPER = "car_waiting", "button", "paper"
DEBOUNCE_MS = 40
TROUBLE_STUCK = "boom_stuck"

log = structlog.get_logger(__name__)


class ModbusBarrier(ModbusTurnstile):
    """See Turnstile. sensors must be made with CarPassage. Troubles: `barrier_lost`, `boom_stuck`.

    asked(CAR_WAITING, BUTTON or PAPER, on) tells, debounced, that a car stands before the boom, that the button is
    pressed and that a ticket hangs in the printer's mouth (only with paper_sensed). While the board cannot be read the
    first two are off; a ticket keeps its last level, for what cannot be seen was not taken.
    """

    trouble_name = "barrier_lost"

    def __init__(
        self,
        make_client: Callable[[], Client],
        unit: int,
        watchdog_ms: int,
        wanted: Wanted,
        sensors: Sensors,
        now_ms: Now,
        trouble: Trouble,
        bolt_moved: Callable[[bool], None] = lambda free: None,
        boom: Boom | None = None,
        asked: Callable[[str, bool], None] = lambda what, on: None,
        paper_sensed: bool = False,
    ) -> None:
        super().__init__(make_client, unit, watchdog_ms, wanted, sensors, now_ms, trouble, bolt_moved)
        self._boom = boom or Boom()
        self._asked = asked
        self._asking = dict.fromkeys((CAR_WAITING, BUTTON, *((PAPER,) if paper_sensed else ())), False)
        self._inputs = INPUTS + paper_sensed
        self._differs_since_ms: dict[str, int] = {}
        self._emergency = False
        self._stuck = False

    def _coils_at(self, now_ms: int) -> list[bool]:
        wanted = self._wanted.at(now_ms)
        up, down = self._boom.drive(now_ms, wanted.entry_free or wanted.exit_free or self._emergency)
        if self._boom.stuck != self._stuck:
            self._stuck = self._boom.stuck
            log.warning("boom_stuck", stuck=self._stuck)
            self._trouble(TROUBLE_STUCK, self._stuck)
        return [up, down, wanted.green, wanted.red, wanted.yellow, wanted.buzzer]

    def _safe_coils(self) -> list[bool]:
        return [False, False, False, True, False, False]

    def _blind(self) -> None:
        self._boom.blind()
        for what, on in self._asking.items():
            if on and what != PAPER:
                self._asking[what] = False
                self._asked(what, False)
        super()._blind()

    async def _read_inputs(self, client: Client) -> None:
        answer = await self._exchange(client.read_discrete_inputs(0, count=self._inputs, device_id=self._unit))
        loop_a, loop_b, self._emergency, up, down, button = answer.bits[:INPUTS]
        now_ms = self._now_ms()
        self._boom.see(now_ms, loop_b, up, down)
        self._sensors.see(now_ms, Levels(loop_a, loop_b, self._emergency, not down))
        self._hear(now_ms, CAR_WAITING, loop_a)
        self._hear(now_ms, BUTTON, button)
        if PAPER in self._asking:
            self._hear(now_ms, PAPER, answer.bits[INPUTS])

    def _hear(self, now_ms: int, what: str, on: bool) -> None:
        if on == self._asking[what]:
            self._differs_since_ms.pop(what, None)
        elif now_ms - self._differs_since_ms.setdefault(what, now_ms) >= DEBOUNCE_MS:
            del self._differs_since_ms[what]
            self._asking[what] = on
            self._asked(what, on)
