"""The demonstration's car park: its devices, its nodes, its drivers, and what is true there beside what is booked."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from einlass_sim.barrier import DroveIn, Output
from einlass_sim.demo import car_parts
from einlass_sim.demo.car_parts import CONTRACT, ENTRY_NODE, EXIT_NODE, NODES, PARK, SHOPS, SIGN_NODE, SPACES, TILL_NODE
from einlass_sim.demo.drivers import ContractParker, Driver, Errands, Place
from einlass_sim.demo.office import Office, OfficeError
from einlass_sim.demo.parts import Part
from einlass_sim.devices.barrier_lane import BarrierLane
from einlass_sim.devices.customer_display import CustomerDisplay
from einlass_sim.devices.io_board import COIL_GREEN, COIL_RED, COIL_YELLOW
from einlass_sim.devices.receipt_printer import ReceiptPrinter
from einlass_sim.devices.scanner import Scanner
from einlass_sim.devices.ticket_mouth import TicketMouth
from einlass_sim.devices.till_stand import TillStand

ARRIVAL_S = (5.0, 14.0)
LOOK_S = 1.0
BEFORE_ENTRY_MAX = 3
CARDS_A_LOT = 1000
CONTRACT_NAME = "D-1"
LAMPS = {COIL_GREEN: "green", COIL_RED: "red", COIL_YELLOW: "yellow"}


class CarPark:
    """open() makes its devices, start() its nodes, run() lets cars come until close()."""

    def __init__(self, directory: Path, office: Office, rng: random.Random) -> None:
        self.errands = Errands()
        self.parts: dict[str, Part] = {}
        self.inside = 0
        self.inside_max = 0
        self.running = False
        self._directory = directory
        self._office = office
        self._rng = rng
        self._entry = BarrierLane(random.Random(rng.random()))
        self._exit = BarrierLane(random.Random(rng.random()))
        self._till = TillStand(directory, prefix=f"{TILL_NODE}-")
        self._displays = {
            node: CustomerDisplay(car_parts.link(directory, node, "display"))
            for node in (ENTRY_NODE, EXIT_NODE, SIGN_NODE)
        }
        self._printer = ReceiptPrinter(car_parts.link(directory, ENTRY_NODE, "printer"))
        self._reader = Scanner(car_parts.link(directory, EXIT_NODE, "reader"))
        self._entry_reader = Scanner(car_parts.link(directory, ENTRY_NODE, "reader"))
        self._parked: list[str] = []
        self._lots: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._booked: dict[str, int] | None = None
        self._closing = asyncio.Event()
        self._drivers: set[asyncio.Task[None]] = set()

    async def open(self, stack: AsyncExitStack) -> None:
        """Plug everything in; OSError when the machine has no more lines or ports."""
        for lane in (self._entry, self._exit):
            await stack.enter_async_context(lane)
        for display in self._displays.values():
            await stack.enter_async_context(display)
        await stack.enter_async_context(self._till)
        await stack.enter_async_context(self._printer)
        await stack.enter_async_context(self._reader)
        await stack.enter_async_context(self._entry_reader)
        self._entry.on_output.append(self._drove_in)
        self._exit.on_output.append(self._drove_out)
        turn = asyncio.Lock()
        mouth = TicketMouth(self._printer, self._entry.board)
        self._place = Place(
            self._entry,
            self._entry_reader,
            mouth,
            self._exit,
            self._reader,
            self._displays[EXIT_NODE],
            self._till,
            turn,
            self._card,
            tuple(SHOPS),
        )

    async def start(self, mqtt_port: int, passwords: dict[str, str], started: Callable[[Part], None]) -> None:
        """Start its nodes, one after the other; ProcessError when one cannot be."""
        directory = self._directory
        configurations = {
            ENTRY_NODE: car_parts.lane_of_entry(directory, self._entry.board.port),
            EXIT_NODE: car_parts.lane_of_exit(directory, self._exit.board.port),
            TILL_NODE: self._till.section('name = "Parkplatz am Freibad"\nshow_ms = 2000'),
            SIGN_NODE: car_parts.sign(directory),
        }
        for node in NODES:
            part = car_parts.node_part(directory, node, mqtt_port, passwords[node], configurations[node])
            starting = asyncio.create_task(asyncio.to_thread(part.start))
            try:
                await asyncio.shield(starting)
            finally:
                # Also when everything ends just now: a process that nobody knows of would be left behind.
                await asyncio.wait([starting])
                self.parts[node] = part
                started(part)

    async def run(self) -> None:
        """Cars come until close(), or for ever."""
        self.running = True
        self._begin(self._contract_parker(await self._contract_card()))
        number = 0
        while not self._closing.is_set():
            if len(self._waiting_outside()) < BEFORE_ENTRY_MAX:
                number += 1
                driver = Driver(f"K-{number}", number, self._place, self.errands, random.Random(self._rng.random()))
                self._begin(driver.drive(self._closing))
            try:
                async with asyncio.timeout(self._rng.uniform(*ARRIVAL_S)):
                    await self._closing.wait()
            except TimeoutError:
                continue

    def _begin(self, story: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(story)
        self._drivers.add(task)
        task.add_done_callback(self._drivers.discard)

    async def _contract_card(self) -> str:
        """A card for contract parkers; "" while the controller is down."""
        try:
            return await self._office.contract(CONTRACT, car_parts.RULES, PARK)
        except OfficeError:
            return ""

    async def _contract_parker(self, code: str) -> None:
        """One with a card for the whole season: the first to come, and again when nobody waits, until close()."""
        rng = random.Random(self._rng.random())
        while not self._closing.is_set():
            if not code:
                code = await self._contract_card()
            elif not self._waiting_outside():
                await ContractParker(CONTRACT_NAME, code, self._place, self.errands, rng).drive(self._closing)
            with suppress(TimeoutError):
                async with asyncio.timeout(rng.uniform(*ARRIVAL_S)):
                    await self._closing.wait()

    def close(self) -> None:
        """Nobody new comes, nobody parked leaves, queues turn round; whoever is at a machine finishes there."""
        self._closing.set()
        for lane in (self._entry, self._exit):
            for car in lane.plant.queue():
                lane.withdraw(car)

    async def end(self) -> None:
        """All drivers are gone at once."""
        for task in list(self._drivers):
            task.cancel()
        await asyncio.gather(*self._drivers, return_exceptions=True)

    # -- truth and books

    @property
    def coins_cents(self) -> int:
        """Truth: what lies in the pay station and was not given back."""
        return self._till.cents_inside

    @property
    def card_cents(self) -> int:
        """Truth: what the bank has taken."""
        return self._till.terminal.charged_cents

    def at_rest(self) -> bool:
        """Whether nobody is at a machine or in a lane."""
        lanes = (self._entry.plant, self._exit.plant)
        return not self._drivers and not any(lane.in_lane() for lane in lanes)

    def agrees(self, zone: dict[str, Any] | None) -> bool:
        """Whether the controller's count of cars, its takings and its cards are what is true."""
        if zone is None or self._booked is None:
            return not self.running
        booked = (self._booked["coins"], self._booked["card"], zone["present"])
        return booked == (self.coins_cents, self.card_cents, self.inside)

    async def look(self) -> None:
        """Read the controller's books, again and again."""
        while True:
            try:
                self._booked = await self._office.takings()
                self._used = await self._office.cards_used()
            except OfficeError:
                pass  # It is down: the last figures stay.
            await asyncio.sleep(LOOK_S)

    def result(self, zone: dict[str, Any] | None) -> dict[str, Any]:
        """For the last line of a headless run."""
        errands = self.errands
        return {
            "cars": errands.came,
            "inside": self.inside,
            "inside_max": self.inside_max,
            "left": errands.drove_out,
            "gave_up": errands.gave_up,
            "present": zone["present"] if zone else None,
            "takings_cents": {
                "coins": self.coins_cents,
                "card": self.card_cents,
                "booked": self._booked["coins"] + self._booked["card"] if self._booked else None,
            },
            "vouchers": {"handed_out": sum(errands.handed_out.values()), "used": sum(self._used.values())},
            "lost_tickets": errands.lost,
            "sales": errands.sales,
            "contract_stays": errands.by_pass,
            "contacts": self._entry.plant.contacts + self._exit.plant.contacts,
            "consistent": self.agrees(zone),
        }

    def view(self, nodes: dict[str, bool]) -> dict[str, Any]:
        """What the panel draws; see Stage.view."""
        shops = [
            {"name": name, "handed_out": self.errands.handed_out[shop], "used": self._used.get(shop, 0)}
            for shop, name in SHOPS.items()
        ]
        return {
            "name": "Parkplatz",
            "cap": SPACES,
            "running": self.running,
            "inside": self.inside,
            "parked": list(self._parked),
            "entry": self._lane_view(self._entry, ENTRY_NODE, nodes),
            "exit": self._lane_view(self._exit, EXIT_NODE, nodes),
            "sign": {"lines": self._displays[SIGN_NODE].lines, "up": bool(nodes.get(SIGN_NODE))},
            "till": {"lines": self._till.display.lines, "up": bool(nodes.get(TILL_NODE))},
            "money": {"coins": self.coins_cents, "card": self.card_cents, "booked": self._booked},
            "shops": shops,
            "lost": self.errands.lost,
            "contract": self.errands.by_pass,
            "came": self.errands.came,
            "left": self.errands.drove_out,
        }

    def _lane_view(self, lane: BarrierLane, node: str, nodes: dict[str, bool]) -> dict[str, Any]:
        return {
            "boom": lane.plant.boom_per_mille(),
            "cars": [
                {"name": name, "rear": rear, "front": front} for name, (rear, front) in lane.plant.in_lane().items()
            ],
            "lamp": next((lamp for coil, lamp in LAMPS.items() if lane.board.coils[coil]), None),
            "lines": self._displays[node].lines,
            "up": bool(nodes.get(node)),
        }

    # -- what happens

    def _waiting_outside(self) -> list[str]:
        return list(self._entry.plant.in_lane()) + self._entry.plant.queue()

    def _drove_in(self, output: Output) -> None:
        if isinstance(output, DroveIn):
            self.inside += 1
            self.inside_max = max(self.inside_max, self.inside)
            self._parked.append(output.car)

    def _drove_out(self, output: Output) -> None:
        if isinstance(output, DroveIn):
            self.inside -= 1
            if output.car in self._parked:
                self._parked.remove(output.car)

    async def _card(self, shop: str) -> str | None:
        """A shop hands out a card; None while the controller is down."""
        try:
            if shop not in self._lots:
                self._lots[shop] = await self._office.lot(shop, SHOPS[shop], CARDS_A_LOT)
            return await self._office.card(self._lots[shop])
        except OfficeError:
            return None


def prepare(directory: Path) -> str:
    """Write the tariff beside the plan; what the plan has to say of the car park."""
    (directory / f"{car_parts.PARK}.toml").write_text(car_parts.TARIFF, encoding="utf-8")
    return car_parts.PLAN
