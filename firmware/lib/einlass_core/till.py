"""The till's state machine: no I/O, no clock, no randomness. Same events, same effects.

Rule: everything that changes a till's money is in this file, and every cent in the machine has a name (class Account).

    IDLE     --Begun-->                        PRICING  Price
    PRICING  --Priced(ok)-->                   PAYING   TakeCoins(True); nothing due: as paid
    PRICING  --Priced(else), price_ms over-->  PAYING if a price is known (without the new card), else BACK
    PRICING  --cut off, alone_ms over-->       PRICING  PriceAlone, if the house allows it and no card is held elsewhere
    PAYING   --CoinsIn-->                      PAYING   Record(coins); enough (EXIT): Record(paid), PayOut(change)
    PAYING   --VoucherShown-->                 PRICING  Price: all cards so far are held anew, in one question
    PRICING  --Priced(partly)-->               PAYING   Show(card_partly); Confirmed: Price; Aborted: Price without it
    PAYING   --Confirmed (DISPLAY)-->          PRICING  Price of the money, then Record(paid), Print, PayOut(change)
    PAYING   --CardWanted-->                   CARD     Record(card_asked), TakeCard
    CARD     --CardDone(taken)-->              BACK     Record(paid): money, card and cards of shops in one step
    CARD     --CardDone(not)-->                PAYING   Record(card_not)
    CARD     --card_ms over-->                 DOUBT    AskCard, again and again
    PAYING   --Aborted, pay_ms over-->         BACK     Record(aborted), PayOut(all)
    DOUBT    --CardDone(taken)-->              DOUBT    UndoCard
    DOUBT    --CardUndone, CardDone(not)-->    BACK     Record(card_undone, card_not), Record(aborted), PayOut(all)
    DOUBT    --CardKept-->                     BACK     Record(card_doubtful, taken), Record(aborted): staff return it
    DOUBT    --doubt_ms over-->                BACK     Record(card_doubtful): on without cards, until the terminal
                                                        has told; what it took is given back then
    BACK     --PaidOut, all paid-->            IDLE     Record(paid_out)
    BACK     --PaidOut(stopped)-->             IDLE     Record(owed), Print(owed): the rest is on a paper
    any      --CoinsStopped-->                 as was   Record(coins_stopped): a jam, a full box; cards still pay
    any      --PrinterReady-->                 as was   Print what waits for paper
    any      --NotRecorded-->                  OUT      TakeCoins(False); tried again every retry_ms
    OUT      --recorded again-->               BACK     as after a power cut

A sale that was priced alone once is so until its end: the price does not jump to and fro with the line.

After a power cut: what is recorded as paid is paid, and its slip is printed; anything else is aborted, its coins come
back, its card payment is asked for and undone. The record that says "paid" is what uses up the cards held for it.
"""

from einlass_core import codes
from einlass_core.effects import Record, Show
from einlass_core.events import NotRecorded
from einlass_core.record import TYPE_CHECKING
from einlass_core.till_account import Account, TillSettings
from einlass_core.till_words import (
    DISPLAY,
    EXIT,
    LOST,
    POOL,
    Aborted,
    AskCard,
    Begun,
    CardDone,
    CardKept,
    CardUndone,
    CardWanted,
    CoinsIn,
    CoinsStopped,
    Confirmed,
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
    VoucherShown,
)

if TYPE_CHECKING:
    from typing import Any

    from einlass_core.effects import Effect
    from einlass_core.events import Event

IDLE = "idle"
PRICING = "pricing"
PAYING = "paying"
CARD = "card"
DOUBT = "doubt"
BACK = "back"
OUT = "out_of_service"

SOLD = (EXIT, DISPLAY, POOL, LOST)
CARDS_MAX = 6  # a record has room for so many
SUBJECT_LENGTH_MAX = 40


