"""One seed's town: tills, drivers with shops' cards, a network that loses and repeats, every fault in its time."""

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from einlass_controller.domain.tickets import Ticket
from einlass_core import wire
from einlass_sim.tills.drawn import Drawn
from einlass_sim.tills.drivers import Drivers
from einlass_sim.tills.machine import KEEPALIVE_MS, Machine
from einlass_sim.tills.office import TownOffice
from einlass_sim.tills.truth import Truth
from einlass_sim.timeline import Timeline
from einlass_sim.world.drawn import MINUTE_MS, Episode
from einlass_sim.world.office import TICK_MS
from einlass_sim.world.truth import Violation

START_MS = 3 * MINUTE_MS
HEAL_MS = 400_000
SHORT_MS = 10_000
LOOK_MS = 5_000
WAITS_MAX = 120
WIPE_LOOK_MS = 500
ON_TIME_MS = 40
DECLINED = 0.15


@dataclass
class Found:
    """What came of a seed."""

    seed: int
    till_hours: float
    sales: int
    faults: Counter[str]
    sometimes: Counter[str]
    violation: str = ""
    at_ms: int = 0
    history: str = ""
    story: list[str] = field(default_factory=list)


class Town(Timeline[None]):
    """run() once."""

    def __init__(self, drawn: Drawn, tell: bool = False) -> None:
        super().__init__()
        self.drawn = drawn
        self.faults: Counter[str] = Counter()
        self.sometimes: Counter[str] = Counter()
        self.story: list[str] = []
        self.serials: dict[str, int] = {}
        self.tickets_by_digest: dict[str, Ticket] = {}
        self.healing = False
        self.declines = DECLINED
        self.chance = random.Random(f"{drawn.seed}/chance")
        self._tell = tell
        self._history = hashlib.blake2b(digest_size=16)
        self._net = random.Random(f"{drawn.seed}/net")
        self._names = random.Random(f"{drawn.seed}/names")
        self._broker_epoch = 0
        self.truth = Truth(self)
        self.office = TownOffice(self)
        self.lanes = [Machine(self, number, kind) for number, kind in enumerate(drawn.kinds)]
        self.drivers = Drivers(self)

    @property
    def machines(self) -> list[Machine]:
        """The tills."""
        return self.lanes

    # -- time

    def after(self, delay_ms: int, what: Callable[[], None]) -> None:
        """Do this so much later."""
        self._at(delay_ms, what)

    def at(self, at_ms: int, what: Callable[[], None]) -> None:
        """Do this then."""
        self._at(max(0, at_ms - self.now_ms), what)

    def run(self) -> Found:
        """All of it: faults and drivers, then healing, then the last look."""
        violation = ""
        try:
            self._play()
        except Violation as broken:
            violation = broken.what
            self.note(None, f"VIOLATION {violation}")
        hours = self.drawn.hours * len(self.machines)
        found = Found(self.drawn.seed, hours, self.truth.sales, self.faults, self.sometimes, violation, self.now_ms)
        found.history, found.story = self._history.hexdigest(), self.story
        return found

    def _play(self) -> None:
        self.after(TICK_MS, self.office.tick)
        self.drivers.get_ready()
        for machine in self.machines:
            self.after(1000 + 10 * machine.number, machine.boot)
        self.after(2 * MINUTE_MS, self.drivers.start)
        for episode in self.drawn.episodes:
            self.at(START_MS + episode.at_ms, lambda item=episode: self._begin(item))  # type: ignore[misc]
        self.after(LOOK_MS, self._look)
        self.advance(START_MS + self.drawn.ends_ms)
        self._heal()
        self.advance(self.now_ms + HEAL_MS)
        for _ in range(WAITS_MAX):
            if not any(machine.till.state != "idle" or machine.journal.waiting for machine in self.machines):
                break
            self.advance(self.now_ms + SHORT_MS)
        self.truth.healed()

    def _look(self) -> None:
        for machine in self.machines:
            machine.look_at_link()
        self.after(LOOK_MS, self._look)

    # -- the network

    def send_up(self, machine: Machine, topic: str, payload: bytes) -> None:
        """A message from a till, as far as the network lets it."""
        self.hash(machine, topic.rsplit("/", 1)[-1])
        if machine.cut_up:
            self.faults["lost_in_a_cut"] += 1
            return
        epoch = self._broker_epoch
        for delay_ms in self._copies():
            at_ms = self.now_ms + delay_ms
            if delay_ms < ON_TIME_MS:
                at_ms = machine.arrives_ms = max(at_ms, machine.arrives_ms)
            self.at(at_ms, lambda: self.office.heard(topic, payload) if epoch == self._broker_epoch else None)

    def send_down(self, machine: Machine, kind: str, payload: bytes) -> None:
        """A message to a till, as far as the network lets it."""
        if machine.cut_down:
            self.faults["lost_in_a_cut"] += 1
            return
        epoch = self._broker_epoch
        for delay_ms in self._copies() if kind != "time" else [ON_TIME_MS]:
            self.after(delay_ms, lambda: self._arrive_down(epoch, machine, kind, payload))

    def _arrive_down(self, epoch: int, machine: Machine, kind: str, payload: bytes) -> None:
        if epoch == self._broker_epoch and not machine.cut_down:
            self.hash(machine, f"< {kind}")
            machine.receive(kind, payload)

    def _copies(self) -> list[int]:
        """When each copy of a message arrives; none: it is lost."""
        rng, noise = self._net, {} if self.healing else self.drawn.noise
        found: list[int] = []
        if rng.random() < noise.get("loss", 0):
            self.faults["loss"] += 1
        else:
            found.append(self._delay(noise))
        if rng.random() < noise.get("repeat", 0):
            self.faults["repeat"] += 1
            found.append(self._delay(noise))
        if rng.random() < noise.get("old_copy", 0):
            self.faults["old_copy"] += 1
            found.append(rng.randrange(MINUTE_MS, 600 * MINUTE_MS))
        return found

    def _delay(self, noise: dict[str, float]) -> int:
        if self.healing:
            return 20
        if self._net.random() < noise.get("delay", 0):
            self.faults["delay"] += 1
            return self._net.choice((200, 1_500, 2_500, 30_000))
        return self._net.randrange(10, ON_TIME_MS)

    # -- faults

    def _begin(self, episode: Episode) -> None:
        machine = self.machines[episode.lane]
        self.note(machine, f"{episode.kind} for {episode.lasts_ms // 1000} s")
        if episode.kind != "till_crash_soon":
            self.faults[episode.kind] += 1
        getattr(self, f"_fault_{episode.kind}")(machine, episode.lasts_ms)

    def _cut(self, machine: Machine, up: int, down: int) -> None:
        if self.healing:
            return  # mended already
        was = machine.reachable
        machine.cut_up += up
        machine.cut_down += down
        if was and not machine.reachable:
            machine.cut_since_ms = self.now_ms
            self.after(KEEPALIVE_MS + 1, lambda: self._will_if_cut(machine))
        elif machine.reachable:
            machine.cut_since_ms = None

    def _will_if_cut(self, machine: Machine) -> None:
        if not machine.reachable:
            self.office.heard(wire.topic_state("pool", machine.name), wire.encode("state", {"online": False}))

    def _fault_cut(self, machine: Machine, lasts_ms: int) -> None:
        self._cut(machine, 1, 1)
        self.after(lasts_ms, lambda: self._cut(machine, -1, -1))

    def _fault_half_open_up(self, machine: Machine, lasts_ms: int) -> None:
        self._cut(machine, 1, 0)
        self.after(lasts_ms, lambda: self._cut(machine, -1, 0))

    def _fault_half_open_down(self, machine: Machine, lasts_ms: int) -> None:
        self._cut(machine, 0, 1)
        self.after(lasts_ms, lambda: self._cut(machine, 0, -1))

    def _fault_all_cut(self, machine: Machine, lasts_ms: int) -> None:
        for each in self.machines:
            self._fault_cut(each, lasts_ms)

    def _fault_broker_forgets(self, machine: Machine, lasts_ms: int) -> None:
        self._broker_epoch += 1
        for each in self.machines:
            if each.powered and each.linked:
                each.drop_link()

    def _fault_till_crash(self, machine: Machine, lasts_ms: int) -> None:
        machine.lose_power(lasts_ms)

    def _fault_till_crash_soon(self, machine: Machine, lasts_ms: int) -> None:
        machine.crash_in = self.chance.randrange(60)

    def _fault_controller_crash(self, machine: Machine, lasts_ms: int) -> None:
        if self.office.running:
            self.office.stop()

    def _fault_controller_crash_soon(self, machine: Machine, lasts_ms: int) -> None:
        self.office.crash_in = self.chance.randrange(20)
        self.office.crash_after_commit = self.chance.random() < 0.5

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
        machine.disk.full = machine.rows.full = True
        self.after(lasts_ms, lambda: self._room(machine))

    def _room(self, machine: Machine) -> None:
        machine.disk.full = machine.rows.full = False

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

    def _heal(self) -> None:
        """No new faults, no new drivers; everything that is broken is mended."""
        self.note(None, "everything is mended")
        self.healing = True
        self.drivers.coming = False
        self.office.crash_in = -1
        for machine in self.machines:
            machine.cut_up = machine.cut_down = 0
            machine.crash_in = -1
            self._room(machine)
            machine.devices.terminal_silent = machine.devices.hopper_empty = False
            machine.boot()
            machine.paper_is_back()

    # -- what is told

    def hash(self, machine: Machine | None, what: str) -> None:
        """One more step of this history."""
        self._history.update(f"{self.now_ms} {machine.number if machine else '-'} {what}\n".encode())

    def note(self, machine: Machine | None, what: str) -> None:
        """One more line of the story."""
        if self._tell:
            who = machine.name if machine is not None else "controller"
            self.story.append(f"{self.now_ms / 1000:10.1f} s  {who:10}  {what}")

    def new_incarnation(self) -> str:
        """For a till that finds no journal."""
        return f"i{self._names.getrandbits(48):012x}"
