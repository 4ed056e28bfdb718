"""Wires one till: configuration -> journal, devices, link -> pump. Decides nothing itself.

What the devices cannot keep for themselves is in the till's book (till_book.py), in the journal's file.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import structlog

from einlass_core import messages
from einlass_core.allowlist import AllowList
from einlass_core.effects import Effect, Record, Show
from einlass_core.events import Event
from einlass_core.journal import Journal, JournalError
from einlass_core.pump import pump
from einlass_core.till import IDLE, PAYING, Till
from einlass_core.till_words import (
    DISPLAY,
    AskCard,
    CardDone,
    CoinsStopped,
    PayOut,
    Powered,
    Price,
    PriceAlone,
    Priced,
    Print,
    TakeCard,
    TakeCoins,
    UndoCard,
)
from einlass_core.wire import MESSAGE_BYTES_MAX, WireError
from einlass_edge.clock import now_ms
from einlass_edge.config_till import KeysConfig, TillConfig, TillNodeConfig
from einlass_edge.drivers.card_terminal import CardTerminal, Times
from einlass_edge.drivers.cctalk import CcTalkBus
from einlass_edge.drivers.coins import CoinAcceptor
from einlass_edge.drivers.customer_display import CustomerDisplay
from einlass_edge.drivers.hid_keypad import HidKeypad
from einlass_edge.drivers.hopper import Hopper, Variant
from einlass_edge.drivers.keypad import Keypad
from einlass_edge.drivers.printer import ReceiptPrinter
from einlass_edge.list_files import ListFiles
from einlass_edge.shell import Part, Shell
from einlass_edge.till_alone import AloneDesk, Told, list_folder
from einlass_edge.till_book import TillBook
from einlass_edge.till_card import CardDesk
from einlass_edge.till_clock import TillClock
from einlass_edge.till_coins import CoinTotal
from einlass_edge.till_front import Front
from einlass_edge.till_levels import Levels
from einlass_edge.till_paper import Paper
from einlass_edge.till_payout import Payout, Tube
from einlass_edge.till_screen import Screen
from einlass_edge.till_sold import SoldStore

# What an event has beside the record: nothing; its `emergency` stays here.
RECORD_BYTES_MAX = MESSAGE_BYTES_MAX
READER = "till"
STOPPED = ("coins_lost", "coins_jammed", "cash_box_full")
FLASHED_RECORDS = ("aborted", "card_not", "owed")

log = structlog.get_logger(__name__)


class TillJournal(Journal):
    """A till's records carry its account and its sale: they are longer than a lane's."""

    bytes_max = RECORD_BYTES_MAX


class TillNode(Shell):
    """One till's node. Opening it opens the journal (JournalError); run() it once."""

    journal_type = TillJournal

    def __init__(self, config: TillNodeConfig, directory: Path, password: str) -> None:
        """Relative paths in the configuration count from `directory`."""
        super().__init__(config, directory, password, f"pi-{config.till.kind}")
        try:
            self._till = Till(config.till.settings(), self._prefix, self._held())
            book = TillBook(self._database)
            self._clock = TillClock(self._wall, book, now_ms(), config.till.battery_clock)
            self._make_devices(config.till, book)
            self._alone = AloneDesk(
                book,
                SoldStore(self._database),
                AllowList(ListFiles(list_folder((directory / config.journal).with_suffix(".list"), self._journal))),
                lambda: self._journal.acknowledged,
                lambda: self._wall.unix_ms(now_ms()),
                config.till.timezone,
            )
        except BaseException:
            self._database.close()
            raise
        self._sells_alone = config.till.may_sell_alone
        self._asked = Price("", "", "", (), 0)
        self._answers: dict[int, Told] = {}  # by the event that is on its way to the till
        self._values: dict[str, Any] = {}
        self._priced_sale = 0  # that they are of
        self._more: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then no more coins are taken. A fault of our own ends it, and is raised."""
        self._screen.stand(self._till, "")
        await self.serve(stop, self._drive(), self._parts)

    async def _drive(self) -> None:
        # A payout that was cut short is found out about first: the till begins with totals that are true.
        await self._payout.settle()
        await pump(self, self._inbox, self._perform, now_ms, Powered(self._coins.total, self._payout.total))

    # The till, as the pump drives it

    @property
    def deadline_ms(self) -> int | None:
        """The till's."""
        return self._till.deadline_ms

    def step(self, now_ms: int, event: Event) -> list[Effect]:
        """The till's."""
        self._event_ms = now_ms
        before = self._till.state
        told = self._answers.pop(id(event), None)
        if told is not None and told.priced.nonce == self._till.question and told.priced.code == "ok":
            self._values, self._more, self._priced_sale = told.values, told.more, self._till.account.sale
        effects = self._till.step(now_ms, event)
        if self._till.state == IDLE != before:
            self._front.at_rest()
        self._screen.stand(self._till, self._front.subject)
        if isinstance(event, Powered) and not any(isinstance(effect, PayOut) for effect in effects):
            self._payout.begun()
        return effects

    # What the link hears

    def _heard(self, kind: str, fields: dict[str, Any]) -> None:
        if kind == "priced" and fields["nonce"] == self._asked.nonce:
            self._answer(self._priced(fields))
        elif self._alone.heard(kind, fields):
            self._tell()

    def received(self, kind: str, fields: dict[str, Any]) -> None:
        """See link.Hears."""
        if kind == "time":
            self._clock.heard(fields["unix_ms"], now_ms())
        super().received(kind, fields)

    def link_changed(self, up: bool) -> None:
        """See link.Hears. What it needs to sell alone is told to who asks: at once, the line may be gone soon."""
        super().link_changed(up)
        if up:
            self._tell()

    def _answer(self, told: Told) -> None:
        self._answers = {id(told.priced): told}  # Only of the newest question anything is wanted.
        self._keep(told.priced)

    def _priced(self, fields: dict[str, Any]) -> Told:
        try:
            held = tuple(self._asked.cards[int(place)] for place in fields["held"].split())
        except (ValueError, IndexError):
            log.error("price_not_understood", held=fields["held"])
            return Told(Priced(fields["nonce"], "error"))
        values = fields["values"]
        places = values.get("partly", [])
        partly = [card for at, card in enumerate(self._asked.cards) if isinstance(places, list) and at in places]
        priced = Priced(fields["nonce"], fields["code"], fields["due"], held, fields["until"], tuple(partly))
        # What its vouchers are worth is not told: to this till they took off so much, whatever they are.
        more = {"entered": _number(values.get("entered_ms")), "credit": _number(values.get("saved_cents"))}
        return Told(priced, values, more)

    # What commands do

    def rearm(self, command_id: str, first: str, second: str) -> None:
        """See commands.Does."""
        self._reply(command_id, "refused", "a till has no emergency to end")

    def identify(self) -> None:
        """See commands.Does."""
        self._screen.flash("identify")

    # What the till wants

    def _perform(self, effect: Effect) -> bool:
        if isinstance(effect, Record):
            return self._record(effect)
        if isinstance(effect, PriceAlone):
            self._ask_myself(effect)
        elif isinstance(effect, Price):
            self._ask(effect)
        elif isinstance(effect, TakeCoins):
            if self._acceptor is not None:
                self._acceptor.allow(effect.on)
        elif isinstance(effect, PayOut):
            self._payout.order(effect.total)
        elif isinstance(effect, TakeCard | AskCard | UndoCard):
            self._card_effect(effect)
        elif isinstance(effect, Print):
            self._paper.print(effect.values)
        elif isinstance(effect, Show):
            self._show(effect)
        return True

    def _record(self, effect: Record) -> bool:
        sale = effect.fields.get("sale", {})
        try:
            if effect.kind == "paid":
                # Before the record: from then on the slip is printed whatever happens.
                self._paper.sold(self._for_slip(sale))
            self._alone.rules.recorded(effect.kind, effect.fields, self._journal.seq + 1, self._more)
            self._append(effect.kind, effect.fields)
        except OSError as error:
            self._not_written(effect.kind, error)
            return False
        self._written(effect.kind, effect.fields)
        if effect.kind in FLASHED_RECORDS:
            self._screen.flash(effect.kind)
        return True

    def _for_slip(self, sale: dict[str, Any]) -> dict[str, Any]:
        front, at_ms = self._front, now_ms()
        return {
            "slip": self._till.slip_name,
            "language": self._screen.language,
            "values": self._values,
            "coins": sale["coins"],
            "by_card": sale["by_card"],
            "receipt": self._card.receipt(sale["ref"]) if self._card else (),
            "subject": front.subject if sale["what"] == DISPLAY else "",
            "name": front.name,
            "code": front.made,
            "at_ms": self._wall.unix_ms(at_ms),
        }

    def _ask(self, price: Price) -> None:
        self._asked = price
        instead = self._alone.instead(price)
        if instead is not None:
            self._keep(instead)
            return
        fields = {
            **messages.identity(self._journal),
            "nonce": price.nonce,
            "sale": self._till.account.sale,
            "what": price.what,
            "subject": price.subject,
            "cards": " ".join(price.cards),
            "paid": price.paid,
        }
        try:
            if not self._link.publish("price", fields):
                self._keep(Priced(price.nonce, "offline_not_here"))
        except WireError as error:
            log.warning("price_not_sendable", error=str(error))
            self._keep(Priced(price.nonce, "invalid"))

    def _ask_myself(self, price: PriceAlone) -> None:
        self._asked = Price("", "", "", (), 0)  # An answer of the controller comes too late from now on.
        known_ms = self._more.get("entered", 0) if self._priced_sale == self._till.account.sale else 0
        told = self._alone.price(price, self._front.raw, known_ms)
        log.info("priced_alone", code=told.priced.code, due=told.priced.due, held=len(told.priced.held))
        self._answer(told)

    def _card_effect(self, effect: TakeCard | AskCard | UndoCard) -> None:
        if self._card is None:
            self._keep(CardDone(effect.ref, False))
        elif isinstance(effect, TakeCard):
            self._card.take(effect.ref, effect.cents)
        elif isinstance(effect, AskCard):
            self._card.ask(effect.ref)
        else:
            self._card.undo(effect.ref)

    def _show(self, effect: Show) -> None:
        if effect.code == "card_partly":
            return  # It stands on the display until there is an answer.
        if effect.code == "payment_due":
            if effect.values.get("back"):
                self._screen.flash("cards_back")
        elif effect.code == "ok":
            self._screen.flash("ok", {"what": self._till.what, "until": self._till.until})
        else:
            self._screen.flash(effect.code)

    # What goes out

    def _tell(self) -> None:
        self._link.publish(
            "status",
            {
                **(self._alone.status() if self._sells_alone else {}),
                **messages.identity(self._journal),
                "ms": now_ms(),
                "lane": self._till.state,
                "waiting": self._journal.waiting,
                "emergency": False,
                "link_drops": self._link.drops,
            },
        )

    # What devices tell

    def _coins_trouble(self, reason: str, on: bool) -> None:
        self._report(reason, on)
        if on and reason in STOPPED:
            self._keep(CoinsStopped(reason))
        if reason == "coins_jammed" and not on:
            self._report("cash_box_full", False)

    def _coin_refused(self) -> None:
        if self._till.state == PAYING:
            self._screen.flash("coin_refused")

    # Small things

    def _tidy(self) -> None:
        self._alone.tidy()
        super()._tidy()

    def _settled(self) -> bool:
        return self._till.state == IDLE

    def _held(self) -> dict[str, Any] | None:
        """What the last record has of the till."""
        _, last = self._store.bounds()
        if not last:
            return None
        record = json.loads(self._store.read(last, 1)[0][1])
        if "till" not in record:
            raise JournalError("the journal is a lane's: give `journal` another path")
        held: dict[str, Any] = record["till"]
        return held

    def _make_devices(self, till: TillConfig, book: TillBook) -> None:
        display = CustomerDisplay(
            self._place(till.display.serial), till.display.baud, self._report, till.display.code_page
        )
        products = " ".join(f"{product.key}={product.name}" for product in till.product)
        self._screen = Screen(display, till.kind, till.language, till.timezone, products, till.show_ms)
        self._front = Front(till.kind, till.product, self._till, self._screen, self._inbox.put)
        self._coins = CoinTotal(book, self._keep, self._coins_trouble, self._coin_refused)
        self._acceptor, tubes = self._make_money(till)
        self._payout = Payout(tubes, book, self._keep, self._report)
        self._card = self._make_card(till, book)
        self._paper = Paper(book, self._keep, self._report, till.name, self._screen.date_and_clock)
        paper = till.printer
        self._paper.printer = ReceiptPrinter(
            self._place(paper.serial),
            paper.baud,
            self._paper.trouble,
            code_page=paper.code_page,
            raster=paper.raster,
            marks=paper.marks,
        )
        self._parts: list[Part] = [display, self._payout, self._paper, self._paper.printer]
        if self._acceptor is not None and till.coins is not None:
            self._parts.append(self._acceptor)
            boxes = {hopper.address: hopper.path for hopper in till.hopper}
            self._parts.append(Levels(tubes, boxes, till.coins.path, self._acceptor, self._settled, self._report))
        if self._card is not None:
            self._parts.append(self._card)
        if till.keys is not None:
            self._parts.append(self._make_keys(till.keys))
        if till.reader is not None:
            self._parts += self._make_readers(READER, till.reader, self._front.scan)

    def _make_keys(self, keys: KeysConfig) -> Part:
        if keys.hid is not None:
            return HidKeypad(self._place(keys.hid), keys.layout, self._front.press, self._report)
        assert keys.serial is not None
        return Keypad(self._place(keys.serial), keys.baud, self._front.press, self._report)

    def _make_money(self, till: TillConfig) -> tuple[CoinAcceptor | None, list[Tube]]:
        if till.coins is None:
            return None, []
        bus = CcTalkBus(self._place(till.coins.serial))
        paths: dict[int, int] = dict.fromkeys(till.coins.take, till.coins.path)
        paths.update({hopper.cents: hopper.path for hopper in till.hopper if hopper.path and hopper.cents in paths})
        tubes = [
            Tube(hopper.address, hopper.cents, Hopper(bus, hopper.address, Variant(hopper.variant)))
            for hopper in till.hopper
        ]
        return CoinAcceptor(bus, self._coins.feed, self._coins_trouble, paths, self._coins.counter), tubes

    def _make_card(self, till: TillConfig, book: TillBook) -> CardDesk | None:
        if till.terminal is None:
            return None
        terminal = CardTerminal(
            till.terminal.host,
            till.terminal.port,
            self._report,
            password=till.terminal.password,
            times=Times(step_s=till.terminal.step_ms / 1000),
        )
        return CardDesk(terminal, book, self._keep, self._report)


def _number(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0
