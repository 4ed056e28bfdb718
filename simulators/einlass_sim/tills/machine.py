"""One till in the town: the shipped machine, journal, list and messages, with a shell of virtual wires around them.

The shell does what einlass_edge's till node does: carries effects out in order, sends, obeys. Between any two of its
steps the power may go.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from einlass_core import VERSION, messages, wire
from einlass_core.allowlist import AllowList
from einlass_core.effects import Effect, Record, Show
from einlass_core.events import Event, NotRecorded, Ticked
from einlass_core.journal import Journal, event_fields
from einlass_core.till import Till
from einlass_core.till_account import TillSettings
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
    PrinterReady,
    TakeCard,
    TakeCoins,
    UndoCard,
)
from einlass_core.upload import Upload
from einlass_edge.till_alone import AloneDesk, Told
from einlass_edge.till_book import TillBook
from einlass_edge.till_sold import SoldStore
from einlass_sim.tills.devices import (
    ANSWER_MS,
    COIN_MS,
    PAYOUT_MS,
    PAYOUT_STEP_CENTS,
    PRINT_MS,
    TERMINAL_MS,
    Devices,
)
from einlass_sim.tills.rows import Rows
from einlass_sim.world.disk import Disk, PowerCutError
from einlass_sim.world.office import TIME_ZONE

if TYPE_CHECKING:
    from einlass_sim.tills.town import Town

BOOT_MS = 5_000
STATUS_EVERY_MS = 30_000
KEEPALIVE_MS = 15_000
DARK_MS_MAX = 10 * 60_000


class TillJournal(Journal):
    """As a till's shell has it: a record fits a message."""

    bytes_max = wire.MESSAGE_BYTES_MAX


