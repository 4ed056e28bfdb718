"""One seed's town: tills, drivers with shops' cards, every fault that tills and their controller may meet."""

from typing import ClassVar

from einlass_sim.tills.drawn import Drawn
from einlass_sim.tills.drivers import Drivers
from einlass_sim.tills.machine import Machine
from einlass_sim.tills.office import TownOffice
from einlass_sim.tills.truth import Truth
from einlass_sim.world.faulty import FaultySite
from einlass_sim.world.network import ON_TIME_MS
from einlass_sim.world.seeded import MINUTE_MS

HEAL_MS = 400_000
SHORT_MS = 10_000
WAITS_MAX = 120
WIPE_LOOK_MS = 500
DECLINED = 0.15


class Town(FaultySite[Machine]):
    """run() once."""

    counted_later: ClassVar[tuple[str, ...]] = ("till_crash_soon",)
    drawn: Drawn
    office: TownOffice

    def __init__(self, drawn: Drawn, tell: bool = False) -> None:
        super().__init__(drawn, tell)
        self.serials: dict[str, int] = {}
        self.declines = DECLINED
        self.truth = Truth(self)
        self.office = TownOffice(self)
        self.machines = self.nodes = [Machine(self, number, kind) for number, kind in enumerate(drawn.kinds)]
        self.drivers = Drivers(self)

    def _served(self) -> int:
        return self.truth.sales

    def _play(self) -> None:
        self.drivers.get_ready()
        self._play_faults(self.drivers.start)
        self.advance(self.now_ms + HEAL_MS)
        for _ in range(WAITS_MAX):
            if not any(machine.till.state != "idle" or machine.journal.waiting for machine in self.machines):
                break
            self.advance(self.now_ms + SHORT_MS)
        self.truth.healed()

    def _copies_down(self, kind: str) -> list[int]:
        return self._copies() if kind != "time" else [ON_TIME_MS]

    # -- faults

    def _fault_till_crash(self, machine: Machine, lasts_ms: int) -> None:
        machine.lose_power(lasts_ms)

    def _fault_till_crash_soon(self, machine: Machine, lasts_ms: int) -> None:
        machine.crash_in = self.chance.randrange(60)

    def _fault_wipe(self, machine: Machine, lasts_ms: int) -> None:
        """A new disk, as soon as the old one has something that nobody has heard; staff empty the machine first."""
        if self.healing:
            return
        if machine.powered and not machine.journal.waiting and lasts_ms > 0:
            self.after(WIPE_LOOK_MS, lambda: self._fault_wipe(machine, lasts_ms - WIPE_LOOK_MS))
            return
        machine.lose_power(MINUTE_MS)
        self.truth.wiped(machine)
        machine.wipe()
        self.sometimes["wiped_till_back"] += 1

    def _fault_disk_full(self, machine: Machine, lasts_ms: int) -> None:
        machine.disk.full = True
        self.after(lasts_ms, lambda: self._room(machine))

    def _room(self, machine: Machine) -> None:
        machine.disk.full = False

    def _fault_terminal_silent(self, machine: Machine, lasts_ms: int) -> None:
        machine.devices.terminal_silent = True
        self.after(lasts_ms, lambda: setattr(machine.devices, "terminal_silent", False))

    def _fault_paper_out(self, machine: Machine, lasts_ms: int) -> None:
        machine.devices.has_paper = False
        self.after(lasts_ms, machine.paper_is_back)

    def _fault_hopper_empty(self, machine: Machine, lasts_ms: int) -> None:
        machine.devices.hopper_empty = True
        self.after(lasts_ms, lambda: setattr(machine.devices, "hopper_empty", False))

    def _fault_hand_over(self, machine: Machine, lasts_ms: int) -> None:
        self.drivers.hand_over(machine)

    def _fault_hand_back(self, machine: Machine, lasts_ms: int) -> None:
        self.drivers.hand_back(machine)

    def _fault_block(self, machine: Machine, lasts_ms: int) -> None:
        self.drivers.block()

    # -- the end

    def _go_home(self) -> None:
        self.drivers.coming = False

    def _mend(self, node: Machine) -> None:
        super()._mend(node)
        self._room(node)
        node.devices.terminal_silent = node.devices.hopper_empty = False
        node.boot()
        node.paper_is_back()
