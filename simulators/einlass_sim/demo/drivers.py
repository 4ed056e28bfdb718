"""Drivers at the demonstration's car park: a ticket, a walk, a shop, the pay station, the exit. Each is a coroutine.

They know only what a driver knows: what displays say, what is printed, what a machine gives back. What they do is
counted in Errands, which is the truth that the controller's books are compared with.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from einlass_sim.barrier import DroveIn, Manner
from einlass_sim.devices.barrier_lane import BarrierLane, Fate
from einlass_sim.devices.customer_display import CustomerDisplay
from einlass_sim.devices.scanner import Scanner
from einlass_sim.devices.ticket_mouth import TicketMouth
from einlass_sim.devices.till_stand import TillStand, cents_of

LOOK_S = 0.05
PRESS_S = 0.2
PATIENCE_MS = 90_000
TICKET_S = 8.0
DRIVE_S = 15.0
SHOWN_S = 5.0
SALE_S = 25.0
AGAIN_S = 2.0
TRIES_MAX = 20
STAY_S = (10.0, 70.0)
ERRAND_S = (1.0, 4.0)
CARDS = (0, 0, 0, 1, 1, 2)
BY_CARD = 0.3
LOSES_TICKET = 0.04
# What can happen is seen in the first minute: who comes first has a card, who comes second loses the ticket.
FIRST_WITH_CARD, FIRST_LOSER = 1, 2
FIRST_STAY_S = 12.0
COINS = ("EU200A", "EU100A", "EU050A")
# What is due on the pay station's display, in German or English.
DUE = re.compile(r"(?:Zu zahlen|To pay) +(\d+)[.,](\d\d)")
MANNERS = (Manner.DRIVE,) * 9 + (Manner.STALL,)


@dataclass
class Errands:
    """What drivers did; shops by id."""

    came: int = 0
    gave_up: int = 0
    drove_out: int = 0
    lost: int = 0
    sales: int = 0
    by_pass: int = 0
    handed_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Place:
    """What a driver can touch and see."""

    entry: BarrierLane
    entry_reader: Scanner
    mouth: TicketMouth
    exit: BarrierLane
    exit_reader: Scanner
    exit_display: CustomerDisplay
    till: TillStand
    till_turn: asyncio.Lock
    card: Callable[[str], Awaitable[str | None]]
    shops: tuple[str, ...]


class Driver:
    """One car and who sits in it; drive() from before the entry until it is gone."""

    def __init__(self, name: str, number: int, place: Place, errands: Errands, rng: random.Random) -> None:
        self.name = name
        self._place = place
        self._errands = errands
        self._rng = rng
        self._first = number <= FIRST_LOSER
        self._has_card = number == FIRST_WITH_CARD
        self._loses = number == FIRST_LOSER or (not self._first and rng.random() < LOSES_TICKET)
        self._ticket = ""

    async def drive(self, closing: asyncio.Event) -> None:
        """closing: nobody leaves any more; who is parked then stays so."""
        self._errands.came += 1
        if not await self._drive_in():
            self._errands.gave_up += 1
            return
        try:
            async with asyncio.timeout(FIRST_STAY_S if self._first else self._rng.uniform(*STAY_S)):
                await closing.wait()
                return
        except TimeoutError:
            pass
        cards = await self._shop()
        if self._loses:
            self._ticket = ""
            self._errands.lost += 1
        async with self._place.till_turn:
            if closing.is_set():
                return
            await self._pay(cards)
        if not closing.is_set() and await self._drive_out():
            self._errands.drove_out += 1

    # -- entry

    async def _drive_in(self) -> bool:
        place = self._place
        car = asyncio.create_task(place.entry.car_comes(self.name, self._rng.choice(MANNERS), patience_ms=PATIENCE_MS))
        while not car.done():
            if place.entry.plant.waiting_car() == self.name:
                await self._press()
                slip = await place.mouth.take(TICKET_S)
                if slip is not None and slip.codes:
                    self._ticket = slip.codes[0]
                    await self._until_driven(car)
            await asyncio.sleep(LOOK_S)
        return isinstance(await car, DroveIn)

    async def _holds(self, code: str) -> bool:
        """With a card of their own: no ticket is printed. True: in."""
        place = self._place
        car = asyncio.create_task(place.entry.car_comes(self.name, Manner.DRIVE, patience_ms=PATIENCE_MS))
        while not car.done():
            if place.entry.plant.waiting_car() == self.name:
                await place.entry_reader.hold(code)
                await asyncio.wait([car], timeout=AGAIN_S)
                if not car.done() and place.entry.plant.boom_per_mille() > 0:
                    await self._until_driven(car)
            await asyncio.sleep(LOOK_S)
        return isinstance(await car, DroveIn)

    async def _press(self) -> None:
        self._place.entry.press_button(True)
        await asyncio.sleep(PRESS_S)
        self._place.entry.press_button(False)

    async def _until_driven(self, car: "asyncio.Task[Fate]") -> None:
        await asyncio.wait([car], timeout=DRIVE_S)

    # -- shops and pay station

    async def _shop(self) -> list[str]:
        cards = []
        for _ in range(1 if self._has_card else self._rng.choice(CARDS)):
            await asyncio.sleep(self._rng.uniform(*ERRAND_S))
            shop = self._rng.choice(self._place.shops)
            code = await self._place.card(shop)
            if code is not None:
                self._errands.handed_out[shop] += 1
                cards.append(code)
        return cards

    async def _pay(self, cards: list[str]) -> None:
        """Until it is paid, or the machine does not work for too long: then they try their luck at the exit."""
        for _ in range(TRIES_MAX):
            if await self._sale(cards):
                self._errands.sales += 1
                return
            self._place.till.keypad.press("\x1b")
            await asyncio.sleep(AGAIN_S)

    async def _sale(self, cards: list[str]) -> bool:
        till = self._place.till
        if not await self._shown("Bitte Parkschein", SALE_S):
            return False
        slips = len(till.printer.roll.pieces)
        thanked = asyncio.create_task(self._shown("Danke", 2 * SALE_S))
        try:
            return await self._at_the_till(cards, slips, thanked)
        finally:
            thanked.cancel()

    async def _at_the_till(self, cards: list[str], slips: int, thanked: "asyncio.Task[bool]") -> bool:
        """`thanked` ends when the machine says thank you, which it does for a moment only."""
        till = self._place.till
        if self._ticket:
            await till.scanner.hold(self._ticket)
        else:
            till.keypad.press("?")
        if not await self._shown("Zu zahlen|Danke", SHOWN_S):
            return False
        for card in cards:
            await asyncio.sleep(AGAIN_S / 2)
            if "Zu zahlen" in till.shown:
                await till.scanner.hold(card)
                await asyncio.sleep(AGAIN_S / 2)
        await asyncio.sleep(AGAIN_S / 2)  # To read what is due.
        if not thanked.done():
            if self._rng.random() < BY_CARD:
                till.keypad.press("*")
            else:
                await self._coins()
        await asyncio.wait([thanked], timeout=SALE_S)
        if not (thanked.done() and thanked.result()):
            return False
        if not self._ticket:
            await self._until(lambda: len(till.printer.roll.pieces) > slips, SALE_S)
            codes = [code for slip in till.printer.roll.pieces[slips:] for code in slip.codes]
            self._ticket = codes[0] if codes else ""
        return True

    async def _coins(self) -> None:
        """Coins out of the pocket, the largest first, now and then one too large: the machine gives change."""
        till = self._place.till
        for _ in range(TRIES_MAX):
            due = DUE.search(till.shown)
            if due is None:
                return
            left = int(due[1]) * 100 + int(due[2]) - self._paid()
            if left <= 0:
                return
            fitting = [coin for coin in COINS if cents_of(coin) <= left] or [COINS[-1]]
            coin = COINS[0] if self._rng.random() < 0.2 else fitting[0]
            paid = self._paid()
            if till.acceptor.takes(coin):
                till.acceptor.insert(coin)
            await self._until(lambda paid=paid: self._paid() != paid, AGAIN_S)  # type: ignore[misc]

    def _paid(self) -> int:
        found = re.search(r"(?:Bezahlt|Paid) +(\d+)[.,](\d\d)", self._place.till.shown)
        return int(found[1]) * 100 + int(found[2]) if found else -1

    async def _shown(self, text: str, within_s: float) -> bool:
        wanted = text.split("|")
        return await self._until(lambda: any(word in self._place.till.shown for word in wanted), within_s)

    # -- exit

    async def _drive_out(self) -> bool:
        place = self._place
        car = asyncio.create_task(place.exit.car_comes(self.name, self._rng.choice(MANNERS)))
        while not car.done():
            if place.exit.plant.waiting_car() != self.name:
                await asyncio.sleep(LOOK_S)
                continue
            if self._ticket:
                await place.exit_reader.hold(self._ticket)
            await asyncio.wait([car], timeout=AGAIN_S)
            due = any("bezahlen" in line for line in place.exit_display.lines)
            if not car.done() and (due or not self._ticket):
                async with place.till_turn:  # Too long on the way: back to the machine, while the others wait.
                    await self._pay([])
            if not car.done() and place.exit.plant.boom_per_mille() > 0:
                await self._until_driven(car)
        return isinstance(await car, DroveIn)

    async def _until(self, true: Callable[[], bool], within_s: float) -> bool:
        until_s = asyncio.get_running_loop().time() + within_s
        while not true():
            if asyncio.get_running_loop().time() >= until_s:
                return False
            await asyncio.sleep(LOOK_S)
        return True


class ContractParker(Driver):
    """Comes with a card of his own, which the entry, the pay station and the exit know, and pays the pass's price."""

    def __init__(self, name: str, code: str, place: Place, errands: Errands, rng: random.Random) -> None:
        super().__init__(name, 0, place, errands, rng)
        self._ticket = self._code = code
        self._loses = False
        self._first = True

    async def _drive_in(self) -> bool:
        if not await self._holds(self._code):
            return False
        self._errands.by_pass += 1
        return True

    async def _shop(self) -> list[str]:
        return []
