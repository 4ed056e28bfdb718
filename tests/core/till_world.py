"""A till with the devices around it, for tests on both Pythons: they keep their totals without power, and power can go.

Every single thing that the till or a device does is one action of the world; the power can be cut before any of them.
"""

import json

from einlass_core.effects import Record, Show
from einlass_core.journal import Journal
from einlass_core.pump import run_step
from einlass_core.record import TYPE_CHECKING
from einlass_core.till import IDLE, Till
from einlass_core.till_account import TillSettings
from einlass_core.till_alone import Alone
from einlass_core.till_words import (
    AskCard,
    CardDone,
    CardUndone,
    CoinsIn,
    PaidOut,
    PayOut,
    Powered,
    Price,
    PriceAlone,
    Priced,
    Print,
    Printed,
    TakeCard,
    TakeCoins,
    UndoCard,
)
from einlass_core.wire import MESSAGE_BYTES_MAX
from lane import MemoryStore

if TYPE_CHECKING:
    from typing import Any

COIN = 50
HOUR = 100  # a shop's card takes off so much


class PowerCut(Exception):
    """The mains are gone."""


class TillJournal(Journal):
    """As a till's shell has it: a record fits a message."""

    bytes_max = MESSAGE_BYTES_MAX


class SoldStore:
    """What einlass_core.till_alone keeps, and that power cuts do not touch: each write is an action of the world."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.kept: "dict[int, str]" = {}

    def rows(self) -> "list[tuple[int, str]]":
        return sorted(self.kept.items())

    def put(self, number: int, text: str) -> None:
        self.world.act()
        self.kept[number] = text

    def cut(self, number: int) -> None:
        self.world.act()
        self.kept = {at: text for at, text in self.kept.items() if at < number}

    def drop(self, number: int) -> None:
        self.world.act()
        self.kept = {at: text for at, text in self.kept.items() if at > number}


class World:
    """The devices, the controller and the journal's memory: what is left when the power is gone."""

    inc = "TILL"

    def __init__(self, due: int = 200, cut_at: "int | None" = None, **settings: "Any") -> None:
        self.store = MemoryStore()
        self.settings = TillSettings(**settings)
        self.due = due
        self.cut_at = cut_at
        self.actions = 0
        self.now_ms = 0
        self.coins_on = False
        self.in_total = 0
        self.out_total = 0
        self.hopper_wants = 0
        self.hopper_holds = 100_000
        self.taken: "dict[str, int]" = {}  # card payments: ref -> cents
        self.undone: "list[str]" = []
        self.refs: "list[str]" = []
        self.terminal = "takes"  # "takes", "declines", "silent"
        self.bad_cards: "tuple[str, ...]" = ()
        self.partly: "tuple[str, ...]" = ()  # cards that are worth more than they save
        self.is_linked = True
        self.listed: "dict[str, int]" = {}  # the till's list of vouchers
        self.lots: "dict[int, dict[str, Any]]" = {}
        self.sold_store = SoldStore(self)
        self.paper = True
        self.printed: "list[str]" = []
        self.shown = ""
        self.said: "list[str]" = []
        self.asked: "Price | None" = None
        self.waiting: "list[Any]" = []
        self.start()

    # -- power

    def start(self) -> None:
        """Switch on: what the till knows is in the journal and in the devices."""
        self.waiting = []
        self.asked = None
        self.coins_on = False
        self.journal = TillJournal(self.store, self.inc)
        _, last = self.store.bounds()
        held = json.loads(self.store.read(last, 1)[0][1])["till"] if last else None
        self.alone = Alone(
            self.sold_store, self.lots, lambda digest: self.listed.get(digest, 0), lambda: self.journal.acknowledged
        )
        self.till = Till(self.settings, "%s.%d" % (self.inc, self.journal.boot), held)
        self.step(Powered(self.in_total, self.out_total))

    def power_on(self) -> None:
        """The mains are back: a clock that begins anew, and all that devices do by themselves."""
        self.now_ms = 0
        self.start()
        self.run()

    def cut_after(self, actions: int) -> None:
        """The power goes when so many more actions are done."""
        self.cut_at = self.actions + actions

    def act(self) -> None:
        """One action begins; the power may go before it."""
        self.actions += 1
        if self.cut_at is not None and self.actions > self.cut_at:
            self.cut_at = None
            raise PowerCut

    # -- the shell

    def step(self, event: "Any") -> None:
        run_step(self.till, self.now_ms, event, self.perform)

    def perform(self, effect: "Any") -> bool:
        if isinstance(effect, Record):
            self.act()
            self.alone.recorded(effect.kind, effect.fields, self.journal.seq + 1, {})
            self.act()
            try:
                self.journal.append(effect.kind, self.now_ms, 0, effect.fields)
            except OSError:
                return False
            return True
        self.act()
        if isinstance(effect, TakeCoins):
            self.coins_on = effect.on
        elif isinstance(effect, PayOut):
            self.hopper_wants = effect.total
            self.waiting.append("hopper")
        elif isinstance(effect, PriceAlone):
            self.waiting.append(effect)
        elif isinstance(effect, Price):
            self.asked = effect
            self.waiting.append("price")
        elif isinstance(effect, TakeCard):
            assert effect.ref not in self.refs, "a payment is never asked for twice"
            self.refs.append(effect.ref)
            self.waiting.append(("card", effect.ref, effect.cents))
        elif isinstance(effect, AskCard):
            if self.terminal != "silent":
                self.waiting.append(CardDone(effect.ref, effect.ref in self.taken))
        elif isinstance(effect, UndoCard):
            self.waiting.append(("undo", effect.ref))
        elif isinstance(effect, Print):
            self.waiting.append(("print", effect.slip))
        elif isinstance(effect, Show):
            self.shown = effect.code
            self.said.append(effect.code)
        return True

    # -- the devices

    def run(self) -> None:
        """Everything that devices and controller do by themselves, until nothing is left to do."""
        for _ in range(400):
            if not self.waiting:
                return
            self.device(self.waiting.pop(0))
        raise AssertionError("never at rest")

    def device(self, what: "Any") -> None:
        if what == "hopper":
            self.hop()
        elif what == "price":
            self.price()
        elif isinstance(what, CardDone):
            self.act()
            self.step(what)
        elif isinstance(what, PriceAlone):
            self.act()
            self.step(self.price_alone(what))
        elif what[0] == "card":
            if self.terminal == "takes":
                self.act()
                self.taken[what[1]] = what[2]
            if self.terminal != "silent":
                self.act()
                self.step(CardDone(what[1], what[1] in self.taken))
        elif what[0] == "undo":
            self.act()
            if what[1] in self.taken:
                del self.taken[what[1]]
                self.undone.append(what[1])
            self.act()
            self.step(CardUndone(what[1]))
        elif what[0] == "print":
            self.act()
            if self.paper:
                self.printed.append(what[1])
            self.act()
            self.step(Printed(what[1], self.paper))

    def hop(self) -> None:
        """One coin of ten cents at a time falls."""
        while self.out_total < self.hopper_wants and self.hopper_holds > 0:
            self.act()
            self.out_total += 10
            self.hopper_holds -= 10
            if self.out_total % 50 == 0:
                self.act()
                self.step(PaidOut(self.out_total))
        self.act()
        self.step(PaidOut(self.out_total, self.out_total < self.hopper_wants))

    def price(self) -> None:
        asked = self.asked
        if asked is None or not self.is_linked:
            return
        self.asked = None
        held = tuple([card for card in asked.cards if card not in self.bad_cards])
        self.act()
        self.step(self.answer(asked, held))

    def answer(self, asked: "Any", held: "tuple[str, ...]", note: "dict[str, object] | None" = None) -> Priced:
        """What is due with these cards, whoever works it out."""
        if asked.what == "display":
            return Priced(asked.nonce, "ok", asked.paid // COIN * COIN, held, asked.paid * 60, (), note)
        return Priced(asked.nonce, "ok", max(0, self.due - HOUR * len(held)), held, 0, self.partly, note)

    def price_alone(self, asked: "PriceAlone") -> Priced:
        """As a node answers its till: by the tariff here, and the vouchers on its list."""
        found = [self.alone.judge(card, 0, "mon") for card in asked.cards]
        words = [item for item in found if isinstance(item, str)]
        if words:
            return Priced(asked.nonce, words[0])
        saved = [(item, HOUR) for item in found if not isinstance(item, str)]
        if not self.alone.fits(saved):
            return Priced(asked.nonce, "alone_limit")
        note: "dict[str, object]" = {"at": 2, "entered": 1, "fee": self.due, "text": "tariff"}
        note["saved"] = [HOUR] * len(saved)
        return self.answer(asked, asked.cards, note)

    # -- people

    def do(self, event: "Any") -> None:
        self.act()
        self.step(event)
        self.run()

    def insert(self, cents: int) -> bool:
        """A coin: it falls in, and then the validator says so."""
        self.act()
        if not self.coins_on:
            return False
        self.in_total += cents
        self.act()
        self.step(CoinsIn(self.in_total))
        self.run()
        return True

    def wait(self, ms: int) -> None:
        """Time passes; the till is called whenever it wants to be."""
        from einlass_core.events import Ticked

        end = self.now_ms + ms
        for _ in range(2000):
            due = self.till.deadline_ms
            if due is None or due > end:
                break
            self.now_ms = max(self.now_ms, due)
            self.step(Ticked())
            self.run()
        self.now_ms = end

    # -- the books

    @property
    def records(self) -> "list[dict[str, Any]]":
        """As they were written, with what is special to each beside the rest."""
        found = []
        for _, text in self.store.records:
            record = json.loads(text)
            record.update(record.get("sale", {}))
            found.append(record)
        return found

    def sales(self) -> "list[dict[str, Any]]":
        return [record for record in self.records if record["kind"] == "paid"]

    def unaccounted(self) -> int:
        """Cents in the machine, or taken from cards, that no record explains; only when it is at rest."""
        account = self.till.account
        assert self.till.state == IDLE, self.till.state
        assert account.adds_up, account.as_dict()
        assert account.credit == account.change == 0
        assert (account.taken, account.given) == (self.in_total, self.out_total)
        assert account.kept == sum(sale["coins"] for sale in self.sales())
        owed = sum(record["cents"] for record in self.records if record["kind"] == "owed")
        assert account.owed == owed
        coins = self.in_total - self.out_total - account.kept - account.owed + account.lost
        by_card = sum(sale["by_card"] for sale in self.sales())
        # A payment in doubt has a name, too: it is taken whole or not at all, and only that one.
        doubtful: int = self.taken.get(account.doubt, 0)
        assert doubtful in (0, account.doubt_cents)
        cards: int = abs(sum(self.taken.values()) - by_card - doubtful)
        return abs(coins) + cards
