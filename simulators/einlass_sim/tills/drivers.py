"""Drivers with tickets, coins and shops' cards; a shop's staff who hand cards to tills, want them back, lose some."""

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from einlass_controller.orders_vouchers import Changed
from einlass_core import codes
from einlass_core.till import BACK, IDLE, PAYING, PRICING
from einlass_core.till_words import DISPLAY, EXIT, Aborted, Begun, CardWanted, Confirmed, VoucherShown
from einlass_sim.tills.drawn import LOTS
from einlass_sim.world.seeded import HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    from einlass_sim.tills.machine import Machine
    from einlass_sim.tills.town import Town

LOOK_MS = 900
WAITS_MAX = 30
PATIENCE_MS = 4 * MINUTE_MS
STAY_MS_MAX = 5 * HOUR_MS
CARS_AT_FIRST = 12
CARDS_SHOWN_MAX = 4
BY_CARD = 0.25
WALKS_AWAY = 0.05
COINS = (50, 100, 200)
RANGE_MAX = 15
STRANGE = ("E1:0000000000000000", "FREI2026", "https://example.org/x", "E1:QS4YXZ6AKQQBRRRAV")


@dataclass
class Visit:
    """One driver before a till."""

    machine: "Machine"
    what: str
    cards: list[str]
    aborts: bool
    by_card: bool
    money: int
    until_ms: int
    shown: list[str] = field(default_factory=list)