class Machine:
    """number, name, kind. Nothing here knows what other tills have used."""

    def __init__(self, town: "Town", number: int, kind: str) -> None:
        self.town = town
        self.number = number
        self.name = f"till-{number}"
        self.kind = kind
        self.devices = Devices()
        self.disk = Disk(self._io)
        self.rows = Rows(self._io)
        self.powered = self.linked = False
        self.boots = self.session = 0
        self.started_ms = self.unix_offset_ms = 0
        self.cut_up = self.cut_down = 0
        self.cut_since_ms: int | None = None
        self.crash_in = -1
        self.arrives_ms = 0
        self.status_due_ms = 0
        self.tick_at: int | None = None
        self.wake_at: int | None = None
        self.shown = ""
        self.asked = Price("", "", "", (), 0)
        self.raw = b""  # what the reader read of the ticket of the sale under way
        self._values: Told | None = None  # of the price that the sale under way has
        self._priced_sale = 0
        self.till: Till
        self.journal: TillJournal

    # -- power

    def boot(self) -> None:
        """The node starts, with what its disk says."""
        if self.powered:
            return
        town = self.town
        self.boots += 1
        self.powered, self.linked = True, False
        self.started_ms, self.unix_offset_ms, self.status_due_ms = town.now_ms, 0, 0
        self.tick_at = self.wake_at = None
        self.devices.slot_open = False
        try:
            self.journal = TillJournal(self.disk, town.new_incarnation())
            _, last = self.disk.bounds()
            held = json.loads(self.disk.read(last, 1)[0][1])["till"] if last else None
            self.desk = AloneDesk(
                TillBook(cast("Any", self.rows)),
                SoldStore(cast("Any", self.rows)),
                AllowList(self.disk),
                lambda: self.journal.acknowledged,
                self.unix_ms,
                TIME_ZONE,
                self.now_ms,
            )
            self.till = Till(TillSettings(sells_alone=True), self.journal.prefix, held)
            self.upload = Upload(self.journal)
            town.truth.booted(self)
            self.step(Powered(self.devices.in_cents, self.devices.out_cents))
        except PowerCutError:
            self.lose_power()
            return
        if self.powered:
            town.after(100, self.look_at_link)

    def lose_power(self, dark_ms: int = BOOT_MS) -> None:
        """Nothing runs, the slot shuts; what the hopper was told it forgets, what it paid it knows."""
        if not self.powered:
            return
        self.town.note(self, f"power lost while {self.till.state}")
        self.town.sometimes[f"power_lost_{self.till.state}"] += 1
        self.powered = self.linked = False
        self.crash_in = -1
        self.session += 1
        self.devices.slot_open = False
        self.devices.hopper_wants = self.devices.out_cents
        self.town.after(min(dark_ms, DARK_MS_MAX), self.boot)

    def now_ms(self) -> int:
        """The node's own clock: milliseconds since its start."""
        return self.town.now_ms - self.started_ms

    def unix_ms(self) -> int:
        """The time as told by the controller."""
        return self.unix_offset_ms + self.now_ms() if self.unix_offset_ms else 0

    def _io(self) -> None:
        """A step of the shell is about to be done."""
        if self.crash_in >= 0:
            self.crash_in -= 1
            if self.crash_in < 0:
                self.town.faults["till_crash_soon"] += 1
                raise PowerCutError

    # -- the machine

    def answer(self, told: Told) -> None:
        """A price, as the node hands it to its till."""
        if told.priced.nonce == self.till.question and told.priced.code == "ok":
            self._values, self._priced_sale = told, self.till.account.sale
        self.step(told.priced)

    def step(self, event: Event) -> None:
        """One event, now."""
        if not self.powered:
            return
        self.town.hash(self, type(event).__name__)
        waiting: list[Event] = [event]
        try:
            while waiting:
                failed = False
                for effect in self.till.step(self.now_ms(), waiting.pop(0)):
                    if failed or not self._perform(effect):
                        failed = True
                        if isinstance(effect, Record):
                            waiting.append(NotRecorded(effect.kind, effect.fields))
        except PowerCutError:
            self.lose_power()
            return
        self._plan_tick()
        self.send_what_is_due()

    def later(self, delay_ms: int, what: Callable[[], None]) -> None:
        """Something a device does by itself, while the power lasts."""
        boot = self.boots
        self.town.after(delay_ms, lambda: what() if boot == self.boots and self.powered else None)

    def _tell_later(self, delay_ms: int, event: Event) -> None:
        self.later(delay_ms, lambda: self.step(event))

    def _plan_tick(self) -> None:
        due = self.till.deadline_ms
        if due is None:
            return
        at = self.town.now_ms + max(0, due - self.now_ms())
        if self.tick_at is None or at < self.tick_at or self.tick_at <= self.town.now_ms:
            self.tick_at = at
            self.town.at(at, lambda: self._tick(at))

    def _tick(self, at: int) -> None:
        if self.tick_at != at or not self.powered:
            return
        self.tick_at = None
        if self.till.deadline_ms is not None and self.now_ms() >= self.till.deadline_ms:
            self.step(Ticked())
        else:
            self._plan_tick()

    def _perform(self, effect: Effect) -> bool:
        if isinstance(effect, Record):
            return self._record(effect)
        self._io()
        devices = self.devices
        if isinstance(effect, PriceAlone):
            self._ask_myself(effect)
        elif isinstance(effect, Price):
            self._ask(effect)
        elif isinstance(effect, TakeCoins):
            devices.slot_open = effect.on
        elif isinstance(effect, PayOut):
            devices.hopper_wants = max(devices.hopper_wants, effect.total)
            self.later(PAYOUT_MS, self._pay_a_little)
        elif isinstance(effect, TakeCard):
            self._charge(effect)
        elif isinstance(effect, AskCard):
            if not devices.terminal_silent:
                self._tell_later(ANSWER_MS, CardDone(effect.ref, effect.ref in devices.charged))
        elif isinstance(effect, UndoCard):
            if not devices.terminal_silent:
                self.later(ANSWER_MS, lambda: self._undo(effect.ref))
        elif isinstance(effect, Print):
            self.later(PRINT_MS, lambda: self._print(effect.slip))
        elif isinstance(effect, Show):
            self.shown = effect.code
        return True

    def _record(self, effect: Record) -> bool:
        more = self._values.more if self._values is not None else {}
        try:
            self.desk.rules.recorded(effect.kind, effect.fields, self.journal.seq + 1, more)
            self.journal.append(effect.kind, self.now_ms(), self.unix_ms(), effect.fields)
        except OSError:
            return False
        self.town.truth.recorded(self, effect.kind, effect.fields)
        return True

    def _ask(self, price: Price) -> None:
        self.asked = price
        if not self.linked:
            self._tell_later(0, Priced(price.nonce, "offline_not_here"))
            return
        instead = self.desk.instead(price)
        if instead is not None:
            self._tell_later(0, instead)
            return
        fields = {
            **messages.identity(self.journal),
            "nonce": price.nonce,
            "sale": self.till.account.sale,
            "what": price.what,
            "subject": price.subject,
            "cards": " ".join(price.cards),
            "paid": price.paid,
        }
        self.publish("price", fields)

    def _ask_myself(self, price: PriceAlone) -> None:
        self.asked = Price("", "", "", (), 0)  # An answer of the controller comes too late from now on.
        known_ms = 0
        if self._values is not None and self._priced_sale == self.till.account.sale:
            known_ms = self._values.more.get("entered", 0)
        told = self.desk.price(price, self.raw, known_ms)
        self.town.sometimes[f"alone_{told.priced.code}"] += 1
        self.later(0, lambda: self.answer(told))

    # -- the devices

    def insert(self, cents: int) -> bool:
        """A driver's coin; False: it falls through."""
        if not self.powered or not self.devices.slot_open:
            return False
        self.devices.in_cents += cents
        self._tell_later(COIN_MS, CoinsIn(self.devices.in_cents))
        return True

    def _pay_a_little(self) -> None:
        devices = self.devices
        if devices.hopper_empty and devices.out_cents < devices.hopper_wants:
            self.step(PaidOut(devices.out_cents, stopped=True))
            return
        devices.out_cents = min(devices.hopper_wants, devices.out_cents + PAYOUT_STEP_CENTS)
        if devices.out_cents < devices.hopper_wants:
            self.later(PAYOUT_MS, self._pay_a_little)
        self.step(PaidOut(devices.out_cents))

    def _charge(self, effect: TakeCard) -> None:
        # The terminal has power of its own: it takes the money though the till may be dark by then.
        devices = self.devices
        if self.town.chance.random() < self.town.declines:
            if not devices.terminal_silent:
                self._tell_later(TERMINAL_MS, CardDone(effect.ref, False))
            return
        if effect.ref in devices.charged or effect.ref in devices.given_back:
            self.town.truth.violation(f"charged_twice: {self.name} {effect.ref}")
        devices.charged[effect.ref] = effect.cents
        if not devices.terminal_silent:
            self._tell_later(TERMINAL_MS, CardDone(effect.ref, True))

    def _undo(self, ref: str) -> None:
        self.devices.undo(ref)
        self.step(CardUndone(ref))

    def _print(self, slip: str) -> None:
        if self.devices.has_paper:
            self.devices.printed.append(slip)
        self.step(Printed(slip, self.devices.has_paper))

    def paper_is_back(self) -> None:
        """Somebody put a roll in."""
        self.devices.has_paper = True
        self.step(PrinterReady())

    # -- the wire

    @property
    def reachable(self) -> bool:
        """Whether both directions work now."""
        return not self.cut_up and not self.cut_down

    def look_at_link(self) -> None:
        """As an MQTT client does: notices after a while that nobody answers, and connects when somebody does."""
        if not self.powered:
            return
        if self.linked and not self.reachable:
            since = self.cut_since_ms if self.cut_since_ms is not None else self.town.now_ms
            if self.town.now_ms - since >= KEEPALIVE_MS:
                self.drop_link()
        elif not self.linked and self.reachable:
            self.connect()

    def connect(self) -> None:
        """A new session: hello, and the journal from what is acknowledged."""
        self.linked = True
        self.session += 1
        self.upload.reset()
        self.town.note(self, "connected")
        self.publish("hello", messages.hello(self.journal, VERSION, "sim", "power"))
        state = {"online": True, "inc": self.journal.incarnation, "boot": self.journal.boot, "software": VERSION}
        self.town.send_up(self, wire.topic_state("pool", self.name), wire.encode("state", state))
        self.status_due_ms = 0
        self.send_what_is_due()

    def drop_link(self) -> None:
        """The client gave the connection up."""
        self.linked = False
        self.session += 1
        self.town.note(self, "cut off")

    def send_what_is_due(self) -> None:
        """Status and journal, as the shell's link does."""
        if not (self.powered and self.linked):
            return
        now_ms = self.now_ms()
        if now_ms >= self.status_due_ms:
            self.status_due_ms = now_ms + STATUS_EVERY_MS
            self.publish("status", self._status(now_ms))
        for seq, text in self.upload.next(now_ms):
            self.publish("event", event_fields(text))
            self.upload.sent(seq)
        due = self.status_due_ms
        if self.upload.deadline_ms is not None:
            due = min(due, self.upload.deadline_ms)
        at = self.town.now_ms + max(200, due - now_ms + 1)
        if self.wake_at is None or at < self.wake_at or self.wake_at <= self.town.now_ms:
            self.wake_at = at
            self.town.at(at, lambda: self._wake(at))

    def _status(self, now_ms: int) -> dict[str, Any]:
        fields = messages.identity(self.journal)
        fields |= {"ms": now_ms, "lane": self.till.state, "waiting": self.journal.waiting, "emergency": False}
        return fields | self.desk.status()

    def _wake(self, at: int) -> None:
        if self.wake_at == at:
            self.wake_at = None
            self.send_what_is_due()

    def publish(self, kind: str, fields: dict[str, Any]) -> None:
        """To the controller, if the network lets it through."""
        self.town.send_up(self, wire.topic_up("pool", self.name, kind), wire.encode(kind, fields))

    def receive(self, kind: str, payload: bytes) -> None:
        """A message from the controller."""
        if not self.powered or not self.linked:
            return
        fields = wire.decode(kind, payload)
        if kind == "time":
            self.unix_offset_ms = fields["unix_ms"] - self.now_ms()
        elif kind == "emergency" or fields.get("inc") != self.journal.incarnation:
            return
        elif kind == "ack":
            self.journal.acknowledge(fields["seq"])
            self.send_what_is_due()
        elif kind == "priced":
            if fields["nonce"] == self.asked.nonce:
                self.answer(self._priced(fields))
        else:
            self._take(kind, fields)

    def _take(self, kind: str, fields: dict[str, Any]) -> None:
        """What is told ahead, for selling alone."""
        try:
            is_to_tell = self.desk.heard(kind, fields)
        except PowerCutError:
            self.lose_power()
            return
        if is_to_tell:
            self.status_due_ms = 0
            self.send_what_is_due()

    def _priced(self, fields: dict[str, Any]) -> Told:
        cards, values = self.asked.cards, fields["values"]
        held = tuple(cards[int(place)] for place in fields["held"].split())
        partly = tuple(card for at, card in enumerate(cards) if at in values.get("partly", []))
        priced = Priced(fields["nonce"], fields["code"], fields["due"], held, fields["until"], partly)
        self.town.sometimes[fields["code"]] += 1
        return Told(priced, values, {"entered": values.get("entered_ms", 0), "credit": values.get("saved_cents", 0)})

    def wipe(self) -> None:
        """A new disk, and an empty machine: staff have taken the money out and set the counters to nothing."""
        self.disk.wipe()
        self.rows.wipe()
        self.devices = Devices()