class Till:
    """Feed step() every event; carry out what it returns, in order; call again by deadline_ms.

    `held` is what the last record has under "till"; None for a machine that never recorded.
    """

    def __init__(self, settings: TillSettings, prefix: str, held: "dict[str, Any] | None" = None) -> None:
        self.account = Account(held)
        self.state = OUT
        self.due = 0
        self._settings = settings
        self._prefix = prefix
        self._questions = 0
        self._nonce = ""
        self._what = ""
        self._subject = ""
        self._made = ""
        self._cards: "tuple[str, ...]" = ()
        self._held: "tuple[str, ...]" = ()
        self._partly: "tuple[str, ...]" = ()  # held, and the driver is asked whether to use them
        self._accepted: "tuple[str, ...]" = ()
        self._until = 0
        self._known = False  # a price is known
        self._alone = False  # this sale is priced without the controller
        self._asked_alone = False  # so is the question that is open
        self._note: "dict[str, Any] | None" = None  # what a price that was worked out alone is made of
        self._then = ""  # what the driver wants as soon as the price is fresh: "confirm", "card"
        self._asked_paid = 0
        self._seen_in = self.account.taken
        self._seen_out = self.account.given
        self._deadline: "int | None" = None
        self._end: "int | None" = None  # of the sale, of a doubt, of a payout
        self._ask_anew: "int | None" = None
        self._before: "dict[str, Any]" = self.account.as_dict()
        self._broken = False

    @property
    def what(self) -> str:
        """What the sale under way (or the last one) is of."""
        return self._what

    @property
    def until(self) -> int:
        """Unix ms: until when the money lasts, by the last price."""
        return self._until

    @property
    def asks_partly(self) -> bool:
        """Whether the driver is asked if a card shall be used for less than it is worth: Confirmed or Aborted."""
        return self.state == PAYING and bool(self._partly)

    @property
    def question(self) -> str:
        """The nonce of the question that is open; "": none is."""
        return self._nonce if self.state == PRICING else ""

    @property
    def slip_name(self) -> str:
        """What the slip of the sale under way is called, or would be."""
        return self._slip_name()

    @property
    def deadline_ms(self) -> "int | None":
        """When step() wants to be called at the latest; None: only on an event."""
        due = [at for at in (self._deadline, self._end, self._ask_anew) if at is not None]
        return min(due) if due else None

    def step(self, now_ms: int, event: "Event") -> "list[Effect]":
        """Apply one event. now_ms never runs backwards and never wraps."""
        if isinstance(event, NotRecorded):
            return self._not_recorded(now_ms)
        self._before = self.account.as_dict()
        effects: "list[Effect]" = []
        if isinstance(event, Powered):
            self._powered(now_ms, event, effects)
            return effects
        self._due(now_ms, effects)
        if isinstance(event, CoinsIn):
            self._seen_in = max(self._seen_in, event.total)
            self._coins(now_ms, event.total, effects)
        elif isinstance(event, PaidOut):
            self._seen_out = max(self._seen_out, event.total)
            self._paid_out(now_ms, event, effects)
        elif self.state == OUT:
            pass
        elif isinstance(event, Begun):
            self._begun(now_ms, event, effects)
        elif isinstance(event, Priced):
            self._priced(now_ms, event, effects)
        elif isinstance(event, VoucherShown):
            self._voucher(now_ms, event.code, effects)
        elif isinstance(event, CardWanted):
            self._card_wanted(now_ms, effects)
        elif isinstance(event, CardDone):
            self._card_done(now_ms, event, effects)
        elif isinstance(event, CardUndone):
            self._card_over(now_ms, event.ref, "card_undone", {}, effects)
        elif isinstance(event, CardKept):
            self._card_over(now_ms, event.ref, "card_doubtful", {"taken": True}, effects)
        elif isinstance(event, Confirmed):
            self._confirm(now_ms, effects)
        elif isinstance(event, Aborted):
            if self.asks_partly:
                self._cards = tuple([card for card in self._cards if card not in self._partly])
                self._ask(now_ms, effects)
            elif self.state in (PRICING, PAYING):
                self._abort(now_ms, "aborted", effects)
        elif isinstance(event, Printed):
            self._printed(event, effects)
        elif isinstance(event, PrinterReady):
            self._print(effects)
        elif isinstance(event, CoinsStopped):
            self._record("coins_stopped", {"reason": event.reason}, effects)
            effects.append(Show("coins_stopped"))
        return effects

    # Power and journal

    def _powered(self, now_ms: int, event: Powered, effects: "list[Effect]") -> None:
        self._broken = False
        effects.append(TakeCoins(False))
        self._seen_in = max(self._seen_in, event.in_total)
        self._seen_out = max(self._seen_out, event.out_total)
        self.account.count_in(self._seen_in)
        self.account.count_out(self._seen_out)
        if self.account.card:
            self.state = DOUBT
            self._deadline = now_ms + self._settings.retry_ms
            self._end = now_ms + self._settings.doubt_ms
            self._record("powered", {}, effects)
            effects.append(AskCard(self.account.card))
        else:
            self._abort(now_ms, "powered", effects)
        if self.account.doubt:
            effects.append(AskCard(self.account.doubt))
        self._print(effects)

    def _not_recorded(self, now_ms: int) -> "list[Effect]":
        # What was not written did not happen; the devices' totals bring it back when the journal writes again.
        self.account = Account(self._before)
        self._broken = True
        self.state = OUT
        self._end = self._ask_anew = None
        self._deadline = now_ms + self._settings.retry_ms
        return [TakeCoins(False), Show("error")]

    def _record(self, kind: str, fields: "dict[str, Any]", effects: "list[Effect]") -> None:
        record: "dict[str, Any]" = {"till": self.account.as_dict()}
        if fields:
            record["sale"] = fields
        effects.append(Record(kind, record))

    # Time

    def _due(self, now_ms: int, effects: "list[Effect]") -> None:
        if self._end is not None and now_ms >= self._end:
            self._over(now_ms, effects)
        if self._ask_anew is not None and now_ms >= self._ask_anew and self.state == PAYING:
            self._ask(now_ms, effects)
        if self._deadline is None or now_ms < self._deadline:
            return
        self._deadline = now_ms + self._settings.retry_ms
        if self.state == OUT:
            self._retry(now_ms, effects)
        elif self.state == PRICING and not self._go_alone(now_ms, effects):
            self._no_price(now_ms, "offline_not_here", effects)
        elif self.state == PRICING:
            pass
        elif self.state == CARD:
            self.state = DOUBT
            self._end = now_ms + self._settings.doubt_ms
            effects.append(AskCard(self.account.card))
        elif self.state == DOUBT:
            effects.append(AskCard(self.account.card))
        else:
            self._deadline = None

    def _retry(self, now_ms: int, effects: "list[Effect]") -> None:
        """The journal may write again: go on as after a power cut, with the totals that are known."""
        if self._broken:
            self._powered(now_ms, Powered(self._seen_in, self._seen_out), effects)

    def _over(self, now_ms: int, effects: "list[Effect]") -> None:
        self._end = None
        if self.state == DOUBT:
            account = self.account
            account.doubt_card()
            self._record("card_doubtful", {"ref": account.doubt, "cents": account.doubt_cents}, effects)
            self._abort(now_ms, "aborted", effects)
        elif self.state in (PRICING, PAYING):
            self._abort(now_ms, "aborted", effects)
        elif self.state == BACK:
            self._owe(now_ms, effects)

    # A sale

    def _begun(self, now_ms: int, event: Begun, effects: "list[Effect]") -> None:
        known = event.what in SOLD and 0 < len(event.subject) <= SUBJECT_LENGTH_MAX
        if self.state != IDLE or not known:
            return
        slip = self.account.slip
        if slip is not None and (slip["what"] != EXIT or "owed" in slip):
            self._print(effects)  # Who paid for this paper gets it first.
            effects.append(Show("error"))
            return
        self.account.slip = None  # A receipt that could not be printed keeps nobody waiting.
        self._what = event.what
        self._subject = event.subject
        self._made = event.made
        self._cards = self._held = self._accepted = ()
        self._known = self._alone = False
        self._note = None
        self._then = ""
        self.due = self._until = 0
        self.account.sale += 1
        self._end = now_ms + self._settings.pay_ms
        self._ask(now_ms, effects)

    def _ask(self, now_ms: int, effects: "list[Effect]") -> None:
        self._questions += 1
        self._nonce = "%s.%d" % (self._prefix, self._questions)
        self.state = PRICING
        self._partly = ()
        self._ask_anew = None
        self._deadline = now_ms + self._settings.price_ms
        self._asked_paid = self.account.credit
        self._asked_alone = False
        if self._alone:
            self._go_alone(now_ms, effects)
            return
        if self._may_go_alone():
            self._deadline = now_ms + self._settings.alone_ms
        effects.append(Price(self._nonce, self._what, self._subject, self._cards, self.account.credit))

    def _may_go_alone(self) -> bool:
        """Not with cards that the controller holds for this sale: what they are worth it has told nobody."""
        return self._settings.sells_alone and not self._asked_alone and (self._alone or not self._held)

    def _go_alone(self, now_ms: int, effects: "list[Effect]") -> bool:
        """Put the open question to the till itself; False: that must not be, or was done."""
        if not self._may_go_alone():
            return False
        self._alone = self._asked_alone = True
        self._deadline = now_ms + self._settings.price_ms
        effects.append(PriceAlone(self._nonce, self._what, self._subject, self._cards, self.account.credit))
        return True

    def _priced(self, now_ms: int, event: Priced, effects: "list[Effect]") -> None:
        if self.state != PRICING or event.nonce != self._nonce:
            return
        if event.code == "offline_not_here" and event.alone is None and self._go_alone(now_ms, effects):
            return
        if event.code != "ok" or event.due < 0:
            self._no_price(now_ms, event.code, effects)
            return
        refused = [card for card in self._cards if card not in event.held]
        self._cards = self._held = tuple([card for card in self._cards if card in event.held])
        if self._settings.asks_partly:
            wanted = [card for card in event.partly if card in self._held and card not in self._accepted]
            self._partly = tuple(wanted)
        self._alone = event.alone is not None
        self._note = event.alone
        self.due = event.due
        self._until = event.until
        self._known = True
        self._go_on(now_ms, effects, len(refused))

    def _go_on(self, now_ms: int, effects: "list[Effect]", back: int = 0) -> None:
        """The price is known and fresh."""
        self.state = PAYING
        self._deadline = None
        self._ask_anew = now_ms + self._settings.hold_ms
        wanted = self._then
        if self._what == DISPLAY and self._asked_paid != self.account.credit:
            self._ask(now_ms, effects)
            return
        self._then = ""
        if self._partly:
            effects.append(TakeCoins(False))
            effects.append(Show("card_partly"))
        elif self._is_enough(wanted):
            self._sell(now_ms, effects)
        elif wanted == "card":
            self._take_card(now_ms, effects)
        else:
            effects.append(TakeCoins(True))
            effects.append(Show("payment_due", {"due": self.due, "paid": self.account.credit, "back": back}))

    def _no_price(self, now_ms: int, code: str, effects: "list[Effect]") -> None:
        """A card that was refused, or no answer to it, leaves the sale as it was; without any price there is none."""
        if self._known and self._cards != self._held:
            self._cards = self._held
            self._then = ""
            self._ask(now_ms, effects)
        elif self._known and not self._held and self._what != DISPLAY:
            self._go_on(now_ms, effects)  # Nothing is held that could run out; the price is two minutes old at most.
        else:
            self._abort(now_ms, "aborted", effects)
        effects.append(Show(code))

    def _is_enough(self, wanted: str) -> bool:
        if self._partly:
            return False
        if self._what == DISPLAY:
            return wanted == "confirm" and 0 < self.due <= self.account.credit
        return self.account.credit >= self.due

    def _voucher(self, now_ms: int, code: str, effects: "list[Effect]") -> None:
        if self.asks_partly or self.state != PAYING or code in self._cards or len(self._cards) >= CARDS_MAX:
            return
        self._cards = self._cards + (code,)
        self._ask(now_ms, effects)

    def _confirm(self, now_ms: int, effects: "list[Effect]") -> None:
        if self.asks_partly:
            self._accepted = self._accepted + self._partly
            self._ask(now_ms, effects)
        elif self.state == PAYING and self._what == DISPLAY and self.account.credit > 0:
            self._then = "confirm"
            self._ask(now_ms, effects)

    def _sell(self, now_ms: int, effects: "list[Effect]") -> None:
        """One record: the sale, the money, the card, and the cards of shops that it uses up."""
        account, ref = self.account, self.account.card
        by_coins, by_card = account.sell(self.due, self._settings.gives_change)
        fields: "dict[str, Any]" = {
            "sale": account.sale,
            "what": self._what,
            "subject": codes.digest(self._subject),
            "due": self.due,
            "coins": by_coins,
            "by_card": by_card,
            "ref": ref,
            "used": [codes.digest(card) for card in self._held],
            "until": self._until,
        }
        if self._made:
            fields["code"] = self._made
        if self._note is not None:
            fields["alone"] = self._note
        account.slip = {"slip": self._slip_name(), "what": self._what, "cents": self.due, "until": self._until}
        effects.append(TakeCoins(False))
        self._record("paid", fields, effects)
        effects.append(Show("ok"))
        self._print(effects)
        self._give_back(now_ms, effects)

    def _slip_name(self) -> str:
        return "%s-%d" % (self._prefix, self.account.sale)

    def _abort(self, now_ms: int, kind: str, effects: "list[Effect]") -> None:
        self.account.give_up()
        self._cards = self._held = ()
        effects.append(TakeCoins(False))
        self._record(kind, {}, effects)
        self._give_back(now_ms, effects)

    # Coins

    def _coins(self, now_ms: int, total: int, effects: "list[Effect]") -> None:
        if self.state == OUT or not self.account.count_in(total):
            return
        if self.state in (PRICING, PAYING, CARD):
            self._end = now_ms + self._settings.pay_ms
            self._record("coins", {}, effects)
            if self.state == PAYING and self._what == DISPLAY:
                self._ask(now_ms, effects)  # How long the money lasts now.
            elif self.state == PAYING and self._is_enough(""):
                self._sell(now_ms, effects)
            elif self.state == PAYING:
                effects.append(Show("payment_due", {"due": self.due, "paid": self.account.credit, "back": 0}))
        elif self.state == DOUBT:
            self._record("coins", {}, effects)
        else:  # Nobody is being served, or the sale is over: the coin comes back.
            self._abort(now_ms, "coins", effects)

    def _give_back(self, now_ms: int, effects: "list[Effect]") -> None:
        self._ask_anew = None
        self._deadline = None
        if self.account.change:
            self.state = BACK
            self._end = now_ms + self._settings.payout_ms
            effects.append(PayOut(self.account.given + self.account.change))
        else:
            self._rest()

    def _rest(self) -> None:
        self.state = IDLE
        self._end = self._deadline = self._ask_anew = None

    def _paid_out(self, now_ms: int, event: PaidOut, effects: "list[Effect]") -> None:
        if self.state == OUT:
            return
        more = self.account.count_out(event.total)
        if self.state != BACK:
            if more:
                self._record("paid_out", {}, effects)
            return
        if not self.account.change:
            self._record("paid_out", {}, effects)
            self._rest()
        elif event.stopped:
            self._owe(now_ms, effects)
        elif more:
            self._end = now_ms + self._settings.payout_ms
            self._record("paid_out", {}, effects)

    def _owe(self, now_ms: int, effects: "list[Effect]") -> None:
        """What the hopper can't pay is owed, on a paper; the hopper is told to stop where it is."""
        cents = self.account.owe(self._slip_name())
        effects.append(PayOut(self.account.given))
        self._record("owed", {"cents": cents}, effects)
        self._print(effects)
        self._rest()

    # Card

    def _card_wanted(self, now_ms: int, effects: "list[Effect]") -> None:
        if self.asks_partly or self.state != PAYING or self._what == DISPLAY:
            return
        if self.account.doubt:  # A terminal tells only of its last payment: that one comes first.
            effects.append(AskCard(self.account.doubt))
            effects.append(Show("card_out"))
            return
        self._then = "card"
        self._ask(now_ms, effects)  # So that the cards are held as long as the terminal may take.

    def _take_card(self, now_ms: int, effects: "list[Effect]") -> None:
        rest = self.due - self.account.credit
        self.account.card = "%s-%d" % (self._prefix, self._questions)
        self._questions += 1
        self.account.card_cents = rest
        self.state = CARD
        self._ask_anew = None
        self._end = None
        self._deadline = now_ms + self._settings.card_ms
        effects.append(TakeCoins(False))
        self._record("card_asked", {"ref": self.account.card, "cents": rest}, effects)
        effects.append(TakeCard(self.account.card, rest))

    def _card_done(self, now_ms: int, event: CardDone, effects: "list[Effect]") -> None:
        account = self.account
        if not event.ref or event.ref not in (account.card, account.doubt):
            return
        fields = {"ref": event.ref, "cents": account.card_cents or account.doubt_cents}
        if event.ref == account.doubt:
            if event.taken:
                effects.append(UndoCard(event.ref))
            else:
                self._told("card_not", fields, effects)
        elif self.state == CARD and event.taken:
            self._sell(now_ms, effects)
        elif self.state == CARD:
            self._told("card_not", fields, effects)
            self._end = now_ms + self._settings.pay_ms
            self._ask(now_ms, effects)  # The hold of the cards may be over.
        elif self.state == DOUBT and event.taken:
            effects.append(UndoCard(event.ref))
        elif self.state == DOUBT:
            self._told("card_not", fields, effects)
            self._abort(now_ms, "aborted", effects)

    def _card_over(self, now_ms: int, ref: str, kind: str, more: "dict[str, Any]", effects: "list[Effect]") -> None:
        """A payment that nobody wants any more: given back, or it can't be."""
        account = self.account
        if not ref or ref not in (account.card, account.doubt):
            return
        if ref == account.card and self.state != DOUBT:
            return
        fields: "dict[str, Any]" = {"ref": ref, "cents": account.card_cents or account.doubt_cents}
        fields.update(more)
        self._told(kind, fields, effects)
        if self.state == DOUBT:
            self._abort(now_ms, "aborted", effects)

    def _told(self, kind: str, fields: "dict[str, Any]", effects: "list[Effect]") -> None:
        """The terminal has told what became of the payment that is open; there is never more than one."""
        account = self.account
        account.card = account.doubt = ""
        account.card_cents = account.doubt_cents = 0
        self._record(kind, fields, effects)

    # Paper

    def _print(self, effects: "list[Effect]") -> None:
        if self.account.slip is not None:
            effects.append(Print(self.account.slip["slip"], self.account.slip))

    def _printed(self, event: Printed, effects: "list[Effect]") -> None:
        slip = self.account.slip
        if slip is None or slip["slip"] != event.slip:
            return
        if event.whole:
            self.account.slip = None
            self._record("printed", {"slip": event.slip}, effects)
        else:
            effects.append(Show("error"))