class Drivers:
    """Everybody who is not a machine."""

    def __init__(self, town: "Town") -> None:
        self.town = town
        self.coming = True
        self._chance = random.Random(f"{town.drawn.seed}/drivers")
        self._codes = random.Random(f"{town.drawn.seed}/codes").randrange(1, 1 << 40)
        self._tickets: list[str] = []
        self._printed: dict[str, bytes] = {}  # what stands on a ticket: code and stamp
        self._cards: dict[str, list[str]] = {}
        self._shown: list[str] = []
        self._ranges: list[tuple[int, int, str]] = []

    def get_ready(self) -> None:
        """The shop's cards are printed; some are handed over to tills; some cars are there already."""
        town = self.town
        for lot, (policy, count) in enumerate(zip(LOTS, town.drawn.cards, strict=True), start=1):
            first = self._codes + 1_000 * lot
            self._cards[policy] = town.office.print_cards(lot, count, range(first, first + count))
            for code in self._cards[policy]:
                town.truth.policies[codes.digest(code)] = policy
        own = [town.serials[codes.digest(code)] for code in self._cards["own"]]
        for serial in own[: int(len(own) * town.drawn.own_share)]:
            machine = self._chance.choice(town.machines)
            town.office.hand_over(serial, serial, machine.name)
        for _ in range(CARS_AT_FIRST):
            self._drive_in()

    def start(self) -> None:
        """They come."""
        for machine in self.town.machines:
            self._next(machine)
        self._next_car()

    def _next(self, machine: "Machine") -> None:
        mean_ms = HOUR_MS / self.town.drawn.drivers_an_hour
        self.town.after(int(self._chance.expovariate(1 / mean_ms)) + 1, lambda: self._comes(machine))

    def _next_car(self) -> None:
        mean_ms = HOUR_MS / self.town.drawn.drivers_an_hour / len(self.town.machines)
        self.town.after(int(self._chance.expovariate(1 / mean_ms)) + 1, self._car)

    def _car(self) -> None:
        if self.coming:
            self._drive_in()
            self._next_car()

    def _drive_in(self) -> None:
        if not self.town.office.running:
            return  # The entry waits, and so does the car: it comes another time.
        self._codes += 1
        code = codes.opaque(self._codes)
        self.town.office.drive_in(code)
        self._tickets.append(code)
        self._printed[code] = self.town.office.stamped(code)

    # -- before a till

    def _comes(self, machine: "Machine") -> None:
        if not self.coming:
            return
        self._next(machine)
        if not machine.powered or machine.till.state != IDLE:
            return
        chance, habits = self._chance, self.town.drawn.habits
        what = EXIT if machine.kind == "pay-on-foot" else DISPLAY
        if what == EXIT:
            if not self._tickets:
                return
            again = chance.random() < habits.get("pays_twice", 0)
            subject = chance.choice(self._tickets) if again else self._tickets.pop(chance.randrange(len(self._tickets)))
        else:
            subject = f"WW-X {chance.randrange(1, 9_999)}"
        visit = Visit(
            machine,
            what,
            self._in_hand(),
            chance.random() < habits.get("aborts", 0),
            what == EXIT and chance.random() < BY_CARD,
            chance.choice((100, 200, 350)),
            self.town.now_ms + PATIENCE_MS,
        )
        machine.raw = self._printed.get(subject, b"")
        machine.step(Begun(what, subject))
        self.town.after(LOOK_MS, lambda: self._go_on(visit))

    def _in_hand(self) -> list[str]:
        """Cards of this driver: new ones, photos of cards that somebody else may have shown, anything."""
        chance, habits = self._chance, self.town.drawn.habits
        hand = []
        for _ in range(chance.choice((0, 0, 1, 1, 2, CARDS_SHOWN_MAX))):
            policy = chance.choice(LOTS)
            if self._shown and chance.random() < habits.get("photo", 0):
                hand.append(chance.choice(self._shown[-8:]))
                self.town.faults["photo"] += 1
            elif chance.random() < habits.get("strange_code", 0):
                hand.append(chance.choice(STRANGE))
                self.town.faults["strange_code"] += 1
            elif self._cards[policy]:
                hand.append(self._cards[policy].pop(chance.randrange(len(self._cards[policy]))))
        return hand

    def _go_on(self, visit: Visit) -> None:
        machine = visit.machine
        if not machine.powered or machine.till.state in (IDLE, BACK) or self.town.now_ms > visit.until_ms:
            self._leave(visit)
            return
        if machine.till.state == PAYING:
            if self._chance.random() < WALKS_AWAY:
                self._leave(visit)
                return
            self._act(visit)
        elif machine.till.state == PRICING and visit.aborts and self._chance.random() < 0.1:
            machine.step(Aborted())
        self.town.after(LOOK_MS, lambda: self._go_on(visit))

    def _act(self, visit: Visit) -> None:
        machine = visit.machine
        if visit.cards:
            card = visit.cards.pop()
            visit.shown.append(card)
            self._shown.append(card)
            machine.step(VoucherShown(card))
        elif visit.aborts and self._chance.random() < 0.4:
            machine.step(Aborted())
        elif visit.by_card:
            visit.by_card = False
            machine.step(CardWanted())
        elif visit.what == EXIT or machine.till.account.credit < visit.money:
            machine.insert(self._chance.choice(COINS))
        else:
            machine.step(Confirmed())

    def _leave(self, visit: Visit) -> None:
        """Cards that were not used are somebody's again."""
        for card in (*visit.cards, *visit.shown):
            digest = codes.digest(card)
            policy = self.town.truth.policies.get(digest)
            if policy and digest not in self.town.truth.uses and card not in self._cards[policy]:
                self._cards[policy].append(card)

    # -- the shop

    def _some(self, policy: str) -> list[int]:
        digests = [digest for digest, kind in self.town.truth.policies.items() if kind == policy]
        at = self._chance.randrange(len(digests))
        return sorted(self.town.serials[digest] for digest in digests[at : at + RANGE_MAX])

    def hand_over(self, machine: "Machine") -> None:
        """Some more for this till alone."""
        serials = self._some("own")
        done = self.town.office.hand_over(serials[0], serials[-1], machine.name)
        if isinstance(done, Changed) and done.done:
            self.town.sometimes["handed_over"] += 1

    def hand_back(self, machine: "Machine") -> None:
        """Whatever of these is a till's is to come back."""
        serials = self._some("own")
        done = self.town.office.hand_over(serials[0], serials[-1], "")
        if isinstance(done, Changed) and done.waiting:
            self.town.sometimes["wanted_back"] += 1

    def block(self) -> None:
        """A card was stolen."""
        done = self.town.office.block(self._chance.choice(self._some(self._chance.choice(LOTS))))
        if isinstance(done, Changed) and done.done:
            self.town.sometimes["blocked"] += 1
